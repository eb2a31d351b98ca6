#!/usr/bin/env python3
"""`make bench-check`: instructions and shared writes, counted under valgrind, beside the committed baseline.

Fails when a case takes 3 % more instructions than bench/instructions.json says, when a call's instructions differ by
5 % between 1, 2 and 4 shards, or when shards write to cache lines that others use. `--write` makes what was counted
the new baseline and renews the table of docs/src/benchmarks.md; commit both with the change that moved them.
"""

import argparse
import concurrent.futures
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASELINE = os.path.join(ROOT, "bench", "instructions.json")
DOCUMENT = os.path.join(ROOT, "docs", "src", "benchmarks.md")
BEGIN, END = "<!-- counts:begin (written by `make bench-check ARGS=--write`) -->", "<!-- counts:end -->"
WORSE, FLAT = 0.03, 0.05
SHARDS = [1, 2, 4]
# Calls of each shard: whole ones and streams in turn, so an even number.
COUNTED_CALLS, TRACED_CALLS = 128, 4
# The caller's environment moves the program's stack, and with it what hash seeds are made of: it is left out.
# mimalloc gives memory back by the clock, unless told not to.
ENVIRONMENT = {"PATH": os.defpath, "MIMALLOC_PURGE_DELAY": "-1"}
LINE_BYTES = 64
# Of one run under valgrind; the longest, of all cases, takes some 60.
LONGEST_SECONDS = 300


