//! One limit's arithmetic on its cell: whole numbers, exact over any number of threads.
//!
//! What is used of a bucket flows off on an absolute grid: up to the millisecond `t` floor(t × amount ÷ period) units have
//! flowed, so that however often it is looked at not one unit is lost or won. A token bucket that counts what is used
//! rather than what is left (RFC 2697 has the other one), so that a burst that changes keeps what was used.

use tollgate_config::document::{Limit, Window};

use super::{
    balances::{Balances, Cell},
    calendar::Today,
    lane::Lane,
    shared, sweep,
};

/// Taken from a limit: what goes back, or is added, when it is known what was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub amount: u64,
    /// Of the lane that it was taken from.
    tag: u64,
    at_unix_ms: u64,
    /// Of the balance that nodes share, else of the node's own: `cluster` may be turned on or off while a call is under way.
    is_shared: bool,
}

impl Taken {
    /// So much of it, as if it had been taken now.
    pub fn part(self, amount: u64, now: &Moment) -> Self {
        Self {
            amount,
            at_unix_ms: now.unix_ms,
            ..self
        }
    }

    /// Of the same period, and balance.
    pub fn is_beside(&self, other: &Taken) -> bool {
        (self.tag, self.is_shared) == (other.tag, other.is_shared)
    }
}

/// Why there is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lacking {
    /// Until it may pass; `None`: so much never will, or nobody knows.
    pub wait_ms: Option<u64>,
    /// The limit has room, and what this node holds of it has not: it will have more soon.
    pub is_early: bool,
}

/// A full table refuses: what cannot be counted is not granted. It has room again once balances that are worth nothing are
/// given back.
pub(crate) const NO_ROOM: Lacking = Lacking {
    wait_ms: Some(60_000),
    is_early: false,
};

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

    /// Used beyond the limit: nothing passes until it has flowed off, or its period is over.
    pub fn debt(&self) -> u64 {
        self.used.saturating_sub(self.limit)
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
    if let Some(sharing) = balances.shared() {
        let tag = shared::take(sharing, balances, (id, limit), now, amount)?;
        return Ok(taken(amount, (tag, true), now));
    }
    let cell = balances.cell(id).ok_or(NO_ROOM)?;
    let (lane, tag) = lane(balances, cell, limit, now);
    match lane.take(amount, most(limit)) {
        Ok(()) => {
            sweep::keep(balances, cell, (limit, now), most(limit));
            Ok(taken(amount, (tag, false), now))
        }
        Err(used) => Err(Lacking {
            wait_ms: wait_ms(limit, now, used, amount),
            is_early: false,
        }),
    }
}

/// What was taken is taken although it was not granted: a limit that only watches.
pub(crate) fn note(balances: &Balances, (id, limit): (u64, &Limit), now: &Moment, amount: u64) -> Option<Taken> {
    // A call may bound its answer to any number: a balance that has lost count would be wiped when it settles.
    let amount = amount.min(most(limit));
    if let Some(sharing) = balances.shared() {
        let tag = shared::note(sharing, balances, (id, limit), now, amount)?;
        return Some(taken(amount, (tag, true), now));
    }
    let cell = balances.cell(id)?;
    let (lane, tag) = lane(balances, cell, limit, now);
    lane.add(amount);
    sweep::keep(balances, cell, (limit, now), lane.used());
    Some(taken(amount, (tag, false), now))
}

/// Takes more for a call that goes on; what is not there is refused, but where other nodes' leases leave enough of the limit:
/// then it is taken beyond this node's own.
pub(crate) fn extend(
    balances: &Balances,
    (id, limit): (u64, &Limit),
    now: &Moment,
    amount: u64,
) -> Result<Taken, Lacking> {
    let lacking = match take(balances, (id, limit), now, amount) {
        Err(lacking) if lacking.is_early => lacking,
        taken => return taken,
    };
    let reach = balances
        .shared()
        .map(|_| shared::within_reach(balances, (id, limit), now));
    match reach.is_some_and(|reach| reach >= amount) {
        true => note(balances, (id, limit), now, amount).ok_or(lacking),
        false => Err(lacking),
    }
}

fn taken(amount: u64, (tag, is_shared): (u64, bool), now: &Moment) -> Taken {
    Taken {
        amount,
        tag,
        at_unix_ms: now.unix_ms,
        is_shared,
    }
}

