//! The balance's own steps in every order that a few threads may take them in, on a memory that is no stronger than the
//! processor's: a model checker (loom) runs what the shards run.

#![allow(dead_code, reason = "the model has no use for all of it")]

/// What `lane` is made of, watched.
mod atomic {
    pub use loom::sync::atomic::{AtomicU64, Ordering};
}

#[path = "../src/limits/lane.rs"]
mod lane;

use atomic::{AtomicU64, Ordering};
use lane::{Bucket, Lane};
use loom::{sync::Arc, thread};

#[derive(Default)]
struct Words {
    taken: AtomicU64,
    returned: AtomicU64,
    tag: AtomicU64,
    begun: AtomicU64,
}

impl Words {
    fn bucket(&self) -> Bucket<'_> {
        Bucket {
            lane: self.lane(),
            begun: &self.begun,
        }
    }

    fn lane(&self) -> Lane<'_> {
        Lane {
            taken: &self.taken,
            returned: &self.returned,
            tag: &self.tag,
        }
    }
}

/// Orders in which a thread is interrupted at most three times.
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
fn what_both_give_back_is_there_again() {
    model(|| {
        let words = Arc::new(Words::default());
        let user = |words: Arc<Words>| {
            move || {
                if words.lane().take(1, 2).is_ok() {
                    words.lane().give_back(1);
                }
            }
        };
        let other = thread::spawn(user(Arc::clone(&words)));
        user(Arc::clone(&words))();
        other.join().expect("it ends");
        assert_eq!(words.lane().used(), 0);
    });
}

#[test]
fn who_looks_while_others_take_and_give_back_sees_no_more_than_was_ever_used_at_once() {
    model(|| {
        let words = Arc::new(Words::default());
        let other = Arc::clone(&words);
        let looks = thread::spawn(move || assert!(other.lane().used() <= 1));
        for _ in 0..2 {
            words.lane().take(1, 1).expect("nobody else takes");
            words.lane().give_back(1);
        }
        looks.join().expect("it ends");
        assert_eq!(words.lane().used(), 0);
    });
}

#[test]
fn what_is_taken_while_a_bucket_flows_stays_taken() {
    // Four a millisecond flow; one is used, and the bucket holds four: more could flow off than is there.
    const BURST: u64 = 4;
    let flows = |ms: u64| ms * 4;
    model(move || {
        let words = Arc::new(Words::default());
        words.bucket().refill(1_000, flows);
        words.lane().add(1);
        let asker = |words: Arc<Words>| {
            move || {
                let lane = words.lane();
                words.bucket().refill(1_001, flows);
                u64::from(lane.take(3, BURST).is_ok())
            }
        };
        let other = thread::spawn(asker(Arc::clone(&words)));
        let own = asker(Arc::clone(&words))();
        let granted = own + other.join().expect("it ends");
        assert_eq!(granted, 1, "of four one may have three");
        assert_eq!(
            words.lane().used(),
            3,
            "the one has flowed off, and nothing of the three"
        );
    });
}

