//! Is a target well? One circuit breaker per target, in atomics that all shards read: what one learns, all know. A call
//! that succeeds at a target that is well writes nothing here.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use tollgate_config::document::Breaker;

use crate::Tick;

/// A cooldown grows with each probe that failed, to at most two to this times what is configured.
const MAX_DOUBLINGS: u32 = 3;
/// How long a probe has before another call may be one. Nothing has to be given back, so a lost call blocks nobody.
const PROBE_MS: u64 = 1_000;
/// A target that was well for this many cooldowns is as good as one that never failed.
const FORGIVEN_AFTER_COOLDOWNS: u64 = 8;
/// What a target that is well again gets at first, of a thousand parts.
const LEAST_PER_MILLE: u64 = 100;
const NS_PER_MS: u64 = 1_000_000;

/// What is known of one target of one model. Each value means something alone, so relaxed order is enough: the worst a
/// race does is count one failure or let through one probe more or less.
#[derive(Debug, Default)]
pub struct TargetHealth {
    /// In a row.
    failures: AtomicU32,
    /// Zero: closed. In the past: half open.
    open_until_ns: AtomicU64,
    /// Times in a row that it opened.
    trips: AtomicU32,
    /// Until when a probe is under way.
    probe_until_ns: AtomicU64,
    /// When it closed last; zero: it was never open.
    well_since_ns: AtomicU64,
    /// Times that it was closed and opened.
    opened: AtomicU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Well,
    /// Well again for a short while: it gets so many of a thousand parts of its share.
    Recovering {
        per_mille: u32,
    },
    /// The cooldown is over: a few calls show whether it is well again.
    HalfOpen,
    /// To be left alone until then.
    Ejected {
        until: Tick,
    },
}

/// What an event changed, for whoever tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Opened,
    Closed,
}

impl TargetHealth {
    pub fn standing(&self, now: Tick, breaker: &Breaker) -> Standing {
        let open_until_ns = self.open_until_ns.load(Relaxed);
        if open_until_ns != 0 {
            let until = Tick(open_until_ns);
            return if now < until {
                Standing::Ejected { until }
            } else {
                Standing::HalfOpen
            };
        }
        let since_ns = self.well_since_ns.load(Relaxed);
        let slow_start_ns = breaker.slow_start_ms.saturating_mul(NS_PER_MS);
        let well_ns = now.ns_since(Tick(since_ns));
        if since_ns == 0 || well_ns >= slow_start_ns {
            return Standing::Well;
        }
        let per_mille = (well_ns.saturating_mul(1_000) / slow_start_ns).max(LEAST_PER_MILLE);
        Standing::Recovering {
            per_mille: per_mille as u32,
        }
    }

    /// How often it was found to be ill, since the data plane started.
    pub fn times_opened(&self) -> u32 {
        self.opened.load(Relaxed)
    }

    /// Not well, or not known to be well again.
    pub fn is_open(&self) -> bool {
        self.open_until_ns.load(Relaxed) != 0
    }

    /// Takes the probe of a half-open target; false when another call has it.
    pub fn take_probe(&self, now: Tick) -> bool {
        let until_ns = self.probe_until_ns.load(Relaxed);
        let next_ns = now.plus_ms(PROBE_MS).0;
        now.0 >= until_ns
            && self
                .probe_until_ns
                .compare_exchange(until_ns, next_ns, Relaxed, Relaxed)
                .is_ok()
    }

    pub fn succeeded(&self, now: Tick) -> Option<Change> {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        let open_until_ns = self.open_until_ns.load(Relaxed);
        // While it is open, the answer is to a call from before.
        if open_until_ns == 0 || now.0 < open_until_ns {
            return None;
        }
        self.open_until_ns
            .compare_exchange(open_until_ns, 0, Relaxed, Relaxed)
            .ok()?;
        self.well_since_ns.store(now.0.max(1), Relaxed);
        self.probe_until_ns.store(0, Relaxed);
        Some(Change::Closed)
    }

    /// It was looked at, and is well: no call need find out. Nothing when it is not open.
    pub fn close(&self, now: Tick) -> Option<Change> {
        self.failures.store(0, Relaxed);
        let was_open = self.open_until_ns.swap(0, Relaxed) != 0;
        if was_open {
            self.well_since_ns.store(now.0.max(1), Relaxed);
            self.probe_until_ns.store(0, Relaxed);
        }
        was_open.then_some(Change::Closed)
    }

    /// One that is open stays so until then at least.
    pub fn hold_open(&self, until: Tick) {
        let held = |open_until_ns: u64| (open_until_ns != 0).then_some(open_until_ns.max(until.0));
        // A refusal says that it is not open.
        let _ = self.open_until_ns.fetch_update(Relaxed, Relaxed, held);
    }

    /// So many calls have failed in a row.
    pub fn failures(&self) -> u32 {
        self.failures.load(Relaxed)
    }

