//! How limits stand, for whoever asks: read from the balances that the shards write.

use tollgate_config::{document::LimitMode, link::LimitStatus};
use tollgate_engine::limits::{Report, Scope, report};

use super::{Control, unix_ms};

/// Of the keys and models of a document only so many are told as metrics.
const MAX_TOLD: usize = 2_000;

impl Control {
    /// Those of a name in a scope; an empty name is every name's.
    pub(super) fn limits(&self, scope: &str, name: &str) -> Vec<LimitStatus> {
        self.reports(|of, named| of.name() == scope && (name.is_empty() || named == name))
    }

    pub(super) fn all_limits(&self) -> Vec<LimitStatus> {
        let mut all = self.reports(|_, _| true);
        all.truncate(MAX_TOLD);
        all
    }

    fn reports(&self, wanted: impl Fn(Scope, &str) -> bool) -> Vec<LimitStatus> {
        let Some(running) = &self.running else {
            return Vec::new();
        };
        let prepared = &running.prepared;
        let told = report((&prepared.snapshot, &prepared.keys), &self.balances, unix_ms(), wanted);
        told.into_iter().map(status).collect()
    }
}

fn status(told: Report) -> LimitStatus {
    LimitStatus {
        scope: told.scope.name().to_owned(),
        name: told.name,
        unit: told.limit.unit.name().to_owned(),
        per: told.limit.window.told(),
        enforced: told.limit.mode == LimitMode::Enforce,
        limit: told.level.limit,
        used: told.level.used,
        remaining: told.level.remaining(),
        reset_ms: told.level.reset_ms,
    }
}
