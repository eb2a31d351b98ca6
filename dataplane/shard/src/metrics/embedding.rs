//! Calls for the vectors of semantic caches, where a provider makes them: they are nobody's requests, and have numbers of their
//! own. What they used counts as all use does, under a model that no client asks for.

use tollgate_engine::record::{AttemptOutcome, Record};

use super::{
    Latency, ShardMetrics, Totals, names,
    text::{Page, SLOW_BOUNDS_NS},
};

impl ShardMetrics {
    pub(super) fn observe_embedding(
        &mut self,
        record: &Record<'_>,
        attempts: impl Iterator<Item = (usize, AttemptOutcome)>,
    ) {
        let (model, provider, table) = self.labels_of(record);
        self.count_use(record, model, provider);
        self.count_attempts(attempts, provider, table);
        let latency = self.embedding_latency.get_or_insert_default();
        latency.record(record.total_ns);
    }
}

impl Totals {
    pub(super) fn add_embedding(&mut self, shard: &ShardMetrics) {
        self.embedding.add(&shard.embedding);
        if let Some(latency) = &shard.embedding_latency {
            self.embedding_latency.get_or_insert_default().add(latency);
        }
    }
}

impl Page {
    pub(super) fn embedding(&mut self, totals: &Totals) {
        self.head(names::EMBEDDING_QUESTIONS);
        for (outcome, count) in totals.embedding.questions() {
            self.sample(names::EMBEDDING_QUESTIONS.name, &[("outcome", outcome)], count);
        }
        self.head(names::EMBEDDING_CALLS);
        for (outcome, count) in totals.embedding.calls() {
            self.sample(names::EMBEDDING_CALLS.name, &[("outcome", outcome)], count);
        }
        self.histogram(
            names::EMBEDDING_DURATION,
            totals.embedding_latency.as_deref().unwrap_or(&Latency::default()),
            &SLOW_BOUNDS_NS,
        );
    }
}
