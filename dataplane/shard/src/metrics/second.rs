//! What became of caches' answers in the stores that nodes share.

use std::sync::Arc;

use super::{
    names::{self, Family},
    text::Page,
};
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
            self.of_tier(names::CACHE_SECOND_LOOKUPS, cache, "result", results);
        }
        self.head(names::CACHE_SECOND_UNREADABLE);
        for (cache, told) in tiers {
            let reasons = told.unreadable.into_iter().chain([("generation", told.forged)]);
            self.of_tier(names::CACHE_SECOND_UNREADABLE, cache, "reason", reasons);
        }
        self.head(names::CACHE_SECOND_STORES);
        for (cache, told) in tiers {
            let results = [
                ("stored", told.stored),
                ("failed", told.failed),
                ("dropped", told.dropped),
            ];
            self.of_tier(names::CACHE_SECOND_STORES, cache, "result", results);
        }
        self.head(names::CACHE_SECOND_UP);
        for (cache, told) in tiers {
            if let Some(is_up) = told.is_up {
                self.sample(names::CACHE_SECOND_UP.name, &[("cache", &**cache)], u8::from(is_up));
            }
        }
    }

    fn of_tier(
        &mut self,
        family: Family,
        cache: &str,
        label: &str,
        counts: impl IntoIterator<Item = (&'static str, u64)>,
    ) {
        for (value, count) in counts {
            self.sample(family.name, &[("cache", cache), (label, value)], count);
        }
    }
}
