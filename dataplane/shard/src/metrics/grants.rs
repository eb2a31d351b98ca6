//! What providers grant, as it stands over all shards.

use tollgate_engine::{Snapshot, Tick};

use super::{names, text::Page};

/// One limit of a provider.
#[derive(Clone, Debug)]
pub struct Granted {
    provider: String,
    unit: &'static str,
    per: String,
    left: u64,
    refused: u64,
}

impl Granted {
    pub fn all(snapshot: &Snapshot, now: Tick) -> Vec<Self> {
        let granted = snapshot.granted(now).map(|(provider, level)| Self {
            provider: provider.to_owned(),
            unit: level.grant.of.name(),
            per: period(level.grant.per_ms),
            left: level.left,
            refused: level.refused,
        });
        granted.collect()
    }

    fn labels(&self) -> [(&'static str, &str); 3] {
        [("provider", &self.provider), ("unit", self.unit), ("per", &self.per)]
    }
}

/// In seconds, as limits are told.
fn period(ms: u64) -> String {
    match ms % 1_000 {
        0 => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

impl Page {
    pub(super) fn granted(&mut self, granted: &[Granted]) {
        self.head(names::PROVIDER_LIMIT_REMAINING);
        for one in granted {
            self.sample(names::PROVIDER_LIMIT_REMAINING.name, &one.labels(), one.left);
        }
        self.head(names::PROVIDER_LIMIT_REFUSED);
        for one in granted {
            self.sample(names::PROVIDER_LIMIT_REFUSED.name, &one.labels(), one.refused);
        }
    }
}
