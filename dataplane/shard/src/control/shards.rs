//! All shards as one: told together, and their answers awaited, for so long at most.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{
    messages::{ShardHandle, ToShard},
    metrics::ShardMetrics,
};

/// A shard that does not take a message, or answer it, within this is stuck for good.
const PATIENCE: Duration = Duration::from_secs(30);
/// Numbers are not worth waiting longer for.
const STATS_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub struct Shards {
    handles: Vec<ShardHandle>,
}

/// A shard has ended or is stuck.
#[derive(Debug, thiserror::Error)]
#[error("only {answered} of {all} shards answered within {} s", PATIENCE.as_secs())]
pub struct Silent {
    answered: usize,
    all: usize,
}

impl Shards {
    pub fn new(handles: Vec<ShardHandle>) -> Self {
        Self { handles }
    }

    pub fn len(&self) -> usize {
        self.handles.len()
    }

    /// Tells one shard.
    pub fn tell(&self, shard: usize, message: ToShard) -> bool {
        self.handles[shard].send_within(message, PATIENCE)
    }

    pub fn tell_all(&self, message: impl Fn() -> ToShard) {
        for handle in &self.handles {
            handle.send_within(message(), PATIENCE);
        }
    }

    /// Asks every shard and waits for every answer.
    pub fn ask<T>(&self, message: impl Fn(Sender<T>) -> ToShard) -> Result<Vec<T>, Silent> {
        let answers = self.gather(message, PATIENCE);
        let (answered, all) = (answers.len(), self.len());
        if answered == all {
            Ok(answers)
        } else {
            Err(Silent { answered, all })
        }
    }

    /// Their counters; a stuck shard's are missing.
    #[expect(clippy::vec_box)] // As the messages carry them.
    pub fn stats(&self) -> Vec<Box<ShardMetrics>> {
        self.gather(ToShard::Stats, STATS_PATIENCE)
    }

    fn gather<T>(&self, message: impl Fn(Sender<T>) -> ToShard, patience: Duration) -> Vec<T> {
        let until = Instant::now() + patience;
        let answers = self.ask_later(message);
        let mut gathered = Vec::with_capacity(self.len());
        while gathered.len() < self.len() {
            match answers.recv_deadline(until) {
                Ok(answer) => gathered.push(answer),
                Err(_) => break,
            }
        }
        gathered
    }

    /// Asks every shard; the answers come through the channel.
    pub fn ask_later<T>(&self, message: impl Fn(Sender<T>) -> ToShard) -> Receiver<T> {
        let (answer, answers) = bounded(self.len());
        self.tell_all(|| message(answer.clone()));
        answers
    }
}
