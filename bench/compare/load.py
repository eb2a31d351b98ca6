"""Load on one port: `wrk` for whole answers, `streams.py client` for event streams. Both report the same fields."""

import json
import os
import subprocess
import sys

import payloads

LOAD_CORE = "1"
HERE = os.path.dirname(os.path.abspath(__file__))

SCRIPT = """
local file = io.open("%(body)s", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
wrk.headers["Authorization"] = "Bearer %(key)s"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests":%%d,"failed":%%d,"seconds":%%f,"p50_us":%%f,"p99_us":%%f,"max_us":%%f}\\n',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99), latency.max))
end
"""


class Row:
    """One line of the table: a body, a number of connections, buffered or streamed."""

    def __init__(self, name, title, body_bytes, connections, stream=False):
        self.name, self.title, self.body_bytes = name, title, body_bytes
        self.connections, self.stream = connections, stream

    def prepare(self, folder):
        """Writes the body and wrk's script; `run` needs them."""
        body = os.path.join(folder, f"{self.name}.json")
        with open(body, "wb") as file:
            file.write(payloads.chat_request(self.body_bytes))
        self.script = os.path.join(folder, f"{self.name}.lua")
        with open(self.script, "w") as file:
            file.write(SCRIPT % {"body": body, "key": payloads.KEY})

    def run(self, port, seconds):
        """Loads `port` for `seconds`: requests, failed, seconds, p50_us, p99_us, and for streams first_p50_us…"""
        if self.stream:
            command = [sys.executable, os.path.join(HERE, "streams.py"), "client", str(port),
                       str(self.connections), str(seconds)]
        else:
            command = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", self.script,
                       f"http://127.0.0.1:{port}/v1/chat/completions"]
        out = subprocess.run(["taskset", "-c", LOAD_CORE] + command, check=True, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=seconds + 60).stdout
        line = out.strip().splitlines()[-1] if self.stream else out.split("RESULT ")[-1].splitlines()[0]
        return json.loads(line)


ROWS = [
    Row("chat-c1", "1.2 KB chat, 1 connection", 1200, 1),
    Row("chat-c64", "1.2 KB chat, 64 connections", 1200, 64),
    Row("stream-c64", "stream of 100 chunks, 64 at once", 1200, 64, stream=True),
    Row("prompt-c16", "128 KB prompt, 16 connections", 131072, 16),
]
