//! What `make bench-check` runs under valgrind. Knows nothing of counting: it does the work inside `counted`, whose
//! name the tools are told, and prints in order what it did there, one line each: name, unit, and how many of them.
//!
//! `counts cases` runs every case of the list. `counts shards N CALLS [--contended]` runs N shards, a thread each, that
//! share what the data plane's shards share; they take turns, so that a run is the same each time. `--contended` has
//! every call write to one place that all threads write to: whoever looks for such writes must find these.

use std::{
    hint::black_box,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use tollgate_bench::{Call, Gateway, KNOWN_KEYS, Shard, cases};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: counts cases | counts shards N CALLS [--contended]";
const WARM_UP: u32 = 2;
/// Calls that a shard serves in turn, each with another key.
const KINDS_OF_CALL: usize = 8;
const MOST_SHARDS: usize = 64;

/// A cache line of its own, so that writing the mark disturbs nothing that is looked for.
#[repr(align(128))]
struct Line(AtomicU64);

/// A thread stores to its line when its turn begins, and again when it ends: that is what a trace of writes shows.
static MARKS: [Line; MOST_SHARDS] = [const { Line(AtomicU64::new(0)) }; MOST_SHARDS];
static CONTENDED: Line = Line(AtomicU64::new(0));

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["cases"] => count_cases(),
        ["shards", shards, calls] => count_shards(number(shards), number(calls), false),
        ["shards", shards, calls, "--contended"] => count_shards(number(shards), number(calls), true),
        _ => panic!("{USAGE}"),
    }
}

fn number(text: &str) -> u32 {
    text.parse().expect(USAGE)
}

/// The only function whose instructions are counted.
#[inline(never)]
fn counted(runs: u32, run: &mut dyn FnMut()) {
    for _ in 0..runs {
        run();
    }
    // Something behind the loop, so that `run` is not the last thing: a tail call would leave this function early.
    black_box(runs);
}

fn count_cases() {
    for case in cases() {
        let mut run = (case.prepare)();
        for _ in 0..WARM_UP {
            run();
        }
        counted(case.counted_runs, &mut *run);
        let units = case.per.units * case.counted_runs as usize;
        println!("{}/{}\t{}\t{units}", case.group, case.name, case.per.name);
    }
}

fn count_shards(shards: u32, calls: u32, contended: bool) {
    assert!(
        (1..=MOST_SHARDS).contains(&(shards as usize)),
        "1 to {MOST_SHARDS} shards"
    );
    println!("marks\t{:x}\t{}", MARKS.as_ptr().addr(), size_of::<Line>());
    let gateway = Gateway::of_keys(KNOWN_KEYS);
    let turns = Arc::new(Barrier::new(shards as usize));
    let threads: Vec<_> = (0..shards as usize)
        .map(|me| {
            let (gateway, turns) = (gateway.clone(), Arc::clone(&turns));
            thread::spawn(move || one_of_shards(me, shards as usize, calls, contended, &gateway, &turns))
        })
        .collect();
    for thread in threads {
        thread.join().expect("no call fails");
    }
    println!("shards\tcall\t{}", shards * calls);
}

/// Every thread lives until the last turn is over: memory that one gave back and another took would look shared.
/// Its two marks say where in a trace its turn is.
fn one_of_shards(me: usize, shards: usize, calls: u32, contended: bool, gateway: &Gateway, turns: &Barrier) {
    let mut shard = Shard::new(gateway);
    // Whole answers and streams.
    let asked: Vec<Call> = (0..KINDS_OF_CALL)
        .map(|key| {
            if key % 2 == 0 {
                Call::buffered(key)
            } else {
                Call::streamed(key)
            }
        })
        .collect();
    let mut asked = asked.iter().cycle();
    let mut run = || {
        shard.run(black_box(asked.next().expect("a cycle goes on")));
        if contended {
            CONTENDED.0.fetch_add(1, Ordering::Relaxed);
        }
    };
    (0..WARM_UP).for_each(|_| run());
    for turn in 0..shards {
        turns.wait();
        if turn == me {
            MARKS[me].0.store(1, Ordering::SeqCst);
            counted(calls, &mut run);
            MARKS[me].0.store(2, Ordering::SeqCst);
        }
    }
    turns.wait();
}
