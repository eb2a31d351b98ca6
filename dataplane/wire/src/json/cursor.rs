//! Walks one JSON document (RFC 8259) and reports the fields asked for, building nothing.
//!
//! The whole document is validated as it is walked: syntax, UTF-8, nesting depth, nothing after the end.

use std::borrow::Cow;

use super::scan::{NO_COMMA, Scan};
use super::text;
use super::watch::{Paths, Watch};
use crate::Span;

/// What a value is, seen from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// A value found: its span (a string's quotes included) and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    pub span: Span,
    pub kind: Kind,
}

/// A fault, with the byte offset where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct BadJson {
    pub reason: &'static str,
    pub offset: usize,
}

/// Nesting allowed by default.
pub const MAX_DEPTH: usize = 128;

/// Keys in a path.
pub const MAX_PATH_KEYS: usize = 3;

/// Finds the members `paths` of the object in `buf`. A path is one to three keys separated by `.`
/// (`model`, `stream_options.include_usage`); keys with escapes in the document are compared after unescaping.
/// `found[i]` answers `paths[i]`. A path that occurs twice is an error (who reads the first and who the last must
/// not see different requests), as are a top level that is no object, bad syntax, bad UTF-8 and depth over `MAX_DEPTH`.
/// The same holds for a key on the way to a path. At most 64 paths; `find_watched` spares taking them apart each time.
pub fn find<const N: usize>(buf: &[u8], paths: &[&str; N]) -> Result<[Option<Value>; N], BadJson> {
    find_watched(buf, &Watch::new(paths))
}

/// Proves a document without looking for anything, and gives it as text.
pub fn prove(buf: &[u8]) -> Result<&str, BadJson> {
    let text = utf8(buf)?;
    Walk::new(buf, &Watch::new(&[])).document()?;
    Ok(text)
}

pub(super) fn utf8(buf: &[u8]) -> Result<&str, BadJson> {
    simdutf8::basic::from_utf8(buf).map_err(|_| BadJson {
        reason: "bad UTF-8",
        offset: std::str::from_utf8(buf).map_or_else(|error| error.valid_up_to(), |_| buf.len()),
    })
}

/// `find` with paths taken apart once, in a `const`.
pub fn find_watched<const N: usize>(buf: &[u8], watch: &Watch<'_, N>) -> Result<[Option<Value>; N], BadJson> {
    utf8(buf)?;
    let mut walk = Walk::new(buf, watch);
    walk.document()?;
    Ok(walk.found)
}

/// `find` within an object that an earlier call found in the same `buf`; the spans are of `buf`.
pub fn find_in<const N: usize>(buf: &[u8], object: Value, watch: &Watch<'_, N>) -> Result<[Option<Value>; N], BadJson> {
    let start = object.span.start;
    let shift = |value: Value| Value {
        span: Span {
            start: value.span.start + start,
            end: value.span.end + start,
        },
        ..value
    };
    match find_watched(object.span.of(buf), watch) {
        Ok(found) => Ok(found.map(|value| value.map(shift))),
        Err(bad) => Err(BadJson {
            offset: bad.offset + start as usize,
            ..bad
        }),
    }
}

/// The text of a string value (its span with quotes): borrowed where it has no escapes.
/// `None` for other kinds, and for an escape that stands for no character (half a surrogate pair).
pub fn string<'a>(buf: &'a [u8], value: Value) -> Option<Cow<'a, str>> {
    if value.kind != Kind::String {
        return None;
    }
    let quoted = value.span.of(buf);
    text::unescaped(quoted.get(1..quoted.len().checked_sub(1)?)?)
}

/// A number value as an unsigned integer; `None` when negative, fractional, or over `u64::MAX`.
pub fn unsigned(buf: &[u8], value: Value) -> Option<u64> {
    if value.kind != Kind::Number {
        return None;
    }
    value.span.of(buf).iter().try_fold(0u64, |sum, byte| {
        byte.is_ascii_digit().then_some(())?;
        sum.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

/// One walk over a document. Enters those objects alone that paths lead into; the rest is proved and passed by.
struct Walk<'a, 'w, const N: usize> {
    scan: Scan<'a>,
    watch: &'w Watch<'w, N>,
    found: [Option<Value>; N],
    /// Per path, a bit for each of its keys met so far.
    met: [u8; N],
}

impl<'a, 'w, const N: usize> Walk<'a, 'w, N> {
    fn new(buf: &'a [u8], watch: &'w Watch<'w, N>) -> Self {
        Self {
            scan: Scan { buf, at: 0 },
            watch,
            found: [None; N],
            met: [0; N],
        }
    }

    fn document(&mut self) -> Result<(), BadJson> {
        if self.scan.next_token() != b'{' {
            return self.scan.fault("the document is not an object");
        }
        self.object(0, self.watch.all())?;
        self.scan.next_token();
        if self.scan.at < self.scan.buf.len() {
            return self.scan.fault("bytes after the end of the document");
        }
        Ok(())
    }

    /// The object whose bracket is next: the `alive` paths lead into it. Calls itself no deeper than paths are long.
    fn object(&mut self, level: usize, alive: u64) -> Result<(), BadJson> {
        self.scan.at += 1;
        if self.scan.next_token() == b'}' {
            self.scan.at += 1;
            return Ok(());
        }
        loop {
            let paths = self.key(level, alive)?;
            let first = self.scan.next_token();
            let start = self.scan.at;
            let kind = if first == b'{' && paths.go_on != 0 {
                self.object(level + 1, paths.go_on)?;
                Kind::Object
            } else {
                self.scan.value(MAX_DEPTH - 1 - level)?
            };
            if paths.end_here != 0 {
                let span = Span::new(start, self.scan.at);
                self.record(paths.end_here, Value { span, kind });
            }
            let next = self.scan.next_token();
            match next {
                b',' => self.scan.at += 1,
                b'}' => {
                    self.scan.at += 1;
                    return Ok(());
                }
                _ => return self.scan.fault(NO_COMMA),
            }
            self.scan.next_token();
        }
    }

    /// Reads a key and its colon.
    fn key(&mut self, level: usize, alive: u64) -> Result<Paths, BadJson> {
        let start = self.scan.at + 1;
        let escapes = self.scan.key()?;
        let key = &self.scan.buf[start..self.scan.at - 1];
        let paths = self.watch.matching(alive, level, key, escapes);
        self.meet(paths, level, start)?;
        self.scan.colon()?;
        Ok(paths)
    }

    fn meet(&mut self, paths: Paths, level: usize, offset: usize) -> Result<(), BadJson> {
        for path in bits(paths.end_here | paths.go_on) {
            if self.met[path] & 1 << level != 0 {
                return Err(BadJson {
                    reason: "a field that decides occurs twice",
                    offset,
                });
            }
            self.met[path] |= 1 << level;
        }
        Ok(())
    }

    fn record(&mut self, paths: u64, value: Value) {
        for path in bits(paths) {
            self.found[path] = Some(value);
        }
    }
}

fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (set != 0).then(|| set.trailing_zeros() as usize);
        set &= set.wrapping_sub(1);
        lowest
    })
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
