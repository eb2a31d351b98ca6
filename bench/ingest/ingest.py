#!/usr/bin/env python3
"""`make bench-ingest`: how fast the control plane reads records of a spool into its ledger, on one core.

Writes the spool of a data plane that has ended (a fixed month of calls by teams, keys and models), starts the control
plane on it, and measures the CPU time of the thread that reads until every call is in the ledger: in SQLite, and in a
PostgreSQL server of its own with its usual settings, whose CPU time is told beside it.
"""

import argparse
import glob
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SEGMENT, HEADER, FIXED = 1 << 20, 64, 296  # config/src/usage_event.rs, version 2
BOOT = 0xBE7C4
FIRST_MS = 1_793_491_200_000


def header(number):
    head = bytearray(HEADER)
    head[:8] = b"TGUSAGE1"
    struct.pack_into("<QHxxI", head, 8, BOOT, 0, number)
    struct.pack_into("<I", head, 60, zlib.crc32(head[:60]))
    return bytes(head)


def line(provider, model, credential):
    names = b"".join(struct.pack("<H", len(name)) + name for name in (provider, model, credential))
    body = struct.pack("<HBBHQQ", 200, 0, 6, 0b10001, 0, 900_000_000) + struct.pack("<QQ", 900, 120)
    body += struct.pack("<QQQ", 3_000_000_000, 0, 7) + struct.pack("<QQ", 3_000_000_000, 0) + names
    return struct.pack("<H", len(body) + 2) + body


def record(number, closes):
    call = number // 2
    team, model = call % 20, call % 7
    ended = FIRST_MS + call * 40
    texts = [b"%032x" % call, b"key-%d" % (call % 100), b"", b"team-%d" % team, b"project=p%d" % (call % 5),
             b"smart", b"smart", b"openai", b"gpt-5.4-%d" % model, b"chat", b"openai", b"", b"", b"acme",
             b"CC-%d" % team, b"OPENAI_API_KEY"]
    frame = bytearray(FIXED)
    struct.pack_into("<HBBHH", frame, 8, 0x5554, 2, int(closes), 0, 200)
    struct.pack_into("<10Q", frame, 16, BOOT, number + 1, 2 * call + 1, ended - 900, ended if closes else 0, 900_000_000,
                     40_000, 2**64 - 1, 3_000, 900)
    lines = b""
    if closes:
        struct.pack_into("<9Q", frame, 96, 900, 0, 0, 0, 120, 0, 0, 0, 0)
        struct.pack_into("<QQQH", frame, 168, 3_000_000_000, 0, 7, 0b10001)
        lines = line(b"openai", texts[8], texts[15])
    struct.pack_into("<BBBB", frame, 194, 4 if closes else 0, 0, 1, 0)
    struct.pack_into("<QQ", frame, 200, 3_000_000_000 if closes else 0, 0)
    struct.pack_into("<Q", frame, 232, 1)
    struct.pack_into("<BBH", frame, 256, 32 if closes else 0, 1 if closes else 0, len(lines))
    struct.pack_into("<16H", frame, 260, *(len(text) for text in texts))
    frame += b"".join(texts) + lines
    frame += bytes(-len(frame) % 8)
    struct.pack_into("<I", frame, 0, len(frame))
    struct.pack_into("<I", frame, 4, zlib.crc32(frame[8:]))
    return bytes(frame)


def write_spool(folder, calls):
    os.makedirs(folder)
    segment, number = bytearray(header(1)), 1

    def finish():
        end = segment + struct.pack("<II", 0xFFFFFFFF, 0)
        with open(os.path.join(folder, f"{BOOT:016x}-0-{number}.seg"), "wb") as file:
            file.write(end.ljust(SEGMENT, b"\0"))

    for at in range(2 * calls):
        frame = record(at, at % 2 == 1)
        if len(segment) + len(frame) > SEGMENT - 8:
            finish()
            number += 1
            segment = bytearray(header(number))
        segment += frame
    finish()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ingested(path):
    try:
        connection = UnixConnection(path)
        connection.request("GET", "/v1/usage?from=2026-10-01&to=2027-12-01")
        rows = json.loads(connection.getresponse().read()).get("rows", [])
        return sum(row["requests"] for row in rows)
    except OSError:
        return 0


