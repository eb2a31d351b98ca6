#!/usr/bin/env python3
"""How many small requests one core of the sandbox answers, beside nginx's `return 200` on the same core in the same run.

    python3 bench/sandbox/throughput.py [--rounds 5] [--seconds 4] [--binary target/release/tollgate-loadtest]

Core 0 serves, core 1 loads (`wrk -t1 -c64`). Both servers get the same chat request and answer with bodies of the same
length. Rounds alternate, and each pair of neighbours gives a ratio, because a shared machine drifts. Exits 1 when the
median says that the sandbox answers fewer than 150,000 requests a second and fewer than nginx.
"""

import argparse
import http.client
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(ROOT, "bench", "compare"))
import proc  # noqa: E402
SERVER_CORE, LOAD_CORE = "0", "1"
CONNECTIONS = 64
GOAL_RATE = 150_000
NGINX_PORT = 18480
PATH = "/v1/chat/completions"
BODY = '{"model":"sandbox-small","messages":[{"role":"user","content":"Say hello."}]}'

SCRIPT = f"""
wrk.method = "POST"
wrk.body = '{BODY}'
wrk.headers["content-type"] = "application/json"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %f %f\\n", summary.requests, e.connect + e.read + e.write + e.status + e.timeout,
    summary.duration / 1e6, latency:percentile(99)))
end
"""

NGINX = """
daemon off;
worker_processes 1;
error_log stderr error;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        default_type application/json;
        location / {{ return 200 '{body}'; }}
    }}
}}
"""


def pinned(core, command, **more):
    return subprocess.Popen(["taskset", "-c", core] + command, stdin=subprocess.DEVNULL, **more)


def ask(port):
    """One request; the answer's body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("POST", PATH, BODY, {"content-type": "application/json"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"port {port} answered {answer.status}: {body[:200]!r}")
    return body


def start_sandbox(binary):
    command = [binary, "sandbox", "--threads", "1", "--address", "127.0.0.1:0"]
    process = pinned(SERVER_CORE, command, stdout=subprocess.PIPE, text=True)
    ready = process.stdout.readline()
    if not ready.startswith("ready "):
        raise SystemExit(f"{binary} said {ready!r} instead of 'ready HOST:PORT'")
    return process, int(ready.rpartition(":")[2])


def start_nginx(folder, body):
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w") as file:
        file.write(NGINX.format(folder=folder, port=NGINX_PORT, body=body.replace("$", "")))
    process = pinned(SERVER_CORE, ["nginx", "-p", folder, "-c", path])
    deadline = time.monotonic() + 10
    while True:
        try:
            ask(NGINX_PORT)
            return process
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("nginx does not serve") from None
            time.sleep(0.05)


class Round:
    """One load of one server."""

    def __init__(self, server, script, seconds):
        port = server.port
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{port}{PATH}"]
        cpu_before = proc.cpu_seconds(proc.tree(server.pid))
        out = pinned(LOAD_CORE, command, stdout=subprocess.PIPE, text=True).communicate(timeout=seconds + 30)[0]
        cpu = proc.cpu_seconds(proc.tree(server.pid)) - cpu_before
        result = re.search(r"RESULT (\d+) (\d+) ([\d.]+) ([\d.]+)", out)
        if result is None:
            raise SystemExit(f"wrk said:\n{out}")
        requests, failed, took, self.p99_us = (float(field) for field in result.groups())
        if failed:
            raise SystemExit(f"{failed:.0f} of {requests:.0f} requests to port {port} failed")
        self.rate = requests / took
        self.cpu_us = cpu * 1e6 / requests


class Server:
    def __init__(self, name, process, port):
        self.name, self.pid, self.port, self.rounds = name, process.pid, port, []

    def median(self, field):
        return statistics.median(getattr(measured, field) for measured in self.rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "tollgate-loadtest"))
    arguments = parser.parse_args()
    missing = [name for name in ("wrk", "nginx", "taskset") if shutil.which(name) is None]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)} (Debian: wrk, nginx-light, util-linux)")
    if not os.path.exists(arguments.binary):
        raise SystemExit(f"{arguments.binary} is missing: cargo build --release -p tollgate-loadtest")
    running = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            process, port = start_sandbox(arguments.binary)
            running.append(process)
            body = ask(port).decode()
            running.append(start_nginx(folder, body))
            servers = [Server("sandbox", process, port), Server("nginx", running[-1], NGINX_PORT)]
            script = os.path.join(folder, "load.lua")
            with open(script, "w") as file:
                file.write(SCRIPT)
            return compare(arguments, script, servers, len(body))
        finally:
            for process in running:
                process.send_signal(signal.SIGTERM)
                process.wait(10)


def compare(arguments, script, servers, body_bytes):
    sandbox, nginx = servers
    for server in servers:
        Round(server, script, 1)
    for number in range(arguments.rounds):
        for server in servers:
            server.rounds.append(Round(server, script, arguments.seconds))
        print(f"round {number + 1}: "
              + ", ".join(f"{server.name} {server.rounds[-1].rate:,.0f}/s" for server in servers), flush=True)
    print(f"\n{len(BODY)} byte requests, {body_bytes} byte bodies, {CONNECTIONS} connections, one core each; medians")
    for server in servers:
        print(f"{server.name:8} {server.median('rate'):>9,.0f} requests/s   {server.median('cpu_us'):6.2f} us of CPU each"
              f"   p99 {server.median('p99_us'):,.0f} us")
    ratio = statistics.median(ours.rate / min(theirs.rate, GOAL_RATE)
                              for ours, theirs in zip(sandbox.rounds, nginx.rounds))
    print(f"goal: {min(nginx.median('rate'), GOAL_RATE):,.0f}/s; the sandbox reaches {ratio:.2f} of it")
    return 0 if ratio >= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
