//! Listens in on a JSON document that passes in slices, and keeps one top-level member's value.
//!
//! It follows brackets and strings, not the grammar: it is no validator (what it kept is read with the cursor, which
//! is one). Memory is bounded by the value's limit, whatever the document's size.

use super::cursor::MAX_DEPTH;
use super::scan::plain_end;
use super::text;

/// What a tap has to show. Final once the document has been fed whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tapped<'a> {
    /// No such member so far.
    Absent,
    /// Its value's bytes, as they came.
    Value(&'a [u8]),
    /// The member began, and the document has not gone on to its end.
    Unfinished,
    /// Its value is longer than the limit.
    TooLong,
    /// It occurs more than once: readers would differ on which counts.
    Twice,
    /// The document is not an object, or not JSON where it was looked at.
    Malformed,
}

/// Keeps the raw value of the top-level member `key`.
#[derive(Clone, Debug)]
pub struct Tap {
    key: &'static str,
    max_value_bytes: usize,
    state: State,
    found: Found,
    value: Vec<u8>,
    /// A top-level key cut between slices, escapes and all.
    cut_key: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    /// Before a key; the object may end instead where it just began.
    Key {
        first: bool,
    },
    InKey {
        escaped: bool,
    },
    Colon,
    Value,
    /// In a number or literal.
    Scalar,
    Text {
        escaped: bool,
    },
    /// In containers, this many deep inside the value.
    Nested {
        depth: usize,
    },
    NestedText {
        depth: usize,
        escaped: bool,
    },
    AfterValue,
    End,
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    No,
    /// The value is wanted and passing.
    Passing,
    Whole,
    TooLong,
    Twice,
}

impl Tap {
    /// Allocates only when the value passes (or a key is cut).
    pub fn new(key: &'static str, max_value_bytes: usize) -> Self {
        let (value, cut_key) = (Vec::new(), Vec::new());
        Self {
            key,
            max_value_bytes,
            state: State::Start,
            found: Found::No,
            value,
            cut_key,
        }
    }

    /// Ready for another document; keeps its allocations.
    pub fn reset(&mut self) {
        (self.state, self.found) = (State::Start, Found::No);
        self.value.clear();
        self.cut_key.clear();
    }

    /// The next bytes of the document.
    pub fn feed(&mut self, input: &[u8]) {
        let mut at = 0;
        while at < input.len() {
            let (next, state) = self.step(input, at);
            if self.found == Found::Passing {
                self.keep(&input[at..next], state);
            }
            (at, self.state) = (next, state);
            if matches!(state, State::Malformed) {
                return;
            }
        }
    }

    pub fn outcome(&self) -> Tapped<'_> {
        match (self.state, self.found) {
            (State::Malformed, _) => Tapped::Malformed,
            (_, Found::No) => Tapped::Absent,
            (_, Found::Passing) => Tapped::Unfinished,
            (_, Found::Whole) => Tapped::Value(&self.value),
            (_, Found::TooLong) => Tapped::TooLong,
            (_, Found::Twice) => Tapped::Twice,
        }
    }

    /// From `at` to where the state changes or the input ends.
    #[inline]
    fn step(&mut self, input: &[u8], at: usize) -> (usize, State) {
        let byte = input[at];
        match self.state {
            State::InKey { escaped } => self.in_key(input, at, escaped),
            State::Text { escaped } => match text_end(input, at, escaped) {
                Ok(end) => (end, State::AfterValue),
                Err(escaped) => (input.len(), State::Text { escaped }),
            },
            State::NestedText { depth, escaped } => match text_end(input, at, escaped) {
                Ok(end) => (end, State::Nested { depth }),
                Err(escaped) => (input.len(), State::NestedText { depth, escaped }),
            },
            State::Nested { depth } => nested(input, at, depth),
            State::Scalar if matches!(byte, b',' | b'}') => (at, State::AfterValue),
            State::Scalar if is_space(byte) => (at, State::AfterValue),
            State::Scalar => (at + 1, State::Scalar),
            state if is_space(byte) => (at + 1, state),
            state => between(state, byte, at),
        }
    }

    fn in_key(&mut self, input: &[u8], at: usize, escaped: bool) -> (usize, State) {
        let end = text_end(input, at, escaped);
        let part = &input[at..*end.as_ref().unwrap_or(&input.len())];
        let Ok(end) = end else {
            // A byte of the wanted key is at most six in the document: a longer one cannot be it.
            let room = (self.key.len() * 6 + 1).saturating_sub(self.cut_key.len());
            self.cut_key.extend_from_slice(&part[..part.len().min(room)]);
            return (
                input.len(),
                State::InKey {
                    escaped: end.is_err_and(|escaped| escaped),
                },
            );
        };
        let part = &part[..part.len() - 1];
        let is_wanted = if self.cut_key.is_empty() {
            text::is(part, self.key.as_bytes())
        } else {
            let room = (self.key.len() * 6 + 1).saturating_sub(self.cut_key.len());
            self.cut_key.extend_from_slice(&part[..part.len().min(room)]);
            text::is(&self.cut_key, self.key.as_bytes())
        };
        self.cut_key.clear();
        if is_wanted {
            self.found = if self.found == Found::No {
                Found::Passing
            } else {
                Found::Twice
            };
        }
        (end, State::Colon)
    }

    /// Keeps a part of the wanted value: what was passed from `self.state` on, ending in `next`.
    fn keep(&mut self, part: &[u8], next: State) {
        let in_value = |state| {
            matches!(
                state,
                State::Scalar | State::Text { .. } | State::Nested { .. } | State::NestedText { .. }
            )
        };
        if !in_value(self.state) && !in_value(next) {
            return;
        }
        if self.value.len() + part.len() > self.max_value_bytes {
            self.found = Found::TooLong;
            self.value.clear();
            return;
        }
        self.value.extend_from_slice(part);
        if next == State::AfterValue {
            self.found = Found::Whole;
        }
    }
}

