//! The generator: requests of a mix sent to a target, in open loop by a schedule or in closed loop by a number of
//! connections, and what came of them.

mod answer;
mod command;
mod content;
mod measure;
mod options;
mod tally;
mod target;
mod trust;
mod verdict;
mod worker;

use std::sync::Arc;

pub use command::run;
pub use measure::measure;
pub use options::Options;
pub use target::{Target, Url, reach};

use crate::mix::{Mix, schedule::Schedule};

/// Everything that decides a run. [`measure`] may be called with it again and again.
#[derive(Clone)]
pub struct Spec {
    pub target: Target,
    /// What stands before every class's path.
    pub base_path: String,
    pub key: Option<String>,
    pub mix: Arc<Mix>,
    pub load: Load,
    /// In closed loop how many there are, in open loop how many there may be.
    pub connections: usize,
    pub threads: usize,
    /// Requests that begin in it are sent and not counted; the schedule begins with it.
    pub warm_up_ns: u64,
    /// How long is counted.
    pub duration_ns: u64,
    pub timeout_ns: u64,
    pub keep_alive: bool,
    /// Hold answers against the sandbox's checksums.
    pub verify: bool,
    pub watch_pid: Option<u32>,
    pub seed: u64,
}

#[derive(Clone, Debug)]
pub enum Load {
    /// Requests are sent when they are due.
    Open(Schedule),
    /// Each connection sends its next request after the answer.
    Closed,
}
