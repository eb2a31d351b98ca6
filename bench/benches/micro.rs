//! Times every case of the list. The same cases are counted by `make bench-check`, where noise cannot reach them.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tollgate_bench::cases;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn micro(criterion: &mut Criterion) {
    for case in cases() {
        let mut group = criterion.benchmark_group(case.group);
        match (case.per.units, case.per.bytes) {
            (1, 0) => {}
            (1, bytes) => _ = group.throughput(Throughput::Bytes(bytes as u64)),
            (units, _) => _ = group.throughput(Throughput::Elements(units as u64)),
        }
        // Prepared inside, so that a filter on the command line leaves out the preparation too.
        group.bench_function(case.name, |bench| {
            let mut run = black_box((case.prepare)());
            bench.iter(&mut run);
        });
        group.finish();
    }
}

criterion_group!(benches, micro);
criterion_main!(benches);
