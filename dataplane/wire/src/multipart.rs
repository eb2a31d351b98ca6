//! The parts of a `multipart/form-data` body (RFC 7578) that passes in slices: the fields that are asked for, and where
//! their values stand. No more memory than the head of one part takes.
//!
//! Strict where readers of forms differ: what one takes for a name and another does not is refused, so that nobody can
//! say one thing to the gateway and another to the provider behind it.

use std::ops::Range;

use memchr::memmem;

/// RFC 2046 §5.1.1.
pub const MAX_BOUNDARY_BYTES: usize = 70;
/// The head of one part.
pub const MAX_PART_HEAD_BYTES: usize = 8 * 1024;
/// The value of a field that is asked for.
pub const MAX_VALUE_BYTES: usize = 1024;

/// Why a form is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadForm(pub &'static str);

/// A field that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
    /// Where the value begins in the body.
    pub start: u64,
}

impl Field<'_> {
    /// Where the value stands in the body.
    pub fn range(&self) -> Range<u64> {
        self.start..self.start + self.value.len() as u64
    }
}

/// Is this the content type of a form?
pub fn is_form(content_type: &[u8]) -> bool {
    media_type(content_type).eq_ignore_ascii_case(b"multipart/form-data")
}

fn media_type(content_type: &[u8]) -> &[u8] {
    let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    content_type[..end].trim_ascii()
}

/// Reads a form; the same whatever its slices.
#[derive(Debug)]
pub struct FormReader {
    /// CRLF, two dashes, the boundary.
    delimiter: Vec<u8>,
    state: State,
    /// Bytes of the delimiter that the last slices ended with.
    matched: usize,
    /// The head of a part, or the value of a field that was asked for.
    held: Vec<u8>,
    name: Vec<u8>,
    /// Bytes of the body before the slice that is fed.
    before: u64,
    value_start: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unasked,
    Asked,
    /// Behind a delimiter: what follows tells whether another part does.
    Behind {
        first: Option<u8>,
    },
    Head,
    End,
}

impl FormReader {
    pub fn new(content_type: &[u8]) -> Result<FormReader, BadForm> {
        let boundary = boundary(content_type)?;
        Ok(FormReader {
            delimiter: [b"\r\n--", boundary].concat(),
            state: State::Unasked,
            // The first delimiter stands at the body's start without a line end before it.
            matched: 2,
            held: Vec::new(),
            name: Vec::new(),
            before: 0,
            value_start: 0,
        })
    }

    /// The last part has ended.
    pub fn is_over(&self) -> bool {
        self.state == State::End
    }

    /// Where the value begins, in the body, of a field that was asked for and has not ended.
    pub fn unfinished(&self) -> Option<u64> {
        (self.state == State::Asked).then_some(self.value_start)
    }

