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
    semantic::{Indexer, Job, Queue, Rebuild, Rebuilt},
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
    let (to_built, built) = bounded(1);
    let Offered { jobs, old } = offered;
    loop {
        select_biased! {
            recv(built) -> done => match done {
                Ok((partition, Some(rebuilt))) => indexer.adopt(partition, rebuilt),
                Ok((partition, None)) => {
                    tracing::error!("an index of a semantic cache is searched as it is: it could not be built anew, and is tried again");
                    indexer.give_up(partition);
                }
                Err(_) => return,
            },
            recv(jobs) -> job => match job {
                Ok(job) => take_some((&mut indexer, answers), job, offered),
                Err(_) => return,
            },
            recv(old) -> job => match job {
                Ok(job) => take_some((&mut indexer, answers), job, offered),
                Err(_) => return,
            },
        }
        answers.tidy_index(&mut indexer);
        if let Some((partition, rebuild)) = indexer.outgrown() {
            let building = Building {
                partition,
                rebuilt: None,
                done: to_built.clone(),
            };
            let thread = thread::Builder::new().name("semantic-build".to_owned());
            // Where no thread can be started, what it was to run is dropped here, and says so.
            let _ = thread.spawn(move || building.run(rebuild));
        }
        indexer.publish();
    }
}

/// An index that is being built anew. However that ends, the writer is told.
struct Building {
    partition: u128,
    rebuilt: Option<Rebuilt>,
    done: Sender<(u128, Option<Rebuilt>)>,
}

impl Building {
    fn run(mut self, rebuild: Rebuild) {
        self.rebuilt = Some(rebuild.run());
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        // There is room: one is built at a time.
        let _ = self.done.try_send((self.partition, self.rebuilt.take()));
    }
}

/// This one, and those that come soon.
fn take_some((indexer, answers): (&mut Indexer, &Answers), first: Job, Offered { jobs, old }: &Offered) {
    answers.index(indexer, first);
    let until = Instant::now() + TOGETHER;
    for _ in 1..MOST_TOGETHER {
        let job = select_biased! {
            recv(jobs) -> job => job,
            recv(old) -> job => job,
            default(until.saturating_duration_since(Instant::now())) => return,
        };
        match job {
            Ok(job) => answers.index(indexer, job),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_whose_thread_ends_early_is_told_of() {
        let (done, told) = bounded(1);
        let partition = 7;
        drop(Building {
            partition,
            rebuilt: None,
            done,
        });
        assert!(matches!(told.try_recv(), Ok((7, None))));
    }
}
