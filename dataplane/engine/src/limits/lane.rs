//! One balance under many hands: reserve, settle, refill and begin anew, without a lock. Knows no limit, no period and no clock.
//! A model checker runs it through the orders of its steps (`tests/lane_orders.rs`).
//!
//! What is used is the difference of two numbers that only grow: all that was ever taken, and all of it that came back or flowed
//! off. So a hand that was slow can lose against others, but never take back what somebody took meanwhile.

use super::atomic::{AtomicU64, Ordering};

/// The words of a balance, wherever they lie.
#[derive(Clone, Copy, Debug)]
pub struct Lane<'w> {
    pub taken: &'w AtomicU64,
    pub returned: &'w AtomicU64,
    /// Of a bucket: up to when it has been refilled, in Unix milliseconds, and `ANEW`. Of a calendar: the period's number.
    /// Of calls under way: the process's. Zero: new.
    pub tag: &'w AtomicU64,
}

/// What is used of it flows off, on a grid of its own: its lines are counted from the moment in which it was empty last. For a
/// bucket that is full has nothing to come: on a grid that went on meanwhile, what is taken just before a line would be back
/// behind it at once.
#[derive(Clone, Copy, Debug)]
pub struct Bucket<'w> {
    pub lane: Lane<'w>,
    /// Since when its grid counts, in Unix milliseconds, but where the tag says that it does so since then.
    pub begun: &'w AtomicU64,
}

/// Where a bucket is on its grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Its first line, in Unix milliseconds.
    pub begun_ms: u64,
    /// Up to when all has flowed off that has to.
    pub until_ms: u64,
}

/// In a bucket's tag: it was empty then, and its grid begins. One word for both, so that a hand that stops in between, or dies,
/// leaves no moment without its grid.
const ANEW: u64 = 1 << 63;
/// Shards look at the clock once a turn: one that is behind by less than this has had a long turn, and lets nothing flow.
const CLOCK_STEP_MS: u64 = 60_000;
/// Whatever a provider says was used: far from half a round.
const MOST_USED: u64 = 1 << 62;

impl Lane<'_> {
    pub fn tag(&self) -> u64 {
        self.tag.load(Ordering::Acquire)
    }

    /// Above the limit where calls used more than was foreseen.
    pub fn used(&self) -> u64 {
        loop {
            let returned = self.returned.load(Ordering::Acquire);
            let taken = self.taken.load(Ordering::Acquire);
            // Else others took and gave back between the two looks, and what they gave back would pass for used.
            if self.returned.load(Ordering::Acquire) == returned {
                return difference(taken, returned);
            }
        }
    }

    /// Uses so much where no more than `most` is used then; else says what is used.
    pub fn take(&self, amount: u64, most: u64) -> Result<(), u64> {
        loop {
            // Before what was taken: what comes back meanwhile only makes room.
            let returned = self.returned.load(Ordering::Acquire);
            let taken = self.taken.load(Ordering::Acquire);
            let used = difference(taken, returned);
            if used.saturating_add(amount) > most {
                if self.returned.load(Ordering::Acquire) == returned {
                    return Err(used);
                }
                continue;
            }
            let next = taken.wrapping_add(amount);
            if self
                .taken
                .compare_exchange(taken, next, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
            {
                return Ok(());
            }
        }
    }

    /// Uses so much more, whatever is left.
    pub fn add(&self, amount: u64) {
        let more = |taken: u64| {
            let used = difference(taken, self.returned.load(Ordering::Acquire));
            Some(taken.wrapping_add(amount.min(MOST_USED.saturating_sub(used))))
        };
        let _ = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
    }

    /// So much is not used after all. Never more than is used: a bucket has no more than its burst.
    pub fn give_back(&self, amount: u64) {
        // Looked at anew in each round: beside an older number, what others took and gave back meanwhile would pass for
        // this hand's own, and stay used.
        let more = |returned: u64| {
            let open = difference(self.taken.load(Ordering::Acquire), returned);
            (open > 0 && amount > 0).then(|| returned.wrapping_add(open.min(amount)))
        };
        let _ = self.returned.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
    }

    /// Begins a period, or a process, where the lane holds another one: an older, or what a clock that was ahead once left.
    /// What others take meanwhile stays: nothing is granted twice.
    pub fn begin_anew(&self, number: u64) {
        let held = self.tag();
        if held == number {
            return;
        }
        let taken = self.taken.load(Ordering::Acquire);
        if self
            .tag
            .compare_exchange(held, number, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            self.return_of(taken, u64::MAX);
        }
    }

    /// Of what was taken up to `taken`, so much comes back, as far as it has not.
    fn return_of(&self, taken: u64, amount: u64) {
        let more = |returned: u64| {
            let open = difference(taken, returned);
            (open > 0 && amount > 0).then(|| returned.wrapping_add(open.min(amount)))
        };
        // Where nothing is left to come back nothing changes.
        let _ = self.returned.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
    }
}

