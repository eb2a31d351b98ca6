//! One limit's arithmetic where nodes share it: a node grants no more than its lease, which the cluster's agent makes larger
//! and smaller beside the calls. Nothing here waits for it: a call that the lease has no room for is refused, and the agent
//! is called.
//!
//! `granted` only grows: all that the node may ever have taken of the limit's lane. What goes back to the cluster is taken
//! from the lane as a call takes (`burned`), so that a hand that read an older `granted` can never use what was given back.

use tollgate_config::document::{Limit, LimitMode, Period, Unit, Window};

use super::{
    atomic::{AtomicU64, Ordering},
    balances::{Balances, Cell},
    bucket::{self, Lacking, Moment, NO_ROOM},
    lane::Lane,
    leased_cells,
};

/// Parts of the store that answer each for themselves: a slot of a Redis Cluster each.
pub const MAX_GROUPS: usize = 16;
/// Limits that wait for the agent; what does not fit calls again with its next call.
const MAX_CALLS: usize = 512;
/// Places that a call for the agent looks for room at.
const CALL_PROBES: usize = 8;
/// Until a lease has grown, where the store answers.
const SOON_MS: u64 = 50;
/// Where it does not.
const AWAY_MS: u64 = 1_000;
/// The tag of a lease that is of no period.
const ENDLESS: u64 = 1;

/// In a lease's state, below the process's number.
const ACTIVE: u64 = 1;
const HUNGRY: u64 = 2;
/// A call was refused: more than running low.
const SHORT: u64 = 4;
const PROCESS_SHIFT: u32 = 3;
/// Amounts that nodes share are below 2^53.
const LOW_BITS: u32 = 54;
const MOST_LOW: u64 = (1 << LOW_BITS) - 1;

/// What a group's leases are worth now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What was granted is granted; also where the node grants itself a share of what it last knew of.
    #[default]
    Leased,
    /// The store has not been heard for longer than it keeps leases.
    Refuse,
    /// The store is away, and each node grants the whole limit.
    Allow,
}

/// Beside the cells: how the leases of this process stand.
#[derive(Debug)]
pub struct Sharing {
    modes: [AtomicU64; MAX_GROUPS],
    /// Zero: nothing is shared now.
    groups: AtomicU64,
    /// What is to be added to this machine's clock, so that periods begin on all nodes when the store says; wraps below zero.
    skew_ms: AtomicU64,
    calls: Box<[Slot]>,
    next: AtomicU64,
    called: AtomicU64,
}

#[derive(Debug, Default)]
struct Slot {
    /// 0: free, 1: being written, 2: waits.
    state: AtomicU64,
    words: [AtomicU64; 7],
}

/// The agent is wanted for a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub id: u64,
    /// Of the lease.
    pub tag: u64,
    pub limit: Limit,
    /// A call was refused that needs so much at once; zero: the lease only runs low.
    pub need: u64,
}

impl Default for Sharing {
    fn default() -> Self {
        Self {
            modes: std::array::from_fn(|_| AtomicU64::new(0)),
            groups: AtomicU64::new(0),
            skew_ms: AtomicU64::new(0),
            calls: (0..MAX_CALLS).map(|_| Slot::default()).collect(),
            next: AtomicU64::new(0),
            called: AtomicU64::new(0),
        }
    }
}

impl Sharing {
    pub fn is_on(&self) -> bool {
        self.groups.load(Ordering::Relaxed) > 0
    }

    /// From now on limits are shared, by so many groups.
    pub fn turn_on(&self, groups: usize) {
        self.groups.store(groups.clamp(1, MAX_GROUPS) as u64, Ordering::Release);
    }

    /// Limits are the node's own again.
    pub fn turn_off(&self) {
        self.groups.store(0, Ordering::Release);
        for mode in &self.modes {
            mode.store(Mode::Leased as u64, Ordering::Relaxed);
        }
        self.skew_ms.store(0, Ordering::Relaxed);
    }

