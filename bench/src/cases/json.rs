//! A chat body: what the gateway must know of it is found, and what it changes is changed in place.

use std::hint::black_box;

use tollgate_wire::json::{cursor, edit};

use crate::{Case, Unit};

const PATHS: [&str; 3] = ["model", "stream", "stream_options.include_usage"];
const SMALL_BYTES: usize = 1_200;
const LARGE_BYTES: usize = 128 * 1024;

pub const CASES: [Case; 4] = [
    Case {
        group: "json",
        name: "three values found in 1.2 KB",
        per: Unit::one("body", SMALL_BYTES),
        counted_runs: 500,
        prepare: || find_in(SMALL_BYTES),
    },
    Case {
        group: "json",
        name: "three values found in 128 KB",
        per: Unit::one("body", LARGE_BYTES),
        counted_runs: 20,
        prepare: || find_in(LARGE_BYTES),
    },
    Case {
        group: "json",
        name: "a value replaced",
        per: Unit::one("edit", 0),
        counted_runs: 1000,
        prepare: replace,
    },
    Case {
        group: "json",
        name: "a member left out",
        per: Unit::one("edit", 0),
        counted_runs: 1000,
        prepare: leave_out,
    },
];

fn chat_body(bytes: usize) -> Vec<u8> {
    let before = br#"{"model":"smart","messages":[{"role":"system","content":"Be terse."},{"role":"user","content":""#;
    let after = br#""}],"temperature":0.2,"max_tokens":256,"stream":true,"stream_options":{"include_usage":true}}"#;
    let words = b"the gateway finds the model, checks a key and hands the answer back ";
    let text: Vec<u8> = words
        .iter()
        .copied()
        .cycle()
        .take(bytes - before.len() - after.len())
        .collect();
    [&before[..], &text, after].concat()
}

fn find_in(bytes: usize) -> Box<dyn FnMut()> {
    let body = chat_body(bytes);
    Box::new(move || {
        black_box(cursor::find(black_box(&body), &PATHS)).expect("good JSON");
    })
}

/// The model's name, as for every call: the spans around it, and the new name as a JSON string.
fn replace() -> Box<dyn FnMut()> {
    let body = chat_body(SMALL_BYTES);
    let [model, _, _] = cursor::find(&body, &PATHS).expect("good JSON");
    let (model, mut out) = (model.expect("a model"), Vec::with_capacity(64));
    Box::new(move || {
        out.clear();
        black_box(edit::around(black_box(&body), black_box(model)));
        edit::write_string(&mut out, black_box("gpt-5.4-mini-2026-01-01"));
        black_box(&out);
    })
}

fn leave_out() -> Box<dyn FnMut()> {
    let body = chat_body(SMALL_BYTES);
    let [_, stream, _] = cursor::find(&body, &PATHS).expect("good JSON");
    let stream = stream.expect("a stream member");
    Box::new(move || {
        black_box(edit::member(black_box(&body), black_box(stream)));
    })
}
