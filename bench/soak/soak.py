#!/usr/bin/env python3
"""`make soak`: the long proofs, in slices; every slice ends in one line of log.jsonl, which is also where it resumes.

Slices take turns until the hours asked for are spent: simulator seeds never run before, every fuzz target, SIGKILLs of
either plane, the same with the ledger beside the provider's own record. Hours in the log are those really run. `--short`
is what `make test` runs: each fuzz target for 10 s from a seed that stays, so that a change is judged by itself (new dice
are thrown here), nothing written. Ctrl-C loses at most the slice that is running.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time

import kills
import ledger

ROOT = kills.ROOT
LOG = os.path.join(ROOT, "bench", "soak", "log.jsonl")
SIM_SEEDS = 500_000
FUZZ_SECONDS = 120
SHORT_FUZZ_SEED = "1"
KILLS = 25
CLUSTER_SEEDS = 300
LEDGER_KILLS = 50  # of each plane
FIRST_SEED = 1_000_000  # `make test` runs the seeds below


def entries():
    if not os.path.exists(LOG):
        return []
    with open(LOG) as log:
        return [json.loads(line) for line in log if line.strip()]


def commit():
    described = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return described.stdout.strip()


def record(entry, began):
    """Appends one slice; a slice that found something stays in the log with its seed."""
    entry = {"at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "commit": commit(),
             **entry, "seconds": round(time.monotonic() - began, 1)}
    with open(LOG, "a") as log:
        log.write(json.dumps(entry) + "\n")
    print(json.dumps(entry), flush=True)
    return entry["ok"]


def sim_slice():
    """Simulator seeds from where the log ends."""
    began = time.monotonic()
    first = max([FIRST_SEED] + [one["first_seed"] + one["seeds"] for one in entries() if one["kind"] == "sim"])
    run = subprocess.run(["cargo", "run", "--quiet", "--profile", "soak", "-p", "tollgate-bench", "--example", "seeds",
                          str(first), str(SIM_SEEDS)], cwd=ROOT, capture_output=True, text=True)
    entry = {"kind": "sim", "first_seed": first, "seeds": SIM_SEEDS, "ok": run.returncode == 0}
    if entry["ok"]:
        entry.update(json.loads(run.stdout))
    else:
        entry["found"] = (run.stderr + run.stdout)[-3000:]
    return record(entry, began)


def executions(text):
    """By target, of run.sh's lines: `fuzz TARGET: ok, N runs in …`."""
    return {target: int(count) for target, count in re.findall(r"^fuzz (\S+): ok, (\d+) runs", text, re.M)}


def fuzz_slice(seconds=FUZZ_SECONDS):
    """Every target in turn."""
    began = time.monotonic()
    run = subprocess.run([os.path.join(ROOT, "dataplane", "fuzz", "run.sh"), str(seconds)], cwd=ROOT,
                         capture_output=True, text=True)
    text = run.stdout + run.stderr
    found = executions(text)
    entry = {"kind": "fuzz", "seconds_each": seconds, "executions": sum(found.values()), "targets": found,
             "ok": run.returncode == 0}
    if run.returncode:
        entry["found"] = text[-3000:]
    return record(entry, began)


def kill_slice():
    """SIGKILLs in the order of the next seed."""
    began = time.monotonic()
    seed = 1 + max([0] + [one["seed"] for one in entries() if one["kind"] == "kills"])
    entry = {"kind": "kills", "seed": seed, "ok": True}
    with tempfile.TemporaryDirectory(prefix="tollgate-soak-") as folder:
        try:
            entry.update(kills.run(folder, seed, KILLS))
        except kills.Broken as broken:
            entry.update(ok=False, found=str(broken))
    return record(entry, began)


def ledger_slice():
    """SIGKILLs under load with streams; after each, the ledger and the provider agree call by call."""
    began = time.monotonic()
    seed = 1 + max([0] + [one["seed"] for one in entries() if one["kind"] == "ledger"])
    entry = {"kind": "ledger", "seed": seed, "ok": True}
    with tempfile.TemporaryDirectory(prefix="tollgate-soak-") as folder:
        try:
            entry.update(ledger.run(folder, seed, LEDGER_KILLS))
        except kills.Broken as broken:
            entry.update(ok=False, found=str(broken))
    return record(entry, began)


