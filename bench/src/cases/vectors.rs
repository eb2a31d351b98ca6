//! What the semantic cache adds to a call, each part alone: a vector for a text, and a search for it among the entries of one
//! partition. Texts are pieces of the sentences of bench/data, the same in every run.

use std::{hint::black_box, sync::Arc};

use tollgate_vector::{Embedder, Generation, IndexScratch, Kernel, Scratch, Writer};

use crate::{Case, Unit};

const SENTENCES: &str = include_str!("../../data/pairs.jsonl");
const WORDS_AN_ENTRY: usize = 12;
/// Of two pieces of sentences each.
const WORDS_A_PIECE: usize = WORDS_AN_ENTRY / 2;
/// Other searches read other lists.
const QUERIES: usize = 32;
/// As many as the gateway asks for.
const HITS: usize = 8;

pub const CASES: [Case; 5] = [
    embedded("20 tokens", 400, || embed(20)),
    embedded("200 tokens", 100, || embed(200)),
    embedded("2,000 tokens", 10, || embed(2_000)),
    searched("10,000 entries", || search(10_000)),
    searched("100,000 entries", || search(100_000)),
];

const fn embedded(name: &'static str, counted_runs: u32, prepare: fn() -> Box<dyn FnMut()>) -> Case {
    Case {
        group: "embed",
        name,
        per: Unit::one("text", 0),
        counted_runs,
        prepare,
    }
}

const fn searched(name: &'static str, prepare: fn() -> Box<dyn FnMut()>) -> Case {
    Case {
        group: "search",
        name,
        per: Unit::one("search", 0),
        counted_runs: 4 * QUERIES as u32,
        prepare,
    }
}

fn words() -> Vec<&'static str> {
    let letters = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    SENTENCES.split(['"', ' ']).filter(letters).collect()
}

fn embed(tokens: usize) -> Box<dyn FnMut()> {
    let embedder = Embedder::shipped().expect("the shipped model loads");
    let (mut scratch, mut vector) = (Scratch::default(), vec![0.0; embedder.dims()]);
    let (mut text, mut long) = (String::new(), 0);
    for word in words() {
        // A word of more tokens than are left is passed over.
        let more = embedder.embed(word, &mut scratch, &mut vector);
        if long + more <= tokens {
            text.push_str(word);
            text.push(' ');
            long += more;
        }
        if long == tokens {
            break;
        }
    }
    let found = embedder.embed(&text, &mut scratch, &mut vector);
    assert_eq!(found, tokens, "tokens of the text that is embedded");
    Box::new(move || {
        embedder.embed(black_box(&text), &mut scratch, &mut vector);
        black_box(&vector);
    })
}

fn search(entries: usize) -> Box<dyn FnMut()> {
    let (index, queries) = index(entries);
    let (mut scratch, mut hits) = (IndexScratch::default(), Vec::new());
    let mut at = 0;
    Box::new(move || {
        index.search(black_box(&queries[at]), HITS, &mut scratch, &mut hits);
        black_box(&hits);
        at = (at + 1) % QUERIES;
    })
}

/// The entries, and some of them with a word left out. They are put in lists once, when all are there.
fn index(entries: usize) -> (Arc<Generation>, Vec<Vec<f32>>) {
    let embedder = Embedder::shipped().expect("the shipped model loads");
    let mut scratch = Scratch::default();
    let mut embed = |text: &[&str]| {
        let mut vector = vec![0.0; embedder.dims()];
        embedder.embed(&text.join(" "), &mut scratch, &mut vector);
        vector
    };
    let words = words();
    let mut writer = Writer::new(embedder.dims(), entries, Kernel::best());
    let mut queries = Vec::new();
    for entry in 0..entries {
        let text = text(&words, entry);
        writer.insert(entry as u64, &embed(&text)).expect("there is room");
        if entry % (entries / QUERIES) == 0 && queries.len() < QUERIES {
            queries.push(embed(&text[1..]));
        }
    }
    let rebuild = writer.outgrown().expect("so many are not searched one by one");
    writer.adopt(rebuild.run());
    (writer.publish(), queries)
}

/// Two pieces, from places far apart that no other entry has together.
fn text(words: &[&'static str], entry: usize) -> [&'static str; WORDS_AN_ENTRY] {
    const STRIDE: usize = 7_919;
    let pieces = [entry, entry * STRIDE + entry / words.len()];
    std::array::from_fn(|word| words[(pieces[word / WORDS_A_PIECE] + word) % words.len()])
}
