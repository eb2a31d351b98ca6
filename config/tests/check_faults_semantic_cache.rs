//! Every way to write a semantic cache wrong: what `check` says.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use faults::said;
use tollgate_config::{
    check::check,
    document::{SemanticCache, SemanticHistory, SemanticMode},
    parse::parse,
};

const AROUND: &str = "version: 1\nproviders: { p: { dialect: openai, base_url: 'http://a' } }\n\
                      models: { m: { cache: c, targets: [ { provider: p, model: x } ] } }\n";

#[test]
fn semantic_caches() {
    let cases = [
        ("{ exact: {}, semantic: {} }", ""),
        (
            "{ exact: {}, semantic: { ttl: 24h, max_entries: 1000000, threshold: 0.90, mode: shadow } }",
            "",
        ),
        (
            "{ semantic: {} }",
            "/caches/c: `exact` is missing; exact: { ttl: 24h, max_bytes: 256MiB }",
        ),
        (
            "{ exact: {}, semantic: { thresold: 0.9 } }",
            "/caches/c/semantic/thresold: unknown key `thresold`; did you mean `threshold`?",
        ),
        (
            "{ exact: {}, semantic: { threshold: 0.2 } }",
            "/caches/c/semantic/threshold: `0.2` is not a similarity to look at; a number from 0.3 to 1, such as 0.5",
        ),
        (
            "{ exact: {}, semantic: { threshold: 90 } }",
            "/caches/c/semantic/threshold: `90` is not a similarity; a number from 0 to 1, such as 0.35",
        ),
        (
            "{ exact: {}, semantic: { max_entries: 0 } }",
            "/caches/c/semantic/max_entries: `0` is not a number that fits here; a whole number from 1 to 16777216",
        ),
        (
            "{ exact: {}, semantic: { mode: dark } }",
            "/caches/c/semantic/mode: `dark` is not what becomes of what is found; serve or shadow",
        ),
        (
            "{ exact: {}, semantic: { history: similar, history_threshold: 0.9 } }",
            "",
        ),
        (
            "{ exact: {}, semantic: { history: same } }",
            "/caches/c/semantic/history: `same` is not when histories are the same; exact or similar",
        ),
        (
            "{ exact: {}, semantic: { history: exact, history_threshold: 0.9 } }",
            "/caches/c/semantic/history_threshold: it is asked of no history that must be equal; `history: similar` beside it",
        ),
        (
            "{ exact: {}, semantic: { history: similar, history_threshold: 0.1 } }",
            "/caches/c/semantic/history_threshold: `0.1` is not a similarity to look at; a number from 0.3 to 1, such as 0.5",
        ),
        (
            "{ exact: { ttl: 1h }, semantic: { ttl: 2h } }",
            "/caches/c/semantic/ttl: it is longer than an answer is kept; at most `exact.ttl`, or a longer `exact.ttl`",
        ),
        (
            "{ exact: {}, semantic: { ttl: 0s } }",
            "/caches/c/semantic/ttl: `0s` is not a time to wait; more than zero, such as 10s",
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
fn what_is_not_said_is_as_documented() {
    let parsed = parse(&format!(
        "{AROUND}caches: {{ c: {{ exact: {{ ttl: 2h }}, semantic: {{}} }} }}\n"
    ))
    .expect("it parses");
    let document = check(&parsed).expect("it is well");
    assert_eq!(
        document.caches[0].1.semantic,
        Some(SemanticCache {
            ttl_ms: 2 * 3_600_000,
            max_entries: 100_000,
            threshold_thousandths: 500,
            mode: SemanticMode::Serve,
            history: SemanticHistory::Exact,
        })
    );
}