    pub fn group_of(&self, id: u64) -> usize {
        (id % self.groups.load(Ordering::Relaxed).max(1)) as usize
    }

    pub fn set_mode(&self, group: usize, mode: Mode) {
        if let Some(word) = self.modes.get(group) {
            word.store(mode as u64, Ordering::Release);
        }
    }

    fn mode(&self, id: u64) -> Mode {
        let word = self.modes.get(self.group_of(id));
        match word.map_or(0, |word| word.load(Ordering::Relaxed)) {
            word if word == Mode::Refuse as u64 => Mode::Refuse,
            word if word == Mode::Allow as u64 => Mode::Allow,
            _ => Mode::Leased,
        }
    }

    pub fn set_skew_ms(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms as u64, Ordering::Relaxed);
    }

    /// A moment of this machine's clock, as the store has it.
    pub fn unix_ms(&self, own: u64) -> u64 {
        let skew_ms = self.skew_ms.load(Ordering::Relaxed) as i64;
        own.saturating_add_signed(skew_ms)
    }

    /// False: there is no room.
    fn push(&self, call: &Call) -> bool {
        let first = self.next.fetch_add(1, Ordering::Relaxed) as usize;
        let slots = (0..CALL_PROBES).filter_map(|step| self.calls.get(first.wrapping_add(step) % MAX_CALLS));
        for slot in slots {
            let free = slot.state.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
            if free.is_ok() {
                for (word, value) in slot.words.iter().zip(call.words()) {
                    word.store(value, Ordering::Relaxed);
                }
                slot.state.store(2, Ordering::Release);
                self.called.store(1, Ordering::Release);
                return true;
            }
        }
        false
    }

    /// Somebody called since the last time.
    pub fn take_called(&self) -> bool {
        self.called.load(Ordering::Relaxed) != 0 && self.called.swap(0, Ordering::AcqRel) != 0
    }

    /// All that wait.
    pub fn calls(&self) -> impl Iterator<Item = Call> {
        self.calls.iter().filter_map(|slot| {
            if slot.state.load(Ordering::Acquire) != 2 {
                return None;
            }
            let words: [u64; 7] = std::array::from_fn(|at| slot.words[at].load(Ordering::Relaxed));
            slot.state.store(0, Ordering::Release);
            Call::of_words(words)
        })
    }
}

impl Call {
    fn words(&self) -> [u64; 7] {
        let limit = &self.limit;
        let (kind, per_ms, burst) = match limit.window {
            Window::None => (0, 0, 0),
            Window::Refill { per_ms, burst } => (1, per_ms, burst),
            Window::Calendar(period) => (2 + period as u64, 0, 0),
        };
        let unit = Unit::ALL.iter().position(|unit| *unit == limit.unit).unwrap_or(0) as u64;
        let shadow = u64::from(limit.mode == LimitMode::Shadow);
        let facts = unit | shadow << 8 | u64::from(limit.hard) << 9 | kind << 16;
        [self.id, self.tag, self.need, facts, limit.amount, per_ms, burst]
    }

    fn of_words([id, tag, need, facts, amount, per_ms, burst]: [u64; 7]) -> Option<Self> {
        let window = match facts >> 16 {
            0 => Window::None,
            1 => Window::Refill { per_ms, burst },
            period => Window::Calendar(*Period::ALL.get(period as usize - 2)?),
        };
        let mut limit = Limit::new(*Unit::ALL.get((facts & 0xff) as usize)?, amount, window);
        if facts & 1 << 8 != 0 {
            limit.mode = LimitMode::Shadow;
        }
        limit.hard = facts & 1 << 9 != 0;
        Some(Self { id, tag, limit, need })
    }
}

