//! How many calls a target bears at once, learned from how long it takes: a limit that shrinks when calls take longer than
//! they do while the target has little to do, or when it says that it has too much; and grows while it is used.
//!
//! The idea: TCP Vegas (Brakmo and Peterson, 1995), and the gradient limits of Netflix's concurrency-limits (2018). Theirs
//! compares with a slow mean, which follows an overload that lasts; ours with calls that found the target quiet, so that
//! it does not. A limit at its least finds it quiet by itself: what has become slower for good is learned there.

use tollgate_config::document::Overload;

use super::latency::{CLASSES, Class};
use crate::Tick;

/// Before anything is known of a target.
const FIRST_LIMIT: u32 = 20;
/// So many times as long as when it is quiet may the mean call take.
const TOLERANCE: f64 = 1.5;
/// A round of calls moves the limit down to no less than this part.
const LEAST_GRADIENT: f64 = 0.5;
/// What is left of it when the target says that it has too much, or does not answer in time.
const CUT: f64 = 0.7;
/// Calls in a round: about as many as the limit lets through at once, within these.
const ROUND: (f64, f64) = (16.0, 64.0);
/// One call is not believed to have taken more than so many times as long.
const MOST_STRETCH: f64 = 10.0;
/// A mean below this says that what was learned in quiet times is out of date.
const OUTDATED: f64 = 0.7;
/// Calls that the time of a quiet target is the mean of.
const REMEMBERED: u32 = 32;
/// Of the first of them no more than `min` were under way; then up to half the limit.
const FIRST: u32 = 8;

/// Of one target and shard.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    limit: f64,
    quiet: [Quiet; CLASSES],
    /// How many times as long as in quiet times the calls of this round took, summed.
    stretch: f64,
    calls: u32,
    /// When it was last cut. Answers to calls sent before say nothing new.
    cut: Tick,
}

/// How long a call takes that finds the target quiet.
#[derive(Clone, Copy, Debug, Default)]
struct Quiet {
    mean_ns: f64,
    calls: u32,
}

/// A call as far as a limit goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub class: Class,
    pub sent: Tick,
    /// Calls under way when it was made, itself among them.
    pub found_busy: u32,
    /// And now.
    pub busy: u32,
}

pub(crate) fn first_limit(bounds: &Overload) -> u32 {
    FIRST_LIMIT.clamp(bounds.min, bounds.max.max(bounds.min))
}

impl Limit {
    pub fn new(bounds: &Overload) -> Self {
        Self {
            limit: f64::from(first_limit(bounds)),
            quiet: [Quiet::default(); CLASSES],
            stretch: 0.0,
            calls: 0,
            cut: Tick(0),
        }
    }

    /// Calls that may be under way, within bounds that may have changed since.
    pub fn calls(&self, bounds: &Overload) -> u32 {
        (self.limit as u32).clamp(bounds.min, bounds.max.max(bounds.min))
    }

    /// A call was answered well after `took_ns`.
    pub fn answered(&mut self, call: &Asked, took_ns: u64, bounds: &Overload) {
        let least = f64::from(bounds.min);
        let quiet = &mut self.quiet[call.class.number()];
        let few = match quiet.calls {
            0..FIRST => least,
            _ => least.max(self.limit / 2.0),
        };
        let took_ns = took_ns.max(1) as f64;
        if f64::from(call.found_busy) <= few {
            quiet.calls = (quiet.calls + 1).min(REMEMBERED);
            quiet.mean_ns += (took_ns - quiet.mean_ns) / f64::from(quiet.calls);
        }
        if quiet.calls == 0 {
            return;
        }
        self.stretch += (took_ns / quiet.mean_ns).min(MOST_STRETCH);
        self.calls += 1;
        if f64::from(self.calls) >= self.limit.clamp(ROUND.0, ROUND.1) {
            self.end_round(call.busy, bounds);
        }
    }

    fn end_round(&mut self, busy: u32, bounds: &Overload) {
        let stretch = self.stretch / f64::from(self.calls);
        (self.stretch, self.calls) = (0.0, 0);
        if stretch > TOLERANCE {
            self.limit *= (TOLERANCE / stretch).max(LEAST_GRADIENT);
        } else if f64::from(busy) * 2.0 >= self.limit {
            self.limit += (self.limit.sqrt() / 2.0).max(1.0);
        }
        if stretch < OUTDATED {
            for quiet in &mut self.quiet {
                quiet.mean_ns *= stretch.sqrt();
            }
        }
        self.keep_within(bounds);
    }

