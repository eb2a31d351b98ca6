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
pub(crate) mod quantised;
mod shares;
mod writer;

use std::sync::Arc;

use block::Block;
use centres::{CentreScratch, Centres};
use quantised::Quantised;
pub use shares::{MAX_TENANTS, Room, Shares};
pub use writer::{MAX_ENTRIES, Rebuild, Rebuilt, Writer, WriterError};

use crate::Kernel;

/// Up to so many entries are compared one by one: a scan of them is no slower than a search of lists (docs/src/semantic-cache.md).
pub const FLAT_MOST: usize = 4096;
/// Lists a search looks into.
const LISTS_SEARCHED: usize = 64;
/// Entries whose bytes are compared: those whose codes differ least.
const ENTRIES_COMPARED: usize = 64;

/// An entry that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    pub id: u64,
    /// The cosine of the angle between the two vectors.
    pub similarity: f32,
}

/// The entries at one moment.
#[derive(Clone, Debug)]
pub struct Generation {
    dims: usize,
    kernel: Kernel,
    centres: Option<Arc<Centres>>,
    /// One list for each centre, or a single one.
    lists: Vec<Vec<Arc<Block>>>,
    entries: usize,
}

/// What a search needs while it runs; kept by the caller, so that searches after the first do not allocate.
#[derive(Debug, Default)]
pub struct IndexScratch {
    query: Quantised,
    dots: Vec<i32>,
    centres: CentreScratch,
    differing: Vec<u16>,
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

    /// Memory of the entries and of what finds them; a block that is not full counts whole.
    pub fn bytes(&self) -> usize {
        let words = if self.is_flat() { 0 } else { code::words(self.dims) };
        let per_entry = size_of::<u64>() + size_of::<f32>() + self.dims + words * size_of::<u64>();
        let blocks: usize = self.lists.iter().map(Vec::len).sum();
        let centres = self.centres.as_ref().map_or(0, |centres| centres.bytes());
        blocks * block::BLOCK_ENTRIES * per_entry + centres
    }

    /// The entries most similar to `vector`, the most similar first; as many as `hits` may hold, which is cleared before.
    pub fn search(&self, vector: &[f32], most: usize, scratch: &mut IndexScratch, hits: &mut Vec<Hit>) {
        hits.clear();
        assert!(vector.len() == self.dims, "a query has the index's dimensions");
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
        for block in self.lists.iter().flatten() {
            dots.clear();
            dots.resize(block.len(), 0);
            self.kernel.dots(&query.values, &block.values, dots);
            for ((dot, scale), id) in dots.iter().zip(&block.scales).zip(&block.ids) {
                let similarity = query.similarity(*dot, *scale);
                keep(hits, most, Hit { id: *id, similarity });
            }
        }
    }

    fn search_lists(&self, centres: &Centres, most: usize, scratch: &mut IndexScratch, hits: &mut Vec<Hit>) {
        let IndexScratch {
            query,
            centres: near,
            differing,
            candidates,
            ..
        } = scratch;
        centres.nearest_few(query, LISTS_SEARCHED, self.kernel, near);
        candidates.clear();
        let mut reach = u16::MAX;
        for (_, list) in &near.nearest {
            for (block, entries) in self
                .lists
                .get(*list as usize)
                .map_or(&[][..], Vec::as_slice)
                .iter()
                .enumerate()
            {
                differing.clear();
                self.kernel.hammings(&near.code, &entries.codes, differing);
                let within = differing.iter().zip(0..).filter(|(bits, _)| **bits <= reach);
                candidates.extend(within.map(|(bits, at)| Candidate {
                    bits: *bits,
                    at,
                    block: block as u32,
                    list: *list,
                }));
                if candidates.len() >= 2 * ENTRIES_COMPARED {
                    reach = nearest_of(candidates);
                }
            }
        }
        nearest_of(candidates);
        for candidate in candidates.iter() {
            let block = self
                .lists
                .get(candidate.list as usize)
                .and_then(|list| list.get(candidate.block as usize));
            let at = usize::from(candidate.at);
            if let Some(block) = block
                && let (Some((values, scale)), Some(id)) = (block.vector(at), block.ids.get(at))
            {
                let similarity = query.similarity(self.kernel.dot(&query.values, values), scale);
                keep(hits, most, Hit { id: *id, similarity });
            }
        }
    }
}

/// An entry whose code is near the query's.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    bits: u16,
    at: u16,
    block: u32,
    list: u32,
}

/// Leaves the candidates whose bytes are to be compared, and tells in how many bits the farthest of them differs.
fn nearest_of(candidates: &mut Vec<Candidate>) -> u16 {
    if candidates.len() <= ENTRIES_COMPARED {
        return u16::MAX;
    }
    candidates.select_nth_unstable_by_key(ENTRIES_COMPARED, |candidate| candidate.bits);
    candidates.truncate(ENTRIES_COMPARED);
    candidates
        .iter()
        .map(|candidate| candidate.bits)
        .max()
        .unwrap_or(u16::MAX)
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
