//! One limit as a node holds it: how large its lease should be, what goes back, and what the store is told.

use tollgate_config::document::{Limit, LimitMode, Period, Unit, Window};

use super::{
    claim::Claim,
    marks::Mark,
    wire::{Answer, Entry, Kind, MOST_UNITS},
};
use crate::limits::{
    atomic::Ordering,
    balances::Balances,
    bucket::{self, Moment},
    leased_cells,
    shared::Place,
    sweep,
};

/// Of what may be had a node holds this part of its share where it is idle.
const IDLE_PART: u64 = 4;
/// A lease lasts for so many reviews at the rate of late.
const REVIEWS_AHEAD: u64 = 4;
/// Without a change for so long a limit is idle.
const IDLE_MS: u64 = 1_000;
/// Others lack it: what is idle goes back, and is not asked for again so soon.
const RECALLED_MS: u64 = 2_000;
/// Where there was not enough it is not asked for again sooner, whoever is refused meanwhile.
const STARVED_MS: u64 = 50;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// What nobody asks about is forgotten by the store after so long, beyond the time in which all of it flows off, or its period:
/// should the store's clock step, or a node come back late.
const KEPT_MS: u64 = 7 * DAY_MS;

/// Who used what of a calendar's limit is asked for so often: it is as long as there are nodes.
const NAMES_MS: u64 = 2_000;

/// Between two notes that a balance is worth something: far less than the slack that a sweep gives it.
const KEEP_MS: u64 = 30 * 60_000;

/// A limit's number, and the tag of its lease.
pub(super) type Key = (u64, u64);

#[derive(Debug)]
pub(super) struct Held {
    pub limit: Limit,
    key: Key,
    /// Of what was granted, what the node granted itself.
    pub extra: u64,
    /// What of the node's own use the store knows.
    told: u64,
    /// What was heard when something was last granted.
    claim: Claim,
    /// What the lease has of the epoch in which something was last granted.
    mark: u64,
    /// The epoch of the store's last answer.
    pub epoch: u64,
    /// The table has no room for it, or a later period has its place: it has nothing to tell.
    pub is_mute: bool,
    pub pool: u64,
    seen: u64,
    /// Used between two reviews, of late.
    recent: u64,
    active_until_ms: u64,
    recalled_until_ms: u64,
    lacks_until_ms: u64,
    pub need: u64,
    /// There was not enough a moment ago.
    pub quiet_until_ms: u64,
    /// All of it goes back: it is not limited any more, or less than what a call needs.
    release: bool,
    pub doomed: bool,
    /// Of a revision; the others are of tags.
    pub is_known: bool,
    pub due_ms: u64,
    /// Who used what is asked for from then on.
    asks_from_ms: u64,
    /// By the store's clock: then it is noted again that the balance is worth something.
    keep_unix_ms: u64,
}

/// What was said of a limit, until it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub key: Key,
    lane_used: u64,
    used: u64,
    needs_more: bool,
    rest: u64,
    asks: bool,
}

/// How long a period is, with the hour that a zone's clock may be set back in it.
fn longest_ms(period: Period) -> u64 {
    let days = match period {
        Period::Day => 1,
        Period::Week => 7,
        Period::Month => 31,
        Period::Quarter => 92,
        Period::Year => 366,
    };
    days * DAY_MS + HOUR_MS
}

