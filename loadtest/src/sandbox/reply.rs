//! What the sandbox says, before a dialect gives it a shape: the tokens, why they end, and where events go.

use tollgate_wire::http1::chunked;

use super::{answer::Piece, ask::Ask, fault::Wishes, text::Tokens};

/// When every answer was made: a constant, so that the same request gives the same bytes.
pub const CREATED_UNIX_S: u64 = 1_767_225_600;

/// One token of a bulk answer.
const BULK_TOKEN: &str = "sandbox ";
/// Tokens that one event of a bulk stream carries.
const BULK_TOKENS_PER_EVENT: u64 = 128;

/// An answer's content.
pub struct Reply<'a> {
    pub model_json: &'a [u8],
    pub seed: u64,
    pub prompt_tokens: u64,
    pub answer_tokens: u64,
    /// `max_tokens` ended it.
    pub cut_by_limit: bool,
    bulk: bool,
}

impl<'a> Reply<'a> {
    pub fn new(ask: &Ask<'a>, wishes: &Wishes) -> Self {
        let seed = ask.prompt.seed;
        let wanted = match wishes.answer_bytes {
            Some(bytes) => bytes.div_ceil(BULK_TOKEN.len() as u64),
            None => wishes.tokens.unwrap_or(16 + seed % 17),
        };
        let allowed = ask.max_tokens.unwrap_or(u64::MAX);
        Self {
            model_json: ask.model_json,
            seed,
            prompt_tokens: ask.prompt.tokens,
            answer_tokens: wanted.min(allowed),
            cut_by_limit: allowed < wanted,
            bulk: wishes.answer_bytes.is_some(),
        }
    }

    /// Appends the whole text; it needs no JSON escape.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        if self.bulk {
            out.extend_from_slice(BULK_TOKEN.repeat(self.answer_tokens as usize).as_bytes());
            return;
        }
        for (space, word) in Tokens::new(self.seed, self.answer_tokens) {
            out.extend_from_slice(space.as_bytes());
            out.extend_from_slice(word.as_bytes());
        }
    }

    /// Calls `each` with the text of every event of a stream: one token, or 128 of a bulk answer.
    pub fn each_piece(&self, mut each: impl FnMut(&str, &str)) {
        if !self.bulk {
            Tokens::new(self.seed, self.answer_tokens).for_each(|(space, word)| each(space, word));
            return;
        }
        let piece = BULK_TOKEN.repeat(BULK_TOKENS_PER_EVENT as usize);
        let mut left = self.answer_tokens;
        while left > 0 {
            let tokens = left.min(BULK_TOKENS_PER_EVENT);
            each("", &piece[..tokens as usize * BULK_TOKEN.len()]);
            left -= tokens;
        }
    }
}

/// Where a dialect writes its events: framed for the connection, with the end of each piece remembered for pacing.
pub struct Events<'a> {
    pub out: &'a mut Vec<u8>,
    /// What is paced: a token's event, and what ends the answer. Whoever knows the pace sets their waits.
    pub pieces: &'a mut Vec<Piece>,
    scratch: Vec<u8>,
    chunked: bool,
}

impl<'a> Events<'a> {
    /// Unchunked events are for HTTP/1.0 clients and for compressing: they end with the connection or the buffer.
    pub fn new(out: &'a mut Vec<u8>, pieces: &'a mut Vec<Piece>, chunked: bool) -> Self {
        Self {
            out,
            pieces,
            scratch: Vec::with_capacity(512),
            chunked,
        }
    }

    /// Adds an event that `write` appends.
    pub fn event(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.chunked {
            return write(self.out);
        }
        self.scratch.clear();
        write(&mut self.scratch);
        chunked::write_chunk(self.out, &self.scratch);
    }

    /// What follows is sent one pace later.
    pub fn pace(&mut self) {
        self.pieces.push(Piece {
            end: self.out.len(),
            wait_ns: 0,
        });
    }

    pub fn end(self) {
        if self.chunked {
            self.out.extend_from_slice(chunked::LAST_CHUNK);
        }
        self.pieces.push(Piece {
            end: self.out.len(),
            wait_ns: 0,
        });
    }
}

/// Appends the strings and numbers of `parts`, one after the other.
pub fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// A number's decimal digits.
pub fn digits(number: u64) -> Vec<u8> {
    itoa::Buffer::new().format(number).as_bytes().to_vec()
}

/// Sixteen hexadecimal digits: ids are made of the seed.
pub fn hex(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    for (index, digit) in text.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (60 - 4 * index)) as usize & 15];
    }
    text
}
