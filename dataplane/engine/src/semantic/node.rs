//! What the node's shards share of what was asked: an index for each partition, published whole by the one writer
//! (`indexer`), and what was served or would have been, for those who judge it. A shard takes a lock for a look at a map and
//! searches without one. Knows no answers: an entry is a number that the table of answers knows.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use hashbrown::HashMap;
use tollgate_config::{document::CACHE_PARTS, fnv::Fnv};
use tollgate_vector::{Embedder, Generation};

use super::remote::Memory;
use crate::{exact::canon::Seed, repeats::Parts};

/// Hits that can be judged, in one part: the oldest is forgotten. Each has a vector of some kilobyte.
const MAX_SERVED: usize = 256;
/// Comparisons that can be read, in one part.
const MAX_COMPARED: usize = 64;
/// Verdicts that wait where there was no room on the way to the writer: as many as can be told of, since each hit is judged
/// once. The oldest is forgotten.
const MAX_WRONG: usize = MAX_SERVED * CACHE_PARTS as usize;

/// What the writer is told.
#[derive(Debug)]
pub enum Job {
    Insert(Insert),
    /// Its answer is not there any more.
    Gone {
        partition: u128,
        id: u64,
    },
    /// Answers may have gone: `Neighbours::is_stale` says that all are to be looked at. Or verdicts wait.
    Look,
}

/// An operator says that it was served wrongly for what this is the vector of.
#[derive(Debug)]
pub struct Wrong {
    pub cache: Arc<str>,
    pub tenant: u64,
    pub partition: u128,
    pub id: u64,
    pub vector: Box<[f32]>,
    pub similarity: f32,
}

/// An answer that is to be found by what was asked.
#[derive(Debug)]
pub struct Insert {
    /// The model of its vector.
    pub embedder: Arc<Embedder>,
    pub cache: Arc<str>,
    pub tenant: u64,
    pub partition: u128,
    pub id: u64,
    pub vector: Box<[f32]>,
    /// Of the cache, all tenants together.
    pub max_entries: usize,
}

/// The way to the writer. It never waits: false where there is no room.
pub trait Queue: std::fmt::Debug + Send + Sync {
    fn offer(&self, job: Job) -> bool;
}

/// Around here an answer was served wrongly.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub vector: Arc<[f32]>,
    /// Whatever is as near as this,
    pub reach: f32,
    /// must be as near as that to an entry.
    pub needs: f32,
}

/// A partition as searches see it.
#[derive(Debug)]
pub(crate) struct Neighbourhood {
    pub generation: Arc<Generation>,
    pub(super) places: Vec<Place>,
}

impl Neighbourhood {
    /// The similarity that an entry needs to be looked at for this.
    pub(super) fn needs(&self, vector: &[f32], threshold: f32) -> f32 {
        let near = |place: &&Place| dot(&place.vector, vector) >= place.reach;
        let tightened = self.places.iter().filter(near).map(|place| place.needs);
        tightened.fold(threshold, f32::max)
    }
}

pub(super) fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// An answer that was served for another question.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub request_id: Box<str>,
    pub cache: Arc<str>,
    pub tenant: u64,
    pub partition: u128,
    pub id: u64,
    pub vector: Box<[f32]>,
    pub similarity: f32,
}

/// What would have been served, beside what the provider said.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    pub request_id: Box<str>,
    pub cache: Arc<str>,
    pub model: Box<str>,
    pub unix_ms: u64,
    /// Of the two questions.
    pub similarity: f32,
    /// Of the two answers; one where they say the same.
    pub answers: f32,
    pub agreement: &'static str,
}

/// One part of what is shared.
#[derive(Debug, Default)]
pub struct Part {
    neighbourhoods: HashMap<u128, Arc<Neighbourhood>>,
    served: VecDeque<Served>,
    compared: VecDeque<Compared>,
    /// Entries by cache; of the first part.
    sizes: Vec<(Arc<str>, u64)>,
    /// Verdicts that wait; of the first part.
    wrong: VecDeque<Wrong>,
    /// Vectors that a provider made.
    memory: Memory,
}

#[derive(Clone, Debug)]
pub struct Neighbours(Arc<Node>);

#[derive(Debug)]
struct Node {
    parts: Box<dyn Parts<Part>>,
    queue: Box<dyn Queue>,
    stale: AtomicBool,
}

impl Neighbours {
    /// Of `CACHE_PARTS` parts.
    pub fn new(parts: impl Parts<Part> + 'static, queue: impl Queue + 'static) -> Self {
        Self(Arc::new(Node {
            parts: Box::new(parts),
            queue: Box::new(queue),
            stale: AtomicBool::new(false),
        }))
    }

