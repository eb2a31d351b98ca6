//! One limit's arithmetic on its cell: whole numbers, exact over any number of threads.
//!
//! What is used of a bucket flows off on an absolute grid: up to the millisecond `t` floor(t × amount ÷ period) units have
//! flowed, so that however often it is looked at not one unit is lost or won. A token bucket that counts what is used
//! rather than what is left (RFC 2697 has the other one), so that a burst that changes keeps what was used.

use std::sync::atomic::Ordering;

use tollgate_config::document::{Limit, Window};

use super::{
    balances::{Balances, Cell, Lane},
    calendar::Today,
};

/// Shards look at the clock once a turn: one that is behind by less than this has had a long turn, and lets nothing flow.
const CLOCK_STEP_MS: u64 = 60_000;

/// Taken from a limit: what goes back, or is added, when it is known what was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub amount: u64,
    /// Of the lane that it was taken from.
    tag: u64,
    at_unix_ms: u64,
}

/// Why there is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lacking {
    /// Until it may pass; `None`: so much never will, or nobody knows.
    pub wait_ms: Option<u64>,
}

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The most that could be used at once.
    pub limit: u64,
    pub used: u64,
    /// Until all of it is there again.
    pub reset_ms: u64,
}

impl Level {
    pub fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// A moment as limits see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub unix_ms: u64,
    pub today: Today,
}

pub(crate) fn take(
    balances: &Balances,
    (id, limit): (u64, &Limit),
    now: &Moment,
    amount: u64,
) -> Result<Taken, Lacking> {
    // A full table refuses: what cannot be counted is not granted.
    let cell = balances.cell(id).ok_or(Lacking { wait_ms: None })?;
    let (lane, tag) = lane(balances, cell, limit, now);
    let most = most(limit);
    let grant = |used: i64| {
        let after = used.checked_add(i64::try_from(amount).ok()?)?;
        (after <= most).then_some(after)
    };
    match lane.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, grant) {
        Ok(_) => Ok(taken(amount, tag, now)),
        Err(used) => Err(Lacking {
            wait_ms: wait_ms(limit, now, used, amount),
        }),
    }
}

/// What was taken is taken although it was not granted: a limit that only watches.
pub(crate) fn note(balances: &Balances, (id, limit): (u64, &Limit), now: &Moment, amount: u64) -> Option<Taken> {
    let cell = balances.cell(id)?;
    let (lane, tag) = lane(balances, cell, limit, now);
    // A call may bound its answer to any number: a balance that has lost count would be wiped when it settles.
    let amount = amount.min(most(limit).unsigned_abs());
    add(lane, signed(amount));
    Some(taken(amount, tag, now))
}

fn taken(amount: u64, tag: u64, now: &Moment) -> Taken {
    Taken {
        amount,
        tag,
        at_unix_ms: now.unix_ms,
    }
}

/// Puts what was really used in the place of what was taken.
pub(crate) fn settle(balances: &Balances, (id, limit): (u64, &Limit), now: &Moment, taken: Taken, used: u64) {
    let Some(cell) = balances.find(id) else { return };
    let more = signed(used) - signed(taken.amount);
    match limit.window {
        Window::Calendar(_) => {
            let then = &cell.lanes[(taken.tag & 1) as usize];
            if then.tag.load(Ordering::Acquire) == taken.tag {
                add(then, more);
            } else if more > 0 {
                // The period is over: what went beyond the estimate counts in the next.
                add(lane(balances, cell, limit, now).0, more);
            }
        }
        Window::Refill { per_ms, .. } => {
            let lane = lane(balances, cell, limit, now).0;
            // What flowed off meanwhile has come back already, as far as it goes.
            let flowed = flowed((taken.at_unix_ms, now.unix_ms), limit.amount, per_ms);
            let more = if more < 0 {
                more.saturating_add(flowed).min(0)
            } else {
                more
            };
            add(lane, more);
        }
        Window::None => add(lane(balances, cell, limit, now).0, more),
    }
}

pub(crate) fn level(balances: &Balances, (id, limit): (u64, &Limit), now: &Moment) -> Level {
    let used = balances.find(id).map_or(0, |cell| {
        lane(balances, cell, limit, now).0.used.load(Ordering::Acquire)
    });
    let used = u64::try_from(used).unwrap_or(0);
    let reset_ms = match limit.window {
        Window::None => 0,
        Window::Refill { per_ms, .. } => ms_for(used, limit.amount, per_ms),
        Window::Calendar(period) => now.today.period(period).ends_unix_ms.saturating_sub(now.unix_ms),
    };
    Level {
        limit: most(limit).unsigned_abs(),
        used,
        reset_ms,
    }
}

