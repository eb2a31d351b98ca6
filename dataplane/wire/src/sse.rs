//! Server-sent events (WHATWG HTML §9.2), split incrementally.
//!
//! A block is what stands between two blank lines. One that lies in a single input is read where it lies; one that is
//! cut between inputs is gathered first. Both are then read by the same code, so that cuts cannot matter.

mod pieces;

use memchr::{memchr, memchr2};

pub use pieces::Pieces;

use crate::Span;

/// An event's data outgrew the limit given to the splitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is longer than {limit} bytes")]
pub struct EventTooLong {
    pub limit: usize,
}

/// One complete event.
///
/// `raw` is the event's whole extent in stream offsets (first byte of its first line to the end of the blank line),
/// so that a relay can leave it out or replace it; `name` and `data` are decoded (multi-line data joined by LF).
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub raw_start: u64,
    pub raw_end: u64,
    pub name: &'a [u8],
    pub data: &'a [u8],
    /// Where `data` lies in the *current input slice*, when it is one line wholly inside it and not empty; lets a relay edit
    /// in place.
    pub data_in_input: Option<Span>,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Incremental splitter: LF, CRLF and CR line ends, comments, multi-line data, a BOM, events cut anywhere.
/// Holds at most `max_event_bytes` of an event cut between inputs; allocates only then (and to join several data lines).
///
/// Blocks without a data line are no events (§9.2.6) and are not reported; `id` and `retry` are not read.
/// An input that ends in the CR of a blank line leaves its event waiting for what follows, since an LF there belongs
/// to it; `finish` lets it go.
#[derive(Debug)]
pub struct Splitter {
    max_event_bytes: usize,
    offset: u64,
    line: Line,
    /// The beginning of a block that was cut, and its stream offset.
    cut: Vec<u8>,
    cut_start: u64,
    /// Room to join data lines in.
    joined: Vec<u8>,
    failed: bool,
}

/// Where the next byte stands in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Start,
    Inside,
    /// Behind a CR: an LF still belongs to that line end.
    AfterCr {
        blank: bool,
    },
}

impl Splitter {
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            offset: 0,
            line: Line::Start,
            cut: Vec::new(),
            cut_start: 0,
            joined: Vec::new(),
            failed: false,
        }
    }

    /// Feeds the next bytes of the stream; `on_event` is called for each event completed by them, in order.
    /// After an error the splitter stays failed: it has lost its place.
    pub fn feed(&mut self, input: &[u8], mut on_event: impl FnMut(Event<'_>)) -> Result<(), EventTooLong> {
        if self.failed {
            return Err(self.fail());
        }
        let input_start = self.offset;
        self.offset += input.len() as u64;
        let mut at = 0;
        while let Some(end) = self.line.block_end(input, at) {
            if self.cut.is_empty() {
                let block = Block {
                    bytes: &input[at..end],
                    start: input_start + at as u64,
                    input_start,
                };
                self.event(block, &mut on_event)?;
            } else {
                self.keep(&input[at..end])?;
                self.gathered_event(input_start, &mut on_event)?;
            }
            at = end;
        }
        if self.cut.is_empty() {
            self.cut_start = input_start + at as u64;
        }
        self.keep(&input[at..])
    }

    /// The stream has ended: an event whose blank line is complete is reported; half an event is dropped (§9.2.6).
    pub fn finish(&mut self, mut on_event: impl FnMut(Event<'_>)) -> Result<(), EventTooLong> {
        if self.failed {
            return Err(self.fail());
        }
        if self.line == (Line::AfterCr { blank: true }) {
            self.gathered_event(self.offset, &mut on_event)?;
        }
        self.line = Line::Start;
        self.cut.clear();
        Ok(())
    }

    /// Stream offset after the last byte fed.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), EventTooLong> {
        if self.cut.len() + bytes.len() > self.max_event_bytes {
            return Err(self.fail());
        }
        self.cut.extend_from_slice(bytes);
        Ok(())
    }

    fn gathered_event(&mut self, input_start: u64, on_event: &mut impl FnMut(Event<'_>)) -> Result<(), EventTooLong> {
        let mut cut = std::mem::take(&mut self.cut);
        let outcome = self.event(
            Block {
                bytes: &cut,
                start: self.cut_start,
                input_start,
            },
            on_event,
        );
        cut.clear();
        self.cut = cut;
        outcome
    }

    #[inline]
    fn event(&mut self, block: Block<'_>, on_event: &mut impl FnMut(Event<'_>)) -> Result<(), EventTooLong> {
        if block.bytes.len() > self.max_event_bytes {
            return Err(self.fail());
        }
        if let Some(event) = block.read(&mut self.joined) {
            on_event(event);
        }
        Ok(())
    }

    #[cold]
    fn fail(&mut self) -> EventTooLong {
        self.failed = true;
        self.cut = Vec::new();
        EventTooLong {
            limit: self.max_event_bytes,
        }
    }
}