    pub(crate) fn offer(&self, job: Job) -> bool {
        self.0.queue.offer(job)
    }

    /// It waits where the writer has no room: a verdict is not lost.
    pub(super) fn tell_wrong(&self, wrong: Wrong) {
        self.with(0, |part| {
            if part.wrong.len() >= MAX_WRONG {
                part.wrong.pop_front();
            }
            part.wrong.push_back(wrong);
        });
        // Where the queue is full the writer is awake.
        self.offer(Job::Look);
    }

    /// Verdicts that wait for the writer.
    pub(super) fn take_wrong(&self) -> VecDeque<Wrong> {
        self.with(0, |part| std::mem::take(&mut part.wrong)).unwrap_or_default()
    }

    /// Answers were forgotten, or are not to be found any more: the writer looks at all of its entries.
    pub fn look(&self) {
        self.0.stale.store(true, Ordering::Release);
        // Where the queue is full the writer is awake.
        self.offer(Job::Look);
    }

    /// Once for each time that it became so.
    pub fn is_stale(&self) -> bool {
        self.0.stale.swap(false, Ordering::AcqRel)
    }

    fn with<T>(&self, key: u64, work: impl FnOnce(&mut Part) -> T) -> Option<T> {
        self.0.parts.on((key % CACHE_PARTS) as usize, work)
    }

    pub(super) fn at(&self, partition: u128) -> Option<Arc<Neighbourhood>> {
        self.with(partition as u64, |part| part.neighbourhoods.get(&partition).cloned())
            .flatten()
    }

    /// Gives what was there: whoever drops it last has its memory to free.
    pub(super) fn publish(&self, partition: u128, now: Option<Arc<Neighbourhood>>) -> Option<Arc<Neighbourhood>> {
        let change = |part: &mut Part| match now {
            Some(now) => part.neighbourhoods.insert(partition, now),
            None => part.neighbourhoods.remove(&partition),
        };
        self.with(partition as u64, change).flatten()
    }

    pub(super) fn set_sizes(&self, sizes: Vec<(Arc<str>, u64)>) {
        self.with(0, |part| part.sizes = sizes);
    }

    pub(crate) fn sizes(&self) -> Vec<(Arc<str>, u64)> {
        self.with(0, |part| part.sizes.clone()).unwrap_or_default()
    }

    /// A vector that a provider made lately, by the question's key.
    pub(super) fn remembered(&self, key: u128) -> Option<Arc<[f32]>> {
        self.with(key as u64, |part| part.memory.get(key)).flatten()
    }

    pub(super) fn remember(&self, key: u128, vector: Arc<[f32]>) {
        self.with(key as u64, |part| part.memory.put(key, vector));
    }

    pub(super) fn note_served(&self, served: Served) {
        self.with(place(&served.request_id), |part| {
            if part.served.len() >= MAX_SERVED {
                part.served.pop_front();
            }
            part.served.push_back(served);
        });
    }

    /// The hit of this request, which is judged once.
    pub(super) fn take_served(&self, request_id: &str) -> Option<Served> {
        let take = |part: &mut Part| {
            let at = part
                .served
                .iter()
                .rposition(|served| &*served.request_id == request_id)?;
            part.served.remove(at)
        };
        self.with(place(request_id), take).flatten()
    }

    pub(super) fn note_compared(&self, compared: Compared) {
        self.with(place(&compared.request_id), |part| {
            if part.compared.len() >= MAX_COMPARED {
                part.compared.pop_front();
            }
            part.compared.push_back(compared);
        });
    }

    /// What `mode: shadow` compared lately, the latest last.
    pub fn compared(&self) -> Vec<Compared> {
        let mut all = Vec::new();
        for part in 0..CACHE_PARTS {
            self.with(part, |part| all.extend(part.compared.iter().cloned()));
        }
        all.sort_by_key(|compared: &Compared| compared.unix_ms);
        all
    }
}

fn place(request_id: &str) -> u64 {
    Fnv::of(request_id.as_bytes())
}

/// Of an index's partition: of what must be equal, and of the model that the vectors are of.
pub(super) fn partition(seed: Seed, around: u128, fingerprint: u64) -> u128 {
    use siphasher::sip128::Hasher128 as _;
    use std::hash::Hasher as _;
    let mut hasher = seed.hasher();
    hasher.write_u128(around);
    hasher.write_u64(fingerprint);
    hasher.finish128().as_u128()
}
