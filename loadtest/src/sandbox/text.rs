//! Deterministic text and the tokenizer it is counted with. Knows nothing of HTTP or of dialects.
//!
//! A token is a run of letters, digits and bytes over 127, or one other visible character; white space belongs to
//! the token after it. So the tokens of a text are countable in one pass and the same wherever it is cut at tokens.

use tollgate_wire::json::edit;

use crate::signed_text::WORDS;

/// A running hash and token count over a prompt that arrives as raw JSON string contents.
#[derive(Clone, Copy, Debug)]
pub struct PromptCount {
    pub tokens: u64,
    pub seed: u64,
    /// There are pictures, calls, results or signatures in it.
    pub is_beyond_text: bool,
    /// The last two texts.
    pub last: [Heard; 2],
}

/// A text of a prompt: what was counted before it, and where it stands in the body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard {
    pub seed_before: u64,
    pub start: usize,
    pub end: usize,
}

impl Default for PromptCount {
    fn default() -> Self {
        Self {
            tokens: 0,
            seed: 0xcbf2_9ce4_8422_2325,
            is_beyond_text: false,
            last: Default::default(),
        }
    }
}

impl PromptCount {
    /// The count of one text.
    pub fn of(text: &str) -> Self {
        let mut quoted = Vec::with_capacity(text.len() + 2);
        edit::write_string(&mut quoted, text);
        let mut count = Self::default();
        count.add_json_string(&quoted[1..quoted.len() - 1]);
        count
    }

    /// The same, of a string that stands at `start` in the body.
    pub fn hear_json_string(&mut self, raw: &[u8], start: usize) {
        self.last = [
            Heard {
                seed_before: self.seed,
                start,
                end: start + raw.len(),
            },
            self.last[0],
        ];
        self.add_json_string(raw);
    }

    /// Adds the content of one JSON string, without its quotes and with its escapes.
    pub fn add_json_string(&mut self, raw: &[u8]) {
        let mut in_word = false;
        let mut at = 0;
        while at < raw.len() {
            let (class, width) = classify(raw, at);
            match class {
                Class::Word => self.tokens += u64::from(!in_word),
                Class::Mark => self.tokens += 1,
                Class::Space => {}
            }
            in_word = class == Class::Word;
            at += width;
        }
        for piece in raw.chunks(8) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            self.seed = (self.seed ^ u64::from_le_bytes(word))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Mark,
    Space,
}

/// The class of the character at `at` and how many raw bytes it takes, escapes considered.
fn classify(raw: &[u8], at: usize) -> (Class, usize) {
    match raw[at] {
        b'\\' => match raw.get(at + 1) {
            Some(b'n' | b't' | b'r' | b'f' | b'b') => (Class::Space, 2),
            Some(b'u') => (Class::Word, 6),
            _ => (Class::Mark, 2),
        },
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | 0x80..=0xff => (Class::Word, 1),
        b' ' => (Class::Space, 1),
        _ => (Class::Mark, 1),
    }
}

/// Yields the tokens of an answer, each with the space before it. The text needs no JSON escape.
pub struct Tokens {
    state: u64,
    left: u64,
    first: bool,
    since_mark: u32,
}

impl Tokens {
    pub fn new(seed: u64, count: u64) -> Self {
        Self {
            state: seed | 1,
            left: count,
            first: true,
            since_mark: 0,
        }
    }
}

impl Iterator for Tokens {
    type Item = (&'static str, &'static str);

    /// The white space before the token, and the token.
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // xorshift64*: small, seeded, and the same on every machine.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let draw = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let ends_sentence = self.since_mark >= 4 && (draw >> 8) & 3 == 0 || self.since_mark >= 12;
        if ends_sentence {
            self.since_mark = 0;
            return Some(("", "."));
        }
        self.since_mark += 1;
        let space = if self.first { "" } else { " " };
        self.first = false;
        Some((space, WORDS[(draw >> 58) as usize]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> u64 {
        let mut prompt = PromptCount::default();
        prompt.add_json_string(text.as_bytes());
        prompt.tokens
    }

    #[test]
    fn tokens_are_words_and_marks() {
        for (text, tokens) in [
            ("", 0),
            ("hello", 1),
            ("hello, world!", 4),
            ("a  b\\nc", 3),
            ("caf\u{e9} \\u00e9", 2),
        ] {
            assert_eq!(count(text), tokens, "{text:?}");
        }
    }

    #[test]
    fn an_answer_counts_as_many_tokens_as_it_was_made_of() {
        for seed in 0..200 {
            let text: String = Tokens::new(seed * 7919, 57)
                .map(|(space, word)| format!("{space}{word}"))
                .collect();
            assert_eq!(count(&text), 57, "{text}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_text_and_another_seed_another() {
        let text = |seed| Tokens::new(seed, 20).map(|(_, word)| word).collect::<Vec<_>>();
        assert_eq!(text(12345), text(12345));
        assert_ne!(text(12345), text(99999));
    }
}
