//! What a cache's two threads, shards and the control thread share of its second tier: what is known of its past, whether the
//! store is there, and what was counted. A shard looks at no more than an atomic.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use ring::rand::SystemRandom;
use tollgate_config::link::Purge;
use tollgate_engine::{
    Answers,
    exact::{Filter, Patience},
};

use super::{
    generation::Signer,
    past::Past,
    sealer::{Sealer, Unreadable},
};
use crate::kept;

/// So many calls in a row that waited for nothing: the store is left alone until it is heard again.
const MOST_LATE: u32 = 16;

/// Of one cache, since the process started.
#[derive(Debug, Default)]
pub struct Counts {
    pub hits: AtomicU64,
    pub misses: AtomicU64,
    pub timeouts: AtomicU64,
    pub errors: AtomicU64,
    pub skipped: AtomicU64,
    pub unreadable: [AtomicU64; Unreadable::ALL.len()],
    pub stored: AtomicU64,
    pub failed: AtomicU64,
    pub dropped: AtomicU64,
    /// Generations that nobody signed.
    pub forged: AtomicU64,
    pub is_up: AtomicBool,
}

pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// What of the process a cache's answers also lie in.
#[derive(Clone)]
pub struct Here {
    pub answers: Answers,
    pub kept: kept::Handle,
}

pub struct Shared {
    pub cache: Arc<str>,
    pub sealer: Sealer,
    pub signer: Signer,
    pub counts: Arc<Counts>,
    pub random: SystemRandom,
    pub past: Arc<Past>,
    here: Here,
    late: AtomicU32,
    /// How often it was left alone for being late, since it was heard in time.
    rests: AtomicU32,
    /// As long as a call waits.
    pub patience: Duration,
}

impl Shared {
    pub fn new(
        cache: &Arc<str>,
        (sealer, signer): (Sealer, Signer),
        counts: Arc<Counts>,
        (here, past): (Here, Arc<Past>),
        patience: Duration,
    ) -> Self {
        // Until the store has said otherwise.
        counts.is_up.store(false, Ordering::SeqCst);
        Self {
            cache: Arc::clone(cache),
            sealer,
            signer,
            counts,
            random: SystemRandom::new(),
            past,
            here,
            late: AtomicU32::new(0),
            rests: AtomicU32::new(0),
            patience,
        }
    }

    pub fn is_up(&self) -> bool {
        self.counts.is_up.load(Ordering::SeqCst)
    }

    pub fn set_up(&self, is_up: bool) {
        if self.counts.is_up.swap(is_up, Ordering::SeqCst) != is_up {
            self.late.store(0, Ordering::Relaxed);
        }
    }

    /// The store has answered, and in time.
    pub fn heard(&self) {
        self.late.store(0, Ordering::Relaxed);
        self.rests.store(0, Ordering::Relaxed);
    }

    pub fn rests(&self) -> u32 {
        self.rests.load(Ordering::Relaxed)
    }

    /// It has not, in time. After some of these it is left alone until the writer has looked, and longer each time.
    pub fn late(&self, waited: Patience) {
        count(&self.counts.timeouts);
        let is_late = waited == Patience::Whole && self.late.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_LATE;
        // Once for all who waited at the same time.
        if is_late && self.counts.is_up.swap(false, Ordering::SeqCst) {
            self.late.store(0, Ordering::Relaxed);
            self.rests.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A purge: it is shut off before anything can fail.
    pub fn forget(&self) -> Result<(), String> {
        self.set_up(false);
        self.past.forget()
    }

    /// Another node purged: what this one has in memory may be of before. Gives how many answers went.
    pub fn forget_memory(&self) -> u64 {
        let filter = Filter(Purge {
            cache: Some(self.cache.to_string()),
            ..Purge::default()
        });
        self.here.answers.purge(&filter).0
    }

    /// And what lies on the disk.
    pub fn forget_snapshots(&self) -> Result<(), String> {
        let forgot = self.here.kept.forget();
        forgot.map_err(|why| format!("a snapshot may have answers that another node purged: {why}"))
    }
}
