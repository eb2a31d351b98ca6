//! A search of lists: which are looked into, which of their entries are compared by bytes, and that memory is asked for before
//! it is read, for most of a large index is in no cache. Knows no writer.

use super::block::Block;
use super::centres::{Centres, Place};
use super::{Generation, Hit, IndexScratch, keep};
use crate::kernels::ask_for;

/// Lists a search looks into at most, the nearest first.
const LISTS_SEARCHED: usize = 128;
/// Entries whose codes are compared: when there were so many, no further block of a list is looked into.
const ENTRIES_SEARCHED: usize = 6144;
/// Entries whose bytes are compared: those whose codes differ least.
const ENTRIES_COMPARED: usize = 64;
/// Blocks that are found before the first of them is read, and how many ahead of its reading a block is asked for.
const BLOCKS_AT_ONCE: usize = 64;
const BLOCKS_AHEAD: usize = 2;

/// An entry whose code is near the query's.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    bits: u16,
    at: u16,
    place: Place,
    block: u32,
}

impl Generation {
    pub(super) fn search_lists(&self, centres: &Centres, most: usize, scratch: &mut IndexScratch, hits: &mut Vec<Hit>) {
        centres.nearest_few(&scratch.query, LISTS_SEARCHED, self.kernel, &mut scratch.centres);
        self.choose(scratch);
        let IndexScratch { query, candidates, .. } = scratch;
        // One after the other is found and asked for before the first is read.
        let mut entries = [None; ENTRIES_COMPARED];
        for (entry, candidate) in entries.iter_mut().zip(candidates.iter()) {
            let block = self.list(candidate.place).get(candidate.block as usize);
            *entry = block.and_then(|block| {
                let at = usize::from(candidate.at);
                let (values, scale) = block.vector(at)?;
                ask_for(values);
                Some((values, scale, block.ids.get(at)?))
            });
        }
        for (values, scale, id) in entries.into_iter().flatten() {
            let similarity = query.similarity(self.kernel.dot(&query.values, values), scale);
            keep(hits, most, Hit { id: *id, similarity });
        }
    }

    /// Leaves in `scratch.candidates` the entries of the nearest lists whose codes differ least from the query's.
    fn choose(&self, scratch: &mut IndexScratch) {
        let IndexScratch {
            centres: near,
            differing,
            candidates,
            ..
        } = scratch;
        candidates.clear();
        let (mut reach, mut left) = (u16::MAX, ENTRIES_SEARCHED);
        let of_list = |place: &Place| {
            let place = *place;
            let blocks = self.list(place).iter().zip(0..);
            blocks.map(move |(block, at)| (place, at, block.as_ref()))
        };
        let mut blocks = near.nearest.iter().flat_map(|(_, place)| of_list(place));
        while left > 0 {
            let mut run: [Option<(Place, u32, &Block)>; BLOCKS_AT_ONCE] = [None; BLOCKS_AT_ONCE];
            for slot in &mut run {
                let Some(found) = blocks.next().filter(|_| left > 0) else {
                    break;
                };
                left = left.saturating_sub(found.2.len());
                *slot = Some(found);
            }
            if run.first().is_none_or(Option::is_none) {
                break;
            }
            for (index, (place, block, entries)) in run.iter().flatten().enumerate() {
                if let Some(Some((_, _, soon))) = run.get(index + BLOCKS_AHEAD) {
                    ask_for(&soon.codes);
                }
                differing.clear();
                self.kernel.hammings(&near.code, &entries.codes, differing);
                let within = differing.iter().zip(0..).filter(|(bits, _)| **bits <= reach);
                candidates.extend(within.map(|(bits, at)| Candidate {
                    bits: *bits,
                    at,
                    place: *place,
                    block: *block,
                }));
                if candidates.len() >= 2 * ENTRIES_COMPARED {
                    nearest_of(candidates);
                    reach = candidates.iter().map(|candidate| candidate.bits).max().unwrap_or(reach);
                }
            }
        }
        nearest_of(candidates);
    }

    pub(super) fn list(&self, place: Place) -> &[std::sync::Arc<Block>] {
        let lists = self.regions.get(usize::from(place.region));
        lists
            .and_then(|lists| lists.get(usize::from(place.list)))
            .map_or(&[][..], Vec::as_slice)
    }
}

/// Leaves the candidates whose bytes are to be compared.
fn nearest_of(candidates: &mut Vec<Candidate>) {
    if candidates.len() > ENTRIES_COMPARED {
        candidates.select_nth_unstable_by_key(ENTRIES_COMPARED, |candidate| candidate.bits);
        candidates.truncate(ENTRIES_COMPARED);
    }
}