def cpu_s(pid, thread):
    """Of the threads of this name."""
    ticks = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat") as stat:
            name, rest = stat.read().split(") ", 1)
        if name.split("(", 1)[1] == thread:
            fields = rest.split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


class Postgres:
    """A server of Debian's package on a socket in `folder`; it refuses to run as root, and then is nobody's."""

    def __init__(self, folder):
        self.folder = folder
        versions = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        self.programs = versions[-1] if versions else os.path.dirname(shutil.which("initdb") or "")
        self.user = None
        if os.geteuid() == 0:
            self.user = "postgres" if "postgres" in (entry.pw_name for entry in pwd.getpwall()) else "nobody"
            shutil.chown(folder, self.user)
        data = os.path.join(folder, "data")
        self.run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=tollgate", "--pgdata", data).wait(120)
        self.server = self.run("postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "max_wal_size=4GB")
        self.settings = {"host": folder, "user": "tollgate", "name": "postgres"}
        until = time.monotonic() + 60
        while not os.path.exists(os.path.join(folder, ".s.PGSQL.5432")):
            if self.server.poll() is not None or time.monotonic() > until:
                raise SystemExit("PostgreSQL's server does not start: .ci/tools test installs it")
            time.sleep(0.05)

    def run(self, program, *arguments):
        return subprocess.Popen([os.path.join(self.programs, program), *arguments], cwd=self.folder, user=self.user,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def cpu_s(self):
        """Of all its processes so far, ended ones included."""
        ticks = 0
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{process}/stat") as stat:
                    fields = stat.read().split(") ", 1)[1].split()
            except OSError:
                continue
            if int(process) == self.server.pid:
                ticks += sum(int(fields[at]) for at in (11, 12, 13, 14))
            elif int(fields[1]) == self.server.pid:
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.server.send_signal(signal.SIGINT)
        self.server.wait(60)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--into", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--programs", default=os.path.join(ROOT, "target", "release"))
    chosen = parser.parse_args()
    for into in ["sqlite", "postgres"] if chosen.into == "both" else [chosen.into]:
        print(json.dumps({"into": into, **measure(chosen, into)}))


def measure(chosen, into):
    with tempfile.TemporaryDirectory(prefix="tollgate-ingest-") as folder:
        postgres = None
        if into == "postgres":
            os.chmod(folder, 0o755)
            os.makedirs(os.path.join(folder, "pg"))
            postgres = Postgres(os.path.join(folder, "pg"))
        try:
            return run(chosen, folder, postgres)
        finally:
            if postgres:
                postgres.stop()


def run(chosen, folder, postgres):
    state, control = os.path.join(folder, "state"), os.path.join(folder, "control.sock")
    write_spool(os.path.join(state, "spool"), chosen.calls)
    document = {"version": 1, "usage": {"retention": {"calls": "3600d"}}}
    if postgres:
        # No data plane runs, so no document comes into force: the ledger is where it is said to have been.
        with open(os.path.join(state, "ledger.json"), "w") as file:
            json.dump({"postgres": postgres.settings}, file)
    config = os.path.join(folder, "tollgate.json")
    with open(config, "w") as file:
        json.dump(document, file)
    before = postgres.cpu_s() if postgres else 0
    with open(os.path.join(folder, "log"), "wb") as log:
        plane = subprocess.Popen([os.path.join(chosen.programs, "tollgate"), "controlplane", "--config", config,
                                  "--state-dir", state, "--control-socket", control],
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        began = time.monotonic()
        while ingested(control) < chosen.calls:
            if plane.poll() is not None or time.monotonic() > began + 600:
                with open(os.path.join(folder, "log")) as log:
                    raise SystemExit(f"it never came to an end: {log.read()[-2000:]}")
            time.sleep(0.2)
        wall, used = time.monotonic() - began, cpu_s(plane.pid, "usage")
        server = postgres.cpu_s() - before if postgres else None
    finally:
        plane.terminate()
        plane.wait(60)
    told = {"calls": chosen.calls, "records": 2 * chosen.calls, "cpu_s": round(used, 2), "wall_s": round(wall, 2),
            "records_per_cpu_s": round(2 * chosen.calls / max(used, 0.01))}
    if postgres:
        told["server_cpu_s"] = round(server, 2)
    return told


if __name__ == "__main__":
    main()
