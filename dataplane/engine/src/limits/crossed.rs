//! Thresholds: when so much of a limit is used that somebody should know. Each is told once in a period, by whichever shard
//! comes first; what was told lies with the balance and outlives the process.

use tollgate_config::document::{Limit, Window};

use super::{Balances, Level, Rules, Scope, atomic::Ordering, bucket, rules::Rule};

/// Something to tell of a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossed {
    pub scope: Scope,
    pub name: Box<str>,
    pub limit: Limit,
    pub notice: Notice,
    pub level: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// So many percent are used, or more.
    Threshold(u8),
    /// A hard limit was exceeded by what no bound foresaw.
    Debt,
}

const DEBT_BIT: u64 = 1 << 7;

/// Where in the word of what was told a period has its half: its number above, and below a bit for each threshold and for
/// debt. As with balances two periods lie side by side, so that a clock that is set back over an end tells nothing again.
#[derive(Clone, Copy)]
struct Half {
    shift: u32,
    number: u64,
}

impl Half {
    const ALL: u64 = 0xffff_ffff;
    const BITS: u64 = 0xff;

    /// The word as it is now: an earlier version had one period in it, its whole number above the bits. That is so where the
    /// lower half is of an odd number; where it is of an even one, it is the same there.
    fn read(word: u64) -> u64 {
        let period = word >> 8;
        match period.is_multiple_of(2) {
            true => word,
            false => Self::of(period).with(0, word & Self::BITS),
        }
    }

    fn of(period: u64) -> Self {
        Self {
            shift: if period.is_multiple_of(2) { 0 } else { 32 },
            number: period << 8 & Self::ALL,
        }
    }

    /// What was told of the period.
    fn told(self, word: u64) -> u64 {
        let half = word >> self.shift & Self::ALL;
        if half & !Self::BITS == self.number {
            half & Self::BITS
        } else {
            0
        }
    }

    fn with(self, word: u64, told: u64) -> u64 {
        word & !(Self::ALL << self.shift) | (self.number | told) << self.shift
    }
}

/// A call has settled: is there something to tell?
pub(super) fn look(balances: &Balances, (rules, rule): (&Rules, &Rule), now: &bucket::Moment, out: &mut Vec<Crossed>) {
    let limit = &rule.limit;
    if limit.thresholds.is_empty() && !limit.is_hard() {
        return;
    }
    let period = match limit.window {
        Window::None => return,
        Window::Calendar(period) => now.today.period(period).number,
        Window::Refill { per_ms, .. } => now.unix_ms / per_ms.max(1) + 1,
    };
    let used = bucket::used(balances, (rule.id, limit), now);
    let reached = reached(limit, used);
    // As a rule.
    if reached == 0 {
        return;
    }
    let Some(cell) = balances.counted(rule.id) else { return };
    let half = Half::of(period);
    let next = |word: u64| half.with(word, half.told(word) | reached);
    let change = |word: u64| Some(next(Half::read(word))).filter(|next| *next != word);
    let Ok(before) = cell.told.fetch_update(Ordering::AcqRel, Ordering::Acquire, change) else {
        return;
    };
    let told = half.told(Half::read(before));
    let level = bucket::level_of(limit, now, used);
    let percents = limit.thresholds.percents().enumerate();
    let notices = percents.map(|(bit, percent)| (1 << bit, Notice::Threshold(percent)));
    for (bit, notice) in notices.chain([(DEBT_BIT, Notice::Debt)]) {
        if reached & !told & bit != 0 {
            out.push(Crossed {
                scope: rules.scope,
                name: rules.name.clone(),
                limit: *limit,
                notice,
                level,
            });
        }
    }
}

fn reached(limit: &Limit, used: u64) -> u64 {
    let most = bucket::most(limit);
    let is_used = |percent: u8| u128::from(used) * 100 >= u128::from(most) * u128::from(percent);
    // They rise.
    let bits = limit
        .thresholds
        .percents()
        .enumerate()
        .take_while(|(_, percent)| is_used(*percent));
    let debt = if limit.is_hard() && used > most { DEBT_BIT } else { 0 };
    bits.fold(debt, |bits, (bit, _)| bits | 1 << bit)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use tollgate_config::document::{Period, Thresholds, Unit};

    use super::*;
    use crate::limits::{bucket::Moment, calendar::Today};

    const DAY_MS: u64 = 86_400_000;

    fn at(unix_ms: u64) -> Moment {
        Moment {
            unix_ms,
            today: Today::at(&TimeZone::UTC, unix_ms),
        }
    }

    #[test]
    fn what_an_earlier_version_told_is_not_told_again_and_a_later_period_tells_anew() {
        let limit = |window| Limit {
            thresholds: Thresholds::new(&[40, 100]).expect("they rise"),
            ..Limit::new(Unit::Requests, 5, window)
        };
        let (per_ms, burst) = (1_000, 5);
        for (window, step_ms) in [
            (Window::Calendar(Period::Day), DAY_MS),
            (Window::Refill { per_ms, burst }, per_ms),
        ] {
            for first in [1_800_000_000_000, 1_800_000_000_000 + step_ms] {
                let balances = Balances::in_memory(4);
                let rules = Rules::new(Scope::Tag, "a=b", &[limit(window)]).expect("one");
                let rule = &rules.all[0];
                let told = |now: &Moment, amount: u64| {
                    bucket::take(&balances, (rule.id, &rule.limit), now, amount).expect("it is there");
                    let mut out = Vec::new();
                    look(&balances, (&*rules, rule), now, &mut out);
                    out.iter().map(|crossed| crossed.notice).collect::<Vec<_>>()
                };
                let now = at(first);
                let number = match window {
                    Window::Refill { .. } => first / per_ms + 1,
                    _ => now.today.period(Period::Day).number,
                };
                assert_eq!(told(&now, 1), []);
                // One period in the word, above what was told of it: of forty percent.
                let cell = balances.counted(rule.id).expect("it is used");
                cell.told.store(number << 8 | 1, Ordering::Release);
                assert_eq!(told(&now, 1), [], "{number}");
                assert_eq!(told(&now, 3), [Notice::Threshold(100)], "{number}");
                let later = at(first + step_ms);
                assert_eq!(told(&later, 3), [Notice::Threshold(40)], "{number}");
                // The clock is set back over the end.
                let mut out = Vec::new();
                look(&balances, (&*rules, rule), &now, &mut out);
                assert_eq!(out, [], "{number}");
            }
        }
    }
}
