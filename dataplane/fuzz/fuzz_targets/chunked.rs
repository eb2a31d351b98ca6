//! A chunked body decodes to the same however it is cut, and what was decoded decodes again when written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_wire::http1::chunked::{self, BadChunk, Decoder, Step};

/// The body, and how much of the stream belonged to it when it ended.
type Decoded = Result<(Vec<u8>, Option<usize>), BadChunk>;

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = Decoder::default();
    let mut body = Vec::new();
    let mut fed = 0;
    for piece in pieces {
        let mut at = 0;
        loop {
            match decoder.step(&piece[at..])? {
                Step::Data { data, consumed } => {
                    assert!(consumed > 0 && !data.is_empty());
                    body.extend_from_slice(data.of(&piece[at..]));
                    at += consumed;
                }
                Step::More => break,
                Step::End { consumed } => return Ok((body, Some(fed + at + consumed))),
            }
        }
        fed += piece.len();
    }
    Ok((body, None))
}

fuzz_target!(|input: &[u8]| {
    let Some((stream, pieces)) = tollgate_fuzz::pieces(input) else {
        return;
    };
    let whole = decode(std::iter::once(stream));
    assert_eq!(whole, decode(pieces));
    let Ok((body, Some(end))) = whole else { return };
    assert!(end <= stream.len());
    let mut written = Vec::new();
    body.chunks(1000)
        .for_each(|chunk| chunked::write_chunk(&mut written, chunk));
    written.extend_from_slice(chunked::LAST_CHUNK);
    let again = decode(std::iter::once(written.as_slice()));
    assert_eq!(again, Ok((body, Some(written.len()))));
});
