//! What was inserted is found and what was removed is not, by every generation as of when it was published; and what is
//! found is what a comparison with every entry finds.

use proptest::prelude::*;
use tollgate_vector::{Embedder, FLAT_MOST, Generation, Hit, IndexScratch, Kernel, Scratch, Writer, WriterError};

const DIMS: usize = 256;

/// A sequence of numbers that look like chance and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % most
    }

    /// A direction in space.
    fn vector(&mut self) -> Vec<f32> {
        (0..DIMS).map(|_| self.below(2001) as f32 - 1000.0).collect()
    }
}

fn writer(entries: impl Iterator<Item = (u64, Vec<f32>)>) -> Writer {
    let mut writer = Writer::new(DIMS, 1 << 20, Kernel::best());
    for (id, vector) in entries {
        writer.insert(id, &vector).expect("there is room");
        if let Some(rebuild) = writer.outgrown() {
            writer.adopt(rebuild.run());
        }
    }
    writer
}

fn search(generation: &Generation, vector: &[f32], most: usize) -> Vec<Hit> {
    let mut hits = Vec::new();
    generation.search(vector, most, &mut IndexScratch::default(), &mut hits);
    hits
}

fn nearest(generation: &Generation, vector: &[f32]) -> Option<u64> {
    search(generation, vector, 1).first().map(|hit| hit.id)
}

/// Texts of two or three pieces of the sentences of `bench/data`.
fn texts(count: usize) -> Vec<Vec<&'static str>> {
    static LINES: &str = include_str!("../../../bench/data/pairs.jsonl");
    let words: Vec<&str> = LINES
        .split(['"', ' '])
        .filter(|word| word.chars().all(char::is_alphabetic))
        .collect();
    let mut dice = Dice(42);
    let mut text = || {
        let pieces = 2 + dice.below(2);
        let mut piece = || {
            let (length, from) = (4 + dice.below(7), dice.below(words.len() - 16));
            words[from..from + length].iter().copied()
        };
        (0..pieces).flat_map(|_| piece()).collect()
    };
    (0..count).map(|_| text()).collect()
}

#[test]
fn nothing_is_near_a_vector_of_another_model() {
    let mut writer = writer((0..9).map(|id| (id, Dice(7 + id).vector())));
    assert_eq!(search(&writer.publish(), &[1.0; DIMS / 2], 8), []);
    assert!(writer.insert(10, &[1.0; DIMS / 2]).is_err());
}

#[test]
fn lists_find_what_a_comparison_with_all_finds() {
    let embedder = Embedder::builtin().expect("the shipped model loads");
    let mut scratch = Scratch::default();
    let mut vector = |words: &[&str]| {
        let mut vector = vec![0.0; DIMS];
        embedder.embed(&words.join(" "), &mut scratch, &mut vector);
        vector
    };
    let texts = texts(3 * FLAT_MOST);
    let vectors: Vec<Vec<f32>> = texts.iter().map(|words| vector(words)).collect();
    let index = writer((0..).zip(vectors.iter().cloned())).publish();
    assert!(!index.is_flat() && index.len() == texts.len());
    let (mut found, mut asked) = (0, 0);
    for text in texts.iter().step_by(16) {
        // Asked again without its second word.
        let query = vector(&[&text[..1], &text[2..]].concat());
        let dot = |vector: &[f32]| vector.iter().zip(&query).map(|(a, b)| a * b).sum::<f32>();
        let exact = vectors.iter().map(|vector| dot(vector)).fold(0.0, f32::max);
        let hit = search(&index, &query, 1)[0];
        assert!((hit.similarity - dot(&vectors[hit.id as usize])).abs() < 0.005);
        // Of two that are equally near but for rounding, either is right.
        found += u32::from(hit.similarity > exact - 0.005);
        asked += 1;
    }
    assert!(found * 100 >= asked * 98, "{found} of {asked}");
}

#[test]
fn a_published_generation_stays_as_it_is() {
    let mut dice = Dice(1);
    let vectors: Vec<Vec<f32>> = (0..3).map(|_| dice.vector()).collect();
    let mut writer = writer((0..).zip(vectors[..2].iter().cloned()));
    let before = writer.publish();
    assert!(writer.remove(0) && !writer.remove(0));
    writer.insert(2, &vectors[2]).expect("there is room");
    // The same entry with another vector.
    writer.insert(1, &vectors[0]).expect("there is room");
    let after = writer.publish();
    assert_eq!(
        [0, 1, 2].map(|at| nearest(&before, &vectors[at]).is_some_and(|id| id == at as u64)),
        [true, true, false]
    );
    assert_eq!((before.len(), after.len()), (2, 2));
    assert_eq!(nearest(&after, &vectors[0]), Some(1));
    assert_eq!(nearest(&after, &vectors[2]), Some(2));
}

