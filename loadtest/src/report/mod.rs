//! What a run found, as data: the shape of `--output json`, which the planner reads back. Times in milliseconds.

pub mod format;
pub mod frontier;
pub mod hgrm;
pub mod html;
pub mod json;
pub mod progress;
pub mod text;
pub mod times;

use std::{borrow::Cow, collections::BTreeMap};

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
    /// Clients of the mix that left on purpose before their answer was whole: neither answered nor failed.
    pub left: u64,
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

impl Report {
    /// The loop in words, with what latency is counted from.
    pub fn loop_in_words(&self) -> &'static str {
        match self.load_loop.as_str() {
            "closed" => "closed loop: latency counts from when a request was sent",
            _ => "open loop: latency counts from when a request was due",
        }
    }

    /// The one sentence a reader must not miss, when the generator was the bottleneck.
    pub fn warning(&self) -> Option<String> {
        let because = self.invalid_because.as_deref().unwrap_or("no reason was given");
        (!self.valid).then(|| format!("results are not valid: {because}"))
    }
}

impl Measured {
    /// The classes in the order of the mix; then any of which there are no histograms.
    pub fn outcomes(&self) -> Vec<(&str, &Outcome)> {
        let classes = &self.report.classes;
        let ordered = self.classes.iter().filter_map(|(name, _)| classes.get_key_value(name));
        let others = classes
            .iter()
            .filter(|(name, _)| !self.classes.iter().any(|(known, _)| known == *name));
        ordered
            .chain(others)
            .map(|(name, class)| (name.as_str(), class))
            .collect()
    }
}

impl Failed {
    /// Each reason with its count, in the order in which reports say them.
    pub fn by_reason(&self) -> [(&'static str, u64); 5] {
        [
            ("status", self.status),
            ("connect", self.connect),
            ("timeout", self.timeout),
            ("cut", self.cut),
            ("content", self.content),
        ]
    }
}

impl Outcome {
    /// What was measured of it, by name, as tables show it; what never happened is left out.
    pub fn times(&self) -> Vec<(&'static str, &Percentiles)> {
        [
            ("latency", &self.latency_ms),
            ("first byte", &self.first_byte_ms),
            ("first token", &self.first_token_ms),
            ("token gap", &self.token_gap_ms),
            ("gateway's share", &self.gateway_ms),
        ]
        .into_iter()
        .filter(|(name, times)| *name == "latency" || times.count > 0)
        .collect()
    }

    /// Failed of all that ended, from 0 to 1.
    pub fn failed_share(&self) -> f64 {
        let failed = self.failed.all();
        match failed + self.answered {
            0 => 0.0,
            ended => failed as f64 / ended as f64,
        }
    }
}

/// A URL as a report may show it: a password or a `key=` in it is nobody's business.
pub fn without_secrets(url: &str) -> Cow<'_, str> {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = before.split_once("://").unwrap_or(("", before));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let secret_query = query.split('&').any(|pair| pair.starts_with("key="));
    if !secret_query && !authority.contains('@') {
        return Cow::Borrowed(url);
    }
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let pairs: Vec<&str> = query
        .split('&')
        .map(|pair| if pair.starts_with("key=") { "key=…" } else { pair })
        .collect();
    let separators = (
        if scheme.is_empty() { "" } else { "://" },
        if query.is_empty() { "" } else { "?" },
    );
    Cow::Owned(format!(
        "{scheme}{}{host}{path}{}{}",
        separators.0,
        separators.1,
        pairs.join("&")
    ))
}
