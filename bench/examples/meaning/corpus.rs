//! Prompts to search among: the first of each pair of bench/data that means the same, and texts of two or three pieces of
//! unrelated sentences. Asked are entries with a word left out, and the rewordings of those pairs.

use tollgate_vector::{Embedder, Generation, Hit, IndexScratch, Kernel, MAX_ENTRIES, Scratch, Writer};

use crate::{
    pairs::{PAIRS, Pair},
    timing::timed,
};

/// A query is padded to so many tokens, which is how long embedding it takes.
const TOKENS: usize = 200;
/// As many as the gateway asks for.
const HITS: usize = 8;
const US_PER_NS: f64 = 1e-3;

pub struct Corpus {
    embedder: Embedder,
    scratch: Scratch,
    words: Vec<&'static str>,
    dice: Dice,
    pub writer: Writer,
    next_id: u64,
}

/// A prompt that is asked: as long as most, and its vector.
pub struct Query {
    pub text: String,
    pub vector: Vec<f32>,
}

/// What was made of it.
pub struct Filled {
    /// Of all entries, one after the other.
    pub vectors: Vec<f32>,
    /// Entries with a word left out.
    pub left_out: Vec<Query>,
    pub rewordings: Vec<Query>,
    /// What an entry took on average, its embedding and all rebuilding included.
    pub insert_us: f64,
}

impl Corpus {
    pub fn new() -> Self {
        let embedder = Embedder::builtin().expect("the shipped model loads");
        let letters = |word: &&str| word.chars().all(char::is_alphabetic);
        Self {
            writer: Writer::new(embedder.dims(), MAX_ENTRIES, Kernel::best()),
            embedder,
            scratch: Scratch::default(),
            words: PAIRS.split(['"', ' ']).filter(letters).collect(),
            dice: Dice(88_172_645_463_325_252),
            next_id: 0,
        }
    }

    pub fn dims(&self) -> usize {
        self.embedder.dims()
    }

    pub fn embed(&mut self, text: &str, vector: &mut [f32]) -> usize {
        self.embedder.embed(text, &mut self.scratch, vector)
    }

    /// Inserts so many entries; of every so many one is asked again.
    pub fn fill(&mut self, entries: usize, queries: usize) -> Filled {
        let mut filled = Filled {
            vectors: Vec::with_capacity(entries * self.dims()),
            left_out: Vec::new(),
            rewordings: Vec::new(),
            insert_us: 0.0,
        };
        let fill_ns = timed(|| self.fill_into(&mut filled, entries, queries));
        filled.insert_us = fill_ns as f64 / entries.max(1) as f64 * US_PER_NS;
        filled
    }

    fn fill_into(&mut self, filled: &mut Filled, entries: usize, queries: usize) {
        let every = (entries / queries.max(1)).max(1);
        let pairs = Pair::all().filter(|pair| pair.same && pair.is_own());
        for pair in pairs.take(entries) {
            self.insert(&pair.a, &mut filled.vectors);
            let query = self.query(&pair.b);
            filled.rewordings.push(query);
        }
        for entry in filled.rewordings.len()..entries {
            let text = self.dice.text(&self.words);
            self.insert(&text.join(" "), &mut filled.vectors);
            if entry % every == 0 {
                let query = self.query(&[&text[..1], &text[2..]].concat().join(" "));
                filled.left_out.push(query);
            }
        }
    }

    fn insert(&mut self, text: &str, vectors: &mut Vec<f32>) {
        let from = vectors.len();
        vectors.resize(from + self.dims(), 0.0);
        self.embedder.embed(text, &mut self.scratch, &mut vectors[from..]);
        // A text without a known word is no entry.
        let _ = self.writer.insert(self.next_id, &vectors[from..]);
        self.next_id += 1;
        if let Some(rebuild) = self.writer.outgrown() {
            self.writer.adopt(rebuild.run());
        }
    }

    /// A new entry, for whoever goes on inserting.
    pub fn another(&mut self) -> (u64, Vec<f32>) {
        let text = self.dice.text(&self.words).join(" ");
        let mut vector = vec![0.0; self.dims()];
        self.embed(&text, &mut vector);
        self.next_id += 1;
        (self.next_id, vector)
    }

    /// A text of at least so many tokens, and a few more.
    pub fn text_of(&mut self, tokens: usize) -> String {
        let (mut text, mut vector) = (String::new(), vec![0.0; self.dims()]);
        while self.embed(&text, &mut vector) < tokens {
            text.push_str(self.dice.text(&self.words)[..4].join(" ").as_str());
            text.push(' ');
        }
        text
    }

    /// Said over and over it means the same, and is as long as a prompt.
    fn query(&mut self, text: &str) -> Query {
        let mut vector = vec![0.0; self.dims()];
        let tokens = self.embed(text, &mut vector).max(1);
        let text = vec![text; TOKENS.div_ceil(tokens)].join(" ");
        self.embed(&text, &mut vector);
        Query { text, vector }
    }
}

/// Of each query the similarity of the nearest of all vectors; these are read once, by so many that stay in the cache.
pub fn exact(vectors: &[f32], queries: &[&Query]) -> Vec<f32> {
    const ROWS: usize = 64;
    let mut nearest = vec![0.0f32; queries.len()];
    let dims = queries.first().map_or(1, |query| query.vector.len());
    for rows in vectors.chunks(dims * ROWS) {
        for (nearest, query) in nearest.iter_mut().zip(queries) {
            *nearest = nearest.max(exact_of(rows, &query.vector));
        }
    }
    nearest
}

fn exact_of(vectors: &[f32], query: &[f32]) -> f32 {
    let dot = |row: &[f32]| {
        let mut lanes = [0.0f32; 16];
        for (row, query) in row.as_chunks::<16>().0.iter().zip(query.as_chunks::<16>().0) {
            lanes
                .iter_mut()
                .zip(row)
                .zip(query)
                .for_each(|((lane, a), b)| *lane += a * b);
        }
        lanes.iter().sum::<f32>()
    };
    vectors.chunks_exact(query.len()).map(dot).fold(0.0, f32::max)
}

/// Who searches, as a shard does.
#[derive(Default)]
pub struct Searcher {
    scratch: IndexScratch,
    hits: Vec<Hit>,
}

impl Searcher {
    /// The similarity of the nearest that a search finds.
    pub fn nearest(&mut self, index: &Generation, query: &[f32]) -> f32 {
        index.search(query, HITS, &mut self.scratch, &mut self.hits);
        self.hits.first().map_or(0.0, |hit| hit.similarity)
    }
}

/// A sequence of numbers that look like chance and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % most
    }

    fn text(&mut self, words: &[&'static str]) -> Vec<&'static str> {
        let pieces = 2 + self.below(2);
        let mut piece = || {
            let (length, from) = (3 + self.below(8), self.below(words.len() - 16));
            words[from..from + length].iter().copied()
        };
        (0..pieces).flat_map(|_| piece()).collect()
    }
}
