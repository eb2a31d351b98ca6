//! Second targets that were asked and calls that moved on to another provider, summed up over all shards: told once in a
//! while, not for each call.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::metrics::{FailoverCounts, HedgeCounts};

/// Between two lines of a model.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// By model.
pub(super) struct Sums<const N: usize> {
    models: BTreeMap<String, [u64; N]>,
    tell_at: Option<Instant>,
}

impl<const N: usize> Default for Sums<N> {
    fn default() -> Self {
        Self {
            models: BTreeMap::new(),
            tell_at: None,
        }
    }
}

impl<const N: usize> Sums<N> {
    pub fn note(&mut self, now: Instant, model: String, counts: &[u64; N]) {
        let sums = self.models.entry(model).or_insert([0; N]);
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        self.tell_at.get_or_insert(now + TELL_INTERVAL);
    }

    pub fn next(&self) -> Option<Instant> {
        self.tell_at
    }

    /// What is to be told now, a line for each model.
    pub fn due(&mut self, now: Instant, line: impl Fn(&str, &[u64; N]) -> String) -> Vec<String> {
        if self.tell_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.tell_at = None;
        let models = std::mem::take(&mut self.models);
        models.iter().map(|(model, counts)| line(model, counts)).collect()
    }
}

pub(super) fn of_hedges(model: &str, [won, lost, failed, over_budget]: &HedgeCounts) -> String {
    let asked = won + lost + failed;
    format!(
        "model '{model}': {asked} calls of the last {} s were asked of a second target, which answered first {won} times, \
         the first target {lost} times, neither {failed} times; {over_budget} more would have been, but for max_extra",
        TELL_INTERVAL.as_secs()
    )
}

pub(super) fn of_failovers(model: &str, [answered, failed]: &FailoverCounts) -> String {
    format!(
        "model '{model}': {} calls of the last {} s moved on from a provider that failed to another; {answered} were answered, \
         {failed} failed all the same",
        answered + failed,
        TELL_INTERVAL.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_told_of_together_and_once() {
        let now = Instant::now();
        let mut hedged = Sums::default();
        assert_eq!(hedged.next(), None);
        hedged.note(now, "a".into(), &[2, 1, 0, 4]);
        hedged.note(now + Duration::from_secs(5), "a".into(), &[1, 0, 1, 0]);
        assert!(hedged.due(now, of_hedges).is_empty());
        let told = hedged.due(now + TELL_INTERVAL, of_hedges);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("model 'a': 5 calls"), "{told:?}");
        assert!(
            told[0].contains("answered first 3 times") && told[0].contains("4 more"),
            "{told:?}"
        );
        assert_eq!(hedged.next(), None);
    }
}
