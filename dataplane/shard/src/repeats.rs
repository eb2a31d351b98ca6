//! The node's tables of calls that may come again and of answers that are kept, in parts behind locks: what shards share and
//! change while they serve. A lock is held for a look at a map, and only for requests that come with an `idempotency-key` or
//! whose model has a `cache`, or sums conversations up.

#![allow(clippy::disallowed_types)] // A call and its repeat may be on two shards, and one of them has to know first.

use std::sync::{Mutex, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};
use tollgate_config::document::{CACHE_PARTS, IDEMPOTENCY_PARTS};
use tollgate_engine::{
    Answers, Repeats, Summaries,
    compress::summary,
    exact::{self, Seed},
    repeats::{self, Parts},
    semantic::{self as engine_semantic, Indexer, Neighbours},
};

use crate::semantic;

#[derive(Debug)]
struct Locked<P>(Vec<Mutex<P>>);

impl<P: Default> Locked<P> {
    fn of(parts: u64) -> Self {
        Self((0..parts).map(|_| Mutex::default()).collect())
    }
}

impl<P: std::fmt::Debug + Send> Parts<P> for Locked<P> {
    fn with(&self, part: usize, work: &mut dyn FnMut(&mut P)) {
        if let Some(locked) = self.0.get(part) {
            // A panic with the lock held would leave an entry half made, which is forgotten like any other.
            work(&mut locked.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

pub fn table() -> Repeats {
    Repeats::new(Locked::<repeats::Part>::of(IDEMPOTENCY_PARTS))
}

/// What names of answers are made with, unless there is one from before. An error where the system gives no randomness:
/// without it, clients could make two requests pass for one.
pub fn seed() -> Result<Seed, String> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| "the system gives no randomness for the caches' hashes".to_owned())?;
    let [one, other] = [0, 8].map(|at| {
        bytes[at..at + 8]
            .iter()
            .fold(0, |all, &byte| all << 8 | u64::from(byte))
    });
    Ok(Seed([one, other]))
}

pub fn summaries(seed: Seed) -> Summaries {
    Summaries::new(Locked::<summary::Part>::of(summary::PARTS as u64), seed)
}

pub fn answers(seed: Seed) -> Result<(Answers, semantic::Offers), String> {
    let (offers, jobs) = semantic::queue();
    let neighbours = Neighbours::new(Locked::<engine_semantic::Part>::of(CACHE_PARTS), offers.clone());
    let answers = Answers::with_neighbours(Locked::<exact::Part>::of(CACHE_PARTS), seed, neighbours.clone());
    semantic::start(Indexer::new(neighbours), jobs, answers.clone())?;
    Ok((answers, offers))
}