    pub fn failed(&self, now: Tick, breaker: &Breaker) -> Option<Change> {
        self.failed_after(now, breaker, 0)
    }

    /// A call failed, and so did so many before it that are not counted any more.
    pub fn failed_after(&self, now: Tick, breaker: &Breaker, before: u32) -> Option<Change> {
        let more = before.saturating_add(1);
        let counted = |failures: u32| Some(failures.saturating_add(more));
        let counted = self.failures.fetch_update(Relaxed, Relaxed, counted);
        let in_a_row = counted.unwrap_or_default().saturating_add(more);
        let open_until_ns = self.open_until_ns.load(Relaxed);
        let probe_failed = open_until_ns != 0 && now.0 >= open_until_ns;
        let enough = open_until_ns == 0 && breaker.failures > 0 && in_a_row >= breaker.failures;
        (probe_failed || enough).then(|| self.open(now, breaker)).flatten()
    }

    /// Opens it, for whatever reason; nothing when it is open.
    pub fn open(&self, now: Tick, breaker: &Breaker) -> Option<Change> {
        let open_until_ns = self.open_until_ns.load(Relaxed);
        if open_until_ns != 0 && now.0 < open_until_ns {
            return None;
        }
        let since_ns = self.well_since_ns.load(Relaxed);
        let forgiven_after_ms = breaker.cooldown_ms.saturating_mul(FORGIVEN_AFTER_COOLDOWNS);
        let forgiven =
            open_until_ns == 0 && now.ns_since(Tick(since_ns)) >= forgiven_after_ms.saturating_mul(NS_PER_MS);
        let trips = if forgiven { 0 } else { self.trips.load(Relaxed) };
        let cooldown_ms = breaker.cooldown_ms.saturating_mul(1 << trips.min(MAX_DOUBLINGS));
        self.open_until_ns
            .compare_exchange(open_until_ns, now.plus_ms(cooldown_ms).0, Relaxed, Relaxed)
            .ok()?;
        self.trips.store(trips.saturating_add(1), Relaxed);
        self.failures.store(0, Relaxed);
        self.probe_until_ns.store(0, Relaxed);
        // A probe that failed changed nothing that anybody saw.
        let was_well = open_until_ns == 0;
        if was_well {
            self.opened.fetch_add(1, Relaxed);
        }
        was_well.then_some(Change::Opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Tick {
        Tick(seconds * SECOND)
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_probe_closes_it() {
        let (health, breaker) = (TargetHealth::default(), Breaker::default());
        for _ in 0..4 {
            assert_eq!(health.failed(at(1), &breaker), None);
        }
        health.succeeded(at(1));
        for _ in 0..4 {
            assert_eq!(health.failed(at(1), &breaker), None);
        }
        assert_eq!(health.failed(at(1), &breaker), Some(Change::Opened));
        assert_eq!(health.standing(at(2), &breaker), Standing::Ejected { until: at(16) });
        // Answers to calls from before change nothing.
        assert_eq!(health.succeeded(at(2)), None);
        assert_eq!(health.failed(at(2), &breaker), None);
        assert_eq!(health.standing(at(16), &breaker), Standing::HalfOpen);
        assert!(health.take_probe(at(16)));
        assert!(!health.take_probe(at(16)), "one at a time");
        assert!(health.take_probe(at(17)), "a probe that is lost blocks nobody");
        assert_eq!(health.succeeded(at(17)), Some(Change::Closed));
        assert_eq!(
            health.standing(at(18), &breaker),
            Standing::Recovering { per_mille: 100 }
        );
        assert_eq!(
            health.standing(at(22), &breaker),
            Standing::Recovering { per_mille: 500 }
        );
        assert_eq!(health.standing(at(27), &breaker), Standing::Well);
    }

    #[test]
    fn cooldowns_grow_while_probes_fail_and_are_forgiven_in_time() {
        let (health, breaker) = (TargetHealth::default(), Breaker::default());
        let mut now = at(1);
        for cooldown in [15, 30, 60, 120, 120] {
            health.open(now, &breaker);
            let until = now.plus_ms(cooldown * 1_000);
            assert_eq!(health.standing(now, &breaker), Standing::Ejected { until });
            now = until;
        }
        health.succeeded(now);
        now = now.plus_ms(15_000 * 8);
        assert_eq!(health.open(now, &breaker), Some(Change::Opened));
        assert_eq!(
            health.standing(now, &breaker),
            Standing::Ejected {
                until: now.plus_ms(15_000)
            }
        );
    }

    #[test]
    fn shards_count_together() {
        let (health, breaker) = (TargetHealth::default(), Breaker::default());
        std::thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| health.failed(at(1), &breaker));
            }
        });
        assert!(matches!(health.standing(at(1), &breaker), Standing::Ejected { .. }));
    }
}
