#!/usr/bin/env python3
"""Writes the worked example of docs/capacity.md anew from what the planner prints, and the prediction's line.

    bench/plan/update.py [--program target/release/tollgate-loadtest]

The planner reads config/loadtest/demand/billion.yaml and docs/performance/plan-measurements.json; the prediction is in
docs/performance/prediction.json, which bench/plan/predict.py measures. A test holds the document to the planner.
"""

import argparse
import json
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCUMENT = os.path.join(ROOT, "docs", "capacity.md")
PREDICTION = os.path.join(ROOT, "docs", "performance", "prediction.json")
DEMAND = "config/loadtest/demand/billion.yaml"
MEASUREMENTS = "docs/performance/plan-measurements.json"


def between(document, name, block):
    """`document` with what stands between a pair of marks replaced."""
    before, begin, rest = document.partition(f"<!-- {name}:begin")
    mark, end_of_mark, rest = rest.partition("-->\n")
    _, end, after = rest.partition(f"<!-- {name}:end -->")
    if not (begin and end_of_mark and end):
        raise SystemExit(f"{DOCUMENT}: no marks '<!-- {name}:begin … -->' and '<!-- {name}:end -->'")
    return f"{before}{begin}{mark}{end_of_mark}\n{block}\n{end}{after}"


def planned(program):
    command = [program, "plan", "--demand", DEMAND, "--measurements", MEASUREMENTS]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"the planner ended with {done.returncode}")
    return done.stdout


def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip() or "unknown"


def prediction_lines():
    if not os.path.exists(PREDICTION):
        return "Not measured yet.\n"
    with open(PREDICTION) as file:
        found = json.load(file)
    runs = ", ".join(f"{run['name']} {run['cpu_us']:.1f} µs" for run in found["runs"])
    return (f"On {found['date']} ({found['machine']}), runs of one class each ({runs}) were fitted, and a call of "
            f"\"{found['mix']}\", which was not among them, was predicted to cost **{found['predicted_us']:.1f} µs**. "
            f"Measured afterwards: **{found['measured_us']:.1f} µs**. The prediction was off by "
            f"**{found['error'] * 100:+.1f} %** (the goal is 10 %); the measurement's own rounds differ by "
            f"{found['spread'] * 100:.1f} %.\n")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--program", default=os.path.join(ROOT, "target", "release", "tollgate-loadtest"))
    chosen = options.parse_args()
    with open(DOCUMENT) as file:
        document = file.read()
    document = between(document, "plan", planned(os.path.abspath(chosen.program)))
    document = between(document, "prediction", prediction_lines())
    with open(DOCUMENT, "w") as file:
        file.write(document)


if __name__ == "__main__":
    main()