    /// Takes the next slice of the body; `found` gets each field that `wanted` says yes to.
    pub fn feed(
        &mut self,
        slice: &[u8],
        wanted: fn(&[u8]) -> bool,
        mut found: impl FnMut(Field<'_>),
    ) -> Result<(), BadForm> {
        let mut at = 0;
        while at < slice.len() {
            at = match self.state {
                State::End => slice.len(),
                State::Behind { first } => self.behind(slice[at], first).map(|()| at + 1)?,
                State::Head => self.head(slice, at, wanted)?,
                State::Unasked | State::Asked => self.content(slice, at, &mut found)?,
            };
        }
        self.before += slice.len() as u64;
        Ok(())
    }

    fn behind(&mut self, byte: u8, first: Option<u8>) -> Result<(), BadForm> {
        self.state = match (first, byte) {
            (None, b'-' | b'\r') => State::Behind { first: Some(byte) },
            (Some(b'-'), b'-') => State::End,
            (Some(b'\r'), b'\n') => State::Head,
            _ => return Err(BadForm("something stands behind a boundary on its line")),
        };
        self.held.clear();
        Ok(())
    }

    fn head(&mut self, slice: &[u8], at: usize, wanted: fn(&[u8]) -> bool) -> Result<usize, BadForm> {
        const END: &[u8] = b"\r\n\r\n";
        let had = self.held.len();
        let room = (MAX_PART_HEAD_BYTES + 1 - had).min(slice.len() - at);
        self.held.extend_from_slice(&slice[at..at + room]);
        // The end may have begun in an earlier slice.
        let from = had.saturating_sub(END.len() - 1);
        let Some(end) = memmem::find(&self.held[from..], END).map(|end| from + end) else {
            if self.held.len() > MAX_PART_HEAD_BYTES {
                return Err(BadForm("the head of a part is too long"));
            }
            return Ok(at + room);
        };
        self.name.clear();
        let name = field_name(&self.held[..end])?;
        self.name.extend_from_slice(name);
        self.state = if wanted(&self.name) {
            State::Asked
        } else {
            State::Unasked
        };
        let next = at + end + END.len() - had;
        self.held.clear();
        self.matched = 0;
        self.value_start = self.before + next as u64;
        Ok(next)
    }

    /// Goes on in the content of a part, up to the next delimiter.
    fn content(&mut self, slice: &[u8], at: usize, found: &mut impl FnMut(Field<'_>)) -> Result<usize, BadForm> {
        let next = self.seek(&slice[at..]).map_or(slice.len(), |behind| at + behind);
        let whole = self.matched == self.delimiter.len();
        if self.state == State::Asked {
            self.held.extend_from_slice(&slice[at..next]);
            if self.held.len() > MAX_VALUE_BYTES + self.delimiter.len() {
                return Err(BadForm("the value of a field is too long"));
            }
            if whole {
                let end = self.held.len() - self.delimiter.len();
                found(Field {
                    name: &self.name,
                    value: &self.held[..end],
                    start: self.value_start,
                });
            }
        }
        if whole {
            self.matched = 0;
            self.held.clear();
            self.state = State::Behind { first: None };
        }
        Ok(next)
    }

    /// Looks for the delimiter; how many bytes lie before its end. Notes how much of it the slice ends with.
    fn seek(&mut self, bytes: &[u8]) -> Option<usize> {
        let delimiter = &self.delimiter[..];
        if self.matched > 0 {
            let missing = &delimiter[self.matched..];
            let same = missing.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            if same == missing.len() || same == bytes.len() {
                self.matched += same;
                return (self.matched == delimiter.len()).then_some(same);
            }
            // Only its first byte is a carriage return, so no other match can have begun within this one.
            self.matched = 0;
        }
        if let Some(start) = memmem::find(bytes, delimiter) {
            self.matched = delimiter.len();
            return Some(start + delimiter.len());
        }
        let tail = &bytes[bytes.len().saturating_sub(delimiter.len() - 1)..];
        if let Some(start) = memchr::memrchr(b'\r', tail)
            && delimiter.starts_with(&tail[start..])
        {
            self.matched = tail.len() - start;
        }
        None
    }
}

pub fn boundary(content_type: &[u8]) -> Result<&[u8], BadForm> {
    let missing = BadForm("its content type names no boundary");
    let mut rest = &content_type[media_type(content_type).len()..];
    let mut named = None;
    while let Some(start) = memchr::memchr(b';', rest) {
        let (name, value, behind) = parameter(&rest[start + 1..]).ok_or(missing)?;
        if name.eq_ignore_ascii_case(b"boundary") && named.replace(value).is_some() {
            return Err(BadForm("its content type names two boundaries"));
        }
        rest = behind;
    }
    let boundary = named.ok_or(missing)?;
    let fits = (1..=MAX_BOUNDARY_BYTES).contains(&boundary.len());
    let printable = boundary
        .iter()
        .all(|byte| (b' '..=b'~').contains(byte) && !matches!(byte, b'"' | b'\\'));
    match fits && printable {
        true => Ok(boundary),
        false => Err(BadForm("its boundary is not 1 to 70 characters that may stand there")),
    }
}

/// `name=value` or `name="value"` at the start, and what follows it. The quoted value is given without its quotes.
fn parameter(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let equals = memchr::memchr(b'=', text)?;
    let (name, text) = (text[..equals].trim_ascii(), &text[equals + 1..]);
    match text.split_first() {
        Some((b'"', text)) => {
            let end = memchr::memchr(b'"', text)?;
            // Some readers take this quote for the value's end, and some for a part of it.
            let is_plain = end == 0 || text[end - 1] != b'\\';
            is_plain.then(|| (name, &text[..end], &text[end + 1..]))
        }
        _ => {
            let end = memchr::memchr(b';', text).unwrap_or(text.len());
            Some((name, text[..end].trim_ascii(), &text[end..]))
        }
    }
}

/// The field's name in the head of a part, given without the empty line.
fn field_name(head: &[u8]) -> Result<&[u8], BadForm> {
    let mut name = None;
    let mut rest = head;
    while !rest.is_empty() {
        let end = memmem::find(rest, b"\r\n").unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 2..).unwrap_or_default();
        if line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) || matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(BadForm("a line in the head of a part is broken"));
        }
        let colon = memchr::memchr(b':', line).ok_or(BadForm("a line in the head of a part has no colon"))?;
        let value = line[colon + 1..].trim_ascii();
        if line[..colon].eq_ignore_ascii_case(b"content-disposition") {
            if name.replace(named(value)?).is_some() {
                return Err(BadForm("a part has two content-dispositions"));
            }
        } else if line[..colon].eq_ignore_ascii_case(b"content-transfer-encoding")
            && ![&b"7bit"[..], b"8bit", b"binary"]
                .iter()
                .any(|plain| value.eq_ignore_ascii_case(plain))
        {
            return Err(BadForm("a part has a content-transfer-encoding"));
        }
    }
    name.ok_or(BadForm("a part has no content-disposition"))
}

/// The name in a `Content-Disposition`.
fn named(value: &[u8]) -> Result<&[u8], BadForm> {
    let nameless = BadForm("a part's content-disposition is not form-data with one plain name");
    if !media_type(value).eq_ignore_ascii_case(b"form-data") {
        return Err(nameless);
    }
    let mut rest = &value[media_type(value).len()..];
    let mut name = None;
    while let Some(start) = memchr::memchr(b';', rest) {
        let between = rest[..start].trim_ascii();
        if !between.is_empty() {
            return Err(nameless);
        }
        let (key, value, behind) = parameter(&rest[start + 1..]).ok_or(nameless)?;
        let is_name = key.eq_ignore_ascii_case(b"name");
        if key.eq_ignore_ascii_case(b"name*") || is_name && name.replace(value).is_some() {
            return Err(nameless);
        }
        rest = behind;
    }
    let ends_well = rest.trim_ascii().is_empty();
    let is_plain = |name: &&[u8]| !name.iter().any(|byte| matches!(byte, b'\\' | b'%'));
    name.filter(|name| ends_well && is_plain(name)).ok_or(nameless)
}

#[cfg(test)]
#[path = "multipart_tests.rs"]
mod tests;
