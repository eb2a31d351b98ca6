#!/usr/bin/env python3
"""Holds the planner to what happens: measures calls of one class each, lets `plan` fit them, predicts what a call of a mix
costs that was not measured, and then measures it.

    bench/plan/predict.py [--seconds 5] [--rounds 3] [--quick]

Needs release binaries and two idle cores: the gateway (one shard, both planes) on core 0, load and provider on core 1.
Writes the runs to docs/performance/plan-measurements.json, the outcome to docs/performance/prediction.json, and the
document anew (update.py). `--quick` tries everything for a few seconds and writes nothing.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

import gateway
import update

MEASUREMENTS = os.path.join(update.ROOT, update.MEASUREMENTS)
COMPARED = os.path.join(update.ROOT, "docs", "performance", "compare.json")

# Tokens a second of a stream. The longest must end within the warm-up: until then, CPU is spent on streams that nobody
# has counted as answered.
PROVIDER_PACE = 400
WARM_UP_S = 1
CONNECTIONS = 2000  # at most; open loop takes what it needs


class Shape:
    """Calls that are alike: a body of so many bytes, answered with so many tokens at once or as a stream."""

    def __init__(self, name, body_bytes, tokens, rate=0, stream=False, weight=1):
        self.name, self.body_bytes, self.tokens, self.stream, self.weight = name, body_bytes, tokens, stream, weight
        self.rate = rate
        # The sandbox reads size and pace of its answer in the model's name.
        self.provider_model = f"sandbox-tokens-{tokens}" + (f"-rate-{PROVIDER_PACE}" if stream else "")

    def of_mix(self):
        return {"weight": self.weight, "dialect": "openai", "model": f"plan-{self.name}",
                "prompt": {"bytes": self.body_bytes}, "max_tokens": self.tokens, "stream": 1 if self.stream else 0}


# More runs than the four kinds of work they tell apart, so that the fit has an error to show. Each comes so often a second
# that a shard of the machine this was written on is busy for some 40 %; `--load` is for others.
SHAPES = [
    Shape("chat", 1200, 100, rate=7000),
    Shape("prompt-16k", 16 * 1024, 100, rate=2500),
    Shape("prompt-128k", 128 * 1024, 100, rate=800),
    Shape("answer-3000", 1200, 3000, rate=3000),
    Shape("stream-20", 1200, 20, rate=900, stream=True),
    Shape("stream-200", 1200, 200, rate=250, stream=True),
]

# None of its classes has a measured run's sizes.
MIX = [
    Shape("question", 4000, 300, weight=60),
    Shape("talk", 2500, 90, stream=True, weight=30),
    Shape("document", 48 * 1024, 50, weight=10),
]
MIX_RATE = 1000
MIX_NAME = "60 % questions of 4 KB, 30 % streams of 90 events, 10 % documents of 48 KB"


def machine():
    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, Linux {platform.release()}"


class Bench:
    """Runs mixes against the gateway."""

    def __init__(self, folder, served, seconds):
        self.folder, self.served, self.seconds = folder, served, seconds

    def report(self, name, shapes, more, seconds, watched=True):
        """The report of one run of `shapes`; `more` says how much load."""
        mix = os.path.join(self.folder, f"{name}.yaml")
        with open(mix, "w") as file:
            json.dump({"name": name, "classes": {shape.name: shape.of_mix() for shape in shapes}}, file)  # JSON is YAML
        command = ["taskset", "-c", str(gateway.LOAD_CORE), gateway.LOADTEST, "run", "--url", self.served.url, "--mix", mix,
                   "--key", gateway.KEY, "--duration", f"{seconds}s", "--warm-up", f"{WARM_UP_S}s", "--output", "json"] + more
        if watched:
            command += ["--watch-pid", str(self.served.pid)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=seconds + 120)
        if done.returncode not in (0, 4):
            raise SystemExit(f"{name}: the generator ended with {done.returncode}: {done.stderr}")
        report = json.loads(done.stdout)
        if not report["answered"] or (watched and not report["watched"]):
            raise SystemExit(f"{name}: no answered call, or no CPU time of process {self.served.pid}:\n{done.stdout[:2000]}")
        return report

    @staticmethod
    def open(rate):
        return ["--rate", f"poisson:{rate:.0f}", "--connections", str(CONNECTIONS)]

    def measured(self, name, shapes, rate):
        report = self.report(name, shapes, self.open(rate), self.seconds)
        cost = report["watched"]["cpu_us_per_request"]
        # Late or not, the calls that were sent cost what they cost; only their latencies are void.
        print(f"{name:12} {cost:9.1f} µs a call, {report['rate']:8.0f}/s, shard {cost * report['rate'] / 1e6:.0%} busy, "
              f"failed {sum(report['failed'].values())}{'' if report['valid'] else ' (generator late)'}", flush=True)
        return report


def median_by_cost(reports):
    ordered = sorted(reports, key=lambda report: report["watched"]["cpu_us_per_request"])
    return ordered[len(ordered) // 2]


def annotated(name, report, about):
    # The series is long, and nothing of it is planned with.
    return {"name": name, "shards": 1, "profile": "bare", "machine": about["machine"], "about": about,
            "report": {**report, "series": []}}


def idle(about):
    """What waiting connections cost, as `make compare` found it; nothing when it did not."""
    if not os.path.exists(COMPARED):
        return []
    with open(COMPARED) as file:
        compared = json.load(file)
    found = compared.get("idle", {}).get("tollgate")
    if not found or not found.get("bytes_each"):
        return []
    return [{"idle_connections": found["connections"], "bytes_each": round(found["bytes_each"], 1),
             "machine": about["machine"], "about": {"command": "make compare", "date": compared.get("date")}}]


def demand_of(sizes):
    """The mix as a demand: its sizes as they are on the wire, less what the planner adds for heads."""
    head_in, head_out = 500, 800
    classes = {}
    for shape in MIX:
        found = sizes["classes"][shape.name]
        calls = found["answered"]
        if not calls:
            raise SystemExit(f"{shape.name} was never answered")
        classes[shape.name] = {
            "share": calls / sizes["answered"],
            "kind": "stream" if shape.stream else "buffered",
            "prompt": f"{max(0, found['bytes_sent'] / calls - head_in):.0f}B",
            "answer": f"{max(0, found['bytes_received'] / calls - head_out):.0f}B",
            "duration": f"{shape.tokens / PROVIDER_PACE if shape.stream else 0.01:.3f}s",
        }
        if shape.stream:
            classes[shape.name]["events"] = found["stream_events"] / calls
    return {"calls_per_day": 1e6, "peak_factor": 1, "classes": classes, "tls": {"calls_per_connection": 1e9},
            "node": {"cores": 2, "memory": "8GiB", "network_gbit": 10, "descriptors": 1e6, "disk": 0},
            "redundancy": "N", "target_utilisation": "60%"}


def predicted(folder, runs, demand):
    """CPU of a call of `demand`, as `plan` has it from `runs`; with the fit's errors."""
    files = {}
    for name, text in (("demand.yaml", json.dumps(demand)), ("runs.json", "\n".join(map(json.dumps, runs)))):
        files[name] = os.path.join(folder, name)
        with open(files[name], "w") as file:
            file.write(text)
    plan = json.loads(subprocess.run(
        [gateway.LOADTEST, "plan", "--demand", files["demand.yaml"], "--measurements", files["runs.json"], "--output",
         "json"], check=True, stdout=subprocess.PIPE, text=True).stdout)
    cost = next(figure["value"] for figure in plan["figures"] if figure["name"] == "CPU of a call, mean")
    return cost, plan