    /// The target said that it has too much, or did not answer in time.
    pub fn lost(&mut self, now: Tick, call: &Asked, bounds: &Overload) {
        if call.sent <= self.cut {
            return;
        }
        self.cut = now;
        (self.stretch, self.calls) = (0.0, 0);
        self.limit = self.limit.min(f64::from(call.busy)) * CUT;
        self.keep_within(bounds);
    }

    fn keep_within(&mut self, bounds: &Overload) {
        let least = f64::from(bounds.min);
        self.limit = self.limit.clamp(least, f64::from(bounds.max).max(least));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn call(busy: u32) -> Asked {
        Asked {
            class: Class::of(1_000, false),
            sent: Tick(1_000 * MS),
            found_busy: busy,
            busy,
        }
    }

    fn answered(limit: &mut Limit, calls: u32, busy: u32, took_ms: u64) {
        for _ in 0..calls {
            limit.answered(&call(busy), took_ms * MS, &Overload::default());
        }
    }

    #[test]
    fn it_grows_while_it_is_used_and_not_otherwise() {
        let bounds = Overload::default();
        let mut limit = Limit::new(&bounds);
        answered(&mut limit, 100, 4, 100);
        assert_eq!(limit.calls(&bounds), 20, "nobody needs more");
        answered(&mut limit, 200, 20, 100);
        let grown = limit.calls(&bounds);
        assert!((25..60).contains(&grown), "{grown}");
        answered(&mut limit, 200_000, 1_000, 100);
        assert_eq!(limit.calls(&bounds), bounds.max);
    }

    #[test]
    fn it_shrinks_when_calls_take_longer_than_in_quiet_times_and_stays_small_as_long_as_they_do() {
        let bounds = Overload::default();
        let mut limit = Limit::new(&bounds);
        answered(&mut limit, 32, 3, 100);
        answered(&mut limit, 40, 20, 400);
        let shrunk = limit.calls(&bounds);
        assert!(shrunk < 15, "{shrunk}");
        answered(&mut limit, 500, 20, 400);
        assert_eq!(
            limit.calls(&bounds),
            bounds.min,
            "an overload that lasts is not got used to"
        );
    }

    #[test]
    fn a_target_that_became_slower_for_good_is_learned_at_the_least_limit() {
        let bounds = Overload::default();
        let mut limit = Limit::new(&bounds);
        answered(&mut limit, 32, 3, 100);
        answered(&mut limit, 300, 20, 1_000);
        assert_eq!(limit.calls(&bounds), bounds.min);
        answered(&mut limit, 400, 4, 1_000);
        assert!(limit.calls(&bounds) >= 8, "{limit:?}");
    }

    #[test]
    fn it_is_cut_at_once_when_the_target_has_too_much_and_once_for_a_burst() {
        let bounds = Overload::default();
        let mut limit = Limit::new(&bounds);
        answered(&mut limit, 16, 3, 100);
        answered(&mut limit, 5_000, 100, 100);
        let before = limit.calls(&bounds);
        let rejected = call(40);
        for _ in 0..10 {
            limit.lost(Tick(1_100 * MS), &rejected, &bounds);
        }
        assert_eq!(limit.calls(&bounds), 28, "from the forty under way, not from {before}");
        let later = Asked {
            sent: Tick(1_200 * MS),
            busy: 28,
            ..rejected
        };
        limit.lost(Tick(1_300 * MS), &later, &bounds);
        assert_eq!(limit.calls(&bounds), 19);
    }

    #[test]
    fn it_stays_within_bounds_that_change() {
        let mut limit = Limit::new(&Overload::default());
        answered(&mut limit, 20_000, 500, 100);
        let narrow = Overload {
            min: 2,
            max: 3,
            ..Overload::default()
        };
        assert_eq!(limit.calls(&narrow), 3);
        limit.lost(Tick(2_000 * MS), &call(1), &narrow);
        assert_eq!(limit.calls(&narrow), 2);
    }
}
