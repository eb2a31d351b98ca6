//! Up to 128 entries in one run of memory: their codes, then their numbers with their scales, then their bytes. Whoever has a
//! block knows where all of it lies without reading it. Immutable once published; the writer copies a block before it changes
//! one that readers may hold. Knows no lists.

use std::{iter::repeat_n, ops::Range, sync::Arc};

use super::quantised::Quantised;
use crate::embed::MAX_DIMS;
use crate::kernels::{ask_for, bytes_of, bytes_of_mut};

/// What an insert copies at most, where readers hold the block: some 39 KB.
pub const BLOCK_ENTRIES: usize = 128;
/// A block grows by so many entries at once: it begins with two, as most partitions of a cache never have more.
const STEPS: (usize, usize) = (2, 16);
/// Words of an entry's number and scale.
const MARK_WORDS: usize = 2;

#[derive(Clone, Debug)]
pub struct Block {
    words: Arc<[u64]>,
    dims: u16,
    /// None in an index that is small enough to be searched whole.
    code_words: u16,
    entries: u16,
    room: u16,
}

impl Block {
    /// Without entries: of vectors of so many dimensions, with codes of so many words.
    pub fn new(dims: usize, code_words: usize) -> Self {
        assert!(
            dims <= MAX_DIMS && code_words <= MAX_DIMS,
            "a vector has a model's dimensions"
        );
        Self {
            words: Arc::default(),
            dims: dims as u16,
            code_words: code_words as u16,
            entries: 0,
            room: 0,
        }
    }

    pub fn len(&self) -> usize {
        usize::from(self.entries)
    }

    pub fn is_full(&self) -> bool {
        self.len() >= BLOCK_ENTRIES
    }

    /// Where codes, marks and values of so many entries lie.
    fn parts(&self, entries: usize) -> [Range<usize>; 3] {
        let [codes, marks, values] = self.words_of(entries);
        let [room_codes, room_marks, _] = self.words_of(usize::from(self.room));
        let (from_marks, from_values) = (room_codes, room_codes + room_marks);
        [
            0..codes,
            from_marks..from_marks + marks,
            from_values..from_values + values,
        ]
    }

    /// How many words the codes, marks and values of so many entries are.
    fn words_of(&self, entries: usize) -> [usize; 3] {
        [
            entries * usize::from(self.code_words),
            entries * MARK_WORDS,
            (entries * usize::from(self.dims)).div_ceil(size_of::<u64>()),
        ]
    }

    fn part(&self, range: Range<usize>) -> &[u64] {
        self.words.get(range).unwrap_or(&[])
    }

    /// The codes of all entries.
    pub fn codes(&self) -> &[u64] {
        let [codes, ..] = self.parts(self.len());
        self.part(codes)
    }

    fn marks(&self) -> &[[u64; MARK_WORDS]] {
        let [_, marks, _] = self.parts(self.len());
        self.part(marks).as_chunks().0
    }

    /// The numbers of all entries.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.marks().iter().map(|[id, _]| *id)
    }

    pub fn scales(&self) -> impl Iterator<Item = f32> {
        self.marks().iter().map(|[_, scale]| f32::from_bits(*scale as u32))
    }

    pub fn id(&self, at: usize) -> Option<u64> {
        self.marks().get(at).map(|[id, _]| *id)
    }

    /// The bytes of all entries.
    pub fn values(&self) -> &[i8] {
        let [.., values] = self.parts(self.len());
        let length = self.len() * usize::from(self.dims);
        bytes_of(self.part(values)).get(..length).unwrap_or(&[])
    }

    /// An entry's bytes and scale.
    pub fn vector(&self, at: usize) -> Option<(&[i8], f32)> {
        let [_, scale] = self.marks().get(at)?;
        Some((self.bytes_at(at)?, f32::from_bits(*scale as u32)))
    }

    /// Asks for what [`Self::vector`] and [`Self::id`] read.
    pub fn ask_for_entry(&self, at: usize) {
        ask_for(self.bytes_at(at).unwrap_or(&[]));
        ask_for(self.marks().get(at..=at).unwrap_or(&[]));
    }

    fn bytes_at(&self, at: usize) -> Option<&[i8]> {
        let dims = usize::from(self.dims);
        self.values().get(at * dims..(at + 1) * dims)
    }

    pub fn push(&mut self, id: u64, vector: &Quantised, code: &[u64]) {
        if self.entries == self.room {
            self.grow();
        }
        let at = self.len();
        self.entries += 1;
        let [codes, marks, values] = self.parts(self.len());
        let (from, dims) = (at * usize::from(self.dims), usize::from(self.dims));
        let words = Arc::make_mut(&mut self.words);
        words[codes][at * code.len()..].copy_from_slice(code);
        words[marks][at * MARK_WORDS..].copy_from_slice(&[id, u64::from(vector.scale.to_bits())]);
        bytes_of_mut(&mut words[values])[from..from + dims].copy_from_slice(&vector.values);
    }

    /// Not by much: a large index has tens of thousands of blocks.
    fn grow(&mut self) {
        let room = (self.len() + self.len().clamp(STEPS.0, STEPS.1)).min(BLOCK_ENTRIES);
        let mut grown = Self {
            words: repeat_n(0, self.words_of(room).iter().sum()).collect(),
            room: room as u16,
            ..*self
        };
        let places = self.parts(self.len()).into_iter().zip(grown.parts(self.len()));
        let words = Arc::make_mut(&mut grown.words);
        for (from, to) in places {
            words[to].copy_from_slice(self.part(from));
        }
        *self = grown;
    }

    /// Takes an entry out; the last takes its place.
    pub fn remove(&mut self, at: usize) {
        let last = self.len() - 1;
        let [codes, marks, values] = self.parts(self.len());
        let words = Arc::make_mut(&mut self.words);
        take_last(&mut words[codes], usize::from(self.code_words), last, at);
        take_last(&mut words[marks], MARK_WORDS, last, at);
        take_last(bytes_of_mut(&mut words[values]), usize::from(self.dims), last, at);
        self.entries -= 1;
    }

    /// Room for more entries included.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.words)
    }
}

/// Puts the last of runs of `width` where another is.
fn take_last<T: Copy>(runs: &mut [T], width: usize, last: usize, at: usize) {
    runs.copy_within(last * width..(last + 1) * width, at * width);
}
