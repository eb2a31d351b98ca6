//! The size of a picture, from the beginning of its file: PNG, JPEG, GIF, WebP. Only the bytes that say it are looked
//! at; base64 is decoded a byte at a time, so a picture costs the same whatever its size.

use super::Size;

/// Segments (colour profile, camera data, previews) that a JPEG may have before its size.
const MAX_JPEG_SEGMENTS: usize = 512;

/// A file, or the beginning of one.
#[derive(Clone, Copy, Debug)]
pub enum File<'a> {
    Bytes(&'a [u8]),
    /// RFC 4648 base64 without line breaks, either alphabet.
    Base64(&'a [u8]),
}

impl File<'_> {
    fn byte(self, at: usize) -> Option<u8> {
        match self {
            File::Bytes(bytes) => bytes.get(at).copied(),
            File::Base64(text) => {
                let first = at / 3 * 4 + at % 3;
                let (one, two) = (sextet(*text.get(first)?)?, sextet(*text.get(first + 1)?)?);
                // Of four letters, byte n has the end of letter n and the beginning of letter n + 1.
                let shift = 2 + 2 * (at % 3);
                Some(((u16::from(one) << shift | u16::from(two) >> (6 - shift)) & 0xFF) as u8)
            }
        }
    }

    fn starts_with(self, at: usize, expected: &[u8]) -> bool {
        (at..).zip(expected).all(|(at, &byte)| self.byte(at) == Some(byte))
    }

    fn big(self, at: usize, bytes: usize) -> Option<u32> {
        (at..at + bytes).try_fold(0, |number, at| Some(number << 8 | u32::from(self.byte(at)?)))
    }

    fn little(self, at: usize, bytes: usize) -> Option<u32> {
        let mut backwards = (at..at + bytes).rev();
        backwards.try_fold(0, |number, at| Some(number << 8 | u32::from(self.byte(at)?)))
    }
}

/// `None` where the file is of no known kind, broken, or too short.
pub fn size(file: File<'_>) -> Option<Size> {
    let (width, height) = match file.byte(0)? {
        0x89 if file.starts_with(0, b"\x89PNG\r\n\x1a\n") => (file.big(16, 4)?, file.big(20, 4)?),
        b'G' if file.starts_with(0, b"GIF8") => (file.little(6, 2)?, file.little(8, 2)?),
        b'R' if file.starts_with(0, b"RIFF") && file.starts_with(8, b"WEBP") => webp(file)?,
        0xFF if file.byte(1)? == 0xD8 => jpeg(file)?,
        _ => return None,
    };
    (width > 0 && height > 0).then_some(Size { width, height })
}

fn webp(file: File<'_>) -> Option<(u32, u32)> {
    match file.byte(15)? {
        // Lossy: behind the frame's tag and start code.
        b' ' if file.starts_with(23, b"\x9d\x01\x2a") => {
            Some((file.little(26, 2)? & 0x3FFF, file.little(28, 2)? & 0x3FFF))
        }
        b'L' if file.byte(20)? == 0x2F => {
            let bits = file.little(21, 4)?;
            Some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
        }
        b'X' => Some((file.little(24, 3)? + 1, file.little(27, 3)? + 1)),
        _ => None,
    }
}

/// The frame header, behind any number of other segments.
fn jpeg(file: File<'_>) -> Option<(u32, u32)> {
    let mut at = 2;
    for _ in 0..MAX_JPEG_SEGMENTS {
        if file.byte(at)? != 0xFF {
            return None;
        }
        match file.byte(at + 1)? {
            // Filling, and marks without a segment.
            0xFF => at += 1,
            0x01 | 0xD0..=0xD8 => at += 2,
            0xC4 | 0xC8 | 0xCC => at += 2 + file.big(at + 2, 2)? as usize,
            0xC0..=0xCF => return Some((file.big(at + 7, 2)?, file.big(at + 5, 2)?)),
            _ => at += 2 + file.big(at + 2, 2)? as usize,
        }
    }
    None
}

fn sextet(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}