impl Line {
    /// The end of the block that goes on at `at`, behind its blank line; `None` when it is not in `input`.
    #[inline]
    fn block_end(&mut self, input: &[u8], mut at: usize) -> Option<usize> {
        while at < input.len() {
            match *self {
                Line::Inside => {
                    let end = at + memchr2(b'\n', b'\r', &input[at..])?;
                    *self = if input[end] == b'\n' {
                        Line::Start
                    } else {
                        Line::AfterCr { blank: false }
                    };
                    at = end + 1;
                }
                Line::AfterCr { blank } => {
                    at += usize::from(input[at] == b'\n');
                    *self = Line::Start;
                    if blank {
                        return Some(at);
                    }
                }
                Line::Start => match input[at] {
                    b'\n' => return Some(at + 1),
                    b'\r' => {
                        *self = Line::AfterCr { blank: true };
                        at += 1;
                    }
                    _ => *self = Line::Inside,
                },
            }
        }
        None
    }
}

/// A whole block, its blank line included.
struct Block<'a> {
    bytes: &'a [u8],
    /// Stream offsets of the block and of the current input.
    start: u64,
    input_start: u64,
}

impl<'a> Block<'a> {
    fn read(&self, joined: &'a mut Vec<u8>) -> Option<Event<'a>> {
        let skipped = if self.start == 0 && self.bytes.starts_with(BOM) {
            BOM.len()
        } else {
            0
        };
        let mut name: &[u8] = b"";
        let mut data: Option<&'a [u8]> = None;
        let mut lines = 0;
        for (field, value) in Fields(&self.bytes[skipped..]) {
            match field {
                b"data" => {
                    match (lines, data) {
                        (0, _) => data = Some(value),
                        (1, Some(first)) => {
                            joined.clear();
                            joined.extend_from_slice(first);
                            join(joined, value);
                        }
                        _ => join(joined, value),
                    }
                    lines += 1;
                }
                b"event" => name = value,
                _ => {}
            }
        }
        let first = data?;
        let (data, data_in_input) = if lines == 1 {
            (first, self.in_input(first))
        } else {
            (joined.as_slice(), None)
        };
        let raw_start = self.start + skipped as u64;
        Some(Event {
            raw_start,
            raw_end: self.start + self.bytes.len() as u64,
            name,
            data,
            data_in_input,
        })
    }

    /// Nothing for empty data: its line may have no colon, and so no place to put anything.
    fn in_input(&self, data: &[u8]) -> Option<Span> {
        if data.is_empty() {
            return None;
        }
        let in_block = data.as_ptr().addr() - self.bytes.as_ptr().addr();
        let start = (self.start + in_block as u64).checked_sub(self.input_start)? as usize;
        Some(Span::new(start, start + data.len()))
    }
}

fn join(joined: &mut Vec<u8>, line: &[u8]) {
    joined.push(b'\n');
    joined.extend_from_slice(line);
}

/// The lines of a block as field and value; comments come with an empty field, blank lines not at all.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.0;
            if rest.is_empty() {
                return None;
            }
            let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            self.0 = rest.get(end + 1..).unwrap_or_default();
            let line = &rest[..end];
            if line.is_empty() {
                continue;
            }
            let Some(colon) = memchr(b':', line) else {
                return Some((line, b""));
            };
            let value = &line[colon + 1..];
            return Some((&line[..colon], value.strip_prefix(b" ").unwrap_or(value)));
        }
    }
}

#[cfg(test)]
#[path = "sse_tests.rs"]
mod tests;
