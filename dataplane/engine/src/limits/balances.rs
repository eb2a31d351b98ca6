//! What has been used of each limit: cells of atomics that all shards of a node share, found by the limit's own number.
//!
//! The memory is the shell's: a file mapped by it survives the process. Shards take from the node's balance itself rather
//! than from slices of it: nothing is ever granted twice, refused early or stranded, for the price of a compare-and-swap
//! on a line that cores may fight over.
//!
//! The memory is a head, a table of cells whose number is a power of two, and behind it a word for each cell that says until
//! when it is worth something (`sweep` gives back what is not).

use std::sync::OnceLock;

use super::{
    atomic::{AtomicBool, AtomicU64, Ordering, spin},
    lane::{Bucket, Lane},
    owner::{Owner, Whose},
    shared::Sharing,
};

/// One limit's balance: 64 bytes, a cache line of its own. All zero: free.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Cell {
    /// The limit's number, or nobody's.
    id: AtomicU64,
    /// By lane: all that was taken, and what that is of.
    taken: [(AtomicU64, AtomicU64); 2],
    /// Which of its thresholds were told, and in which period.
    pub(super) told: AtomicU64,
    /// By lane: what of it came back or flowed off.
    returned: [AtomicU64; 2],
}

/// Words of a cell, where it holds no balance.
const WORDS: usize = 8;

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

    /// A bucket has one lane, and keeps in the other where its grid begins.
    pub(super) fn bucket(&self) -> Bucket<'_> {
        Bucket {
            lane: self.lane(0),
            begun: self.lane(1).taken,
        }
    }

    pub(super) fn owner(&self) -> Owner<'_> {
        Owner(&self.id)
    }

    /// All but whose it is.
    pub(super) fn wipe(&self) {
        for word in self.words().into_iter().skip(1) {
            word.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn words(&self) -> [&AtomicU64; WORDS] {
        std::array::from_fn(|at| self.word(at))
    }

    /// Of `WORDS`, in the order in which they lie there.
    fn word(&self, at: usize) -> &AtomicU64 {
        match at {
            0 => &self.id,
            1 => &self.taken[0].0,
            2 => &self.taken[0].1,
            3 => &self.taken[1].0,
            4 => &self.taken[1].1,
            5 => &self.told,
            6 => &self.returned[0],
            _ => &self.returned[1],
        }
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
    /// Of the table.
    count: usize,
    /// Grows with each process that uses the memory: what was under way in another one is over.
    process: u64,
    /// Somebody makes a limit's cell, or frees some. Else two could make one for the same limit: one before a place that was
    /// freed meanwhile, and one in it. Only the first use of a limit waits for it, as long as a look at `MAX_PROBES` takes.
    changing: AtomicBool,
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

/// While it lives nobody else makes or frees a cell.
pub(super) struct Changing<'b>(&'b AtomicBool);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Balances {
    /// So many cells of memory hold a table of so many limits at most, a power of two.
    pub const fn cells_for(limits: usize) -> usize {
        let limits = limits.next_power_of_two();
        1 + limits + limits.div_ceil(WORDS)
    }

    /// Room for about half as many limits; what is counted ends with the process.
    pub fn in_memory(limits: usize) -> Self {
        let cells = (0..Self::cells_for(limits)).map(|_| Cell::default()).collect();
        Self {
            cells: Memory::Own(cells),
            count: limits.next_power_of_two(),
            process: 1,
            changing: AtomicBool::new(false),
            sharing: OnceLock::new(),
        }
    }

    /// Goes on with what this memory holds, once per process. All zero is a new one. The first cell is its head; of the
    /// others as many are used as the largest power of two among them.
    pub fn lent(cells: &'static [Cell]) -> Result<Self, UnknownLayout> {
        let (head, others) = cells.split_first().ok_or(UnknownLayout)?;
        let become_ours = |layout| matches!(layout, 0 | FIRST_LAYOUT).then_some(LAYOUT);
        let layout = head.id.fetch_update(Ordering::AcqRel, Ordering::Acquire, become_ours);
        if layout.is_err_and(|layout| layout != LAYOUT) {
            return Err(UnknownLayout);
        }
        let before = head.lane(0).tag.fetch_add(1, Ordering::AcqRel);
        let balances = Self {
            cells: Memory::Lent(cells),
            count: others.len().checked_ilog2().map_or(0, |power| 1 << power),
            process: before + 1,
            changing: AtomicBool::new(false),
            sharing: OnceLock::new(),
        };
        // A program that does not keep those words has used balances since: what they say is not known to be true.
        if head.told.swap(balances.process, Ordering::AcqRel) != before {
            balances.worths().for_each(|worth| worth.store(0, Ordering::Release));
        }
        // An earlier program left words behind of what it freed.
        let freed = balances
            .worths()
            .zip(balances.all())
            .filter(|(_, cell)| cell.owner().is_freed());
        freed.for_each(|(worth, _)| worth.store(0, Ordering::Release));
        Ok(balances)
    }

    /// Goes on in new memory, all zero and larger, with what an older one holds that nobody uses any more.
    pub fn lent_after(cells: &'static [Cell], older: &'static [Cell]) -> Result<Self, UnknownLayout> {
        let before = Self::lent(older)?;
        if let Some(head) = cells.first() {
            head.lane(0).tag.store(before.process, Ordering::Release);
            head.told.store(before.process, Ordering::Release);
        }
        let balances = Self::lent(cells)?;
        if balances.take_over(before.memory()) {
            Ok(balances)
        } else {
            Err(UnknownLayout)
        }
    }

    /// False: it has no room.
    fn take_over(&self, cells: &[Cell]) -> bool {
        let count = cells
            .len()
            .saturating_sub(1)
            .checked_ilog2()
            .map_or(0, |power| 1 << power);
        let (table, worths) = cells
            .get(1..)
            .unwrap_or_default()
            .split_at_checked(count)
            .unwrap_or_default();
        let mut worths = worths.iter().flat_map(Cell::words);
        for cell in table {
            let worth = worths.next().map_or(0, |worth| worth.load(Ordering::Relaxed));
            let Some(id) = cell.owner().whose() else { continue };
            let Some(own) = self.cell(id) else { return false };
            for (mine, theirs) in own.words().into_iter().zip(cell.words()).skip(1) {
                mine.store(theirs.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            if let Some(mine) = self.worth(own) {
                mine.store(worth, Ordering::Relaxed);
            }
        }
        true
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

    fn memory(&self) -> &[Cell] {
        match &self.cells {
            Memory::Own(cells) => cells,
            Memory::Lent(cells) => cells,
        }
    }

    pub(super) fn all(&self) -> &[Cell] {
        self.memory().get(1..1 + self.count).unwrap_or_default()
    }

    /// How many cells were made anybody's less those that were freed; for a while one more or less where a process died.
    pub(super) fn taken(&self) -> Option<&AtomicU64> {
        self.memory().first().map(|head| &head.returned[0])
    }

    /// Of each cell, in their order: the word that says until when it is worth something.
    pub(super) fn worths(&self) -> impl Iterator<Item = &AtomicU64> {
        let behind = self.memory().get(1 + self.count..).unwrap_or_default();
        behind.iter().flat_map(Cell::words).take(self.count)
    }

    /// That of one of the cells.
    pub(super) fn worth(&self, cell: &Cell) -> Option<&AtomicU64> {
        let first = self.all().as_ptr() as usize;
        let at = (std::ptr::from_ref(cell) as usize).wrapping_sub(first) / size_of::<Cell>();
        let words = self.memory().get(1 + self.count + at / WORDS)?;
        Some(words.word(at % WORDS))
    }

    /// The cell of a limit, if it ever was used.
    #[inline]
    pub(super) fn find(&self, id: u64) -> Option<&Cell> {
        let cells = self.all();
        let first = cells.get(id as usize & cells.len().wrapping_sub(1))?;
        // Where its number says it lies, as a rule.
        match first.owner().of(id) {
            Whose::Own => Some(first),
            Whose::Nobodys => None,
            Whose::Others | Whose::Freed => self.find_among(id),
        }
    }

    fn find_among(&self, id: u64) -> Option<&Cell> {
        for cell in self.probe(id) {
            match cell.owner().of(id) {
                Whose::Own => return Some(cell),
                Whose::Others | Whose::Freed => {}
                Whose::Nobodys => return None,
            }
        }
        None
    }

    /// The cell of a limit, made where there is none; `None`: there is no room.
    pub(super) fn cell(&self, id: u64) -> Option<&Cell> {
        self.cell_after(id, || {})
    }

    /// The same; where it is made, `before` comes first, with nobody else making or freeing a cell.
    pub(super) fn cell_after(&self, id: u64, before: impl Fn()) -> Option<&Cell> {
        self.find(id).or_else(|| self.make(id, before))
    }

    #[cold]
    fn make(&self, id: u64, before: impl Fn()) -> Option<&Cell> {
        let _alone = self.change();
        loop {
            if let Some(found) = self.find(id) {
                return Some(found);
            }
            before();
            let is_free = |cell: &&Cell| matches!(cell.owner().of(id), Whose::Freed | Whose::Nobodys);
            let cell = self.probe(id).find(is_free)?;
            // Another process may be first; then it is looked for again.
            if cell.owner().claim(id) {
                self.taken().map(|taken| taken.fetch_add(1, Ordering::Relaxed));
                return Some(cell);
            }
        }
    }

    /// Waits until nobody else does.
    pub(super) fn change(&self) -> Changing<'_> {
        while self.changing.swap(true, Ordering::Acquire) {
            spin();
        }
        Changing(&self.changing)
    }

    fn probe(&self, id: u64) -> impl Iterator<Item = &Cell> {
        let cells = self.all();
        let mask = cells.len().wrapping_sub(1);
        (0..MAX_PROBES.min(cells.len())).filter_map(move |step| cells.get((id as usize).wrapping_add(step) & mask))
    }
}
