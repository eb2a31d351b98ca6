//! What hedging knows and may spend: how long answers take, and how many calls may be asked a second time. Knows nothing
//! of calls.

use tollgate_config::document::{Breaker, HedgeAfter};

use super::{Routing, latency::Class, window::Went};
use crate::{Tick, snapshot::Target};

/// What a hundred calls pay for one percent of them.
const PRICE: u32 = 100;
/// So many second asks may be saved up, for when they are needed.
const MAX_SAVED: u32 = 10;

/// Of one model and shard: each call adds its percents, each second ask takes a hundred of them. So of all calls together
/// never more than that share is asked twice.
#[derive(Debug, Default)]
pub(crate) struct HedgeBudget {
    saved: u32,
}

impl HedgeBudget {
    /// A call begins.
    pub fn earn(&mut self, percent: u32) {
        self.saved = (self.saved + percent).min(MAX_SAVED * PRICE);
    }

    /// Pays for one second ask; false when there is not enough.
    pub fn take(&mut self) -> bool {
        match self.saved.checked_sub(PRICE) {
            Some(left) => {
                self.saved = left;
                true
            }
            None => false,
        }
    }

    /// It was not asked after all.
    pub fn give_back(&mut self) {
        self.earn(PRICE);
    }
}

/// An attempt that was given up because another one answered.
pub(crate) struct Beaten {
    pub class: Class,
    /// Until then.
    pub took_ns: u64,
    pub after: HedgeAfter,
    pub was_first: bool,
}

impl Routing {
    /// How long the target has to begin its answer before another one is asked; `None` where too little is known of it.
    pub(crate) fn hedge_after_ns(&self, now: Tick, target: &Target, class: Class, after: HedgeAfter) -> Option<u64> {
        match after {
            HedgeAfter::Delay { ms } => Some(ms.saturating_mul(1_000_000)),
            HedgeAfter::Quantile { percent } => {
                let answers = self.look(target)?.answers.as_ref()?;
                let quantile_ns = answers.quantile_ns(now, class, f64::from(percent) / 100.0)?;
                Some(quantile_ns as u64)
            }
        }
    }

    /// A target began its answer after this time.
    pub(crate) fn note_answer(&mut self, now: Tick, target: &Target, class: Class, took_ns: u64) {
        let answers = self.target(target).answers.get_or_insert_default();
        answers.note(now, class, took_ns);
    }

    /// An attempt was given up because another one answered: it would have taken this long at least.
    pub(crate) fn note_lost(&mut self, now: Tick, (target, breaker): (&Target, &Breaker), beaten: &Beaten) {
        let Beaten { class, took_ns, .. } = *beaten;
        let state = self.target(target);
        if let (HedgeAfter::Quantile { percent }, Some(answers)) = (beaten.after, &mut state.answers) {
            answers.note_at_least(now, class, took_ns, f64::from(percent) / 100.0);
        }
        if let Some(latency) = &mut state.latency {
            match latency.expected_ns(now, class) {
                // Whoever was asked second had no time to show that it is slow.
                None if beaten.was_first => latency.note(now, class, took_ns),
                None => {}
                Some(_) => latency.note_longer(now, class, took_ns),
            }
        }
        let is_slow = breaker
            .slow_ms
            .is_some_and(|slow_ms| took_ns >= slow_ms.saturating_mul(1_000_000));
        if is_slow {
            state.window.note(now, Went::Slowly, breaker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_share_is_asked_twice_whatever_the_order() {
        for percent in [1, 5, 33, 100] {
            let mut budget = HedgeBudget::default();
            let (mut calls, mut asked) = (0u32, 0u32);
            for round in 1..200u32 {
                // Bursts of calls, then as many second asks as there are to be had.
                for _ in 0..round % 10 {
                    budget.earn(percent);
                    calls += 1;
                }
                while budget.take() {
                    asked += 1;
                }
                assert!(asked * 100 <= calls * percent, "{asked} of {calls} at {percent}%");
            }
            assert!(asked * 110 >= calls * percent, "{asked} of {calls} at {percent}%");
        }
    }

    #[test]
    fn what_is_saved_up_is_bounded() {
        let mut budget = HedgeBudget::default();
        (0..100_000).for_each(|_| budget.earn(5));
        assert_eq!((0..100).filter(|_| budget.take()).count(), MAX_SAVED as usize);
    }
}
