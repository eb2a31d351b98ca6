//! How safe a hit is and how many rewordings are served, on the pairs of `bench/data`.

use serde::Deserialize;
use tollgate_vector::{DEFAULT_THRESHOLD, Embedder, Scratch, Verifier};

#[derive(Deserialize)]
struct Pair {
    a: String,
    b: String,
    same: bool,
    kind: String,
}

impl Pair {
    /// Whether the pair took no part in choosing words and phrases.
    fn held_out(&self) -> bool {
        let bytes = self.a.bytes().chain([0]).chain(self.b.bytes());
        bytes.fold(0x811c_9dc5u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        }) % 4
            == 0
    }

    fn is_own(&self) -> bool {
        !["paws", "stsb"].contains(&self.kind.as_str())
    }
}

fn pairs() -> Vec<Pair> {
    let lines = include_str!("../../../bench/data/pairs.jsonl").lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a pair a line"))
        .collect()
}

/// What is served of some pairs at default settings.
#[derive(Debug, Default)]
struct Count {
    same: u32,
    same_served: u32,
    other_served: u32,
}

impl Count {
    /// False hits in a thousand of those served.
    fn false_permille(&self) -> u32 {
        self.other_served * 1000 / (self.same_served + self.other_served).max(1)
    }
}

fn count(chosen: impl Fn(&Pair) -> bool) -> Count {
    let embedder = Embedder::builtin().expect("the shipped model loads");
    let verifier = Verifier::default();
    let mut scratch = Scratch::default();
    let mut vector = |text: &str| {
        let mut vector = vec![0.0; embedder.dims()];
        embedder.embed(text, &mut scratch, &mut vector);
        vector
    };
    let mut count = Count::default();
    for pair in pairs().iter().filter(|pair| chosen(pair)) {
        let similarity: f32 = vector(&pair.a).iter().zip(vector(&pair.b)).map(|(a, b)| a * b).sum();
        let served =
            similarity >= DEFAULT_THRESHOLD && verifier.verify(&pair.a, &pair.b, |word| embedder.knows(word)).is_ok();
        count.same += u32::from(pair.same);
        count.same_served += u32::from(pair.same && served);
        count.other_served += u32::from(!pair.same && served);
    }
    count
}

/// The goals: of the hard set's own kinds at most 0.5 % of what is served is wrong and half of the rewordings are served;
/// of all kinds at most 3 % is wrong.
#[test]
fn hits_are_safe_and_many_on_pairs_that_were_held_out() {
    let own = count(|pair| pair.held_out() && pair.is_own());
    assert!(own.same > 150, "{own:?}");
    assert!(own.false_permille() <= 5 && own.same_served * 2 >= own.same, "{own:?}");
    let all = count(Pair::held_out);
    assert!(all.false_permille() <= 30, "{all:?}");
}

#[test]
fn hits_are_safe_and_many_on_all_pairs() {
    let own = count(Pair::is_own);
    // Tighter than the goal, so that a loss is seen: 93 % are served and none is wrong.
    assert!(
        own.other_served == 0 && own.same_served * 100 >= own.same * 90,
        "{own:?}"
    );
    let all = count(|_| true);
    assert!(all.false_permille() <= 5, "{all:?}");
}