#[test]
fn what_changes_during_a_rebuild_is_kept() {
    let mut dice = Dice(7);
    let vectors: Vec<Vec<f32>> = (0..FLAT_MOST + 300).map(|_| dice.vector()).collect();
    let mut writer = Writer::new(DIMS, 1 << 20, Kernel::best());
    let mut rebuild = None;
    for (id, vector) in (0..).zip(&vectors[..FLAT_MOST + 100]) {
        writer.insert(id, vector).expect("there is room");
        rebuild = rebuild.or_else(|| writer.outgrown());
    }
    assert!(rebuild.is_some(), "it has outgrown a whole scan");
    assert!(writer.outgrown().is_none(), "one rebuild at a time");
    writer.give_up();
    let rebuild = writer.outgrown().expect("what was not built is begun again");
    // Meanwhile some go, some come, and some are given another vector.
    (0..50).for_each(|id| assert!(writer.remove(id)));
    for id in 50..60 {
        writer
            .insert(id, &vectors[FLAT_MOST + 200 + id as usize])
            .expect("there is room");
    }
    let before = writer.publish();
    writer.adopt(rebuild.run());
    let after = writer.publish();
    assert!(before.is_flat() && !after.is_flat());
    assert_eq!(before.len(), after.len());
    for id in 60..FLAT_MOST as u64 + 100 {
        assert_eq!(nearest(&after, &vectors[id as usize]), Some(id));
    }
    for id in 0..60 {
        assert_ne!(nearest(&after, &vectors[id as usize]), Some(id));
    }
    for id in 50..60 {
        assert_eq!(nearest(&after, &vectors[FLAT_MOST + 200 + id as usize]), Some(id));
    }
    // Emptied, it is small again.
    (0..FLAT_MOST as u64 + 100).for_each(|id| assert!(id < 50 || writer.remove(id)));
    let rebuild = writer.outgrown().expect("it needs no lists any more");
    writer.adopt(rebuild.run());
    assert!(writer.is_empty() && writer.publish().is_flat());
    assert_eq!(nearest(&writer.publish(), &vectors[0]), None);
}

#[test]
fn what_does_not_fit_is_refused_and_said() {
    let mut writer = Writer::new(DIMS, 2, Kernel::best());
    let mut dice = Dice(3);
    assert_eq!(
        writer.insert(1, &[1.0; 3]),
        Err(WriterError::Dims {
            found: 3,
            expected: DIMS
        })
    );
    assert_eq!(writer.insert(1, &[0.0; DIMS]), Err(WriterError::Zero));
    assert_eq!(writer.insert(1, &[f32::NAN; DIMS]), Err(WriterError::Zero));
    for id in [1, 2, 2] {
        assert_eq!(writer.insert(id, &dice.vector()), Ok(()));
    }
    assert_eq!(writer.insert(3, &dice.vector()), Err(WriterError::Full(2)));
    assert!(writer.remove(1));
    assert_eq!(writer.insert(3, &dice.vector()), Ok(()));
    assert_eq!(search(&writer.publish(), &[0.0; DIMS], 4), []);
}

#[test]
fn a_search_after_the_first_allocates_nothing() {
    let mut dice = Dice(9);
    for count in [FLAT_MOST / 2, FLAT_MOST * 2] {
        let index = writer((0..count as u64).map(|id| (id, dice.vector()))).publish();
        let (mut scratch, mut hits) = (IndexScratch::default(), Vec::new());
        let query = dice.vector();
        index.search(&query, 4, &mut scratch, &mut hits);
        let counted = allocation_counter::measure(|| index.search(&query, 4, &mut scratch, &mut hits));
        assert_eq!(counted.count_total, 0, "{count} entries");
        assert_eq!(hits.len(), 4);
        assert!(hits.is_sorted_by(|a, b| a.similarity >= b.similarity));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn entries_are_those_of_a_map(changes in proptest::collection::vec((any::<bool>(), 0u64..40), 1..200)) {
        let mut dice = Dice(5);
        let vectors: Vec<Vec<f32>> = (0..40).map(|_| dice.vector()).collect();
        let mut model = std::collections::BTreeSet::new();
        let mut writer = Writer::new(DIMS, 100, Kernel::best());
        for (inserts, id) in changes {
            if inserts {
                prop_assert_eq!(writer.insert(id, &vectors[id as usize]), Ok(()));
                model.insert(id);
            } else {
                prop_assert_eq!(writer.remove(id), model.remove(&id));
            }
        }
        let index = writer.publish();
        prop_assert_eq!(index.len(), model.len());
        let mut found: Vec<u64> = search(&index, &vectors[0], 100).iter().map(|hit| hit.id).collect();
        found.sort_unstable();
        prop_assert_eq!(found, model.iter().copied().collect::<Vec<_>>());
        for id in model {
            prop_assert_eq!(nearest(&index, &vectors[id as usize]), Some(id));
        }
    }
}
