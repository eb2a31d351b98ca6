//! In which epoch a group last granted something, in the table of balances. A lease says which epoch it is of by a mark of few
//! bits; the whole number that the mark stands for lies here, once for the group. A mark that stands for nothing here is not
//! believed: then the node tells what it had heard, whether the store knows it still or not.

use crate::limits::{atomic::Ordering, balances::Balances, owner};

/// What these cells are known by; no limit's numbers are.
const MARKS: u64 = 0x6a09_e667_f3bc_c909;
/// From one. A lease that was told in none of so many epochs on end is taken for one of this one.
const MOST: u64 = 1_023;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    epoch: u64,
    mark: u64,
}

impl Mark {
    /// Which epoch a lease with this mark is of; zero: not known.
    pub fn epoch_of(self, mark: u64) -> u64 {
        if mark != 0 && mark == self.mark { self.epoch } else { 0 }
    }
}

fn number(group: usize) -> u64 {
    owner::number(group as u64 ^ MARKS)
}

pub(super) fn kept(balances: &Balances, group: usize) -> Mark {
    let Some(cell) = balances.find(number(group)) else {
        return Mark::default();
    };
    let [_, epoch, mark, ..] = cell.words();
    Mark {
        epoch: epoch.load(Ordering::Acquire),
        mark: mark.load(Ordering::Acquire),
    }
}

/// What stands for an epoch in which something is granted; zero, where there is no room, stands for none.
pub(super) fn keep(balances: &Balances, group: usize, epoch: u64) -> u64 {
    let before = kept(balances, group);
    if before.epoch == epoch {
        return before.mark;
    }
    let Some(cell) = balances.cell(number(group)) else {
        return 0;
    };
    // The next of the marks. The first is of the epoch itself, as an earlier version had all: leases that it left are of others.
    let mark = if before.mark == 0 { epoch } else { before.mark } % MOST + 1;
    let [_, whole, marks, ..] = cell.words();
    // A process that dies between them leaves one that no lease has.
    marks.store(mark, Ordering::Release);
    whole.store(epoch, Ordering::Release);
    mark
}

#[cfg(test)]
pub(super) fn forget(balances: &Balances, group: usize) {
    balances.find(number(group)).expect("it was kept").wipe();
}