/// The single bytes between top-level keys and values.
fn between(state: State, byte: u8, at: usize) -> (usize, State) {
    let next = match (state, byte) {
        (State::Start, b'{') => State::Key { first: true },
        (State::Key { .. }, b'"') => State::InKey { escaped: false },
        (State::Key { first: true }, b'}') => State::End,
        (State::Colon, b':') => State::Value,
        (State::Value, b'"') => State::Text { escaped: false },
        (State::Value, b'{' | b'[') => State::Nested { depth: 1 },
        (State::Value, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => State::Scalar,
        (State::AfterValue, b',') => State::Key { first: false },
        (State::AfterValue, b'}') => State::End,
        _ => State::Malformed,
    };
    (at + 1, next)
}

/// Behind the quote that ends a string; or, when it is not in the input, whether that ends in a backslash.
#[inline(always)]
fn text_end(input: &[u8], mut at: usize, escaped: bool) -> Result<usize, bool> {
    at += usize::from(escaped);
    while at < input.len() {
        at = plain_end(input, at);
        match input.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') if at + 1 == input.len() => return Err(true),
            Some(b'\\') => at += 2,
            _ => at += 1,
        }
    }
    Err(false)
}

/// To the end of the value or of the input.
fn nested(input: &[u8], mut at: usize, mut depth: usize) -> (usize, State) {
    while at < input.len() {
        let byte = input[at];
        at += 1;
        match byte {
            b'"' => match text_end(input, at, false) {
                Ok(end) => at = end,
                Err(escaped) => return (input.len(), State::NestedText { depth, escaped }),
            },
            b'{' | b'[' if depth == MAX_DEPTH => return (at, State::Malformed),
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return (at, State::AfterValue),
            b'}' | b']' => depth -= 1,
            // Digits begin the long runs without structure: vectors of embeddings.
            b'0'..=b'9' => at += flat_len(&input[at..]),
            _ => {}
        }
    }
    (at, State::Nested { depth })
}

/// How many bytes, by whole blocks, hold neither a bracket nor a quote.
#[inline]
fn flat_len(input: &[u8]) -> usize {
    const BLOCK: usize = 32;
    // `[` and `{`, `]` and `}` differ in one bit.
    let least = |block: &[u8; BLOCK]| {
        let distance = |byte: &u8| ((byte | 0x20) ^ b'{').min((byte | 0x20) ^ b'}').min(byte ^ b'"');
        block.iter().fold(u8::MAX, |least, byte| least.min(distance(byte)))
    };
    input
        .as_chunks::<BLOCK>()
        .0
        .iter()
        .take_while(|block| least(block) != 0)
        .count()
        * BLOCK
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
