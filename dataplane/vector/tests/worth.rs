//! The complexity router is worth what its page says: the shipped weights over the prompts that they were not made from, and
//! weights that are made from these anew, each fifth judged by what the other four say.

use serde::Deserialize;
use tollgate_vector::{
    Complexity, Embedder, Scratch, Traits,
    complexity::train::{Example, Prepared},
};

const GRADED: &str = include_str!("../../../bench/data/graded.jsonl");
const PAGE: &str = include_str!("../../../docs/src/meaning.md");
const FOLDS: usize = 5;
/// Of the weights that are shipped.
const PENALTY: f64 = 1_000.0;
/// In points: how far below the page a figure may lie.
const ALLOWED: f64 = 1.0;

#[derive(Deserialize)]
struct Graded {
    prompt: String,
    strong_ok: bool,
    weak_ok: bool,
}

/// A prompt's score, and by how much the strong model's answer was better.
struct Judged {
    gain: f32,
    difference: f64,
}

/// Of the gap between the models, in percent, what remains when half of the calls go to the strong one.
fn recovered_at_half(mut judged: Vec<Judged>) -> f64 {
    judged.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    let sum = |judged: &[Judged]| judged.iter().map(|one| one.difference).sum::<f64>();
    100.0 * sum(&judged[..judged.len() / 2]) / sum(&judged)
}

/// The figure beside the name of a row in the page.
#[track_caller]
fn published(row: &str) -> f64 {
    let begins = format!("| {row} |");
    let line = PAGE.lines().find(|line| line.starts_with(&begins));
    let cell = line
        .unwrap_or_else(|| panic!("docs/src/meaning.md has no row `{row}`"))
        .split('|')
        .nth(2);
    let figure = cell.and_then(|cell| cell.trim().strip_suffix(" %")?.parse().ok());
    figure.unwrap_or_else(|| panic!("the row `{row}` of docs/src/meaning.md tells no percentage first"))
}

fn read() -> (Embedder, Vec<(Graded, Vec<f32>, Traits)>) {
    let embedder = Embedder::builtin().expect("the shipped model loads");
    let mut scratch = Scratch::default();
    let mut one = |line: &str| {
        let graded: Graded = serde_json::from_str(line).expect("a graded prompt a line");
        let mut vector = vec![0.0; embedder.dims()];
        let traits = Traits {
            bytes: graded.prompt.len(),
            tokens: embedder.embed(&graded.prompt, &mut scratch, &mut vector),
            turns: 1,
            tools: 0,
        };
        (graded, vector, traits)
    };
    let graded = GRADED.lines().map(&mut one).collect();
    (embedder, graded)
}

fn judge(weights: &Complexity, (graded, vector, traits): &(Graded, Vec<f32>, Traits)) -> Judged {
    Judged {
        gain: weights.gain(vector, &graded.prompt, *traits),
        difference: f64::from(u8::from(graded.strong_ok)) - f64::from(u8::from(graded.weak_ok)),
    }
}

#[test]
fn the_shipped_weights_recover_what_the_page_says() {
    let (_, graded) = read();
    let shipped = Complexity::shipped().expect("shipped weights");
    let recovered = recovered_at_half(graded.iter().map(|one| judge(&shipped, one)).collect());
    let published = published("the shipped weights, `route judge`");
    assert!(
        (recovered - published).abs() < 0.06,
        "{recovered} % is measured, {published} % published"
    );
}

#[test]
fn weights_that_are_made_anew_recover_what_the_page_says() {
    let (embedder, graded) = read();
    let examples: Vec<Example> = graded
        .iter()
        .map(|(one, vector, traits)| Example::new(vector.clone(), &one.prompt, *traits, (one.strong_ok, one.weak_ok)))
        .collect();
    let mut judged = Vec::new();
    for left_out in 0..FOLDS {
        let others = examples.iter().enumerate().filter(|(at, _)| at % FOLDS != left_out);
        let weights = Prepared::new(others.map(|(_, example)| example).collect())
            .train(&embedder, PENALTY, String::new())
            .expect("there are enough prompts");
        let asked = graded.iter().skip(left_out).step_by(FOLDS);
        judged.extend(asked.map(|one| judge(&weights, one)));
    }
    let recovered = recovered_at_half(judged);
    let published = published("weights from four fifths of these 2,086 prompts, cross-validated");
    assert!(
        recovered > published - ALLOWED,
        "{recovered} % is measured, {published} % published"
    );
}