def build():
    command = ["cargo", "build", "--release", "--locked", "-p", "tollgate-bench", "--example", "counts",
               "--message-format=json-render-diagnostics"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    programs = [json.loads(line).get("executable") for line in built.stdout.splitlines()]
    return [program for program in programs if program][-1]


def valgrind(tool, options, program, arguments, **streams):
    # Without address randomisation, for the same reason.
    command = ["timeout", str(LONGEST_SECONDS), "setarch", "-R", shutil.which("valgrind") or "valgrind"]
    command += [f"--tool={tool}", *options, program]
    return subprocess.Popen(command + [str(word) for word in arguments], env=ENVIRONMENT, text=True, **streams)


def told(output):
    """Lines that the program prints: name, unit, how many."""
    rows = [line.split("\t") for line in output.splitlines()]
    return [(name, unit, int(many)) for name, unit, many in rows if name != "marks"]


def instructions(program, *arguments):
    """What `counted` took at each of its calls, and the lines that the program printed."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "dump")
        function = "counts::counted"
        options = [f"--callgrind-out-file={out}", f"--toggle-collect={function}", f"--dump-after={function}"]
        run = valgrind("callgrind", options, program, arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = run.communicate()
        if run.returncode != 0:
            raise SystemExit(f"callgrind ended with {run.returncode}:\n{errors}")
        dumps = sorted((name for name in os.listdir(folder) if name != "dump"), key=lambda name: int(name.split(".")[1]))
        counts = []
        for name in dumps:
            with open(os.path.join(folder, name)) as file:
                counts.append(int(re.search(r"^totals: (\d+)$", file.read(), re.MULTILINE).group(1)))
    return counts, told(output)


def count_cases(program):
    counts, rows = instructions(program, "cases")
    assert len(counts) == len(rows) > 0, f"{len(counts)} counts for {len(rows)} cases: is `counted` still a function?"
    return {name: {"unit": unit, "instructions": round(count / many, 1)}
            for count, (name, unit, many) in zip(counts, rows)}


def count_shards(program, shards):
    counts, [(_, _, calls)] = instructions(program, "shards", shards, COUNTED_CALLS)
    assert len(counts) == shards, f"{len(counts)} counts for {shards} shards"
    return round(sum(counts) / calls, 1)


def windows(trace, marks, step):
    """Which lines each shard read, and how often it wrote to which, between the two marks that its thread made."""
    access = re.compile(r"^ ([LSM]) ([0-9a-f]+),(\d+)$")
    switch = re.compile(r"SCHED\[(\d+)\]: +acquired lock")
    touched, written, counting, thread = {}, {}, {}, None
    for row in trace:
        found = access.match(row)
        if not found:
            switched = switch.search(row)
            thread = switched.group(1) if switched else thread
            continue
        kind, where, size = found.group(1), int(found.group(2), 16), int(found.group(3))
        shard, rest = divmod(where - marks, step)
        if rest == 0 and 0 <= shard < max(SHARDS):
            if kind != "L":
                counting[thread] = None if counting.get(thread) == shard else shard
            continue
        shard = counting.get(thread)
        if shard is None:
            continue
        for line in range(where // LINE_BYTES, (where + size - 1) // LINE_BYTES + 1):
            touched.setdefault(shard, set()).add(line)
            if kind != "L":
                lines = written.setdefault(shard, {})
                lines[line] = lines.get(line, 0) + 1
    return touched, written


def shared_writes(program, shards, calls, *more):
    """Writes a call to cache lines that another shard reads or writes too, in a trace of every memory access."""
    with tempfile.TemporaryFile("w+") as trace:
        run = valgrind("lackey", ["--trace-mem=yes", "--trace-sched=yes"], program, ["shards", shards, calls, *more],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        # Instruction fetches, two thirds of the trace, are dropped on the way.
        sieve = subprocess.Popen(["grep", "-v", "^I "], stdin=run.stderr, stdout=trace)
        run.stderr.close()
        output, _ = run.communicate()
        trace.seek(0)
        if sieve.wait() != 0 or run.returncode != 0:
            said = "".join(line for line in trace if line.startswith("=="))
            raise SystemExit(f"lackey ended with {run.returncode}:\n{said}")
        marks, step = re.search(r"^marks\t([0-9a-f]+)\t(\d+)$", output, re.MULTILINE).groups()
        touched, written = windows(trace, int(marks, 16), int(step))
    assert sorted(touched) == list(range(shards)), f"the trace shows calls of {len(touched)} shards, not of {shards}"
    writes = 0
    for shard, lines in written.items():
        others = set().union(*(touched[other] for other in touched if other != shard))
        writes += sum(count for line, count in lines.items() if line in others)
    return round(writes / (shards * calls), 2)


def count(program):
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        cases = pool.submit(count_cases, program)
        writes = {n: pool.submit(shared_writes, program, n, TRACED_CALLS) for n in reversed(SHARDS)}
        counts = {n: pool.submit(count_shards, program, n) for n in SHARDS}
        contended = pool.submit(shared_writes, program, 2, 2, "--contended")
        shards = {str(n): {"instructions": counts[n].result(), "shared_writes": writes[n].result()} for n in SHARDS}
        # The tool must see what it looks for: here each call adds one to a counter that both shards use.
        found = contended.result() - shards["2"]["shared_writes"]
        assert abs(found - 1) <= 0.01, f"one shared write a call was planted, {found} were found"
        return {"counted_with": surroundings(), "cases": cases.result(), "shards": shards}


def surroundings():
    def first(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split("\n")[0]

    with open("/proc/cpuinfo") as file:
        avx2 = " with AVX2" if re.search(r"^flags\s*:.*\bavx2\b", file.read(), re.MULTILINE) else ""
    return {"processor": platform.machine() + avx2, "rustc": first("rustc", "--version"),
            "valgrind": first("valgrind", "--version"), "libc": " ".join(platform.libc_ver())}


def judge(counted, baseline):
    """Rows of the table, and what is wrong."""
    rows, wrong, stale = [], [], []
    known = baseline["cases"]
    for name, case in counted["cases"].items():
        now, before = case["instructions"], known.get(name, {}).get("instructions")
        if before is None:
            wrong.append(f"'{name}' is not in the baseline")
            continue
        change = now / before - 1
        rows.append((name, case["unit"], now, f"{change:+.1%}"))
        if change > WORSE:
            wrong.append(f"'{name}' takes {now:,} instructions a {case['unit']}: {change:+.1%} to the baseline's {before:,}")
        elif change < -WORSE:
            stale.append(name)
    wrong += [f"'{name}' of the baseline was not counted" for name in known if name not in counted["cases"]]
    wrong += judge_shards(counted["shards"], baseline["shards"])
    return rows, wrong, stale


def judge_shards(shards, baseline):
    wrong = []
    one = shards["1"]["instructions"]
    for number, found in shards.items():
        change = found["instructions"] / one - 1
        if abs(change) > FLAT:
            wrong.append(f"a call takes {change:+.1%} instructions with {number} shards, compared with one")
        allowed = baseline.get(number, {}).get("shared_writes", 0)
        if found["shared_writes"] > allowed + FLAT:
            wrong.append(f"with {number} shards a call makes {found['shared_writes']} writes to cache lines that other "
                         f"shards use; the baseline has {allowed}")
    return wrong


def write(counted):
    with open(BASELINE, "w") as file:
        json.dump(counted, file, indent=1)
        file.write("\n")
    lines = ["| case | instructions | per |", "|---|--:|---|"]
    lines += [f"| {name} | {case['instructions']:,} | {case['unit']} |" for name, case in counted["cases"].items()]
    lines += ["", "| shards | instructions a call | writes a call to cache lines that other shards use |", "|--:|--:|--:|"]
    lines += [f"| {n} | {row['instructions']:,} | {row['shared_writes']} |" for n, row in counted["shards"].items()]
    lines += ["", "Counted on " + ", ".join(counted["counted_with"].values()) + "."]
    with open(DOCUMENT) as file:
        before, rest = file.read().split(BEGIN)
    with open(DOCUMENT, "w") as file:
        file.write("\n".join([before + BEGIN, "", *lines, "", END + rest.split(END)[1]]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="make what is counted the baseline")
    chosen = parser.parse_args()
    counted = count(build())
    if chosen.write:
        write(counted)
    with open(BASELINE) as file:
        baseline = json.load(file)
    rows, wrong, stale = judge(counted, baseline)
    for name, unit, now, change in rows:
        print(f"{name:45} {now:>12,} instructions a {unit:7} {change:>7} to the baseline")
    for number, row in counted["shards"].items():
        print(f"{number} shard(s): {row['instructions']:,} instructions a call, {row['shared_writes']} shared writes")
    for name in stale:
        print(f"'{name}' takes over {WORSE:.0%} less than the baseline says: renew it with `make bench-check ARGS=--write`")
    if wrong:
        print("\nbench-check failed:", *wrong, sep="\n  ")
        print("If the change is meant: `make bench-check ARGS=--write`, and commit the baseline with the reason.")
        here, there = counted["counted_with"], baseline["counted_with"]
        for what in here:
            if here[what] != there.get(what):
                print(f"Counted with {here[what]}, the baseline with {there.get(what)}: counts may differ for that alone.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
