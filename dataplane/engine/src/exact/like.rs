//! Answers by the number that the indexes of `semantic` know them by: half of their names. Knows no vectors.

use std::sync::Arc;

use tollgate_vector::Scratch;

use super::{Answers, Policy, Spent, Stored, Tenant, codec::Kept, shelf::Place};
use crate::{
    Snapshot, Tick,
    semantic::{self, Asked, Compared, Indexer, Insert, Job, Neighbours, Stats},
};

impl Answers {
    pub fn neighbours(&self) -> Option<&Neighbours> {
        self.0.neighbours.as_ref()
    }

    /// Answers have gone: so must what they were found by.
    pub(super) fn look(&self) {
        if let Some(neighbours) = &self.0.neighbours {
            neighbours.look();
        }
    }

    /// What is found by meaning at most for `ttl_ms`, where it is there, of this partition and for this tenant.
    pub(crate) fn like(
        &self,
        now: Tick,
        (id, partition): (u64, u128),
        tenant: Tenant<'_>,
        policy: &Policy,
        ttl_ms: u64,
    ) -> Option<Arc<Stored>> {
        let stored = self
            .with(u128::from(id), |part| part.like(&policy.name, id))
            .flatten()?;
        let is_of = stored.asked.as_ref().is_some_and(|asked| asked.partition == partition);
        let ttl_ns = ttl_ms.min(policy.ttl_ms).saturating_mul(1_000_000);
        let is_young = stored.age_ns(now) < ttl_ns;
        (is_of && is_young && tenant.is(stored.about.tenant())).then_some(stored)
    }

    pub(crate) fn served_like(&self, id: u64, policy: &Policy, spent: &Spent) {
        self.with(u128::from(id), |part| part.served_like(&policy.name, id, spent));
    }

    /// It is not found by meaning any more.
    pub(crate) fn unlink(&self, cache: &str, id: u64) {
        self.with(u128::from(id), |part| part.unlink(cache, id));
    }

    pub(crate) fn tally(&self, cache: &Arc<str>, id: u64, count: impl FnOnce(&mut Stats)) {
        self.with(u128::from(id), |part| part.tally(cache, count));
    }

    /// Hands a job to the indexes' writer, on its thread: a question that is to be found is read there, before any shard
    /// compares it.
    pub fn index(&self, indexer: &mut Indexer, job: Job) {
        let inserted = match &job {
            Job::Insert(insert) => {
                let found = self.with(u128::from(insert.id), |part| part.like(&insert.cache, insert.id));
                if let Some(asked) = found.flatten().as_ref().and_then(|stored| stored.asked.as_ref()) {
                    asked.prepare(&insert.embedder);
                }
                Some((Arc::clone(&insert.cache), insert.id))
            }
            _ => None,
        };
        if !indexer.take(job)
            && let Some((cache, id)) = inserted
        {
            self.tally(&cache, id, |stats| stats.unindexed += 1);
        }
    }

    /// What writers do beside their jobs, now and then: verdicts, and entries whose answers have gone.
    pub fn tidy_index(&self, indexer: &mut Indexer) {
        indexer.take_verdicts();
        if indexer.node().is_stale() {
            indexer.sweep(|cache, id| self.is_found(cache, id));
        }
    }

    /// Can this entry of an index still be found? For its writer.
    fn is_found(&self, cache: &str, id: u64) -> bool {
        self.with(u128::from(id), |part| part.like(cache, id).is_some())
            .unwrap_or(false)
    }
}

impl Answers {
    /// All that a cache keeps with what was asked, for the writer: where answers outlived the indexes they were found by.
    /// Ends where `take` is false.
    pub fn find_again(&self, snapshot: &Snapshot, cache: &str, mut take: impl FnMut(Insert) -> bool) {
        let Some((embedder, fingerprint)) = snapshot.embedder() else {
            return;
        };
        let mut scratch = Scratch::default();
        // A partition holds the vectors of one model. A provider is not asked anew for all of them: their vectors are kept.
        let mut vector_of = |asked: &Asked| match &snapshot.remote {
            Some(remote) => remote.vector_again(asked),
            None if asked.model == fingerprint => asked.vector(embedder, &mut scratch),
            None => None,
        };
        let caches = &snapshot.document.caches;
        let semantic = caches
            .iter()
            .find(|(name, _)| name == cache)
            .and_then(|(_, cache)| cache.semantic);
        let (Some(semantic), Some(shelf)) = (semantic, self.shelf(&snapshot.document, cache)) else {
            return;
        };
        let (mut place, mut some, mut is_more) = (Place::default(), Vec::new(), true);
        while is_more {
            is_more = shelf.some(&mut place, &mut some);
            for Kept { key, stored, .. } in some.drain(..) {
                let asked = stored.asked.as_deref();
                let Some((asked, vector)) = asked.and_then(|asked| Some((asked, vector_of(asked)?))) else {
                    continue;
                };
                let id = key as u64;
                let goes_on = take(Insert {
                    embedder: Arc::clone(embedder),
                    cache: Arc::clone(&stored.about.cache),
                    tenant: semantic::tenant(stored.about.tenant()),
                    partition: asked.partition,
                    id,
                    vector,
                    max_entries: semantic.max_entries as usize,
                });
                if !goes_on {
                    return;
                }
            }
        }
    }

    /// What `mode: shadow` compared lately.
    pub fn compared(&self) -> Vec<Compared> {
        self.neighbours().map(Neighbours::compared).unwrap_or_default()
    }
}
