//! The canonical hash of JSON and of requests: one walk over the bytes, no tree. Two texts that say the same have the same
//! hash: the order of keys, white space, how a character is escaped and how a number is written are nothing. Of a request what
//! does not change its answer is left out (`params`). Knows no cache.
//!
//! What is said has one form, that of most requests as they come: JSON without white space, its members in order, characters
//! as they are but for those that must be escaped, whole numbers in digits. What stands in it so is copied in long runs, or
//! hashed where it lies; only what does not is written anew. No two values have the same form. All is hashed at once: many
//! small pieces given to a hasher cost several times what their bytes do.

use std::{borrow::Cow, ops::Range};

use highway::{HighwayHash as _, HighwayHasher, Key};
use siphasher::sip128::SipHasher13;
use tollgate_config::document::Dialect;
use tollgate_wire::json::{cursor, plain_end};

use super::{
    number,
    params::{self, Rules},
};

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
pub(super) const VERSION: u32 = 3;

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
    let hash = walk.over()?;
    Some(Canon { hash, ..walk.found })
}

/// Of any value.
pub fn value(seed: Seed, json: &[u8]) -> Option<u128> {
    let mut walk = Walk::new(seed, json)?;
    walk.token();
    walk.value(0)?;
    walk.over()
}

/// Before the hash that stands for something long: no byte of UTF-8.
const FOLDED: u8 = 0xfd;

/// Of what a member says, or of the items of an array so far: what is longer stands as its hash. So little is held at once,
/// and little moves where members are put in order, however deep they stand.
const LONGEST_PLAIN_BYTES: usize = 1024;

