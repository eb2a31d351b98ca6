//! Balances that are worth nothing any more go back to the table: of a bucket when all has flowed off, of a calendar when its
//! period is over, of calls under way when there are none. A limit that comes again begins with nothing used, which is what it
//! would have found.
//!
//! Two steps with a pause between them, in which every shard ends what it was about (`owner` says why); the shell sees to the
//! pause, and that no other process shares the memory meanwhile.

use tollgate_config::document::{Limit, Window};

use super::{
    Balances,
    atomic::{AtomicU64, Ordering},
    balances::Cell,
    bucket::{self, Moment},
    leased_cells,
};

/// Longer than any call: one that began under a balance finds it when it ends.
const SLACK_MINUTES: u64 = 25 * 60;
const MS_PER_MINUTE: u64 = 60_000;
/// Of a word: it is worth something as long as anything is used, too. Above it, the minute from which on it is worth nothing.
const WHILE_USED: u64 = 1;
/// Of a word: it is the balance of a limit that nodes share, and its leases are given back with it.
const SHARED: u64 = 1 << 63;

/// Cells that are marked.
#[derive(Debug, Default)]
pub struct Marked(Vec<u32>);

impl Marked {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How full the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    pub taken: u64,
    pub cells: u64,
}

impl Fill {
    /// Tags have clients' own words as values: new ones have no more than half of the table, so that limits of the document
    /// find room whatever clients say.
    pub fn is_half(&self) -> bool {
        self.taken >= self.cells / 2
    }
}

/// Notes until when a limit's cell is worth something, now that it is used. `used`: so much is.
pub(super) fn keep(balances: &Balances, cell: &Cell, (limit, now): (&Limit, &Moment), used: u64) {
    let Some(worth) = balances.worth(cell) else { return };
    let needed = until((limit, now), used);
    // Once an hour is enough: the slack is longer, and the word shares its line with those of others.
    if worth.load(Ordering::Relaxed) < needed {
        worth.fetch_max(needed + (60 << 1), Ordering::Relaxed);
    }
}

/// The same of a limit that nodes share, as long as this one holds it: of a bucket all may be used, elsewhere.
pub(super) fn keep_shared(balances: &Balances, cell: &Cell, (limit, now): (&Limit, &Moment)) {
    if let Some(worth) = balances.worth(cell) {
        worth.fetch_max(until((limit, now), bucket::most(limit)) | SHARED, Ordering::Relaxed);
    }
}

/// The word of a limit of which so much is used.
fn until((limit, now): (&Limit, &Moment), used: u64) -> u64 {
    let (until_ms, kind) = match limit.window {
        Window::None => (now.unix_ms, WHILE_USED),
        Window::Calendar(period) => (now.today.period(period).ends_unix_ms, 0),
        Window::Refill { per_ms, .. } => {
            // Too long rather than too short where it does not fit.
            let flows_ms = used
                .checked_mul(per_ms)
                .map_or(u64::MAX, |all| all / limit.amount.max(1));
            (now.unix_ms.saturating_add(flows_ms.max(per_ms)), 0)
        }
    };
    let minute = (until_ms / MS_PER_MINUTE)
        .saturating_add(SLACK_MINUTES)
        .min(u64::MAX >> 3);
    minute << 1 | kind
}

impl Balances {
    pub fn fill(&self) -> Fill {
        Fill {
            taken: self.taken().map_or(0, |taken| taken.load(Ordering::Relaxed)),
            cells: self.all().len() as u64,
        }
    }

    /// Is this a limit without a balance, and are balances for new ones of its kind kept for others?
    pub(super) fn has_none_for_tag(&self, id: u64) -> bool {
        self.fill().is_half() && self.counted(id).is_none()
    }

    /// The first step. Every shard, and whoever shares limits with other nodes, has to end what it is about before the second.
    pub fn mark_worthless(&self, unix_ms: u64) -> Marked {
        let unix_ms = self.unix_ms(unix_ms);
        let each = self.worths().zip(self.all()).enumerate();
        let worthless = each.filter(|(_, (worth, cell))| self.is_worthless(worth, cell, unix_ms));
        let marked = worthless.filter(|(_, (_, cell))| cell.owner().mark());
        Marked(marked.map(|(at, _)| at as u32).collect())
    }

    /// The second step; answers how many cells are free now. What was wanted meanwhile stays.
    pub fn free_marked(&self, marked: &Marked, unix_ms: u64) -> u64 {
        let (unix_ms, mut freed) = (self.unix_ms(unix_ms), 0);
        for at in &marked.0 {
            let Some(cell) = self.all().get(*at as usize) else {
                continue;
            };
            let Some(worth) = self.worth(cell) else { continue };
            let (is_worthless, whose) = (self.is_worthless(worth, cell, unix_ms), cell.owner().whose());
            let _alone = self.change();
            if is_worthless && cell.owner().clear() {
                // Nobody has these who has not found the balance, which is nobody's now.
                if let Some(id) = whose.filter(|_| worth.load(Ordering::Relaxed) & SHARED != 0) {
                    freed += leased_cells::leases_of(self, id).map(|lease| self.free(lease)).count() as u64;
                }
                self.free(cell);
                freed += 1;
            }
        }
        self.taken().map(|taken| {
            taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                Some(taken.saturating_sub(freed))
            })
        });
        freed
    }

    /// By whoever has it to himself.
    fn free(&self, cell: &Cell) {
        cell.wipe();
        // Whoever has the cell next may keep no such word: then it is worth something as long as it is there.
        if let Some(worth) = self.worth(cell) {
            worth.store(0, Ordering::Release);
        }
        cell.owner().free();
    }

    /// A word that says nothing is of a cell that nobody uses, of an earlier program, or of a lease.
    fn is_worthless(&self, worth: &AtomicU64, cell: &Cell, unix_ms: u64) -> bool {
        let word = worth.load(Ordering::Acquire);
        if word == 0 || (word & !SHARED) >> 1 > unix_ms / MS_PER_MINUTE {
            return false;
        }
        if word & WHILE_USED == 0 {
            return true;
        }
        let lane = cell.lane(0);
        // What went back to the cluster is taken, and not used.
        let burned = match cell.owner().whose().filter(|_| word & SHARED != 0) {
            Some(id) => leased_cells::leases_of(self, id)
                .map(|lease| lease.lease().burned.load(Ordering::Acquire))
                .sum(),
            None => 0,
        };
        lane.tag() != self.process() || lane.used() <= burned
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
