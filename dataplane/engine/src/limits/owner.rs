//! Whose a cell of the table is, and how it becomes nobody's again though others may be about to use it. Knows no limit, no
//! lane and no clock. A model checker runs it through the orders of its steps (`tests/owner_orders.rs`).
//!
//! A cell that is worth nothing is marked; everybody who was at work at that moment ends; what nobody wanted since is cleared
//! and free. Whoever finds his cell marked takes the mark off, and has the cell as it was: a mark alone changes nothing, and a
//! process may die behind any of the steps.

use super::atomic::{AtomicU64, Ordering};

/// Never anybody's: no cell that belongs to one who looked here lies behind it.
const NOBODY: u64 = 0;
/// Being cleared.
const CLEARING: u64 = 1;
const MARK: u64 = 1 << 63;
/// Was somebody's: others may lie behind it.
const FREED: u64 = MARK;
/// The least number of a limit; the mark's bit is in none.
const FIRST: u64 = 2;

/// The number that a limit is found by, of any 64 bits.
pub fn number(bits: u64) -> u64 {
    (bits & !MARK).max(FIRST)
}

/// The word that says it.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'w>(pub &'w AtomicU64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// His who asks.
    Own,
    Others,
    /// Nobody's, and his may lie behind it.
    Freed,
    /// Nobody's, and his does not.
    Nobodys,
}

impl Owner<'_> {
    /// Whose it is, as `id` sees it: a mark on his own he takes off.
    pub fn of(self, id: u64) -> Whose {
        loop {
            let owner = self.0.load(Ordering::Acquire);
            match owner {
                NOBODY => return Whose::Nobodys,
                FREED => return Whose::Freed,
                _ if owner == id => return Whose::Own,
                _ if owner != id | MARK => return Whose::Others,
                _ => {}
            }
            // Either way it is looked at again: it may have been cleared meanwhile.
            let _ = self.0.compare_exchange(owner, id, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// The number of the limit that it is.
    pub fn whose(self) -> Option<u64> {
        let id = self.0.load(Ordering::Acquire) & !MARK;
        (id >= FIRST).then_some(id)
    }

    /// It was somebody's, and is nobody's now.
    pub fn is_freed(self) -> bool {
        self.0.load(Ordering::Acquire) == FREED
    }

    /// Makes what is nobody's `id`'s. False: another was first.
    pub fn claim(self, id: u64) -> bool {
        let free = |owner| matches!(owner, NOBODY | FREED).then_some(id);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).is_ok()
    }

    /// It is worth nothing, as far as one can see. True: it is marked now.
    pub fn mark(self) -> bool {
        let marked = |owner: u64| (owner >= FIRST && owner & MARK == 0).then_some(owner | MARK);
        let marked = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, marked);
        // One that a process marked before it died is as good.
        marked.is_ok() || marked.is_err_and(|owner| owner & MARK != 0 && owner != FREED)
    }

    /// All who were at work when it was marked have ended since, and it is worth nothing still: it is the caller's alone, to be
    /// cleared and freed. False: somebody wanted it.
    pub fn clear(self) -> bool {
        let cleared = |owner: u64| (owner == CLEARING || owner & MARK != 0 && owner != FREED).then_some(CLEARING);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, cleared)
            .is_ok()
    }

    pub fn free(self) {
        self.0.store(FREED, Ordering::Release);
    }
}
