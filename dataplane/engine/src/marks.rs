//! What the node remembers of objects at providers, shared by its shards: whose each is (so that a list shows an owner's
//! alone), and which batches were counted. A mark that one shard notes is seen by all at once.
//!
//! Atomics and no lock: a shard waits for nobody. Bounded: of a set that is full, the mark noted first gives way; what was
//! counted has sets of its own, so that files, however many, never make it forgotten. What is in here outlives the process
//! only because the shell tells the control plane (`Outputs::marks`).

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use sha2::{Digest as _, Sha256};
pub use tollgate_config::marks::{COUNTED, Mark};

/// So many marks of either kind fit if they spread evenly. As they do spread, half as many are kept before the first one gives
/// way.
pub const MAX_MARKS: usize = SETS * WAYS;
const SETS: usize = 8192;
const WAYS: usize = 64;
const _: () = assert!(MAX_MARKS == tollgate_config::marks::MAX_KEPT_MARKS);

/// Something to be kept, or not any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkNews {
    Made(Mark),
    Gone(Mark),
}

/// 128 bits of a digest of these parts, each with its length: two things have the same id by no accident.
pub(crate) fn id_of(purpose: &[u8], parts: &[&[u8]]) -> u128 {
    let mut digest = Sha256::new_with_prefix(purpose);
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let (high, low) = halves(u128::from_le_bytes(first_bytes(&digest.finalize())));
    u128::from(high) << 64 | u128::from(low)
}

fn first_bytes(digest: &[u8]) -> [u8; 16] {
    digest.first_chunk().copied().unwrap_or_default()
}

/// Neither half is zero, which is no mark's.
fn halves(id: u128) -> (u64, u64) {
    (((id >> 64) as u64).max(1), (id as u64).max(1))
}

#[derive(Debug)]
pub struct Marks {
    /// Of whose the objects are, then of what was counted. Made when something falls into one: a node that has no objects
    /// pays for the list alone.
    sets: Box<[OnceLock<Box<Set>>]>,
    /// Marks noted so far: tells which is older.
    noted: AtomicU64,
    is_complete: AtomicBool,
}

#[derive(Debug)]
struct Set([Slot; WAYS]);

impl Default for Set {
    fn default() -> Self {
        Set(std::array::from_fn(|_| Slot::default()))
    }
}

/// Free while `low` is zero. `high` is written last and taken away first: who finds both finds the rest.
#[derive(Debug, Default)]
struct Slot {
    low: AtomicU64,
    high: AtomicU64,
    /// When it was noted, and in the last 16 bits the tag; zero while it is being written.
    rest: AtomicU64,
}

impl Slot {
    fn is(&self, (high, low): (u64, u64)) -> bool {
        self.low.load(Ordering::Relaxed) == low && self.high.load(Ordering::Acquire) == high
    }

    fn write(&self, (high, low): (u64, u64)) {
        self.low.store(low, Ordering::Relaxed);
        self.high.store(high, Ordering::Release);
    }
}

/// Nothing is awaited.
impl Default for Marks {
    fn default() -> Self {
        Marks {
            sets: (0..2 * SETS).map(|_| OnceLock::new()).collect(),
            noted: AtomicU64::new(0),
            is_complete: AtomicBool::new(true),
        }
    }
}

impl Marks {
    /// Marks that the node's control plane kept are still to come.
    pub fn awaiting() -> Marks {
        let marks = Marks::default();
        marks.is_complete.store(false, Ordering::Relaxed);
        marks
    }

    /// All that was kept has come.
    pub fn completed(&self) {
        self.is_complete.store(true, Ordering::Release);
    }

    /// Is everything here that the node ever noted?
    pub fn is_complete(&self) -> bool {
        self.is_complete.load(Ordering::Acquire)
    }

    /// Notes a mark; false where it was noted before, with the same tag. Of several shards that note it at once, one is
    /// told true.
    pub fn note(&self, mark: Mark) -> bool {
        let halves = halves(mark.id);
        let set = self.set(halves).get_or_init(Box::default);
        if let Some(slot) = set.0.iter().find(|slot| slot.is(halves)) {
            let known = slot.rest.load(Ordering::Relaxed);
            let retagged = known & !u64::from(u16::MAX) | u64::from(mark.tag);
            slot.rest.store(retagged, Ordering::Relaxed);
            return known != retagged;
        }
        let rest = (self.noted.fetch_add(1, Ordering::Relaxed) + 1) << 16 | u64::from(mark.tag);
        let (_, low) = halves;
        for slot in &set.0 {
            match slot.low.compare_exchange(0, low, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    slot.rest.store(rest, Ordering::Relaxed);
                    slot.write(halves);
                    return true;
                }
                // Another shard is noting it in this moment.
                Err(known) if known == low => return false,
                Err(_) => {}
            }
        }
        set.replace_oldest(halves, rest);
        true
    }

    /// Forgets a mark; false where there was none.
    pub fn forget(&self, id: u128) -> bool {
        let halves = halves(id);
        let found = self.found(halves);
        if let Some(slot) = found {
            slot.high.store(0, Ordering::Relaxed);
            slot.rest.store(0, Ordering::Relaxed);
            slot.low.store(0, Ordering::Release);
        }
        found.is_some()
    }

    /// The tag of a mark, if it was noted.
    pub fn tag(&self, id: u128) -> Option<u16> {
        self.found(halves(id))
            .map(|slot| slot.rest.load(Ordering::Relaxed) as u16)
    }

    /// All of them, in no order; what is noted meanwhile may be missing.
    pub fn all(&self) -> impl Iterator<Item = Mark> + '_ {
        let slots = self.sets.iter().filter_map(OnceLock::get).flat_map(|set| &set.0);
        slots.filter_map(|slot| {
            let (high, low) = (slot.high.load(Ordering::Acquire), slot.low.load(Ordering::Relaxed));
            (high != 0 && low != 0).then(|| Mark {
                id: u128::from(high) << 64 | u128::from(low),
                tag: slot.rest.load(Ordering::Relaxed) as u16,
            })
        })
    }

    fn set(&self, (high, _): (u64, u64)) -> &OnceLock<Box<Set>> {
        let is_counted = high >> 63;
        &self.sets[is_counted as usize * SETS + high as usize % SETS]
    }

    fn found(&self, halves: (u64, u64)) -> Option<&Slot> {
        self.set(halves).get()?.0.iter().find(|slot| slot.is(halves))
    }
}

impl Set {
    /// The mark noted first gives way. Whoever changes its `rest` may write over it; who comes second takes the next.
    fn replace_oldest(&self, halves: (u64, u64), rest: u64) {
        for _ in 0..WAYS {
            let known = |slot: &Slot| slot.rest.load(Ordering::Relaxed);
            let Some(oldest) = self
                .0
                .iter()
                .filter(|slot| known(slot) != 0)
                .min_by_key(|slot| known(slot))
            else {
                return;
            };
            let changed = oldest
                .rest
                .compare_exchange(known(oldest), rest, Ordering::Relaxed, Ordering::Relaxed);
            if changed.is_ok() {
                oldest.high.store(0, Ordering::Relaxed);
                return oldest.write(halves);
            }
        }
    }
}