/// `check` bounds amounts.
fn most(limit: &Limit) -> i64 {
    match limit.window {
        Window::Refill { burst, .. } => signed(burst),
        Window::Calendar(_) | Window::None => signed(limit.amount),
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// Never below zero: a bucket has no more than its burst.
fn add(lane: &Lane, more: i64) {
    let _ = lane.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
        Some(used.saturating_add(more).max(0))
    });
}

/// The lane in force, brought up to now, and its tag.
fn lane<'c>(balances: &Balances, cell: &'c Cell, limit: &Limit, now: &Moment) -> (&'c Lane, u64) {
    match limit.window {
        Window::None => {
            begin_anew(&cell.lanes[0], balances.process());
            (&cell.lanes[0], 0)
        }
        Window::Refill { per_ms, .. } => {
            let lane = &cell.lanes[0];
            refill(lane, limit.amount, per_ms, now.unix_ms);
            (lane, 0)
        }
        Window::Calendar(period) => {
            let number = now.today.period(period).number;
            // Two periods side by side, so that calls which began in the last one settle there.
            let lane = &cell.lanes[(number & 1) as usize];
            begin_anew(lane, number);
            (lane, number)
        }
    }
}

/// Lets flow off what has since the last time.
fn refill(lane: &Lane, amount: u64, per_ms: u64, unix_ms: u64) {
    let last = lane.tag.load(Ordering::Acquire);
    // A clock that was set back: nothing flows until it is where it was, but for a large step.
    if last == unix_ms || last > unix_ms && last - unix_ms < CLOCK_STEP_MS {
        return;
    }
    // Looked at before anybody can take of what flows: that is not to flow off as well.
    let before = lane.used.load(Ordering::Acquire);
    // Whoever wins lets it flow for all.
    let won = lane
        .tag
        .compare_exchange(last, unix_ms, Ordering::AcqRel, Ordering::Acquire)
        .is_ok();
    if !won || last == 0 || last > unix_ms {
        return;
    }
    let off = flowed((last, unix_ms), amount, per_ms).min(before);
    if off > 0 {
        let less = |used: i64| (used > 0).then(|| used.saturating_sub(off).max(0));
        let _ = lane.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }
}

/// How many units flow off between two moments.
fn flowed((from, until): (u64, u64), amount: u64, per_ms: u64) -> i64 {
    let all = |until: u64| u128::from(until) * u128::from(amount) / u128::from(per_ms.max(1));
    i64::try_from(all(until).saturating_sub(all(from))).unwrap_or(i64::MAX)
}

/// Begins a period, or a process, where the lane holds another one: an older, or what a clock that was ahead once left. What
/// others add meanwhile stays: nothing is granted twice.
fn begin_anew(lane: &Lane, number: u64) {
    let held = lane.tag.load(Ordering::Acquire);
    if held == number {
        return;
    }
    let before = lane.used.load(Ordering::Acquire);
    if lane
        .tag
        .compare_exchange(held, number, Ordering::AcqRel, Ordering::Acquire)
        .is_ok()
    {
        lane.used.fetch_sub(before, Ordering::AcqRel);
    }
}

fn wait_ms(limit: &Limit, now: &Moment, used: i64, amount: u64) -> Option<u64> {
    if signed(amount) > most(limit) {
        return None;
    }
    match limit.window {
        Window::None => None,
        Window::Refill { per_ms, .. } => {
            let over = used.saturating_add(signed(amount)).saturating_sub(most(limit));
            Some(ms_for(over.unsigned_abs(), limit.amount, per_ms))
        }
        Window::Calendar(period) => Some(now.today.period(period).ends_unix_ms.saturating_sub(now.unix_ms)),
    }
}

/// How long it takes for so many units to flow off, at most.
fn ms_for(units: u64, amount: u64, per_ms: u64) -> u64 {
    let ms = (u128::from(units) * u128::from(per_ms)).div_ceil(u128::from(amount.max(1)));
    u64::try_from(ms).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "bucket_tests.rs"]
mod tests;
