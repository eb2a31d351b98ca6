//! Recall and time of a search: cold, each the first after all vectors were read; and in a stream of different prompts, as a
//! gateway that is busy has them.

use std::hint::black_box;

use tollgate_vector::Generation;

use crate::{
    corpus::{Corpus, Filled, Query, Searcher, exact},
    timing::{quantile_us, timed},
};

/// Of either kind at most, compared with all entries.
const COMPARED: usize = 1_000;
/// Of these, searches that are cold.
const COLD: usize = 200;
/// Different prompts of the stream, and how often it runs.
pub const STREAM: usize = 2_000;
const ROUNDS: usize = 7;
/// As near as the nearest, but for rounding.
const ROUNDING: f32 = 0.005;
/// More than the caches of a processor hold.
const SWEPT_BYTES: usize = 256 << 20;

pub const HEAD: &str = "
| entries | bytes an entry | an insert, with rebuilding | recall@1, a word left out | reworded | cold, p50 | stream, p50 | embedding | searching | p99 | quietest round |
|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

/// Prints a row.
pub fn search(corpus: &mut Corpus, filled: &Filled) {
    let index = corpus.writer.publish();
    let entries = index.len().max(1);
    let [left_out, reworded] = [&filled.left_out, &filled.rewordings].map(|queries| recall(&index, filled, queries));
    let cold_us = quantile_us(&mut [left_out.cold_ns, reworded.cold_ns].concat(), 500);
    let mut rounds: Vec<Round> = (0..ROUNDS).map(|_| stream(corpus, &index, &filled.left_out)).collect();
    rounds.sort_by(|a, b| a.both_us.total_cmp(&b.both_us));
    let (quietest, median) = (&rounds[0], &rounds[ROUNDS / 2]);
    println!(
        "| {entries} | {} | {:.1} µs | {} of {} | {} of {} | {cold_us:.0} µs | {:.1} µs | {:.1} µs | {:.1} µs | {:.0} µs | {:.1} µs |",
        index.bytes() / entries,
        filled.insert_us,
        left_out.found,
        left_out.asked,
        reworded.found,
        reworded.asked,
        median.both_us,
        median.embed_us,
        median.search_us,
        median.p99_us,
        quietest.both_us,
    );
}

struct Recall {
    found: usize,
    asked: usize,
    cold_ns: Vec<u64>,
}

fn recall(index: &Generation, filled: &Filled, queries: &[Query]) -> Recall {
    let (mut found, mut cold_ns, mut searcher) = (0, Vec::new(), Searcher::default());
    let swept = vec![1u8; SWEPT_BYTES];
    let every = (queries.len() / COMPARED).max(1);
    let asked: Vec<&Query> = queries.iter().step_by(every).take(COMPARED).collect();
    for (query, exact) in asked.iter().zip(exact(&filled.vectors, &asked)) {
        let mut hit = 0.0;
        if cold_ns.len() < COLD {
            // The search is the first after other memory was read.
            black_box(swept.iter().map(|byte| u64::from(*byte)).sum::<u64>());
            cold_ns.push(timed(|| hit = searcher.nearest(index, &query.vector)));
        } else {
            hit = searcher.nearest(index, &query.vector);
        }
        found += usize::from(hit > exact - ROUNDING);
    }
    Recall {
        found,
        asked: asked.len(),
        cold_ns,
    }
}

struct Round {
    both_us: f64,
    embed_us: f64,
    search_us: f64,
    p99_us: f64,
}

fn stream(corpus: &mut Corpus, index: &Generation, queries: &[Query]) -> Round {
    let (mut searcher, mut vector) = (Searcher::default(), vec![0.0; corpus.dims()]);
    let (mut embed_ns, mut search_ns, mut both_ns) = (Vec::new(), Vec::new(), Vec::new());
    for query in queries {
        let embed = timed(|| {
            corpus.embed(&query.text, &mut vector);
        });
        let search = timed(|| {
            black_box(searcher.nearest(index, &vector));
        });
        embed_ns.push(embed);
        search_ns.push(search);
        both_ns.push(embed + search);
    }
    Round {
        both_us: quantile_us(&mut both_ns, 500),
        embed_us: quantile_us(&mut embed_ns, 500),
        search_us: quantile_us(&mut search_ns, 500),
        p99_us: quantile_us(&mut both_ns, 990),
    }
}
