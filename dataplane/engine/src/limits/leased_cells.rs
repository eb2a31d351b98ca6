//! The cells of a limit that nodes share: one for its balance, and one for its lease in each of two periods side by side. They
//! are made as they are wanted and given back together: a lease without its balance would grant once more what was used of it.
//!
//! Whoever has one of the leases has found the balance before. So a mark on the balance (`owner`) stands for all three.

use super::{
    atomic::Ordering,
    balances::{Balances, Cell},
    owner,
};

/// What a node counted for itself is not mixed with it.
const BALANCE: u64 = 0x9e37_79b9_7f4a_7c15;
const LEASES: [u64; 2] = [0xd1b5_4a32_d192_ed03, 0x8cb9_2ba7_2f3d_8dd7];

fn numbered(id: u64, of: u64) -> u64 {
    owner::number(id ^ of)
}

/// Of a limit: its balance, and its lease of even or odd periods. `None`: the table is full.
pub(super) fn made(balances: &Balances, id: u64, at: u64) -> Option<(&Cell, &Cell)> {
    let balance = numbered(id, BALANCE);
    // A process that died while it gave them back may have left leases: what they say was granted is nobody's any more.
    let void = || leases_of(balances, balance).for_each(|lease| lease.lease().tag.store(0, Ordering::Release));
    let cell = balances.cell_after(balance, void)?;
    let lease = balances.cell(numbered(id, LEASES[(at & 1) as usize]))?;
    Some((cell, lease))
}

/// The balance of a limit, if it ever was used.
pub(super) fn balance(balances: &Balances, id: u64) -> Option<&Cell> {
    balances.find(numbered(id, BALANCE))
}

/// The leases that there are of a balance, which is known by this number.
pub(super) fn leases_of(balances: &Balances, balance: u64) -> impl Iterator<Item = &Cell> {
    LEASES
        .into_iter()
        .filter_map(move |lease| balances.find(numbered(balance, BALANCE ^ lease)))
}
