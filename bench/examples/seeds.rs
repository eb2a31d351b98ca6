//! Runs simulator seeds `FIRST..FIRST+COUNT` (`seeds FIRST COUNT`) and prints what they did; ends at the first that
//! breaks an invariant, with its number. For `make soak`: `make test` runs the simulator's own tests.

use std::panic;

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .filter_map(|number| number.parse().ok())
        .collect();
    let [first, count] = numbers[..] else {
        panic!("usage: seeds FIRST COUNT")
    };
    let (mut calls, mut steps) = (0, 0);
    for seed in first..first + count {
        let Ok(summary) = panic::catch_unwind(|| tollgate_sim::run(seed)) else {
            eprintln!("seed {seed} failed");
            std::process::exit(1);
        };
        calls += summary.calls;
        steps += summary.steps;
    }
    println!("{{\"calls\": {calls}, \"steps\": {steps}}}");
}
