//! The balance's own steps in every order that a few threads may take them in, on a memory that is no stronger than the
//! processor's: a model checker (loom) runs what the shards run.

#![allow(dead_code, reason = "the model has no use for all of it")]

/// What `lane` is made of, watched.
mod atomic {
    pub use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../src/limits/lane.rs"]
mod lane;

use atomic::AtomicU64;
use lane::Lane;
use loom::{sync::Arc, thread};

#[derive(Default)]
struct Words {
    taken: AtomicU64,
    returned: AtomicU64,
    tag: AtomicU64,
}

impl Words {
    fn lane(&self) -> Lane<'_> {
        Lane {
            taken: &self.taken,
            returned: &self.returned,
            tag: &self.tag,
        }
    }
}

/// Two threads switched as often as three times each show what more would: the rest is bounded to end within seconds.
fn model(orders: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(orders);
}

#[test]
fn nobody_is_granted_what_is_used_and_what_comes_back_is_granted_again() {
    model(|| {
        let words = Arc::new(Words::default());
        words.lane().add(2);
        let other = Arc::clone(&words);
        // Three of four fit beside the two that are used; one of those comes back.
        let asks = thread::spawn(move || u64::from(other.lane().take(1, 3).is_ok()));
        words.lane().give_back(1);
        let own = u64::from(words.lane().take(1, 3).is_ok());
        let granted = own + asks.join().expect("it ends");
        assert_eq!(granted, 2, "both fit once one is back, and one before");
        assert_eq!(words.lane().used(), 3);
        assert!(words.lane().take(1, 3).is_err());
    });
}

#[test]
fn what_is_taken_while_a_bucket_flows_stays_taken() {
    // Two a millisecond flow; two are used, and the bucket holds two.
    const BURST: u64 = 2;
    let flowed = |from: u64, until: u64| (until - from) * 2;
    model(move || {
        let words = Arc::new(Words::default());
        words.lane().refill(1_000, flowed);
        words.lane().add(2);
        let asker = |words: Arc<Words>| {
            move || {
                let lane = words.lane();
                lane.refill(1_001, flowed);
                u64::from(lane.take(2, BURST).is_ok())
            }
        };
        let other = thread::spawn(asker(Arc::clone(&words)));
        let own = asker(Arc::clone(&words))();
        let granted = own + other.join().expect("it ends");
        assert_eq!(granted, 1, "what flowed in one millisecond is granted once");
        // Later nothing more has flowed than has.
        assert_eq!(words.lane().used(), 2);
    });
}

#[test]
fn settling_and_flowing_at_once_give_no_unit_twice() {
    const BURST: u64 = 4;
    let flowed = |from: u64, until: u64| (until - from) * 4;
    model(move || {
        let words = Arc::new(Words::default());
        words.lane().refill(1_000, flowed);
        words.lane().add(4);
        let other = Arc::clone(&words);
        // One call settles for nothing at all, while all that is used flows off and another call takes the bucket.
        let settles = thread::spawn(move || other.lane().give_back(4));
        words.lane().refill(1_001, flowed);
        let taken = words.lane().take(4, BURST).is_ok();
        settles.join().expect("it ends");
        let more = words.lane().take(BURST, BURST).is_ok();
        assert!(taken);
        assert!(more || words.lane().used() == 4, "{}", words.lane().used());
    });
}

#[test]
fn a_period_begins_once_and_what_is_taken_in_it_stays() {
    model(|| {
        let words = Arc::new(Words::default());
        words.lane().begin_anew(1);
        words.lane().add(3);
        let asker = |words: Arc<Words>| {
            move || {
                words.lane().begin_anew(3);
                u64::from(words.lane().take(2, 3).is_ok())
            }
        };
        let other = thread::spawn(asker(Arc::clone(&words)));
        let own = asker(Arc::clone(&words))();
        let granted = own + other.join().expect("it ends");
        let used = words.lane().used();
        assert!(granted <= 1, "two of two are more than three");
        assert_eq!(used, granted * 2, "of the last period nothing is left");
    });
}
