//! What inserts do to searches: one thread searches, another inserts at a rate and publishes after each. Rounds with and without
//! take turns.

use std::{
    hint::black_box,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tollgate_vector::Generation;

use crate::{
    corpus::{Corpus, Filled, Query, Searcher},
    timing::{quantile_us, timed},
};

const ROUNDS: usize = 5;
const US_PER_S: usize = 1_000_000;
const ROUND: Duration = Duration::from_secs(3);

/// What searches see.
type Published = Mutex<Arc<Generation>>;

fn current(published: &Published) -> Arc<Generation> {
    Arc::clone(&published.lock().unwrap_or_else(PoisonError::into_inner))
}

pub const HEAD: &str = "
| entries | inserts a second, of those asked for | searches by the thread's clock, p50 without, with | p99 without, with | | by the wall's clock, p99 without, with | | an insert and its publishing, p50, p99 |
|--:|--:|--:|--:|--:|--:|--:|--:|";

/// Prints a row.
pub fn inserts(corpus: &mut Corpus, filled: &Filled, rate: usize) {
    let published = Mutex::new(corpus.writer.publish());
    let entries = corpus.writer.len();
    let (mut without, mut with) = (Times::default(), Times::default());
    let mut insert_ns = Vec::new();
    for _ in 0..ROUNDS {
        searches(&published, &filled.left_out, &mut without);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let writer = scope.spawn(|| insert(corpus, &published, rate, &is_over));
            searches(&published, &filled.left_out, &mut with);
            is_over.store(true, Ordering::Relaxed);
            insert_ns.extend(writer.join().expect("the writer ends"));
        });
    }
    let seconds = ROUND.as_secs() as usize * ROUNDS;
    let [ran, passed] = [
        [&mut without.ran_ns, &mut with.ran_ns],
        [&mut without.passed_ns, &mut with.passed_ns],
    ]
    .map(|times| times.map(|times_ns| [500, 990].map(|per_mille| quantile_us(times_ns, per_mille))));
    println!(
        "| {entries} | {} of {rate} | {:.1} µs, {:.1} µs | {:.1} µs, {:.1} µs | {:.2} | {:.1} µs, {:.1} µs | {:.2} | {:.1} µs, {:.1} µs |",
        insert_ns.len() / seconds,
        ran[0][0],
        ran[1][0],
        ran[0][1],
        ran[1][1],
        ran[1][1] / ran[0][1],
        passed[0][1],
        passed[1][1],
        passed[1][1] / passed[0][1],
        quantile_us(&mut insert_ns, 500),
        quantile_us(&mut insert_ns, 990),
    );
}

#[derive(Default)]
struct Times {
    ran_ns: Vec<u64>,
    passed_ns: Vec<u64>,
}

fn searches(published: &Published, queries: &[Query], times: &mut Times) {
    let mut searcher = Searcher::default();
    let began = Instant::now();
    for query in queries.iter().cycle() {
        if began.elapsed() > ROUND {
            return;
        }
        let from = Instant::now();
        let ran_ns = timed(|| {
            let index = current(published);
            black_box(searcher.nearest(&index, &query.vector));
        });
        times.ran_ns.push(ran_ns);
        times.passed_ns.push(from.elapsed().as_nanos() as u64);
    }
}

/// Inserts until it is over; how long each took with its publishing.
fn insert(corpus: &mut Corpus, published: &Published, rate: usize, is_over: &AtomicBool) -> Vec<u64> {
    let began = Instant::now();
    let mut times_ns = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let due = Duration::from_micros((times_ns.len() * US_PER_S / rate.max(1)) as u64);
        if let Some(early) = due.checked_sub(began.elapsed()) {
            thread::sleep(early);
        }
        let (id, vector) = corpus.another();
        times_ns.push(timed(|| {
            corpus.writer.insert(id, &vector).expect("there is room");
            let new = corpus.writer.publish();
            *published.lock().unwrap_or_else(PoisonError::into_inner) = new;
        }));
        if let Some(rebuild) = corpus.writer.outgrown() {
            corpus.writer.adopt(rebuild.run());
        }
    }
    times_ns
}
