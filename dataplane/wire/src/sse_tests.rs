//! The splitter by table, and any split of the stream.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    raw: std::ops::Range<u64>,
    name: String,
    data: String,
}

/// The events of `stream` fed in the pieces that `cuts` makes, and how it ended.
fn split(stream: &[u8], cuts: &[usize], limit: usize) -> (Vec<Seen>, Result<(), EventTooLong>) {
    let mut splitter = Splitter::new(limit);
    let mut seen = Vec::new();
    let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    bounds.extend([0, stream.len()]);
    bounds.sort_unstable();
    let mut outcome = Ok(());
    for pair in bounds.windows(2) {
        let input = &stream[pair[0]..pair[1]];
        let result = splitter.feed(input, |event| {
            if let Some(span) = event.data_in_input {
                assert_eq!(span.of(input), event.data);
            }
            seen.push(seen_of(&event));
        });
        assert!(splitter.cut.len() <= limit);
        outcome = outcome.and(result);
    }
    outcome = outcome.and(splitter.finish(|event| seen.push(seen_of(&event))));
    (seen, outcome)
}

fn seen_of(event: &Event<'_>) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Seen {
        raw: event.raw_start..event.raw_end,
        name: text(event.name),
        data: text(event.data),
    }
}

/// Raw extent, name, data.
type Expected = (std::ops::Range<u64>, &'static str, &'static str);

#[test]
fn streams_are_split_into_events() {
    let table: &[(&str, &[Expected])] = &[
        ("data: a\n\n", &[(0..9, "", "a")]),
        ("data:a\r\n\r\ndata:  b\r\r", &[(0..10, "", "a"), (10..20, "", " b")]),
        ("event: message_start\ndata: {}\n\n", &[(0..31, "message_start", "{}")]),
        ("\u{feff}data: a\n\n", &[(3..12, "", "a")]),
        ("data: a\n\n\u{feff}data: b\n\n", &[(0..9, "", "a")]),
        (": ping\n\n:\n\ndata: a\n\n", &[(11..20, "", "a")]),
        ("data: a\ndata: b\n: c\ndata\n\n", &[(0..26, "", "a\nb\n")]),
        ("\n\n\ndata\n\n", &[(3..9, "", "")]),
        ("event: only\n\nid: 1\nretry: 5\n\n", &[]),
        ("data: cut off\n", &[]),
        ("data: [DONE]\r\n\r\n", &[(0..16, "", "[DONE]")]),
        ("datax: a\nDATA: b\n data: c\n\n", &[]),
    ];
    for (stream, expected) in table {
        let (seen, outcome) = split(stream.as_bytes(), &[], 1024);
        let expected: Vec<Seen> = expected
            .iter()
            .map(|(raw, name, data)| Seen {
                raw: raw.clone(),
                name: name.to_string(),
                data: data.to_string(),
            })
            .collect();
        assert_eq!((seen, outcome), (expected, Ok(())), "{stream:?}");
    }
}

#[test]
fn data_in_one_line_is_shown_in_its_input() {
    let mut splitter = Splitter::new(1024);
    let mut spans = Vec::new();
    for input in [&b"data: a\n\ndata: b"[..], b"c\n\n", b"event: e\n", b"data: d\n\n"] {
        splitter
            .feed(input, |event| spans.push(event.data_in_input.map(|span| span.range())))
            .expect("short");
    }
    assert_eq!(spans, [Some(6..7), None, Some(6..7)]);
    assert_eq!(splitter.offset(), 37);
}

#[test]
fn an_event_ends_in_the_input_that_ends_it() {
    let mut splitter = Splitter::new(1024);
    for (input, events) in [(&b"data: a\n"[..], 0), (b"\n", 1), (b"data: b\r\n\r", 0), (b"\n", 1)] {
        let mut count = 0;
        splitter.feed(input, |_| count += 1).expect("short");
        assert_eq!(count, events, "{}", input.escape_ascii());
    }
}

#[test]
fn an_event_longer_than_the_limit_fails_for_good() {
    let long = format!("data: a\n\ndata: {}\n\ndata: b\n\n", "x".repeat(50));
    let (seen, outcome) = split(long.as_bytes(), &[], 40);
    assert_eq!((seen.len(), outcome), (1, Err(EventTooLong { limit: 40 })));
    let mut splitter = Splitter::new(4);
    assert!(splitter.feed(b"data:", |_| {}).is_err());
    assert!(splitter.feed(b"\n\n", |_| {}).is_err());
}

/// Pieces that make event streams likely.
fn near_stream() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"data: {\"a\":1}",
        b"data",
        b"data:x",
        b"event: e",
        b": c",
        b"\n",
        b"\n",
        b"\n\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\r",
        b"\r\r",
        BOM,
        b"id: 3",
        b"x",
        b" ",
        b":",
        b"data: a rather long line that crosses a few of the cuts that are made",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_split_gives_the_same(stream in near_stream(), cuts in prop::collection::vec(any::<usize>(), 0..12), limit in 8usize..200) {
        let whole = split(&stream, &[], limit);
        prop_assert_eq!(&split(&stream, &cuts, limit), &whole);
        let bytewise: Vec<usize> = (0..stream.len()).collect();
        prop_assert_eq!(&split(&stream, &bytewise, limit), &whole);
    }

    #[test]
    fn random_bytes_never_panic(stream in prop::collection::vec(any::<u8>(), 0..256), cuts in prop::collection::vec(any::<usize>(), 0..4)) {
        let _ = split(&stream, &cuts, 64);
    }
}
