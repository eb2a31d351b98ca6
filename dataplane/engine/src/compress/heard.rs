//! What a client is answered, or would be, noted as it goes: up to a bound, and none where it is no answer.

use crate::{
    exchange::Io,
    outputs::{Action, Piece, ReplyFraming},
};

/// A longer answer is not noted.
pub(crate) const MAX_HEARD_BYTES: usize = 256 << 10;

#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub answer: Vec<u8>,
    /// It is a stream of events, where one was asked for.
    pub is_streamed: bool,
    is_spoiled: bool,
}

impl Heard {
    /// It was answered with 200, and is not too long.
    pub fn is_well(&self) -> bool {
        !self.is_spoiled && !self.answer.is_empty()
    }

    /// After a feed. `input`: the bytes that were fed.
    pub fn note(&mut self, io: &Io<'_>, input: &[u8]) {
        for action in &io.out.actions {
            match action {
                Action::Head { status, framing, .. } => {
                    self.is_spoiled |= *status != 200;
                    self.is_streamed = *framing == ReplyFraming::Stream;
                }
                Action::Body { pieces } => {
                    let pieces = io.out.pieces.get(pieces.start as usize..pieces.end as usize);
                    for piece in pieces.unwrap_or_default() {
                        let bytes = match piece {
                            Piece::Arena(range) => io.out.arena.get(range.start as usize..range.end as usize),
                            Piece::Input(range) => input.get(range.start as usize..range.end as usize),
                            // Nothing of a request is in its answer.
                            Piece::RequestBody(_) => None,
                        };
                        self.push(bytes.unwrap_or_default());
                    }
                }
                _ => {}
            }
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.is_spoiled |= self.answer.len() + bytes.len() > MAX_HEARD_BYTES;
        if self.is_spoiled {
            self.answer = Vec::new();
        } else {
            self.answer.extend_from_slice(bytes);
        }
    }
}
