//! The keys of `cluster`.

use super::Section;

pub static CLUSTER: Section = Section {
    path: "cluster",
    now: &["valkey", "on_partition", "reclaim_after"],
    not_yet: &[],
};

pub static VALKEY: Section = Section {
    path: "cluster.valkey",
    now: &[
        "urls", "mode", "sentinel", "user", "password", "prefix", "timeout", "tls",
    ],
    not_yet: &[],
};

pub static SENTINEL: Section = Section {
    path: "cluster.valkey.sentinel",
    now: &["master", "password"],
    not_yet: &[],
};

pub static VALKEY_TLS: Section = Section {
    path: "cluster.valkey.tls",
    now: &["ca", "client_certificate", "client_key"],
    not_yet: &[],
};
