//! Which batches a node has counted lately, shared by its shards. Bounded: of a set that is full, one is forgotten.

use std::sync::atomic::{AtomicU64, Ordering};

const SETS: usize = 1024;
/// Batches whose fingerprints fall into one set.
const WAYS: usize = 8;

/// Fingerprints; zero is nobody's.
#[derive(Debug)]
pub struct CountedBatches(Box<[[AtomicU64; WAYS]]>);

impl Default for CountedBatches {
    fn default() -> Self {
        CountedBatches((0..SETS).map(|_| Default::default()).collect())
    }
}

impl CountedBatches {
    /// Notes a batch; false where it was noted before. Whichever shard asks first is told to count.
    pub(crate) fn counts_now(&self, fingerprint: u64) -> bool {
        let fingerprint = fingerprint.max(1);
        let set = &self.0[fingerprint as usize % SETS];
        for way in set {
            match way.compare_exchange(0, fingerprint, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(known) if known == fingerprint => return false,
                Err(_) => {}
            }
        }
        set[(fingerprint >> 32) as usize % WAYS].swap(fingerprint, Ordering::Relaxed) != fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_once_while_it_is_remembered() {
        let counted = CountedBatches::default();
        let of_one_set = |n: u64| (n + 1) * SETS as u64 + (n << 32);
        for n in 0..WAYS as u64 {
            assert!(counted.counts_now(of_one_set(n)));
        }
        assert!((0..WAYS as u64).all(|n| !counted.counts_now(of_one_set(n))));
        assert!(counted.counts_now(of_one_set(8)) && !counted.counts_now(of_one_set(8)));
        let remembered = (0..WAYS as u64).filter(|n| !counted.counts_now(of_one_set(*n))).count();
        assert!(
            remembered >= WAYS - 2,
            "one gave way, and perhaps another when that came back"
        );
    }
}
