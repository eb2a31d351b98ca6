//! What stands between a string's quotes: escapes taken out, or compared without taking them out.
//!
//! Takes text the scanner has passed; anything else gives `None`, never a panic.

use std::borrow::Cow;

/// The characters of raw string text; `None` where an escape stands for none (half a surrogate pair).
pub(super) fn unescaped(raw: &[u8]) -> Option<Cow<'_, str>> {
    let raw = std::str::from_utf8(raw).ok()?;
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Some(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let (character, len) = escape(&rest.as_bytes()[at..])?;
        out.push(character);
        rest = &rest[at + len..];
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

/// Whether raw string text stands for `wanted`.
pub(super) fn is(raw: &[u8], wanted: &[u8]) -> bool {
    let (mut raw, mut wanted) = (raw, wanted);
    while let Some(first) = raw.first() {
        let (len, taken) = if *first == b'\\' {
            let Some((character, len)) = escape(raw) else {
                return false;
            };
            let mut utf8 = [0; 4];
            let utf8 = character.encode_utf8(&mut utf8).as_bytes();
            (len, wanted.strip_prefix(utf8))
        } else {
            (1, wanted.strip_prefix(&[*first]))
        };
        let Some(rest) = taken else { return false };
        (raw, wanted) = (&raw[len..], rest);
    }
    wanted.is_empty()
}

/// The character of the escape that `raw` begins with, and its length.
fn escape(raw: &[u8]) -> Option<(char, usize)> {
    let plain = match raw.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(raw),
        _ => return None,
    };
    Some((plain, 2))
}

/// `\uXXXX`, or two of them for a character beyond the basic plane (RFC 8259 §7).
fn unicode_escape(raw: &[u8]) -> Option<(char, usize)> {
    let first = hex4(raw.get(2..6)?)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).map(|character| (character, 6));
    }
    let low = raw.get(6..12)?.strip_prefix(b"\\u").and_then(hex4)?;
    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + low).map(|character| (character, 12))
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
}
