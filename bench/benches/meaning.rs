//! How long a prompt's meaning takes: embedding by tokens, search by entries, the verifier by tokens. One core.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tollgate_vector::{Embedder, IndexScratch, Kernel, Scratch, Verifier, Writer};

const PROSE: &str = include_str!("../../docs/src/operations.md");

/// About so many tokens of prose.
fn prose(tokens: usize) -> String {
    let words = PROSE
        .split_whitespace()
        .filter(|word| word.chars().all(char::is_alphabetic));
    words.cycle().take(tokens).collect::<Vec<_>>().join(" ")
}

fn embedder() -> Embedder {
    Embedder::builtin().expect("the shipped model loads")
}

fn embed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("embed");
    for kernel in Kernel::all() {
        let embedder = embedder().with_kernel(kernel);
        let (mut scratch, mut vector) = (Scratch::default(), vec![0.0; embedder.dims()]);
        for tokens in [20, 200, 2000] {
            let text = prose(tokens);
            group.bench_with_input(BenchmarkId::new(kernel.name(), tokens), &text, |bench, text| {
                bench.iter(|| embedder.embed(black_box(text), &mut scratch, &mut vector));
            });
        }
    }
    group.finish();
}

fn search(criterion: &mut Criterion) {
    let embedder = embedder();
    let mut scratch = Scratch::default();
    let mut group = criterion.benchmark_group("search");
    for entries in [1_000, 4_000, 10_000, 100_000] {
        let mut writer = Writer::new(embedder.dims(), entries, Kernel::best());
        let mut vector = vec![0.0; embedder.dims()];
        let words: Vec<&str> = PROSE.split_whitespace().collect();
        for id in 0..entries {
            let word = |step: usize| words[(id * step + id / words.len()) % words.len()];
            let text = [7, 11, 13, 17, 19, 23, 29, 31].map(word).join(" ");
            if embedder.embed(&text, &mut scratch, &mut vector) > 0 {
                writer.insert(id as u64, &vector).expect("there is room");
            }
            if let Some(rebuild) = writer.outgrown() {
                writer.adopt(rebuild.run());
            }
        }
        let index = writer.publish();
        let (mut search_scratch, mut hits) = (IndexScratch::default(), Vec::new());
        embedder.embed(&prose(20), &mut scratch, &mut vector);
        group.bench_function(BenchmarkId::from_parameter(entries), |bench| {
            bench.iter(|| index.search(black_box(&vector), 4, &mut search_scratch, &mut hits));
        });
    }
    group.finish();
}

fn verify(criterion: &mut Criterion) {
    let embedder = embedder();
    let verifier = Verifier::default();
    let mut group = criterion.benchmark_group("verify");
    for tokens in [20, 200, 2000] {
        let text = prose(tokens);
        let now = format!("Please, {text}");
        group.bench_with_input(BenchmarkId::from_parameter(tokens), &text, |bench, text| {
            bench.iter(|| verifier.verify(black_box(text), &now, |word| embedder.knows(word)));
        });
    }
    group.finish();
}

criterion_group!(benches, embed, search, verify);
criterion_main!(benches);
