#!/usr/bin/env python3
"""`make compare`: Tollgate beside other gateways, in one run on two cores; writes docs/performance.md and its figures.

Rounds are interleaved (A B A B …), so a drift of the machine meets every peer; the headline is CPU µs per completed
request, from the process tree's own accounts. The proxy has core 0; load, providers and this program have core 1.
"""

import argparse
import datetime
import os
import platform
import shutil
import signal
import sys
import tempfile

import child
import crowd
import measure
import profiles
import providers
import publish
import report
from arena import Arena
from load_ours import Ours
from load_wrk import Wrk
from peers import PEERS, USUAL
from rows import ROWS


# As long as two waves of streams take.
STREAM_SECONDS = 4
QUICK_ROWS = "c1,c64,idle2048,stream64,tls64"


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round of some rows, nothing written")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each round's closed loop; streams get 4")
    parser.add_argument("--peers", default=",".join(USUAL), help="of: " + ", ".join(PEERS))
    parser.add_argument("--rows", help="of: " + ", ".join(row.name for row in ROWS) + "; all, or some with --quick")
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections; 0 leaves the part out")
    parser.add_argument("--highest-seconds", type=int, default=1, help="of each probe; 0 leaves the part out")
    parser.add_argument("--push-keys", type=int, default=100_000, help="keys of the pushed document; 0 leaves it out")
    parser.add_argument("--profile", action="store_true", help="add a `perf` profile of each proxy, 6 s each")
    parser.add_argument("--patience", type=int, default=60, help="seconds for repeating rounds that others disturbed")
    parser.add_argument("--generator", choices=["ours", "wrk"], default="ours",
                        help="ours: tollgate-loadtest loads and provides; wrk: wrk loads, nginx provides")
    parser.add_argument("--output", help="write the raw figures here, and leave the documents alone")
    chosen = parser.parse_args()
    rows = chosen.rows or (QUICK_ROWS if chosen.quick else ",".join(row.name for row in ROWS))
    chosen.peers, chosen.rows = chosen.peers.split(","), rows.split(",")
    for given, known in ((chosen.peers, list(PEERS)), (chosen.rows, [row.name for row in ROWS])):
        for name in given:
            if name not in known:
                parser.error(f"there is no `{name}`; there are {', '.join(known)}")
    if chosen.quick:
        chosen.rounds, chosen.seconds, chosen.patience, chosen.highest_seconds = 1, 1, 0, 0
        chosen.idle, chosen.push_keys = min(chosen.idle, 1000), min(chosen.push_keys, 1000)
    return chosen


def machine():
    cpu = platform.processor()
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release()}


def compare(chosen, folder):
    """Everything that was chosen, as one result for the report."""
    rows = [row for row in ROWS if row.name in chosen.rows]
    generator, provider = {"ours": (Ours, providers.Sandbox), "wrk": (Wrk, providers.Mocks)}[chosen.generator]
    generator = generator(folder)
    result = {
        "command": "make compare" + (" ARGS=--quick" if chosen.quick else ""), "machine": machine(),
        "date": datetime.date.today().isoformat(), "rounds": chosen.rounds, "seconds": chosen.seconds,
        "features": list(profiles.FEATURES),
    }
    with Arena(chosen.peers, folder, provider, generator) as arena:
        arena.patience = measure.Patience(chosen.patience)
        result["absent"] = arena.absent
        result["peers"] = {peer.name: {"title": peer.title, "version": peer.version()} for peer in arena.standing}
        result["tools"] = [generator.version()]
        cold = arena.memory(measure.rss_mib)
        if chosen.generator == "ours" and "direct" in chosen.peers:
            result["cross_check"] = arena.cross_check(Wrk(folder), chosen.rounds, chosen.seconds)
        if chosen.idle:
            result["idle"] = arena.idle(chosen.idle)
        result["rows"] = []
        for row in rows:
            seconds = STREAM_SECONDS if row.stream else chosen.seconds
            result["rows"].append(arena.row(row, chosen.rounds, seconds))
        if chosen.highest_seconds:
            result["highest"] = arena.highest_rates(chosen.highest_seconds)
        loaded, after = arena.memory(measure.peak_mib), arena.memory(measure.rss_mib)
        result["memory"] = {name: {"cold": cold[name], "loaded": loaded[name], "idle": after[name]} for name in after}
        result["processes"] = arena.memory(measure.by_process)
        if chosen.profile:
            result["profiles"] = arena.profiles([row for row in rows if not row.tls])
        if chosen.push_keys:
            result["push"] = arena.push(chosen.push_keys)
    return result


def main():
    chosen = options()
    if os.cpu_count() < 2:
        raise SystemExit("two cores are needed: one for the proxy, one for load and providers")
    for name, package in (("wrk", "wrk"), ("openssl", "openssl"), ("taskset", "util-linux")):
        if not shutil.which(name):
            raise SystemExit(f"{name} is not installed: `make compare` installs it from Debian ({package})")
    os.sched_setaffinity(0, {child.LOAD_CORE})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that what was started is ended too
    crowd.raise_descriptor_limit()
    folder = tempfile.mkdtemp(prefix="tollgate-compare-")
    os.chmod(folder, 0o755)
    try:
        result = compare(chosen, folder)
    except BaseException:
        print(f"logs are kept in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    print("\n" + report.render(result))
    if chosen.output:
        publish.write_raw(result, chosen.output)
    elif not chosen.quick:
        publish.publish(result)


if __name__ == "__main__":
    main()
