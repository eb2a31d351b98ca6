//! A published vocabulary as a table that needs no loading: for the bytes of a token, its rank.
//!
//! The tables are made by bench/tokens/tables.py and lie in the binary: pages nobody asks for are never read, and pages
//! that are read are the file's, shared and clean.

/// Tokens by 46 bits of their hash, in order of the hash (`tables/*_base.bin`). The chance that bytes that are no token
/// are taken for one is below 2^-40 a question.
#[derive(Debug)]
pub(super) struct Ranks {
    /// The ranks of the tokens of two bytes, by their bytes: merging begins with these, and asks for them most.
    pairs: &'static [[u8; 3]],
    /// Slots of eight bytes, little-endian: 46 bits of hash, 18 of rank; zero is empty.
    table: &'static [u8],
    /// Slots that are homes; the rest is slack behind them.
    homes: u64,
    /// Sets the hashes of one vocabulary apart from the other's.
    salt: u64,
}

pub(super) static O200K: Ranks = Ranks {
    pairs: pairs(include_bytes!("tables/o200k_base.bin")),
    table: table(include_bytes!("tables/o200k_base.bin")),
    homes: homes(199_998),
    salt: 0,
};

pub(super) static CL100K: Ranks = Ranks {
    pairs: pairs(include_bytes!("tables/cl100k_base.bin")),
    table: table(include_bytes!("tables/cl100k_base.bin")),
    homes: homes(100_256),
    salt: KEYS[0],
};

const PAIRS_BYTES: usize = 3 << 16;
const NO_PAIR: [u8; 3] = [0xFF; 3];
const RANK_BITS: u32 = 18;
const RANK_MASK: u64 = (1 << RANK_BITS) - 1;
const KEYS: [u64; 3] = [0x9E37_79B9_7F4A_7C15, 0xD1B5_4A32_D192_ED03, 0x8CB9_2BA7_2F3D_8DD7];

/// The table is full to 85 %.
const fn homes(tokens: u64) -> u64 {
    (tokens * 100 + 42) / 85
}

const fn pairs(file: &'static [u8]) -> &'static [[u8; 3]] {
    file.split_at(PAIRS_BYTES).0.as_chunks().0
}

const fn table(file: &'static [u8]) -> &'static [u8] {
    file.split_at(PAIRS_BYTES).1
}

impl Ranks {
    /// Of a piece, for who remembers it.
    #[inline]
    pub(super) fn hash(&self, piece: &[u8]) -> u64 {
        hash(piece) ^ self.salt
    }

    /// The rank of the token with these bytes. Lower ranks are merged first.
    #[inline]
    pub(super) fn rank(&self, token: &[u8]) -> Option<u32> {
        if let [first, second] = *token {
            let pair = self.pairs[usize::from(first) << 8 | usize::from(second)];
            return (pair != NO_PAIR).then(|| u32::from_le_bytes([pair[0], pair[1], pair[2], 0]));
        }
        let wanted = hash(token) & !RANK_MASK;
        let mut at = ((u128::from(wanted) * u128::from(self.homes)) >> 64) as usize * 8;
        loop {
            let slot = self.table.get(at..).and_then(|rest| rest.first_chunk::<8>())?;
            let entry = u64::from_le_bytes(*slot);
            if entry & !RANK_MASK == wanted {
                return Some((entry & RANK_MASK) as u32);
            }
            // In order of the hash: behind a greater one it cannot stand.
            if entry == 0 || entry > wanted {
                return None;
            }
            at += 8;
        }
    }
}

/// Fold-and-multiply over the first and last eight bytes, then over what lies between.
#[inline(always)]
fn hash(token: &[u8]) -> u64 {
    let size = token.len();
    let (first, last) = ends(token);
    let mut mixed = fold(first ^ KEYS[0], last ^ KEYS[1]);
    if size > 16 {
        for chunk in token[8..size - 1].chunks(8) {
            // The last eight are in already; a chunk that would reach into them whole is left out.
            let Some(chunk) = chunk.first_chunk::<8>() else { break };
            mixed = fold(mixed ^ u64::from_le_bytes(*chunk), KEYS[2]);
        }
    }
    fold(mixed ^ size as u64, KEYS[2])
}

#[inline(always)]
fn ends(token: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (token.first_chunk::<8>(), token.last_chunk::<8>()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (token.first_chunk::<4>(), token.last_chunk::<4>()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    match *token {
        [] => (0, 0),
        [one] => (spread(one, one, one), 0),
        [one, two] => (spread(one, two, two), 0),
        [one, two, three, ..] => (spread(one, two, three), 0),
    }
}

#[inline(always)]
fn spread(first: u8, middle: u8, last: u8) -> u64 {
    u64::from(first) | u64::from(middle) << 8 | u64::from(last) << 16
}

#[inline(always)]
fn fold(one: u64, two: u64) -> u64 {
    let product = u128::from(one) * u128::from(two);
    product as u64 ^ (product >> 64) as u64
}
