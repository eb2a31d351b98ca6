#!/usr/bin/env python3
"""`make compare`: Tollgate beside nginx, in one run on two cores; writes docs/performance.md and its raw figures.

Needs nginx and wrk from Debian, and release binaries. Rounds are interleaved (A B A B …), so a drift of the machine
meets every peer; the headline is CPU µs per completed request, from the process tree's own accounts.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile

import load
import measure
import payloads
import peers
import profile_cpu
import report

DOCUMENT = os.path.join(peers.ROOT, "docs", "performance.md")
RAW = os.path.join(peers.ROOT, "docs", "performance", "compare.json")


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two short rounds, nothing written")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each round")
    parser.add_argument("--peers", default="nginx,tollgate,direct")
    parser.add_argument("--rows", default=",".join(row.name for row in load.ROWS))
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections; 0 leaves the part out")
    parser.add_argument("--push-keys", type=int, default=100_000, help="keys of the pushed document; 0 leaves it out")
    parser.add_argument("--profile", action="store_true", help="add a `perf` profile of each proxy")
    parser.add_argument("--profile-folder", default="release", help="of target/: release, or bench for symbols")
    parser.add_argument("--output", help="write the raw figures here, and leave the documents alone")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds = min(chosen.rounds, 2), min(chosen.seconds, 2)
    return chosen


def machine():
    cpu = platform.processor()
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release()}


def versions(names):
    nginx = subprocess.run([peers.nginx_program(), "-v"], capture_output=True, text=True).stderr.strip()
    found = [nginx.rpartition("/")[2].join(["nginx ", ""])]
    wrk = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout.splitlines()[0]
    found.append(wrk.split(" [")[0].strip())
    if "tollgate" in names:
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True,
                                cwd=peers.ROOT).stdout.strip()
        found.append(f"tollgate at {commit}")
    return found


def compare_rows(chosen, providers, running, rows):
    """All rounds of all rows, peers taking turns inside each round."""
    results = []
    for row in rows:
        by_peer = {peer.name: [] for peer in running}
        for peer in running:
            peers.check(peer, payloads.chat_request(row.body_bytes, stream=row.stream), row.stream)
        for number in range(chosen.rounds):
            for peer in running:
                one = measure.quiet_round_of(peer, providers, row, chosen.seconds)
                by_peer[peer.name].append(one)
                print(f"{row.name:12} round {number + 1} {peer.name:9} cpu {report.number(one.get('cpu_us')):>9} µs  "
                      f"p50 {one['p50_us']:.0f}  p99 {one['p99_us']:.0f}  {one['rate']:.0f}/s  failed {one['failed']}  "
                      f"others {one['others']:.0%}",
                      flush=True)
        results.append({"name": row.name, "title": row.title, "peers": by_peer})
    return results


def run(chosen, folder):
    names = chosen.peers.split(",")
    rows = [row for row in load.ROWS if row.name in chosen.rows.split(",")]
    for row in rows:
        row.prepare(folder)
    result = {"command": "make compare" + (" ARGS=--quick" if chosen.quick else ""), "machine": machine(),
              "date": datetime.date.today().isoformat(), "versions": versions(names), "rounds": chosen.rounds,
              "seconds": chosen.seconds}
    measure.raise_descriptor_limit()
    providers, running = peers.Providers(folder), []
    try:
        for name in names:
            running.append(peers.PEERS[name](providers, folder, chosen))
        proxies = [peer for peer in running if peer.pids()]
        result["memory"] = {peer.name: {"cold": measure.memory(peer)} for peer in proxies}
        if chosen.idle:
            result["idle"] = {peer.name: measure.idle_connections(peer, chosen.idle) for peer in proxies}
        result["rows"] = compare_rows(chosen, providers, running, rows)
        for peer in proxies:
            result["memory"][peer.name]["idle"] = measure.memory(peer)
        if chosen.profile:
            result["profiles"] = [profile_cpu.profile(peer, row, folder) for row in rows for peer in proxies]
        tollgate = next((peer for peer in running if peer.name == "tollgate"), None)
        if tollgate and chosen.push_keys and rows:
            result["push"] = measure.push(tollgate, chosen.push_keys, rows[0])
    finally:
        for process in running + [providers]:
            process.stop()
    return result


def main():
    chosen = options()
    if os.cpu_count() < 2:
        raise SystemExit("two cores are needed: one for the proxy, one for load and providers")
    if not shutil.which("wrk"):
        raise SystemExit("wrk is not installed: `make compare` installs it from Debian")
    folder = tempfile.mkdtemp(prefix="tollgate-compare-")
    os.chmod(folder, 0o755)
    try:
        result = run(chosen, folder)
    except BaseException:
        print(f"logs are kept in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    block = report.render(result)
    print("\n" + block)
    if chosen.output:
        with open(chosen.output, "w") as file:
            json.dump(result, file, indent=1)
    elif not chosen.quick:
        os.makedirs(os.path.dirname(RAW), exist_ok=True)
        with open(RAW, "w") as file:
            json.dump(result, file, indent=1)
        with open(DOCUMENT) as file:
            document = file.read()
        with open(DOCUMENT, "w") as file:
            file.write(report.replace_in(document, block))


if __name__ == "__main__":
    main()
