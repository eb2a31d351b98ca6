//! What tests of answers found by meaning share: a node of shards with one table and one index, whose writer runs when it is
//! told to.

#![allow(clippy::disallowed_types)] // The locks of the tables are a shell's, and here the test is that.

use std::sync::{Arc, Mutex};

use tollgate_config::{
    Document,
    document::{CACHE_PARTS, SemanticCache, SemanticHistory, SemanticMode},
};
use tollgate_engine::{
    Answers,
    exact::{self, Seed, codec},
    repeats::Parts,
    semantic::{self, Indexer, Insert, Job, Neighbours, Queue},
};

use super::{Did, Rig, header, kept::answer_with, reply};

#[derive(Debug)]
struct Locked<P>(Vec<Mutex<P>>);

impl<P: Default> Locked<P> {
    fn all() -> Self {
        Self((0..CACHE_PARTS).map(|_| Mutex::default()).collect())
    }
}

impl<P: std::fmt::Debug + Send> Parts<P> for Locked<P> {
    fn with(&self, part: usize, work: &mut dyn FnMut(&mut P)) {
        work(&mut self.0[part].lock().expect("no panic"));
    }
}

/// Jobs that wait, up to so many.
#[derive(Clone, Debug)]
struct Waiting(Arc<Mutex<Vec<Job>>>, usize);

impl Queue for Waiting {
    fn offer(&self, job: Job) -> bool {
        let mut jobs = self.0.lock().expect("no panic");
        let has_room = jobs.len() < self.1;
        if has_room {
            jobs.push(job);
        }
        has_room
    }
}

/// The node's tables and the writer of its indexes.
pub struct Node {
    pub answers: Answers,
    indexer: Indexer,
    waiting: Waiting,
    mixed_up: bool,
}

impl Node {
    /// The writer puts every entry into each partition that there is.
    pub fn mixed_up(room: usize) -> Self {
        Self {
            mixed_up: true,
            ..Self::new(room)
        }
    }

    pub fn new(room: usize) -> Self {
        let waiting = Waiting(Arc::default(), room);
        let neighbours = Neighbours::new(Locked::<semantic::Part>::all(), waiting.clone());
        let seed = Seed([1, 2]);
        let answers = Answers::with_neighbours(Locked::<exact::Part>::all(), seed, neighbours.clone());
        Self {
            answers,
            indexer: Indexer::new(neighbours),
            waiting,
            mixed_up: false,
        }
    }

    /// What is kept of the cache, written as a snapshot has it, changed, and read again; so many.
    pub fn reread(&self, rig: &Rig, change: impl Fn(&mut Vec<u8>)) -> usize {
        let shelf = self.answers.shelf(&rig.pinned.snapshot.document, "c").expect("a cache");
        let (mut place, mut kept) = (Default::default(), Vec::new());
        while shelf.some(&mut place, &mut kept) {}
        let write = |kept: exact::codec::Kept| {
            let mut bytes = Vec::new();
            assert!(codec::write(&kept, rig.now, &mut bytes));
            change(&mut bytes);
            let sum = codec::checksum(&bytes[5..]).to_le_bytes();
            bytes[1..5].copy_from_slice(&sum);
            bytes
        };
        let written: Vec<Vec<u8>> = kept.into_iter().map(write).collect();
        self.answers.purge(&exact::Filter(Default::default()));
        let put = |bytes: &Vec<u8>| {
            let kept = codec::read(bytes, shelf.name(), rig.now, 0).expect("an answer");
            shelf.put(kept, shelf.purges()) == exact::shelf::Put::Kept
        };
        written.iter().filter(|bytes| put(bytes)).count()
    }

    /// What the writer's thread does in one turn.
    pub fn turn(&mut self) {
        let jobs = std::mem::take(&mut *self.waiting.0.lock().expect("no panic"));
        let partitions: Vec<u128> = jobs.iter().filter_map(partition_of).collect();
        for job in jobs {
            match job {
                Job::Insert(insert) if self.mixed_up => {
                    for &partition in &partitions {
                        let insert = Insert {
                            partition,
                            embedder: insert.embedder.clone(),
                            cache: insert.cache.clone(),
                            vector: insert.vector.clone(),
                            ..insert
                        };
                        self.answers.index(&mut self.indexer, Job::Insert(insert));
                    }
                }
                job => self.answers.index(&mut self.indexer, job),
            }
        }
        self.answers.tidy_index(&mut self.indexer);
        self.indexer.publish();
    }

    /// The indexes are lost, and made anew of what is kept.
    pub fn restart(&mut self, rig: &Rig) {
        self.indexer.sweep(|_, _| false);
        self.indexer.publish();
        assert!(self.indexer.is_empty());
        let indexer = &mut self.indexer;
        self.answers.find_again(&rig.pinned.snapshot, "c", |insert| {
            self.answers.index(indexer, Job::Insert(insert));
            true
        });
        self.indexer.publish();
    }

    pub fn entries(&self) -> usize {
        self.indexer.len()
    }

    pub fn stats(&self) -> exact::Stats {
        self.answers
            .stats()
            .first()
            .map(|(_, stats)| *stats)
            .unwrap_or_default()
    }

    /// Exchanges, each on a shard of its own.
    pub fn shards(&self, document: Document, count: usize) -> Vec<Rig> {
        let first = Rig::new(document);
        let pinned = first.pinned.clone();
        let mut all = vec![first];
        all.resize_with(count, || Rig::sharing(pinned.clone()));
        for rig in &mut all {
            rig.local.answers = Some(self.answers.clone());
        }
        all
    }
}

fn partition_of(job: &Job) -> Option<u128> {
    match job {
        Job::Insert(insert) => Some(insert.partition),
        _ => None,
    }
}

pub fn by_meaning(mode: SemanticMode) -> Option<SemanticCache> {
    Some(SemanticCache {
        ttl_ms: 3_600_000,
        max_entries: 100,
        threshold_thousandths: 500,
        mode,
        history: SemanticHistory::Exact,
    })
}

pub fn question(text: &str) -> String {
    format!(
        r#"{{"model":"same","messages":[{{"role":"system","content":"be kind"}},{{"role":"user","content":"{text}"}}]}}"#
    )
}

pub fn saying(text: &str) -> String {
    format!(
        r#"{{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}}}"#
    )
}

/// Asks, and has the provider answer where it is asked. Gives what the cache is said to have done, and the answer.
pub fn ask(rig: &mut Rig, body: &str, answer: &str) -> (String, String) {
    let did = rig.chat(body);
    finish(rig, did, answer)
}

pub fn finish(rig: &mut Rig, did: Vec<Did>, answer: &str) -> (String, String) {
    let did = match super::kept::is_miss(&did) {
        true => answer_with(rig, 200, &saying(answer)),
        false => did,
    };
    let (status, lines, said) = reply(&did);
    assert_eq!(status, 200, "{said}");
    (header(&lines, "x-tollgate-cache").unwrap_or_default().to_owned(), said)
}
