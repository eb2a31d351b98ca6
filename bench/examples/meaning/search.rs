//! Recall and time of a search: cold, each the first after all vectors were read; and in a stream of different prompts, as a
//! gateway that is busy has them.

use std::hint::black_box;

use tollgate_vector::{Generation, IndexScratch};

use crate::{
    corpus::{Corpus, Query, exact, nearest},
    timing::{quantile_us, timed},
};

/// Of either kind, compared with all entries.
const COMPARED: usize = 200;
/// Different prompts of the stream, and how often it runs.
const STREAM: usize = 2_000;
const ROUNDS: usize = 7;
/// As near as the nearest, but for rounding.
const ROUNDING: f32 = 0.005;
/// No semantic cache is served from below.
const NEAR: f32 = 0.5;
/// More than the caches of a processor hold.
const SWEPT_BYTES: usize = 256 << 20;
const US_PER_NS: f64 = 1e-3;

pub fn search(entries: usize) {
    let mut corpus = Corpus::new();
    let mut filled = None;
    let fill_ns = timed(|| filled = Some(corpus.fill(entries, STREAM)));
    let filled = filled.expect("it was filled");
    let index = corpus.writer.publish();
    println!(
        "{entries} entries, {} bytes each, {:.1} µs an insert, rebuilding included",
        index.bytes() / entries.max(1),
        fill_ns as f64 / entries.max(1) as f64 * US_PER_NS
    );
    let (mut cold_ns, mut scratch) = (Vec::new(), IndexScratch::default());
    let swept = vec![1u8; SWEPT_BYTES];
    for (kind, queries) in [("a word left out", &filled.left_out), ("reworded", &filled.rewordings)] {
        let every = (queries.len() / COMPARED).max(1);
        let (mut found, mut found_near, mut asked, mut asked_near) = (0, 0, 0, 0);
        for query in queries.iter().step_by(every).take(COMPARED) {
            let exact = exact(&filled.vectors, &query.vector);
            // The search is the first after other memory was read.
            black_box(swept.iter().map(|byte| u64::from(*byte)).sum::<u64>());
            let mut hit = 0.0;
            cold_ns.push(timed(|| hit = nearest(&index, &query.vector, &mut scratch)));
            let is_found = hit > exact - ROUNDING;
            found += u32::from(is_found);
            asked += 1;
            found_near += u32::from(is_found && exact >= NEAR);
            asked_near += u32::from(exact >= NEAR);
        }
        println!(
            "{kind}: recall@1 {found} of {asked}; where the nearest is at {NEAR} or nearer, {found_near} of {asked_near}"
        );
    }
    let at = |times: &mut Vec<u64>, per_mille| quantile_us(times, per_mille);
    println!(
        "cold: p10 {:.0} µs, p50 {:.0} µs, p90 {:.0} µs",
        at(&mut cold_ns, 100),
        at(&mut cold_ns, 500),
        at(&mut cold_ns, 900)
    );
    stream(&mut corpus, &index, &filled.left_out);
}

fn stream(corpus: &mut Corpus, index: &Generation, queries: &[Query]) {
    let (mut scratch, mut vector) = (IndexScratch::default(), vec![0.0; corpus.dims()]);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (mut embed_ns, mut search_ns, mut both_ns) = (Vec::new(), Vec::new(), Vec::new());
        for query in queries {
            let embed = timed(|| {
                corpus.embed(&query.text, &mut vector);
            });
            let search = timed(|| {
                black_box(nearest(index, &vector, &mut scratch));
            });
            embed_ns.push(embed);
            search_ns.push(search);
            both_ns.push(embed + search);
        }
        let at = |times: &mut [u64], per_mille| quantile_us(times, per_mille);
        rounds.push([
            at(&mut both_ns, 500),
            at(&mut embed_ns, 500),
            at(&mut search_ns, 500),
            at(&mut both_ns, 990),
        ]);
    }
    rounds.sort_by(|a, b| a[0].total_cmp(&b[0]));
    for (name, round) in [("median", &rounds[ROUNDS / 2]), ("quietest", &rounds[0])] {
        println!(
            "in a stream, {name} of {ROUNDS} rounds: embedding 200 tokens and searching p50 {:.0} µs ({:.0} and {:.0}), p99 {:.0} µs",
            round[0], round[1], round[2], round[3]
        );
    }
}
