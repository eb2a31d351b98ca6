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
{request}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {{"requests":%d,"failed":%d,"seconds":%f,"p50_us":%f,"p99_us":%f,"max_us":%f}}\\n',
    summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99), latency.max))
end
"""
# The body's own text is another in each call, and in no later run what it was in this one.
ASKED_ANEW = """
local number, first, last = os.time() * 1000000, wrk.body:find("{own}", 1, true)
local before, after = wrk.body:sub(1, first - 1), wrk.body:sub(last + 1)
request = function()
  number = number + 1
  return wrk.format(nil, nil, nil, before .. string.format("%016d", number) .. after)
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
                       str(connections), str(seconds), json.dumps(self.stream_headers(peer, row))]
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
            own = "f" * payloads.OWN_TEXT_BYTES if peer.asked_anew else peer.own_text
            body = os.path.join(self.folder, f"{peer.name}-{row.name}.json")
            with open(body, "wb") as file:
                file.write(payloads.chat_request(row.prompt_bytes, row.route, own))
            headers = {**USUAL, **peer.headers(row)}
            lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
            with open(path, "w") as file:
                request = ASKED_ANEW.format(own=own) if peer.asked_anew else ""
                file.write(SCRIPT.format(body=body, headers=lines, request=request))
        return path

    @staticmethod
    def stream_headers(peer, row):
        """Streams all ask the same here: what a peer keeps of them must not answer the next."""
        return {**peer.headers(row), **({"x-tollgate-cache": "refresh"} if peer.asked_anew else {})}
