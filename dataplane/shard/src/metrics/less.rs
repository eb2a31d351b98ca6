//! What guards found, and what was left out of prompts. Names are an operator's: there are few.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;
use tollgate_engine::record::{Agreement, AttemptOutcome, Record, Summary};

use super::{
    ShardMetrics, Totals,
    labels::{LabelId, Labels},
    names,
    text::Page,
};

/// Tokens of prompts that were made shorter: those that stayed, and those that were left out.
const TOKENS: [&str; 2] = ["kept", "saved"];

#[derive(Clone, Debug, Default)]
pub(super) struct Less {
    labels: Labels,
    /// By guard, topic and what became of it.
    found: HashMap<(LabelId, LabelId, &'static str), u64>,
    /// By model and mode.
    compressed: HashMap<(LabelId, &'static str), [u64; TOKENS.len()]>,
    /// By model: of `Summary::ALL`.
    summaries: HashMap<LabelId, [u64; Summary::ALL.len()]>,
    /// By model: of `Agreement::ALL`.
    agreements: HashMap<LabelId, [u64; Agreement::ALL.len()]>,
}

/// The same of all shards, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct LessTotals {
    found: BTreeMap<(Arc<str>, Arc<str>, &'static str), u64>,
    compressed: BTreeMap<(Arc<str>, &'static str), [u64; TOKENS.len()]>,
    summaries: BTreeMap<Arc<str>, [u64; Summary::ALL.len()]>,
    agreements: BTreeMap<Arc<str>, [u64; Agreement::ALL.len()]>,
}

impl Less {
    pub fn count(&mut self, record: &Record<'_>) {
        for finding in record.findings {
            let (guard, entity) = (self.labels.id(finding.guard()), self.labels.id(finding.entity()));
            *self.found.entry((guard, entity, finding.action())).or_default() += 1;
        }
        if let (Some(shorter), Some((_, model))) = (record.compressed, record.model) {
            let model = self.labels.id(model);
            let [kept, saved] = self.compressed.entry((model, shorter.mode())).or_default();
            *kept = kept.saturating_add(shorter.tokens_after);
            *saved = saved.saturating_add(shorter.tokens_saved());
        }
        if let (Some(summary), Some((_, model))) = (record.summary, record.model) {
            let model = self.labels.id(model);
            self.summaries.entry(model).or_default()[summary as usize] += 1;
        }
    }

    /// Of the copy of a call.
    pub fn compared(&mut self, record: &Record<'_>) {
        if let (Some(agreed), Some((_, model))) = (record.agreed, record.model) {
            let model = self.labels.id(model);
            self.agreements.entry(model).or_default()[agreed.agreement as usize] += 1;
        }
    }
}

impl ShardMetrics {
    /// Of a call's conversation: what it used, and no request.
    pub(super) fn observe_summary(
        &mut self,
        record: &Record<'_>,
        attempts: impl Iterator<Item = (usize, AttemptOutcome)>,
    ) {
        let (model, provider, table) = self.labels_of(record);
        self.count_use(record, model, provider);
        self.less.count(record);
        if self.count_attempts(attempts, provider, table) {
            self.failed_over(model, record);
        }
    }
}

impl LessTotals {
    pub fn add(&mut self, shard: &ShardMetrics) {
        let Less {
            labels,
            found,
            compressed,
            summaries,
            agreements,
        } = &shard.less;
        for ((guard, entity, action), count) in found {
            let key = (labels.name(*guard).clone(), labels.name(*entity).clone(), *action);
            *self.found.entry(key).or_default() += count;
        }
        for ((model, mode), [kept, saved]) in compressed {
            let [all_kept, all_saved] = self.compressed.entry((labels.name(*model).clone(), *mode)).or_default();
            *all_kept = all_kept.saturating_add(*kept);
            *all_saved = all_saved.saturating_add(*saved);
        }
        for (model, counts) in summaries {
            add(self.summaries.entry(labels.name(*model).clone()).or_default(), counts);
        }
        for (model, counts) in agreements {
            add(self.agreements.entry(labels.name(*model).clone()).or_default(), counts);
        }
    }
}

fn add(all: &mut [u64], counts: &[u64]) {
    all.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
}

impl Page {
    pub(super) fn less(&mut self, totals: &Totals) {
        self.head(names::GUARD_FINDINGS);
        for ((guard, entity, action), count) in &totals.less.found {
            let labels = [("guard", &**guard), ("entity", &**entity), ("action", *action)];
            self.sample(names::GUARD_FINDINGS.name, &labels, count);
        }
        self.head(names::COMPRESSED_TOKENS);
        for ((model, mode), counts) in &totals.less.compressed {
            for (tokens, count) in TOKENS.iter().zip(counts) {
                let labels = [("model", &**model), ("mode", *mode), ("tokens", *tokens)];
                self.sample(names::COMPRESSED_TOKENS.name, &labels, count);
            }
        }
        self.head(names::SUMMARIES);
        for (model, counts) in &totals.less.summaries {
            for (outcome, count) in Summary::ALL.iter().zip(counts) {
                let labels = [("model", &**model), ("outcome", outcome.name())];
                self.sample(names::SUMMARIES.name, &labels, count);
            }
        }
        self.head(names::COMPARED_ANSWERS);
        for (model, counts) in &totals.less.agreements {
            for (agreement, count) in Agreement::ALL.iter().zip(counts) {
                let labels = [("model", &**model), ("agreement", agreement.name())];
                self.sample(names::COMPARED_ANSWERS.name, &labels, count);
            }
        }
    }
}
