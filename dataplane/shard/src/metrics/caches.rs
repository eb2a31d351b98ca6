//! What caches did, as Prometheus text. They are the node's: no shard counts them.

use std::sync::Arc;

use tollgate_engine::exact::Stats;

use super::{names, text::Page};
use crate::kept::Counts;

const NS_PER_S: f64 = 1e9;

impl Page {
    pub(super) fn caches(&mut self, caches: &[(Arc<str>, Stats)]) {
        self.head(names::CACHE_LOOKUPS);
        for (cache, stats) in caches {
            let results = [
                ("hit", stats.hits),
                ("semantic-hit", stats.semantic.hits),
                ("miss", stats.misses),
                ("joined", stats.joined),
            ];
            for (result, count) in results {
                let labels = [("cache", &**cache), ("result", result)];
                self.sample(names::CACHE_LOOKUPS.name, &labels, count);
            }
        }
        self.head(names::CACHE_CHANGES);
        for (cache, stats) in caches {
            let changes = [
                ("stored", stats.stored),
                ("evicted", stats.evicted),
                ("expired", stats.expired),
                ("purged", stats.purged),
                ("loaded", stats.loaded),
            ];
            for (change, count) in changes {
                let labels = [("cache", &**cache), ("change", change)];
                self.sample(names::CACHE_CHANGES.name, &labels, count);
            }
        }
        self.semantic_caches(caches);
        self.each(names::CACHE_ENTRIES, caches, |stats| stats.entries);
        self.each(names::CACHE_BYTES, caches, |stats| stats.bytes);
        self.each(names::CACHE_SAVED_TOKENS, caches, |stats| stats.saved_tokens);
        self.each(names::CACHE_SAVED_COST, caches, |stats| stats.saved);
        self.each(names::CACHE_SAVED_SECONDS, caches, |stats| {
            stats.saved_ns as f64 / NS_PER_S
        });
    }

    fn semantic_caches(&mut self, caches: &[(Arc<str>, Stats)]) {
        let counted = |stats: &Stats| {
            let stats = stats.semantic;
            [
                ("rejected_far", stats.far),
                ("rejected_different", stats.differing),
                ("unindexed", stats.unindexed),
                ("judged_right", stats.judged_right),
                ("judged_wrong", stats.judged_wrong),
                ("shadow_hit", stats.would_serve),
                ("shadow_same", stats.same),
                ("shadow_alike", stats.alike),
                ("shadow_other", stats.other),
            ]
        };
        self.head(names::CACHE_SEMANTIC);
        for (cache, stats) in caches {
            for (what, count) in counted(stats) {
                let labels = [("cache", &**cache), ("what", what)];
                self.sample(names::CACHE_SEMANTIC.name, &labels, count);
            }
        }
        self.each(names::CACHE_SEMANTIC_ENTRIES, caches, |stats| stats.semantic.entries);
    }

    pub(super) fn cache_snapshots(&mut self, snapshots: &[(Arc<str>, Counts)]) {
        self.head(names::CACHE_SNAPSHOTS);
        for (cache, counts) in snapshots {
            for (result, count) in [("written", counts.written), ("failed", counts.failed)] {
                let labels = [("cache", &**cache), ("result", result)];
                self.sample(names::CACHE_SNAPSHOTS.name, &labels, count);
            }
        }
        self.head(names::CACHE_SNAPSHOT_BYTES);
        for (cache, counts) in snapshots {
            self.sample(names::CACHE_SNAPSHOT_BYTES.name, &[("cache", &**cache)], counts.bytes);
        }
    }

    fn each<T: std::fmt::Display>(
        &mut self,
        family: names::Family,
        caches: &[(Arc<str>, Stats)],
        value: impl Fn(&Stats) -> T,
    ) {
        self.head(family);
        for (cache, stats) in caches {
            self.sample(family.name, &[("cache", &**cache)], value(stats));
        }
    }
}
