//! Content codings of answers, decoded as their bytes come: each slice gives what it makes of the document, and no slice
//! may make more than any text does.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{BROTLI_BUFFER_BYTES, MAX_ZSTD_WINDOW_BYTES, zstd_window_bytes};

/// Decoded at a time: what comes of it is held until it is taken.
const SLICE_BYTES: usize = 1024;
/// What a slice becomes at most: text and JSON shrink to a tenth, what is all alike to a fiftieth.
const MAX_SLICE_BECOMES_BYTES: usize = 256 * 1024;
/// Zstandard's bound on a block (RFC 8878 §3.1.1.2.4), which is decoded as one.
const MAX_ZSTD_BLOCK_BYTES: usize = 128 * 1024;

/// A coding that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// Of a `content-encoding`: `Ok(None)` for none, an error for one that is not understood.
    pub fn of(value: &[u8]) -> Result<Option<Coding>, BadCoding> {
        match value.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Ok(None),
            b"gzip" | b"x-gzip" => Ok(Some(Coding::Gzip)),
            b"deflate" => Ok(Some(Coding::Deflate)),
            b"br" => Ok(Some(Coding::Brotli)),
            b"zstd" => Ok(Some(Coding::Zstd)),
            _ => Err(BadCoding::Unknown),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadCoding {
    Unknown,
    Damaged,
    Bomb,
}

impl BadCoding {
    pub fn reason(self) -> &'static str {
        match self {
            BadCoding::Unknown => "its content-encoding is none of gzip, deflate, br and zstd",
            BadCoding::Damaged => "it is not what its content-encoding says",
            BadCoding::Bomb => "its content-encoding hides more than 256 KiB in a KiB",
        }
    }
}

/// Decodes one answer.
pub(crate) struct Decoder(Kind);

enum Kind {
    Gzip(MultiGzDecoder<Room>),
    /// With zlib's header or, as some servers have it, without: the first byte tells.
    Undecided,
    Zlib(ZlibDecoder<Room>),
    Deflate(DeflateDecoder<Room>),
    Brotli(Box<DecompressorWriter<Room>>),
    Zstd(Box<Zstd>),
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decoder")
    }
}

impl Decoder {
    pub fn new(coding: Coding) -> Decoder {
        Decoder(match coding {
            Coding::Gzip => Kind::Gzip(MultiGzDecoder::new(Room::default())),
            Coding::Deflate => Kind::Undecided,
            Coding::Brotli => Kind::Brotli(Box::new(DecompressorWriter::new(Room::default(), BROTLI_BUFFER_BYTES))),
            Coding::Zstd => Kind::Zstd(Box::default()),
        })
    }

    /// The next bytes; `sink` is given what they become, in order. After an error nothing more is fed.
    pub fn feed(&mut self, bytes: &[u8], mut sink: impl FnMut(&[u8])) -> Result<(), BadCoding> {
        for slice in bytes.chunks(SLICE_BYTES) {
            self.slice(slice, &mut sink)?;
        }
        Ok(())
    }

