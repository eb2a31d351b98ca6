//! Second targets that were asked, summed up over all shards: told once in a while, not for each call.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::metrics::HedgeCounts;

/// Between two lines of a model.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Hedged {
    models: BTreeMap<String, HedgeCounts>,
    tell_at: Option<Instant>,
}

impl Hedged {
    pub fn note(&mut self, now: Instant, model: String, counts: &HedgeCounts) {
        let sums = self.models.entry(model).or_default();
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        self.tell_at.get_or_insert(now + TELL_INTERVAL);
    }

    pub fn next(&self) -> Option<Instant> {
        self.tell_at
    }

    /// What is to be told now, a line for each model.
    pub fn due(&mut self, now: Instant) -> Vec<String> {
        if self.tell_at.is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.tell_at = None;
        std::mem::take(&mut self.models).iter().map(line).collect()
    }
}

fn line((model, [won, lost, failed, over_budget]): (&String, &HedgeCounts)) -> String {
    let asked = won + lost + failed;
    format!(
        "model '{model}': {asked} calls of the last {} s were asked of a second target, which answered first {won} times, \
         the first target {lost} times, neither {failed} times; {over_budget} more would have been, but for max_extra",
        TELL_INTERVAL.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_told_of_together_and_once() {
        let now = Instant::now();
        let mut hedged = Hedged::default();
        assert_eq!(hedged.next(), None);
        hedged.note(now, "a".into(), &[2, 1, 0, 4]);
        hedged.note(now + Duration::from_secs(5), "a".into(), &[1, 0, 1, 0]);
        assert!(hedged.due(now).is_empty());
        let told = hedged.due(now + TELL_INTERVAL);
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("model 'a': 5 calls"), "{told:?}");
        assert!(
            told[0].contains("answered first 3 times") && told[0].contains("4 more"),
            "{told:?}"
        );
        assert_eq!(hedged.next(), None);
    }
}
