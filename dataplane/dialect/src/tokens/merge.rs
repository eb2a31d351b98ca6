//! Byte-pair merging: how many tokens one piece is.

use super::{ranks::Ranks, split::MAX_PIECE_BYTES};

const NO_PAIR: u32 = u32::MAX;

/// The piece is neither empty nor longer than `MAX_PIECE_BYTES` and a character.
pub(super) fn tokens(ranks: &Ranks, piece: &[u8]) -> u64 {
    match piece.len() {
        0 | 1 => piece.len() as u64,
        _ if ranks.rank(piece).is_some() => 1,
        // Most pieces that are no token are short: their table is not worth clearing in full.
        0..=32 => Merge::<33>::of(ranks, piece),
        _ => Merge::<{ MAX_PIECE_BYTES + 8 }>::of(ranks, piece),
    }
}

/// The parts of a piece, in order. `starts[i]` is where a part begins, `pair_ranks[i]` the rank of it and the next.
struct Merge<const N: usize> {
    starts: [u16; N],
    pair_ranks: [u32; N],
    /// Parts, without the end that stands behind them.
    parts: usize,
}

impl<const N: usize> Merge<N> {
    /// Merges the pair of the lowest rank, the first of equals, until none is a token. The cost is a pass over at most
    /// `N` ranks for every merge.
    fn of(ranks: &Ranks, piece: &[u8]) -> u64 {
        let size = piece.len().min(N - 1);
        let mut merge = Merge {
            starts: [0; N],
            pair_ranks: [NO_PAIR; N],
            parts: size,
        };
        for at in 0..=size {
            merge.starts[at] = at as u16;
        }
        for part in 0..size {
            merge.pair_ranks[part] = merge.pair_rank(ranks, piece, part);
        }
        while let Some(part) = merge.lowest() {
            merge.join(part);
            merge.pair_ranks[part] = merge.pair_rank(ranks, piece, part);
            if let Some(before) = part.checked_sub(1) {
                merge.pair_ranks[before] = merge.pair_rank(ranks, piece, before);
            }
        }
        merge.parts as u64
    }

    fn lowest(&self) -> Option<usize> {
        // Two passes without branches are faster than one with.
        let ranks = &self.pair_ranks[..self.parts];
        let lowest = *ranks.iter().min()?;
        (lowest != NO_PAIR).then(|| ranks.iter().position(|&rank| rank == lowest))?
    }

    /// Makes one part of this one and the next.
    fn join(&mut self, part: usize) {
        self.starts.copy_within(part + 2..=self.parts, part + 1);
        self.pair_ranks.copy_within(part + 2..=self.parts, part + 1);
        self.parts -= 1;
    }

    fn pair_rank(&self, ranks: &Ranks, piece: &[u8], part: usize) -> u32 {
        if part + 2 > self.parts {
            return NO_PAIR;
        }
        let pair = usize::from(self.starts[part])..usize::from(self.starts[part + 2]);
        piece.get(pair).and_then(|bytes| ranks.rank(bytes)).unwrap_or(NO_PAIR)
    }
}
