//! Time of an embedding, by length: different texts one after the other.

use crate::{
    corpus::Corpus,
    timing::{quantile_us, timed},
};

const LENGTHS: [usize; 3] = [20, 200, 2_000];
/// Different texts of each length, and how often each is embedded.
const TEXTS: usize = 200;
const ROUNDS: usize = 5;

/// Prints a row for each length.
pub fn embedding() {
    let mut corpus = Corpus::new();
    println!("\n| tokens | fastest | p50 | p99 |\n|--:|--:|--:|--:|");
    for tokens in LENGTHS {
        let mut vector = vec![0.0; corpus.dims()];
        let texts: Vec<String> = (0..TEXTS).map(|_| corpus.text_of(tokens)).collect();
        let mut embed_ns = Vec::new();
        for text in texts.iter().cycle().take(TEXTS * ROUNDS) {
            embed_ns.push(timed(|| {
                corpus.embed(text, &mut vector);
            }));
        }
        let mut at = |per_mille| quantile_us(&mut embed_ns, per_mille);
        println!("| {tokens} | {:.1} µs | {:.1} µs | {:.1} µs |", at(0), at(500), at(990));
    }
}
