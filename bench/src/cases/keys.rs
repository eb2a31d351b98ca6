//! 100,000 keys: found, changed, built; and a configuration compiled.

use std::hint::black_box;

use tollgate_engine::snapshot::compile;

use crate::{
    Call, Case, Gateway, Shard, Unit,
    gateway::{KNOWN_KEYS, document, secrets, stored_keys},
};

const KEYS: usize = 100_000;
const MODELS: usize = 100;

pub const CASES: [Case; 4] = [
    Case {
        group: "keys",
        name: "a model asked for, one of 64 keys",
        per: Unit::many("call", KNOWN_KEYS, 0),
        counted_runs: 20,
        prepare: || ask(KNOWN_KEYS),
    },
    Case {
        group: "keys",
        name: "a model asked for, one of 100,000 keys",
        per: Unit::many("call", KNOWN_KEYS, 0),
        counted_runs: 20,
        prepare: || ask(KEYS),
    },
    Case {
        group: "keys",
        name: "one changed beside 100,000",
        per: Unit::one("change", 0),
        counted_runs: 100,
        prepare: change,
    },
    Case {
        group: "snapshot",
        name: "100 models compiled",
        per: Unit::many("model", MODELS, 0),
        counted_runs: 5,
        prepare: compile_models,
    },
];

/// A connection that comes with another key each time, so that none is remembered: hashed, looked up, judged.
fn ask(keys: usize) -> Box<dyn FnMut()> {
    let mut shard = Shard::new(&Gateway::of_keys(keys));
    let calls: Vec<Call> = (0..KNOWN_KEYS).map(Call::model).collect();
    Box::new(move || calls.iter().for_each(|call| shard.run(black_box(call))))
}

fn change() -> Box<dyn FnMut()> {
    let gateway = Gateway::of_keys(KEYS);
    let mut stored = stored_keys(KEYS + 1);
    let new = stored.split_off(KEYS);
    Box::new(move || {
        let changed = gateway.keys().with_changes(black_box(&new), &[]);
        assert_eq!(changed.len(), KEYS + 1);
    })
}

fn compile_models() -> Box<dyn FnMut()> {
    let document = document(MODELS - 1);
    let secrets = secrets();
    Box::new(move || {
        black_box(compile(1, black_box(document.clone()), &secrets)).expect("the document compiles");
    })
}