struct Walk<'a> {
    seed: Seed,
    buf: &'a [u8],
    at: usize,
    /// What was read up to `run`, in its one form.
    said: Vec<u8>,
    /// What stands from here up to `at` is in its one form as it came.
    run: usize,
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
        // What is no UTF-8 is no JSON.
        simdutf8::basic::from_utf8(buf).ok()?;
        Some(Self {
            seed,
            buf,
            at: 0,
            // Two allocations, as a rule: of the room that most requests need at once.
            said: Vec::with_capacity(buf.len().min(4 * LONGEST_PLAIN_BYTES)),
            run: 0,
            members: Vec::with_capacity(32),
            found: Canon::default(),
            passes: false,
        })
    }

    /// Bytes of what was read.
    #[inline(always)]
    fn length(&self) -> usize {
        self.said.len() + (self.at - self.run)
    }

    /// What stands as it came is copied: what comes next does not.
    fn end_run(&mut self) {
        self.said
            .extend_from_slice(self.buf.get(self.run..self.at).unwrap_or_default());
        self.run = self.at;
    }

    /// Passes by so many bytes that say nothing.
    fn leave_out(&mut self, bytes: usize) {
        self.end_run();
        self.at += bytes;
        self.run = self.at;
    }

    /// Takes back what was said from there on.
    fn take_back(&mut self, from: usize) {
        match from.checked_sub(self.said.len()) {
            Some(kept) => {
                let kept = self.buf.get(self.run..self.run + kept).unwrap_or_default();
                self.said.extend_from_slice(kept);
            }
            None => self.said.truncate(from),
        }
        self.run = self.at;
    }

    /// What was said from there on, in its one form.
    fn said_from(&mut self, from: usize) -> Option<&[u8]> {
        match from.checked_sub(self.said.len()) {
            Some(before) => self.buf.get(self.run + before..self.at),
            None => {
                self.end_run();
                self.said.get(from..)
            }
        }
    }

    /// The hash of that.
    fn hash_from(&mut self, from: usize) -> Option<u128> {
        let seed = self.seed;
        self.said_from(from).map(|said| seed.hash(said))
    }

    #[inline(always)]
    fn peek(&self) -> u8 {
        self.buf.get(self.at).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn token(&mut self) -> u8 {
        // One comparison tells most bytes.
        match self.peek() {
            byte if byte > b' ' => byte,
            _ => self.behind_white_space(),
        }
    }

    fn behind_white_space(&mut self) -> u8 {
        self.end_run();
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
        self.run = self.at;
        self.peek()
    }

    #[inline(always)]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.token() == byte).then(|| self.at += 1)
    }

    /// The hash of all of it.
    fn over(&mut self) -> Option<u128> {
        self.token();
        (self.at == self.buf.len()).then_some(())?;
        self.hash_from(0)
    }

    /// An object of settings: those that are null are as good as absent, and those that say what is so anyhow as well. True
    /// where anything is left.
    fn settings(&mut self, rules: &Rules, depth: usize) -> Option<bool> {
        let mut says = false;
        self.each_member(depth, |walk, key| {
            let counts = walk.setting(rules, key, depth)?;
            says |= counts;
            Some(counts)
        })?;
        Some(says)
    }

    /// Does it count?
    fn setting(&mut self, rules: &Rules, key: &[u8], depth: usize) -> Option<bool> {
        if rules.holds_settings(key) && self.peek() == b'{' {
            return self.settings(rules, depth + 1);
        }
        self.passes = rules.passes(key);
        let from = self.length();
        let raw = self.said_by(key, depth)?;
        self.passes = false;
        self.found.samples |= key == params::TEMPERATURE && params::is_above_zero(raw);
        self.found.keeps |= rules.keeps(key, raw);
        if raw == b"null" || rules.leaves_out(key) {
            return Some(false);
        }
        match rules.usual(key) {
            Some(usual) => Some(usual != self.said_from(from)?),
            None => Some(true),
        }
    }

    /// The value of a member, as it came.
    fn said_by(&mut self, key: &[u8], depth: usize) -> Option<&'a [u8]> {
        let start = self.at;
        // The first text that somebody says.
        let begins = self.found.begins.is_none() && self.peek() == b'"' && params::is_said(key);
        self.value(depth + 1)?;
        if begins {
            self.found.begins = Some(start + 1..self.at - 1);
        }
        self.buf.get(start..self.at)
    }

    /// What begins here.
    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > cursor::MAX_DEPTH {
            return None;
        }
        match self.peek() {
            b'"' => self.string(),
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
        Some(())
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        let start = self.length();
        if self.token() != b']' {
            loop {
                self.token();
                self.value(depth + 1)?;
                self.fold(start)?;
                match self.token() {
                    b',' => self.at += 1,
                    _ => break,
                }
            }
        }
        self.take(b']')
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.each_member(depth, |walk, key| {
            // As it is of most members.
            if walk.found.begins.is_some() && !walk.passes {
                return walk.value(depth + 1).map(|()| true);
            }
            let raw = walk.said_by(key, depth)?;
            if walk.passes && key == params::TEMPERATURE {
                walk.found.samples |= params::is_above_zero(raw);
            }
            Some(true)
        })
    }

    /// An object, whose members' values `say` reads: it is given the key, and says whether the member counts.
    fn each_member(&mut self, depth: usize, mut say: impl FnMut(&mut Self, &[u8]) -> Option<bool>) -> Option<()> {
        if depth > cursor::MAX_DEPTH {
            return None;
        }
        let first = self.members.len();
        self.take(b'{')?;
        if self.token() != b'}' {
            let (mut says, mut in_order, mut last) = (false, true, None);
            loop {
                // With its comma; without.
                let before = self.length();
                if says {
                    self.take(b',')?;
                }
                let start = self.length();
                let (key, place) = self.key()?;
                let counts = say(self, &key)?;
                if counts {
                    self.fold(start)?;
                } else {
                    self.take_back(before);
                }
                says |= counts;
                in_order &= last < Some(place);
                last = Some(place);
                self.members.push(Member {
                    key: place,
                    start: if counts { start } else { before },
                    end: self.length(),
                });
                match self.token() {
                    b',' if says => {}
                    b',' => self.leave_out(1),
                    _ => break,
                }
            }
            if !in_order {
                self.order(first)?;
            }
        }
        self.members.truncate(first);
        self.take(b'}')
    }

    /// Of what is said from there on the hash is enough, where it is long. The hash is keyed: nobody can make something else
    /// of the same.
    #[inline(always)]
    fn fold(&mut self, start: usize) -> Option<()> {
        match self.length() - start > LONGEST_PLAIN_BYTES {
            true => self.fold_long(start),
            false => Some(()),
        }
    }

    fn fold_long(&mut self, start: usize) -> Option<()> {
        let hash = self.hash_from(start)?;
        self.take_back(start);
        self.said.push(FOLDED);
        self.said.extend_from_slice(&hash.to_le_bytes());
        Some(())
    }

    /// A key, its colon, and the white space behind that: what the key says, and its place.
    #[inline(always)]
    fn key(&mut self) -> Option<(Cow<'a, [u8]>, u64)> {
        if self.token() != b'"' {
            return None;
        }
        let start = self.at + 1;
        let end = plain_end(self.buf, start);
        let (key, place) = match self.buf.get(end)? {
            b'"' => {
                self.at = end + 1;
                (Cow::Borrowed(self.buf.get(start..end)?), place_of(self.buf, start, end))
            }
            _ => self.escaped_key()?,
        };
        self.take(b':')?;
        self.token();
        Some((key, place))
    }

    #[cold]
    fn escaped_key(&mut self) -> Option<(Cow<'a, [u8]>, u64)> {
        let start = self.at;
        self.string()?;
        let key = cursor::string(self.buf, string_value(start, self.at))?
            .into_owned()
            .into_bytes();
        let place = place_of(&key, 0, key.len());
        Some((Cow::Owned(key), place))
    }

    /// An object is over, whose members stand in no order: they do now, in that of their keys' places. `None` where a key
    /// stands in it twice.
    fn order(&mut self, first: usize) -> Option<()> {
        self.end_run();
        let members = self.members.get_mut(first..)?;
        let (begin, end) = (members.first()?.start, self.said.len());
        members.sort_unstable_by_key(|member| member.key);
        if members.windows(2).any(|pair| pair[0].key == pair[1].key) {
            return None;
        }
        // What was left out takes no place.
        for member in members.iter().filter(|member| member.end > member.start) {
            if self.said.len() > end {
                self.said.push(b',');
            }
            self.said.extend_from_within(member.start..member.end);
        }
        self.said.copy_within(end.., begin);
        self.said.truncate(end);
        Some(())
    }

    /// What a string says, however it is escaped.
    #[inline(always)]
    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            self.at = plain_end(self.buf, self.at);
            match self.buf.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                // No byte of a string.
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.buf.get(self.at + 1)? {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'/' => {
                self.leave_out(1);
                self.at += 1;
            }
            b'u' => return self.escaped_unit(),
            _ => return None,
        }
        Some(())
    }

    fn escaped_unit(&mut self) -> Option<()> {
        self.leave_out(2);
        let unit = self.unit(self.at)?;
        self.leave_out(4);
        let second = || {
            let begins = self.buf.get(self.at..)?.starts_with(b"\\u");
            let low = self.unit(self.at + 2).filter(|_| begins)?;
            (0xdc00..0xe000).contains(&low).then_some(low)
        };
        let code = match unit {
            0xd800..0xdc00 => match second() {
                Some(low) => {
                    self.leave_out(6);
                    0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
                }
                None => unit,
            },
            _ => unit,
        };
        self.say_character(code);
        Some(())
    }

    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.buf.get(at..at + 4)?;
        digits
            .iter()
            .try_fold(0, |unit, &digit| Some(unit << 4 | (digit as char).to_digit(16)?))
    }

    /// As it stands in a string where nothing is escaped that need not be; half a character has no other form.
    fn say_character(&mut self, code: u32) {
        let escaped = match code {
            0x22 | 0x5c => code as u8,
            0x08 => b'b',
            0x09 => b't',
            0x0a => b'n',
            0x0c => b'f',
            0x0d => b'r',
            _ => return self.say_other_character(code),
        };
        self.said.extend_from_slice(&[b'\\', escaped]);
    }

    fn say_other_character(&mut self, code: u32) {
        match char::from_u32(code).filter(|_| code >= 0x20) {
            Some(character) => self
                .said
                .extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            None => {
                self.said.extend_from_slice(b"\\u");
                let digit = |shift: u32| char::from_digit(code >> shift & 15, 16).unwrap_or_default() as u8;
                self.said.extend_from_slice(&[12, 8, 4, 0].map(digit));
            }
        }
    }

    /// What a number is worth: `1`, `1.0` and `10e-1` are one.
    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let mut at = start + usize::from(self.peek() == b'-');
        let digits_at = at;
        while self.buf.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        let is_whole = !matches!(self.buf.get(at), Some(b'.' | b'e' | b'E' | b'+' | b'-'));
        let in_form = match self.buf.get(digits_at) {
            Some(b'1'..=b'9') => at - digits_at <= number::MOST_DIGITS,
            Some(b'0') => at - start == 1,
            _ => false,
        };
        if is_whole && in_form {
            self.at = at;
            return Some(());
        }
        while matches!(self.buf.get(at), Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            at += 1;
        }
        let raw = self.buf.get(start..at)?;
        self.end_run();
        number::write(raw, &mut self.said)?;
        (self.at, self.run) = (at, at);
        Some(())
    }
}

