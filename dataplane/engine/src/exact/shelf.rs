//! A cache's answers on their way to a disk and back: some at a time, so that no shard waits for a lock while many are copied.
//! Knows no file.

use std::{
    hash::Hasher,
    sync::{Arc, atomic::Ordering},
};

use siphasher::sip128::Hasher128 as _;
use tollgate_config::document::{CACHE_PARTS, Document};

use super::{
    Answers, Policy, canon,
    codec::Kept,
    store::{Aged, ENTRY_BYTES},
};

/// Looked at with a lock held.
const MOST_AT_ONCE: usize = 64;

/// One cache of a document.
#[derive(Clone, Debug)]
pub struct Shelf {
    answers: Answers,
    policy: Arc<Policy>,
}

/// How far all of a cache was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    part: usize,
    after: Option<Aged>,
}

/// What became of an answer of another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Kept,
    /// Its time is over.
    Over,
    /// There is no room, or a newer one.
    NoRoom,
    /// Something was purged since: it may have been this one.
    Purged,
}

impl Answers {
    /// `None` where there is no such cache.
    pub fn shelf(&self, document: &Document, cache: &str) -> Option<Shelf> {
        let (name, cache) = document.caches.iter().find(|(name, _)| name == cache)?;
        // Whatever models say of it: names have that in them.
        let policy = Policy::new((name, cache), document, 0, None)?;
        Some(Shelf {
            answers: self.clone(),
            policy,
        })
    }
}

impl Shelf {
    pub fn name(&self) -> &Arc<str> {
        &self.policy.name
    }

    /// The same for whom names are the same: it tells nothing of the key they are made with.
    pub fn mark(&self) -> u64 {
        let mut hasher = self.answers.0.seed.hasher();
        hasher.write(b"whose names are these?");
        hasher.write_u32(canon::VERSION);
        hasher.finish128().as_u128() as u64
    }

    /// Longer entries have no room here.
    pub fn max_entry_bytes(&self) -> u64 {
        self.policy.room_bytes().saturating_add(ENTRY_BYTES)
    }

    /// Differs when a purge began or ended since.
    pub fn purges(&self) -> u64 {
        self.answers.0.purges.load(Ordering::SeqCst)
    }

    /// Differs when an answer came or went since.
    pub fn changes(&self) -> u64 {
        let mut changes = 0;
        self.answers.each(|part| changes += part.changes(&self.policy.name));
        changes
    }

    /// Some more. False when that was all. What comes and goes meanwhile may be among them or not.
    pub fn some(&self, place: &mut Place, out: &mut Vec<Kept>) -> bool {
        let mut found = Vec::new();
        self.answers.0.parts.with(place.part, &mut |part| {
            found = part.some_of(&self.policy.name, place.after, MOST_AT_ONCE);
        });
        match found.last() {
            Some((aged, ..)) => place.after = Some(*aged),
            None => {
                *place = Place {
                    part: place.part + 1,
                    after: None,
                }
            }
        }
        out.extend(
            found
                .into_iter()
                .map(|((_, key), asked, stored)| Kept { key, asked, stored }),
        );
        place.part < CACHE_PARTS as usize
    }

    /// `purges`: as they were when it was begun to read. Looked at with the lock held that a purge needs as well.
    pub fn put(&self, kept: Kept, purges: u64) -> Put {
        let Some(stored) = Arc::into_inner(kept.stored) else {
            return Put::NoRoom;
        };
        if stored.aged_ns >= self.policy.ttl_ms.saturating_mul(super::NS_PER_MS) {
            return Put::Over;
        }
        let put = self.answers.with(kept.key, |part| {
            if self.purges() != purges {
                return Put::Purged;
            }
            match part.put(kept.key, kept.asked, stored, &self.policy) {
                true => Put::Kept,
                false => Put::NoRoom,
            }
        });
        put.unwrap_or(Put::NoRoom)
    }
}
