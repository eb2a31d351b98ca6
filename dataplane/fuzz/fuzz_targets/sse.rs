//! A stream of events is the same however it is cut; its events lie apart and in order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_wire::sse::{Event, EventTooLong, Splitter};

/// Raw extent, name, data.
type Seen = (u64, u64, Vec<u8>, Vec<u8>);

const LIMIT: usize = 300;

fn split<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Seen>, Result<(), EventTooLong>) {
    let mut splitter = Splitter::new(LIMIT);
    let mut seen: Vec<Seen> = Vec::new();
    let mut note = |event: Event<'_>, piece: &[u8]| {
        if let Some(span) = event.data_in_input {
            assert_eq!(span.of(piece), event.data);
        }
        assert!(event.raw_end > event.raw_start && event.raw_end - event.raw_start <= LIMIT as u64);
        assert!(seen.last().is_none_or(|last| last.1 <= event.raw_start));
        seen.push((event.raw_start, event.raw_end, event.name.to_vec(), event.data.to_vec()));
    };
    let mut outcome = Ok(());
    for piece in pieces {
        outcome = outcome.and(splitter.feed(piece, |event| note(event, piece)));
    }
    outcome = outcome.and(splitter.finish(|event| note(event, b"")));
    (seen, outcome)
}

fuzz_target!(|input: &[u8]| {
    let Some((stream, pieces)) = tollgate_fuzz::pieces(input) else {
        return;
    };
    assert_eq!(split(std::iter::once(stream)), split(pieces));
});
