//! The table of answers that are kept, as a shell locks it; and the indexes of what was asked, whose writer runs when it is
//! told to.

use std::sync::{Arc, Mutex, PoisonError};

use tollgate_config::document::CACHE_PARTS;
use tollgate_engine::{
    Answers,
    exact::{self, Seed},
    repeats::Parts,
    semantic::{self, Indexer, Job, Neighbours, Queue},
};

const SEED: Seed = Seed([1, 2]);

#[derive(Debug)]
struct Locked<P>(Vec<Mutex<P>>);

impl<P: Default> Locked<P> {
    fn all() -> Self {
        Self((0..CACHE_PARTS).map(|_| Mutex::default()).collect())
    }
}

impl<P: std::fmt::Debug + Send> Parts<P> for Locked<P> {
    fn with(&self, part: usize, work: &mut dyn FnMut(&mut P)) {
        work(&mut self.0[part].lock().unwrap_or_else(PoisonError::into_inner));
    }
}

pub(crate) fn answers() -> Answers {
    Answers::new(Locked::<exact::Part>::all(), SEED)
}

#[derive(Clone, Debug, Default)]
struct Waiting(Arc<Mutex<Vec<Job>>>);

impl Queue for Waiting {
    fn offer(&self, job: Job) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(job);
        true
    }
}

/// The one writer of the indexes.
pub(crate) struct Writer {
    answers: Answers,
    indexer: Indexer,
    waiting: Waiting,
}

/// Answers that are found by what was asked as well, from the writer's next turn on.
pub(crate) fn found_by_meaning() -> (Answers, Writer) {
    let waiting = Waiting::default();
    let neighbours = Neighbours::new(Locked::<semantic::Part>::all(), waiting.clone());
    let answers = Answers::with_neighbours(Locked::<exact::Part>::all(), SEED, neighbours.clone());
    let indexer = Indexer::new(neighbours);
    let writer = Writer {
        answers: answers.clone(),
        indexer,
        waiting,
    };
    (answers, writer)
}

impl Writer {
    pub fn turn(&mut self) {
        let jobs = std::mem::take(&mut *self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner));
        jobs.into_iter()
            .for_each(|job| self.answers.index(&mut self.indexer, job));
        self.indexer.publish();
    }
}
