//! AWS event streams: any cut gives the same messages and the same error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_wire::eventstream::{BadMessage, Decoder};

fn split<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Result<(), BadMessage>) {
    let mut decoder = Decoder::new(300);
    let mut seen = Vec::new();
    for piece in pieces {
        let fed = decoder.feed(piece, |message| {
            message.headers().for_each(drop);
            seen.push(format!("{message:?}"));
        });
        if fed.is_err() {
            return (seen, fed);
        }
    }
    let finished = decoder.finish();
    (seen, finished)
}

fuzz_target!(|input: &[u8]| {
    let Some((stream, pieces)) = tollgate_fuzz::pieces(input) else {
        return;
    };
    assert_eq!(split(std::iter::once(stream)), split(pieces));
});
