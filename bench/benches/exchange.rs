//! What one whole call costs inside the engine: request head parsed, every stage run, request written, answer relayed,
//! usage read, settled. Nothing is sent anywhere; the shard's I/O is not in it.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tollgate_bench::{Shard, buffered, streamed};

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exchange");
    for (name, call) in [
        ("1.2 KB chat, buffered", buffered()),
        ("stream of 100 events", streamed()),
    ] {
        let mut shard = Shard::new();
        group.bench_function(name, |bench| bench.iter(|| shard.run(black_box(&call))));
    }
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
