//! AWS's binary event stream (`application/vnd.amazon.eventstream`), read incrementally and written.
//!
//! A message is: total length, headers' length, CRC-32 of those eight bytes, headers, payload, CRC-32 of all before it;
//! numbers are big-endian. A header is its name's length (8 bits), the name, its value's type (8 bits) and the value.
//! Source: Smithy 2.0, "Amazon Event Stream Specification". Nothing here knows what a message means.

mod headers;
mod write;

pub use headers::{Headers, Value};
pub use write::{write, write_event, write_exception};

/// Total length, headers' length, and their CRC.
const PRELUDE_BYTES: usize = 12;
const CRC_BYTES: usize = 4;
/// The specification's bound on the headers of a message.
pub const MAX_HEADERS_BYTES: usize = 128 * 1024;
/// The specification's bound on the payload of a message; a decoder is given its own, which is rarely as large.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that are no event stream, or one that was damaged. Where the next message begins is then unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    #[error("the first bytes of a message fail their checksum: it is no event stream, or damaged")]
    PreludeChecksum,
    #[error("a message fails its checksum: it was damaged on its way")]
    Checksum,
    #[error("the lengths of a message contradict each other")]
    Lengths,
    #[error("a message has more than {MAX_HEADERS_BYTES} bytes of headers")]
    HeadersTooLong,
    #[error("a message has a payload of more than {limit} bytes")]
    PayloadTooLong { limit: usize },
    #[error("a message has a header that is none")]
    Header,
    #[error("the stream ended within a message")]
    Cut,
}

/// One complete message whose checksums hold.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    headers: &'a [u8],
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    pub fn headers(&self) -> Headers<'a> {
        Headers(self.headers)
    }

    /// The first header of this name, where it is a text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        match self.headers().find(|(known, _)| *known == name)? {
            (_, Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// Incremental decoder. A message that lies in one input is read where it lies; one that is cut is gathered first, in at
/// most `max_payload_bytes` and the bounds of what stands around a payload.
#[derive(Debug)]
pub struct Decoder {
    max_payload_bytes: usize,
    cut: Vec<u8>,
    failed: Option<BadMessage>,
}

impl Decoder {
    pub fn new(max_payload_bytes: usize) -> Decoder {
        Decoder {
            max_payload_bytes,
            cut: Vec::new(),
            failed: None,
        }
    }

    /// Feeds the next bytes; `on_message` is called for each message completed by them, in order. After an error the
    /// decoder stays failed: it has lost its place.
    pub fn feed(&mut self, input: &[u8], mut on_message: impl FnMut(Message<'_>)) -> Result<(), BadMessage> {
        let outcome = match self.failed {
            Some(bad) => Err(bad),
            None => self.take(input, &mut on_message),
        };
        if let Err(bad) = outcome {
            self.failed = Some(bad);
            self.cut = Vec::new();
        }
        outcome
    }

    /// The stream has ended; an error where that was within a message.
    pub fn finish(&self) -> Result<(), BadMessage> {
        match self.failed {
            Some(bad) => Err(bad),
            None if self.cut.is_empty() => Ok(()),
            None => Err(BadMessage::Cut),
        }
    }

    fn take(&mut self, mut input: &[u8], on_message: &mut impl FnMut(Message<'_>)) -> Result<(), BadMessage> {
        if !self.cut.is_empty() {
            if !fill(&mut self.cut, &mut input, PRELUDE_BYTES) {
                return Ok(());
            }
            let Some(prelude) = Prelude::read(&self.cut, self.max_payload_bytes)? else {
                return Ok(());
            };
            if !fill(&mut self.cut, &mut input, prelude.total) {
                return Ok(());
            }
            on_message(prelude.message(&self.cut)?);
            self.cut.clear();
        }
        while let Some(prelude) = Prelude::read(input, self.max_payload_bytes)? {
            let Some(message) = input.split_off(..prelude.total) else {
                break;
            };
            on_message(prelude.message(message)?);
        }
        self.cut.extend_from_slice(input);
        Ok(())
    }
}

/// Moves bytes of `input` to `gathered` until that has `wanted`; says whether it has.
fn fill(gathered: &mut Vec<u8>, input: &mut &[u8], wanted: usize) -> bool {
    let missing = wanted.saturating_sub(gathered.len()).min(input.len());
    gathered.extend_from_slice(&input[..missing]);
    *input = &input[missing..];
    gathered.len() >= wanted
}

/// The lengths of a message, proved to be possible.
struct Prelude {
    total: usize,
    headers: usize,
}

impl Prelude {
    /// `None` when there are too few bytes.
    fn read(bytes: &[u8], max_payload_bytes: usize) -> Result<Option<Prelude>, BadMessage> {
        let Some(bytes) = bytes.first_chunk::<PRELUDE_BYTES>() else {
            return Ok(None);
        };
        let [total, headers, crc] = [0, 4, 8].map(|at| number(bytes, at));
        if crc32fast::hash(&bytes[..8]) != crc {
            return Err(BadMessage::PreludeChecksum);
        }
        let (total, headers) = (total as usize, headers as usize);
        let around = PRELUDE_BYTES + CRC_BYTES;
        let inside = total.checked_sub(around).ok_or(BadMessage::Lengths)?;
        let payload = inside.checked_sub(headers).ok_or(BadMessage::Lengths)?;
        if headers > MAX_HEADERS_BYTES {
            return Err(BadMessage::HeadersTooLong);
        }
        if payload > max_payload_bytes {
            let limit = max_payload_bytes;
            return Err(BadMessage::PayloadTooLong { limit });
        }
        Ok(Some(Prelude { total, headers }))
    }

    /// `bytes` are the whole message.
    fn message<'a>(&self, bytes: &'a [u8]) -> Result<Message<'a>, BadMessage> {
        let payload_end = self.total - CRC_BYTES;
        if crc32fast::hash(&bytes[..payload_end]) != number(bytes, payload_end) {
            return Err(BadMessage::Checksum);
        }
        let headers_end = PRELUDE_BYTES + self.headers;
        let headers = &bytes[PRELUDE_BYTES..headers_end];
        if !headers::are_whole(headers) {
            return Err(BadMessage::Header);
        }
        Ok(Message {
            headers,
            payload: &bytes[headers_end..payload_end],
        })
    }
}

/// The 32 bits at `at`, which the caller knows to be there.
fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests;
