//! What a look at a provider says of the targets that go there.

use super::Snapshot;
use crate::{
    Tick,
    outputs::TargetChange,
    routing::health::{Change, TargetHealth},
};
use tollgate_config::document::Breaker;

/// What several looks in a row found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is left alone until then at least: looks go on meanwhile.
    Ill {
        until: Tick,
    },
    WellAgain,
}

impl Snapshot {
    /// Leaves the provider's targets alone, or asks them again; what that changed.
    pub fn checked(&self, provider: usize, found: Found, now: Tick) -> Vec<TargetChange> {
        let mut changes = Vec::new();
        for (model, route) in self.routes.iter().take(self.document.models.len()).enumerate() {
            for (target, held) in route.targets.iter().enumerate() {
                if held.provider != provider {
                    continue;
                }
                if let Some(change) = apply(&held.health, found, now, &route.breaker) {
                    changes.push(TargetChange { model, target, change });
                }
            }
        }
        changes
    }
}

fn apply(health: &TargetHealth, found: Found, now: Tick, breaker: &Breaker) -> Option<Change> {
    match found {
        Found::Ill { until } => {
            let opened = health.open(now, breaker);
            health.hold_open(until);
            opened
        }
        Found::WellAgain => health.close(now),
    }
}