/// The words of a lease, in a cell of their own. Written by the agent, but for `state`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease<'c> {
    /// All that the node may have taken of the lane.
    pub granted: &'c AtomicU64,
    /// Of which period; of calls under way, of which process.
    pub tag: &'c AtomicU64,
    /// What the cluster had used at the store's last answer, less what this node had: wraps below zero.
    pub others: &'c AtomicU64,
    /// What nobody had leased then.
    pub pool: &'c AtomicU64,
    /// Of what was taken of the lane, what went back to the cluster.
    pub burned: &'c AtomicU64,
    /// The agent is called where less than this is left; above it, of which epoch `others` is.
    low: &'c AtomicU64,
    state: &'c AtomicU64,
}

/// Where a shared limit is counted now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'c> {
    /// Of a bucket nothing flows off it here, and its tag is when the store answered last, by its clock.
    pub lane: Lane<'c>,
    pub lease: Lease<'c>,
    /// What the lease has to have.
    pub tag: u64,
    /// Of a bucket, what of the node's own use `others` is without, and one: what it used since is told beside that.
    heard: Option<&'c AtomicU64>,
}

impl<'c> Place<'c> {
    /// `None`: the table is full.
    pub fn new(balances: &'c Balances, id: u64, limit: &Limit, tag: u64) -> Option<Self> {
        let at = match limit.window {
            Window::Calendar(_) => tag & 1,
            Window::Refill { .. } | Window::None => 0,
        };
        let (cell, lease) = leased_cells::made(balances, id, at)?;
        Some(Self {
            lane: cell.lane(at),
            lease: lease.lease(),
            tag,
            // A bucket has no second period.
            heard: matches!(limit.window, Window::Refill { .. }).then(|| cell.lane(1).tag),
        })
    }

    fn of(balances: &'c Balances, (id, limit): (u64, &Limit), now: &Moment) -> Option<Self> {
        let place = Self::new(balances, id, limit, tag(balances, limit, now))?;
        place.begin(limit);
        Some(place)
    }

    /// Nothing is granted, and what lay there is of no worth.
    pub fn lease_anew(&self) {
        let lease = &self.lease;
        lease.tag.store(0, Ordering::Release);
        self.set_heard(None);
        for word in [lease.granted, lease.others, lease.pool, lease.burned] {
            word.store(0, Ordering::Release);
        }
        lease.set_low(1, 0);
        lease.tag.store(self.tag, Ordering::Release);
    }

    /// With `others`.
    pub fn set_heard(&self, used: Option<u64>) {
        if let Some(word) = self.heard {
            word.store(used.map_or(0, |used| used.saturating_add(1)), Ordering::Release);
        }
    }

    pub fn heard(&self) -> Option<u64> {
        self.heard.and_then(|word| word.load(Ordering::Acquire).checked_sub(1))
    }

    /// What the lane holds of another period, or process, is over.
    pub fn begin(&self, limit: &Limit) {
        if !matches!(limit.window, Window::Refill { .. }) {
            self.lane.begin_anew(self.tag);
        }
    }

    fn is_leased(&self) -> bool {
        self.lease.tag.load(Ordering::Acquire) == self.tag
    }

    /// What may have been taken of the lane.
    fn most(&self, mode: Mode, limit: &Limit) -> u64 {
        match (mode, self.is_leased()) {
            (Mode::Refuse, _) | (Mode::Leased, false) => 0,
            (Mode::Allow, false) => bucket::most(limit),
            (_, true) => self.lease.granted.load(Ordering::Acquire),
        }
    }

    /// The agent is to look at this limit. `need`: a call was refused that needs so much.
    fn call(&self, sharing: &Sharing, balances: &Balances, (id, limit): (u64, &Limit), (hungry, need): (bool, u64)) {
        let bits = match (hungry, need) {
            (false, _) => ACTIVE,
            (true, 0) => ACTIVE | HUNGRY,
            (true, _) => ACTIVE | HUNGRY | SHORT,
        };
        let ours = balances.process() << PROCESS_SHIFT;
        let change = |state: u64| {
            let held = if state >> PROCESS_SHIFT == balances.process() {
                state
            } else {
                ours
            };
            (held & bits != bits).then_some(held | bits)
        };
        if change(self.lease.state.load(Ordering::Relaxed)).is_none() {
            return;
        }
        let changed = self
            .lease
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        if changed.is_err() {
            return;
        }
        let call = Call {
            id,
            tag: self.tag,
            limit: *limit,
            need,
        };
        if !sharing.push(&call) {
            // The next call tries again.
            self.lease.state.fetch_and(!bits, Ordering::AcqRel);
        }
    }

