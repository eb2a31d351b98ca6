//! Every coding, cut anywhere, against what was coded; and what hides too much.

use std::io::Write as _;

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};

use super::*;

const FIRST: &str = "data: {\"a\":\"one\"}\n\n";
const SECOND: &str = "data: {\"a\":\"two\",\"usage\":{\"prompt_tokens\":9}}\n\n";

/// Coded by the reference tools, each event flushed.
const BROTLI: [&[u8]; 2] = [
    b"\x0b\x09\x80data: {\"a\":\"one\"}\n\n",
    b"\x70\x01\x08data: {\"a\":\"two\",\"usage\":{\"prompt_tokens\":9}}\n\n\x03",
];
const ZSTD: &[u8] =
    b"\x28\xb5\x2f\xfd\x04\x58\xed\x01\x00\x64\x03data: {\"a\":\"one\"}\n\ntwo\",\"usage\":{\"prompt_tokens\
                      \":9}}\n\n\x01\x00\x8d\x9b\x61\x68\xa0\x7e\x7e";

fn coded(coding: Coding) -> Vec<u8> {
    let events = [FIRST.as_bytes(), SECOND.as_bytes()];
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            for event in events {
                encoder
                    .write_all(event)
                    .and_then(|()| encoder.flush())
                    .expect("in memory");
            }
            encoder.finish().expect("in memory")
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&events.concat()).expect("in memory");
            encoder.finish().expect("in memory")
        }
        Coding::Brotli => BROTLI.concat(),
        Coding::Zstd => ZSTD.to_vec(),
    }
}

fn decoded(coding: Coding, bytes: &[u8], slice: usize) -> Result<String, BadCoding> {
    let (mut decoder, mut out) = (Decoder::new(coding), Vec::new());
    for slice in bytes.chunks(slice) {
        decoder.feed(slice, |bytes| out.extend_from_slice(bytes))?;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[test]
fn every_coding_decodes_however_it_is_cut() {
    for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
        let bytes = coded(coding);
        for slice in [1, 2, 7, 1000] {
            let whole = [FIRST, SECOND].concat();
            assert_eq!(decoded(coding, &bytes, slice), Ok(whole), "{coding:?} by {slice}");
        }
    }
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
    raw.write_all(FIRST.as_bytes()).expect("in memory");
    let raw = raw.finish().expect("in memory");
    assert_eq!(decoded(Coding::Deflate, &raw, 3).as_deref(), Ok(FIRST));
}

#[test]
fn what_was_flushed_is_there_at_once() {
    for (coding, first) in [
        (Coding::Brotli, BROTLI[0].to_vec()),
        (Coding::Gzip, {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder
                .write_all(FIRST.as_bytes())
                .and_then(|()| encoder.flush())
                .expect("in memory");
            encoder.get_ref().clone()
        }),
    ] {
        assert_eq!(decoded(coding, &first, 1000).as_deref(), Ok(FIRST), "{coding:?}");
    }
}

#[test]
fn a_bomb_is_refused_and_so_is_what_is_no_such_coding() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&[0; 4_000_000]).expect("in memory");
    let gzip = gzip.finish().expect("in memory");
    assert_eq!(decoded(Coding::Gzip, &gzip, 16_384), Err(BadCoding::Bomb));
    // Five times four million zeros, and more.
    let brotli = b"\xcb\xff\xff\x3f\xf8\x27\x00\xe2\xb1\x40\x20\xf7\xfe\x8f\xff\xff\xff\x7f\xf0\x4f\x00\xc4\x61\x11\x80\xee\xfd\x1f\
                   \xff\xff\xff\xe0\x9f\x00\x88\xc3\x02\x00\xdd\xfb\x3f\xfe\xff\xff\xc1\x3f\x01\x10\x87\x05\x00\xba\xf7\x7f\xfc";
    assert_eq!(decoded(Coding::Brotli, brotli, 16_384), Err(BadCoding::Bomb));
    // A frame with a window of 1 KiB and blocks that repeat a byte 131072 times.
    let mut zstd = b"\x28\xb5\x2f\xfd\x00\x00".to_vec();
    zstd.extend(b"\x02\x00\x10\x00".repeat(250));
    assert_eq!(decoded(Coding::Zstd, &zstd, 16_384), Err(BadCoding::Bomb));
    for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
        let plain = SECOND.repeat(3);
        assert_eq!(
            decoded(coding, plain.as_bytes(), 9),
            Err(BadCoding::Damaged),
            "{coding:?}"
        );
    }
    // Window descriptor 0xff: 15 times 2^41 / 8.
    let wide = b"\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00";
    assert_eq!(decoded(Coding::Zstd, wide, 2), Err(BadCoding::Damaged));
}

#[test]
fn codings_have_the_names_of_the_registry() {
    assert_eq!(Coding::of(b" X-GZIP "), Ok(Some(Coding::Gzip)));
    assert_eq!(Coding::of(b"identity"), Ok(None));
    assert_eq!(Coding::of(b"gzip, br"), Err(BadCoding::Unknown));
}
