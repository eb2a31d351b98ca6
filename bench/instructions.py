#!/usr/bin/env python3
"""`make instructions`: what a call costs inside the engine in instructions, which no noise of a machine moves.

Counts two runs of `bench/examples/calls` under callgrind and divides their difference by the calls between them.
`--write` makes the counts the new baseline (bench/instructions.json); otherwise a count over it by 2 % fails.
"""

import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASELINE = os.path.join(ROOT, "bench", "instructions.json")
PROGRAM = os.path.join(ROOT, "target", "release", "examples", "calls")
KINDS = ["buffered", "streamed"]
FEW, MANY = 100, 600
TOLERANCE = 1.02


def instructions(kind, count):
    run = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", PROGRAM, kind, str(count)],
                         capture_output=True, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", run.stderr).group(1))


def main():
    subprocess.run(["cargo", "build", "--release", "-p", "tollgate-bench", "--example", "calls"], cwd=ROOT, check=True)
    counted = {kind: round((instructions(kind, MANY) - instructions(kind, FEW)) / (MANY - FEW)) for kind in KINDS}
    if "--write" in sys.argv:
        with open(BASELINE, "w") as file:
            json.dump(counted, file, indent=1)
            file.write("\n")
    with open(BASELINE) as file:
        baseline = json.load(file)
    worse = False
    for kind, count in counted.items():
        share = count / baseline[kind]
        worse |= share > TOLERANCE
        print(f"{kind:9} {count:>8,} instructions a call, {share - 1:+.1%} to the baseline")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
