//! The one writer of the node's indexes: told what is kept and what is gone, it changes partitions and publishes them.
//! Each tenant has its share of a cache's entries; whose is full loses its oldest. Knows no thread, no clock and no answers.

use std::{collections::VecDeque, sync::Arc};

use hashbrown::{HashMap, HashSet};
use tollgate_vector::{Kernel, MAX_ENTRIES, Rebuild, Rebuilt, Room, Shares, Writer};

use super::node::{Insert, Job, Neighbourhood, Neighbours, Place, Wrong};

/// Of one partition; the oldest goes.
const MAX_PLACES: usize = 16;
/// Of all.
const MAX_ALL_PLACES: usize = 4_096;
/// From this similarity on a wrong hit was as near as can be: nothing is served there any more.
const NEAREST: f32 = 0.99;
const NEVER: f32 = 2.0;
/// Names of what is gone that a tenant's queue may have at least.
const LEAST_NAMES: usize = 32;

#[derive(Debug)]
pub struct Indexer {
    node: Neighbours,
    partitions: HashMap<u128, Kept>,
    caches: HashMap<Arc<str>, Held>,
    changed: HashSet<u128>,
    /// Published before the last time: searches of then are over, and this is where their memory is freed.
    retired: Vec<Arc<Neighbourhood>>,
    /// Partitions with places, by age of those.
    placed: VecDeque<u128>,
    rebuilding: Option<u128>,
    is_abandoned: bool,
    numbers: u64,
}

#[derive(Debug)]
struct Kept {
    cache: Arc<str>,
    tenant: u64,
    writer: Writer,
    /// Of each entry, the number of its insertion.
    numbers: HashMap<u64, u64>,
    places: VecDeque<Place>,
}

#[derive(Debug)]
struct Held {
    shares: Shares,
    /// What each tenant inserted, the oldest first: partition, entry, and number. What is gone is passed over.
    tenants: HashMap<u64, VecDeque<(u128, u64, u64)>>,
}

impl Kept {
    /// What the cache may hold is counted in its shares, and may change.
    fn new(cache: &Arc<str>, tenant: u64, dims: usize) -> Self {
        Self {
            cache: Arc::clone(cache),
            tenant,
            writer: Writer::new(dims, MAX_ENTRIES, Kernel::best()),
            numbers: HashMap::new(),
            places: VecDeque::new(),
        }
    }
}

impl Indexer {
    pub fn new(node: Neighbours) -> Self {
        Self {
            node,
            partitions: HashMap::new(),
            caches: HashMap::new(),
            changed: HashSet::new(),
            retired: Vec::new(),
            placed: VecDeque::new(),
            rebuilding: None,
            is_abandoned: false,
            numbers: 0,
        }
    }

    pub fn node(&self) -> &Neighbours {
        &self.node
    }

    /// False where there is no room for what is to be inserted.
    pub fn take(&mut self, job: Job) -> bool {
        match job {
            Job::Insert(insert) => return self.insert(insert),
            Job::Gone { partition, id } => self.remove(partition, id),
            Job::Look => {}
        }
        true
    }

    /// What was served wrongly since.
    pub fn take_verdicts(&mut self) {
        for wrong in self.node.take_wrong() {
            self.tighten(&wrong);
            self.remove(wrong.partition, wrong.id);
        }
    }

    fn insert(&mut self, insert: Insert) -> bool {
        let Insert {
            embedder: _,
            cache,
            tenant,
            partition,
            id,
            vector,
            max_entries,
        } = insert;
        self.remove(partition, id);
        loop {
            // Whose last entry has gone for this one is forgotten with it.
            let held = self.caches.entry(Arc::clone(&cache)).or_insert_with(|| Held {
                shares: Shares::new(max_entries),
                tenants: HashMap::new(),
            });
            held.shares.set_max(max_entries);
            match held.shares.room(tenant) {
                Room::Free => break,
                Room::Displaces(from) if self.evict_oldest(&cache, from) => {}
                Room::Displaces(_) | Room::None => return false,
            }
        }
        let kept = self.partitions.entry(partition);
        let kept = kept.or_insert_with(|| Kept::new(&cache, tenant, vector.len()));
        if kept.writer.insert(id, &vector).is_err() {
            // Words that the model knows none of are like nothing; and an index has its limit.
            self.forget_if_empty(partition);
            return false;
        }
        self.numbers += 1;
        kept.numbers.insert(id, self.numbers);
        self.changed.insert(partition);
        if let Some(held) = self.caches.get_mut(&cache) {
            held.shares.take(tenant);
            let queue = held.tenants.entry(tenant).or_default();
            queue.push_back((partition, id, self.numbers));
            if queue.len() > 2 * held.shares.held(tenant) + LEAST_NAMES {
                let partitions = &self.partitions;
                queue.retain(|(partition, id, number)| {
                    partitions.get(partition).and_then(|kept| kept.numbers.get(id)) == Some(number)
                });
            }
        }
        true
    }

    fn evict_oldest(&mut self, cache: &Arc<str>, tenant: u64) -> bool {
        loop {
            let queue = self
                .caches
                .get_mut(cache)
                .and_then(|held| held.tenants.get_mut(&tenant));
            let Some((partition, id, number)) = queue.and_then(VecDeque::pop_front) else {
                return false;
            };
            let is_there = |kept: &Kept| kept.numbers.get(&id) == Some(&number);
            if self.partitions.get(&partition).is_some_and(is_there) {
                self.remove(partition, id);
                return true;
            }
        }
    }

