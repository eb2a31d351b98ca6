//! Who was there when something was last granted, in the table of balances: a process that comes after a crash has the store
//! wait for them as well. It knows nothing of when that was: the store waits for nobody longer than `reclaim_after`.

use crate::limits::{
    atomic::Ordering,
    balances::{Balances, Cell},
    owner,
};

/// What these cells are known by; no limit's numbers are.
const PEERS: u64 = 0x2545_f491_4f6c_dd1d;
/// So many others a node remembers, which it has the store wait for.
pub(super) const MAX_PEERS: usize = 256;
/// Numbers of nodes in a cell; zero is none.
const IN_CELL: usize = 7;

fn number(group: usize, at: usize) -> u64 {
    owner::number((group * MAX_PEERS + at) as u64 ^ PEERS)
}

fn cells(balances: &Balances, group: usize) -> impl Iterator<Item = &Cell> {
    (0..MAX_PEERS.div_ceil(IN_CELL)).map_while(move |at| balances.find(number(group, at)))
}

/// What does not fit is not remembered.
pub(super) fn keep(balances: &Balances, group: usize, peers: &[u64]) {
    let parts = peers.chunks(IN_CELL).take(MAX_PEERS.div_ceil(IN_CELL));
    for (at, _) in parts.enumerate() {
        if balances.cell(number(group, at)).is_none() {
            break;
        }
    }
    let mut peers = peers.iter();
    for word in cells(balances, group).flat_map(|cell| cell.words().into_iter().skip(1)) {
        word.store(peers.next().copied().unwrap_or(0), Ordering::Release);
    }
}

pub(super) fn kept(balances: &Balances, group: usize) -> Vec<u64> {
    let words = cells(balances, group).flat_map(|cell| cell.words().into_iter().skip(1));
    let peers = words.map(|word| word.load(Ordering::Acquire));
    peers.filter(|peer| *peer != 0).take(MAX_PEERS).collect()
}
