//! The decoder by table, by every cut and every damaged byte; the encoder against known messages.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    headers: Vec<(String, String)>,
    payload: Vec<u8>,
}

fn seen_of(message: &Message<'_>) -> Seen {
    let headers = message.headers();
    Seen {
        headers: headers
            .map(|(name, value)| (name.to_owned(), format!("{value:?}")))
            .collect(),
        payload: message.payload.to_vec(),
    }
}

/// What `stream`, fed in pieces that end at `cuts`, gives, and how it ended.
fn decode(stream: &[u8], cuts: &[usize], limit: usize) -> (Vec<Seen>, Result<(), BadMessage>) {
    let mut decoder = Decoder::new(limit);
    let mut seen = Vec::new();
    let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    bounds.extend([0, stream.len()]);
    bounds.sort_unstable();
    let mut outcome = Ok(());
    for pair in bounds.windows(2) {
        outcome = outcome.and(decoder.feed(&stream[pair[0]..pair[1]], |message| seen.push(seen_of(&message))));
        assert!(decoder.cut.len() < PRELUDE_BYTES + MAX_HEADERS_BYTES + limit + CRC_BYTES);
    }
    outcome = outcome.and(decoder.finish());
    (seen, outcome)
}

/// Made with another implementation of the format, and read back by the AWS SDK's decoder.
const KNOWN_EVENT: &str = "\
    0000007a00000051ca2c46650b3a6576656e742d7479706507000b6d65737361676553746f700d3a636f6e74656e742d\
    747970650700106170706c69636174696f6e2f6a736f6e0d3a6d6573736167652d747970650700056576656e747b2273746f70526561736f\
    6e223a22656e645f7475726e227d5fbf09fc";
/// A header of each type, made with another implementation.
const KNOWN_TYPES: &str = "0000006200000050edbbaab0017400016601016202fb017303fed401690400011170016c05fffffffed5fa0e0001\
    7906000300ff01017807000368c3a9027473080000019abde39500017509000102030405060708090a0b0c0d0e0f7b7d18c02e7d";
const KNOWN_EMPTY: &str = "000000100000000005c248eb7d98c8ff";

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}