def limit_slice():
    """50,000 calls from 256 connections over two shards, under limits of every kind at once."""
    began = time.monotonic()
    entry = {"kind": "limits", "calls": 50_000, "ok": True}
    sizes = {"TOLLGATE_TEST_LIMIT_CALLS": "50000", "TOLLGATE_TEST_LIMIT_CONNECTIONS": "256"}
    # The test starts the programs as they were built.
    build = ["cargo", "build", "-p", "tollgate", "-p", "tollgate-dataplane", "-p", "tollgate-loadtest", "--bins"]
    name = "budgets::limits_of_every_kind_hold_to_the_unit_under_many_connections"
    test = ["cargo", "test", "-p", "tollgate", "--test", "e2e", "--", "--exact", name]
    for command in (build, test):
        run = subprocess.run(command, cwd=ROOT, env=os.environ | sizes, capture_output=True, text=True)
        if run.returncode != 0:
            entry.update(ok=False, found=(run.stderr + run.stdout)[-3000:])
            break
    return record(entry, began)


def cluster_slice():
    """The same over two nodes of two shards with a store between them, and simulated clusters of seeds never run before."""
    began = time.monotonic()
    entry = {"kind": "cluster", "calls": 50_000, "cluster_seeds": CLUSTER_SEEDS, "ok": True}
    first = max([CLUSTER_SEEDS] + [one["first_seed"] + one["cluster_seeds"] for one in entries() if one["kind"] == "cluster"])
    entry["first_seed"] = first
    sizes = {"TOLLGATE_TEST_LIMIT_CALLS": "50000", "TOLLGATE_TEST_LIMIT_CONNECTIONS": "256",
             "TOLLGATE_TEST_CLUSTER_SEEDS": f"{first} {CLUSTER_SEEDS}"}
    build = ["cargo", "build", "-p", "tollgate", "-p", "tollgate-dataplane", "-p", "tollgate-loadtest", "--bins"]
    name = "cluster::limits_of_every_kind_hold_to_the_unit_over_two_nodes"
    test = ["cargo", "test", "-p", "tollgate", "--test", "e2e", "--", "--exact", name]
    seeds = ["cargo", "test", "--profile", "soak", "-p", "tollgate-engine", "--lib", "--", "limits::cluster"]
    for command in (build, test, seeds):
        run = subprocess.run(command, cwd=ROOT, env=os.environ | sizes, capture_output=True, text=True)
        if run.returncode != 0:
            entry.update(ok=False, found=(run.stderr + run.stdout)[-3000:])
            break
    return record(entry, began)


SLICES = {"sim": sim_slice, "fuzz": fuzz_slice, "kills": kill_slice, "ledger": ledger_slice,
          "limits": limit_slice, "cluster": cluster_slice}


def summary():
    """What the log adds up to."""
    log = entries()
    total = {
        "hours": round(sum(one["seconds"] for one in log) / 3600, 2),
        "seeds": sum(one.get("seeds", 0) for one in log),
        "executions": sum(one.get("executions", 0) for one in log),
        "kills": sum(one.get("kills", 0) for one in log),
        "failed_slices": sum(not one["ok"] for one in log),
    }
    print("in all: " + ", ".join(f"{value:,} {name}" for name, value in total.items()))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--only", default=",".join(SLICES), help="of: " + ", ".join(SLICES))
    parser.add_argument("--short", action="store_true", help="each fuzz target for 10 s, nothing written")
    chosen = parser.parse_args()
    if chosen.short:
        return subprocess.run([os.path.join(ROOT, "dataplane", "fuzz", "run.sh"), "10"], cwd=ROOT,
                              env={**os.environ, "FUZZ_SEED": SHORT_FUZZ_SEED}).returncode
    until = time.monotonic() + chosen.hours * 3600
    good = True
    try:
        while good and time.monotonic() < until:
            for name in chosen.only.split(","):
                good = SLICES[name]() and good
                if time.monotonic() >= until:
                    break
    except KeyboardInterrupt:
        print("stopped; the log holds all finished slices", file=sys.stderr)
    summary()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
