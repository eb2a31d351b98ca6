//! Prometheus text (exposition format 0.0.4) of the totals and the process.

use std::{fmt::Write, sync::Arc};

use tollgate_config::{
    document::Unit,
    link::LimitStatus,
    money::{NanoUsd, PicoUsd},
};
use tollgate_engine::{exact::Stats, limits::cluster::Standing};

use super::{
    ATTEMPT_OUTCOMES, Granted, Latency, TOKEN_CLASSES, Totals,
    names::{self, Family, Kind},
    totals::ShardTotals,
};

/// Bucket bounds of whole requests and first tokens.
pub(super) const SLOW_BOUNDS_NS: [u64; 18] = scaled(
    1_000_000,
    [
        1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000,
    ],
);
/// Bucket bounds of the gateway's own time.
const FAST_BOUNDS_NS: [u64; 15] = scaled(
    1_000,
    [
        5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000,
    ],
);

const fn scaled<const N: usize>(unit_ns: u64, mut bounds: [u64; N]) -> [u64; N] {
    let mut at = 0;
    while at < N {
        bounds[at] *= unit_ns;
        at += 1;
    }
    bounds
}

/// What is told of the process beside its shards.
#[derive(Clone, Debug, Default)]
pub struct Process {
    pub rss_bytes: u64,
    pub cpu_s: f64,
    pub open_fds: u64,
    pub start_unix_s: u64,
    pub access_log_dropped: u64,
    /// JSON pointer of each certificate, and when it ends.
    pub certificates: Vec<(String, u64)>,
    /// Those that were ever left alone.
    pub ejected: Vec<Ejected>,
    pub limits: Vec<LimitStatus>,
    /// Where nodes share their limits.
    pub cluster: Option<Standing>,
    pub granted: Vec<Granted>,
    /// What each cache did.
    pub caches: Vec<(Arc<str>, Stats)>,
    /// And what of it was written to the disk.
    pub snapshots: Vec<(Arc<str>, crate::kept::Counts)>,
    /// And what became of it in the store that nodes share.
    pub seconds: Vec<(Arc<str>, crate::second::Numbers)>,
}

/// A target of a model.
#[derive(Clone, Debug)]
pub struct Ejected {
    pub model: String,
    pub provider: String,
    pub target: String,
    pub now: bool,
    pub times: u32,
}

impl Ejected {
    fn labels(&self) -> [(&'static str, &str); 3] {
        [
            ("model", &self.model),
            ("provider", &self.provider),
            ("target", &self.target),
        ]
    }
}

/// The whole page.
pub fn render(totals: &Totals, process: &Process) -> String {
    let mut page = Page {
        text: String::with_capacity(16 * 1024),
    };
    page.requests(totals);
    page.histogram(names::REQUEST_DURATION, &totals.total, &SLOW_BOUNDS_NS);
    page.histogram(names::GATEWAY_DURATION, &totals.gateway, &FAST_BOUNDS_NS);
    page.histogram(names::FIRST_TOKEN, &totals.first_token, &SLOW_BOUNDS_NS);
    page.tokens(totals);
    page.upstream(totals);
    page.beside(totals);
    page.less(totals);
    page.overload(totals);
    page.usage_records(totals);
    page.caches(&process.caches);
    page.cache_snapshots(&process.snapshots);
    page.second_tiers(&process.seconds);
    page.embedding(totals);
    page.shards(totals);
    page.process(process);
    page.text
}

pub(super) struct Page {
    text: String,
}

impl Page {
    fn requests(&mut self, totals: &Totals) {
        self.head(names::REQUESTS);
        for (labels, series) in &totals.requests {
            let status = labels.status.to_string();
            let labels = [
                ("model", labels.model.as_ref()),
                ("provider", labels.provider.as_ref()),
                ("dialect", labels.dialect),
                ("status", status.as_str()),
                ("cache", labels.cache),
            ];
            self.sample(names::REQUESTS.name, &labels, series.ended);
        }
        self.head(names::REJECTED);
        for (reason, count) in &totals.rejected {
            self.sample(names::REJECTED.name, &[("reason", reason)], count);
        }
        self.head(names::REPLAYED);
        for (model, count) in &totals.replayed {
            self.sample(names::REPLAYED.name, &[("model", model)], count);
        }
    }

    fn tokens(&mut self, totals: &Totals) {
        self.head(names::TOKENS);
        for (labels, used) in &totals.used {
            for (class, count) in TOKEN_CLASSES.iter().zip(&used.tokens).filter(|(_, count)| **count > 0) {
                let labels = [
                    ("direction", *class),
                    ("model", labels.model.as_ref()),
                    ("provider", labels.provider.as_ref()),
                    ("team", labels.team.as_ref()),
                ];
                self.sample(names::TOKENS.name, &labels, count);
            }
        }
        self.head(names::COST);
        for (labels, used) in totals.used.iter().filter(|(_, used)| used.cost != PicoUsd::ZERO) {
            let labels = [
                ("team", labels.team.as_ref()),
                ("model", labels.model.as_ref()),
                ("provider", labels.provider.as_ref()),
            ];
            self.sample(names::COST.name, &labels, used.cost);
        }
    }

    fn upstream(&mut self, totals: &Totals) {
        self.head(names::ATTEMPTS);
        for (provider, counts) in &totals.attempts {
            for (outcome, count) in ATTEMPT_OUTCOMES.iter().zip(counts).filter(|(_, count)| **count > 0) {
                self.sample(
                    names::ATTEMPTS.name,
                    &[("provider", provider), ("outcome", outcome.name())],
                    count,
                );
            }
        }
        self.head(names::UPSTREAM_CONNECTIONS);
        for (provider, counts) in &totals.upstream {
            for (state, count) in ["busy", "idle"].into_iter().zip(counts) {
                let labels = [("provider", provider.as_ref()), ("state", state)];
                self.sample(names::UPSTREAM_CONNECTIONS.name, &labels, count);
            }
        }
    }

