//! The canonical hash of JSON and of requests: one walk over the bytes, no tree. Two texts that say the same have the same
//! hash: the order of keys, white space, how a character is escaped and how a number is written are nothing. Of a request what
//! does not change its answer is left out (`params`). Knows no cache.
//!
//! What is said is written anew, each value in the one form that it has here, and that is hashed at once: many small pieces
//! given to a hasher cost several times what their bytes do. No two values have the same form: each begins with a mark, texts,
//! numbers and objects end with bytes that are in no text.

use std::{borrow::Cow, ops::Range};

use highway::{HighwayHash as _, HighwayHasher, Key};
use siphasher::sip128::SipHasher13;
use tollgate_config::{document::Dialect, fnv::Fnv};
use tollgate_wire::json::{cursor, plain_end};

use super::params::{self, Rules};

/// Drawn once for a process, so that nobody can make two requests whose hashes are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub [u64; 2]);

impl Seed {
    /// For what comes in small pieces.
    pub(crate) fn hasher(self) -> SipHasher13 {
        let [one, other] = self.0;
        SipHasher13::new_with_keys(one, other)
    }

    /// For what lies in one: HighwayHash (Alakuijala, Cox and Wassenberg, 2016), a keyed hash as SipHash is, made for wide
    /// registers; the same on every machine.
    pub(super) fn hash(self, bytes: &[u8]) -> u128 {
        let [one, other] = self.0;
        let [low, high] = HighwayHasher::new(Key([one, other, one, other])).hash128(bytes);
        u128::from(high) << 64 | u128::from(low)
    }
}

/// Of the form that is hashed: names of another one are of no use.
pub(super) const VERSION: u32 = 2;

/// What is known of a request by its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Canon {
    pub hash: u128,
    /// It says a temperature above zero.
    pub samples: bool,
    /// It wants its answer kept at the provider.
    pub keeps: bool,
    /// Where its first words stand, as they are escaped.
    pub begins: Option<Range<usize>>,
}

/// What cannot be said canonically: a key that stands twice in one object, which two readers may read differently, and what
/// is no JSON at all.
pub fn request(seed: Seed, dialect: Dialect, body: &[u8]) -> Option<Canon> {
    let mut walk = Walk::new(seed, body)?;
    walk.settings(params::of(dialect), 0)?;
    walk.is_over()?;
    Some(Canon {
        hash: seed.hash(&walk.said),
        ..walk.found
    })
}

/// Of any value.
pub fn value(seed: Seed, json: &[u8]) -> Option<u128> {
    let mut walk = Walk::new(seed, json)?;
    walk.value(0)?;
    walk.is_over()?;
    Some(seed.hash(&walk.said))
}

// None of these is in UTF-8.
/// Ends texts and numbers.
const END: u8 = 0xff;
/// Begins half a character, which no text has.
const HALF: u8 = 0xfe;
/// Before the hash that stands for something long.
const FOLDED: u8 = 0xfd;
/// Ends objects.
const CLOSE: u8 = 0xfc;

/// Of what a member says, or of the items of an array so far: what is longer stands as its hash. So little is held at once,
/// and little moves where members are put in order, however deep they stand.
const LONGEST_PLAIN_BYTES: usize = 1024;

struct Walk<'a> {
    seed: Seed,
    text: &'a str,
    buf: &'a [u8],
    at: usize,
    /// What was read, in its one form.
    said: Vec<u8>,
    /// Of all objects that are open, the innermost last.
    members: Vec<Member>,
    found: Canon,
    /// What comes goes to the model as it is.
    passes: bool,
}

/// By the place of its key, by which the members of an object are put in order; and where it stands in what is said.
struct Member {
    key: u64,
    start: usize,
    end: usize,
}

impl<'a> Walk<'a> {
    fn new(seed: Seed, buf: &'a [u8]) -> Option<Self> {
        Some(Self {
            seed,
            text: simdutf8::basic::from_utf8(buf).ok()?,
            buf,
            at: 0,
            // Two allocations, as a rule: of the room that most requests need at once.
            said: Vec::with_capacity(buf.len().min(4 * LONGEST_PLAIN_BYTES)),
            members: Vec::with_capacity(32),
            found: Canon::default(),
            passes: false,
        })
    }

    fn peek(&self) -> u8 {
        self.buf.get(self.at).copied().unwrap_or(0)
    }

