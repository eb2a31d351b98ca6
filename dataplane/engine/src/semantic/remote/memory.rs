//! Vectors that a provider made lately, in one part of the node's memory. Knows no words.

use std::sync::Arc;

use crate::lru::Lru;

/// Of one part: with sixteen of them 64 MiB, some 40,000 vectors of 256 numbers.
const MAX_BYTES: usize = 4 << 20;
/// Of an entry, beside its vector.
const ENTRY_BYTES: usize = 160;

#[derive(Debug, Default)]
pub struct Memory(Lru<Arc<[f32]>, MAX_BYTES>);

impl Memory {
    pub fn get(&mut self, key: u128) -> Option<Arc<[f32]>> {
        self.0.get(key).cloned()
    }

    pub fn put(&mut self, key: u128, vector: Arc<[f32]>) {
        let bytes = size_of_val(&*vector) + ENTRY_BYTES;
        self.0.put(key, vector, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_last_goes_last() {
        let mut memory = Memory::default();
        let vector: Arc<[f32]> = vec![0.5; 4_096].into();
        let most = MAX_BYTES / (size_of_val(&*vector) + ENTRY_BYTES);
        for key in 0..most {
            memory.put(key as u128, Arc::clone(&vector));
        }
        assert!(memory.get(0).is_some());
        memory.put(most as u128, Arc::clone(&vector));
        assert!(memory.get(1).is_none(), "the oldest made room");
        assert!(memory.get(0).is_some() && memory.get(2).is_some());
        memory.put(7, vec![0.5; MAX_BYTES].into());
        assert!(
            (0..=most as u128).all(|key| memory.get(key).is_none()),
            "there is no room for that one"
        );
    }
}
