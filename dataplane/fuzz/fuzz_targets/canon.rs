//! The canonical hash takes any bytes, is the same however a tree of what it took is written, and is a text's own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use tollgate_config::document::Dialect;
use tollgate_engine::exact::{Seed, canon};

const SEED: Seed = Seed([1, 2]);

/// Members in another order, all of them.
fn turned(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(turned).collect(),
        Value::Object(map) => {
            let mut members: Vec<_> = map.into_iter().map(|(key, value)| (key, turned(value))).collect();
            members.reverse();
            Value::Object(members.into_iter().collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn has_numbers_a_tree_rounds(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_numbers_a_tree_rounds),
        Value::Object(map) => map.values().any(has_numbers_a_tree_rounds),
        Value::Number(number) => number.is_f64(),
        _ => false,
    }
}

fuzz_target!(|input: &[u8]| {
    for dialect in Dialect::ALL {
        canon::request(SEED, dialect, input);
    }
    let Some(hash) = canon::value(SEED, input) else { return };
    let Ok(tree) = serde_json::from_slice::<Value>(input) else { return };
    if has_numbers_a_tree_rounds(&tree) {
        return;
    }
    let other = turned(tree).to_string();
    assert_eq!(canon::value(SEED, other.as_bytes()), Some(hash));
});