def measure(chosen, folder):
    about = {"machine": machine(), "date": datetime.date.today().isoformat(), "command": "bench/plan/predict.py",
             "tollgate": update.commit(), "seconds": chosen.seconds, "rounds": chosen.rounds}
    models = {f"plan-{shape.name}": shape.provider_model for shape in SHAPES + MIX}
    with gateway.Served(folder, models) as served:
        bench = Bench(folder, served, chosen.seconds)
        rounds = {shape.name: [] for shape in SHAPES}
        for _ in range(chosen.rounds):
            for shape in SHAPES:
                rounds[shape.name].append(bench.measured(shape.name, [shape], shape.rate * chosen.load))
        runs = [annotated(name, median_by_cost(reports), about) for name, reports in rounds.items()]
        # The sizes of the mix's calls are its own; what they cost is what is to be predicted.
        sizes = bench.report("mix-sizes", MIX, bench.open(200), 2, watched=False)
        demand = demand_of(sizes)
        cost, plan = predicted(folder, runs, demand)
        print(f"predicted: {cost:.1f} µs a call of the mix", flush=True)
        mixed = [bench.measured("mix", MIX, MIX_RATE * chosen.load) for _ in range(chosen.rounds)]
    costs = [report["watched"]["cpu_us_per_request"] for report in mixed]
    measured = statistics.median(costs)
    outcome = {
        **about, "mix": MIX_NAME, "predicted_us": cost, "measured_us": measured, "error": cost / measured - 1,
        "spread": (max(costs) - min(costs)) / measured, "fit_error_max": plan["cost_error_max"],
        "terms": {term["name"]: term["us"] for term in plan["cost"]["terms"]},
        "runs": [{"name": run["name"], "cpu_us": run["report"]["watched"]["cpu_us_per_request"],
                  "rate": run["report"]["rate"]} for run in runs],
        "demand": demand,
    }
    return runs + idle(about), outcome


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=int, default=5, help="of each round")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--load", type=float, default=1.0, help="times the rates that are written in this file")
    options.add_argument("--quick", action="store_true", help="one short round, nothing written")
    options.add_argument("--output", help="write runs and outcome into this folder, and leave the documents alone")
    chosen = options.parse_args()
    if chosen.quick:
        chosen.seconds, chosen.rounds = 2, 1
    if os.cpu_count() < 2:
        raise SystemExit("two cores are needed: one for the gateway, one for load and provider")
    with tempfile.TemporaryDirectory(prefix="tollgate-plan-") as folder:
        runs, outcome = measure(chosen, folder)
    print(f"measured:  {outcome['measured_us']:.1f} µs; the prediction is off by {outcome['error']:+.1%}")
    if chosen.quick and not chosen.output:
        return
    into = chosen.output or os.path.dirname(MEASUREMENTS)
    with open(os.path.join(into, os.path.basename(MEASUREMENTS)), "w") as file:
        file.write("\n".join(json.dumps(run, indent=1, ensure_ascii=False) for run in runs) + "\n")
    with open(os.path.join(into, os.path.basename(update.PREDICTION)), "w") as file:
        json.dump(outcome, file, indent=1, ensure_ascii=False)
        file.write("\n")
    if not chosen.output:
        subprocess.run([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "update.py"),
                        "--program", gateway.LOADTEST], check=True)


if __name__ == "__main__":
    main()