    fn remove(&mut self, partition: u128, id: u64) {
        let Some(kept) = self.partitions.get_mut(&partition) else {
            return;
        };
        if kept.numbers.remove(&id).is_none() {
            return;
        }
        kept.writer.remove(id);
        let (cache, tenant) = (Arc::clone(&kept.cache), kept.tenant);
        self.changed.insert(partition);
        if let Some(held) = self.caches.get_mut(&cache) {
            held.shares.release(tenant);
            if held.shares.held(tenant) == 0 {
                held.tenants.remove(&tenant);
            }
            if held.tenants.is_empty() {
                self.caches.remove(&cache);
            }
        }
        self.forget_if_empty(partition);
    }

    fn forget_if_empty(&mut self, partition: u128) {
        let is_empty = |kept: &Kept| kept.numbers.is_empty() && kept.places.is_empty();
        if self.partitions.get(&partition).is_some_and(is_empty) {
            self.partitions.remove(&partition);
            self.changed.insert(partition);
            // What comes there next is another index.
            self.is_abandoned |= self.rebuilding == Some(partition);
        }
    }

    /// Around what was asked, entries must be twice as near from now on as the one that was served wrongly.
    fn tighten(&mut self, wrong: &Wrong) {
        let (partition, similarity) = (wrong.partition, wrong.similarity);
        // Its entries may all have gone since: what comes there next is held to it.
        let kept = self.partitions.entry(partition);
        let kept = kept.or_insert_with(|| Kept::new(&wrong.cache, wrong.tenant, wrong.vector.len()));
        let needs = match similarity < NEAREST {
            true => f32::midpoint(similarity, 1.0),
            false => NEVER,
        };
        kept.places.push_back(Place {
            vector: wrong.vector.clone().into(),
            reach: similarity.min(NEAREST),
            needs,
        });
        if kept.places.len() > MAX_PLACES {
            kept.places.pop_front();
        } else {
            self.placed.push_back(partition);
        }
        self.changed.insert(partition);
        while self.placed.len() > MAX_ALL_PLACES {
            let Some(oldest) = self.placed.pop_front() else { return };
            if let Some(kept) = self.partitions.get_mut(&oldest) {
                kept.places.pop_front();
                self.changed.insert(oldest);
            }
            self.forget_if_empty(oldest);
        }
    }

    /// What changed is seen by searches from now on.
    pub fn publish(&mut self) {
        self.retired.clear();
        if self.changed.is_empty() {
            return;
        }
        for partition in self.changed.drain() {
            let now = self.partitions.get(&partition).map(|kept| {
                Arc::new(Neighbourhood {
                    generation: kept.writer.publish(),
                    places: kept.places.iter().cloned().collect(),
                })
            });
            self.retired.extend(self.node.publish(partition, now));
        }
        let sizes = self.caches.iter();
        let sizes = sizes.map(|(cache, held)| (Arc::clone(cache), held.shares.total() as u64));
        self.node.set_sizes(sizes.collect());
    }

    /// Takes out what is not there any more: `is_there` is asked of a cache and an entry.
    pub fn sweep(&mut self, is_there: impl Fn(&str, u64) -> bool) {
        let gone: Vec<(u128, u64)> = self
            .partitions
            .iter()
            .flat_map(|(partition, kept)| {
                let ids = kept.numbers.keys().filter(|id| !is_there(&kept.cache, **id));
                ids.map(|id| (*partition, *id)).collect::<Vec<_>>()
            })
            .collect();
        for (partition, id) in gone {
            self.remove(partition, id);
        }
    }

    /// A partition that has outgrown its centres, to be built anew on whatever thread; one at a time. What becomes of it is
    /// told by `adopt` or `give_up`.
    pub fn outgrown(&mut self) -> Option<(u128, Rebuild)> {
        if self.rebuilding.is_some() {
            return None;
        }
        let grown = self.changed.iter().find_map(|partition| {
            let rebuild = self.partitions.get_mut(partition)?.writer.outgrown()?;
            Some((*partition, rebuild))
        })?;
        self.rebuilding = Some(grown.0);
        Some(grown)
    }

    pub fn adopt(&mut self, partition: u128, rebuilt: Rebuilt) {
        if let Some(kept) = self.built(partition) {
            kept.writer.adopt(rebuilt);
            self.changed.insert(partition);
        }
    }

    /// It was not built anew: it is tried again when the partition changes next.
    pub fn give_up(&mut self, partition: u128) {
        if let Some(kept) = self.built(partition) {
            kept.writer.give_up();
        }
    }

    /// The partition that was being built anew, if it is still the same.
    fn built(&mut self, partition: u128) -> Option<&mut Kept> {
        self.rebuilding = None;
        let is_abandoned = std::mem::take(&mut self.is_abandoned);
        self.partitions.get_mut(&partition).filter(|_| !is_abandoned)
    }

    /// Of all caches.
    pub fn len(&self) -> usize {
        self.caches.values().map(|held| held.shares.total()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }
}
