//! What the sandbox says, before a dialect gives it a shape: the tokens, why they end, and where events go.
//!
//! A text of more than four tokens ends with the four words of its checksum (`crate::signed_text`), which are tokens
//! of it like any other.

use tollgate_wire::http1::chunked;

use super::{
    answer::Piece,
    ask::Ask,
    fault::Wishes,
    text::{PromptCount, Tokens},
};
use crate::signed_text::{CHECK_WORDS, check_words};

/// When every answer was made: a constant, so that the same request gives the same bytes.
pub const CREATED_UNIX_S: u64 = 1_767_225_600;
/// The same as people write it.
pub const CREATED_RFC_3339: &str = "2026-01-01T00:00:00Z";

/// One token of a bulk answer; the first goes without the space.
const BULK_TOKEN: &str = " sandbox";
/// Tokens that one event of a bulk stream carries.
const BULK_TOKENS_PER_EVENT: u64 = 128;

/// An answer's content.
pub struct Reply<'a> {
    pub model_json: &'a [u8],
    pub seed: u64,
    pub prompt_tokens: u64,
    pub answer_tokens: u64,
    pub max_tokens: Option<u64>,
    /// The request's limit ended it.
    pub cut_by_limit: bool,
    /// The caller wants a text of some length.
    pub is_wanted: bool,
    bulk: bool,
    /// Of the whole text, so many bytes and tokens were said before.
    said: (usize, u64),
}

impl<'a> Reply<'a> {
    pub fn new(ask: &'a Ask, wishes: &Wishes) -> Self {
        let seed = ask.prompt.seed;
        let wanted = match wishes.answer_bytes {
            Some(bytes) => bytes.div_ceil(BULK_TOKEN.len() as u64),
            None => wishes.tokens.unwrap_or(16 + seed % 17),
        };
        let allowed = ask.max_tokens.unwrap_or(u64::MAX);
        Self {
            model_json: &ask.model_json,
            seed,
            prompt_tokens: ask.prompt.tokens,
            answer_tokens: wanted.min(allowed),
            max_tokens: ask.max_tokens,
            cut_by_limit: allowed < wanted,
            is_wanted: wishes.tokens.is_some() || wishes.answer_bytes.is_some(),
            bulk: wishes.answer_bytes.is_some(),
            said: (0, 0),
        }
    }

    /// Says the rest of an answer whose beginning is one of the conversation's last two texts, the other being what asks
    /// for that.
    pub fn go_on(&mut self, ask: &Ask, wishes: &Wishes, body: &[u8]) {
        for heard in ask.prompt.last {
            let Some(text) = body.get(heard.start..heard.end).filter(|text| !text.is_empty()) else {
                continue;
            };
            let begun = Reply {
                seed: heard.seed_before,
                answer_tokens: wishes.tokens.unwrap_or(16 + heard.seed_before % 17),
                ..*self
            };
            let mut whole = Vec::new();
            begun.write_text(&mut whole);
            // The texts of answers have no escapes.
            if whole.starts_with(text) {
                let mut said = PromptCount::default();
                said.add_json_string(text);
                let answer_tokens = begun.answer_tokens.saturating_sub(said.tokens);
                *self = Reply {
                    answer_tokens,
                    cut_by_limit: false,
                    said: (text.len(), begun.answer_tokens - answer_tokens),
                    ..begun
                };
                return;
            }
        }
    }

