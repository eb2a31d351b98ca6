//! Runs `N` calls of a kind (`calls buffered|streamed N`) and prints nothing: `bench/instructions.py` counts what the
//! difference of two runs costs.

use tollgate_bench::{Shard, buffered, streamed};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let call = match arguments.next().as_deref() {
        Some("buffered") => buffered(),
        Some("streamed") => streamed(),
        _ => panic!("usage: calls buffered|streamed N"),
    };
    let count: u32 = arguments
        .next()
        .and_then(|count| count.parse().ok())
        .expect("usage: calls buffered|streamed N");
    let mut shard = Shard::new();
    for _ in 0..count {
        shard.run(&call);
    }
}
