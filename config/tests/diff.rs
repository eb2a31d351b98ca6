//! Two trees → the words an operator reads.

use serde_json::{Value, json};
use tollgate_config::{diff::diff, parse::parse};

fn tree(text: &str) -> Value {
    parse(text).unwrap().tree
}

/// `POINTER | summary | effect`, a change on each line.
fn told(old: &str, new: &str) -> Vec<String> {
    let changes = diff(&tree(old), &tree(new));
    let line =
        |change: &tollgate_config::diff::Change| format!("{} | {} | {}", change.pointer, change.summary, change.effect);
    changes.iter().map(line).collect()
}

#[test]
fn changes_in_words() {
    let now = "new requests only";
    for (old, new, expected) in [
        ("a: 1", "a: 1", vec![]),
        ("{a: 1, b: 2}", "{b: 2, a: 1}", vec![]),
        ("version: 1", "{version: 1, teams: {research: }}", vec![format!("/teams/research | team `research` added | {now}")]),
        ("{teams: {a: , b: }}", "{}", vec![
            format!("/teams/a | team `a` removed | {now}"),
            format!("/teams/b | team `b` removed | {now}"),
        ]),
        ("max_body: 1MiB", "max_body: 2MiB", vec![format!("/max_body | max_body: 1MiB → 2MiB | {now}")]),
        ("id_secret: env:A", "id_secret: open", vec!["/id_secret | id_secret: env:A → (hidden) | ids of objects handed out before open nothing any more".into()]),
        ("{}", "client: {idle_timeout: 5s}", vec!["/client | client added: {\"idle_timeout\":\"5s\"} | new connections only".into()]),
        ("client: {idle_timeout: 5s}", "client: {idle_timeout: 6s}", vec!["/client/idle_timeout | client.idle_timeout: 5s → 6s | new connections only".into()]),
        ("listeners: {a: {address: '1.1.1.1:1'}}", "listeners: {a: {address: '1.1.1.1:2'}, b: {address: '1.1.1.1:1'}}", vec![
            "/listeners/a/address | listeners/a: address: 1.1.1.1:1 → 1.1.1.1:2 | listener moved; connections to the old address finish".into(),
            "/listeners/b | listener `b` added | listener opened".into(),
        ]),
        ("providers: {p: {timeouts: {connect: 1s}}}", "providers: {p: {timeouts: {connect: 2s}, kind: openai}}", vec![
            format!("/providers/p/timeouts/connect | providers/p: timeouts.connect: 1s → 2s | {now}"),
            format!("/providers/p/kind | providers/p: kind added: openai | {now}"),
        ]),
        ("models: {smart: {targets: [{provider: openai, model: a}]}}", "models: {smart: {targets: [{provider: openai, model: a}, {model: gpt-5.4, provider: openai}]}}", vec![
            format!("/models/smart/targets/1 | models/smart: target openai/gpt-5.4 added | {now}"),
        ]),
        ("models: {m: {targets: [{provider: a, model: x}, {provider: b, model: y}]}}", "models: {m: {targets: [{model: y, provider: b}, {model: x, provider: a}]}}", vec![
            format!("/models/m/targets | models/m: targets in another order: b/y, a/x | {now}"),
        ]),
        ("models: {m: {targets: [{provider: a, model: x}, {provider: b, model: y}]}}", "models: {m: {targets: [{provider: a, model: z}, {model: y, provider: b}]}}", vec![
            format!("/models/m/targets/0/model | models/m: targets.0.model: x → z | {now}"),
        ]),
        ("models: {m: {retry: {on: [429, timeout]}}}", "models: {m: {retry: {on: [timeout, 500]}}}", vec![
            format!("/models/m/retry/on/1 | models/m: retry.on 500 added | {now}"),
            format!("/models/m/retry/on/0 | models/m: retry.on 429 removed | {now}"),
        ]),
        ("keys: {k: {models: [a]}}", "keys: {k: {models: [a, b]}, l: {hash: x}}", vec![
            format!("/keys/k/models/1 | keys/k: model b added | {now}"),
            "/keys/l | key `l` added | accepted from now on".into(),
        ]),
        ("models: {a/b: {x: 1}}", "models: {a/b: {x: 2}}", vec![format!("/models/a~1b/x | models/a/b: x: 1 → 2 | {now}")]),
        ("teams: {a: }", "teams: {a: {}}", vec![format!("/teams/a | teams.a: empty → {{}} | {now}")]),
        ("1", "2", vec![format!(" | the document: 1 → 2 | {now}")]),
    ] {
        assert_eq!(told(old, new), expected, "{old} → {new}");
    }
}

#[test]
fn secrets_are_not_told() {
    let old = json!({ "providers": { "p": { "credential": "sk-hunter2" } }, "keys": { "k": { "hash": "sha256:aa" } } });
    let new = json!({
        "providers": { "p": { "credential": ["env:KEY", "sk-hunter3"], "headers": { "x": "hunter4" } } },
        "keys": { "k": { "hash": "sha256:bb" } },
        "admin": { "address": "127.0.0.1:1", "token": "hunter5" },
    });
    let changes = diff(&old, &new);
    let text = format!("{changes:?}");
    assert!(!text.contains("hunter") && !text.contains("sha256"), "{text}");
    let told = |pointer: &str| {
        changes
            .iter()
            .find(|change| change.pointer == pointer)
            .map(|change| change.summary.as_str())
    };
    assert_eq!(
        told("/providers/p/credential"),
        Some("providers/p: credential: (hidden) → [\"env:KEY\",\"(hidden)\"]")
    );
    assert_eq!(told("/keys/k/hash"), Some("keys/k: hash changed"));
}

#[test]
fn references_are_told() {
    let old = json!({ "providers": { "p": { "credential": "env:OLD" } } });
    let new = json!({ "providers": { "p": { "credential": "file:/new" } } });
    assert_eq!(
        diff(&old, &new)[0].summary,
        "providers/p: credential: env:OLD → file:/new"
    );
}