/// Short keys first, as they stand in most requests (`role` before `content`), and of one length by a hash.
#[inline(always)]
fn place_of(buf: &[u8], start: usize, end: usize) -> u64 {
    const LENGTH_SHIFT: u32 = 56;
    // An odd number of many bits (of the golden ratio).
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |mixed: u64, word: u64| {
        let mixed = (mixed ^ word).wrapping_mul(FACTOR);
        mixed ^ mixed >> 32
    };
    let (mut mixed, mut at) = (0, start);
    while end - at > WORD {
        mixed = mix(mixed, word_at(buf, at, WORD));
        at += WORD;
    }
    let mixed = mix(mixed, word_at(buf, at, end - at));
    ((end - start).min(255) as u64) << LENGTH_SHIFT | mixed >> (u64::BITS - LENGTH_SHIFT)
}

const WORD: usize = size_of::<u64>();

/// So many bytes, one word at most.
#[inline(always)]
fn word_at(buf: &[u8], at: usize, bytes: usize) -> u64 {
    let rest = buf.get(at..).unwrap_or_default();
    match (rest.first_chunk(), bytes) {
        (_, 0) => 0,
        // What stands behind is none of it.
        (Some(word), _) => u64::from_le_bytes(*word) & u64::MAX >> (u64::BITS - 8 * bytes as u32),
        (None, _) => rest
            .iter()
            .take(bytes)
            .rev()
            .fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

fn string_value(start: usize, end: usize) -> cursor::Value {
    cursor::Value {
        span: tollgate_wire::Span::new(start, end),
        kind: cursor::Kind::String,
    }
}
