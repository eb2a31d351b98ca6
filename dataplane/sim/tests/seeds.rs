//! Two thousand histories. A seed that fails is printed; `TOLLGATE_SIM_SEED=N` runs that one alone.

use std::panic;

use tollgate_sim::{Summary, run};

const SEEDS: u64 = 2_000;

#[allow(clippy::disallowed_methods, reason = "a test's own setting")]
fn seeds() -> std::ops::Range<u64> {
    match std::env::var("TOLLGATE_SIM_SEED") {
        Ok(seed) => {
            let seed: u64 = seed.parse().expect("TOLLGATE_SIM_SEED is a number");
            seed..seed + 1
        }
        Err(_) => 0..SEEDS,
    }
}

#[test]
fn no_history_breaks_an_invariant() {
    let mut total = Summary::default();
    for seed in seeds() {
        match panic::catch_unwind(|| run(seed)) {
            Ok(summary) => add(&mut total, &summary),
            Err(_) => panic!("seed {seed} failed; TOLLGATE_SIM_SEED={seed} runs it again"),
        }
    }
    println!("{total:?}");
    if seeds().end - seeds().start == SEEDS {
        // The world must be as varied as it claims to be.
        let kinds = [total.complete, total.broken, total.refused, total.left, total.retried];
        assert!(kinds.iter().all(|&kind| kind > SEEDS as usize / 10), "{total:?}");
    }
}

#[test]
fn a_seed_is_one_history() {
    assert_eq!(run(17), run(17));
}

fn add(total: &mut Summary, one: &Summary) {
    total.steps += one.steps;
    total.calls += one.calls;
    total.complete += one.complete;
    total.broken += one.broken;
    total.refused += one.refused;
    total.left += one.left;
    total.retried += one.retried;
}
