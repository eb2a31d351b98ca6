//! What a cache's two threads, shards and the control thread share of its second tier: which generation is known, whether the
//! store is there, and what was counted. A shard looks at no more than an atomic.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // Shards never take the lock.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use ring::rand::{SecureRandom, SystemRandom};
use tollgate_config::link::Purge;
use tollgate_engine::{Answers, exact::Filter};

use super::{
    generation::Generation,
    sealer::{Sealer, Unreadable},
};
use crate::kept;

/// Below the state directory: which generation each cache is known to be of.
const FOLDER: &str = "second";
const ENDING: &str = ".generation";
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
    pub counts: Arc<Counts>,
    pub random: SystemRandom,
    here: Here,
    path: PathBuf,
    known: Mutex<Known>,
    /// How often `known` was another: whoever began before is told by it.
    forgotten: AtomicU64,
    late: AtomicU32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    generation: Option<Generation>,
    /// It is a purge's, and the store has not been told.
    is_wish: bool,
    /// It was drawn here, and means nothing yet.
    is_drawn: bool,
}

/// What came of telling the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    Yes,
    /// There is a later one to tell.
    Not,
    /// All is forgotten here as well: another node purged.
    Forgets,
}

fn lock(mutex: &Mutex<Known>) -> MutexGuard<'_, Known> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn new(
        cache: &Arc<str>,
        sealer: Sealer,
        (counts, count_from): (Arc<Counts>, u64),
        (here, state_dir): (Here, &Path),
    ) -> Self {
        let path = state_dir.join(FOLDER).join(kept::file_name(cache, ENDING));
        let text = fs::read_to_string(&path).unwrap_or_default();
        let known = Known {
            generation: Generation::read(text.trim_end().as_bytes()),
            ..Known::default()
        };
        // Until the store has said otherwise.
        counts.is_up.store(false, Ordering::SeqCst);
        Self {
            cache: Arc::clone(cache),
            sealer,
            counts,
            random: SystemRandom::new(),
            here,
            path,
            known: Mutex::new(known),
            forgotten: AtomicU64::new(count_from),
            late: AtomicU32::new(0),
        }
    }

    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    pub fn is_up(&self) -> bool {
        self.counts.is_up.load(Ordering::SeqCst)
    }

    pub fn set_up(&self, is_up: bool) {
        self.late.store(0, Ordering::Relaxed);
        self.counts.is_up.store(is_up, Ordering::SeqCst);
    }

    /// The store has answered.
    pub fn heard(&self) {
        self.late.store(0, Ordering::Relaxed);
    }

    /// It has not, in time. After some of these it is left alone until the writer looks.
    pub fn late(&self) {
        count(&self.counts.timeouts);
        if self.late.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_LATE {
            self.set_up(false);
        }
    }

    /// The generation that the store has been told of, and how often there was another before.
    pub fn known(&self) -> Option<(Generation, u64)> {
        let known = lock(&self.known);
        let generation = known.generation.filter(|_| !known.is_wish && !known.is_drawn)?;
        Some((generation, self.forgotten()))
    }

    /// A purge: from now on nothing that was stored before is good here, whether or not the store can be told.
    pub fn forget(&self) -> Result<(), String> {
        let mut known = lock(&self.known);
        let next = match known.generation {
            None => Some(Generation::first(self.draw()?)),
            Some(generation) => generation.next(self.draw()?),
        };
        let next = next.ok_or("its generations are used up: rename the cache, or change its `prefix`")?;
        self.set_up(false);
        *known = Known {
            generation: Some(next),
            is_wish: true,
            is_drawn: false,
        };
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.write(next)
    }

    /// What the store is to be told.
    pub fn wanted(&self) -> Result<Generation, String> {
        let mut known = lock(&self.known);
        match known.generation {
            Some(generation) => Ok(generation),
            None => {
                let first = Generation::first(self.draw()?);
                (known.generation, known.is_drawn) = (Some(first), true);
                Ok(first)
            }
        }
    }

    /// The store was told `wanted`, and has this now.
    pub fn settle(&self, wanted: Generation, there: Generation) -> Result<Settled, String> {
        let mut known = lock(&self.known);
        if known.generation != Some(wanted) {
            return Ok(Settled::Not);
        }
        if there.is_before(wanted) {
            return Err("it has an earlier generation than it was told".to_owned());
        }
        let was_drawn = std::mem::take(&mut known.is_drawn);
        if there == wanted || was_drawn {
            (known.generation, known.is_wish) = (Some(there), false);
            if was_drawn {
                self.write(there)?;
            }
            return Ok(Settled::Yes);
        }
        // Another node purged, and what was stored since may be older than our own purge.
        let next = match known.is_wish {
            true => there.next(self.draw()?).ok_or("its generations are used up")?,
            false => there,
        };
        known.generation = Some(next);
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.write(next)?;
        Ok(Settled::Forgets)
    }

    /// Another node purged: what this one keeps may be of before. Gives how many answers went.
    pub fn forget_here(&self) -> u64 {
        let filter = Filter(Purge {
            cache: Some(self.cache.to_string()),
            ..Purge::default()
        });
        let (answers, _) = self.here.answers.purge(&filter);
        if let Err(why) = self.here.kept.forget() {
            tracing::error!(
                cache = &*self.cache,
                why,
                "a snapshot may have answers that another node purged"
            );
        }
        answers
    }

    fn draw(&self) -> Result<u64, String> {
        let mut bytes = [0; 8];
        let drawn = self.random.fill(&mut bytes);
        drawn.map_err(|_| "the system gives no randomness".to_owned())?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// So that the next process knows as well, whatever the store says then.
    fn write(&self, generation: Generation) -> Result<(), String> {
        let fail = |error| format!("{} cannot be written: {error}", self.path.display());
        if let Some(folder) = self.path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(fail)?;
        }
        kept::put_text(&self.path, &format!("{generation}\n")).map_err(fail)
    }
}
