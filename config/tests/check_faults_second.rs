//! Every way to write a cache's second tier wrong: what `check` says.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use faults::said;
use tollgate_config::{check::check, document::Reference, parse::parse};

const AROUND: &str = "version: 1\nproviders: { p: { dialect: openai, base_url: 'http://a' } }\n\
                      models: { m: { cache: c, targets: [ { provider: p, model: x } ] } }\n";

fn text(second: &str, more: &str) -> String {
    format!("{AROUND}caches: {{ c: {{ exact: {{ second: {second} }} }} }}\n{more}")
}

#[test]
fn second_tiers() {
    const AT: &str = "/caches/c/exact/second";
    let cases = [
        ("{ valkey: { urls: [ redis://a ] }, secret: env:S }", String::new()),
        (
            "{ secret: env:S }",
            format!(
                "{AT}: `valkey` is missing; valkey: {{ urls: [ \"redis://HOST:6379\" ] }}, or cluster for the store that `cluster` names"
            ),
        ),
        (
            "{ valkey: { urls: [ redis://a ] } }",
            format!("{AT}: `secret` is missing; secret: env:NAME or file:PATH, the same on every node"),
        ),
        (
            "{ valkey: { urls: [ redis://a ] }, secret: env:S, timeout: 2s }",
            format!(
                "{AT}/timeout: `2s` is not a time that a call may wait for the second tier; 1ms to 1s, such as 20ms"
            ),
        ),
        (
            "{ valkey: { urls: [ redis://a ] }, secret: env:S, ttl: 2s }",
            format!("{AT}/ttl: unknown key `ttl`; one of valkey, secret, timeout"),
        ),
        (
            "{ valkey: cluster, secret: env:S }",
            format!(
                "{AT}/valkey: `valkey: cluster`, and there is no `cluster`; cluster: {{ valkey: {{ urls: [ … ] }} }}, or the \
                 store's own {{ urls: [ … ] }} here"
            ),
        ),
    ];
    for (second, expected) in cases {
        assert_eq!(said(&text(second, "")), expected, "{second}");
    }
    let shown = said(&text("{ valkey: { urls: [ redis://a ] }, secret: hunter2 }", ""));
    assert!(
        shown.starts_with(&format!("{AT}/secret: ")) && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn a_second_tier_is_read() {
    let of = |second: &str, more: &str| {
        let document = check(&parse(&text(second, more)).expect("YAML")).expect("a document");
        *document.caches[0].1.second.clone().expect("a second tier")
    };
    let own = of(
        "{ valkey: { urls: [ redis://a ], password: env:P, prefix: x }, secret: file:/s, timeout: 7ms }",
        "",
    );
    assert_eq!(own.timeout_ms, 7);
    assert_eq!(own.valkey.as_ref().map(|valkey| valkey.prefix.as_str()), Some("x"));
    let references = own.references();
    assert_eq!(
        references,
        [
            (&Reference::Env("P".into()), vec!["valkey", "password"]),
            (&Reference::File("/s".into()), vec!["secret"]),
        ]
    );
    let shared = of(
        "{ valkey: cluster, secret: env:S }",
        "cluster: { valkey: { urls: [ redis://a ] } }\n",
    );
    assert_eq!((shared.valkey, shared.timeout_ms), (None, 20));
}
