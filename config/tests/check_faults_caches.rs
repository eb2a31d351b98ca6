//! Every way to write caches wrong: what `check` says.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use faults::said;
use tollgate_config::{
    check::check,
    document::{Allowed, CacheScope},
    parse::parse,
};

const AROUND: &str = "version: 1\nproviders: { p: { dialect: openai, base_url: 'http://a' } }\n\
                      models: { m: { cache: c, targets: [ { provider: p, model: x } ] } }\n";

#[test]
fn caches() {
    let cases = [
        ("{ exact: {} }", ""),
        (
            "{ scope: key, exact: { ttl: 24h, max_bytes: 1GiB, max_answer: 1MiB }, allow: [], charge_hits: true }",
            "",
        ),
        (
            "{}",
            "/caches/c: `exact` is missing; exact: { ttl: 24h, max_bytes: 256MiB }",
        ),
        (
            "{ scope: user, exact: {} }",
            "/caches/c/scope: `user` is not who may share an answer; key, team or organization",
        ),
        (
            "{ exact: { ttl: 0s } }",
            "/caches/c/exact/ttl: `0s` is not a time to wait; more than zero, such as 10s",
        ),
        (
            "{ exact: { ttl: 31d } }",
            "/caches/c/exact/ttl: `31d` is not a time to keep answers; 1s to 30d, such as 24h",
        ),
        (
            "{ exact: { max_bytes: 1KiB } }",
            "/caches/c/exact/max_bytes: `1KiB` is not room for answers; at least 1MiB, such as 256MiB",
        ),
        (
            "{ exact: { max_bytes: 8MiB, max_answer: 1MiB } }",
            "/caches/c/exact: `max_answer` is 1048576 bytes and `max_bytes` 8388608; a `max_bytes` of at least 16 times `max_answer`",
        ),
        (
            "{ exact: { max: 1 } }",
            "/caches/c/exact/max: unknown key `max`; one of ttl, max_bytes, max_answer, second",
        ),
        (
            "{ exact: {}, allow: [ tools ] }",
            "/caches/c/allow/0: `tools` is not one of what may be kept; [ tool_calls, temperature ], or fewer of them",
        ),
        (
            "{ exact: {}, charge_hits: 1 }",
            "/caches/c/charge_hits: `1` is not true or false; true or false",
        ),
    ];
    for (cache, expected) in cases {
        assert_eq!(
            said(&format!("{AROUND}caches: {{ c: {cache} }}\n")),
            expected,
            "{cache}"
        );
    }
}

#[test]
fn a_model_names_a_cache_that_is_there() {
    assert_eq!(
        said(&format!("{AROUND}caches: {{ d: {{ exact: {{}} }} }}\n")),
        "/models/m/cache: there is no cache `c`; did you mean `d`?"
    );
}

#[test]
fn what_is_not_said_is_as_documented() {
    let parsed = parse(&format!(
        "{AROUND}caches: {{ c: {{ exact: {{ max_bytes: 4MiB }} }} }}\n"
    ))
    .expect("it parses");
    let document = check(&parsed).expect("it is well");
    let (_, cache) = &document.caches[0];
    assert_eq!((cache.scope, cache.allow), (CacheScope::Team, Allowed::default()));
    let exact = cache.exact.expect("there is one");
    assert_eq!((exact.ttl_ms, exact.max_bytes), (24 * 3_600_000, 4 << 20));
    assert_eq!(exact.max_answer_bytes, (4 << 20) / 16, "no longer than fits");
    assert_eq!(document.models[0].1.cache.as_deref(), Some("c"));
    assert!(!document.charge_hits && cache.charge_hits.is_none());
}
