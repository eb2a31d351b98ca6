//! The binary messages of AWS event streams, cut from the bytes as they arrive; both checksums of each are verified.
//!
//! <https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html> gives the layout.

/// Length, length of the headers, and the checksum of both.
const PRELUDE_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;
/// Longest message taken; the format's own limit.
const MESSAGE_BYTES_MOST: usize = 16 << 20;
/// The type of a header's value that is text.
const TEXT: u8 = 7;

/// No message of an event stream, or a checksum does not hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

/// A part of a message cut between reads.
#[derive(Debug, Default)]
pub struct Messages {
    cut: Vec<u8>,
}

impl Messages {
    pub fn clear(&mut self) {
        self.cut.clear();
    }

    /// Whether everything fed so far was whole messages.
    pub fn is_between(&self) -> bool {
        self.cut.is_empty()
    }

    /// Calls `found` with event type and payload of each message that is whole.
    pub fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(&[u8], &[u8])) -> Result<(), Broken> {
        if self.cut.is_empty() {
            let taken = whole(bytes, &mut found)?;
            self.cut.extend_from_slice(&bytes[taken..]);
            return Ok(());
        }
        self.cut.extend_from_slice(bytes);
        let taken = whole(&self.cut, &mut found)?;
        self.cut.drain(..taken);
        Ok(())
    }
}

/// Takes the whole messages at the front of `bytes`; how many bytes they are.
fn whole(bytes: &[u8], found: &mut impl FnMut(&[u8], &[u8])) -> Result<usize, Broken> {
    let mut at = 0;
    while let Some(length) = number(&bytes[at..]) {
        if !(PRELUDE_BYTES + CHECKSUM_BYTES..=MESSAGE_BYTES_MOST).contains(&length) {
            return Err(Broken);
        }
        let Some(message) = bytes.get(at..at + length) else {
            break;
        };
        let (event, payload) = read(message)?;
        found(event, payload);
        at += length;
    }
    Ok(at)
}

fn number(bytes: &[u8]) -> Option<usize> {
    Some(u32::from_be_bytes(*bytes.first_chunk()?) as usize)
}

/// Event type and payload of one message.
fn read(message: &[u8]) -> Result<(&[u8], &[u8]), Broken> {
    let (covered, checksum) = message.split_at(message.len() - CHECKSUM_BYTES);
    let holds = |bytes: &[u8], checksum: &[u8]| number(checksum) == Some(crc32fast::hash(bytes) as usize);
    if !holds(&covered[..8], &covered[8..PRELUDE_BYTES]) || !holds(covered, checksum) {
        return Err(Broken);
    }
    let headers = number(&covered[4..]).unwrap_or_default();
    let rest = &covered[PRELUDE_BYTES..];
    let (headers, payload) = rest.split_at_checked(headers).ok_or(Broken)?;
    Ok((event_type(headers).ok_or(Broken)?, payload))
}

/// The value of `:event-type`; an exception, which has none, counts as an event without type.
fn event_type(mut headers: &[u8]) -> Option<&[u8]> {
    let mut event: &[u8] = b"";
    while let Some((length, rest)) = headers.split_first() {
        let (name, rest) = rest.split_at_checked(usize::from(*length))?;
        let (kind, rest) = rest.split_first()?;
        let (value, rest) = match *kind {
            0 | 1 => (&rest[..0], rest),
            2 => rest.split_at_checked(1)?,
            3 => rest.split_at_checked(2)?,
            4 => rest.split_at_checked(4)?,
            5 | 8 => rest.split_at_checked(8)?,
            6 | TEXT => {
                let length = u16::from_be_bytes(*rest.first_chunk()?);
                rest[2..].split_at_checked(usize::from(length))?
            }
            9 => rest.split_at_checked(16)?,
            _ => return None,
        };
        if name == b":event-type" && *kind == TEXT {
            event = value;
        }
        headers = rest;
    }
    Some(event)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A message as AWS frames it.
    pub fn message(event: &str, payload: &str) -> Vec<u8> {
        let mut headers = vec![11];
        headers.extend_from_slice(b":event-type");
        headers.push(TEXT);
        headers.extend_from_slice(&(event.len() as u16).to_be_bytes());
        headers.extend_from_slice(event.as_bytes());
        let length = PRELUDE_BYTES + headers.len() + payload.len() + CHECKSUM_BYTES;
        let mut out = Vec::new();
        out.extend_from_slice(&(length as u32).to_be_bytes());
        out.extend_from_slice(&(headers.len() as u32).to_be_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out.extend_from_slice(&headers);
        out.extend_from_slice(payload.as_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out
    }

    #[test]
    fn messages_are_the_same_however_they_are_cut() {
        let bytes = [message("contentBlockDelta", "{}"), message("messageStop", "{\"a\":1}")].concat();
        for cut in 0..=bytes.len() {
            let mut messages = Messages::default();
            let mut seen = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                let fed = messages.feed(part, |event, payload| seen.push([event, payload].concat()));
                assert_eq!(fed, Ok(()));
            }
            assert_eq!(seen, [&b"contentBlockDelta{}"[..], b"messageStop{\"a\":1}"]);
            assert!(messages.is_between());
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        let bytes = message("messageStop", "{\"a\":1}");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let mut messages = Messages::default();
            let fed = messages.feed(&changed, |_, _| {});
            // A changed length may make the message wait for more, which the stream's end shows.
            assert!(fed == Err(Broken) || !messages.is_between(), "byte {at}");
        }
    }
}