    fn slice(&mut self, slice: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<(), BadCoding> {
        if let (Kind::Undecided, Some(first)) = (&self.0, slice.first()) {
            // The method and window of zlib's header (RFC 1950 §2.2); no sensible deflate block begins so.
            self.0 = match first & 0x8f {
                0x08 => Kind::Zlib(ZlibDecoder::new(Room::default())),
                _ => Kind::Deflate(DeflateDecoder::new(Room::default())),
            };
        }
        match &mut self.0 {
            Kind::Undecided => Ok(()),
            Kind::Gzip(decoder) => {
                let fed = write(decoder, slice);
                decoder.get_mut().hand(fed, sink)
            }
            Kind::Zlib(decoder) => {
                let fed = write(decoder, slice);
                decoder.get_mut().hand(fed, sink)
            }
            Kind::Deflate(decoder) => {
                let fed = write(decoder, slice);
                decoder.get_mut().hand(fed, sink)
            }
            Kind::Brotli(decoder) => {
                let fed = write(&mut **decoder, slice);
                decoder.get_mut().hand(fed, sink)
            }
            Kind::Zstd(zstd) => zstd.feed(slice, sink),
        }
    }
}

fn write(decoder: &mut impl Write, slice: &[u8]) -> io::Result<()> {
    decoder.write_all(slice)?;
    decoder.flush()
}

/// Where a decoder puts what a slice becomes.
#[derive(Debug, Default)]
struct Room {
    bytes: Vec<u8>,
    is_over: bool,
}

impl Room {
    fn hand(&mut self, fed: io::Result<()>, sink: &mut impl FnMut(&[u8])) -> Result<(), BadCoding> {
        if self.is_over {
            return Err(BadCoding::Bomb);
        }
        if !self.bytes.is_empty() {
            sink(&self.bytes);
            self.bytes.clear();
        }
        fed.map_err(|_| BadCoding::Damaged)
    }
}

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_SLICE_BECOMES_BYTES {
            self.is_over = true;
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A block at a time: what came of one that is not whole is held. The library keeps the last window of what it decoded to
/// itself until the frame ends, so that a stream in this coding comes late.
#[derive(Default)]
struct Zstd {
    frame: Option<Frame>,
    held: Vec<u8>,
}

struct Frame {
    decoder: FrameDecoder,
    window_bytes: u64,
    has_checksum: bool,
}

impl Zstd {
    fn feed(&mut self, slice: &[u8], sink: &mut impl FnMut(&[u8])) -> Result<(), BadCoding> {
        self.held.extend_from_slice(slice);
        let (mut at, mut became) = (0, 0);
        loop {
            let rest = self.held.get(at..).unwrap_or_default();
            let used = match &mut self.frame {
                None => match Frame::begin(rest)? {
                    Some((frame, used)) => {
                        self.frame = Some(frame);
                        used
                    }
                    None => break,
                },
                Some(frame) => match frame.block(rest, &mut became, sink)? {
                    Some((used, is_over)) => {
                        if is_over {
                            self.frame = None;
                        }
                        used
                    }
                    None => break,
                },
            };
            at += used;
        }
        self.held.drain(..at);
        Ok(())
    }
}

impl Frame {
    /// `None`: its header (RFC 8878 §3.1.1.1) is not whole. Else how long it is.
    fn begin(bytes: &[u8]) -> Result<Option<(Frame, usize)>, BadCoding> {
        let Some(&descriptor) = bytes.get(4) else {
            return Ok(None);
        };
        let is_single = descriptor & 0x20 != 0;
        let size_bytes = match descriptor >> 6 {
            0 => usize::from(is_single),
            sizes => 1 << sizes,
        };
        let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let length = 5 + usize::from(!is_single) + dictionary_bytes + size_bytes;
        let Some(mut header) = bytes.get(..length) else {
            return Ok(None);
        };
        let window_bytes = zstd_window_bytes(header).ok_or(BadCoding::Damaged)?;
        if window_bytes > MAX_ZSTD_WINDOW_BYTES {
            return Err(BadCoding::Damaged);
        }
        let mut decoder = FrameDecoder::new();
        decoder.init(&mut header).map_err(|_| BadCoding::Damaged)?;
        let frame = Frame {
            decoder,
            window_bytes,
            has_checksum: descriptor & 4 != 0,
        };
        Ok(Some((frame, length)))
    }

    /// `None`: the next block is not whole. Else how long it is, and whether it was the frame's last.
    fn block(
        &mut self,
        bytes: &[u8],
        became: &mut u64,
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<Option<(usize, bool)>, BadCoding> {
        let Some(&[low, middle, high]) = bytes.first_chunk::<3>() else {
            return Ok(None);
        };
        let header = u32::from_le_bytes([low, middle, high, 0]);
        let (is_last, is_repeated) = (header & 1 == 1, header >> 1 & 3 == 1);
        let size = (header >> 3) as usize;
        if size > MAX_ZSTD_BLOCK_BYTES {
            return Err(BadCoding::Damaged);
        }
        let checksum = if is_last && self.has_checksum { 4 } else { 0 };
        let length = 3 + if is_repeated { 1 } else { size } + checksum;
        let Some(block) = bytes.get(..length) else {
            return Ok(None);
        };
        self.decoder
            .decode_blocks(block, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|_| BadCoding::Damaged)?;
        let made = self.decoder.collect().unwrap_or_default();
        *became += made.len() as u64;
        if *became > self.window_bytes + (MAX_SLICE_BECOMES_BYTES + MAX_ZSTD_BLOCK_BYTES) as u64 {
            return Err(BadCoding::Bomb);
        }
        if !made.is_empty() {
            sink(&made);
        }
        Ok(Some((length, is_last)))
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
