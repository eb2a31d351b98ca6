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

/// Incremental decoder: the same result however the input is split.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    _state: (),
}

impl Decoder {
    /// Call with the bytes not yet consumed, again after each `Data`, until `More` or `End`.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, BadChunk> {
        let _ = input;
        todo!()
    }
}

/// Appends `data` as one chunk. Empty data writes nothing (an empty chunk would end the body).
pub fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    let _ = (out, data);
    todo!()
}

/// Appends a chunk's size line for `len` body bytes; the caller adds them and then CRLF.
pub fn write_chunk_size(out: &mut Vec<u8>, len: usize) {
    let _ = (out, len);
    todo!()
}

/// The last chunk.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
