"""Closed-loop load by wrk for whole answers and by streams.py for streams. Verifies statuses, not contents."""

import json
import os
import subprocess
import sys

import child
import payloads

SCRIPT = """
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
{headers}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {{"requests":%d,"failed":%d,"seconds":%f,"p50_us":%f,"p99_us":%f,"max_us":%f}}\\n',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99), latency.max))
end
"""
USUAL = {"Authorization": f"Bearer {payloads.KEY}", "Content-Type": "application/json", "Accept": "application/json"}


class Wrk:
    name = "wrk"
    has_open_loop = False

    def __init__(self, folder):
        self.folder = folder

    def version(self):
        told = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.splitlines()
        return told[0].split(" [")[0].strip() if told else "wrk"

    def closed(self, peer, row, seconds, connections=None):
        """Loads a peer from connections that each wait for their answer: requests, failed, seconds, rate, p50_us…"""
        connections = connections or row.connections
        seconds = max(1, round(seconds))  # wrk takes whole ones
        if row.stream:
            command = [sys.executable, os.path.join(child.HERE, "streams.py"), "client", str(peer.port(row)),
                       str(connections), str(seconds), json.dumps(peer.headers(row))]
        else:
            command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s",
                       self.script(peer, row), peer.url(row)]
        told = subprocess.run(["taskset", "-c", str(child.LOAD_CORE)] + command, check=True, capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, timeout=seconds + 60).stdout
        line = told.strip().splitlines()[-1] if row.stream else told.split("RESULT ")[-1].splitlines()[0]
        result = json.loads(line)
        result["rate"] = result["requests"] / result["seconds"]
        return result

    def script(self, peer, row):
        path = os.path.join(self.folder, f"{peer.name}-{row.name}.lua")
        if not os.path.exists(path):
            body = os.path.join(self.folder, f"{row.name}.json")
            with open(body, "wb") as file:
                file.write(payloads.chat_request(row.prompt_bytes, row.route))
            headers = {**USUAL, **peer.headers(row)}
            lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
            with open(path, "w") as file:
                file.write(SCRIPT.format(body=body, headers=lines))
        return path
