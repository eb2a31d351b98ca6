//! The keys of `caches`.

use super::Section;

pub static CACHE: Section = Section {
    path: "caches.*",
    now: &["scope", "exact", "semantic", "allow", "charge_hits", "snapshot"],
    not_yet: &[],
};

pub static CACHE_SEMANTIC: Section = Section {
    path: "caches.*.semantic",
    now: &[
        "ttl",
        "max_entries",
        "threshold",
        "mode",
        "history",
        "history_threshold",
    ],
    not_yet: &[],
};

pub static CACHE_SNAPSHOT: Section = Section {
    path: "caches.*.snapshot",
    now: &["every"],
    not_yet: &[],
};

pub static CACHE_EXACT: Section = Section {
    path: "caches.*.exact",
    now: &["ttl", "max_bytes", "max_answer", "second"],
    not_yet: &[],
};

/// Below `valkey` stand the keys of `cluster.valkey`.
pub static CACHE_SECOND: Section = Section {
    path: "caches.*.exact.second",
    now: &["valkey", "secret", "timeout"],
    not_yet: &[],
};