/// Puts what was really used in the place of what was taken, in the balance that it was taken from. Where `cluster` was turned
/// on or off meanwhile it counts in the other one as well, which had not heard of the call.
pub(crate) fn settle(balances: &Balances, (id, limit): (u64, &Limit), now: &Moment, taken: Taken, used: u64) {
    if taken.is_shared != balances.shared().is_some() && used > 0 && limit.window != Window::None {
        let _ = note(balances, (id, limit), now, used);
    }
    let (more, back) = (used.saturating_sub(taken.amount), taken.amount.saturating_sub(used));
    if !taken.is_shared && more == 0 && back == 0 {
        return;
    }
    if taken.is_shared {
        let back = match limit.window {
            Window::Refill { per_ms, .. } => {
                back.saturating_sub(flowed((taken.at_unix_ms, now.unix_ms), limit.amount, per_ms))
            }
            Window::Calendar(_) | Window::None => back,
        };
        return shared::settle(balances.sharing(), balances, (id, limit), now, (taken.tag, more, back));
    }
    let Some(cell) = balances.find(id) else { return };
    match limit.window {
        Window::Calendar(_) => {
            let then = cell.lane(taken.tag);
            if then.tag() == taken.tag {
                change(then, more, back);
            } else if more > 0 {
                // The period is over: what went beyond the estimate counts in the next.
                lane(balances, cell, limit, now).0.add(more);
            }
        }
        Window::Refill { per_ms, .. } => {
            // What flowed off meanwhile has come back already, as far as it goes.
            let back = match back {
                0 => 0,
                back => back.saturating_sub(flowed((taken.at_unix_ms, now.unix_ms), limit.amount, per_ms)),
            };
            let lane = lane(balances, cell, limit, now).0;
            change(lane, more, back);
            if more > 0 {
                sweep::keep(balances, cell, (limit, now), lane.used());
            }
        }
        Window::None => change(lane(balances, cell, limit, now).0, more, back),
    }
}

pub(super) fn change(lane: Lane<'_>, more: u64, back: u64) {
    if more > 0 {
        lane.add(more);
    }
    if back > 0 {
        lane.give_back(back);
    }
}

pub(crate) fn level(balances: &Balances, named: (u64, &Limit), now: &Moment) -> Level {
    level_of(named.1, now, used(balances, named, now))
}

/// How much of it is used now.
pub(super) fn used(balances: &Balances, (id, limit): (u64, &Limit), now: &Moment) -> u64 {
    if balances.shared().is_some() {
        return shared::used(balances, (id, limit), now);
    }
    balances
        .find(id)
        .map_or(0, |cell| lane(balances, cell, limit, now).0.used())
}

fn remaining(balances: &Balances, named: (u64, &Limit), now: &Moment) -> u64 {
    most(named.1).saturating_sub(used(balances, named, now))
}

/// What a call may count on: of a limit that nodes share more than this node holds may be had soon.
pub(crate) fn within_reach(balances: &Balances, named: (u64, &Limit), now: &Moment) -> u64 {
    match balances.shared() {
        None => remaining(balances, named, now),
        Some(_) => shared::within_reach(balances, named, now),
    }
}

/// What can be taken now.
pub(crate) fn at_hand(balances: &Balances, named: (u64, &Limit), now: &Moment) -> u64 {
    match balances.shared() {
        None => remaining(balances, named, now),
        Some(sharing) => shared::at_hand(sharing, balances, named, now),
    }
}

pub(super) fn level_of(limit: &Limit, now: &Moment, used: u64) -> Level {
    let reset_ms = match limit.window {
        Window::None => 0,
        Window::Refill { per_ms, .. } => ms_for(used, limit.amount, per_ms),
        Window::Calendar(period) => now.today.period(period).ends_unix_ms.saturating_sub(now.unix_ms),
    };
    Level {
        limit: most(limit),
        used,
        reset_ms,
    }
}

pub(super) fn most(limit: &Limit) -> u64 {
    match limit.window {
        Window::Refill { burst, .. } => burst,
        Window::Calendar(_) | Window::None => limit.amount,
    }
}

/// The lane in force, brought up to now, and its tag.
fn lane<'c>(balances: &Balances, cell: &'c Cell, limit: &Limit, now: &Moment) -> (Lane<'c>, u64) {
    match limit.window {
        Window::None => {
            let lane = cell.lane(0);
            lane.begin_anew(balances.process());
            (lane, 0)
        }
        Window::Refill { per_ms, .. } => {
            let lane = cell.lane(0);
            lane.refill(now.unix_ms, |from, until| flowed((from, until), limit.amount, per_ms));
            (lane, 0)
        }
        Window::Calendar(period) => {
            let number = now.today.period(period).number;
            // Two periods side by side, so that calls which began in the last one settle there.
            let lane = cell.lane(number);
            lane.begin_anew(number);
            (lane, number)
        }
    }
}

/// How many units flow off between two moments.
pub(super) fn flowed((from, until): (u64, u64), amount: u64, per_ms: u64) -> u64 {
    let all = |until: u64| u128::from(until) * u128::from(amount) / u128::from(per_ms.max(1));
    u64::try_from(all(until).saturating_sub(all(from))).unwrap_or(u64::MAX)
}

pub(super) fn wait_ms(limit: &Limit, now: &Moment, used: u64, amount: u64) -> Option<u64> {
    if amount > most(limit) {
        return None;
    }
    match limit.window {
        Window::None => None,
        Window::Refill { per_ms, .. } => {
            let over = used.saturating_add(amount).saturating_sub(most(limit));
            Some(ms_for(over, limit.amount, per_ms))
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
