//! A document of 100,000 keys and 10,000 models is read without quadratic work. Times are printed, not asserted:
//! `cargo test --release -p tollgate-config --test scale -- --nocapture`.

use std::{fmt::Write, time::Instant};

use tollgate_config::{check::check, diff::diff, parse::parse};

/// Unoptimised code reads a part of it: quadratic work would be felt all the same.
const KEYS: usize = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
const MODELS: usize = KEYS / 10;

fn yaml() -> String {
    let mut text = String::from("version: 1\nproviders:\n  openai: { kind: openai, credential: env:OPENAI_API_KEY }\n");
    text.push_str("teams:\n");
    (0..100).for_each(|team| writeln!(text, "  team-{team}: {{ cost_center: CC-{team} }}").unwrap());
    text.push_str("models:\n");
    for model in 0..MODELS {
        writeln!(
            text,
            "  model-{model}:\n    targets: [ {{ provider: openai, model: model-{model} }} ]"
        )
        .unwrap();
    }
    text.push_str("keys:\n");
    for key in 0..KEYS {
        let (team, model) = (key % 100, key % MODELS);
        writeln!(
            text,
            "  key-{key}:\n    team: team-{team}\n    hash: \"sha256:{key:064x}\""
        )
        .unwrap();
        writeln!(text, "    models: [ model-{model}, \"gpt-*\" ]").unwrap();
    }
    text
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = work();
    println!("{what}: {:?}", begin.elapsed());
    result
}

#[test]
fn a_hundred_thousand_keys() {
    let text = yaml();
    let parsed = timed("parse YAML", || parse(&text)).unwrap();
    let json = serde_json::to_string(&parsed.tree).unwrap();
    let from_json = timed("parse JSON", || parse(&json)).unwrap();
    let document = timed("check", || check(&parsed)).unwrap();
    assert_eq!((document.keys.len(), document.models.len()), (KEYS, MODELS));
    assert_eq!(from_json.tree, parsed.tree);
    let changes = timed("diff", || diff(&parsed.tree, &from_json.tree));
    assert!(changes.is_empty());
    println!("{} bytes of YAML, {} bytes of JSON", text.len(), json.len());
}

/// Faults are as many as the mistakes, and finding suggestions for them stays bounded.
#[test]
fn a_hundred_thousand_faults() {
    let text = yaml()
        .replace("team: team-", "team: taem-")
        .replace("[ model-", "[ modle-");
    let parsed = parse(&text).unwrap();
    let problems = timed("check with faults", || check(&parsed)).unwrap_err();
    assert_eq!(problems.len(), 2 * KEYS);
}
