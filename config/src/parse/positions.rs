//! Where each value of a text began, by JSON pointer. A document may have a million values, so what is kept of a
//! pointer is its hash, made from the hash of the pointer around it: two pointers that meet in 64 bits would only
//! point a fault at another line.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::problem::Position;

#[derive(Clone, Debug, Default)]
pub struct Positions {
    by_hash: HashMap<u64, Position, BuildHasherDefault<AsIs>>,
}

/// The hash of a pointer that is being built, part by part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointerHash(u64);

/// FNV-1a, 64 bits.
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl PointerHash {
    /// The whole document's.
    pub const ROOT: Self = Self(OFFSET_BASIS);

    /// The pointer with more text at its end.
    pub fn then(self, text: &str) -> Self {
        Self(
            text.bytes()
                .fold(self.0, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)),
        )
    }
}

impl Positions {
    pub fn get(&self, pointer: &str) -> Option<Position> {
        self.at(PointerHash::ROOT.then(pointer))
    }

    pub fn at(&self, pointer: PointerHash) -> Option<Position> {
        self.by_hash.get(&pointer.0).copied()
    }

    pub fn insert(&mut self, pointer: PointerHash, position: Position) {
        self.by_hash.insert(pointer.0, position);
    }
}

/// What is hashed already need not be hashed again.
#[derive(Clone, Copy, Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = PointerHash(self.0).then(&String::from_utf8_lossy(bytes)).0;
    }

    fn write_u64(&mut self, hash: u64) {
        // The table takes its bucket from the low bits and its tag from the top seven; FNV's low bits are its weakest.
        self.0 = hash ^ hash.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::{PointerHash, Positions};
    use crate::problem::Position;

    #[test]
    fn a_pointer_in_parts_is_the_pointer_as_a_whole() {
        let position = Position { line: 3, column: 7 };
        let mut positions = Positions::default();
        positions.insert(PointerHash::ROOT.then("/models").then("/a~1b"), position);
        assert_eq!(positions.get("/models/a~1b"), Some(position));
        assert_eq!(positions.get("/models"), None);
    }
}
