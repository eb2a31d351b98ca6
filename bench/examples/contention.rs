//! `cargo run --release -p tollgate-bench --example contention [CALLS]`: one limit's balance under 1 to 64 shards at once, each on
//! a thread of its own, every call a reservation that is settled. Prints atomic operations and retries for a call, and what it
//! took: where there are fewer cores than threads they take turns, and what is counted is what preemption makes.

use std::{sync::atomic::Ordering::Relaxed, thread, time::Instant};

/// What `lane` is made of, counted.
mod atomic {
    use std::sync::atomic;
    pub use std::sync::atomic::Ordering;

    /// Steps that change a word, and those that another's step made vain.
    pub static STEPS: atomic::AtomicU64 = atomic::AtomicU64::new(0);
    pub static RETRIES: atomic::AtomicU64 = atomic::AtomicU64::new(0);

    thread_local! {
        static OWN: std::cell::Cell<(u64, u64)> = const { std::cell::Cell::new((0, 0)) };
    }

    /// Adds what this thread has counted.
    pub fn tell() {
        let (steps, retries) = OWN.take();
        STEPS.fetch_add(steps, Ordering::Relaxed);
        RETRIES.fetch_add(retries, Ordering::Relaxed);
    }

    fn count(done: bool) {
        OWN.set({
            let (steps, retries) = OWN.get();
            (steps + 1, retries + u64::from(!done))
        });
    }

    #[derive(Debug, Default)]
    #[repr(transparent)]
    pub struct AtomicU64(atomic::AtomicU64);

    impl AtomicU64 {
        pub fn load(&self, order: Ordering) -> u64 {
            self.0.load(order)
        }

        pub fn compare_exchange(&self, old: u64, new: u64, done: Ordering, failed: Ordering) -> Result<u64, u64> {
            let result = self.0.compare_exchange(old, new, done, failed);
            count(result.is_ok());
            result
        }

        pub fn fetch_update(
            &self,
            done: Ordering,
            failed: Ordering,
            mut change: impl FnMut(u64) -> Option<u64>,
        ) -> Result<u64, u64> {
            let mut old = self.0.load(failed);
            while let Some(new) = change(old) {
                match self.compare_exchange(old, new, done, failed) {
                    Ok(old) => return Ok(old),
                    Err(now) => old = now,
                }
            }
            Err(old)
        }
    }
}

#[path = "../../dataplane/engine/src/limits/lane.rs"]
#[allow(dead_code, reason = "it is the engine's, whole")]
mod lane;

use atomic::AtomicU64;
use lane::{Bucket, Lane};

/// As a cell of the table lies in memory.
#[derive(Default)]
#[repr(align(64))]
struct Words {
    taken: AtomicU64,
    returned: AtomicU64,
    tag: AtomicU64,
    begun: AtomicU64,
}

fn main() {
    let calls: u64 = std::env::args()
        .nth(1)
        .and_then(|calls| calls.parse().ok())
        .unwrap_or(1_000_000);
    println!("cores {}", thread::available_parallelism().map_or(0, usize::from));
    println!(
        "{:>7} {:>12} {:>14} {:>8}",
        "shards", "steps/call", "retries/call", "ns/call"
    );
    for shards in [1u64, 2, 4, 8, 16, 32, 64] {
        let words = Words::default();
        let each = calls / shards;
        let began = Instant::now();
        thread::scope(|scope| {
            for _ in 0..shards {
                scope.spawn(|| {
                    let lane = Lane {
                        taken: &words.taken,
                        returned: &words.returned,
                        tag: &words.tag,
                    };
                    let begun = &words.begun;
                    for call in 0..each {
                        // A bucket that is never empty: what is looked at is the way there.
                        Bucket { lane, begun }.refill(1_000 + call / 1_000, |ms| ms);
                        if lane.take(10, u64::MAX / 4).is_ok() {
                            lane.give_back(4);
                        }
                    }
                    atomic::tell();
                });
            }
        });
        let took_ns = began.elapsed().as_nanos() as u64;
        let all = (each * shards).max(1);
        let hundredths = |count: u64| format!("{}.{:02}", count / all, count % all * 100 / all);
        println!(
            "{shards:>7} {:>12} {:>14} {:>8}",
            hundredths(atomic::STEPS.swap(0, Relaxed)),
            hundredths(atomic::RETRIES.swap(0, Relaxed)),
            took_ns / all
        );
    }
}
