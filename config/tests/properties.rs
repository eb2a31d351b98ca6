//! What holds for every text and every tree.

use proptest::prelude::*;
use serde_json::{Map, Value};
use tollgate_config::{
    check::check,
    diff::diff,
    parse::{Parsed, parse},
    pointer,
};

/// Trees as deep as documents get, with text of every kind.
fn trees() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[a-z]{0,8}", any::<String>(), "(null|true|1|~|<<|0x1|-|\\?|: |# )"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((text.clone(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Texts built of what YAML gives a meaning to.
fn texts() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        "[a-z0-9]{1,4}",
        Just("\n".to_string()),
        Just("\n  ".to_string()),
        Just(": ".to_string()),
        Just("- ".to_string()),
        Just("{".to_string()),
        Just("}".to_string()),
        Just("[".to_string()),
        Just("]".to_string()),
        Just(", ".to_string()),
        Just("&a ".to_string()),
        Just("*a ".to_string()),
        Just("!!str ".to_string()),
        Just("!x ".to_string()),
        Just("\"".to_string()),
        Just("'".to_string()),
        Just("|\n".to_string()),
        Just(">-\n".to_string()),
        Just("? ".to_string()),
        Just("# ".to_string()),
        Just("---\n".to_string()),
        Just("...\n".to_string()),
        Just("%YAML 1.2\n".to_string()),
        Just("<<: ".to_string()),
        Just("\\".to_string()),
        Just("\t".to_string()),
        Just("\r\n".to_string()),
        Just("é".to_string()),
        Just("version: 1\n".to_string()),
        Just("providers: ".to_string()),
        Just("models: ".to_string()),
        Just("keys: ".to_string()),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

/// Trees that look like documents: real keys, wrong values.
fn documents() -> impl Strategy<Value = Value> {
    let keys: Vec<String> = tollgate_config::keys().into_iter().map(|key| key.path).collect();
    let placed = (prop::sample::select(keys), trees(), "[a-c]");
    prop::collection::vec(placed, 0..12).prop_map(|entries| {
        let mut tree = serde_json::json!({ "version": 1 });
        for (path, value, name) in entries {
            let at = format!("/{}", path.replace('*', &name).replace('.', "/"));
            // Where an earlier entry put something else, there is no place for this one.
            let _ = pointer::set(&mut tree, &at, value);
        }
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in prop_oneof![texts(), any::<String>()]) {
        if let Ok(parsed) = parse(&text) {
            let _ = check(&parsed);
        }
    }

    #[test]
    fn faults_of_texts_have_positions_within_them(text in texts()) {
        let problems = match parse(&text) {
            Ok(parsed) => check(&parsed).err().unwrap_or_default(),
            Err(problems) => problems,
        };
        let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() as u32 + 1;
        for problem in problems {
            prop_assert!(problem.position.is_some_and(|at| (1..=lines).contains(&at.line) && at.column >= 1), "{problem:?}");
        }
    }

    #[test]
    fn what_is_written_as_json_reads_the_same(tree in trees()) {
        let compact = parse(&tree.to_string());
        prop_assert_eq!(compact.map(|parsed| parsed.tree), Ok(tree.clone()));
        let pretty = parse(&serde_json::to_string_pretty(&tree).unwrap());
        prop_assert_eq!(pretty.map(|parsed| parsed.tree), Ok(tree));
    }

    #[test]
    fn the_yaml_reader_agrees_on_json(tree in trees()) {
        // A comment is YAML and not JSON.
        let text = format!("# comment\n{tree}\n");
        prop_assert_eq!(parse(&text).map(|parsed| parsed.tree), Ok(tree));
    }

    #[test]
    fn no_document_panics(tree in documents()) {
        let _ = check(&Parsed::from_tree(tree));
    }

    #[test]
    fn equal_trees_have_no_changes(tree in trees()) {
        prop_assert!(diff(&tree, &tree.clone()).is_empty());
    }

    #[test]
    fn different_trees_have_changes(old in documents(), new in documents()) {
        prop_assert_eq!(diff(&old, &new).is_empty(), old == new);
    }

    #[test]
    fn what_is_set_is_there_until_deleted(mut tree in documents(), value in trees()) {
        if pointer::set(&mut tree, "/providers/a~1b/x", value.clone()).is_ok() {
            prop_assert_eq!(pointer::get(&tree, "/providers/a~1b/x"), Ok(&value));
            prop_assert_eq!(pointer::delete(&mut tree, "/providers/a~1b/x"), Ok(value));
            prop_assert!(pointer::get(&tree, "/providers/a~1b/x").is_err());
        }
    }
}
