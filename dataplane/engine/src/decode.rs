//! Content codings (RFC 9110 §8.4.1): request bodies, and answers whose usage must be read. Bounded on the way out.

use std::io::{self, Read};

use crate::failure::Kind;

/// Decodes a request's body within `max_bytes`. `None`: it was not encoded.
pub(crate) fn request_body(encoding: &[u8], body: &[u8], max_bytes: u64) -> Result<Option<Vec<u8>>, Kind> {
    let decoded = match encoding.to_ascii_lowercase().as_slice() {
        b"identity" | b"" => return Ok(None),
        b"gzip" | b"x-gzip" => bounded(flate2::read::MultiGzDecoder::new(body), max_bytes),
        _ => return Err(Kind::UnknownEncoding),
    };
    match decoded {
        Ok(Some(decoded)) => Ok(Some(decoded)),
        Ok(None) => Err(Kind::TooLarge { max_bytes }),
        Err(_) => Err(Kind::BadEncoding("it is not what its content-encoding says")),
    }
}

/// Decodes an answer for reading only; `None` when that is not possible within `max_bytes`.
pub(crate) fn gzip_answer(body: &[u8], max_bytes: u64) -> Option<Vec<u8>> {
    bounded(flate2::read::MultiGzDecoder::new(body), max_bytes)
        .ok()
        .flatten()
}

/// All that the decoder yields; `None` when that is more than `max_bytes`.
fn bounded(decoder: impl Read, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    let read = decoder.take(max_bytes.saturating_add(1)).read_to_end(&mut out)?;
    Ok((read as u64 <= max_bytes).then_some(out))
}