    fn token(&mut self) -> u8 {
        loop {
            let byte = self.peek();
            // One comparison tells most bytes.
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return byte;
            }
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.token() == byte).then(|| self.at += 1)
    }

    fn is_over(&mut self) -> Option<()> {
        self.token();
        (self.at == self.buf.len()).then_some(())
    }

    /// An object of settings: those that are null are as good as absent, and those that say what is so anyhow as well. True
    /// where anything is left.
    fn settings(&mut self, rules: &Rules, depth: usize) -> Option<bool> {
        let mut says = false;
        self.each_member(depth, |walk, key, start| {
            let counts = walk.setting(rules, key, depth)?;
            says |= counts;
            if !counts {
                walk.said.truncate(start);
            }
            Some(())
        })?;
        Some(says)
    }

    /// Does it count?
    fn setting(&mut self, rules: &Rules, key: &str, depth: usize) -> Option<bool> {
        let start = self.at;
        if rules.holds_settings(key) && self.peek() == b'{' {
            return self.settings(rules, depth + 1);
        }
        self.note_beginning(key);
        self.passes = rules.passes(key);
        self.value(depth + 1)?;
        self.passes = false;
        let raw = self.buf.get(start..self.at)?;
        self.found.samples |= key == params::TEMPERATURE && params::is_above_zero(raw);
        self.found.keeps |= rules.keeps(key, raw);
        Some(raw != b"null" && !rules.leaves_out(key) && !rules.is_default(key, raw))
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > cursor::MAX_DEPTH {
            return None;
        }
        match self.token() {
            b'"' => {
                self.said.push(b'"');
                self.string()
            }
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.buf.get(self.at..)?.strip_prefix(word)?;
        self.at += word.len();
        self.said.push(word[0]);
        Some(())
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.said.push(b'[');
        let start = self.said.len();
        self.at += 1;
        if self.token() != b']' {
            loop {
                self.value(depth + 1)?;
                self.fold(start);
                match self.token() {
                    b',' => self.at += 1,
                    _ => break,
                }
            }
        }
        self.said.push(b']');
        self.take(b']')
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.each_member(depth, |walk, key, _| {
            walk.note_beginning(key);
            let start = walk.at;
            walk.value(depth + 1)?;
            if walk.passes && key == params::TEMPERATURE {
                walk.found.samples |= params::is_above_zero(walk.buf.get(start..walk.at)?);
            }
            Some(())
        })
    }

    /// An object, whose members' values `say` reads: it is given the key, and where in what is said the member begins.
    fn each_member(&mut self, depth: usize, mut say: impl FnMut(&mut Self, &str, usize) -> Option<()>) -> Option<()> {
        if depth > cursor::MAX_DEPTH {
            return None;
        }
        let first = self.members.len();
        self.take(b'{')?;
        self.said.push(b'{');
        if self.token() != b'}' {
            loop {
                let start = self.said.len();
                let key = self.key()?;
                self.said.extend_from_slice(key.as_bytes());
                self.said.push(END);
                say(self, &key, start)?;
                self.fold(start);
                self.members.push(Member {
                    key: place_of(&key),
                    start,
                    end: self.said.len(),
                });
                match self.token() {
                    b',' => self.at += 1,
                    _ => break,
                }
            }
        }
        self.take(b'}')?;
        self.order(first)?;
        self.said.push(CLOSE);
        Some(())
    }

    /// Of what is said from there on the hash is enough, where it is long. The hash is keyed: nobody can make something else
    /// of the same.
    fn fold(&mut self, start: usize) {
        if self.said.len() - start > LONGEST_PLAIN_BYTES {
            let hash = self.seed.hash(&self.said[start..]);
            self.said.truncate(start);
            self.said.push(FOLDED);
            self.said.extend_from_slice(&hash.to_le_bytes());
        }
    }

    /// A key, its colon, and the white space behind that.
    fn key(&mut self) -> Option<Cow<'a, str>> {
        self.take(b'"')?;
        let plain = plain_end(self.buf, self.at);
        let key = match self.buf.get(plain)? {
            b'"' => {
                let key = self.text.get(self.at..plain)?;
                self.at = plain + 1;
                Cow::Borrowed(key)
            }
            _ => {
                let end = self.string_end(plain)?;
                let start = self.at - 1;
                self.at = end;
                cursor::string(self.buf, string_value(start, end))?
            }
        };
        self.take(b':')?;
        self.token();
        Some(key)
    }

    /// An object is over: its members stand in the order of their keys' places. `None` where a key stands in it twice.
    fn order(&mut self, first: usize) -> Option<()> {
        let members = self.members.get_mut(first..)?;
        if members.windows(2).any(|pair| pair[0].key >= pair[1].key) {
            let (begin, end) = (members.first()?.start, self.said.len());
            members.sort_unstable_by_key(|member| member.key);
            if members.windows(2).any(|pair| pair[0].key == pair[1].key) {
                return None;
            }
            for member in &*members {
                self.said.extend_from_within(member.start..member.end);
            }
            self.said.copy_within(end.., begin);
            self.said.truncate(end);
        }
        self.members.truncate(first);
        Some(())
    }

    /// Behind the closing quote of the string that goes on at `at`.
    fn string_end(&self, mut at: usize) -> Option<usize> {
        loop {
            at = plain_end(self.buf, at);
            match self.buf.get(at)? {
                b'"' => return Some(at + 1),
                b'\\' => at += 2,
                // No byte of a string.
                _ => return None,
            }
        }
    }

    /// What a string says, however it is escaped.
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            let plain = plain_end(self.buf, self.at);
            self.said.extend_from_slice(self.buf.get(self.at..plain)?);
            self.at = plain + 1;
            match self.buf.get(plain)? {
                b'"' => {
                    self.said.push(END);
                    return Some(());
                }
                b'\\' => self.escape()?,
                // No byte of a string.
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let what = self.peek();
        self.at += 1;
        let byte = match what {
            b'"' | b'\\' | b'/' => what,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.escaped_unit(),
            _ => return None,
        };
        self.said.push(byte);
        Some(())
    }

    fn escaped_unit(&mut self) -> Option<()> {
        let unit = self.unit(self.at)?;
        self.at += 4;
        let second = || {
            let begins = self.buf.get(self.at..)?.starts_with(b"\\u");
            let low = self.unit(self.at + 2).filter(|_| begins)?;
            (0xdc00..0xe000).contains(&low).then_some(low)
        };
        let code = match unit {
            0xd800..0xdc00 => match second() {
                Some(low) => {
                    self.at += 6;
                    0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                }
                None => unit,
            },
            _ => unit,
        };
        match char::from_u32(code) {
            Some(character) => self
                .said
                .extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            None => {
                self.said.push(HALF);
                self.said.extend_from_slice(&code.to_le_bytes());
            }
        }
        Some(())
    }

    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.buf.get(at..at + 4)?;
        digits
            .iter()
            .try_fold(0, |unit, &digit| Some(unit << 4 | (digit as char).to_digit(16)?))
    }

    /// What a number is worth: `1`, `1.0` and `10e-1` are one.
    fn number(&mut self) -> Option<()> {
        let start = self.at;
        while matches!(self.peek(), b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
            self.at += 1;
        }
        let raw = self.buf.get(start..self.at).filter(|raw| !raw.is_empty())?;
        self.said.push(b'#');
        let (negative, unsigned) = match raw.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, raw),
        };
        let exponent_at = unsigned.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, exponent) = match exponent_at {
            Some(at) => (
                &unsigned[..at],
                str::from_utf8(&unsigned[at + 1..]).ok()?.parse::<i64>(),
            ),
            None => (unsigned, Ok(0)),
        };
        let point = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
        let Some(first) = mantissa.iter().position(|byte| (b'1'..=b'9').contains(byte)) else {
            self.said.extend_from_slice(&[b'0', END]);
            return Some(());
        };
        let last = mantissa.iter().rposition(|byte| (b'1'..=b'9').contains(byte))?;
        // Of the first digit that counts.
        let place = match first < point {
            true => (point - first) as i64 - 1,
            false => point as i64 - first as i64,
        };
        let Some(place) = exponent.ok().and_then(|exponent| exponent.checked_add(place)) else {
            // Of a size that nobody means.
            self.said.extend_from_slice(raw);
            self.said.push(END);
            return Some(());
        };
        self.said.push(if negative { b'-' } else { b'+' });
        for part in mantissa[first..=last].split(|&byte| byte == b'.') {
            self.said.extend_from_slice(part);
        }
        self.said.push(END);
        self.said.extend_from_slice(&place.to_le_bytes());
        Some(())
    }

    /// The first text that somebody says.
    fn note_beginning(&mut self, key: &str) {
        if self.found.begins.is_none() && self.peek() == b'"' && params::is_said(key) {
            self.found.begins = self.string_end(self.at + 1).map(|end| self.at + 1..end - 1);
        }
    }
}

/// Short keys first, as they stand in most requests (`role` before `content`), and of one length by a hash.
fn place_of(key: &str) -> u64 {
    const LENGTH_SHIFT: u32 = 56;
    (key.len().min(255) as u64) << LENGTH_SHIFT | Fnv::of(key.as_bytes()) >> (u64::BITS - LENGTH_SHIFT)
}

fn string_value(start: usize, end: usize) -> cursor::Value {
    cursor::Value {
        span: tollgate_wire::Span::new(start, end),
        kind: cursor::Kind::String,
    }
}
