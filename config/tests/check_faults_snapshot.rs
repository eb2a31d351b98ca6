//! Every way to write snapshots of caches wrong: what `check` says, and what is so unless it is said.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use faults::said;
use tollgate_config::{check::check, document::CacheSnapshot, parse::parse};

const AROUND: &str = "version: 1\nproviders: { p: { dialect: openai, base_url: 'http://a' } }\n\
                      models: { m: { cache: c, targets: [ { provider: p, model: x } ] } }\n";

fn cache(snapshot: &str) -> String {
    format!("{AROUND}caches: {{ c: {{ exact: {{}}{snapshot} }} }}\n")
}

#[test]
fn snapshots() {
    let cases = [
        ("{ every: 1s }", ""),
        ("{ every: 1d }", ""),
        ("{}", ""),
        ("5m", "/caches/c/snapshot: `5m` is not a map; a map of every"),
        (
            "{ every: 500ms }",
            "/caches/c/snapshot/every: `500ms` is not a time between two snapshots; 1s to 1d, such as 5m",
        ),
        (
            "{ every: 2d }",
            "/caches/c/snapshot/every: `2d` is not a time between two snapshots; 1s to 1d, such as 5m",
        ),
        (
            "{ every: 0s }",
            "/caches/c/snapshot/every: `0s` is not a time to wait; more than zero, such as 10s",
        ),
        (
            "{ path: /tmp }",
            "/caches/c/snapshot/path: unknown key `path`; one of every",
        ),
    ];
    for (snapshot, expected) in cases {
        assert_eq!(said(&cache(&format!(", snapshot: {snapshot}"))), expected, "{snapshot}");
    }
}

#[test]
fn nothing_touches_the_disk_unless_it_is_said() {
    let snapshot = |text: &str| {
        let document = check(&parse(&cache(text)).expect("it parses")).expect("it is well");
        document.caches[0].1.snapshot
    };
    assert_eq!(snapshot(""), None);
    assert_eq!(snapshot(", snapshot: {}"), Some(CacheSnapshot { every_ms: 300_000 }));
    assert_eq!(
        snapshot(", snapshot: { every: 2m }"),
        Some(CacheSnapshot { every_ms: 120_000 })
    );
}
