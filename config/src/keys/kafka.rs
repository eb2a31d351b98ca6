//! The keys of `usage.kafka`.

use super::{Section, UPSTREAM_TLS};

pub static KAFKA: Section = Section {
    path: "usage.kafka",
    now: &["brokers", "topic", "tls", "sasl", "acks", "hold"],
    not_yet: &[],
};

pub static KAFKA_TLS: Section = Section {
    path: "usage.kafka.tls",
    now: UPSTREAM_TLS.now,
    not_yet: &[],
};

pub static KAFKA_SASL: Section = Section {
    path: "usage.kafka.sasl",
    now: &["mechanism", "user", "password"],
    not_yet: &[],
};
