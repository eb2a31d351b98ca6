#!/usr/bin/env python3
"""What keys with limits cost a data plane: memory, time to start, and the table of balances, by how many there are.

A measurement, not a test: `make bench-keys` (ARGS="--keys 1000000"). A data plane is started alone on a last good document
with so many keys, once without limits and once with one limit each; then some of the keys are used, and each that was has a
balance. Prints a line of JSON. CPU time until it is ready says more than time where the machine has other work.
"""

import argparse
import hashlib
import http.client
import json
import os
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LEAST_CELLS, MOST_CELLS, CELL_BYTES, WORD_BYTES = 1 << 18, 1 << 22, 64, 8  # dataplane/shard/src/state_dir.rs


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def secret(number):
    return f"tg-bench-{number:08d}"


def write_state(folder, keys, limits, port):
    """As `dataplane/shard/src/state_dir.rs` reads it."""
    document = {
        "version": 1, "shards": 1, "access_log": "off",
        "listeners": {"public": {"address": f"127.0.0.1:{port}"}},
        # Nobody listens there: a call takes of its limits, and gives back.
        "providers": {"nobody": {"dialect": "openai", "base_url": "http://127.0.0.1:1"}},
        "models": {"m": {"targets": [{"provider": "nobody", "model": "m"}], "retry": {"attempts": 1}}},
    }
    with open(os.path.join(folder, "last-good.json"), "w") as file:
        file.write(f'{{"revision":1,"generation":1,"document":{json.dumps(document)},"keys":[')
        for number in range(keys):
            key = {"name": f"key-{number:08d}", "sha256": hashlib.sha256(secret(number).encode()).hexdigest(),
                   "models": ["m"], "limits": limits}
            file.write(("," if number else "") + json.dumps(key, separators=(",", ":")))
        file.write("]}")


def memory_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as smaps:
        fields = {line.split(":")[0]: int(line.split()[1]) for line in smaps if line.endswith("kB\n")}
    return fields["Rss"], fields["Anonymous"]


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def await_ready(port, plane, log):
    began = time.monotonic()
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return time.monotonic() - began
        except OSError:
            pass
        if plane.poll() is not None or time.monotonic() > began + 600:
            with open(log) as text:
                raise SystemExit(f"it never became ready: {text.read()[-2000:]}")
        time.sleep(0.01)


def use(port, count):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    statuses = {}
    for number in range(count):
        headers = {"authorization": f"Bearer {secret(number)}", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        answer.read()
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
    return statuses


def measure(chosen, limits):
    with tempfile.TemporaryDirectory(prefix="tollgate-keys-") as folder:
        port, log = free_port(), os.path.join(folder, "log")
        write_state(folder, chosen.keys, limits, port)
        with open(log, "wb") as out:
            plane = subprocess.Popen([os.path.join(chosen.programs, "tollgate-dataplane"), "--state-dir", folder],
                                     stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            ready_s = await_ready(port, plane, log)
            ready_cpu_s = cpu_s(plane.pid)
            rss, anonymous = memory_kib(plane.pid)
            statuses = use(port, chosen.used)
            used_rss, _ = memory_kib(plane.pid)
        finally:
            plane.terminate()
            plane.wait(60)
        size = os.stat(os.path.join(folder, "balances")).st_size
    return {"ready_s": round(ready_s, 2), "ready_cpu_s": round(ready_cpu_s, 2), "rss_kib": rss,
            "anonymous_kib": anonymous, "rss_after_use_kib": used_rss, "balances_bytes": size, "statuses": statuses}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--used", type=int, default=10_000)
    parser.add_argument("--programs", default=os.path.join(ROOT, "target", "release"))
    chosen = parser.parse_args()
    chosen.used = min(chosen.used, chosen.keys)
    without = measure(chosen, [])
    limited = measure(chosen, [{"requests": 100, "per": "1m"}])
    cells = min(max(LEAST_CELLS, 1 << (2 * chosen.keys - 1).bit_length()), MOST_CELLS)
    expected = CELL_BYTES + cells * (CELL_BYTES + WORD_BYTES)
    if limited["balances_bytes"] != expected:
        raise SystemExit(f"balances: {limited['balances_bytes']} bytes, and docs/src/limits.md says {expected}")
    bytes_per_key = (limited["anonymous_kib"] - without["anonymous_kib"]) * 1024 / chosen.keys
    print(json.dumps({"keys": chosen.keys, "without": without, "limited": limited,
                      "bytes_per_limited_key": round(bytes_per_key), "balances_cells": cells}))


if __name__ == "__main__":
    main()
