//! The keys of `database`.

use super::{Section, UPSTREAM_TLS};

pub static DATABASE: Section = Section {
    path: "database",
    now: &["postgres"],
    not_yet: &[],
};

pub static POSTGRES: Section = Section {
    path: "database.postgres",
    now: &[
        "host",
        "port",
        "user",
        "name",
        "schema",
        "password",
        "tls",
        "connections",
    ],
    not_yet: &[],
};

pub static POSTGRES_TLS: Section = Section {
    path: "database.postgres.tls",
    now: UPSTREAM_TLS.now,
    not_yet: &[],
};