const ALL_TYPES: [(&str, Value<'static>); 10] = [
    ("t", Value::Boolean(true)),
    ("f", Value::Boolean(false)),
    ("b", Value::Int8(-5)),
    ("s", Value::Int16(-300)),
    ("i", Value::Int32(70_000)),
    ("l", Value::Int64(-5_000_000_000)),
    ("y", Value::Bytes(&[0, 255, 1])),
    ("x", Value::Text("hé")),
    ("ts", Value::TimestampMs(1_764_122_400_000)),
    ("u", Value::Uuid([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])),
];

#[test]
fn known_messages_are_written_and_read_so() {
    let mut out = b"before".to_vec();
    write_event(&mut out, "messageStop", |out| {
        out.extend_from_slice(br#"{"stopReason":"end_turn"}"#);
    });
    assert_eq!(out[6..], bytes_of(KNOWN_EVENT));
    out.clear();
    write(&mut out, &ALL_TYPES, |out| out.extend_from_slice(b"{}"));
    assert_eq!(out, bytes_of(KNOWN_TYPES));
    out.clear();
    write(&mut out, &[], |_| {});
    assert_eq!(out, bytes_of(KNOWN_EMPTY));

    let mut decoder = Decoder::new(100);
    let mut met = 0;
    let read = decoder.feed(&bytes_of(KNOWN_TYPES), |message| {
        met += 1;
        assert!(message.headers().eq(ALL_TYPES));
        assert_eq!(message.payload, b"{}");
        assert_eq!(message.text("x"), Some("hé"));
        assert_eq!((message.text("y"), message.text("z")), (None, None));
    });
    assert_eq!((read, met), (Ok(()), 1));
    let (seen, outcome) = decode(&bytes_of(KNOWN_EMPTY), &[], 0);
    let nothing = Seen {
        headers: Vec::new(),
        payload: Vec::new(),
    };
    assert_eq!((seen, outcome), (vec![nothing], Ok(())));
}

#[test]
fn an_exception_names_its_type() {
    let mut out = Vec::new();
    write_exception(&mut out, "throttlingException", |out| out.extend_from_slice(b"{}"));
    let mut types = Vec::new();
    Decoder::new(2)
        .feed(&out, |message| {
            let text = |name| message.text(name).unwrap_or_default().to_owned();
            types.push([text(":message-type"), text(":exception-type"), text(":content-type")]);
        })
        .expect("whole");
    assert_eq!(types, [["exception", "throttlingException", "application/json"]]);
}

/// A stream of messages of several shapes, and what it says.
fn stream() -> Vec<u8> {
    let mut out = Vec::new();
    write_event(&mut out, "messageStart", |out| {
        out.extend_from_slice(br#"{"role":"assistant"}"#)
    });
    write(&mut out, &[], |_| {});
    write(&mut out, &ALL_TYPES, |_| {});
    write_exception(&mut out, "internalServerException", |out| out.extend_from_slice(b"{}"));
    out
}

#[test]
fn no_cut_changes_what_is_read() {
    let stream = stream();
    let (whole, outcome) = decode(&stream, &[], 20);
    assert_eq!((whole.len(), outcome), (4, Ok(())));
    for cut in 0..=stream.len() {
        assert_eq!(decode(&stream, &[cut], 20), (whole.clone(), Ok(())), "cut at {cut}");
    }
    let everywhere: Vec<usize> = (0..stream.len()).collect();
    assert_eq!(decode(&stream, &everywhere, 20), (whole, Ok(())));
}

#[test]
fn a_stream_that_ends_early_is_cut_unless_between_messages() {
    let one = bytes_of(KNOWN_EVENT);
    for end in 1..one.len() {
        assert_eq!(
            decode(&one[..end], &[], 100),
            (Vec::new(), Err(BadMessage::Cut)),
            "{end} bytes"
        );
    }
    assert_eq!(decode(b"", &[], 100), (Vec::new(), Ok(())));
}

#[test]
fn each_damaged_bit_is_found() {
    let one = bytes_of(KNOWN_EVENT);
    for bit in 0..one.len() * 8 {
        let mut damaged = one.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (seen, outcome) = decode(&damaged, &[], 100);
        let expected = if bit / 8 < PRELUDE_BYTES {
            BadMessage::PreludeChecksum
        } else {
            BadMessage::Checksum
        };
        assert_eq!((seen, outcome), (Vec::new(), Err(expected)), "bit {bit}");
    }
}

/// A message with these lengths and this inside, its checksums right.
fn forged(total: u32, headers: u32, inside: &[u8]) -> Vec<u8> {
    let mut message = [total.to_be_bytes(), headers.to_be_bytes()].concat();
    message.extend(crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(inside);
    message.extend(crc32fast::hash(&message).to_be_bytes());
    message
}

/// However it is cut.
fn refused(bytes: &[u8], bad: BadMessage) {
    for cuts in [&[][..], &[1, 13], &[12], &[11]] {
        assert_eq!(decode(bytes, cuts, 10), (Vec::new(), Err(bad)), "{bytes:?}");
    }
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let long = MAX_HEADERS_BYTES as u32 + 1;
    let too_long = BadMessage::PayloadTooLong { limit: 10 };
    // Shorter than its frame; of no length at all; more headers than message.
    refused(&forged(15, 0, b""), BadMessage::Lengths);
    refused(&forged(0, 0, b""), BadMessage::Lengths);
    refused(&forged(20, 5, b"abcd"), BadMessage::Lengths);
    refused(&forged(16, u32::MAX, b""), BadMessage::Lengths);
    refused(&forged(long + 16, long, b""), BadMessage::HeadersTooLong);
    refused(&forged(27, 0, b"01234567890"), too_long);
    // 4 GiB, of which nothing has come.
    refused(&forged(u32::MAX, 0, b""), too_long);
    refused(b"data: {\"a\":1}\n\n", BadMessage::PreludeChecksum);
    refused(b"{\"message\":\"no\"}", BadMessage::PreludeChecksum);
}

#[test]
fn headers_that_are_none_are_refused() {
    let table: &[(&str, &[u8])] = &[
        ("cut in its name", &[5, b'a']),
        ("without a type", &[1, b'a']),
        ("of no type known", &[1, b'a', 10]),
        ("cut in its number", &[1, b'a', 3, 0]),
        ("cut in its length", &[1, b'a', 6, 0]),
        ("cut in its text", &[1, b'a', 7, 0, 2, b'x']),
        ("cut in its identifier", &[1, b'a', 9, 0, 2, b'x']),
        ("a name that is no UTF-8", &[1, 0xff, 0]),
        ("a text that is no UTF-8", &[1, b'a', 7, 0, 1, 0xff]),
        ("the second of two", &[1, b'a', 0, 1, b'b', 99]),
    ];
    for (name, headers) in table {
        let bytes = forged(16 + headers.len() as u32, headers.len() as u32, headers);
        for cuts in [&[][..], &[12]] {
            assert_eq!(
                decode(&bytes, cuts, 10),
                (Vec::new(), Err(BadMessage::Header)),
                "{name}"
            );
        }
    }
}

#[test]
fn a_failed_decoder_stays_failed() {
    let mut decoder = Decoder::new(100);
    let mut met = 0;
    assert_eq!(
        decoder.feed(&forged(15, 0, b""), |_| met += 1),
        Err(BadMessage::Lengths)
    );
    assert_eq!(
        decoder.feed(&bytes_of(KNOWN_EVENT), |_| met += 1),
        Err(BadMessage::Lengths)
    );
    assert_eq!((decoder.finish(), met), (Err(BadMessage::Lengths), 0));
}

fn value() -> impl Strategy<Value = (u8, i64, Vec<u8>, String)> {
    (
        0u8..10,
        any::<i64>(),
        proptest::collection::vec(any::<u8>(), 0..20),
        ".{0,10}",
    )
}

fn value_of((kind, number, bytes, text): &(u8, i64, Vec<u8>, String)) -> Value<'_> {
    match kind {
        0 => Value::Boolean(true),
        1 => Value::Boolean(false),
        2 => Value::Int8(*number as i8),
        3 => Value::Int16(*number as i16),
        4 => Value::Int32(*number as i32),
        5 => Value::Int64(*number),
        6 => Value::Bytes(bytes),
        7 => Value::Text(text),
        8 => Value::TimestampMs(*number),
        _ => Value::Uuid([*number as u8; 16]),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        messages in proptest::collection::vec(
            (
                proptest::collection::vec(("[a-z:-]{0,12}", value()), 0..5),
                proptest::collection::vec(any::<u8>(), 0..60),
            ),
            0..6,
        ),
        cuts in proptest::collection::vec(any::<usize>(), 0..8),
    ) {
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for (headers, payload) in &messages {
            let headers: Vec<(&str, Value<'_>)> =
                headers.iter().map(|(name, value)| (name.as_str(), value_of(value))).collect();
            write(&mut stream, &headers, |out| out.extend_from_slice(payload));
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), format!("{value:?}"))).collect();
            expected.push(Seen { headers, payload: payload.clone() });
        }
        prop_assert_eq!(decode(&stream, &cuts, 60), (expected, Ok(())));
    }

    #[test]
    fn no_bytes_make_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        headers in proptest::collection::vec(any::<u8>(), 0..40),
        cuts in proptest::collection::vec(any::<usize>(), 0..4),
    ) {
        decode(&bytes, &cuts, 50).1.ok();
        let forged = forged(16 + headers.len() as u32, headers.len() as u32, &headers);
        decode(&forged, &cuts, 50).1.ok();
    }
}
