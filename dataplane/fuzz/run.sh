#!/usr/bin/env bash
# Fuzzes each target for SECONDS (all of them, or those named). Exits 1 when one crashed; the input lies in artifacts/.
# Usage: run.sh SECONDS [TARGET...]
# FUZZ_SEED: where its dice begin; by default elsewhere each time.
#
# A stable compiler does: RUSTC_BOOTSTRAP opens the sanitizer's flag, and the rest is what cargo-fuzz passes too.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
    for file in fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

# Two runs at once would share corpus and logs: the second waits for the first.
mkdir -p artifacts
exec 9>artifacts/lock
flock -n 9 || { echo "fuzz: another run is under way; waiting for it" >&2; flock 9; }

host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address --cfg fuzzing \
-Cdebug-assertions -Coverflow-checks -Ccodegen-units=1 -Cforce-frame-pointers"
# A target named outright: build scripts and macros are then built without these flags.
cargo build --quiet --release --target "$host" --target-dir target --bins 9>&-

failed=()
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target" "artifacts/$target" "seeds/$target"
    log="artifacts/$target/last.log"
    # The largest heads and events of the limits fit twice into 8 KiB.
    if "target/$host/release/$target" -seed="${FUZZ_SEED:-0}" -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="artifacts/$target/" "corpus/$target" "seeds/$target" >"$log" 2>&1 9>&-
    then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
        echo "fuzz $target: ok, ${runs:-0} runs in ${seconds}s, ${covered:-0} edges"
    else
        failed+=("$target")
        tail -40 "$log" >&2
        echo "fuzz $target: CRASHED; run target/$host/release/$target on the file named above" >&2
    fi
done
[ ${#failed[@]} -eq 0 ] || exit 1