impl Held {
    /// Goes on with the lease that lies in the balances, where it is of this tag. `kept`: the group's. `None`: the table is full.
    pub fn new(balances: &Balances, key: Key, limit: Limit, (kept, now_ms): (Mark, u64)) -> Option<Self> {
        let place = Place::new(balances, key.0, &limit, key.1)?;
        place.begin(&limit);
        let lease = &place.lease;
        let (mut told, mut told_then, mut used_then, mut mark) = (0, 0, 0, 0);
        if lease.tag.load(Ordering::Acquire) == key.1 {
            told = place.lane.used().saturating_sub(lease.burned.load(Ordering::Acquire));
            told_then = place.heard().unwrap_or(told);
            used_then = lease.others.load(Ordering::Acquire).wrapping_add(told_then);
            mark = lease.epoch_mark();
        } else {
            place.lease_anew();
        }
        let used_then = if used_then > u64::MAX / 2 { told_then } else { used_then };
        Some(Self {
            pool: bucket::most(&limit),
            limit,
            key,
            extra: 0,
            told,
            claim: Claim::of_before(kept.epoch_of(mark), (used_then, told_then), now_ms),
            mark,
            epoch: 0,
            is_mute: false,
            seen: told,
            recent: 0,
            active_until_ms: now_ms,
            recalled_until_ms: 0,
            lacks_until_ms: 0,
            need: 0,
            quiet_until_ms: 0,
            release: false,
            doomed: false,
            is_known: false,
            due_ms: u64::MAX,
            asks_from_ms: 0,
            keep_unix_ms: 0,
        })
    }

    /// Its cells stay as long as it is held, and then until what is used of it is of no account any more.
    pub fn keep(&mut self, balances: &Balances, moment: &Moment) {
        if moment.unix_ms < self.keep_unix_ms {
            return;
        }
        if let Some(cell) = leased_cells::balance(balances, self.key.0) {
            sweep::keep_shared(balances, cell, (&self.limit, moment));
            self.keep_unix_ms = moment.unix_ms + KEEP_MS;
        }
    }