    fn overload(&mut self, totals: &Totals) {
        self.head(names::QUEUE_LENGTH);
        for (model, load) in &totals.loads.0 {
            self.sample(names::QUEUE_LENGTH.name, &[("model", model)], load.waiting);
        }
        self.head(names::TARGET_LIMIT);
        for (model, load) in &totals.loads.0 {
            for ((provider, target), limit) in &load.limits {
                let labels = [
                    ("model", model.as_str()),
                    ("provider", provider.as_str()),
                    ("target", target.as_str()),
                ];
                self.sample(names::TARGET_LIMIT.name, &labels, limit);
            }
        }
    }

    fn usage_records(&mut self, totals: &Totals) {
        self.head(names::USAGE_RECORDS);
        for (state, count) in totals.usage_records.by_state() {
            self.sample(names::USAGE_RECORDS.name, &[("state", state)], count);
        }
    }

    fn shards(&mut self, totals: &Totals) {
        self.per_shard(names::CONNECTIONS, totals, |shard| shard.status.connections as f64);
        self.per_shard(names::CONFIG_REVISION, totals, |shard| shard.status.revision as f64);
        self.per_shard(names::BUSY_RATIO, totals, |shard| shard.status.busy_ratio);
        self.per_shard(names::BUSY_SECONDS, totals, |shard| shard.busy_s);
        self.per_shard(names::PANICS, totals, |shard| shard.events.panics as f64);
        self.per_shard(names::CONNECTIONS_REFUSED, totals, |shard| {
            shard.events.connections_refused as f64
        });
        self.per_shard(names::ACCEPT_FAILURES, totals, |shard| {
            shard.events.accept_failures as f64
        });
        self.per_shard(names::BAD_PREAMBLES, totals, |shard| shard.events.bad_preambles as f64);
        self.per_shard(names::TLS_FAILURES, totals, |shard| shard.events.tls_failures as f64);
    }

    fn process(&mut self, process: &Process) {
        self.single(names::ACCESS_LOG_DROPPED, process.access_log_dropped as f64);
        self.head(names::CERTIFICATE_EXPIRY);
        for (pointer, not_after_unix_s) in &process.certificates {
            self.sample(
                names::CERTIFICATE_EXPIRY.name,
                &[("certificate", pointer)],
                not_after_unix_s,
            );
        }
        self.targets(&process.ejected);
        self.limits(&process.limits);
        self.granted(&process.granted);
        self.cluster(process.cluster);
        self.single(names::PROCESS_RSS, process.rss_bytes as f64);
        self.single(names::PROCESS_CPU, process.cpu_s);
        self.single(names::PROCESS_FDS, process.open_fds as f64);
        self.single(names::PROCESS_START, process.start_unix_s as f64);
    }

    fn targets(&mut self, ejected: &[Ejected]) {
        self.head(names::TARGET_EJECTED);
        for target in ejected {
            self.sample(names::TARGET_EJECTED.name, &target.labels(), u8::from(target.now));
        }
        self.head(names::TARGET_EJECTIONS);
        for target in ejected {
            self.sample(names::TARGET_EJECTIONS.name, &target.labels(), target.times);
        }
    }

    /// Budgets in dollars, everything else as it is counted.
    fn limits(&mut self, limits: &[LimitStatus]) {
        self.limit(names::LIMIT_REMAINING, limits, |limit| limit.remaining);
        self.limit(names::LIMIT_DEBT, limits, |limit| limit.debt);
    }

    fn limit(&mut self, family: Family, limits: &[LimitStatus], value: impl Fn(&LimitStatus) -> u64) {
        self.head(family);
        for limit in limits {
            let labels = [
                ("scope", limit.scope.as_str()),
                ("name", &limit.name),
                ("unit", &limit.unit),
                ("per", limit.per.as_deref().unwrap_or_default()),
            ];
            match limit.unit == Unit::Budget.name() {
                true => self.sample(family.name, &labels, NanoUsd(value(limit))),
                false => self.sample(family.name, &labels, value(limit)),
            }
        }
    }

    fn per_shard(&mut self, family: Family, totals: &Totals, value: impl Fn(&ShardTotals) -> f64) {
        self.head(family);
        for shard in &totals.shards {
            let id = shard.status.id.to_string();
            self.sample(family.name, &[("shard", &id)], value(shard));
        }
    }

    fn single(&mut self, family: Family, value: f64) {
        self.head(family);
        self.sample(family.name, &[], value);
    }

    /// Cumulative buckets in seconds, then sum and count.
    pub(super) fn histogram<const N: usize>(&mut self, family: Family, latency: &Latency, bounds_ns: &[u64; N]) {
        self.head(family);
        let bucket = format!("{}_bucket", family.name);
        for (bound, count) in bounds_ns.iter().zip(latency.cumulative(bounds_ns)) {
            let bound_s = (*bound as f64 / 1e9).to_string();
            self.sample(&bucket, &[("le", &bound_s)], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], latency.count());
        self.sample(&format!("{}_sum", family.name), &[], latency.sum_s());
        self.sample(&format!("{}_count", family.name), &[], latency.count());
    }

    pub(super) fn head(&mut self, family: Family) {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let Family { name, help, .. } = family;
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.text.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(text, &mut self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// A label value: backslash, quote and line feed are escaped, nothing else.
fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}
