//! Listens in on JSON documents that pass in slices, and keeps the objects that stand at a few places near their top.
//!
//! It follows brackets and strings, not the grammar: it is no validator (what it kept is read with the cursor, which
//! is one). Memory is bounded by the limit on what is kept, whatever the size and the depth of the document.

use super::plain::plain_end;
use super::text;

/// The names of the members that lead to an object, the outermost first. Where the document is a list, they begin in
/// its elements.
pub type Place = &'static [&'static str];

/// Names in a place at most.
const MAX_NAMES: usize = 2;
/// Places of one tap at most: each is a bit.
const MAX_PLACES: usize = 8;

/// Keeps the objects at its places, one after the other, each until it is whole.
#[derive(Clone, Debug)]
pub struct Tap {
    places: &'static [Place],
    max_value_bytes: usize,
    /// A byte of a name is at most six in a document: a key that is longer than this is none of them.
    max_key_bytes: usize,
    state: State,
    /// Of the innermost object whose members are looked at: how many lead to it.
    level: usize,
    /// Which places these objects may lead to.
    open: [u8; MAX_NAMES],
    /// Which of them the member under way leads to.
    member: u8,
    in_list: bool,
    keeps: bool,
    value: Vec<u8>,
    /// A key cut between slices, escapes and all.
    cut_key: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the document, and between the elements of a list.
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
    /// Not JSON where it was looked at: nothing is found any more.
    Malformed,
}

impl Tap {
    /// Allocates only when an object is kept (or a key is cut).
    ///
    /// # Panics
    /// When there are more than eight places, or one has no name or more than two.
    pub fn new(places: &'static [Place], max_value_bytes: usize) -> Self {
        assert!(places.len() <= MAX_PLACES, "each place is a bit of eight");
        assert!(
            places.iter().all(|place| (1..=MAX_NAMES).contains(&place.len())),
            "a place is one or two names"
        );
        let longest = places.iter().copied().flatten().map(|name| name.len()).max();
        Self {
            places,
            max_value_bytes,
            max_key_bytes: longest.unwrap_or(0) * 6,
            state: State::Start,
            level: 0,
            open: [u8::MAX; MAX_NAMES],
            member: 0,
            in_list: false,
            keeps: false,
            value: Vec::new(),
            cut_key: Vec::new(),
        }
    }

    /// Ready for another document, whatever came of the last; keeps its allocations.
    pub fn reset(&mut self) {
        (self.state, self.level) = (State::Start, 0);
        (self.in_list, self.keeps) = (false, false);
        self.cut_key.clear();
    }

    /// The next bytes of the document. `on_object` is given the bytes, as they came, of each object that they complete.
    pub fn feed(&mut self, input: &[u8], mut on_object: impl FnMut(&[u8])) {
        let mut at = 0;
        while at < input.len() && self.state != State::Malformed {
            let (next, state) = self.step(input, at);
            if self.keeps {
                self.keep(&input[at..next]);
                if state == State::AfterValue && std::mem::take(&mut self.keeps) {
                    on_object(&self.value);
                }
            }
            (at, self.state) = (next, state);
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
            state => (at + 1, self.between(state, byte)),
        }
    }

    /// The single bytes between keys and values.
    fn between(&mut self, state: State, byte: u8) -> State {
        match (state, byte) {
            (State::Start, b'{') => State::Key { first: true },
            (State::Start, b'[') if !self.in_list => {
                self.in_list = true;
                State::Start
            }
            (State::Start, b',') if self.in_list => State::Start,
            (State::Start, b']') if self.in_list => State::End,
            (State::Key { .. }, b'"') => State::InKey { escaped: false },
            (State::Colon, b':') => State::Value,
            (State::Value, b'"') => State::Text { escaped: false },
            (State::Value, b'{') => self.object_begins(),
            (State::Value, b'[') => State::Nested { depth: 1 },
            (State::Value, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => State::Scalar,
            (State::AfterValue, b',') => State::Key { first: false },
            (State::AfterValue | State::Key { first: true }, b'}') => self.object_ends(),
            _ => State::Malformed,
        }
    }

    fn object_begins(&mut self) -> State {
        let named = self.level + 1;
        let of_length = |wanted: fn(usize, usize) -> bool| {
            let is_wanted =
                |(index, place): (usize, &Place)| wanted(place.len(), named) && self.member >> index & 1 == 1;
            self.places.iter().enumerate().any(is_wanted)
        };
        if of_length(|names, named| names == named) {
            self.keeps = true;
            self.value.clear();
        } else if of_length(|names, named| names > named) {
            self.level = named;
            self.open[named] = self.member;
            return State::Key { first: true };
        }
        State::Nested { depth: 1 }
    }

    fn object_ends(&mut self) -> State {
        match self.level.checked_sub(1) {
            Some(outer) => {
                self.level = outer;
                State::AfterValue
            }
            None if self.in_list => State::Start,
            None => State::End,
        }
    }

    fn in_key(&mut self, input: &[u8], at: usize, escaped: bool) -> (usize, State) {
        let end = text_end(input, at, escaped);
        let part = match end {
            Ok(end) => &input[at..end - 1],
            Err(_) => &input[at..],
        };
        if self.cut_key.is_empty() && end.is_ok() {
            self.member = self.led_to(part);
        } else {
            // One byte more than any name has is enough to know that it is none.
            let room = (self.max_key_bytes + 1).saturating_sub(self.cut_key.len());
            self.cut_key.extend_from_slice(&part[..part.len().min(room)]);
        }
        match end {
            Ok(end) => {
                if !self.cut_key.is_empty() {
                    self.member = self.led_to(&self.cut_key);
                    self.cut_key.clear();
                }
                (end, State::Colon)
            }
            Err(escaped) => (input.len(), State::InKey { escaped }),
        }
    }

    /// Which places a member of this name leads to.
    fn led_to(&self, key: &[u8]) -> u8 {
        let open = self.open[self.level];
        let leads = |(index, place): (usize, &Place)| {
            let named = place.get(self.level).is_some_and(|name| text::is(key, name.as_bytes()));
            u8::from(named && open >> index & 1 == 1) << index
        };
        self.places.iter().enumerate().map(leads).fold(0, |all, one| all | one)
    }

    /// Keeps a part of an object that is wanted; one beyond the limit is let go.
    fn keep(&mut self, part: &[u8]) {
        if self.value.len() + part.len() > self.max_value_bytes {
            self.keeps = false;
            return;
        }
        self.value.extend_from_slice(part);
    }
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
