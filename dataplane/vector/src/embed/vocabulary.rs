//! The tokens of a model and their ids, found by their bytes. Built once, then only read. Knows no text.

/// First byte that differs from none: FNV-1a, whose value for a prefix is on the way to that of the whole.
pub const HASH_OF_NOTHING: u32 = 0x811c_9dc5;

pub const fn hash_on(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

/// An open-addressed table of byte strings. Beginnings of words and their continuations are two of these.
#[derive(Debug, Default)]
pub struct Vocabulary {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Index into `entries` plus one; zero is empty. A power of two, at most half full.
    slots: Vec<u32>,
    longest_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    hash: u32,
    id: u32,
    from: u32,
    length_bytes: u32,
}

impl Vocabulary {
    /// Of tokens and their ids; of a token named twice the last counts.
    pub fn new<'a>(tokens: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut made = Self::default();
        for (token, id) in tokens {
            let hash = token.bytes().fold(HASH_OF_NOTHING, hash_on);
            // The file is bounded far below 4 GiB, so positions fit.
            made.entries.push(Entry {
                hash,
                id,
                from: made.bytes.len() as u32,
                length_bytes: token.len() as u32,
            });
            made.bytes.extend_from_slice(token.as_bytes());
            made.longest_bytes = made.longest_bytes.max(token.len());
        }
        made.slots = vec![0; (made.entries.len() * 2).next_power_of_two()];
        for index in (0..made.entries.len()).rev() {
            let mut slot = made.slot_of(made.entries[index].hash);
            while made.slots[slot] != 0 {
                slot = (slot + 1) & (made.slots.len() - 1);
            }
            made.slots[slot] = index as u32 + 1;
        }
        made
    }

    pub fn longest_bytes(&self) -> usize {
        self.longest_bytes
    }

    /// The id of a token, whose hash the caller has at hand.
    pub fn id(&self, token: &[u8], hash: u32) -> Option<u32> {
        let mut slot = self.slot_of(hash);
        loop {
            let entry = self.entries.get((*self.slots.get(slot)?).checked_sub(1)? as usize)?;
            if entry.hash == hash && self.token(entry) == token {
                return Some(entry.id);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn token(&self, entry: &Entry) -> &[u8] {
        let from = entry.from as usize;
        self.bytes.get(from..from + entry.length_bytes as usize).unwrap_or(&[])
    }

    /// The hash's upper bits are mixed in: the lower ones alone cluster.
    fn slot_of(&self, hash: u32) -> usize {
        (hash ^ (hash >> 15)) as usize & (self.slots.len().wrapping_sub(1))
    }
}
