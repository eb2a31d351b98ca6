//! The thread that writes the indexes by which answers are found by what was asked: shards offer it what they keep and never
//! wait for it. What it was told is seen by all shards together, within `TOGETHER` and the time that the changes take. An
//! index that has outgrown its centres is built anew on a thread of its own meanwhile.

#![allow(clippy::disallowed_methods)] // Threads of its own: no shard waits for them.

use std::{
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded, select_biased};
use tollgate_engine::{
    Answers,
    semantic::{Indexer, Job, Queue, Rebuilt},
};

/// What may wait for the writer: a kilobyte each. An answer whose job finds no room is not found by meaning.
const JOBS: usize = 4_096;
/// And of what was kept before: whoever offers it waits.
const OLD_JOBS: usize = 64;
/// Changes of so long are published together.
const TOGETHER: Duration = Duration::from_millis(50);
/// Of jobs that wait, so many are done before what they changed is published.
const MOST_TOGETHER: usize = 1_024;

/// The way to the writer.
#[derive(Clone, Debug)]
pub struct Offers {
    jobs: Sender<Job>,
    old: Sender<Job>,
}

/// What the writer is told.
#[derive(Debug)]
pub struct Offered {
    jobs: Receiver<Job>,
    old: Receiver<Job>,
}

impl Offers {
    /// For whoever is no shard, of what was kept before: it takes no room from what shards offer.
    pub fn wait(&self, job: Job) {
        // An error would be that the writer is gone, with the process.
        let _ = self.old.send(job);
    }
}

impl Queue for Offers {
    fn offer(&self, job: Job) -> bool {
        self.jobs.try_send(job).is_ok()
    }
}

pub fn queue() -> (Offers, Offered) {
    let (to_jobs, jobs) = bounded(JOBS);
    let (to_old, old) = bounded(OLD_JOBS);
    let offers = Offers {
        jobs: to_jobs,
        old: to_old,
    };
    (offers, Offered { jobs, old })
}

/// Lives as long as the process: it holds the table that it is told of.
pub fn start(indexer: Indexer, jobs: Offered, answers: Answers) -> Result<(), String> {
    let thread = thread::Builder::new().name("semantic".to_owned());
    let spawned = thread.spawn(move || run(indexer, &jobs, &answers));
    spawned
        .map(drop)
        .map_err(|error| format!("cannot start the thread of the semantic caches: {error}"))
}

fn run(mut indexer: Indexer, offered: &Offered, answers: &Answers) {
    let (built, rebuilt) = bounded::<(u128, Rebuilt)>(1);
    let Offered { jobs, old } = offered;
    loop {
        select_biased! {
            recv(rebuilt) -> done => if let Ok((partition, done)) = done {
                indexer.adopt(partition, done);
            },
            recv(jobs) -> job => match job {
                Ok(job) => take_some(&mut indexer, job, offered),
                Err(_) => return,
            },
            recv(old) -> job => match job {
                Ok(job) => take_some(&mut indexer, job, offered),
                Err(_) => return,
            },
        }
        if indexer.node().is_stale() {
            indexer.sweep(|cache, id| answers.is_found(cache, id));
        }
        if let Some((partition, rebuild)) = indexer.outgrown() {
            let built = built.clone();
            let spawned = thread::Builder::new()
                .name("semantic-build".to_owned())
                .spawn(move || _ = built.send((partition, rebuild.run())));
            if let Err(error) = spawned {
                tracing::error!(%error, "an index of a semantic cache is searched as it is: it could not be built anew");
            }
        }
        indexer.publish();
    }
}

/// This one, and those that come soon.
fn take_some(indexer: &mut Indexer, first: Job, Offered { jobs, old }: &Offered) {
    indexer.take(first);
    let until = Instant::now() + TOGETHER;
    for _ in 1..MOST_TOGETHER {
        let job = select_biased! {
            recv(jobs) -> job => job,
            recv(old) -> job => job,
            default(until.saturating_duration_since(Instant::now())) => return,
        };
        match job {
            Ok(job) => indexer.take(job),
            Err(_) => return,
        }
    }
}
