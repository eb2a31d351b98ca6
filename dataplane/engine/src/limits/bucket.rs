//! One limit's arithmetic on its cell: whole numbers, exact over any number of threads.
//!
//! What is used of a bucket flows off on a grid: `t` milliseconds after it was empty last floor(t × amount ÷ period) units have
//! flowed, so that however often it is looked at not one unit is lost or won, and in no time more passes than the burst and what
//! flows in that time. A token bucket that counts what is used rather than what is left (RFC 2697 has the other one), so that a
//! burst that changes keeps what was used.

use tollgate_config::document::{Limit, Window};

use super::{
    balances::{Balances, Cell},
    calendar::Today,
    lane::{Flow, Lane},
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
            at_unix_ms: now.unix_ms.max(self.at_unix_ms),
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
        return Ok(of_all_nodes(amount, tag, now));
    }
    let cell = balances.cell(id).ok_or(NO_ROOM)?;
    let current = current(balances, cell, limit, now);
    match current.lane.take(amount, most(limit)) {
        Ok(()) => {
            sweep::keep(balances, cell, (limit, now), most(limit));
            Ok(current.taken(amount))
        }
        Err(used) => Err(Lacking {
            wait_ms: wait_ms(limit, now, (used, amount), Some(current.flow)),
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
        return Some(of_all_nodes(amount, tag, now));
    }
    let cell = balances.cell(id)?;
    let current = current(balances, cell, limit, now);
    current.lane.add(amount);
    sweep::keep(balances, cell, (limit, now), current.lane.used());
    Some(current.taken(amount))
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

fn of_all_nodes(amount: u64, tag: u64, now: &Moment) -> Taken {
    Taken {
        amount,
        tag,
        at_unix_ms: now.unix_ms,
        is_shared: true,
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
                current(balances, cell, limit, now).lane.add(more);
            }
        }
        Window::Refill { per_ms, .. } => {
            let Current { lane, flow, .. } = current(balances, cell, limit, now);
            // What flowed off meanwhile has come back already, as far as it goes.
            let back = match back {
                0 => 0,
                back => back.saturating_sub(flowed_since(taken.at_unix_ms, flow, (limit.amount, per_ms))),
            };
            change(lane, more, back);
            if more > 0 {
                sweep::keep(balances, cell, (limit, now), lane.used());
            }
        }
        Window::None => change(current(balances, cell, limit, now).lane, more, back),
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
        .map_or(0, |cell| current(balances, cell, limit, now).lane.used())
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

/// The lane in force, brought up to now.
struct Current<'c> {
    lane: Lane<'c>,
    tag: u64,
    /// Where it is no bucket it is now, and nothing flows.
    flow: Flow,
}

impl Current<'_> {
    /// By the lane's own clock: that of a shard may be behind.
    fn taken(&self, amount: u64) -> Taken {
        Taken {
            amount,
            tag: self.tag,
            at_unix_ms: self.flow.until_ms,
            is_shared: false,
        }
    }
}

fn current<'c>(balances: &Balances, cell: &'c Cell, limit: &Limit, now: &Moment) -> Current<'c> {
    let flow = Flow {
        begun_ms: now.unix_ms,
        until_ms: now.unix_ms,
    };
    match limit.window {
        Window::None => {
            let lane = cell.lane(0);
            lane.begin_anew(balances.process());
            Current { lane, tag: 0, flow }
        }
        Window::Refill { per_ms, .. } => {
            let bucket = cell.bucket();
            Current {
                lane: bucket.lane,
                tag: 0,
                flow: bucket.refill(now.unix_ms, |span_ms| flowed((0, span_ms), limit.amount, per_ms)),
            }
        }
        Window::Calendar(period) => {
            let tag = now.today.period(period).number;
            // Two periods side by side, so that calls which began in the last one settle there.
            let lane = cell.lane(tag);
            lane.begin_anew(tag);
            Current { lane, tag, flow }
        }
    }
}

/// How many units flow off between two moments of a grid.
pub(super) fn flowed((from, until): (u64, u64), amount: u64, per_ms: u64) -> u64 {
    let all = |until: u64| u128::from(until) * u128::from(amount) / u128::from(per_ms.max(1));
    u64::try_from(all(until).saturating_sub(all(from))).unwrap_or(u64::MAX)
}

/// How much of what was taken then has flowed off since.
fn flowed_since(taken_ms: u64, flow: Flow, (amount, per_ms): (u64, u64)) -> u64 {
    match taken_ms.checked_sub(flow.begun_ms) {
        Some(from) => flowed((from, flow.until_ms.saturating_sub(flow.begun_ms)), amount, per_ms),
        // It was empty since, so all of it has: on a former grid, of which nobody knows more than that it is no more than this.
        None => ms_for(flow.until_ms.saturating_sub(taken_ms), per_ms, amount),
    }
}

/// Until there is room; of a bucket of which nobody knows where its grid begins, at most.
pub(super) fn wait_ms(limit: &Limit, now: &Moment, (used, amount): (u64, u64), flow: Option<Flow>) -> Option<u64> {
    if amount > most(limit) {
        return None;
    }
    match limit.window {
        Window::None => None,
        Window::Refill { per_ms, .. } => {
            let over = used.saturating_add(amount).saturating_sub(most(limit));
            let Some(flow) = flow else {
                return Some(ms_for(over, limit.amount, per_ms));
            };
            let flowed = flowed((0, flow.until_ms.saturating_sub(flow.begun_ms)), limit.amount, per_ms);
            let there_ms = ms_for(flowed.saturating_add(over), limit.amount, per_ms);
            Some(flow.begun_ms.saturating_add(there_ms).saturating_sub(now.unix_ms))
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
