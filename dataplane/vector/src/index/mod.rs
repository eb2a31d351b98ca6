//! Nearest entries of one partition. A generation is immutable: any shard searches it without a lock while the one writer
//! makes the next.
//!
//! Up to [`FLAT_MOST`] entries all are compared, in bytes. Above, entries lie in lists around centres: a search compares
//! the codes (one bit a dimension) of the nearest lists, and then the bytes of those that differ least. Lists and not a
//! graph: their entries lie side by side, so a search waits for memory a few times and not hundreds; an insert costs one
//! look at the centres; and an entry costs no links. Knows no prompts and no answers: an entry is a number of its caller's.

mod block;
mod centres;
mod code;
mod directions;
mod lists;
pub(crate) mod quantised;
mod reach;
mod shares;
mod writer;

use std::sync::Arc;

use block::Block;
use centres::{CentreScratch, Centres};
use lists::Candidate;
use quantised::Quantised;
pub use quantised::to_bytes;
use reach::Reach;
pub use shares::{MAX_TENANTS, Room, Shares};
pub use writer::{MAX_ENTRIES, Rebuild, Rebuilt, Writer, WriterError};

use crate::Kernel;

/// Up to so many entries are compared one by one: a scan of them is no slower than a search of lists (docs/src/semantic-cache.md).
pub const FLAT_MOST: usize = 4096;

/// An entry that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub id: u64,
    /// The cosine of the angle between the two vectors.
    pub similarity: f32,
}

/// Entries around a centre.
type List = Vec<Block>;

/// The entries at one moment.
#[derive(Clone, Debug)]
pub struct Generation {
    dims: usize,
    kernel: Kernel,
    centres: Option<Arc<Centres>>,
    /// The lists of each region, one for each centre; without centres one region of one list. What did not change is shared
    /// with the generation before.
    regions: Vec<Arc<Vec<List>>>,
    entries: usize,
}

/// What a search needs while it runs; kept by the caller, so that searches after the first do not allocate.
#[derive(Debug, Default)]
pub struct IndexScratch {
    query: Quantised,
    dots: Vec<i32>,
    centres: CentreScratch,
    differing: Vec<u16>,
    reach: Reach,
    candidates: Vec<Candidate>,
}

impl Generation {
    pub fn len(&self) -> usize {
        self.entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Whether every entry is compared.
    pub fn is_flat(&self) -> bool {
        self.centres.is_none()
    }

    /// Memory of the entries and of what finds them, room for more included.
    pub fn bytes(&self) -> usize {
        let blocks: usize = self.blocks().map(Block::bytes).sum();
        let lists: usize = self.regions.iter().map(|lists| lists.len()).sum();
        let centres = self.centres.as_ref().map_or(0, |centres| centres.bytes());
        blocks + lists * size_of::<List>() + centres
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        let lists = self.regions.iter().flat_map(|lists| lists.iter());
        lists.flatten()
    }

    /// The entries most similar to `vector`, the most similar first; as many as `hits` may hold, which is cleared before.
    pub fn search(&self, vector: &[f32], most: usize, scratch: &mut IndexScratch, hits: &mut Vec<Hit>) {
        hits.clear();
        // Nothing is near a vector of another model.
        if vector.len() != self.dims {
            return;
        }
        scratch.query.set(vector);
        if most == 0 || scratch.query.scale == 0.0 {
            return;
        }
        match &self.centres {
            None => self.scan(most, scratch, hits),
            Some(centres) => self.search_lists(centres, most, scratch, hits),
        }
    }

    fn scan(&self, most: usize, scratch: &mut IndexScratch, hits: &mut Vec<Hit>) {
        let IndexScratch { query, dots, .. } = scratch;
        for block in self.blocks() {
            dots.clear();
            dots.resize(block.len(), 0);
            self.kernel.dots(&query.values, block.values(), dots);
            for ((dot, scale), id) in dots.iter().zip(block.scales()).zip(block.ids()) {
                let similarity = query.similarity(*dot, scale);
                keep(hits, most, Hit { id, similarity });
            }
        }
    }
}

/// Keeps the best hits in order.
fn keep(hits: &mut Vec<Hit>, most: usize, hit: Hit) {
    if hits.len() == most {
        match hits.last() {
            Some(last) if last.similarity >= hit.similarity => return,
            _ => hits.pop(),
        };
    }
    let at = hits.partition_point(|kept| kept.similarity >= hit.similarity);
    hits.insert(at, hit);
}
