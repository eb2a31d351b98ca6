//! What a shard counts of things beside calls: second targets that were asked, copies, and looks at providers.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;
use tollgate_engine::record::{AttemptOutcome, HedgeOutcome, Hedged, Outcome, Record};

use super::{
    Latency, ShardMetrics, Totals,
    labels::{LabelId, Labels},
    names,
    text::{Page, SLOW_BOUNDS_NS},
};

/// How asking a second target ends, in the order its counters lie.
const HEDGES: [(HedgeOutcome, &str); 4] = [
    (HedgeOutcome::Won, "won"),
    (HedgeOutcome::Lost, "lost"),
    (HedgeOutcome::Failed, "failed"),
    (HedgeOutcome::OverBudget, "over_budget"),
];
/// The same of copies and of looks.
const SHADOWS: [&str; 3] = ["ok", "failed", "dropped"];
const CHECKS: [&str; 2] = ["well", "ill"];

/// Calls of a model that were hedged, by how that ended.
pub type HedgeCounts = [u64; HEDGE_OUTCOMES];
pub const HEDGE_OUTCOMES: usize = HEDGES.len();

/// Calls that moved on from a provider that failed to another: those that were answered, and those that failed there too.
const FAILOVERS: [&str; 2] = ["answered", "failed"];
pub type FailoverCounts = [u64; FAILOVER_OUTCOMES];
pub const FAILOVER_OUTCOMES: usize = FAILOVERS.len();

/// What became of the copy of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shadowed {
    Ok,
    Failed,
    /// Too many were under way.
    Dropped,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Beside {
    hedges: HashMap<LabelId, HedgeCounts>,
    failovers: HashMap<LabelId, FailoverCounts>,
    /// Of these, those that the control thread was told of.
    told: HashMap<LabelId, HedgeCounts>,
    failovers_told: HashMap<LabelId, FailoverCounts>,
    shadows: HashMap<LabelId, [u64; SHADOWS.len()]>,
    /// Made when the first copy ends: most shards see none.
    shadow_latency: Option<Box<Latency>>,
    checks: HashMap<LabelId, [u64; CHECKS.len()]>,
}

/// The same of all shards, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct BesideTotals {
    hedges: BTreeMap<Arc<str>, HedgeCounts>,
    failovers: BTreeMap<Arc<str>, FailoverCounts>,
    shadows: BTreeMap<Arc<str>, [u64; SHADOWS.len()]>,
    shadow_latency: Option<Box<Latency>>,
    checks: BTreeMap<Arc<str>, [u64; CHECKS.len()]>,
}

impl ShardMetrics {
    /// Of a call of this model, which one says.
    pub(super) fn hedged(&mut self, model: LabelId, hedged: &Hedged<'_>) {
        let at = HEDGES.iter().position(|(known, _)| *known == hedged.outcome);
        self.beside.hedges.entry(model).or_default()[at.unwrap_or(0)] += 1;
    }

    /// A call of this model moved on from a provider that failed to another.
    pub(super) fn failed_over(&mut self, model: LabelId, record: &Record<'_>) {
        let answered = record.outcome == Outcome::Complete && record.status < 500;
        self.beside.failovers.entry(model).or_default()[usize::from(!answered)] += 1;
    }

    /// What was counted of hedges since this was asked last, by model.
    pub fn hedges_to_tell(&mut self) -> Vec<(String, HedgeCounts)> {
        news(&self.models, &self.beside.hedges, &mut self.beside.told)
    }

    /// The same of calls that moved on.
    pub fn failovers_to_tell(&mut self) -> Vec<(String, FailoverCounts)> {
        news(&self.models, &self.beside.failovers, &mut self.beside.failovers_told)
    }

