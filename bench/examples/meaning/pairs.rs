//! Hits and false hits on bench/data/pairs.jsonl by threshold, and why candidates are rejected.

use serde::Deserialize;
use tollgate_vector::{DEFAULT_THRESHOLD, Embedder, Scratch, Verifier};

pub const PAIRS: &str = include_str!("../../data/pairs.jsonl");

#[derive(Deserialize)]
pub struct Pair {
    pub a: String,
    pub b: String,
    pub same: bool,
    pub kind: String,
}

impl Pair {
    /// Those of the file.
    pub fn all() -> impl Iterator<Item = Self> {
        PAIRS
            .lines()
            .map(|line| serde_json::from_str(line).expect("a pair a line"))
    }

    /// Made for this project; the others are of public sets.
    pub fn is_own(&self) -> bool {
        !["paws", "stsb"].contains(&self.kind.as_str())
    }
}

/// A pair with what the gateway would think of it.
struct Judged {
    pair: Pair,
    held_out: bool,
    similarity: f32,
    verdict: Result<(), &'static str>,
}

pub fn pairs() {
    let judged = judged();
    let own = |judged: &Judged| judged.pair.is_own();
    for (title, held_out_only) in [("All pairs", false), ("Held-out pairs", true)] {
        println!("### {title}\n");
        println!("| threshold | own kinds: rewordings served | false hits | all kinds: served | false hits |");
        println!("|--:|--:|--:|--:|--:|");
        for verified in [false, true] {
            for threshold in [0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.85, 0.90, 0.95] {
                let counted = |chosen: &dyn Fn(&Judged) -> bool| {
                    let chosen = judged
                        .iter()
                        .filter(|judged| (judged.held_out || !held_out_only) && chosen(judged));
                    count(chosen, threshold, verified)
                };
                let (own, all) = (counted(&own), counted(&|_| true));
                let mark = if threshold == DEFAULT_THRESHOLD && verified {
                    " (default)"
                } else {
                    ""
                };
                let verified = if verified { "verified, " } else { "similarity alone, " };
                println!(
                    "| {verified}{threshold:.2}{mark} | {} | {} | {} | {} |",
                    own.0, own.1, all.0, all.1
                );
            }
        }
        println!();
    }
    println!(
        "### Why candidates are rejected, by kind\n\n| kind | same | pairs | served | rejected for |\n|---|---|--:|--:|---|"
    );
    let mut kinds: Vec<(&str, bool)> = judged
        .iter()
        .map(|judged| (judged.pair.kind.as_str(), judged.pair.same))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    for (kind, same) in kinds {
        let of_kind: Vec<&Judged> = judged
            .iter()
            .filter(|judged| judged.pair.kind == kind && judged.pair.same == same)
            .collect();
        let served = of_kind
            .iter()
            .filter(|judged| judged.similarity >= DEFAULT_THRESHOLD && judged.verdict.is_ok());
        let mut reasons: Vec<&str> = of_kind.iter().filter_map(|judged| judged.verdict.err()).collect();
        reasons.sort_unstable();
        let mut counted: Vec<(usize, &str)> = reasons.chunk_by(|a, b| a == b).map(|run| (run.len(), run[0])).collect();
        counted.sort_unstable_by(|a, b| b.cmp(a));
        let counted: Vec<String> = counted
            .iter()
            .take(4)
            .map(|(count, reason)| format!("{reason} {count}"))
            .collect();
        println!(
            "| {kind} | {same} | {} | {} | {} |",
            of_kind.len(),
            served.count(),
            counted.join(", ")
        );
    }
}

fn judged() -> Vec<Judged> {
    let embedder = Embedder::builtin().expect("the shipped model loads");
    let verifier = Verifier::default();
    let mut scratch = Scratch::default();
    let mut vector = |text: &str| {
        let mut vector = vec![0.0; embedder.dims()];
        embedder.embed(text, &mut scratch, &mut vector);
        vector
    };
    let judge = |pair: Pair| Judged {
        held_out: held_out(&pair),
        similarity: vector(&pair.a).iter().zip(vector(&pair.b)).map(|(a, b)| a * b).sum(),
        verdict: verifier
            .verify(&pair.a, &pair.b, |word| embedder.knows(word))
            .map_err(|difference| difference.name()),
        pair,
    };
    Pair::all().map(judge).collect()
}

/// As bench/data/README.md says.
fn held_out(pair: &Pair) -> bool {
    let bytes = pair.a.bytes().chain([0]).chain(pair.b.bytes());
    let hash = bytes.fold(0x811c_9dc5u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash.is_multiple_of(4)
}

/// Of the pairs that may be served, how many are; and of those served, how many may not.
fn count<'a>(judged: impl Iterator<Item = &'a Judged>, threshold: f32, verified: bool) -> (String, String) {
    let (mut same, mut right, mut wrong) = (0u32, 0u32, 0u32);
    for judged in judged {
        let served = judged.similarity >= threshold && (!verified || judged.verdict.is_ok());
        same += u32::from(judged.pair.same);
        right += u32::from(served && judged.pair.same);
        wrong += u32::from(served && !judged.pair.same);
    }
    let percent = |part: u32, whole: u32| f64::from(part) * 100.0 / f64::from(whole.max(1));
    (
        format!("{:.1} %", percent(right, same)),
        format!("{wrong} of {} ({:.1} %)", right + wrong, percent(wrong, right + wrong)),
    )
}
