//! What pieces were counted lately: words repeat, within a prompt and from one to the next.

use super::{merge, ranks::Ranks};

/// 64 KiB: what stays in a core's second-level cache beside a shard's other work.
const SLOTS: usize = 8_192;
/// Longer pieces repeat seldom, and a slot has no room for their counts.
const MAX_PIECE_BYTES: usize = 63;
const COUNT_BITS: u32 = 6;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Piece counts by 58 bits of the piece's hash; a newer piece takes the place of an older one. One to a shard: it holds
/// hashes, not texts, and changes no count.
#[derive(Debug)]
pub struct Memo {
    slots: Box<[u64; SLOTS]>,
}

impl Default for Memo {
    fn default() -> Self {
        Memo {
            slots: Box::new([0; SLOTS]),
        }
    }
}

impl Memo {
    /// The tokens of a piece.
    pub(super) fn tokens(&mut self, ranks: &Ranks, piece: &[u8]) -> u64 {
        if piece.len() > MAX_PIECE_BYTES {
            return merge::tokens(ranks, piece);
        }
        // Two vocabularies share the memo: a piece is another one in each.
        let hash = ranks.hash(piece) & !COUNT_MASK;
        let slot = &mut self.slots[(hash >> 51) as usize];
        if *slot & !COUNT_MASK == hash && *slot != 0 {
            return *slot & COUNT_MASK;
        }
        let tokens = merge::tokens(ranks, piece);
        *slot = hash | tokens;
        tokens
    }
}
