//! Of many codes those that differ least: up to how many bits one may differ, drawn in as nearer ones are found. Knows no
//! vectors.

/// Codes that are looked at together before each by itself: most lie beyond.
const TOGETHER: usize = 16;

#[derive(Debug, Default)]
pub struct Reach {
    /// Of those within the reach, how many differ in so many bits.
    counts: Vec<u32>,
    within: usize,
    wanted: usize,
    bits: u16,
}

impl Reach {
    /// For codes of so many words, of which so many are wanted.
    pub fn begin(&mut self, words: usize, wanted: usize) {
        let most_bits = words * u64::BITS as usize;
        self.counts.clear();
        self.counts.resize(most_bits + 1, 0);
        self.within = 0;
        self.wanted = wanted.max(1);
        self.bits = most_bits as u16;
    }

    /// The bits that all that are wanted differ in at most. Fewer than are wanted differ in fewer.
    pub fn bits(&self) -> u16 {
        self.bits
    }

    /// How many of those that differ in just [`Self::bits`] are still wanted.
    pub fn wanted_at_edge(&self) -> usize {
        self.wanted - (self.within - self.at_edge())
    }

    fn at_edge(&self) -> usize {
        self.counts
            .get(usize::from(self.bits))
            .map_or(0, |count| *count as usize)
    }

    /// Gives `keep` the place and bits of those that are within reach as of now. The reach may be drawn in further.
    pub fn sift(&mut self, differing: &[u16], mut keep: impl FnMut(u16, u16)) {
        for (run, from) in differing.chunks(TOGETHER).zip((0..).step_by(TOGETHER)) {
            // All of the run, without a branch for each.
            let reach = self.bits;
            if !run.iter().fold(false, |any, bits| any | (*bits <= reach)) {
                continue;
            }
            for (bits, at) in run.iter().zip(from..) {
                if *bits <= self.bits {
                    keep(at, *bits);
                    self.count(*bits);
                }
            }
        }
    }

    fn count(&mut self, bits: u16) {
        if let Some(count) = self.counts.get_mut(usize::from(bits)) {
            *count += 1;
            self.within += 1;
        }
        while self.within - self.at_edge() >= self.wanted {
            self.within -= self.at_edge();
            self.bits -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// What is kept, in whatever runs the codes come, is what sorting all of them would keep.
        #[test]
        fn the_nearest_are_those_of_a_sort(runs in vec(vec(0u16..=256, 0..70), 0..12), wanted in 1usize..80) {
            let mut reach = Reach::default();
            reach.begin(4, wanted);
            let mut kept = Vec::new();
            for (run, differing) in runs.iter().enumerate() {
                reach.sift(differing, |at, bits| kept.push((bits, run, at)));
            }
            kept.retain(|(bits, ..)| *bits <= reach.bits());
            let mut nearer: Vec<u16> = kept.iter().map(|(bits, ..)| *bits).collect();
            nearer.sort_unstable();
            let mut all = runs.concat();
            all.sort_unstable();
            prop_assert_eq!(nearer.get(..wanted.min(all.len())), all.get(..wanted.min(all.len())));
            let below = kept.iter().filter(|(bits, ..)| *bits < reach.bits()).count();
            prop_assert_eq!(below + reach.wanted_at_edge(), wanted);
            prop_assert!(kept.iter().all(|(bits, run, at)| runs[*run][usize::from(*at)] == *bits));
        }
    }
}
