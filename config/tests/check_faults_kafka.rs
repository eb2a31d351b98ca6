//! What is wrong with `usage.kafka`, each with its pointer.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use tollgate_config::{
    check::check,
    document::{Acks, Kafka, KafkaTls, Mechanism, Reference},
    parse,
};

fn read(kafka: &str) -> Kafka {
    let text = format!("version: 1\nusage: {{ kafka: {kafka} }}\n");
    let document = check(&parse::parse(&text).expect("YAML")).expect("a document");
    document.kafka.expect("a topic")
}

#[test]
fn a_topic_is_read() {
    let far = read(
        "{ brokers: [ kafka-1.example.com, \"kafka-2.example.com:9093\" ], topic: usage.v1, acks: leader, hold: 2d, \
         sasl: { mechanism: scram-sha-512, user: gate, password: env:KAFKA_PASSWORD } }",
    );
    assert_eq!(
        far.brokers,
        [
            ("kafka-1.example.com".to_owned(), 9092),
            ("kafka-2.example.com".to_owned(), 9093)
        ]
    );
    assert_eq!(
        (&*far.topic, far.acks, far.hold_ms),
        ("usage.v1", Acks::Leader, 2 * 86_400_000)
    );
    assert!(
        matches!(far.tls, KafkaTls::Verified(_)),
        "what leaves the machine is encrypted"
    );
    let sasl = far.sasl.expect("a user");
    assert_eq!(
        (sasl.mechanism, &*sasl.user, sasl.password),
        (
            Mechanism::ScramSha512,
            "gate",
            Reference::Env("KAFKA_PASSWORD".to_owned())
        )
    );
    let near = read("{ brokers: [ \"127.0.0.1:9092\", localhost, \"[::1]:9092\" ], topic: t }");
    assert_eq!(
        (near.tls, near.acks, near.hold_ms),
        (KafkaTls::Off, Acks::All, Kafka::DEFAULT_HOLD_MS)
    );
}

#[test]
fn each_fault_is_told_where_it_is() {
    let with = |more: &str| format!("{{ brokers: [ kafka ], topic: t, {more} }}");
    let table = [
        ("{ topic: t }".to_owned(), "", "brokers: ["),
        ("{ brokers: [ kafka ] }".to_owned(), "", "topic: tollgate-usage"),
        ("{ brokers: [], topic: t }".to_owned(), "/brokers", "1 to 32"),
        (
            "{ brokers: [ \"kafka:x\" ], topic: t }".to_owned(),
            "/brokers/0",
            "HOST:PORT",
        ),
        (
            "{ brokers: [ \"sasl://u:p@kafka\" ], topic: t }".to_owned(),
            "/brokers/0",
            "keys of their own",
        ),
        (
            "{ brokers: [ kafka ], topic: \"a b\" }".to_owned(),
            "/topic",
            "up to 249 letters",
        ),
        (
            "{ brokers: [ kafka ], topic: \"..\" }".to_owned(),
            "/topic",
            "up to 249 letters",
        ),
        (with("acks: 1"), "/acks", "all or leader"),
        (with("hold: 365d"), "/hold", "up to 90d"),
        (with("tls: on"), "/tls", "off, or a map"),
        (with("tls: { cert: file:a }"), "/tls/cert", "client_certificate"),
        (
            with("sasl: { user: u, password: env:P }"),
            "/sasl",
            "plain, scram-sha-256",
        ),
        (
            with("sasl: { mechanism: gssapi, user: u, password: env:P }"),
            "/sasl/mechanism",
            "plain, scram-sha-256",
        ),
        (
            with("sasl: { mechanism: plain, user: u, password: hunter2 }"),
            "/sasl/password",
            "env:",
        ),
        (
            with("tls: off, sasl: { mechanism: plain, user: u, password: env:P }"),
            "/tls",
            "scram-sha-512",
        ),
        (with("compression: gzip"), "/compression", ""),
    ];
    for (kafka, at, right) in table {
        let told = faults::problems(&format!("version: 1\nusage: {{ kafka: {kafka} }}\n"));
        assert_eq!(told.len(), 1, "{kafka}: {told:?}");
        assert!(
            told[0].pointer == format!("/usage/kafka{at}") && told[0].right.contains(right),
            "{kafka}: {told:?}"
        );
        assert!(!told[0].wrong.contains("hunter2"), "{told:?}");
    }
}
