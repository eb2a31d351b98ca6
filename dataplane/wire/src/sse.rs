//! Server-sent events (WHATWG HTML §9.2), split incrementally.

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
    /// Where `data` lies in the *current input slice*, when it is one line wholly inside it; lets a relay edit in place.
    pub data_in_input: Option<Span>,
}

/// Incremental splitter: LF, CRLF and CR line ends, comments, multi-line data, a BOM, events cut anywhere.
/// Holds at most `max_event_bytes` of an event cut between inputs; allocates only then.
#[derive(Debug)]
pub struct Splitter {
    _max_event_bytes: usize,
}

impl Splitter {
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            _max_event_bytes: max_event_bytes,
        }
    }

    /// Feeds the next bytes of the stream; `on_event` is called for each event completed by them, in order.
    pub fn feed(&mut self, input: &[u8], on_event: impl FnMut(Event<'_>)) -> Result<(), EventTooLong> {
        let _ = (input, on_event);
        todo!()
    }

    /// Stream offset after the last byte fed.
    pub fn offset(&self) -> u64 {
        todo!()
    }
}
