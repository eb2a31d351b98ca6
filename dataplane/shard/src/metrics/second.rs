//! What became of caches' answers in the stores that nodes share.

use std::sync::Arc;

use super::{names, text::Page};
use crate::second::Numbers;

impl Page {
    pub(super) fn second_tiers(&mut self, tiers: &[(Arc<str>, Numbers)]) {
        self.head(names::CACHE_SECOND_LOOKUPS);
        for (cache, told) in tiers {
            let unreadable: u64 = told.unreadable.iter().map(|(_, count)| count).sum();
            let results = [
                ("hit", told.hits),
                ("miss", told.misses),
                ("timeout", told.timeouts),
                ("error", told.errors),
                ("unreadable", unreadable),
                ("skipped", told.skipped),
            ];
            for (result, count) in results {
                self.sample(
                    names::CACHE_SECOND_LOOKUPS.name,
                    &[("cache", &**cache), ("result", result)],
                    count,
                );
            }
        }
        self.head(names::CACHE_SECOND_UNREADABLE);
        for (cache, told) in tiers {
            for (why, count) in told.unreadable.into_iter().chain([("generation", told.forged)]) {
                self.sample(
                    names::CACHE_SECOND_UNREADABLE.name,
                    &[("cache", &**cache), ("reason", why)],
                    count,
                );
            }
        }
        self.head(names::CACHE_SECOND_STORES);
        for (cache, told) in tiers {
            for (result, count) in [
                ("stored", told.stored),
                ("failed", told.failed),
                ("dropped", told.dropped),
            ] {
                self.sample(
                    names::CACHE_SECOND_STORES.name,
                    &[("cache", &**cache), ("result", result)],
                    count,
                );
            }
        }
        self.head(names::CACHE_SECOND_UP);
        for (cache, told) in tiers {
            if let Some(is_up) = told.is_up {
                self.sample(names::CACHE_SECOND_UP.name, &[("cache", &**cache)], u8::from(is_up));
            }
        }
    }
}
