//! Every example is right, together they show every key, and the reference has a line for each.

use std::{collections::HashSet, fs, path::PathBuf};

use serde_json::Value;
use tollgate_config::{check::check, diff::diff, keys, parse::parse, quickstart};

fn here(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn examples() -> Vec<(String, String)> {
    let entries = fs::read_dir(here("examples")).unwrap();
    let mut examples: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read_to_string(&path).unwrap(),
            )
        })
        .collect();
    examples.sort();
    examples
}

#[test]
fn every_example_is_right() {
    let examples = examples();
    assert!(examples.len() >= 6);
    for (name, text) in examples {
        let parsed = parse(&text).unwrap_or_else(|problems| panic!("{}", problems[0].line(&name)));
        check(&parsed).unwrap_or_else(|problems| panic!("{}", problems[0].line(&name)));
        assert!(diff(&parsed.tree, &parsed.tree).is_empty());
        let from_nothing = diff(&Value::Null, &parsed.tree);
        assert!(
            from_nothing.iter().any(|change| change.pointer.starts_with("/models/")),
            "{name}: {from_nothing:?}"
        );
    }
}

#[test]
fn the_quick_start_example_is_the_built_in_one() {
    let (_, text) = examples()
        .into_iter()
        .find(|(name, _)| name == "quickstart.yaml")
        .unwrap();
    let built_in = quickstart("127.0.0.1:8090".parse().unwrap());
    assert_eq!(diff(&parse(&text).unwrap().tree, &built_in), []);
}

#[test]
fn the_examples_show_every_key() {
    let mut shown = HashSet::new();
    for (_, text) in examples() {
        collect(&parse(&text).unwrap().tree, &mut Vec::new(), &mut shown);
    }
    let known = keys().into_iter().filter(|key| key.supported);
    let missing: Vec<String> = known
        .map(|key| key.path)
        .filter(|path| !shown.iter().any(|shown| matches(path, shown)))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

fn collect(value: &Value, path: &mut Vec<String>, shown: &mut HashSet<Vec<String>>) {
    shown.insert(path.clone());
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, value)| (index.to_string(), value))
            .collect(),
        _ => return,
    };
    for (step, value) in children {
        path.push(step);
        collect(value, path, shown);
        path.pop();
    }
}

fn matches(pattern: &str, path: &[String]) -> bool {
    let steps: Vec<&str> = pattern.split('.').collect();
    steps.len() == path.len()
        && steps
            .iter()
            .zip(path)
            .all(|(step, shown)| *step == "*" || step == shown)
}

#[test]
fn the_reference_has_a_line_for_every_key() {
    let reference = fs::read_to_string(here("../docs/src/configuration.md")).unwrap();
    let missing: Vec<String> = keys()
        .into_iter()
        .filter(|key| {
            !reference
                .lines()
                .any(|line| line.starts_with(&format!("| `{}` |", key.path)))
        })
        .map(|key| key.path)
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}
