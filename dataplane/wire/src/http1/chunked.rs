//! The chunked coding (RFC 9112 §7.1), read incrementally and written.

use crate::Span;

/// A step of the decoder over one input slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Body bytes: a span of the input slice. `consumed` counts from the slice's start and may lie beyond the span.
    Data { data: Span, consumed: usize },
    /// All input was consumed; more is needed.
    More,
    /// The last chunk and the trailers (dropped) have been read; `consumed` bytes of the slice belong to this message.
    End { consumed: usize },
}

/// Chunk framing the decoder refuses: junk or overflow in a size, over-long extensions or trailers, bare LF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadChunk(pub &'static str);

/// Hexadecimal digits of a size, leading zeros included: 16 fill 64 bits.
pub const MAX_SIZE_DIGITS: u8 = 16;
/// Extension bytes of one chunk.
pub const MAX_EXTENSION_BYTES: u32 = 256;
/// Extension bytes of a body: many small chunks must not carry much that nobody counts.
pub const MAX_EXTENSIONS_BYTES: u32 = 64 * 1024;
/// Trailer section, line ends included.
pub const MAX_TRAILER_BYTES: u32 = 8 * 1024;

/// Incremental decoder: the same result however the input is split. After an error or `End` it is spent.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    state: State,
    /// Of the size while it is read, then of the chunk's bytes still to come.
    remaining: u64,
    digits: u8,
    extension_bytes: u32,
    extensions_bytes: u32,
    trailer_bytes: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

impl Decoder {
    /// Call with the bytes not yet consumed, again after each `Data`, until `More` or `End`.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, BadChunk> {
        let mut at = 0;
        while at < input.len() {
            if self.state == State::Data {
                return Ok(self.data(input, at));
            }
            if self.state == State::Done {
                return Ok(Step::End { consumed: at });
            }
            self.framing_byte(input[at])?;
            at += 1;
        }
        if self.state == State::Done {
            Ok(Step::End { consumed: at })
        } else {
            Ok(Step::More)
        }
    }

    /// Whether the last chunk and its trailers have been read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    fn data(&mut self, input: &[u8], at: usize) -> Step {
        let available = input.len() - at;
        let len = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(available);
        self.remaining -= len as u64;
        let mut consumed = at + len;
        if self.remaining == 0 {
            self.state = State::DataCr;
            if input[consumed..].starts_with(b"\r\n") {
                consumed += 2;
                self.begin_size();
            }
        }
        Step::Data {
            data: Span::new(at, at + len),
            consumed,
        }
    }

    fn begin_size(&mut self) {
        (self.state, self.digits, self.extension_bytes) = (State::Size, 0, 0);
    }

    fn framing_byte(&mut self, byte: u8) -> Result<(), BadChunk> {
        match self.state {
            State::Size => return self.size_byte(byte),
            State::Extension => return self.extension_byte(byte),
            State::SizeLf => {
                expect_lf(byte, "bare CR in a chunk size")?;
                self.state = if self.remaining == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                };
            }
            State::DataCr if byte == b'\r' => self.state = State::DataLf,
            State::DataCr => return Err(BadChunk("chunk longer than its size")),
            State::DataLf => {
                expect_lf(byte, "bare CR after a chunk")?;
                self.begin_size();
            }
            State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf | State::EndLf => {
                return self.trailer_byte(byte);
            }
            State::Data | State::Done => {}
        }
        Ok(())
    }

    fn size_byte(&mut self, byte: u8) -> Result<(), BadChunk> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => {
                self.state = State::SizeLf;
                return Ok(());
            }
            b';' if self.digits > 0 => {
                self.state = State::Extension;
                return Ok(());
            }
            _ => return Err(BadChunk("junk in a chunk size")),
        };
        if self.digits == 0 {
            self.remaining = 0;
        }
        if self.digits == MAX_SIZE_DIGITS {
            return Err(BadChunk("chunk size overflows"));
        }
        self.digits += 1;
        self.remaining = self.remaining << 4 | u64::from(digit);
        Ok(())
    }

    fn extension_byte(&mut self, byte: u8) -> Result<(), BadChunk> {
        self.extension_bytes += 1;
        self.extensions_bytes += 1;
        if self.extension_bytes > MAX_EXTENSION_BYTES || self.extensions_bytes > MAX_EXTENSIONS_BYTES {
            return Err(BadChunk("chunk extensions too long"));
        }
        match byte {
            b'\r' => self.state = State::SizeLf,
            _ if is_control(byte) => return Err(BadChunk("control byte in a chunk extension")),
            _ => {}
        }
        Ok(())
    }

    /// Trailers are read for their syntax and dropped: none of ours is forwarded.
    fn trailer_byte(&mut self, byte: u8) -> Result<(), BadChunk> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > MAX_TRAILER_BYTES {
            return Err(BadChunk("trailers too long"));
        }
        self.state = match (self.state, byte) {
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => State::TrailerName,
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerStart | State::TrailerName, _) => return Err(BadChunk("bad trailer name")),
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if is_control(byte) => return Err(BadChunk("control byte in a trailer")),
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::Done,
            (State::TrailerLf | State::EndLf, _) => return Err(BadChunk("bare CR in the trailers")),
            (state, _) => state,
        };
        Ok(())
    }
}

fn expect_lf(byte: u8, otherwise: &'static str) -> Result<(), BadChunk> {
    if byte == b'\n' {
        Ok(())
    } else {
        Err(BadChunk(otherwise))
    }
}

fn is_control(byte: u8) -> bool {
    byte != b'\t' && (byte < 0x20 || byte == 0x7f)
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Appends `data` as one chunk. Empty data writes nothing (an empty chunk would end the body).
pub fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    write_chunk_size(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends a chunk's size line for `len` body bytes; the caller adds them and then CRLF.
pub fn write_chunk_size(out: &mut Vec<u8>, len: usize) {
    let mut line = *b"0000000000000000\r\n";
    let mut rest = len;
    let mut start = 16;
    loop {
        start -= 1;
        line[start] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&line[start..]);
}

/// The last chunk.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
#[path = "chunked_tests.rs"]
mod tests;