    /// Before the agent looks: whoever is refused from here on calls again.
    pub fn fed(&self) {
        self.lease.state.fetch_and(!(HUNGRY | SHORT), Ordering::AcqRel);
    }

    /// The agent looks away: the next change calls it.
    pub fn rest(&self) {
        self.lease.state.fetch_and(!(ACTIVE | HUNGRY | SHORT), Ordering::AcqRel);
    }

    fn used(&self, limit: &Limit, now: &Moment) -> u64 {
        let own = self.lane.used();
        let used = match self.is_leased() {
            false => own,
            true => {
                let own = own.saturating_sub(self.lease.burned.load(Ordering::Acquire));
                let used = self.lease.others.load(Ordering::Acquire).wrapping_add(own);
                // What others gave back meanwhile may be more than what they had used.
                if used > u64::MAX / 2 { 0 } else { used }
            }
        };
        match limit.window {
            Window::Refill { per_ms, .. } => {
                used.saturating_sub(bucket::flowed((self.lane.tag(), now.unix_ms), limit.amount, per_ms))
            }
            Window::Calendar(_) | Window::None => used,
        }
    }
}

impl Lease<'_> {
    pub fn set_low(&self, low: u64, epoch_mark: u64) {
        self.low
            .store(low.min(MOST_LOW) | epoch_mark << LOW_BITS, Ordering::Release);
    }

    pub fn set_epoch_mark(&self, epoch_mark: u64) {
        self.set_low(self.low(), epoch_mark);
    }

    pub fn epoch_mark(&self) -> u64 {
        self.low.load(Ordering::Acquire) >> LOW_BITS
    }

    fn low(&self) -> u64 {
        self.low.load(Ordering::Relaxed) & MOST_LOW
    }
}

impl Cell {
    pub(super) fn lease(&self) -> Lease<'_> {
        let [_, granted, tag, others, pool, burned, low, state] = self.words();
        Lease {
            granted,
            tag,
            others,
            pool,
            burned,
            low,
            state,
        }
    }
}

/// The tag that a lease of a limit has now.
pub(super) fn tag(balances: &Balances, limit: &Limit, now: &Moment) -> u64 {
    match limit.window {
        Window::None => balances.process(),
        Window::Refill { .. } => ENDLESS,
        Window::Calendar(period) => now.today.period(period).number,
    }
}

/// Of the lane that a call takes from: what settles it finds it by.
fn taken_of(limit: &Limit, place: &Place<'_>) -> u64 {
    match limit.window {
        Window::Calendar(_) => place.tag,
        Window::Refill { .. } | Window::None => 0,
    }
}

impl Balances {
    /// Where a limit is counted now, if it ever was used.
    pub(super) fn counted(&self, id: u64) -> Option<&Cell> {
        match self.shared() {
            None => self.find(id),
            Some(_) => leased_cells::balance(self, id),
        }
    }
}

pub(super) fn take(
    sharing: &Sharing,
    balances: &Balances,
    named: (u64, &Limit),
    now: &Moment,
    amount: u64,
) -> Result<u64, Lacking> {
    let place = Place::of(balances, named, now).ok_or(NO_ROOM)?;
    let mode = sharing.mode(named.0);
    let most = place.most(mode, named.1);
    match place.lane.take(amount, most) {
        Ok(()) => {
            touch(sharing, balances, named, &place);
            Ok(taken_of(named.1, &place))
        }
        Err(_) => {
            if amount <= bucket::most(named.1) {
                place.call(sharing, balances, named, (true, amount));
            }
            Err(lacking(&place, mode, named.1, now, amount))
        }
    }
}

