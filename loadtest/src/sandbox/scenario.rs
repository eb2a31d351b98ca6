//! Rules that give wishes to requests by their model's name: a JSON file, replaceable while running.
//!
//! `{"rules":[{"model":"gpt-*","share":0.1,"status":529,"retry-after":1}]}`: the first rule whose model matches (one
//! trailing `*`; absent: any) and whose share falls due applies; its other members are the words of [`Wishes`].

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::Value;

use super::fault::Wishes;

#[derive(Debug, Default)]
pub struct Scenario {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    model: Option<String>,
    /// Parts per million of the matching requests.
    share_ppm: u64,
    seen: AtomicU64,
    wishes: Wishes,
}

impl Scenario {
    /// Reads the document; the error says which rule is wrong and how.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let document: Value = serde_json::from_slice(json).map_err(|bad| format!("the scenario is not JSON: {bad}"))?;
        let rules = document["rules"]
            .as_array()
            .ok_or("the scenario needs 'rules': a list")?;
        let rules = rules
            .iter()
            .enumerate()
            .map(|(index, rule)| Rule::parse(rule).map_err(|reason| format!("/rules/{index}: {reason}")));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the rules wish for a request of this model.
    pub fn wishes(&self, model: &str) -> Wishes {
        let due = self.rules.iter().find(|rule| rule.matches(model) && rule.is_due());
        due.map(|rule| rule.wishes.clone()).unwrap_or_default()
    }
}

impl Rule {
    fn parse(rule: &Value) -> Result<Self, String> {
        let members = rule.as_object().ok_or("an object is required")?;
        let mut parsed = Self {
            model: None,
            share_ppm: 1_000_000,
            seen: AtomicU64::new(0),
            wishes: Wishes::default(),
        };
        for (word, value) in members {
            match (word.as_str(), value) {
                ("model", Value::String(pattern)) => parsed.model = Some(pattern.clone()),
                ("share", Value::Number(share)) => {
                    let share = share.as_f64().filter(|share| (0.0..=1.0).contains(share));
                    parsed.share_ppm = (share.ok_or("share: a number from 0 to 1 is required")? * 1e6) as u64;
                }
                (word, Value::String(text)) => parsed.wishes.set(word, text)?,
                (word, Value::Bool(flag)) => parsed.wishes.set(word, if *flag { "1" } else { "0" })?,
                (word, value) => parsed.wishes.set(word, &value.to_string())?,
            }
        }
        Ok(parsed)
    }

    fn matches(&self, model: &str) -> bool {
        match &self.model {
            None => true,
            Some(pattern) => match pattern.strip_suffix('*') {
                Some(prefix) => model.starts_with(prefix),
                None => pattern == model,
            },
        }
    }

    /// Spreads the share evenly: of every 1/share requests the last is due.
    fn is_due(&self) -> bool {
        let seen = self.seen.fetch_add(1, Ordering::Relaxed);
        (seen + 1) * self.share_ppm / 1_000_000 > seen * self.share_ppm / 1_000_000
    }
}

/// The scenario in force, and the counts behind `fail-first`; shared by the threads.
#[derive(Default)]
pub struct Stage {
    current: Mutex<Arc<Scenario>>,
    generation: AtomicU64,
    failed: Mutex<HashMap<String, u64>>,
}

/// Ids counted for `fail-first` before the counts are forgotten.
const COUNTED_IDS: usize = 10_000;

impl Stage {
    pub fn replace(&self, scenario: Scenario) {
        *lock(&self.current) = Arc::new(scenario);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The current scenario, when `seen` is not its generation any more.
    pub fn refresh(&self, seen: &mut u64, held: &mut Arc<Scenario>) {
        let generation = self.generation.load(Ordering::Acquire);
        if *seen != generation {
            *held = lock(&self.current).clone();
            *seen = generation;
        }
    }

    /// Takes the faults back once the first `fail-first` requests of this id have had them.
    pub fn count_failure(&self, wishes: &mut Wishes) {
        let Some(limit) = wishes.fail_first else { return };
        let mut failed = lock(&self.failed);
        if failed.len() >= COUNTED_IDS {
            failed.clear();
        }
        let count = failed.entry(wishes.id.clone().unwrap_or_default()).or_default();
        *count += 1;
        if *count > limit {
            wishes.forgive();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_spread_evenly_over_the_models_it_names() {
        let scenario = Scenario::parse(br#"{"rules":[{"model":"gpt-*","share":0.25,"status":529}]}"#).unwrap();
        let failed = (0..100)
            .filter(|_| scenario.wishes("gpt-5").status == Some(529))
            .count();
        assert_eq!(failed, 25);
        assert_eq!(scenario.wishes("claude").status, None);
    }

    #[test]
    fn faults_end_after_the_first_requests_of_an_id() {
        let stage = Stage::default();
        let wish = || Wishes {
            status: Some(500),
            fail_first: Some(2),
            id: Some("a".into()),
            ..Wishes::default()
        };
        let mut statuses = Vec::new();
        for _ in 0..3 {
            let mut wishes = wish();
            stage.count_failure(&mut wishes);
            statuses.push(wishes.status);
        }
        assert_eq!(statuses, [Some(500), Some(500), None]);
    }

    #[test]
    fn a_wrong_rule_is_named() {
        let reason = Scenario::parse(br#"{"rules":[{},{"sttaus":500}]}"#).unwrap_err();
        assert!(reason.starts_with("/rules/1"), "{reason}");
    }
}