impl Bucket<'_> {
    /// Lets flow off what has since the last time; `flows` says how much does so within so many milliseconds of a grid.
    pub fn refill(&self, unix_ms: u64, flows: impl Fn(u64) -> u64) -> Flow {
        loop {
            let word = self.lane.tag();
            let flow = self.flow(word);
            let last_ms = flow.until_ms;
            // A clock that was set back: nothing flows until it is where it was, but for a large step.
            if last_ms == unix_ms || last_ms > unix_ms && last_ms - unix_ms < CLOCK_STEP_MS {
                // Empty since that moment, where all that was used came back: what is taken now would be back at the next line.
                let is_on = flow.begun_ms == last_ms || self.lane.used() > 0;
                if is_on || self.move_on(word, last_ms | ANEW) {
                    let begun_ms = if is_on { flow.begun_ms } else { last_ms };
                    return Flow { begun_ms, ..flow };
                }
                continue;
            }
            let on_grid = |unix_ms: u64| flows(unix_ms.saturating_sub(flow.begun_ms));
            let is_later = last_ms != 0 && last_ms < unix_ms;
            let off = match is_later {
                true => on_grid(unix_ms).saturating_sub(on_grid(last_ms)),
                false => 0,
            };
            // Looked at before anybody can take of what flows: that is not to flow off as well.
            let taken = self.lane.taken.load(Ordering::Acquire);
            let open = difference(taken, self.lane.returned.load(Ordering::Acquire));
            // Of what somebody takes from here on less than a unit flows off too late.
            let (begun_ms, next) = match is_later && open > off {
                true => (flow.begun_ms, unix_ms),
                false => (unix_ms, unix_ms | ANEW),
            };
            // Whoever wins lets it flow for all. Who loses against a clock that is behind looks again: what it takes next is of
            // its own moment.
            if self.move_on(word, next) {
                self.lane.return_of(taken, off);
                return Flow {
                    begun_ms,
                    until_ms: unix_ms,
                };
            }
        }
    }

    /// False: another was first.
    fn move_on(&self, word: u64, next: u64) -> bool {
        let tag = self.lane.tag;
        tag.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// What a tag says. Whoever moves it on has been here, so that what it says of the grid is not lost.
    fn flow(&self, word: u64) -> Flow {
        let until_ms = word & !ANEW;
        loop {
            let begun_ms = self.begun.load(Ordering::Acquire);
            if word == until_ms {
                return Flow { begun_ms, until_ms };
            }
            // Where the tag was moved on another has done it, and `begun` may be of a later grid by now.
            let is_told = begun_ms == until_ms || self.lane.tag() != word;
            let tell = || {
                self.begun
                    .compare_exchange(begun_ms, until_ms, Ordering::AcqRel, Ordering::Acquire)
            };
            if is_told || tell().is_ok() {
                return Flow {
                    begun_ms: until_ms,
                    until_ms,
                };
            }
        }
    }
}

/// Both may have gone round; they are never half of a round apart.
fn difference(taken: u64, returned: u64) -> u64 {
    let difference = taken.wrapping_sub(returned);
    if difference > u64::MAX / 2 { 0 } else { difference }
}
