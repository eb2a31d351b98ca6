//! What a run found, as data: the shape of `--output json`, which the planner reads back. Times in milliseconds.

pub mod times;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The result of `tollgate-loadtest run`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// False when the generator, not the target, was the bottleneck; `invalid_because` says by how much.
    pub valid: bool,
    pub invalid_because: Option<String>,
    /// `open` (latency counts from when a request was due) or `closed` (from when it was sent).
    #[serde(rename = "loop")]
    pub load_loop: String,
    pub url: String,
    pub mix: String,
    /// When it began, RFC 3339, and for how many seconds requests were sent.
    pub began: String,
    pub seconds: f64,
    /// Requests a second asked for (open loop; the schedule's mean), and connections held.
    pub wanted_rate: Option<f64>,
    pub connections: u64,
    #[serde(flatten)]
    pub total: Outcome,
    pub classes: BTreeMap<String, Outcome>,
    /// How late the generator itself sent what was due (open loop), or read what had arrived (closed).
    pub late_ms: Percentiles,
    pub generator: Generator,
    /// The process given by `--watch-pid`, its children included.
    pub watched: Option<Watched>,
    /// Second by second.
    pub series: Vec<Second>,
    /// Lost to a SIGINT: the run ended before its time.
    pub interrupted: bool,
}

/// Counts and times of a class of requests, or of all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    pub sent: u64,
    pub answered: u64,
    /// Answers whose text was verified by its checksum; the rest were too short, or not the sandbox's.
    pub verified: u64,
    pub streams: u64,
    pub failed: Failed,
    /// Answered a second.
    pub rate: f64,
    /// From when a request was due (open loop) or sent (closed) to the last byte of its answer.
    pub latency_ms: Percentiles,
    pub first_byte_ms: Percentiles,
    /// Streams only: to the first event that carries text, and between one such event and the next.
    pub first_token_ms: Percentiles,
    pub token_gap_ms: Percentiles,
    /// The gateway's own share, as its `server-timing: gw;dur=` tells.
    pub gateway_ms: Percentiles,
    pub stream_events: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

/// Requests that failed, by reason; one request counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failed {
    /// An answer with another status than 2xx.
    pub status: u64,
    pub connect: u64,
    pub timeout: u64,
    /// The connection ended, or spoke no HTTP, before the answer was whole.
    pub cut: u64,
    /// A whole answer whose text is not what its checksum says, or a stream without its dialect's end.
    pub content: u64,
}

impl Failed {
    pub fn all(&self) -> u64 {
        self.status + self.connect + self.timeout + self.cut + self.content
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Percentiles {
    pub count: u64,
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub p9999: f64,
    pub max: f64,
}

/// The generator's own cost.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Generator {
    pub threads: u64,
    pub cpu_us_per_request: f64,
    /// The busiest thread's share of a core.
    pub busiest_thread: f64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Watched {
    pub pid: u32,
    /// User and system time of the tree over the run, divided by answered requests.
    pub cpu_us_per_request: f64,
    pub cpu_seconds: f64,
    pub rss_mib_before: f64,
    pub rss_mib_peak: f64,
    pub rss_mib_after: f64,
}

/// One second of a run.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    pub at_s: u64,
    pub sent: u64,
    pub answered: u64,
    pub failed: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
}

/// A run's result with the histograms behind it, from which files and plots are made.
pub struct Measured {
    pub report: Report,
    pub total: times::Times,
    /// In the order of the mix.
    pub classes: Vec<(String, times::Times)>,
}
