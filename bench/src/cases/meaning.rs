//! Calls to models that go by what prompts mean: whose of 1,000 examples a prompt resembles, and how hard it is. What such a call
//! takes beyond one to a model of one target (`exchange/1.2 KB chat, answered whole and with its cost`) is reading the prompt,
//! making its vector and comparing it. The comparison alone stands beside it.

use std::{fmt::Write as _, hint::black_box};

use tollgate_vector::{Embedder, ExemplarScratch, Exemplars, Scratch};

use crate::{Call, Case, Gateway, Shard, Unit};

const TARGETS: usize = 20;
const EXAMPLES: usize = 50;
const WORDS_AN_EXAMPLE: usize = 9;
const PROSE: &str = include_str!("../../../docs/src/operations.md");

pub const CASES: [Case; 3] = [
    Case {
        group: "route by meaning",
        name: "20 targets of 50 examples, compared",
        per: Unit::many("example", TARGETS * EXAMPLES, 0),
        counted_runs: 200,
        prepare: compared,
    },
    Case {
        group: "route by meaning",
        name: "20 targets of 50 examples",
        per: Unit::one("call", 0),
        counted_runs: 100,
        prepare: || call("semantic"),
    },
    Case {
        group: "route by meaning",
        name: "by complexity",
        per: Unit::one("call", 0),
        counted_runs: 100,
        prepare: || call("complexity"),
    },
];

/// The examples of a target: pieces of prose, each another.
fn examples(target: usize) -> Vec<String> {
    let words: Vec<&str> = PROSE
        .split_whitespace()
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_alphabetic()))
        .collect();
    let at = |example: usize| (target * EXAMPLES + example) * WORDS_AN_EXAMPLE;
    let word = |place: usize| words.get(place % words.len().max(1)).copied().unwrap_or_default();
    let example = |example: usize| {
        (at(example)..at(example) + WORDS_AN_EXAMPLE)
            .map(word)
            .collect::<Vec<_>>()
            .join(" ")
    };
    (0..EXAMPLES).map(example).collect()
}

fn compared() -> Box<dyn FnMut()> {
    let embedder = Embedder::shipped().expect("the shipped model loads");
    let texts: Vec<Vec<String>> = (0..TARGETS).map(examples).collect();
    let exemplars = Exemplars::new(&embedder, texts.iter().map(|texts| texts.iter().map(String::as_str)));
    let mut vector = vec![0.0; embedder.dims()];
    embedder.embed(
        "What does a gateway do between a program and a model?",
        &mut Scratch::default(),
        &mut vector,
    );
    let (mut scratch, mut near) = (ExemplarScratch::default(), Vec::new());
    Box::new(move || {
        exemplars.compare(black_box(&vector), &mut scratch, &mut near);
        black_box(&near);
    })
}

fn call(strategy: &'static str) -> Box<dyn FnMut()> {
    let mut shard = Shard::new(&Gateway::of_models(&models()));
    let call = Call::by_meaning(0, strategy);
    Box::new(move || shard.run(black_box(&call)))
}

/// The members `semantic` and `complexity` of `models`.
fn models() -> String {
    let mut text = String::from(r#""semantic": { "strategy": "semantic", "targets": [ "#);
    for target in 0..TARGETS {
        let comma = if target == 0 { "" } else { ", " };
        let quoted: Vec<String> = examples(target)
            .iter()
            .map(|example| format!("\"{example}\""))
            .collect();
        let written = write!(
            text,
            r#"{comma}{{ "provider": "priced", "like": "gpt-5.4-mini", "model": "deployment-{target}", "examples": [ {} ] }}"#,
            quoted.join(", ")
        );
        written.expect("a string takes everything");
    }
    text + r#" ] }, "complexity": { "strategy": "complexity", "targets": [
        { "provider": "priced", "like": "gpt-5.4-mini", "model": "small", "tier": "simple" },
        { "provider": "priced", "like": "gpt-5.4-mini", "model": "large", "tier": "hard" } ] }"#
}
