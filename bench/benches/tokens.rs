//! How fast tokens are counted and estimated, by kind of text. Sizes are those of a prompt; a core's speed is a line's
//! `thrpt`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tollgate_dialect::tokens::{Counter, Memo, Tokenizer, Unescape};

const LANGUAGES: &str = include_str!("../../dataplane/dialect/golden/tokens/languages.jsonl");
const PROSE: &str = include_str!("../../docs/src/operations.md");
const CODE: &str = include_str!("../../dataplane/engine/src/exchange.rs");
const ALL: usize = usize::MAX;
/// What is worst for a byte-pair encoder: no piece is a token, and every piece is as long as one may be.
const HOSTILE: &str = "qxzjvkwqzxjkvqwzjxkqvzwjkxqvjzwkxqjvzkwxq";

/// Repeated to the size of a prompt.
fn grown(text: &str, bytes: usize) -> Vec<u8> {
    text.bytes().cycle().take(bytes).collect()
}

fn texts() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("prose", grown(PROSE, 64 * 1024)),
        ("code", grown(CODE, 64 * 1024)),
        ("json", grown(LANGUAGES, 64 * 1024)),
        (
            "cjk",
            grown(
                "网关只读取一次请求，决定由哪个提供商来回答。ゲートウェイは一度だけ読みます。",
                64 * 1024,
            ),
        ),
        ("hostile", grown(HOSTILE, 64 * 1024)),
    ]
}

fn count(memo: &mut Memo, tokenizer: Tokenizer, exact_bytes: usize, text: &[u8]) -> u64 {
    let mut counter = Counter::new(tokenizer, exact_bytes);
    counter.text(memo, text);
    counter.estimate().tokens
}

fn tokens(criterion: &mut Criterion) {
    let ways = [
        ("estimate", Tokenizer::Claude3, 0),
        ("count o200k", Tokenizer::O200k, ALL),
        ("count cl100k", Tokenizer::Cl100k, ALL),
    ];
    for (way, tokenizer, exact_bytes) in ways {
        let mut group = criterion.benchmark_group(way);
        for (name, text) in texts() {
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(BenchmarkId::from_parameter(name), &text, |bench, text| {
                // A new memo each time: a prompt that was counted before would flatter.
                bench.iter(|| count(&mut Memo::default(), tokenizer, exact_bytes, black_box(text)));
            });
        }
        group.finish();
    }
    let mut group = criterion.benchmark_group("short prompt");
    let mut memo = Memo::default();
    let prompt = b"What is the capital of the country whose flag is a red circle on white?";
    group.bench_function("count o200k", |bench| {
        bench.iter(|| count(&mut memo, Tokenizer::O200k, ALL, black_box(prompt)))
    });
    group.bench_function("estimate", |bench| {
        bench.iter(|| count(&mut memo, Tokenizer::Gemini, 0, black_box(prompt)))
    });
    group.finish();
    let mut group = criterion.benchmark_group("unescape and estimate");
    let escaped = grown(
        r#"A line of a prompt, \"quoted\", and another.\nThen \u00e9 in between, "#,
        64 * 1024,
    );
    group.throughput(Throughput::Bytes(escaped.len() as u64));
    group.bench_function("json string", |bench| {
        bench.iter(|| {
            let mut counter = Counter::new(Tokenizer::Gemini, 0);
            let mut unescape = Unescape::default();
            unescape.feed(black_box(&escaped), |text| counter.feed(&mut memo, text));
            unescape.end(|text| counter.feed(&mut memo, text));
            counter.end_text(&mut memo);
            counter.estimate().tokens
        });
    });
    group.finish();
}

criterion_group!(benches, tokens);
criterion_main!(benches);
