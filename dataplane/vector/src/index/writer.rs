//! The one writer of an index: it inserts, removes, and publishes what searches see next. A larger index is built anew
//! beside it (on whatever thread the caller likes), and what changed meanwhile is applied when it is adopted. Knows no
//! thread and no clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::block::Block;
use super::centres::{CentreScratch, Centres, Place, SAMPLE_PER_CENTRE};
use super::quantised::Quantised;
use super::{FLAT_MOST, Generation, List};
use crate::Kernel;

pub const MAX_ENTRIES: usize = 16 << 20;
/// An index is built anew when it has grown or shrunk by this factor since its centres were found.
const GROWTH: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriterError {
    #[error("the index holds {0} entries, which is its limit")]
    Full(usize),
    #[error("the vector has {found} dimensions; the index has {expected}")]
    Dims { found: usize, expected: usize },
    #[error("the vector is zero: nothing is similar to it")]
    Zero,
}

#[derive(Debug)]
pub struct Writer {
    now: Generation,
    /// The list of each entry.
    places: BTreeMap<u64, Place>,
    max_entries: usize,
    /// Entries when the centres were found.
    built_for: usize,
    /// What changed since a rebuild was begun.
    changed: Option<Vec<u64>>,
    scratch: CentreScratch,
}

/// An index to be built anew: what it takes lies in it.
#[derive(Debug)]
pub struct Rebuild(Generation);

/// One that was.
#[derive(Debug)]
pub struct Rebuilt {
    now: Generation,
    places: BTreeMap<u64, Place>,
}

impl Writer {
    pub fn new(dims: usize, max_entries: usize, kernel: Kernel) -> Self {
        Self {
            now: Generation::flat(dims, kernel),
            places: BTreeMap::new(),
            max_entries: max_entries.min(MAX_ENTRIES),
            built_for: FLAT_MOST / GROWTH,
            changed: None,
            scratch: CentreScratch::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.now.entries
    }

    pub fn is_empty(&self) -> bool {
        self.now.is_empty()
    }

    /// What searches shall see from now on. What has not changed since is shared with it, so it costs a
    /// counter for each region; the first change of each region and block afterwards copies it.
    pub fn publish(&self) -> Arc<Generation> {
        Arc::new(self.now.clone())
    }

    /// Adds an entry, or gives one that is there another vector.
    pub fn insert(&mut self, id: u64, vector: &[f32]) -> Result<(), WriterError> {
        if vector.len() != self.now.dims {
            return Err(WriterError::Dims {
                found: vector.len(),
                expected: self.now.dims,
            });
        }
        let vector = Quantised::of(vector);
        if vector.scale == 0.0 {
            return Err(WriterError::Zero);
        }
        if self.now.entries >= self.max_entries && !self.places.contains_key(&id) {
            return Err(WriterError::Full(self.max_entries));
        }
        self.remove(id);
        self.note(id);
        self.places.insert(id, self.now.add(id, &vector, &mut self.scratch));
        Ok(())
    }

    /// Takes an entry out; whether there was one.
    pub fn remove(&mut self, id: u64) -> bool {
        let Some(place) = self.places.remove(&id) else {
            return false;
        };
        self.note(id);
        self.now.take_out(id, place);
        true
    }

    fn note(&mut self, id: u64) {
        if let Some(changed) = &mut self.changed {
            changed.push(id);
        }
    }

    /// What to build anew, when the index has outgrown its centres, or needs none any more, and no rebuild is under way.
    pub fn outgrown(&mut self) -> Option<Rebuild> {
        let entries = self.now.entries;
        let grown = entries > FLAT_MOST && entries > self.built_for * GROWTH;
        let shrunk = !self.now.is_flat() && entries < FLAT_MOST / GROWTH;
        if self.changed.is_some() || !(grown || shrunk) {
            return None;
        }
        self.changed = Some(Vec::new());
        Some(Rebuild(self.now.clone()))
    }

    /// What was to be built anew was not: it may be begun again.
    pub fn give_up(&mut self) {
        self.changed = None;
    }

    /// Takes over an index that was built anew, with what changed since it was begun.
    pub fn adopt(&mut self, rebuilt: Rebuilt) {
        let old = std::mem::replace(&mut self.now, rebuilt.now);
        let old_places = std::mem::replace(&mut self.places, rebuilt.places);
        self.built_for = self.now.entries.max(FLAT_MOST / GROWTH);
        for id in self.changed.take().unwrap_or_default() {
            if let Some(place) = self.places.remove(&id) {
                self.now.take_out(id, place);
            }
            if let Some(vector) = old_places.get(&id).and_then(|place| old.vector_of(id, *place)) {
                self.places.insert(id, self.now.add(id, &vector, &mut self.scratch));
            }
        }
    }
}

impl Rebuild {
    /// Builds it: seconds of work for a million entries.
    pub fn run(self) -> Rebuilt {
        let old = self.0;
        let mut now = Generation::flat(old.dims, old.kernel);
        if old.entries > FLAT_MOST {
            let count = Centres::wanted(old.entries);
            let stride = (old.entries / (count * SAMPLE_PER_CENTRE)).max(1);
            let sample: Vec<Quantised> = old.vectors().step_by(stride).map(|(_, vector)| vector).collect();
            let centres = Centres::find(&sample, count, old.kernel);
            now.regions = centres
                .lists_by_region()
                .map(|lists| Arc::new(vec![Vec::new(); lists]))
                .collect();
            now.centres = Some(Arc::new(centres));
        }
        let mut scratch = CentreScratch::default();
        let places = old
            .vectors()
            .map(|(id, vector)| (id, now.add(id, &vector, &mut scratch)))
            .collect();
        Rebuilt { now, places }
    }
}

impl Generation {
    fn flat(dims: usize, kernel: Kernel) -> Self {
        Self {
            dims,
            kernel,
            centres: None,
            regions: vec![Arc::new(vec![Vec::new()])],
            entries: 0,
        }
    }

