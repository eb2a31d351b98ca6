//! The scenario in force and when it began, and the counts behind `fail-first`; shared by the threads.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{fault::Wishes, scenario::Scenario};
use crate::net::clock;

/// Ids counted for `fail-first` before the counts are forgotten.
const COUNTED_IDS: usize = 10_000;

#[derive(Default)]
pub struct Stage {
    current: Mutex<Held>,
    generation: AtomicU64,
    failed: Mutex<HashMap<String, u64>>,
}

/// A thread's hold on the scenario in force.
#[derive(Clone, Default)]
pub struct Held {
    pub scenario: Arc<Scenario>,
    pub began_ns: u64,
    generation: u64,
}

impl Stage {
    /// Puts a scenario into force, which begins now.
    pub fn replace(&self, scenario: Scenario) {
        let mut current = lock(&self.current);
        *current = Held {
            scenario: Arc::new(scenario),
            began_ns: clock::now_ns(),
            generation: current.generation + 1,
        };
        self.generation.store(current.generation, Ordering::Release);
    }

    /// Takes the scenario in force, when what is held is not it any more.
    pub fn refresh(&self, held: &mut Held) {
        if self.generation.load(Ordering::Acquire) != held.generation {
            *held = lock(&self.current).clone();
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
    fn a_replaced_scenario_is_taken_once() {
        let (stage, mut held) = (Stage::default(), Held::default());
        stage.refresh(&mut held);
        assert!(held.scenario.is_empty());
        let scenario = Scenario::parse(b"rules: [{ status: 500 }]", None).unwrap();
        stage.replace(scenario);
        stage.refresh(&mut held);
        assert!(!held.scenario.is_empty() && held.began_ns > 0);
    }
}
