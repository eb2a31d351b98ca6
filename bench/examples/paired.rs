//! What a case takes beyond another one, on a machine that others use too: both run in turns of a few dozen microseconds, so
//! that what disturbs one disturbs the other, and the median of the differences is told.
//!
//! `cargo run --release -p tollgate-bench --example paired -- BASE PART...` measures every case whose name has one of the
//! parts against the case named BASE: `group/name`, as criterion has them.

use std::{hint::black_box, time::Instant};

use tollgate_bench::{Case, cases};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 20_000;
/// Runs of a case in one turn.
const RUNS: u32 = 8;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base, parts @ ..] = &arguments[..] else {
        panic!("usage: paired BASE PART...");
    };
    let name = |case: &Case| format!("{}/{}", case.group, case.name);
    let all: Vec<Case> = cases();
    let base = all
        .iter()
        .find(|case| name(case) == *base)
        .expect("a case of this name");
    let mut base_run = (base.prepare)();
    for case in all
        .iter()
        .filter(|case| parts.iter().any(|part| name(case).contains(part.as_str())))
    {
        let mut run = (case.prepare)();
        let mut rounds: Vec<(f64, f64)> = (0..ROUNDS)
            .map(|_| (turn_ns(&mut *base_run), turn_ns(&mut *run)))
            .collect();
        // The caches are cold at first.
        rounds.drain(..ROUNDS / 10);
        let [low, median, high] = quartiles(rounds.iter().map(|(base, this)| this - base));
        let [_, whole, _] = quartiles(rounds.iter().map(|(_, this)| *this));
        println!(
            "{:+8.0} ns  ({low:+.0} to {high:+.0}; {whole:.0} in all)  {}",
            median,
            name(case)
        );
    }
}

/// Nanoseconds of one run, the mean of a turn's.
fn turn_ns(run: &mut dyn FnMut()) -> f64 {
    let from = Instant::now();
    for _ in 0..RUNS {
        run();
    }
    black_box(from.elapsed()).as_nanos() as f64 / f64::from(RUNS)
}

fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}
