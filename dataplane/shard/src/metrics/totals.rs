//! The counters of all shards as one, by name.

use std::{collections::BTreeMap, sync::Arc};

use tollgate_config::link::{ModelStatus, Quantiles, ShardStatus};
use tollgate_engine::semantic;

use crate::spool::Counts;

use super::{
    ATTEMPT_OUTCOMES, Events, Latency, Requests, ShardMetrics, Used, beside::BesideTotals, less::LessTotals,
    overload::Loads,
};

/// Statuses from here on are failures of ours or the provider's.
const FAILED_FROM_STATUS: u16 = 500;
/// Which token classes a person calls input and output.
const INPUT_CLASSES: [usize; 6] = [0, 1, 2, 3, 6, 8];
const OUTPUT_CLASSES: [usize; 3] = [4, 5, 7];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RequestLabels {
    pub model: Arc<str>,
    pub provider: Arc<str>,
    pub dialect: &'static str,
    pub status: u16,
    pub cache: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct UseLabels {
    pub model: Arc<str>,
    pub provider: Arc<str>,
    pub team: Arc<str>,
}

/// What one shard is, beside its counters.
#[derive(Clone, Debug)]
pub(super) struct ShardTotals {
    pub status: ShardStatus,
    pub busy_s: f64,
    pub events: Events,
}

#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub(super) requests: BTreeMap<RequestLabels, Requests>,
    pub(super) used: BTreeMap<UseLabels, Used>,
    pub(super) attempts: BTreeMap<Arc<str>, [u64; ATTEMPT_OUTCOMES.len()]>,
    /// Connections to each provider: busy, idle.
    pub(super) upstream: BTreeMap<Arc<str>, [u64; 2]>,
    pub(super) rejected: BTreeMap<&'static str, u64>,
    pub(super) replayed: BTreeMap<Arc<str>, u64>,
    pub(super) loads: Loads,
    pub(super) total: Latency,
    pub(super) gateway: Latency,
    pub(super) first_token: Latency,
    pub(super) beside: BesideTotals,
    pub(super) less: LessTotals,
    pub(super) usage_records: Counts,
    pub(super) embedding: semantic::Counts,
    pub(super) embedding_latency: Option<Box<Latency>>,
    pub(super) shards: Vec<ShardTotals>,
}

impl Totals {
    pub fn of<'a>(shards: impl IntoIterator<Item = &'a ShardMetrics>) -> Self {
        let mut totals = Self::default();
        for shard in shards {
            totals.add(shard);
        }
        totals.shards.sort_by_key(|shard| shard.status.id);
        totals
    }

    fn add(&mut self, shard: &ShardMetrics) {
        for (key, series) in &shard.requests {
            let labels = RequestLabels {
                model: Arc::clone(shard.models.name(key.model)),
                provider: Arc::clone(shard.providers.name(key.provider)),
                dialect: shard.words.word(key.dialect),
                status: key.status,
                cache: key.cache.checked_sub(1).map_or("none", |word| shard.words.word(word)),
            };
            let sum = self.requests.entry(labels).or_default();
            sum.ended += series.ended;
            sum.cut += series.cut;
        }
        for (key, used) in &shard.used {
            let labels = UseLabels {
                model: Arc::clone(shard.models.name(key.model)),
                provider: Arc::clone(shard.providers.name(key.provider)),
                team: Arc::clone(shard.teams.name(key.team)),
            };
            let sum = self.used.entry(labels).or_default();
            add_all(&mut sum.tokens, &used.tokens);
            sum.cost = sum.cost.saturating_add(used.cost);
        }
        for (id, counts) in shard.attempts.iter().enumerate() {
            let provider = shard.providers.name(id as u16);
            if counts.iter().any(|count| *count > 0) {
                add_all(self.attempts.entry(Arc::clone(provider)).or_default(), counts);
            }
        }
        for (id, busy, idle) in &shard.upstream {
            let provider = Arc::clone(shard.providers.name(*id));
            add_all(self.upstream.entry(provider).or_default(), &[*busy, *idle]);
        }
        for (word, count) in shard.rejected.iter().enumerate().filter(|(_, count)| **count > 0) {
            *self.rejected.entry(shard.words.word(word as u8)).or_default() += count;
        }
        for (model, count) in &shard.replayed {
            let model = Arc::clone(shard.models.name(*model));
            *self.replayed.entry(model).or_default() += count;
        }
        self.loads.add(&shard.loads);
        self.total.add(&shard.total);
        self.gateway.add(&shard.gateway);
        self.first_token.add(&shard.first_token);
        self.beside.add(shard);
        self.less.add(shard);
        self.usage_records.add(&shard.usage_records);
        self.add_embedding(shard);
        self.shards.push(ShardTotals {
            status: ShardStatus {
                id: shard.id,
                revision: shard.revision,
                connections: shard.connections,
                upstream_connections: shard.upstream.iter().map(|(_, busy, idle)| busy + idle).sum(),
                requests: shard.requests(),
                in_flight: shard.in_flight,
                busy_ratio: shard.busy_ratio(),
            },
            busy_s: shard.busy.worked_ns as f64 / 1e9,
            events: shard.events,
        });
    }

    pub fn shards(&self) -> Vec<ShardStatus> {
        self.shards.iter().map(|shard| shard.status.clone()).collect()
    }

    pub fn requests(&self) -> u64 {
        self.requests.values().map(|series| series.ended).sum()
    }

    pub fn failures(&self) -> u64 {
        self.requests
            .iter()
            .map(|(labels, series)| failures(labels, series))
            .sum()
    }

    /// Latency of whole requests and of the gateway's own part.
    pub fn quantiles(&self) -> (Quantiles, Quantiles) {
        (self.total.quantiles(), self.gateway.quantiles())
    }

    /// One entry per configured name that was called, the busiest first.
    pub fn models(&self) -> Vec<ModelStatus> {
        let mut models: BTreeMap<&str, ModelStatus> = BTreeMap::new();
        for (labels, series) in self.requests.iter().filter(|(labels, _)| !labels.model.is_empty()) {
            let model = models.entry(&labels.model).or_default();
            model.requests += series.ended;
            model.failures += failures(labels, series);
        }
        for (labels, used) in self.used.iter().filter(|(labels, _)| !labels.model.is_empty()) {
            let model = models.entry(&labels.model).or_default();
            model.input_tokens += INPUT_CLASSES.iter().map(|class| used.tokens[*class]).sum::<u64>();
            model.output_tokens += OUTPUT_CLASSES.iter().map(|class| used.tokens[*class]).sum::<u64>();
        }
        let named = |(name, model): (&str, ModelStatus)| ModelStatus {
            model: name.to_owned(),
            ..model
        };
        let mut models: Vec<_> = models.into_iter().map(named).collect();
        models.sort_by_key(|model| std::cmp::Reverse(model.requests));
        models
    }
}

fn failures(labels: &RequestLabels, series: &Requests) -> u64 {
    if labels.status >= FAILED_FROM_STATUS {
        series.ended
    } else {
        series.cut
    }
}

fn add_all<const N: usize>(sums: &mut [u64; N], counts: &[u64; N]) {
    for (sum, count) in sums.iter_mut().zip(counts) {
        *sum += count;
    }
}
