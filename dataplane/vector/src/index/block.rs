//! Up to 128 entries side by side: ids, bytes, scales and codes each in one run of memory. Immutable once published; the
//! writer copies a block before it changes one that readers may hold. Knows no lists.

use super::quantised::Quantised;

/// What an insert copies at most, where readers hold the block: some 38 KB.
pub const BLOCK_ENTRIES: usize = 128;
/// A block grows by so many entries at once: it begins with two, as most partitions of a cache never have more.
const STEPS: (usize, usize) = (2, 16);

#[derive(Debug, Default)]
pub struct Block {
    pub ids: Vec<u64>,
    pub scales: Vec<f32>,
    pub values: Vec<i8>,
    /// Empty in an index that is small enough to be searched whole.
    pub codes: Vec<u64>,
}

impl Clone for Block {
    /// With room for more: who copies a block adds to it.
    fn clone(&self) -> Self {
        let mut copy = Self::default();
        let (dims, words) = self.widths();
        copy.reserve(self.len() + self.step(), dims, words);
        copy.ids.extend_from_slice(&self.ids);
        copy.scales.extend_from_slice(&self.scales);
        copy.values.extend_from_slice(&self.values);
        copy.codes.extend_from_slice(&self.codes);
        copy
    }
}

impl Block {
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_full(&self) -> bool {
        self.len() >= BLOCK_ENTRIES
    }

    fn step(&self) -> usize {
        self.len().clamp(STEPS.0, STEPS.1)
    }

    pub fn push(&mut self, id: u64, vector: &Quantised, code: &[u64]) {
        if self.ids.len() == self.ids.capacity() {
            self.reserve(self.step(), vector.values.len(), code.len());
        }
        self.ids.push(id);
        self.scales.push(vector.scale);
        self.values.extend_from_slice(&vector.values);
        self.codes.extend_from_slice(code);
    }

    /// Exactly: a large index has tens of thousands of blocks.
    fn reserve(&mut self, entries: usize, dims: usize, words: usize) {
        let entries = entries.min(BLOCK_ENTRIES);
        self.ids.reserve_exact(entries);
        self.scales.reserve_exact(entries);
        self.values.reserve_exact(entries * dims);
        self.codes.reserve_exact(entries * words);
    }

    /// Takes an entry out; the last takes its place.
    pub fn remove(&mut self, at: usize) {
        let (dims, words) = self.widths();
        let last = self.len() - 1;
        self.ids.swap_remove(at);
        self.scales.swap_remove(at);
        self.values.copy_within(last * dims.., at * dims);
        self.values.truncate(last * dims);
        self.codes.copy_within(last * words.., at * words);
        self.codes.truncate(last * words);
    }

    /// Bytes and words of an entry.
    fn widths(&self) -> (usize, usize) {
        let entries = self.len().max(1);
        (self.values.len() / entries, self.codes.len() / entries)
    }

    pub fn vector(&self, at: usize) -> Option<(&[i8], f32)> {
        let (dims, _) = self.widths();
        Some((self.values.get(at * dims..(at + 1) * dims)?, *self.scales.get(at)?))
    }

    /// Room for more entries included.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + size_of::<u64>() * (self.ids.capacity() + self.codes.capacity())
            + size_of::<f32>() * self.scales.capacity()
            + self.values.capacity()
    }
}