    fn vectors(&self) -> impl Iterator<Item = (u64, Quantised)> {
        self.blocks().flat_map(|block| {
            let entries = block.ids().enumerate();
            entries.filter_map(|(at, id)| {
                let (values, scale) = block.vector(at)?;
                let values = values.to_vec();
                Some((id, Quantised { values, scale }))
            })
        })
    }

    fn list_mut(&mut self, place: Place) -> Option<&mut List> {
        let lists = self.regions.get_mut(usize::from(place.region))?;
        Arc::make_mut(lists).get_mut(usize::from(place.list))
    }

    /// Puts an entry into the list where it belongs, which is told.
    fn add(&mut self, id: u64, vector: &Quantised, scratch: &mut CentreScratch) -> Place {
        let place = match &self.centres {
            None => Place::default(),
            Some(centres) => centres.nearest(vector, self.kernel, scratch),
        };
        let code = if self.centres.is_some() {
            scratch.code.as_slice()
        } else {
            &[]
        };
        let Some(blocks) = self.list_mut(place) else {
            return place;
        };
        if blocks.last().is_none_or(|last| last.is_full()) {
            match blocks.iter().position(|block| !block.is_full()) {
                Some(with_room) => {
                    let last = blocks.len() - 1;
                    blocks.swap(with_room, last);
                }
                None => blocks.push(Block::new(vector.values.len(), code.len())),
            }
        }
        if let Some(last) = blocks.last_mut() {
            last.push(id, vector, code);
        }
        self.entries += 1;
        place
    }

    fn take_out(&mut self, id: u64, place: Place) {
        let Some((index, at)) = self.find(id, place) else {
            return;
        };
        let Some(blocks) = self.list_mut(place) else { return };
        if let Some(block) = blocks.get_mut(index) {
            block.remove(at);
            if block.len() == 0 {
                blocks.swap_remove(index);
            }
            self.entries -= 1;
        }
    }

    /// The block of an entry, and its place there.
    fn find(&self, id: u64, place: Place) -> Option<(usize, usize)> {
        let blocks = self.list(place).iter().enumerate();
        blocks
            .filter_map(|(index, block)| Some((index, block.ids().position(|of_block| of_block == id)?)))
            .next()
    }

    fn vector_of(&self, id: u64, place: Place) -> Option<Quantised> {
        let (index, at) = self.find(id, place)?;
        let (values, scale) = self.list(place).get(index)?.vector(at)?;
        Some(Quantised {
            values: values.to_vec(),
            scale,
        })
    }
}
