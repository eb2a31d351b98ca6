//! Which prompts a target has seen the beginning of: providers keep those for a while, and ask a tenth to a half of the price
//! for them.

use crate::Tick;

/// Beginnings of these lengths are remembered, in bytes of the request's body.
const LENGTHS: [usize; 10] = [
    1 << 10,
    2 << 10,
    3 << 10,
    4 << 10,
    6 << 10,
    8 << 10,
    12 << 10,
    16 << 10,
    24 << 10,
    32 << 10,
];
/// A target remembers so many.
const REMEMBERED: usize = 1_024;
/// Providers keep a prompt for five minutes at least, most of them.
const KEPT_NS: u64 = 300_000_000_000;

/// Hashes of a body's beginnings, the shortest first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Prefixes {
    hashes: [u64; LENGTHS.len()],
    count: usize,
}

impl Prefixes {
    /// The hash that all prompts have in common whose first bytes are the same; none of a prompt that is too short to be kept.
    pub fn shortest(&self) -> Option<u64> {
        self.hashes[..self.count].first().copied()
    }

    /// The prompt is too short for any.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn of(body: &[u8]) -> Self {
        let mut prefixes = Self::default();
        let (mut hash, mut from) = (0x9e37_79b9_7f4a_7c15, 0);
        for length in LENGTHS {
            let Some(part) = body.get(from..length) else { break };
            hash = mix(hash, part);
            prefixes.hashes[prefixes.count] = hash;
            prefixes.count += 1;
            from = length;
        }
        prefixes
    }
}

/// Of words of eight bytes, four abreast so that no multiplication waits for the one before it: good enough to tell prompts
/// apart, and cheap.
fn mix(hash: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, word: u64| {
        let mixed = (hash ^ word).wrapping_mul(0x2127_599b_f432_5c37);
        mixed ^ mixed >> 29
    };
    let (words, _) = bytes.as_chunks::<8>();
    let (rows, _) = words.as_chunks::<4>();
    let mut lanes = [hash, hash ^ 1, hash ^ 2, hash ^ 3];
    for row in rows {
        for (lane, word) in lanes.iter_mut().zip(row) {
            *lane = step(*lane, u64::from_le_bytes(*word));
        }
    }
    lanes.into_iter().fold(hash, step)
}

/// Of one target and shard: a table in which what is newer takes the place of what is older.
#[derive(Debug)]
pub(crate) struct Seen {
    places: Vec<(u64, Tick)>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            places: vec![(0, Tick(0)); REMEMBERED],
        }
    }
}

impl Seen {
    pub fn note(&mut self, now: Tick, prefixes: &Prefixes) {
        for &hash in &prefixes.hashes[..prefixes.count] {
            self.places[hash as usize % REMEMBERED] = (hash, now);
        }
    }

    /// Bytes of the longest beginning that was seen lately.
    pub fn longest(&self, now: Tick, prefixes: &Prefixes) -> usize {
        let seen = |hash: u64| {
            let (kept, at) = self.places[hash as usize % REMEMBERED];
            kept == hash && hash != 0 && now.ns_since(at) < KEPT_NS
        };
        let hashes = prefixes.hashes[..prefixes.count].iter();
        let known = hashes.zip(LENGTHS).rev().find(|(hash, _)| seen(**hash));
        known.map_or(0, |(_, length)| length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_beginnings_are_known_for_a_while() {
        let long = "system prompt ".repeat(700);
        let (one, other) = (format!("{long} question one"), format!("{long} another question"));
        let mut seen = Seen::default();
        let now = Tick(1);
        assert_eq!(seen.longest(now, &Prefixes::of(one.as_bytes())), 0);
        seen.note(now, &Prefixes::of(one.as_bytes()));
        assert_eq!(seen.longest(now, &Prefixes::of(other.as_bytes())), 8 << 10);
        assert_eq!(seen.longest(now, &Prefixes::of("x".repeat(9_000).as_bytes())), 0);
        assert_eq!(seen.longest(now, &Prefixes::of(b"short")), 0);
        let later = now.plus_ms(300_001);
        assert_eq!(seen.longest(later, &Prefixes::of(other.as_bytes())), 0);
    }
}
