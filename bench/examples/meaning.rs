//! Measures the semantic cache's parts (docs/src/semantic-cache.md):
//!
//!     meaning pairs            hits and false hits on bench/data/pairs.jsonl by threshold, as the tables of the page
//!     meaning search ENTRIES   recall and time of a search among so many entries made of pieces of those sentences

use std::time::Instant;

use serde::Deserialize;
use tollgate_vector::{DEFAULT_THRESHOLD, Embedder, IndexScratch, Kernel, MAX_ENTRIES, Scratch, Verifier, Writer};

const PAIRS: &str = include_str!("../data/pairs.jsonl");

#[derive(Deserialize)]
struct Pair {
    a: String,
    b: String,
    same: bool,
    kind: String,
}

/// A pair with what the gateway would think of it.
struct Judged {
    pair: Pair,
    held_out: bool,
    similarity: f32,
    verdict: Result<(), &'static str>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["pairs"] => pairs(),
        ["search", entries] => match entries.parse() {
            Ok(entries) => search(entries),
            Err(_) => eprintln!("`{entries}` is no number of entries"),
        },
        _ => eprintln!("meaning pairs | meaning search ENTRIES"),
    }
}

fn pairs() {
    let judged = judged();
    let own = |judged: &Judged| !["paws", "stsb"].contains(&judged.pair.kind.as_str());
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
    let pairs = PAIRS
        .lines()
        .map(|line| serde_json::from_str(line).expect("a pair a line"));
    pairs.map(judge).collect()
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

/// A sequence of numbers that look like chance and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % most
    }

    fn text(&mut self, words: &[&'static str]) -> Vec<&'static str> {
        let pieces = 2 + self.below(2);
        let mut piece = || {
            let (length, from) = (3 + self.below(8), self.below(words.len() - 16));
            words[from..from + length].iter().copied()
        };
        (0..pieces).flat_map(|_| piece()).collect()
    }
}

fn search(entries: usize) {
    const QUERIES: usize = 200;
    let words: Vec<&str> = PAIRS
        .split(['"', ' '])
        .filter(|word| word.chars().all(char::is_alphabetic))
        .collect();
    let embedder = Embedder::builtin().expect("the shipped model loads");
    let (mut scratch, mut dice) = (Scratch::default(), Dice(88_172_645_463_325_252));
    let mut writer = Writer::new(embedder.dims(), MAX_ENTRIES, Kernel::best());
    let mut all: Vec<f32> = Vec::with_capacity(entries * embedder.dims());
    let mut vector = vec![0.0; embedder.dims()];
    let mut queries = Vec::new();
    for id in 0..entries {
        let text = dice.text(&words);
        if embedder.embed(&text.join(" "), &mut scratch, &mut vector) > 0 {
            writer.insert(id as u64, &vector).expect("there is room");
        }
        all.extend_from_slice(&vector);
        if let Some(rebuild) = writer.outgrown() {
            writer.adopt(rebuild.run());
        }
        if id % (entries / QUERIES).max(1) == 0 {
            // Asked again with one word left out.
            embedder.embed(&[&text[..1], &text[2..]].concat().join(" "), &mut scratch, &mut vector);
            queries.push(vector.clone());
        }
    }
    let index = writer.publish();
    let (mut index_scratch, mut hits) = (IndexScratch::default(), Vec::new());
    let (mut found, mut times_ns) = (0usize, Vec::new());
    for query in &queries {
        let dot = |row: &[f32]| row.iter().zip(query).map(|(a, b)| a * b).sum::<f32>();
        let exact = all.chunks_exact(embedder.dims()).map(dot).fold(0.0, f32::max);
        // The scan of all vectors left no other memory in the caches: the first search is a cold one.
        let began = Instant::now();
        index.search(query, 4, &mut index_scratch, &mut hits);
        times_ns.push(began.elapsed().as_nanos());
        found += usize::from(hits.first().is_some_and(|hit| hit.similarity > exact - 0.005));
    }
    times_ns.sort_unstable();
    let at = |percent: usize| times_ns.get(times_ns.len() * percent / 100).map_or(0, |ns| ns / 1000);
    println!(
        "{entries} entries, {} bytes each: recall@1 {:.3}, a search p10 {} µs, p50 {} µs, p99 {} µs",
        index.bytes() / entries.max(1),
        found as f64 / queries.len().max(1) as f64,
        at(10),
        at(50),
        at(99)
    );
}
