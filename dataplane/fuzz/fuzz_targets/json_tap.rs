//! The tap shows the same however the document is cut, and what the cursor finds in a valid one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_wire::json::cursor;
use tollgate_wire::json::tap::{Tap, Tapped};

const LIMIT: usize = 200;

fn tap<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Tap {
    let mut tap = Tap::new("usage", LIMIT);
    pieces.for_each(|piece| tap.feed(piece));
    tap
}

fuzz_target!(|input: &[u8]| {
    let Some((document, pieces)) = tollgate_fuzz::pieces(input) else {
        return;
    };
    let whole = tap(std::iter::once(document));
    assert_eq!(whole.outcome(), tap(pieces).outcome());
    let Ok([found]) = cursor::find(document, &["usage"]) else {
        return;
    };
    let expected = match found.map(|value| value.span.of(document)) {
        None => Tapped::Absent,
        Some(value) if value.len() > LIMIT => Tapped::TooLong,
        Some(value) => Tapped::Value(value),
    };
    assert_eq!(whole.outcome(), expected);
});
