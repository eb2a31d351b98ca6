//! The node's table of calls that may come again, in parts behind locks: the one state that shards share and change while
//! they serve. A lock is held for a look at a map, and only for requests that come with an `idempotency-key`.

#![allow(clippy::disallowed_types)] // A call and its repeat may be on two shards, and one of them has to know first.

use std::sync::{Mutex, PoisonError};

use tollgate_config::document::IDEMPOTENCY_PARTS;
use tollgate_engine::{
    Repeats,
    repeats::{Part, Parts},
};

#[derive(Debug)]
struct Locked(Vec<Mutex<Part>>);

impl Parts for Locked {
    fn with(&self, part: usize, work: &mut dyn FnMut(&mut Part)) {
        if let Some(locked) = self.0.get(part) {
            // A panic with the lock held would leave an entry half made, which is forgotten like any other.
            work(&mut locked.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

pub fn table() -> Repeats {
    Repeats::new(Locked((0..IDEMPOTENCY_PARTS).map(|_| Mutex::default()).collect()))
}
