//! The canonical hash of JSON and of requests: one walk over the bytes, no tree. Two texts that say the same have the same
//! hash: the order of keys, white space, how a character is escaped and how a number is written are nothing. Of a request what
//! does not change its answer is left out (`params`). Knows no cache.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::{borrow::Cow, hash::Hasher, ops::Range};

use memchr::memchr2;
use tollgate_config::{document::Dialect, fnv::Fnv};
use tollgate_wire::json::cursor;

use super::params::{self, Rules};

/// Drawn once for a process, so that nobody can make two requests whose hashes are the same.
#[derive(Clone, Copy, Debug)]
pub struct Seed(pub [u64; 2]);

impl Seed {
    pub(crate) fn hasher(self) -> SipHasher13 {
        let [one, other] = self.0;
        SipHasher13::new_with_keys(one, other)
    }
}

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
    let mut walk = Walk::new(seed, body);
    let rules = params::of(dialect);
    let (sum, members) = walk.settings(rules, 0)?;
    walk.is_over()?;
    let mut hasher = seed.hasher();
    hasher.write_u128(sum);
    hasher.write_usize(members);
    Some(Canon {
        hash: hasher.finish128().as_u128(),
        ..walk.found
    })
}

/// Of any value.
pub fn value(seed: Seed, json: &[u8]) -> Option<u128> {
    let mut walk = Walk::new(seed, json);
    let mut hasher = seed.hasher();
    walk.value(&mut hasher, 0)?;
    walk.is_over()?;
    Some(hasher.finish128().as_u128())
}

/// Not in UTF-8: ends texts.
const END: u8 = 0xff;
/// Begins half a character, which no text has.
const HALF: u8 = 0xfe;

struct Walk<'a> {
    seed: Seed,
    buf: &'a [u8],
    at: usize,
    /// Of the keys of all objects that are open, the innermost last.
    keys: Vec<u64>,
    found: Canon,
    /// What comes goes to the model as it is.
    passes: bool,
}

impl<'a> Walk<'a> {
    fn new(seed: Seed, buf: &'a [u8]) -> Self {
        Self {
            seed,
            buf,
            at: 0,
            // One allocation: few requests have more keys open at once.
            keys: Vec::with_capacity(64),
            found: Canon::default(),
            passes: false,
        }
    }

    fn peek(&self) -> u8 {
        self.buf.get(self.at).copied().unwrap_or(0)
    }

