//! Content codings (RFC 9110 §8.4.1): request bodies, and answers whose usage must be read. Bounded on the way out.

mod stream;

use std::io::{self, Read};

pub(crate) use stream::{BadCoding, Coding, Decoder};

use crate::failure::Kind;

const BROTLI_BUFFER_BYTES: usize = 16 * 1024;
/// What RFC 8878 §3.1.1.1.2 asks every decoder to support; a larger window could be claimed by a few bytes.
const MAX_ZSTD_WINDOW_BYTES: u64 = 8 * 1024 * 1024;

/// Does a body come as it is?
pub(crate) fn is_plain(encoding: Option<&[u8]>) -> bool {
    encoding.is_none_or(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"identity"))
}

/// Decodes a request's body within `max_bytes`. `None`: it was not encoded.
pub(crate) fn request_body(encoding: &[u8], body: &[u8], max_bytes: u64) -> Result<Option<Vec<u8>>, Kind> {
    let decoded = match Coding::of(encoding) {
        Ok(None) => return Ok(None),
        Ok(Some(Coding::Gzip)) => bounded(flate2::read::MultiGzDecoder::new(body), max_bytes),
        Ok(Some(Coding::Brotli)) => bounded(
            brotli_decompressor::Decompressor::new(body, BROTLI_BUFFER_BYTES),
            max_bytes,
        ),
        Ok(Some(Coding::Zstd)) => zstd(body, max_bytes),
        // Of an answer it is read, where a provider did not keep to what it was asked.
        Ok(Some(Coding::Deflate)) | Err(_) => return Err(Kind::UnknownEncoding),
    };
    match decoded {
        Ok(Some(decoded)) => Ok(Some(decoded)),
        Ok(None) => Err(Kind::TooLarge { max_bytes }),
        Err(_) => Err(Kind::BadEncoding("it is not what its content-encoding says")),
    }
}

fn zstd(body: &[u8], max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    if zstd_window_bytes(body).is_none_or(|window| window > MAX_ZSTD_WINDOW_BYTES.max(max_bytes)) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let decoder = ruzstd::decoding::StreamingDecoder::new(body).map_err(io::Error::other)?;
    bounded(decoder, max_bytes)
}

/// The window a frame asks for (RFC 8878 §3.1.1.1), known before anything is allocated for it. A single segment needs
/// as much as its content is long.
fn zstd_window_bytes(frame: &[u8]) -> Option<u64> {
    let header = frame.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])?;
    let (&descriptor, rest) = header.split_first()?;
    if descriptor & 0x20 == 0 {
        let window = *rest.first()?;
        let base = 1u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size_bytes = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let size = rest.get(dictionary_bytes..dictionary_bytes + size_bytes)?;
    let value = size.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    Some(if size_bytes == 2 { value + 256 } else { value })
}

/// All that the decoder yields; `None` when that is more than `max_bytes`.
fn bounded(decoder: impl Read, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    let read = decoder.take(max_bytes.saturating_add(1)).read_to_end(&mut out)?;
    Ok((read as u64 <= max_bytes).then_some(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encoded below by the reference tools.
    const PLAIN: &[u8] = b"{\"model\":\"gpt\"}";
    const BROTLI: &[u8] = b"\x0b\x07\x80\x7b\x22\x6d\x6f\x64\x65\x6c\x22\x3a\x22\x67\x70\x74\x22\x7d\x03";
    const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x24\x0f\x79\x00\x00\x7b\x22\x6d\x6f\x64\x65\x6c\x22\x3a\x22\x67\x70\x74\x22\x7d\xfa\xe7\xbb\x55";
    const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\xcd\x4f\x49\xcd\x51\xb2\x52\x4a\x2f\x28\x51\xaa\x05\x00\x41\x69\x0b\x3a\x0f\x00\x00\x00";

    #[test]
    fn every_coding_of_the_contract_decodes_within_bounds() {
        for (name, coded) in [("gzip", GZIP), ("X-Gzip", GZIP), ("br", BROTLI), ("zstd", ZSTD)] {
            assert_eq!(
                request_body(name.as_bytes(), coded, 100),
                Ok(Some(PLAIN.to_vec())),
                "{name}"
            );
            assert_eq!(
                request_body(name.as_bytes(), coded, PLAIN.len() as u64 - 1),
                Err(Kind::TooLarge { max_bytes: 14 })
            );
            assert!(
                matches!(request_body(name.as_bytes(), PLAIN, 100), Err(Kind::BadEncoding(_))),
                "{name}"
            );
            let cut = &coded[..coded.len() / 2];
            assert!(
                matches!(request_body(name.as_bytes(), cut, 100), Err(Kind::BadEncoding(_))),
                "{name}"
            );
        }
        assert_eq!(request_body(b"identity", PLAIN, 100), Ok(None));
        assert_eq!(request_body(b"gzip, br", PLAIN, 100), Err(Kind::UnknownEncoding));
    }

    #[test]
    fn a_window_beyond_all_need_is_refused_before_it_is_allocated() {
        // Window descriptor 0xff: 15 times 2^41 / 8.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0, 0, 0];
        assert!(zstd_window_bytes(&frame).is_some_and(|window| window > 1 << 40));
        assert!(zstd(&frame, 100).is_err());
    }
}