    /// Counts the copy of a call that has ended: what it used, and apart from calls how it went.
    pub(super) fn observe_shadow(
        &mut self,
        record: &Record<'_>,
        attempts: impl Iterator<Item = (usize, AttemptOutcome)>,
    ) {
        let well = record.outcome == Outcome::Complete && record.status < 400;
        let (model, provider, table) = self.labels_of(record);
        self.count_use(record, model, provider);
        self.count_attempts(attempts, provider, table);
        self.shadowed(model, if well { Shadowed::Ok } else { Shadowed::Failed });
        self.less.compared(record);
        let latency = self.beside.shadow_latency.get_or_insert_default();
        latency.record(record.total_ns);
    }

    /// A call's copy was not made.
    pub fn shadow_dropped(&mut self, model: &str) {
        let model = self.models.id(model);
        self.shadowed(model, Shadowed::Dropped);
    }

    fn shadowed(&mut self, model: LabelId, what: Shadowed) {
        self.beside.shadows.entry(model).or_default()[what as usize] += 1;
    }

    pub fn checked(&mut self, provider: &str, well: bool) {
        let provider = self.providers.id(provider);
        self.beside.checks.entry(provider).or_default()[usize::from(!well)] += 1;
    }
}

impl BesideTotals {
    pub fn add(&mut self, shard: &ShardMetrics) {
        let beside = &shard.beside;
        for (model, counts) in &beside.hedges {
            add(
                self.hedges.entry(shard.models.name(*model).clone()).or_default(),
                counts,
            );
        }
        for (model, counts) in &beside.failovers {
            add(
                self.failovers.entry(shard.models.name(*model).clone()).or_default(),
                counts,
            );
        }
        for (model, counts) in &beside.shadows {
            add(
                self.shadows.entry(shard.models.name(*model).clone()).or_default(),
                counts,
            );
        }
        for (provider, counts) in &beside.checks {
            let name = shard.providers.name(*provider).clone();
            add(self.checks.entry(name).or_default(), counts);
        }
        if let Some(latency) = &beside.shadow_latency {
            self.shadow_latency.get_or_insert_default().add(latency);
        }
    }
}

/// What there is beyond what was told.
fn news<const N: usize>(
    models: &Labels,
    counted: &HashMap<LabelId, [u64; N]>,
    told: &mut HashMap<LabelId, [u64; N]>,
) -> Vec<(String, [u64; N])> {
    let mut news = Vec::new();
    for (&model, counts) in counted {
        let told = told.entry(model).or_insert([0; N]);
        if told == counts {
            continue;
        }
        let mut new = *counts;
        new.iter_mut().zip(told.iter()).for_each(|(new, told)| *new -= told);
        *told = *counts;
        news.push((models.name(model).to_string(), new));
    }
    news
}

fn add<const N: usize>(sums: &mut [u64; N], counts: &[u64; N]) {
    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
}

impl Page {
    pub(super) fn beside(&mut self, totals: &Totals) {
        let beside = &totals.beside;
        let words = HEDGES.map(|(_, word)| word);
        self.outcomes(names::HEDGES, "model", &beside.hedges, &words);
        self.outcomes(names::FAILOVERS, "model", &beside.failovers, &FAILOVERS);
        self.outcomes(names::SHADOWS, "model", &beside.shadows, &SHADOWS);
        self.histogram(
            names::SHADOW_DURATION,
            beside.shadow_latency.as_deref().unwrap_or(&Latency::default()),
            &SLOW_BOUNDS_NS,
        );
        self.outcomes(names::CHECKS, "provider", &beside.checks, &CHECKS);
    }

    fn outcomes<const N: usize>(
        &mut self,
        family: names::Family,
        label: &str,
        all: &BTreeMap<Arc<str>, [u64; N]>,
        words: &[&str; N],
    ) {
        self.head(family);
        for (name, counts) in all {
            for (word, count) in words.iter().zip(counts).filter(|(_, count)| **count > 0) {
                self.sample(family.name, &[(label, name), ("outcome", word)], count);
            }
        }
    }
}
