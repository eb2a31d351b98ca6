//! The tap shows the same however the document is cut, and what the cursor finds in a valid one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_wire::json::{
    cursor::{self, Kind},
    tap::{Place, Tap},
};

const LIMIT: usize = 200;
const PLACES: &[Place] = &[&["usage"], &["response", "usage"]];

fn tap<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let (mut tap, mut found) = (Tap::new(PLACES, LIMIT), Vec::new());
    pieces.for_each(|piece| tap.feed(piece, |object| found.push(object.to_vec())));
    found
}

fuzz_target!(|input: &[u8]| {
    let Some((document, pieces)) = tollgate_fuzz::pieces(input) else {
        return;
    };
    let whole = tap(std::iter::once(document));
    assert_eq!(whole, tap(pieces));
    let Ok(found) = cursor::find(document, &["usage", "response.usage"]) else {
        return;
    };
    let objects = found.into_iter().flatten().filter(|value| value.kind == Kind::Object);
    let mut spans: Vec<_> = objects.map(|value| value.span).filter(|span| span.of(document).len() <= LIMIT).collect();
    spans.sort_by_key(|span| span.start);
    let expected: Vec<_> = spans.iter().map(|span| span.of(document).to_vec()).collect();
    assert_eq!(whole, expected);
});
