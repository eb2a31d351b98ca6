#!/usr/bin/env python3
"""What translation and signing cost: CPU µs per request and per streamed chunk, beside our own pass-through.

One gateway (one shard, core 0), the sandbox behind it and the load on core 1; the cases' rounds are interleaved
(A B A B …) and medians are told. Each text is verified by its checksum. Writes docs/src/translation-cost.md.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import tempfile
from dataclasses import dataclass

import child
import payloads
import proc
import providers

TARGET = os.path.join(child.ROOT, "docs", "src", "translation-cost.md")
TOKENS = {False: "sandbox-tokens-64", True: f"sandbox-tokens-{payloads.CHUNKS}-rate-{payloads.CHUNKS_PER_SECOND}"}
CONNECTIONS = {False: 64, True: 256}
SECONDS = {False: 2, True: 5}


@dataclass(frozen=True)
class Case:
    """`client`: the dialect called; `provider`: the dialect that answers; `base`: the case it is measured against."""

    client: str
    provider: str
    stream: bool
    base: "Case | None" = None
    goal: float | None = None

    @property
    def title(self):
        how = "passed through" if self.client == self.provider else "translated"
        return f"{self.client} → {self.provider}, {'stream' if self.stream else 'whole'}, {how}"

    @property
    def key(self):
        return f"{self.client}-{self.provider}-{'stream' if self.stream else 'whole'}"


THROUGH = {stream: Case("anthropic", "anthropic", stream) for stream in (False, True)}
CASES = [
    THROUGH[False],
    Case("anthropic", "openai", False, THROUGH[False], 1.5),
    Case("openai", "anthropic", False, THROUGH[False]),
    Case("bedrock", "bedrock", False, THROUGH[False], 2.0),
    Case("openai", "bedrock", False, THROUGH[False], 2.0),
    THROUGH[True],
    Case("anthropic", "openai", True, THROUGH[True], 2.0),
    Case("openai", "anthropic", True, THROUGH[True], 2.0),
    Case("openai", "bedrock", True, THROUGH[True], 2.0),
]
DIALECTS = ("openai", "anthropic", "bedrock")


def document(port, admin, sandbox):
    """The gateway's configuration: a provider of each dialect, a model for each provider and kind of answer."""
    made, models = {}, {}
    for dialect in DIALECTS:
        made[dialect] = {"dialect": dialect, "base_url": f"http://127.0.0.1:{sandbox}",
                         "credential": "env:TOLLGATE_BENCH_CREDENTIAL",
                         "connections": {"max_idle": 1024, "idle_timeout": "600s"}}
        for stream in (False, True):
            models[f"{dialect}-{'stream' if stream else 'whole'}"] = {
                "targets": [{"provider": dialect, "model": TOKENS[stream]}]}
    made["bedrock"].update(kind="bedrock", region="us-east-1", credential="env:TOLLGATE_BENCH_AWS")
    del made["bedrock"]["dialect"]
    return {
        "version": 1, "access_log": "off", "client": {"idle_timeout": "600s"},
        "admin": {"address": f"127.0.0.1:{admin}"}, "listeners": {"public": {"address": f"127.0.0.1:{port}"}},
        "providers": made, "models": models, "keys": {"bench": {"secret": "env:TOLLGATE_BENCH_KEY"}},
    }


class Gateway:
    """`tollgate up` on the proxy's core, as the peer of the same name is started."""

    def __init__(self, folder, sandbox):
        self.port = child.free_port()
        config = os.path.join(folder, "tollgate.json")
        with open(config, "w") as file:
            json.dump(document(self.port, child.free_port(), sandbox), file)
        program = os.path.join(child.ROOT, "target", "release", "tollgate")
        self.child = child.Child("tollgate", child.PROXY_CORE, [
            program, "up", "--config", config, "--state-dir", os.path.join(folder, "state"), "--control-socket",
            os.path.join(folder, "control.sock"), "--shards", "1"], folder, {
                "TOLLGATE_BENCH_KEY": payloads.KEY, "TOLLGATE_BENCH_CREDENTIAL": "sk-mock",
                "TOLLGATE_BENCH_AWS": "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"})
        self.child.wait_for_port(self.port)


def load(folder, gateway, case):
    """One round: CPU µs per request, or per chunk of a stream."""
    mix = os.path.join(folder, f"{case.key}.json")
    with open(mix, "w") as file:
        model = f"{case.provider}-{'stream' if case.stream else 'whole'}"
        one = {"weight": 1, "dialect": case.client, "model": model, "prompt": {"bytes": 1000}, "max_tokens": 200,
               "stream": int(case.stream)}
        json.dump({"name": case.key, "classes": {case.key: one}}, file)
    program = os.path.join(child.ROOT, "target", "release", "tollgate-loadtest")
    command = ["taskset", "-c", str(child.LOAD_CORE), program, "run", "--url", f"http://127.0.0.1:{gateway.port}",
               "--mix", mix, "--duration", f"{SECONDS[case.stream]}s", "--connections", str(CONNECTIONS[case.stream]),
               "--timeout", "20s", "--output", "json"]
    before = proc.cpu_seconds(gateway.child.pids())
    told = subprocess.run(command, capture_output=True, text=True, timeout=120,
                          env={**child.ENVIRONMENT, "TOLLGATE_KEY": payloads.KEY})
    spent = proc.cpu_seconds(gateway.child.pids()) - before
    if told.returncode not in (0, 4):
        raise RuntimeError(f"{case.title}: the generator ended with {told.returncode}: {told.stderr.strip()[-300:]}")
    report = json.loads(told.stdout)
    if sum(report["failed"].values()):
        raise RuntimeError(f"{case.title}: calls failed: {report['failed']}")
    if not report["answered"]:
        raise RuntimeError(f"{case.title}: no call was answered")
    count = report["answered"] * (payloads.CHUNKS if case.stream else 1)
    return spent * 1e6 / count


def written(figures):
    """The page: one table, with each case beside its base and its goal."""
    lines = ["# What translation costs", "",
             f"Made by `make compare-translated` on {datetime.date.today()} (one shard on one core, sandbox and load on the other; 1.2 KB bodies,",
             "64-token answers; streams of 100 chunks). CPU µs of the gateway's processes for each request, or for each",
             "chunk of a stream; medians of interleaved rounds; the ratio is to our own pass-through in the same run.", "",
             "| client → provider | CPU µs | ÷ pass-through | goal |", "|---|--:|--:|--:|"]
    for case in CASES:
        own = statistics.median(figures[case])
        ratio = goal = "–"
        if case.base:
            ratio = f"{own / statistics.median(figures[case.base]):.2f}"
            goal = f"≤ {case.goal}" if case.goal else "–"
        lines.append(f"| {case.title}{', SigV4' if case.provider == 'bedrock' else ''} | {own:.1f} | {ratio} | {goal} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--print", action="store_true", help="print the page and write nothing")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {child.LOAD_CORE})
    with tempfile.TemporaryDirectory(prefix="tollgate-translated-") as folder:
        sandbox = providers.Sandbox(folder)
        try:
            gateway = Gateway(folder, sandbox.ports["whole"])
            try:
                for case in CASES:
                    load(folder, gateway, case)  # connections and pools as in steady state
                figures = {case: [] for case in CASES}
                for _ in range(chosen.rounds):
                    for case in CASES:
                        figures[case].append(load(folder, gateway, case))
            finally:
                gateway.child.stop()
        finally:
            sandbox.stop()
    page = written(figures)
    if not chosen.print:
        with open(TARGET, "w") as file:
            file.write(page)
    print(page)


if __name__ == "__main__":
    main()