/// Something has changed, and the agent has to know; at once, where little is left.
fn touch(sharing: &Sharing, balances: &Balances, named: (u64, &Limit), place: &Place<'_>) {
    // Of a call that began before `cluster` was turned off: nobody looks for what it leaves.
    if !sharing.is_on() {
        return;
    }
    let left = place
        .lease
        .granted
        .load(Ordering::Relaxed)
        .saturating_sub(place.lane.used());
    let is_low = named.1.mode == LimitMode::Enforce && left < place.lease.low();
    place.call(sharing, balances, named, (is_low, 0));
}

/// What is used is used, whatever the lease says.
pub(super) fn note(
    sharing: &Sharing,
    balances: &Balances,
    named: (u64, &Limit),
    now: &Moment,
    amount: u64,
) -> Option<u64> {
    let place = Place::of(balances, named, now)?;
    place.lane.add(amount);
    touch(sharing, balances, named, &place);
    Some(taken_of(named.1, &place))
}

/// `more` than was taken, or so much of it `back`.
pub(super) fn settle(
    sharing: &Sharing,
    balances: &Balances,
    named: (u64, &Limit),
    now: &Moment,
    (of, more, back): (u64, u64, u64),
) {
    let Some(place) = Place::of(balances, named, now) else {
        return;
    };
    match named.1.window {
        Window::Calendar(_) if of != place.tag => {
            let Some(then) = Place::new(balances, named.0, named.1, of) else {
                return;
            };
            if then.lane.tag() == of {
                bucket::change(then.lane, more, back);
                return touch(sharing, balances, named, &then);
            }
            // The period is over: what went beyond the estimate counts in the next.
            bucket::change(place.lane, more, 0);
        }
        _ => bucket::change(place.lane, more, back),
    }
    touch(sharing, balances, named, &place);
}

pub(super) fn used(balances: &Balances, named: (u64, &Limit), now: &Moment) -> u64 {
    if balances.counted(named.0).is_none() {
        // To look at what was never used takes no room.
        return 0;
    }
    Place::of(balances, named, now).map_or(0, |place| place.used(named.1, now))
}

/// What could be had: of the lease at once, and of what nobody has leased soon.
pub(super) fn within_reach(balances: &Balances, named: (u64, &Limit), now: &Moment) -> u64 {
    let Some(place) = Place::of(balances, named, now) else {
        return 0;
    };
    if !place.is_leased() {
        return bucket::most(named.1);
    }
    let left = place
        .lease
        .granted
        .load(Ordering::Acquire)
        .saturating_sub(place.lane.used());
    left.saturating_add(place.lease.pool.load(Ordering::Relaxed))
}

/// What the lease has room for at once.
pub(super) fn at_hand(sharing: &Sharing, balances: &Balances, named: (u64, &Limit), now: &Moment) -> u64 {
    let Some(place) = Place::of(balances, named, now) else {
        return 0;
    };
    let most = place.most(sharing.mode(named.0), named.1);
    most.saturating_sub(place.lane.used())
}

/// Refused: until when, and whether it is the limit or only the lease that has no room.
fn lacking(place: &Place<'_>, mode: Mode, limit: &Limit, now: &Moment, amount: u64) -> Lacking {
    let used = place.used(limit, now);
    let is_spent = used.saturating_add(amount) > bucket::most(limit) && place.is_leased();
    if is_spent || amount > bucket::most(limit) {
        return Lacking {
            wait_ms: bucket::wait_ms(limit, now, (used, amount), None),
            is_early: false,
        };
    }
    let wait_ms = match mode {
        Mode::Refuse => AWAY_MS,
        Mode::Leased | Mode::Allow => SOON_MS,
    };
    Lacking {
        wait_ms: Some(wait_ms),
        is_early: true,
    }
}
