//! What a shard counts: plain integers it alone writes, copied when somebody asks, merged by the asker.

mod beside;
mod caches;
mod cluster;
mod embedding;
mod grants;
mod labels;
mod latency;
mod less;
pub mod names;
mod overload;
mod second;
pub mod text;
mod totals;

use std::sync::Arc;

use hashbrown::HashMap;
use tollgate_config::money::PicoUsd;
use tollgate_dialect::usage::Usage;
use tollgate_engine::{
    Snapshot,
    record::{AttemptOutcome, Outcome, Record},
    routing::load::ModelLoad,
    semantic,
};

use crate::spool::Counts;
use beside::Beside;
pub use beside::{FAILOVER_OUTCOMES, FailoverCounts, HEDGE_OUTCOMES, HedgeCounts};
pub use grants::Granted;
use labels::{LabelId, Labels, NONE, Words};
use latency::Latency;
use less::Less;
pub use totals::Totals;

/// Over how long `busy_ratio` looks back, at least.
const BUSY_WINDOW_NS: u64 = 5_000_000_000;

/// How attempts end, in the order their counters lie.
const ATTEMPT_OUTCOMES: [AttemptOutcome; AttemptOutcome::ALL.len()] = AttemptOutcome::ALL;

/// Token classes, in the order their counters lie: the `direction` label.
const TOKEN_CLASSES: [&str; 9] = [
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "input_audio",
    "output_audio",
    "input_image",
];

fn classes(usage: &Usage) -> [Option<u64>; 9] {
    [
        usage.input,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
        usage.input_audio,
        usage.output_audio,
        usage.input_image,
    ]
}

/// Did the target fail, rather than lose or be left?
fn is_failure(outcome: AttemptOutcome) -> bool {
    !matches!(
        outcome,
        AttemptOutcome::Ok | AttemptOutcome::Cancelled | AttemptOutcome::HedgeLost
    )
}

/// Labels of `tollgate_requests_total` that vary so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct RequestKey {
    model: LabelId,
    provider: LabelId,
    status: u16,
    dialect: u8,
    /// Zero, or a word behind it: what became of it at a cache.
    cache: u8,
}

#[derive(Clone, Copy, Debug, Default)]
struct Requests {
    ended: u64,
    /// Of these, broken after the first byte of the answer.
    cut: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct UseKey {
    model: LabelId,
    provider: LabelId,
    team: LabelId,
}

/// Tokens by class, and what they cost.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    tokens: [u64; TOKEN_CLASSES.len()],
    cost: PicoUsd,
}

/// One shard's counters since it started.
#[derive(Clone, Debug)]
pub struct ShardMetrics {
    pub id: u16,
    pub revision: u64,
    /// Connections from clients, open now.
    pub connections: u64,
    /// Requests whose answer is not complete, now.
    pub in_flight: u64,
    /// Connections to each provider, (busy, idle), now.
    upstream: Vec<(LabelId, u64, u64)>,
    /// Queues and limits of models, now.
    pub loads: Vec<ModelLoad>,
    models: Labels,
    providers: Labels,
    teams: Labels,
    words: Words,
    /// Providers of the running revision and of the one before, whose exchanges may still end.
    provider_tables: [Vec<LabelId>; 2],
    running: Option<Arc<Snapshot>>,
    /// By index into the running document's models; `NONE` until one of them is seen.
    model_table: Vec<LabelId>,
    requests: HashMap<RequestKey, Requests>,
    used: HashMap<UseKey, Used>,
    /// By provider.
    attempts: Vec<[u64; ATTEMPT_OUTCOMES.len()]>,
    /// By word.
    rejected: Vec<u64>,
    /// By model.
    replayed: HashMap<LabelId, u64>,
    total: Latency,
    gateway: Latency,
    first_token: Latency,
    busy: Busy,
    events: Events,
    beside: Beside,
    less: Less,
    /// As the spool counts them.
    pub usage_records: Counts,
    /// As who asks for vectors counts them.
    pub embedding: semantic::Counts,
    /// Made when the first such call ends: most shards see none.
    embedding_latency: Option<Box<Latency>>,
}

