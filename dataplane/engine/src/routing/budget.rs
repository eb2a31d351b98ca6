//! The retry budget: tries beyond the first are paid for by calls that succeeded lately, so that a provider in trouble is
//! not buried under tries. (The idea: Google's SRE book, "Handling overload"; Finagle's retry budgets.)

use crate::Tick;

const SECONDS: usize = 10;
const NS_PER_SECOND: u64 = 1_000_000_000;
/// So many are free each second, so that a quiet model may try again too.
const FREE_A_SECOND: u32 = 3;

/// Of one model and shard: the last ten seconds.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    seconds: [Second; SECONDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    /// Since the clock's origin.
    at: u64,
    succeeded: u32,
    /// Those that were not free.
    paid: u32,
    free: u32,
}

impl Budget {
    pub fn succeeded(&mut self, now: Tick) {
        let second = self.second(now);
        second.succeeded = second.succeeded.saturating_add(1);
    }

    /// Takes one try; false when there is none to be had. `percent`: how many of a hundred successes pay for one.
    pub fn take(&mut self, now: Tick, percent: u32) -> bool {
        let second = self.second(now);
        if second.free < FREE_A_SECOND && percent > 0 {
            second.free += 1;
            return true;
        }
        let at = now.0 / NS_PER_SECOND;
        let recent = self.seconds.iter().filter(|second| second.at + (SECONDS as u64) > at);
        let (succeeded, paid) = recent.fold((0, 0), |(succeeded, paid), second| {
            (succeeded + u64::from(second.succeeded), paid + u64::from(second.paid))
        });
        let affordable = (paid + 1) * 100 <= succeeded * u64::from(percent);
        if affordable {
            self.second(now).paid += 1;
        }
        affordable
    }

    fn second(&mut self, now: Tick) -> &mut Second {
        let at = now.0 / NS_PER_SECOND;
        let second = &mut self.seconds[(at % SECONDS as u64) as usize];
        if second.at != at {
            *second = Second {
                at,
                ..Second::default()
            };
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick(seconds * NS_PER_SECOND)
    }

    #[test]
    fn a_few_are_free_and_the_rest_are_a_share_of_what_succeeded() {
        let mut budget = Budget::default();
        let taken = |budget: &mut Budget, now, of| (0..of).filter(|_| budget.take(now, 10)).count();
        assert_eq!(taken(&mut budget, at(100), 50), 3);
        assert_eq!(taken(&mut budget, at(101), 50), 3);
        for _ in 0..1_000 {
            budget.succeeded(at(101));
        }
        assert_eq!(taken(&mut budget, at(101), 500), 100);
        assert_eq!(
            taken(&mut budget, at(110), 500),
            3,
            "they are spent as long as they count"
        );
        assert_eq!(taken(&mut budget, at(112), 500), 3, "and forgotten after ten seconds");
    }

    #[test]
    fn nothing_is_free_without_a_budget() {
        let mut budget = Budget::default();
        budget.succeeded(at(1));
        assert!(!budget.take(at(1), 0));
    }
}
