//! What has been used of each limit: cells of atomics that all shards of a node share, found by the limit's own number.
//!
//! The memory is the shell's: a file mapped by it survives the process. Shards take from the node's balance itself rather
//! than from slices of it: nothing is ever granted twice, refused early or stranded, for the price of a compare-and-swap
//! on a line that cores may fight over.

use std::sync::OnceLock;

use super::{
    atomic::{AtomicU64, Ordering},
    lane::Lane,
    shared::Sharing,
};

/// One limit's balance: 64 bytes, a cache line of its own. All zero: free.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Cell {
    /// The limit's number; zero: nobody's.
    id: AtomicU64,
    /// By lane: all that was taken, and what that is of.
    taken: [(AtomicU64, AtomicU64); 2],
    /// Which of its thresholds were told, and in which period.
    pub(super) told: AtomicU64,
    /// By lane: what of it came back or flowed off.
    returned: [AtomicU64; 2],
}

impl Cell {
    /// The first lane for even numbers, the second for odd ones: two periods side by side.
    pub(super) fn lane(&self, number: u64) -> Lane<'_> {
        let at = (number & 1) as usize;
        let (taken, tag) = &self.taken[at];
        Lane {
            taken,
            returned: &self.returned[at],
            tag,
        }
    }

    /// All but its number, for what is no balance.
    pub(super) fn words(&self) -> [&AtomicU64; 7] {
        let [(first, second), (third, fourth)] = &self.taken;
        let [sixth, seventh] = &self.returned;
        [first, second, third, fourth, &self.told, sixth, seventh]
    }
}

/// What the first cell of memory that outlives the process holds where others have a limit's number: this layout, the second.
const LAYOUT: u64 = 0x746f_6c6c_6c69_6d02;
/// The first had one number for what is used; where nothing came back since, that is what was taken.
const FIRST_LAYOUT: u64 = 0x746f_6c6c_6c69_6d01;

/// More neighbours than this are not looked at: the table is as good as full.
const MAX_PROBES: usize = 128;
/// What a process keeps that was given no memory for it.
const DEFAULT_CELLS: usize = 1024;

#[derive(Debug)]
pub struct Balances {
    cells: Memory,
    /// Grows with each process that uses the memory: what was under way in another one is over.
    process: u64,
    /// Made when nodes first share their limits.
    sharing: OnceLock<Box<Sharing>>,
}

/// The memory holds something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLayout;

#[derive(Debug)]
enum Memory {
    Own(Box<[Cell]>),
    Lent(&'static [Cell]),
}

impl Default for Balances {
    fn default() -> Self {
        Self::in_memory(DEFAULT_CELLS)
    }
}

impl Balances {
    /// Room for about half as many limits; what is counted ends with the process.
    pub fn in_memory(cells: usize) -> Self {
        let cells = (0..cells.next_power_of_two()).map(|_| Cell::default()).collect();
        Self {
            cells: Memory::Own(cells),
            process: 1,
            sharing: OnceLock::new(),
        }
    }

    /// Goes on with what this memory holds, once per process. All zero is a new one. The first cell is its head; of the
    /// others as many are used as the largest power of two among them.
    pub fn lent(cells: &'static [Cell]) -> Result<Self, UnknownLayout> {
        let (head, cells) = cells.split_first().ok_or(UnknownLayout)?;
        let become_ours = |layout| matches!(layout, 0 | FIRST_LAYOUT).then_some(LAYOUT);
        let layout = head.id.fetch_update(Ordering::AcqRel, Ordering::Acquire, become_ours);
        if layout.is_err_and(|layout| layout != LAYOUT) {
            return Err(UnknownLayout);
        }
        let process = head.lane(0).tag.fetch_add(1, Ordering::AcqRel) + 1;
        Ok(Self {
            cells: Memory::Lent(cells),
            process,
            sharing: OnceLock::new(),
        })
    }

    /// Which of the processes that used the memory this is.
    pub fn process(&self) -> u64 {
        self.process
    }

    /// How limits are shared with other nodes, where they are.
    pub fn shared(&self) -> Option<&Sharing> {
        self.sharing
            .get()
            .map(|sharing| &**sharing)
            .filter(|sharing| sharing.is_on())
    }

    /// The thread that shares them is to look.
    pub fn is_called(&self) -> bool {
        self.shared().is_some_and(Sharing::take_called)
    }

    /// For whoever turns it on and off.
    pub fn sharing(&self) -> &Sharing {
        self.sharing.get_or_init(Box::default)
    }

    /// A moment of this machine's clock, as limits have it: where nodes share them, by the store's clock.
    pub(super) fn unix_ms(&self, own: u64) -> u64 {
        self.shared().map_or(own, |sharing| sharing.unix_ms(own))
    }

    fn all(&self) -> &[Cell] {
        let all = match &self.cells {
            Memory::Own(cells) => cells,
            Memory::Lent(cells) => *cells,
        };
        let count = match all.len() {
            0 => 0,
            count => 1 << count.ilog2(),
        };
        &all[..count]
    }

    /// The cell of a limit, if it ever was used.
    pub(super) fn find(&self, id: u64) -> Option<&Cell> {
        let own = |cell: &&Cell| cell.id.load(Ordering::Acquire) == id;
        let used = |cell: &&Cell| cell.id.load(Ordering::Acquire) != 0;
        self.probe(id).take_while(used).find(own)
    }

    /// The cell of a limit, made where there is none; `None`: there is no room.
    pub(super) fn cell(&self, id: u64) -> Option<&Cell> {
        for cell in self.probe(id) {
            let owner = cell.id.load(Ordering::Acquire);
            if owner == id {
                return Some(cell);
            }
            if owner == 0 {
                match cell.id.compare_exchange(0, id, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => return Some(cell),
                    Err(other) if other == id => return Some(cell),
                    Err(_) => {}
                }
            }
        }
        None
    }

    fn probe(&self, id: u64) -> impl Iterator<Item = &Cell> {
        let cells = self.all();
        let mask = cells.len().wrapping_sub(1);
        (0..MAX_PROBES.min(cells.len())).filter_map(move |step| cells.get((id as usize).wrapping_add(step) & mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_find_their_cells_again_and_a_full_table_says_so() {
        let balances = Balances::in_memory(4);
        assert!(balances.find(7).is_none());
        // Two numbers that begin at the same place.
        for id in [7, 11] {
            balances.cell(id).expect("room").lane(0).add(id);
        }
        for id in [7, 11] {
            let found = balances.find(id).expect("it is there");
            assert_eq!(found.lane(0).used(), id);
            assert!(std::ptr::eq(found, balances.cell(id).expect("there")));
        }
        assert!(balances.cell(1).is_some() && balances.cell(2).is_some());
        assert!(balances.cell(3).is_none(), "four cells, four limits");
        assert!(balances.find(3).is_none());
    }
}
