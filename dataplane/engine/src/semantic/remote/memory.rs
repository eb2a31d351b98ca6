//! Vectors that a provider made lately, in one part of the node's memory: what was asked last goes last. Knows no words.

use std::{collections::BTreeMap, sync::Arc};

use hashbrown::HashMap;

/// Of one part: with sixteen of them 64 MiB, some 40,000 vectors of 256 numbers.
const MAX_BYTES: usize = 4 << 20;
/// Of an entry, beside its vector.
const ENTRY_BYTES: usize = 160;

#[derive(Debug, Default)]
pub struct Memory {
    all: HashMap<u128, (Arc<[f32]>, u64)>,
    /// When each was asked for last.
    ages: BTreeMap<u64, u128>,
    bytes: usize,
    clock: u64,
}

impl Memory {
    pub fn get(&mut self, key: u128) -> Option<Arc<[f32]>> {
        let (vector, age) = self.all.get_mut(&key)?;
        self.ages.remove(age);
        self.clock += 1;
        *age = self.clock;
        self.ages.insert(self.clock, key);
        Some(Arc::clone(vector))
    }

    pub fn put(&mut self, key: u128, vector: Arc<[f32]>) {
        self.remove(key);
        self.clock += 1;
        self.bytes += bytes(&vector);
        self.all.insert(key, (vector, self.clock));
        self.ages.insert(self.clock, key);
        while self.bytes > MAX_BYTES {
            let Some((_, oldest)) = self.ages.pop_first() else {
                return;
            };
            self.remove(oldest);
        }
    }

    fn remove(&mut self, key: u128) {
        if let Some((vector, age)) = self.all.remove(&key) {
            self.ages.remove(&age);
            self.bytes -= bytes(&vector);
        }
    }
}

fn bytes(vector: &[f32]) -> usize {
    size_of_val(vector) + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_last_goes_last() {
        let mut memory = Memory::default();
        let vector: Arc<[f32]> = vec![0.5; 4_096].into();
        let most = MAX_BYTES / bytes(&vector);
        for key in 0..most {
            memory.put(key as u128, Arc::clone(&vector));
        }
        assert!(memory.get(0).is_some());
        memory.put(most as u128, Arc::clone(&vector));
        assert!(memory.get(1).is_none(), "the oldest made room");
        assert!(memory.get(0).is_some() && memory.get(2).is_some());
        for _ in 0..3 {
            memory.put(0, Arc::clone(&vector));
        }
        assert_eq!(memory.all.len(), most);
        assert_eq!((memory.ages.len(), memory.bytes), (most, most * bytes(&vector)));
        memory.put(7, vec![0.5; MAX_BYTES].into());
        assert_eq!(
            (memory.all.len(), memory.ages.len(), memory.bytes),
            (0, 0, 0),
            "there is no room for that one"
        );
    }
}