/// Things that go wrong beside requests.
#[derive(Clone, Copy, Debug, Default)]
struct Events {
    panics: u64,
    accept_failures: u64,
    connections_refused: u64,
    bad_preambles: u64,
    tls_failures: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Busy {
    worked_ns: u64,
    window_worked_ns: u64,
    window_ns: u64,
    /// Of the last whole window.
    ratio: f64,
}

impl ShardMetrics {
    pub fn new(id: u16) -> Self {
        Self {
            id,
            revision: 0,
            connections: 0,
            in_flight: 0,
            upstream: Vec::new(),
            loads: Vec::new(),
            models: Labels::default(),
            providers: Labels::default(),
            teams: Labels::default(),
            words: Words::default(),
            provider_tables: [Vec::new(), Vec::new()],
            running: None,
            model_table: Vec::new(),
            requests: HashMap::new(),
            used: HashMap::new(),
            attempts: Vec::new(),
            rejected: Vec::new(),
            replayed: HashMap::new(),
            total: Latency::default(),
            gateway: Latency::default(),
            first_token: Latency::default(),
            busy: Busy::default(),
            events: Events::default(),
            beside: Beside::default(),
            less: Less::default(),
            usage_records: Counts::default(),
            embedding: semantic::Counts::default(),
            embedding_latency: None,
        }
    }

    /// This revision is in force from now on.
    pub fn revision(&mut self, snapshot: &Arc<Snapshot>) {
        self.revision = snapshot.revision;
        let providers = snapshot.document.providers.iter();
        let table = providers.map(|(name, _)| self.providers.id(name)).collect();
        let [current, former] = &mut self.provider_tables;
        *former = std::mem::replace(current, table);
        self.model_table.clear();
        self.model_table.resize(snapshot.document.models.len(), NONE);
        self.running = Some(Arc::clone(snapshot));
    }

    /// Counts a request that has ended, and its attempts: provider index and outcome of each.
    pub fn observe(&mut self, record: &Record<'_>, attempts: impl Iterator<Item = (usize, AttemptOutcome)>) {
        if record.shadow {
            return self.observe_shadow(record, attempts);
        }
        if record.embeds {
            return self.observe_embedding(record, attempts);
        }
        if record.is_summary() {
            return self.observe_summary(record, attempts);
        }
        let (model, provider, table) = self.labels_of(record);
        let dialect = self.words.id(record.dialect);
        let cache = record.cache.map_or(0, |word| self.words.id(word).saturating_add(1));
        let series = self
            .requests
            .entry(RequestKey {
                model,
                provider,
                status: record.status,
                dialect,
                cache,
            })
            .or_default();
        series.ended += 1;
        series.cut += u64::from(record.outcome == Outcome::Cut);
        self.count_use(record, model, provider);
        if !record.findings.is_empty() || record.compressed.is_some() || record.summary.is_some() {
            self.less.count(record);
        }
        if let Some(hedged) = &record.hedge {
            self.hedged(model, hedged);
        }
        if record.replayed {
            *self.replayed.entry(model).or_default() += 1;
        }
        if let Some(reason) = record.rejected {
            let word = usize::from(self.words.id(reason));
            add_at(&mut self.rejected, word, |count| *count += 1);
        }
        if self.count_attempts(attempts, provider, table) {
            self.failed_over(model, record);
        }
        self.total.record(record.total_ns);
        self.gateway.record(record.gateway_ns);
        if let Some(ns) = record.first_token_ns {
            self.first_token.record(ns);
        }
    }

    /// Of a batch that a list has shown the end of: what it used, and no request.
    pub fn observe_listed(&mut self, record: &Record<'_>) {
        let (model, provider, _) = self.labels_of(record);
        self.count_use(record, model, provider);
    }

    /// Model and provider of a record, and the provider's table.
    fn labels_of(&mut self, record: &Record<'_>) -> (LabelId, LabelId, Option<usize>) {
        let model = record.model.map_or(NONE, |(index, name)| self.model(index, name));
        let (provider, table) = record
            .provider
            .map_or((NONE, Some(0)), |(index, name)| self.provider(index, name));
        (model, provider, table)
    }

    /// Tokens and cost, of attempts that were given up as well.
    fn count_use(&mut self, record: &Record<'_>, model: LabelId, provider: LabelId) {
        if record.usage.is_some() || record.cost.is_some() {
            let team = record.team.map_or(NONE, |team| self.teams.id(team));
            let series = self.used.entry(UseKey { model, provider, team }).or_default();
            for (count, tokens) in series.tokens.iter_mut().zip(classes(&record.usage.unwrap_or_default())) {
                // A provider may say any number.
                *count = count.saturating_add(tokens.unwrap_or(0));
            }
            if let Some(cost) = record.cost {
                series.cost = series.cost.saturating_add(cost.usd);
            }
        }
        if let Some(lost) = record.hedge.as_ref().and_then(|hedged| hedged.lost) {
            let (provider, _) = self.provider(lost.provider.0, lost.provider.1);
            let team = record.team.map_or(NONE, |team| self.teams.id(team));
            let series = self.used.entry(UseKey { model, provider, team }).or_default();
            let [input, ..] = &mut series.tokens;
            *input = input.saturating_add(lost.input_tokens.unwrap_or(0));
            if let Some(cost) = lost.cost {
                series.cost = series.cost.saturating_add(cost.usd);
            }
        }
    }

