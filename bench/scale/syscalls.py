#!/usr/bin/env python3
"""System calls, ring operations and CPU time a request takes in the real data plane, at 1, 2 and 4 shards.

A measurement, not a test: `make bench-scale`. Counts come from the kernel's tracepoints (perf, as root); the load is
wrk's, in rounds that take the shard counts in turn; the provider is the sandbox. Prints a table; `--write` puts it
into docs/src/benchmarks.md.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(ROOT, "bench", "compare"))
import proc  # noqa: E402
from child import free_port  # noqa: E402

PROGRAMS = os.path.join(ROOT, "target", "release")
DOCUMENT = os.path.join(ROOT, "docs", "src", "benchmarks.md")
BEGIN, END = "<!-- scale:begin (written by `make bench-scale ARGS=--write`) -->", "<!-- scale:end -->"
SHARDS = [1, 2, 4]
KEY = "tg-scale"
EVENTS = {"system calls": "raw_syscalls:sys_enter", "io_uring_enter": "syscalls:sys_enter_io_uring_enter",
          "ring operations": "io_uring:io_uring_submit_req"}
COLUMNS = [*EVENTS, "CPU µs"]
READY_SECONDS = 20


def start(command, folder, environment=None):
    with open(os.path.join(folder, os.path.basename(command[0]) + ".log"), "ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})})


def wait_for(process, url):
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{process.args[0]} does not answer at {url}")


def dataplane(folder, shards, provider):
    """The data plane alone: its last good configuration is written, as a control plane would have left it there."""
    port, state = free_port(), os.path.join(folder, f"state-{shards}")
    target = {"provider": "sandbox", "model": "sandbox-small"}
    document = {
        "version": 1, "access_log": "off", "listeners": {"public": {"address": f"127.0.0.1:{port}"}},
        "providers": {"sandbox": {"dialect": "openai", "base_url": f"http://127.0.0.1:{provider}",
                                  "connections": {"max_idle": 512, "idle_timeout": "600s"}}},
        "models": {"smart": {"targets": [target]}}, "keys": {"scale": {"secret": "env:SCALE_KEY", "models": ["smart"]}},
    }
    os.mkdir(state, 0o700)
    with open(os.path.join(state, "last-good.json"), "w") as file:
        json.dump({"revision": 1, "document": document, "keys": []}, file)
    command = [os.path.join(PROGRAMS, "tollgate-dataplane"), "--state-dir", state, "--shards", str(shards)]
    process = start(command, folder, {"SCALE_KEY": KEY})
    wait_for(process, f"http://127.0.0.1:{port}/readyz")
    return process, port


def script(folder):
    """What wrk sends: a question of 1.2 KB. It fails when an answer is not 200."""
    body = json.dumps({"model": "smart", "messages": [{"role": "user", "content": "a word and another " * 60}]})
    path = os.path.join(folder, "chat.lua")
    with open(path, "w") as file:
        file.write(f"""wrk.method = "POST"
wrk.body = [[{body}]]
wrk.headers["Authorization"] = "Bearer {KEY}"
wrk.headers["Content-Type"] = "application/json"
""")
    return path


def load(port, connections, seconds, lua):
    """How many requests were answered."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", lua, f"http://127.0.0.1:{port}/v1/chat/completions"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"wrk had failures:\n{said}")
    return int(re.search(r"(\d+) requests in", said).group(1))


def round_of(process, port, connections, seconds, lua):
    load(port, connections, 1, lua)  # connections and pools as in steady state
    with tempfile.NamedTemporaryFile("r", suffix=".csv") as counted:
        command = ["perf", "stat", "-x,", "-o", counted.name, "-p", str(process.pid)]
        for event in EVENTS.values():
            command += ["-e", event]
        before = proc.cpu_seconds([process.pid])
        counting = subprocess.Popen([*command, "--", "sleep", str(seconds + 1)], stderr=subprocess.PIPE, text=True)
        time.sleep(0.3)
        requests = load(port, connections, seconds, lua)
        if counting.communicate()[1] or counting.returncode:
            raise SystemExit("perf cannot count tracepoints: run as root, with tracefs mounted")
        spent = proc.cpu_seconds([process.pid]) - before
        counts = dict(reversed(row.split(",")[0:3:2]) for row in counted if row[0].isdigit())
    found = {name: int(counts[event]) / requests for name, event in EVENTS.items()}
    return {**found, "CPU µs": spent * 1e6 / requests, "requests": requests}


def measure(chosen, folder):
    provider = free_port()
    sandbox = start([os.path.join(PROGRAMS, "tollgate-loadtest"), "sandbox", "--address", f"127.0.0.1:{provider}"], folder)
    running, lua, rounds = {}, script(folder), {}
    try:
        wait_for(sandbox, f"http://127.0.0.1:{provider}/v1/models")
        for shards in SHARDS:
            running[shards] = dataplane(folder, shards, provider)
        for _ in range(chosen.rounds):
            for shards, (process, port) in running.items():
                for connections in sorted({64, 64 * shards}):
                    one = round_of(process, port, connections, chosen.seconds, lua)
                    rounds.setdefault((shards, connections), []).append(one)
    finally:
        for process in [sandbox, *(process for process, _ in running.values())]:
            process.terminate()
        for process in [sandbox, *(process for process, _ in running.values())]:
            process.wait(30)
    return {at: {name: statistics.median(one[name] for one in ones) for name in ones[0]} for at, ones in rounds.items()}


def table(chosen, medians):
    lines = ["| shards | connections | " + " | ".join(COLUMNS) + " | requests |", "|--:" * (len(COLUMNS) + 3) + "|"]
    for (shards, connections), row in sorted(medians.items()):
        figures = " | ".join(f"{row[name]:.2f}" for name in COLUMNS)
        lines.append(f"| {shards} | {connections} | {figures} | {row['requests']:,.0f} |")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT)
    lines += ["", f"`make bench-scale` on {datetime.date.today()}, {os.cpu_count()} cores, Linux {platform.release()}, "
              f"at {commit.stdout.strip()}: medians of {chosen.rounds} rounds of {chosen.seconds} s, a request."]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each round")
    parser.add_argument("--write", action="store_true", help="renew the table of docs/src/benchmarks.md")
    chosen = parser.parse_args()
    for program in ("perf", "wrk"):
        if not shutil.which(program):
            raise SystemExit(f"{program} is missing: `make bench-scale` installs it from Debian")
    with tempfile.TemporaryDirectory() as folder:
        written = table(chosen, measure(chosen, folder))
    print(written)
    if chosen.write:
        with open(DOCUMENT) as file:
            before, rest = file.read().split(BEGIN)
        with open(DOCUMENT, "w") as file:
            file.write("\n".join([before + BEGIN, "", written, "", END + rest.split(END)[1]]))


if __name__ == "__main__":
    sys.exit(main())