type Refill = fn(&Bucket<'_>, u64);

/// One a millisecond flows off a bucket of which four are used; two look at it, a millisecond apart or at once, and a third has
/// the last word. Whoever comes first: what flows, flows once, and all of it.
fn flows_once(refill: Refill, moments: [u64; 2]) {
    model(move || {
        let words = Arc::new(Words::default());
        refill(&words.bucket(), 1_000);
        words.lane().add(4);
        let other = Arc::clone(&words);
        let looks = thread::spawn(move || refill(&other.bucket(), moments[0]));
        refill(&words.bucket(), moments[1]);
        looks.join().expect("it ends");
        refill(&words.bucket(), 1_002);
        assert_eq!(words.lane().used(), 2, "two milliseconds, two units");
    });
}

fn right(bucket: &Bucket<'_>, unix_ms: u64) {
    bucket.refill(unix_ms, |ms| ms);
}

#[test]
fn what_flows_off_flows_once_whoever_looks_first_and_none_of_it_is_lost() {
    for moments in [[1_001, 1_001], [1_001, 1_002], [1_002, 1_001], [1_002, 1_002]] {
        flows_once(right, moments);
    }
}

/// The models have to see a refill that is wrong: each of these is, in one way.
mod wrong {
    use super::*;

    /// `Bucket::refill` in parts: `wins`, whoever lets it flow; `from`, since when.
    fn flow(lane: &Lane<'_>, (from, unix_ms): (u64, u64), wins: bool) {
        if wins && from != 0 && from < unix_ms {
            lane.give_back(unix_ms - from);
        }
    }

    fn set(lane: &Lane<'_>, last: u64, unix_ms: u64) -> bool {
        let tag = lane.tag;
        tag.compare_exchange(last, unix_ms, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Both let it flow who saw the same moment.
    fn without_a_winner(Bucket { lane, .. }: &Bucket<'_>, unix_ms: u64) {
        let last = lane.tag();
        if last < unix_ms {
            let _ = set(lane, last, unix_ms);
            flow(lane, (last, unix_ms), true);
        }
    }

    /// A clock that is a millisecond behind takes the tag back: the same time flows again.
    fn backwards(Bucket { lane, .. }: &Bucket<'_>, unix_ms: u64) {
        let last = lane.tag();
        let won = last != unix_ms && set(lane, last, unix_ms);
        flow(lane, (last, unix_ms), won);
    }

    /// The winner looks again from when it flows: another has moved that on.
    fn from_what_is_there_now(Bucket { lane, .. }: &Bucket<'_>, unix_ms: u64) {
        let last = lane.tag();
        let won = last < unix_ms && set(lane, last, unix_ms);
        flow(lane, (lane.tag().min(last + 1), unix_ms), won && last != 0);
    }

    #[test]
    #[should_panic(expected = "two milliseconds, two units")]
    fn a_refill_by_everybody_is_seen() {
        flows_once(without_a_winner, [1_002, 1_002]);
    }

    #[test]
    #[should_panic(expected = "two milliseconds, two units")]
    fn a_clock_that_takes_time_back_is_seen() {
        flows_once(backwards, [1_001, 1_002]);
    }

    #[test]
    #[should_panic(expected = "two milliseconds, two units")]
    fn a_refill_from_another_moment_is_seen() {
        flows_once(from_what_is_there_now, [1_002, 1_002]);
    }

    /// What was taken is looked at behind the winner's step: what others take of what flowed flows off as well.
    #[test]
    #[should_panic(expected = "of the four one is there again")]
    fn a_refill_of_what_was_taken_since_is_seen() {
        taken_while_it_flows(|Bucket { lane, .. }, unix_ms| {
            let last = lane.tag();
            let won = last < unix_ms && set(lane, last, unix_ms);
            if won && last != 0 {
                lane.give_back(4 * (unix_ms - last));
            }
        });
    }
}

/// Four a millisecond flow off a bucket that holds four, of which one is used: behind that three are free, and what somebody
/// takes of them has not flowed off, however slow the other is that lets it flow.
fn taken_while_it_flows(refill: Refill) {
    model(move || {
        let words = Arc::new(Words::default());
        refill(&words.bucket(), 1_000);
        words.lane().add(1);
        let other = Arc::clone(&words);
        let looks = thread::spawn(move || refill(&other.bucket(), 1_001));
        refill(&words.bucket(), 1_001);
        // Three are free, so they are taken: in one step, for the checker looks at the last access to a word alone, and behind
        // a look of this hand's own it would not try the other's.
        words.taken.fetch_add(3, Ordering::AcqRel);
        looks.join().expect("it ends");
        assert_eq!(words.lane().used(), 3, "of the four one is there again");
    });
}

#[test]
fn what_is_taken_of_what_flows_is_there_for_one() {
    taken_while_it_flows(|bucket, unix_ms| {
        bucket.refill(unix_ms, |ms| 4 * ms);
    });
}

/// One in two milliseconds flows off a bucket that holds one and was last looked at, empty, a while ago. Two ask, a millisecond
/// apart, and one of them asks again another later: whoever is first, the next one passes two milliseconds after him.
fn passes_after_another(refill: Refill) {
    const TOO_SOON: &str = "two milliseconds for each";
    model(move || {
        let words = Arc::new(Words::default());
        refill(&words.bucket(), 1_000);
        let asker = |words: Arc<Words>, moments: &'static [u64]| {
            move || {
                let passes = |unix_ms: &&u64| {
                    refill(&words.bucket(), **unix_ms);
                    words.lane().take(1, 1).is_ok()
                };
                moments.iter().filter(passes).copied().collect::<Vec<_>>()
            }
        };
        let other = thread::spawn(asker(Arc::clone(&words), &[1_001]));
        let mut passed = asker(Arc::clone(&words), &[1_002, 1_003])();
        passed.extend(other.join().expect("it ends"));
        match passed.as_mut_slice() {
            [_] => {}
            [one, two] => assert!(one.abs_diff(*two) >= 2, "{TOO_SOON}: {one}, {two}"),
            all => panic!("{TOO_SOON}: {all:?}"),
        }
        assert!(words.lane().used() <= 1);
    });
}

#[test]
fn who_takes_the_last_of_a_bucket_is_followed_when_one_has_flowed_since() {
    passes_after_another(|bucket, unix_ms| {
        bucket.refill(unix_ms, |ms| ms / 2);
    });
}

/// All that was used came back in the millisecond up to which it has flowed: two ask in it, one passes, and the next one two
/// milliseconds after him.
#[test]
fn who_takes_what_came_back_begins_the_grid_anew() {
    let refill = |bucket: Bucket<'_>, unix_ms| bucket.refill(unix_ms, |ms| ms / 2);
    model(move || {
        let words = Arc::new(Words::default());
        refill(words.bucket(), 1_000);
        words.lane().add(1);
        refill(words.bucket(), 1_001);
        words.lane().give_back(1);
        let asker = move |words: Arc<Words>, unix_ms| {
            refill(words.bucket(), unix_ms);
            words.lane().take(1, 1).is_ok()
        };
        let theirs = Arc::clone(&words);
        let other = thread::spawn(move || asker(theirs, 1_001));
        let passed = asker(Arc::clone(&words), 1_001);
        assert!(passed != other.join().expect("it ends"), "one of the two");
        assert!(!asker(Arc::clone(&words), 1_002), "a millisecond later");
        assert!(asker(words, 1_003));
    });
}

/// On a grid that has been there for ever what is taken before a line is back behind it.
#[test]
#[should_panic(expected = "two milliseconds for each")]
fn a_grid_that_does_not_begin_with_what_is_taken_is_seen() {
    passes_after_another(|bucket, unix_ms| {
        let last = bucket.lane.tag();
        let set = |tag: &AtomicU64| tag.compare_exchange(last, unix_ms, Ordering::AcqRel, Ordering::Acquire);
        if last < unix_ms && set(bucket.lane.tag).is_ok() && last != 0 {
            bucket.lane.give_back(unix_ms / 2 - last / 2);
        }
    });
}

/// The hand that begins a grid says so in two steps: whoever comes in between counts by the new one, too.
#[test]
#[should_panic(expected = "two milliseconds for each")]
fn a_grid_that_is_begun_behind_the_clock_is_seen() {
    passes_after_another(|bucket, unix_ms| {
        let (lane, begun) = (bucket.lane, bucket.begun);
        let last = lane.tag();
        let set = |tag: &AtomicU64| tag.compare_exchange(last, unix_ms, Ordering::AcqRel, Ordering::Acquire);
        let is_empty = lane.used() == 0;
        if last >= unix_ms || set(lane.tag).is_err() || last == 0 {
            return;
        }
        let from = begun.load(Ordering::Acquire);
        if is_empty {
            begun.store(unix_ms, Ordering::Release);
        } else {
            lane.give_back((unix_ms - from) / 2 - (last - from) / 2);
        }
    });
}

#[test]
fn a_period_begins_once_and_what_is_taken_in_it_stays() {
    model(|| {
        let words = Arc::new(Words::default());
        words.lane().begin_anew(1);
        words.lane().add(1);
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
        assert_eq!(granted, 1, "two times two are more than three");
        assert_eq!(used, granted * 2, "of the last period nothing is left");
    });
}

/// A lease: what goes back to the cluster is taken as a call takes, so that a hand that read what was granted before cannot use
/// what another node has by then.
#[test]
fn what_goes_back_to_the_cluster_is_nobodys() {
    model(|| {
        let words = Arc::new(Words::default());
        let calls = [(); 2].map(|()| {
            let words = Arc::clone(&words);
            thread::spawn(move || words.lane().take(1, 2).is_ok())
        });
        let back = words.lane().take(1, 2).is_ok();
        let passed = calls
            .map(|call| call.join().expect("no panic"))
            .iter()
            .filter(|passed| **passed)
            .count();
        assert_eq!(passed, if back { 1 } else { 2 });
        assert_eq!(words.lane().used(), 2);
    });
}

/// A shard that reads what is granted and takes of it, twice, beside the agent, which gives one back and is granted another: what
/// was given back another node has.
fn lease_between(gives_back: fn(&Words, &AtomicU64) -> u64) {
    model(move || {
        let (words, granted) = (Arc::new(Words::default()), Arc::new(AtomicU64::new(2)));
        let (at_shard, read) = (Arc::clone(&words), Arc::clone(&granted));
        let calls = thread::spawn(move || {
            let take = |_: &i32| at_shard.lane().take(1, read.load(Ordering::Acquire)).is_ok();
            (0..2).filter(take).count() as u64
        });
        let back = gives_back(&words, &granted);
        let passed = calls.join().expect("it ends");
        assert!(passed + back <= 2, "of two, {back} are another node's");
        let more = granted.load(Ordering::Acquire) + 1;
        granted.fetch_max(more, Ordering::AcqRel);
        let last = u64::from(words.lane().take(1, granted.load(Ordering::Acquire)).is_ok());
        assert!(passed + last + back <= 3, "of three, {back} are another node's");
        assert!(passed + last >= 1, "nothing is lost");
    });
}

#[test]
fn a_lease_that_shrinks_and_grows_is_used_once() {
    lease_between(|words, granted| u64::from(words.lane().take(1, granted.load(Ordering::Acquire)).is_ok()));
}

/// What is granted made smaller instead: who read it before takes what another node has.
#[test]
#[should_panic(expected = "another node's")]
fn a_lease_that_is_taken_back_by_its_size_is_seen() {
    lease_between(|words, granted| {
        let most = granted.load(Ordering::Acquire);
        let is_left = words.lane().used() < most;
        if is_left {
            granted.store(most - 1, Ordering::Release);
        }
        u64::from(is_left)
    });
}
