//! A search of lists: which are looked into, which of their entries are compared by bytes, and that memory is asked for before
//! it is read, for most of a large index is in no cache. Knows no writer.

use super::block::Block;
use super::centres::{Centres, Place};
use super::{Generation, Hit, IndexScratch, List, keep};
use crate::kernels::ask_for;

/// Lists a search looks into at most, the nearest first.
const LISTS_SEARCHED: usize = 192;
/// Entries whose codes are compared: when there were so many, no further block of a list is looked into.
const ENTRIES_SEARCHED: usize = 8192;
/// Near lists may be shorter than most: so many in a hundred more of them are found than lists of the mean length would take.
const LISTS_PERCENT: usize = 125;
/// Entries whose bytes are compared: those whose codes differ least.
const ENTRIES_COMPARED: usize = 64;
/// How many blocks ahead of its reading one is asked for.
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
        let few = self.lists_searched(centres);
        centres.nearest_few(&scratch.query, few, self.kernel, &mut scratch.centres);
        self.choose(scratch);
        let IndexScratch { query, candidates, .. } = scratch;
        let entries = candidates.iter().filter_map(|candidate| {
            let block = self.list(candidate.place).get(candidate.block as usize)?;
            Some((block, usize::from(candidate.at)))
        });
        // All are asked for before the first is read.
        entries.clone().for_each(|(block, at)| block.ask_for_entry(at));
        for (block, at) in entries {
            if let (Some((values, scale)), Some(id)) = (block.vector(at), block.id(at)) {
                let similarity = query.similarity(self.kernel.dot(&query.values, values), scale);
                keep(hits, most, Hit { id, similarity });
            }
        }
    }

    /// As many as hold what is to be compared.
    fn lists_searched(&self, centres: &Centres) -> usize {
        let lists = ENTRIES_SEARCHED * LISTS_PERCENT * centres.lists() / (100 * self.entries.max(1));
        lists.clamp(1, LISTS_SEARCHED)
    }

    /// Leaves in `scratch.candidates` the entries of the nearest lists whose codes differ least from the query's.
    fn choose(&self, scratch: &mut IndexScratch) {
        let IndexScratch {
            centres: near,
            differing,
            reach,
            candidates,
            ..
        } = scratch;
        let places = near.nearest.iter().map(|(_, place)| *place);
        places.clone().for_each(|place| ask_for(self.slot(place)));
        places.clone().for_each(|place| ask_for(self.list(place)));
        let blocks = places.flat_map(|place| {
            let blocks = self.list(place).iter().zip(0..);
            blocks.map(move |(block, at): (&Block, u32)| (place, at, block))
        });
        let mut soon = blocks.clone();
        let mut ask_for_next = || soon.next().into_iter().for_each(|(.., block)| ask_for(block.codes()));
        (0..BLOCKS_AHEAD).for_each(|_| ask_for_next());
        candidates.clear();
        reach.begin(near.code.len(), ENTRIES_COMPARED);
        let mut left = ENTRIES_SEARCHED;
        for (place, block, entries) in blocks {
            ask_for_next();
            differing.clear();
            self.kernel.hammings(&near.code, entries.codes(), differing);
            reach.sift(differing, |at, bits| {
                candidates.push(Candidate { bits, at, place, block });
            });
            left = left.saturating_sub(entries.len());
            if left == 0 {
                break;
            }
        }
        // Of those that differ in equally many bits the ones of the nearest lists.
        let mut at_edge = reach.wanted_at_edge();
        candidates.retain(|candidate| {
            let is_at_edge = candidate.bits == reach.bits();
            let is_wanted = candidate.bits < reach.bits() || (is_at_edge && at_edge > 0);
            at_edge -= usize::from(is_at_edge && is_wanted);
            is_wanted
        });
    }

    /// Where the table has a list.
    fn slot(&self, place: Place) -> &[List] {
        let list = usize::from(place.list);
        let lists = self.regions.get(usize::from(place.region));
        lists.and_then(|lists| lists.get(list..=list)).unwrap_or(&[])
    }

    pub(super) fn list(&self, place: Place) -> &[Block] {
        self.slot(place).first().map_or(&[], Vec::as_slice)
    }
}
