//! Up to 256 entries side by side: ids, bytes, scales and codes each in one run of memory. Immutable once published; the
//! writer copies a block before it changes one that readers may hold. Knows no lists.

use super::quantised::Quantised;

pub const BLOCK_ENTRIES: usize = 256;
/// Room that a block begins with.
const FIRST_ENTRIES: usize = 2;

#[derive(Clone, Debug, Default)]
pub struct Block {
    pub ids: Vec<u64>,
    pub scales: Vec<f32>,
    pub values: Vec<i8>,
    /// Empty in an index that is small enough to be searched whole.
    pub codes: Vec<u64>,
}

impl Block {
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_full(&self) -> bool {
        self.len() >= BLOCK_ENTRIES
    }

    pub fn push(&mut self, id: u64, vector: &Quantised, code: &[u64]) {
        if self.ids.is_empty() {
            // Doubled from there to the whole: most partitions of a cache never have more.
            self.ids.reserve_exact(FIRST_ENTRIES);
            self.scales.reserve_exact(FIRST_ENTRIES);
            self.values.reserve_exact(FIRST_ENTRIES * vector.values.len());
            self.codes.reserve_exact(FIRST_ENTRIES * code.len());
        }
        self.ids.push(id);
        self.scales.push(vector.scale);
        self.values.extend_from_slice(&vector.values);
        self.codes.extend_from_slice(code);
    }

    /// Takes an entry out; the last takes its place.
    pub fn remove(&mut self, at: usize) {
        let (dims, words) = (
            self.values.len() / self.len().max(1),
            self.codes.len() / self.len().max(1),
        );
        let last = self.len() - 1;
        self.ids.swap_remove(at);
        self.scales.swap_remove(at);
        self.values.copy_within(last * dims.., at * dims);
        self.values.truncate(last * dims);
        self.codes.copy_within(last * words.., at * words);
        self.codes.truncate(last * words);
    }

    pub fn vector(&self, at: usize) -> Option<(&[i8], f32)> {
        let dims = self.values.len() / self.len().max(1);
        Some((self.values.get(at * dims..(at + 1) * dims)?, *self.scales.get(at)?))
    }
}
