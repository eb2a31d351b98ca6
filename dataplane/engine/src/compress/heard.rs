//! What a client is answered, or would be, noted as it goes: up to a bound, and none where it is no answer.

use crate::{exchange::Io, lines, names::header, outputs::Action};

/// A longer answer is not noted.
pub(crate) const MAX_HEARD_BYTES: usize = 256 << 10;

#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub answer: Vec<u8>,
    /// It says that it is JSON.
    pub is_json: bool,
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
                Action::Head { status, lines, .. } => {
                    self.is_spoiled |= *status != 200;
                    let lines = io.out.arena.get(lines.start as usize..lines.end as usize);
                    self.is_json = is_json(lines.unwrap_or_default());
                }
                Action::Body { pieces } => {
                    io.out.answered(pieces, input).for_each(|bytes| self.push(bytes));
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

fn is_json(all: &[u8]) -> bool {
    const JSON: &[u8] = b"application/json";
    lines::each(all).any(|line| {
        let starts = line.value.get(..JSON.len());
        line.is(header::CONTENT_TYPE) && starts.is_some_and(|starts| starts.eq_ignore_ascii_case(JSON))
    })
}