    fn token(&mut self) -> u8 {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
        self.peek()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.token() == byte).then(|| self.at += 1)
    }

    fn is_over(&mut self) -> Option<()> {
        self.token();
        (self.at == self.buf.len()).then_some(())
    }

    /// An object of settings: those that are null are as good as absent, and those that say what is so anyhow as well.
    fn settings(&mut self, rules: &Rules, depth: usize) -> Option<(u128, usize)> {
        let first_key = self.keys.len();
        let (mut sum, mut members) = (0u128, 0);
        self.take(b'{')?;
        if self.token() != b'}' {
            loop {
                let key = self.key()?;
                if let Some(hash) = self.setting(rules, &key, depth)? {
                    sum = sum.wrapping_add(hash);
                    members += 1;
                }
                match self.token() {
                    b',' => self.at += 1,
                    _ => break,
                }
            }
        }
        self.take(b'}')?;
        self.close(first_key)?;
        Some((sum, members))
    }

    /// The hash of a setting that counts.
    fn setting(&mut self, rules: &Rules, key: &str, depth: usize) -> Option<Option<u128>> {
        let mut hasher = self.seed.hasher();
        text(&mut hasher, key);
        let start = self.at;
        if rules.holds_settings(key) && self.peek() == b'{' {
            let (sum, members) = self.settings(rules, depth + 1)?;
            hasher.write_u128(sum);
            hasher.write_usize(members);
            return Some((members > 0).then(|| hasher.finish128().as_u128()));
        }
        self.note_beginning(key);
        self.passes = rules.passes(key);
        self.value(&mut hasher, depth + 1)?;
        self.passes = false;
        let raw = self.buf.get(start..self.at)?;
        self.found.samples |= key == params::TEMPERATURE && params::is_above_zero(raw);
        self.found.keeps |= rules.keeps(key, raw);
        let is_said = raw != b"null" && !rules.leaves_out(key) && !rules.is_default(key, raw);
        Some(is_said.then(|| hasher.finish128().as_u128()))
    }

    fn value(&mut self, hasher: &mut SipHasher13, depth: usize) -> Option<()> {
        if depth > cursor::MAX_DEPTH {
            return None;
        }
        match self.token() {
            b'"' => {
                hasher.write_u8(b'"');
                self.string(hasher)
            }
            b'{' => self.object(hasher, depth),
            b'[' => self.array(hasher, depth),
            b't' => self.word(hasher, b"true"),
            b'f' => self.word(hasher, b"false"),
            b'n' => self.word(hasher, b"null"),
            _ => self.number(hasher),
        }
    }

    fn word(&mut self, hasher: &mut SipHasher13, word: &[u8]) -> Option<()> {
        self.buf.get(self.at..)?.strip_prefix(word)?;
        self.at += word.len();
        hasher.write_u8(word[0]);
        Some(())
    }

    fn array(&mut self, hasher: &mut SipHasher13, depth: usize) -> Option<()> {
        hasher.write_u8(b'[');
        self.at += 1;
        if self.token() != b']' {
            loop {
                self.value(hasher, depth + 1)?;
                match self.token() {
                    b',' => self.at += 1,
                    _ => break,
                }
            }
        }
        hasher.write_u8(b']');
        self.take(b']')
    }

    /// A sum, so that the order of its members is nothing. The hashes are keyed: nobody can make others of the same sum.
    fn object(&mut self, hasher: &mut SipHasher13, depth: usize) -> Option<()> {
        let first_key = self.keys.len();
        let (mut sum, mut members) = (0u128, 0);
        self.at += 1;
        if self.token() != b'}' {
            loop {
                let key = self.key()?;
                let mut member = self.seed.hasher();
                text(&mut member, &key);
                self.note_beginning(&key);
                let start = self.at;
                self.value(&mut member, depth + 1)?;
                if self.passes && key == params::TEMPERATURE {
                    self.found.samples |= params::is_above_zero(self.buf.get(start..self.at)?);
                }
                sum = sum.wrapping_add(member.finish128().as_u128());
                members += 1;
                match self.token() {
                    b',' => self.at += 1,
                    _ => break,
                }
            }
        }
        self.take(b'}')?;
        self.close(first_key)?;
        hasher.write_u8(b'{');
        hasher.write_u128(sum);
        hasher.write_usize(members);
        Some(())
    }

    /// A key, its colon, and the white space behind that.
    fn key(&mut self) -> Option<Cow<'a, str>> {
        self.token();
        let start = self.at;
        let end = self.string_end()?;
        let quoted = self.buf.get(start..end)?;
        let inner = quoted.get(1..quoted.len() - 1)?;
        let key = match inner.contains(&b'\\') {
            false => Cow::Borrowed(str::from_utf8(inner).ok()?),
            true => cursor::string(self.buf, string_value(start, end))?,
        };
        self.keys.push(Fnv::of(key.as_bytes()));
        self.at = end;
        self.take(b':')?;
        self.token();
        Some(key)
    }

    /// An object is over. `None` where a key stands in it twice.
    fn close(&mut self, first_key: usize) -> Option<()> {
        let keys = self.keys.get_mut(first_key..)?;
        keys.sort_unstable();
        let twice = keys.windows(2).any(|pair| pair[0] == pair[1]);
        self.keys.truncate(first_key);
        (!twice).then_some(())
    }

    /// Behind the closing quote of the string that is next.
    fn string_end(&self) -> Option<usize> {
        let mut at = self.at;
        if self.buf.get(at) != Some(&b'"') {
            return None;
        }
        at += 1;
        loop {
            at += memchr2(b'"', b'\\', self.buf.get(at..)?)?;
            match self.buf[at] {
                b'"' => return Some(at + 1),
                _ => at += 2,
            }
        }
    }

    /// What a string says, however it is escaped.
    fn string(&mut self, hasher: &mut SipHasher13) -> Option<()> {
        self.at += 1;
        loop {
            let rest = self.buf.get(self.at..)?;
            let plain = memchr2(b'"', b'\\', rest)?;
            hasher.write(&rest[..plain]);
            self.at += plain + 1;
            if rest[plain] == b'"' {
                hasher.write_u8(END);
                return Some(());
            }
            self.escape(hasher)?;
        }
    }

    fn escape(&mut self, hasher: &mut SipHasher13) -> Option<()> {
        let what = self.peek();
        self.at += 1;
        let byte = match what {
            b'"' | b'\\' | b'/' => what,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.escaped_unit(hasher),
            _ => return None,
        };
        hasher.write_u8(byte);
        Some(())
    }

    fn escaped_unit(&mut self, hasher: &mut SipHasher13) -> Option<()> {
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
            Some(character) => hasher.write(character.encode_utf8(&mut [0; 4]).as_bytes()),
            None => {
                hasher.write_u8(HALF);
                hasher.write_u32(code);
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
    fn number(&mut self, hasher: &mut SipHasher13) -> Option<()> {
        let start = self.at;
        while matches!(self.peek(), b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
            self.at += 1;
        }
        let raw = self.buf.get(start..self.at).filter(|raw| !raw.is_empty())?;
        hasher.write_u8(b'#');
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
            hasher.write_u8(b'0');
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
            hasher.write(raw);
            return Some(());
        };
        hasher.write_u8(if negative { b'-' } else { b'+' });
        for part in mantissa[first..=last].split(|&byte| byte == b'.') {
            hasher.write(part);
        }
        hasher.write_u8(END);
        hasher.write_i64(place);
        Some(())
    }

    /// The first text that somebody says.
    fn note_beginning(&mut self, key: &str) {
        if self.found.begins.is_none() && self.peek() == b'"' && params::is_said(key) {
            self.found.begins = self.string_end().map(|end| self.at + 1..end - 1);
        }
    }
}

fn text(hasher: &mut SipHasher13, text: &str) {
    hasher.write(text.as_bytes());
    hasher.write_u8(END);
}

fn string_value(start: usize, end: usize) -> cursor::Value {
    cursor::Value {
        span: tollgate_wire::Span::new(start, end),
        kind: cursor::Kind::String,
    }
}