    /// Provider index and outcome of each attempt. True where one failed, and a later one was at another provider.
    fn count_attempts(
        &mut self,
        attempts: impl Iterator<Item = (usize, AttemptOutcome)>,
        provider: LabelId,
        table: Option<usize>,
    ) -> bool {
        let (mut failed_at, mut moved) = (None, false);
        for (index, outcome) in attempts {
            moved |= failed_at.is_some_and(|at| at != index);
            if is_failure(outcome) {
                failed_at = Some(index);
            }
            let known = table.and_then(|table| self.provider_tables[table].get(index).copied());
            let at = ATTEMPT_OUTCOMES.iter().position(|known| *known == outcome).unwrap_or(0);
            add_at(&mut self.attempts, usize::from(known.unwrap_or(provider)), |counts| {
                counts[at] += 1
            });
        }
        moved
    }

    /// The model's label. The index may be of an older revision: the name decides.
    fn model(&mut self, index: usize, name: &str) -> LabelId {
        let known = self.model_table.get(index).copied().unwrap_or(NONE);
        if known != NONE && self.models.name(known).as_ref() == name {
            return known;
        }
        let id = self.models.id(name);
        let current = self
            .running
            .as_ref()
            .and_then(|running| running.document.models.get(index));
        if current.is_some_and(|(current, _)| current == name) {
            self.model_table[index] = id;
        }
        id
    }

    /// The provider's label, and which table the exchange's provider indices belong to, when one of them fits.
    fn provider(&mut self, index: usize, name: &str) -> (LabelId, Option<usize>) {
        for (at, table) in self.provider_tables.iter().enumerate() {
            if let Some(id) = table.get(index).filter(|id| self.providers.name(**id).as_ref() == name) {
                return (*id, Some(at));
            }
        }
        (self.providers.id(name), None)
    }

    /// What there is now. `upstream`: provider and whether idle, of each connection to one.
    pub fn gauges<'a>(
        &mut self,
        connections: usize,
        in_flight: usize,
        upstream: impl Iterator<Item = (&'a str, bool)>,
    ) {
        self.connections = connections as u64;
        self.in_flight = in_flight as u64;
        // Every provider ever seen keeps its line: a gauge that vanishes reads as unknown, not as none.
        self.upstream
            .iter_mut()
            .for_each(|(_, busy, idle)| (*busy, *idle) = (0, 0));
        for (provider, is_idle) in upstream {
            let id = self.providers.id(provider);
            let at = self.upstream.iter().position(|(known, ..)| *known == id);
            let at = at.unwrap_or_else(|| {
                self.upstream.push((id, 0, 0));
                self.upstream.len() - 1
            });
            let (_, busy, idle) = &mut self.upstream[at];
            *(if is_idle { idle } else { busy }) += 1;
        }
    }

    pub fn slept(&mut self, ns: u64) {
        self.busy.window_ns += ns;
    }

    pub fn worked(&mut self, ns: u64) {
        let busy = &mut self.busy;
        busy.worked_ns += ns;
        busy.window_worked_ns += ns;
        busy.window_ns += ns;
        if busy.window_ns >= BUSY_WINDOW_NS {
            busy.ratio = busy.window_worked_ns as f64 / busy.window_ns as f64;
            (busy.window_ns, busy.window_worked_ns) = (0, 0);
        }
    }

    pub fn busy_ratio(&self) -> f64 {
        self.busy.ratio
    }

    pub fn panicked(&mut self) {
        self.events.panics += 1;
    }

    pub fn accept_failed(&mut self) {
        self.events.accept_failures += 1;
    }

    pub fn connection_refused(&mut self) {
        self.events.connections_refused += 1;
    }

    pub fn bad_preamble(&mut self) {
        self.events.bad_preambles += 1;
    }

    pub fn tls_failed(&mut self) {
        self.events.tls_failures += 1;
    }

    pub fn requests(&self) -> u64 {
        self.requests.values().map(|series| series.ended).sum()
    }
}

/// Counts at an index of a vector that grows to hold it: once per new label, not per request.
fn add_at<T: Copy + Default>(counts: &mut Vec<T>, index: usize, add: impl FnOnce(&mut T)) {
    if counts.len() <= index {
        counts.resize(index + 1, T::default());
    }
    add(&mut counts[index]);
}

#[cfg(test)]
mod tests;
