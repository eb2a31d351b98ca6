//! A stream of 100 events: freed of its chunks, and split.

use std::hint::black_box;

use tollgate_wire::{http1::chunked, sse::Splitter};

use crate::{Case, Unit};

const EVENTS: usize = 100;
const EVENT: &[u8] = b"data: {\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion.chunk\",\
    \"created\":1767225600,\"model\":\"gpt-5.4-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\
    \"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
const LONGEST_EVENT_BYTES: usize = 1 << 20;

pub const CASES: [Case; 3] = [
    Case {
        group: "chunks",
        name: "one a read",
        per: Unit::many("chunk", EVENTS, EVENTS * EVENT.len()),
        counted_runs: 20,
        prepare: chunk_a_read,
    },
    Case {
        group: "events",
        name: "one a read",
        per: Unit::many("event", EVENTS, EVENTS * EVENT.len()),
        counted_runs: 20,
        prepare: event_a_read,
    },
    Case {
        group: "events",
        name: "cut anywhere by reads of 100 bytes",
        per: Unit::many("event", EVENTS, EVENTS * EVENT.len()),
        counted_runs: 20,
        prepare: cut_events,
    },
];

fn chunk_a_read() -> Box<dyn FnMut()> {
    let mut chunk = Vec::new();
    chunked::write_chunk(&mut chunk, EVENT);
    Box::new(move || {
        let (mut decoder, mut seen) = (chunked::Decoder::default(), 0);
        for _ in 0..EVENTS {
            let mut rest = black_box(&chunk[..]);
            while let chunked::Step::Data { data, consumed } = decoder.step(rest).expect("good chunks") {
                seen += data.len();
                rest = &rest[consumed..];
            }
        }
        assert_eq!(seen, EVENTS * EVENT.len());
    })
}

fn split<'a>(reads: impl Iterator<Item = &'a [u8]>) {
    let (mut splitter, mut seen) = (Splitter::new(LONGEST_EVENT_BYTES), 0);
    for read in reads {
        let fed = splitter.feed(black_box(read), |event| seen += usize::from(!event.data.is_empty()));
        fed.expect("short events");
    }
    assert_eq!(seen, EVENTS);
}

fn event_a_read() -> Box<dyn FnMut()> {
    Box::new(|| split(std::iter::repeat_n(EVENT, EVENTS)))
}

fn cut_events() -> Box<dyn FnMut()> {
    let stream = EVENT.repeat(EVENTS);
    Box::new(move || split(stream.chunks(100)))
}
