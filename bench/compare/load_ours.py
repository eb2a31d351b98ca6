"""Load by `tollgate-loadtest run`: closed and open loop, whole answers and streams, every text's checksum verified.

Its report says when it, and not the peer, was the bottleneck (`valid`); that is kept with each round.
"""

import json
import os
import subprocess

import child
import payloads

LATE = 4  # the exit code of a run whose generator was late; the report says so too


class Ours:
    name = "tollgate-loadtest"
    has_open_loop = True

    def __init__(self, folder):
        self.folder, self.runs = folder, 0
        self.program = os.path.join(child.ROOT, "target", "release", "tollgate-loadtest")
        if not os.path.exists(self.program):
            raise SystemExit("target/release/tollgate-loadtest is missing: `cargo build --release --bins`")

    def version(self):
        return self.name

    def closed(self, peer, row, seconds, connections=None):
        """Loads a peer from connections that each wait for their answer: requests, failed, rate, p50_us, p99_us…"""
        return self.run(peer, row, seconds, ["--connections", str(connections or row.connections)])

    def open(self, peer, row, seconds, rate):
        """Sends so many requests a second, whatever comes of them; latency counts from when each was due."""
        connections = ["--connections", str(max(row.connections, 256))]
        return self.run(peer, row, seconds, ["--rate", f"poisson:{rate:.0f}", "--warm-up", "300ms"] + connections)

    def run(self, peer, row, seconds, load):
        url = peer.url(row).partition("/v1/")[0]
        command = ["taskset", "-c", str(child.LOAD_CORE), self.program, "run", "--url", url, "--mix",
                   self.mix(peer, row), "--duration", f"{round(seconds * 1000)}ms", "--timeout", "20s", "--output",
                   "json"] + load
        if row.tls:
            command.append("--insecure")
        if peer.asked_anew:
            # The same seed draws the same texts: none of an earlier run is to come again.
            self.runs += 1
            command += ["--seed", str(self.runs)]
        root = peer.root_pid(row)
        if root:
            command += ["--watch-pid", str(root)]
        told = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + 60,
                              env={**child.ENVIRONMENT, "TOLLGATE_KEY": payloads.KEY})
        if told.returncode not in (0, LATE):
            raise RuntimeError(f"the generator ended with {told.returncode}: {told.stderr.strip()[-300:]}")
        return result_of(json.loads(told.stdout), row)

    def mix(self, peer, row):
        """A mix of one class: the same bytes that wrk sends, with the headers and the beginning that this peer wants."""
        path = os.path.join(self.folder, f"{peer.name}-{row.name}.mix.json")
        if not os.path.exists(path):
            one = {"weight": 1, "dialect": "openai", "path": "/v1/chat/completions",
                   "body": payloads.chat_request(row.prompt_bytes, row.route, peer.own_text).decode()}
            if row.stream:
                one["stream"] = 1
            if peer.headers(row):
                one["headers"] = peer.headers(row)
            with open(path, "w") as file:
                json.dump({"name": row.name, "classes": {row.name: one}}, file)
        return path


def result_of(report, row):
    """A report as a round: the fields that every generator gives, and the report itself without its seconds."""
    report.pop("series", None)
    report["classes"] = {}
    failed = report["failed"]
    result = {
        "requests": report["answered"], "failed": sum(failed.values()), "seconds": report["seconds"],
        "verified": report["verified"], "valid": report["valid"],
        "rate": report["rate"] or report["answered"] / report["seconds"],
        "p50_us": report["latency_ms"]["p50"] * 1000, "p99_us": report["latency_ms"]["p99"] * 1000,
        "late_p99_us": report["late_ms"]["p99"] * 1000, "report": report,
    }
    if result["failed"]:
        result["failed_by"] = {reason: count for reason, count in failed.items() if count}
    if row.stream:
        token, gap = report["first_token_ms"], report["token_gap_ms"]
        result.update(first_p50_us=token["p50"] * 1000, first_p99_us=token["p99"] * 1000, gap_p50_us=gap["p50"] * 1000,
                      gap_p99_us=gap["p99"] * 1000)
    return result