    /// Appends the text; it needs no JSON escape.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.write_whole_text(out);
        let rest = (start + self.said.0).min(out.len());
        out.drain(start..rest);
    }

    fn write_whole_text(&self, out: &mut Vec<u8>) {
        let start = out.len();
        if self.bulk {
            let text = BULK_TOKEN.repeat(self.unsigned_tokens() as usize);
            out.extend_from_slice(text.trim_start().as_bytes());
        } else {
            for (space, word) in Tokens::new(self.seed, self.unsigned_tokens()) {
                out.extend_from_slice(space.as_bytes());
                out.extend_from_slice(word.as_bytes());
            }
        }
        if self.is_signed() {
            for word in check_words(crc32fast::hash(&out[start..])) {
                put(out, &[b" ", word.as_bytes()]);
            }
        }
    }

    /// Calls `each` with the text of every event of a stream: the white space before it, and one token; of a bulk
    /// answer 128 tokens.
    pub fn each_piece(&self, mut each: impl FnMut(&str, &str)) {
        let mut crc = crc32fast::Hasher::new();
        let mut said = self.said.0;
        let mut say = |space: &str, text: &str| {
            let (before, within) = (said.min(space.len()), said.saturating_sub(space.len()).min(text.len()));
            said -= before + within;
            if before + within < space.len() + text.len() {
                each(&space[before..], &text[within..]);
            }
        };
        self.each_unsigned_piece(|space, text| {
            crc.update(space.as_bytes());
            crc.update(text.as_bytes());
            say(space, text);
        });
        if self.is_signed() {
            check_words(crc.finalize()).iter().for_each(|word| say(" ", word));
        }
    }

    /// The same without the checksum.
    pub fn each_unsigned_piece(&self, mut each: impl FnMut(&str, &str)) {
        if self.bulk {
            let piece = BULK_TOKEN.repeat(BULK_TOKENS_PER_EVENT as usize);
            let mut left = self.unsigned_tokens();
            while left > 0 {
                let tokens = left.min(BULK_TOKENS_PER_EVENT);
                let text = &piece[..tokens as usize * BULK_TOKEN.len()];
                each(
                    "",
                    if left == self.unsigned_tokens() {
                        text.trim_start()
                    } else {
                        text
                    },
                );
                left -= tokens;
            }
        } else {
            Tokens::new(self.seed, self.unsigned_tokens()).for_each(|(space, word)| each(space, word));
        }
    }

    fn is_signed(&self) -> bool {
        self.all_tokens() > CHECK_WORDS as u64
    }

    /// With those that were said before.
    fn all_tokens(&self) -> u64 {
        self.answer_tokens + self.said.1
    }

    /// Tokens before the checksum.
    fn unsigned_tokens(&self) -> u64 {
        match self.is_signed() {
            true => self.all_tokens() - CHECK_WORDS as u64,
            false => self.all_tokens(),
        }
    }
}

/// Where a dialect writes its events: framed for the connection, with the end of each piece remembered for pacing.
pub struct Events<'a> {
    out: &'a mut Vec<u8>,
    /// Where something paced ends: a token's event, and the answer.
    pieces: &'a mut Vec<Piece>,
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

    pub fn end(mut self) {
        if self.chunked {
            self.out.extend_from_slice(chunked::LAST_CHUNK);
        }
        self.pace();
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

/// An id in the shape of a UUID.
pub fn uuid(seed: u64) -> [u8; 36] {
    let (high, low) = (hex(seed), hex(seed.rotate_left(32) ^ 0x9e37_79b9_7f4a_7c15));
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&high[..8]);
    text[9..13].copy_from_slice(&high[8..12]);
    text[14..18].copy_from_slice(&high[12..]);
    text[19..23].copy_from_slice(&low[..4]);
    text[24..].copy_from_slice(&low[4..]);
    (text[14], text[19]) = (b'4', b'8');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed_text::{Verdict, judge};

    fn reply(tokens: u64, bytes: Option<u64>) -> Reply<'static> {
        Reply {
            model_json: b"\"m\"",
            seed: 7919,
            prompt_tokens: 1,
            answer_tokens: tokens,
            max_tokens: None,
            cut_by_limit: false,
            is_wanted: true,
            bulk: bytes.is_some(),
            said: (0, 0),
        }
    }

    #[test]
    fn texts_are_signed_and_streams_say_the_same() {
        for (tokens, bulk, verdict) in [
            (0, None, Verdict::Unsigned),
            (4, None, Verdict::Unsigned),
            (5, None, Verdict::Right),
            (40, None, Verdict::Right),
            (4, Some(32), Verdict::Unsigned),
            (1000, Some(8000), Verdict::Right),
        ] {
            let reply = reply(tokens, bulk);
            let (mut whole, mut streamed) = (Vec::new(), String::new());
            reply.write_text(&mut whole);
            reply.each_piece(|space, text| streamed += &format!("{space}{text}"));
            assert_eq!(String::from_utf8_lossy(&whole), streamed);
            assert_eq!(judge(&whole), verdict, "{streamed}");
            assert_eq!(
                super::super::text::PromptCount::of(&streamed).tokens,
                tokens,
                "{streamed}"
            );
        }
    }
}