    fn place<'b>(&self, balances: &'b Balances) -> Option<Place<'b>> {
        Place::new(balances, self.key.0, &self.limit, self.key.1)
    }

    pub fn is_active(&self, now_ms: u64) -> bool {
        now_ms < self.active_until_ms
    }

    pub fn is_idle_for(&self, span_ms: u64, now_ms: u64) -> bool {
        self.active_until_ms.saturating_add(span_ms) < now_ms
    }

    pub fn wake(&mut self, now_ms: u64) {
        self.active_until_ms = now_ms + IDLE_MS;
    }

    pub fn recall(&mut self, now_ms: u64) {
        // Who lacks it as well holds nothing back: it may be its own call that it hears.
        if now_ms < self.lacks_until_ms {
            return;
        }
        self.recalled_until_ms = now_ms + RECALLED_MS;
    }

    fn is_shadow(&self) -> bool {
        self.limit.mode == LimitMode::Shadow
    }

    /// How much is to lie ready, of what could be had among so many nodes.
    fn target(&self, nodes: u64, rest: u64, now_ms: u64) -> u64 {
        if self.doomed || self.release || self.is_shadow() {
            return 0;
        }
        let most = bucket::most(&self.limit);
        let ahead = self.recent.saturating_mul(REVIEWS_AHEAD);
        if now_ms < self.recalled_until_ms {
            return ahead.min(most) / 2;
        }
        let flowed = match self.limit.window {
            Window::Refill { per_ms, .. } => bucket::flowed((self.claim.at_ms, now_ms), self.limit.amount, per_ms),
            Window::Calendar(_) | Window::None => 0,
        };
        let could = self.pool.saturating_add(rest).saturating_add(flowed).min(most);
        let share = could / (IDLE_PART * nodes.max(1));
        let one = u64::from(matches!(self.limit.unit, Unit::Requests | Unit::Concurrent) && could > 0);
        share.max(one).max(ahead).min(most)
    }

    /// What the table lost of it is put back: the store is never told of a smaller use because of that. False: the lease that
    /// lies there is of a later period.
    fn mend(&mut self, place: &Place<'_>) -> bool {
        match place.lease.tag.load(Ordering::Acquire) {
            tag if tag == self.key.1 => true,
            0 => {
                place.begin(&self.limit);
                place.lane.add(self.told);
                self.extra = 0;
                place.lease_anew();
                true
            }
            _ => false,
        }
    }

    /// Gives back what is not needed, and says how it stands. `None`: the table is full, or its period is over.
    pub fn say(&mut self, balances: &Balances, (nodes, epoch): (u64, u64), now_ms: u64) -> Option<(Entry, Said)> {
        let place = self.place(balances)?;
        if !self.mend(&place) {
            return None;
        }
        let lease = &place.lease;
        // Whoever is refused, or changes what we are about to look away from, calls from here on.
        match self.is_active(now_ms) {
            true => place.fed(),
            false => place.rest(),
        }
        let granted = lease.granted.load(Ordering::Acquire);
        let mut burned = lease.burned.load(Ordering::Acquire);
        let mut lane_used = place.lane.used();
        let used = lane_used.saturating_sub(burned);
        let change = used.abs_diff(self.seen);
        if change > 0 {
            self.wake(now_ms);
        }
        self.seen = used;
        self.recent = change.max(self.recent - self.recent.div_ceil(4));
        let rest = granted.saturating_sub(self.extra).saturating_sub(lane_used);
        let target = self.target(nodes, rest, now_ms);
        let is_wanted = now_ms < self.recalled_until_ms || self.doomed || self.release || !self.is_active(now_ms);
        let back = match is_wanted || rest > target.saturating_mul(2) {
            true => rest.saturating_sub(target),
            false => 0,
        };
        // As a call takes: nobody can use it from here on, and what is in use stays.
        if back > 0 && place.lane.take(back, granted).is_ok() {
            burned += back;
            lease.burned.store(burned, Ordering::Release);
            lane_used = place.lane.used();
        }
        let used = lane_used.saturating_sub(burned);
        let rest = granted.saturating_sub(self.extra).saturating_sub(lane_used);
        let low = if self.is_shadow() { 0 } else { (target / 2).max(1) };
        lease.set_low(low, self.mark);
        self.release = false;
        let needs = std::mem::take(&mut self.need);
        let need = needs.saturating_sub(rest);
        let want = target.saturating_sub(rest).max(need);
        let entry = self.entry((used, rest), (want, need), epoch, now_ms);
        let said = Said {
            key: self.key,
            lane_used,
            used,
            needs_more: need > 0,
            rest,
            asks: entry.asks,
        };
        Some((entry, said))
    }

    fn entry(&self, (used, rest): (u64, u64), (want, need): (u64, u64), epoch: u64, now_ms: u64) -> Entry {
        let (kind, period, counts_ms) = match self.limit.window {
            Window::None => (Kind::Concurrent, 0, 0),
            Window::Refill { per_ms, .. } => (
                Kind::Refill {
                    amount: self.limit.amount,
                    per_ms,
                },
                0,
                per_ms.saturating_mul(2),
            ),
            Window::Calendar(period) => (Kind::Calendar, self.key.1, longest_ms(period)),
        };
        let claim = (kind != Kind::Concurrent && !self.claim.is_of(epoch)).then_some(&self.claim);
        let told = match kind {
            Kind::Concurrent => 0,
            _ => claim.map_or(self.told, |claim| claim.told),
        };
        Entry {
            id: self.key.0,
            period,
            kind,
            exact: self.limit.is_hard() || matches!(self.limit.unit, Unit::Requests),
            most: bucket::most(&self.limit).min(MOST_UNITS),
            ttl_ms: KEPT_MS.saturating_add(counts_ms),
            used,
            told,
            // Of a bucket: what flowed off is on a grid, which the store goes on with from now; not a unit sooner.
            claim: claim.map_or(0, |claim| claim.used.min(self.used_by(now_ms).saturating_add(1))),
            heard: claim
                .filter(|_| kind == Kind::Calendar)
                .and_then(|claim| claim.heard.clone()),
            rest,
            want,
            need,
            asks: kind == Kind::Calendar && (self.claim.is_unnamed(epoch) || now_ms >= self.asks_from_ms),
        }
    }

    /// What the cluster has used by what was known last.
    pub fn used_by(&self, now_ms: u64) -> u64 {
        let Claim { used, at_ms, .. } = self.claim;
        match self.limit.window {
            Window::Refill { per_ms, .. } => {
                used.saturating_sub(bucket::flowed((at_ms, now_ms), self.limit.amount, per_ms))
            }
            Window::Calendar(_) | Window::None => used,
        }
    }

    /// Takes what was granted into the lease. True: there was not enough. `mark`: all have told what they hold in this epoch, and
    /// this stands for it; else the store knows of a part.
    pub fn take(
        &mut self,
        balances: &Balances,
        (said, answer): (&Said, Answer),
        (epoch, mark, unix_ms): (u64, Option<u64>, u64),
        now_ms: u64,
    ) -> bool {
        let Some(place) = self.place(balances) else {
            return false;
        };
        let lease = &place.lease;
        (self.epoch, self.told) = (epoch, said.used);
        let Some(mark) = mark else { return false };
        let (granted, starved) = (answer.granted, answer.starved);
        self.pool = answer.pool;
        lease
            .others
            .store(answer.used.wrapping_sub(said.used), Ordering::Release);
        place.set_heard(Some(said.used));
        lease.pool.store(answer.pool, Ordering::Release);
        if said.asks {
            self.asks_from_ms = now_ms + NAMES_MS;
        }
        let before = std::mem::take(&mut self.claim);
        self.claim = before.after((epoch, said.asks), answer, said.used, now_ms);
        self.mark = mark;
        lease.set_epoch_mark(mark);
        if matches!(self.limit.window, Window::Refill { .. }) {
            place.lane.tag.store(unix_ms, Ordering::Release);
        }
        if granted > 0 {
            let before = lease.granted.load(Ordering::Acquire);
            let leased = before.saturating_sub(self.extra).max(said.lane_used);
            let all = leased.saturating_add(granted).saturating_add(self.extra);
            lease.granted.fetch_max(all, Ordering::AcqRel);
        }
        // Too little for the call that asked is of use to others' calls.
        self.release = starved && said.needs_more && said.rest > 0;
        if starved {
            self.quiet_until_ms = now_ms + STARVED_MS;
            self.lacks_until_ms = now_ms + RECALLED_MS;
        }
        starved
    }

    pub fn is_releasing(&self) -> bool {
        self.release
    }

    /// What the node grants itself.
    pub fn grant_self(&mut self, balances: &Balances, amount: u64) {
        let Some(place) = self.place(balances).filter(|_| !self.is_shadow()) else {
            return;
        };
        let granted = place.lease.granted.load(Ordering::Acquire).max(place.lane.used());
        place
            .lease
            .granted
            .fetch_max(granted.saturating_add(amount), Ordering::AcqRel);
        self.extra = self.extra.saturating_add(amount);
    }

    /// The store is back: what is left of that is void.
    pub fn end_self_grant(&mut self, balances: &Balances) {
        let Some(place) = self.place(balances).filter(|_| self.extra > 0) else {
            return;
        };
        let granted = place.lease.granted.load(Ordering::Acquire);
        loop {
            let back = granted.saturating_sub(place.lane.used()).min(self.extra);
            if back == 0 {
                break;
            }
            // A call that was quicker has used some of it.
            if place.lane.take(back, granted).is_ok() {
                place.lease.burned.fetch_add(back, Ordering::AcqRel);
                break;
            }
        }
        self.extra = 0;
    }

    /// What the node used that the store has not answered for when something was last granted.
    pub fn untold(&self, balances: &Balances) -> u64 {
        let Some(place) = self.place(balances) else { return 0 };
        let burned = place.lease.burned.load(Ordering::Acquire);
        place.lane.used().saturating_sub(burned).saturating_sub(self.claim.told)
    }

    /// Granted and not used, what it granted itself included.
    pub fn rest(&self, balances: &Balances) -> u64 {
        let Some(place) = self.place(balances) else { return 0 };
        let granted = place.lease.granted.load(Ordering::Acquire);
        granted.saturating_sub(place.lane.used())
    }
}
