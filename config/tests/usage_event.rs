//! Usage records as bytes: what is written is read, and whatever happens to the bytes, what was whole before it is read too.

use proptest::{collection::vec, option, prelude::*};
use tollgate_config::{
    money::PicoUsd,
    prices::{PriceVersion, ServiceTier},
    usage_event::{
        ALIGN, AttemptBuffer, AttemptLine, AttemptLines, AttemptOutcome, CacheMark, END_MARK, Ending, HedgeMark, Kind,
        MAX_ATTEMPT_LINES, MAX_FRAME_BYTES, MAX_GROWTH_BYTES, Next, SegmentHeader, SegmentName, UsageEvent, boot_file,
        boot_of, next, resume,
    },
};

fn written(event: &UsageEvent<'_>) -> Vec<u8> {
    let mut frame = [0xff; MAX_FRAME_BYTES];
    let bytes = event.write(&mut frame);
    frame[..bytes].to_vec()
}

/// A record's numbers and texts; some of the texts are longer than is kept.
fn any_event() -> impl Strategy<Value = (UsageEvent<'static>, Vec<String>)> {
    let kinds = prop_oneof![Just(Kind::Open), Just(Kind::Close), Just(Kind::Dropped)];
    let endings = prop_oneof![
        Just(Ending::Complete),
        Just(Ending::ClientGone),
        Just(Ending::Cut),
        Just(Ending::Crashed)
    ];
    // One less than the mark of a time that is not known.
    let ns = option::of(0..u64::MAX);
    let texts = vec("[a-zé€🦀=,\"]{0,40}", 17);
    let tokens = proptest::array::uniform9(option::of(any::<u64>()));
    let cost =
        option::of((any::<u128>(), any::<u64>()).prop_map(|(usd, version)| (PicoUsd(usd), PriceVersion(version))));
    let numbers = proptest::array::uniform9(any::<u64>());
    let small = (any::<u16>(), any::<u16>(), any::<u8>(), any::<bool>(), any::<bool>());
    (kinds, endings, ns, texts, tokens, cost, numbers, small).prop_map(
        |(kind, ending, first_token_ns, texts, tokens, cost, numbers, small)| {
            let [
                boot,
                sequence,
                opened,
                started,
                ended,
                total_ns,
                gateway_ns,
                request,
                response,
            ] = numbers;
            let (shard, status, attempts, streamed, estimated) = small;
            let event = UsageEvent {
                kind,
                boot,
                shard,
                sequence,
                opened,
                started_unix_ms: started,
                ended_unix_ms: ended,
                total_ns,
                gateway_ns,
                first_token_ns,
                request_bytes: request,
                response_bytes: response,
                tokens,
                cost,
                status,
                ending,
                attempts,
                streamed,
                estimated,
                requests: boot,
                images: Some(sequence),
                audio_ms: first_token_ns,
                list: cost.map(|(usd, _)| usd),
                tier: ServiceTier::ALL[usize::from(attempts) % 4],
                hedge: HedgeMark::Lost,
                resumed: attempts,
                shadow: streamed,
                replayed: estimated,
                cache: CacheMark::ALL[usize::from(attempts) % 3],
                free: !streamed,
                more_attempts: !estimated,
                trace: streamed.then_some([attempts; 16]),
                ..UsageEvent::default()
            };
            (event, texts)
        },
    )
}

fn with_texts<'t>(event: UsageEvent<'_>, texts: &'t [String]) -> UsageEvent<'t> {
    let text = |index: usize| texts[index].as_str();
    UsageEvent {
        request_id: text(0),
        key: text(1),
        user: text(2),
        team: text(3),
        tags: text(4),
        model_asked: text(5),
        model: text(6),
        provider: text(7),
        upstream_model: text(8),
        // Names of ours, which are short.
        surface: &text(9)[..text(9).floor_char_boundary(64)],
        dialect: &text(10)[..text(10).floor_char_boundary(32)],
        batch: text(11),
        rejected: &text(12)[..text(12).floor_char_boundary(64)],
        organization: text(13),
        cost_center: text(14),
        credential: text(15),
        arm: &text(16)[..text(16).floor_char_boundary(64)],
        ..reborrowed(event)
    }
}

/// The numbers alone.
fn reborrowed<'t>(event: UsageEvent<'_>) -> UsageEvent<'t> {
    UsageEvent {
        request_id: "",
        key: "",
        user: "",
        team: "",
        tags: "",
        model_asked: "",
        model: "",
        provider: "",
        upstream_model: "",
        surface: "",
        dialect: "",
        batch: "",
        rejected: "",
        organization: "",
        cost_center: "",
        credential: "",
        arm: "",
        lines: AttemptLines::default(),
        ..event
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read((event, texts) in any_event(), behind in vec(any::<u8>(), 0..64)) {
        let event = with_texts(event, &texts);
        let mut bytes = written(&event);
        let length = bytes.len();
        prop_assert!(length.is_multiple_of(ALIGN));
        bytes.extend(behind);
        prop_assert_eq!(next(&bytes), Next::Record(event, length));
    }

    #[test]
    fn each_attempt_is_read_as_it_was_noted((event, texts) in any_event(), count in 0usize..12) {
        let event = with_texts(event, &texts);
        let line = |at: usize| AttemptLine {
            provider: event.provider,
            model: event.upstream_model,
            credential: event.credential,
            status: event.status.wrapping_add(at as u16),
            end: AttemptOutcome::ALL[at % AttemptOutcome::ALL.len()],
            started_ns: event.total_ns,
            took_ns: event.gateway_ns,
            tokens: event.tokens,
            cost: event.cost.filter(|_| at.is_multiple_of(2)),
            list: event.list.filter(|_| at.is_multiple_of(3)),
            estimated: at % 2 == 1,
        };
        let mut buffer = AttemptBuffer::default();
        // A long one may find no room where a shorter one behind it does.
        let kept: Vec<usize> = (0..count)
            .filter(|at| {
                let before = buffer.lines().len();
                buffer.push(&line(*at));
                buffer.lines().len() > before
            })
            .collect();
        prop_assert_eq!(buffer.lines().len() < count, buffer.is_cut);
        let event = UsageEvent { lines: buffer.lines(), ..event };
        let bytes = written(&event);
        let Next::Record(read, _) = next(&bytes) else { panic!("{:?}", next(&bytes)) };
        prop_assert_eq!(read, event);
        prop_assert!(kept.len() <= MAX_ATTEMPT_LINES);
        prop_assert_eq!(read.lines.iter().collect::<Vec<_>>(), kept.into_iter().map(line).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_in_a_name_is_too_long(length in 0usize..3000) {
        let long = "€".repeat(length);
        let event = UsageEvent { request_id: &long, key: &long, user: &long, team: &long, tags: &long, model_asked: &long,
            model: &long, provider: &long, upstream_model: &long, surface: &long, dialect: &long, batch: &long,
            rejected: &long, organization: &long, cost_center: &long, credential: &long, ..UsageEvent::default() };
        let bytes = written(&event);
        let Next::Record(read, _) = next(&bytes) else { panic!("{:?}", next(&bytes)) };
        prop_assert!(long.starts_with(read.team) && read.team.len() >= 253.min(3 * length));
    }

    #[test]
    fn random_bytes_are_no_records(bytes in vec(any::<u8>(), 0..4096)) {
        prop_assert!(!matches!(next(&bytes), Next::Record(..)));
        prop_assert_eq!(resume(&bytes, 1, 1, 0), None);
    }
}

fn three() -> (Vec<UsageEvent<'static>>, Vec<u8>) {
    let event = |sequence| UsageEvent {
        kind: Kind::Close,
        boot: 7,
        shard: 1,
        sequence,
        opened: sequence,
        tokens: [Some(sequence); 9],
        cost: Some((PicoUsd(1 << 100), PriceVersion(3))),
        team: "research",
        model: "smart",
        ..UsageEvent::default()
    };
    let events: Vec<_> = (1..=3).map(event).collect();
    let bytes = events.iter().flat_map(written).collect();
    (events, bytes)
}

/// All that can be read, with what stands between passed over.
fn read_all(bytes: &[u8]) -> Vec<u64> {
    let (mut at, mut found) = (0, Vec::new());
    loop {
        match next(&bytes[at..]) {
            Next::Record(event, length) => {
                found.push(event.sequence);
                at += length;
            }
            _ => match resume(&bytes[at..], 7, 1, 1) {
                Some(further) => at += further,
                None => return found,
            },
        }
    }
}

#[test]
fn a_flip_of_any_bit_costs_its_own_record_alone() {
    let (events, bytes) = three();
    let length = bytes.len() / events.len();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let hit = (bit / 8 / length) as u64 + 1;
        let whole: Vec<u64> = (1..=3).filter(|sequence| *sequence != hit).collect();
        assert_eq!(read_all(&flipped), whole, "bit {bit}");
    }
}

#[test]
fn wherever_a_segment_is_cut_what_was_before_is_read() {
    let (events, bytes) = three();
    let length = bytes.len() / events.len();
    for end in 0..=bytes.len() {
        let whole: Vec<u64> = (1..=(end / length) as u64).collect();
        assert_eq!(read_all(&bytes[..end]), whole, "cut at {end}");
        let mut zeroed = bytes[..end].to_vec();
        zeroed.resize(bytes.len(), 0);
        // Zeros that a record ends with are there all the same.
        assert!(read_all(&zeroed).starts_with(&whole), "zeros from {end} on");
    }
}

#[test]
fn ends_and_beginnings_are_told_from_damage() {
    assert_eq!(next(&[0; 64]), Next::Nothing);
    assert_eq!(next(&END_MARK.to_le_bytes()), Next::End);
    assert_eq!(next(&[1, 2]), Next::Short);
    assert_eq!(next(&7u32.to_le_bytes()), Next::Damaged);
    let (_, bytes) = three();
    assert_eq!(next(&bytes[..40]), Next::Short);
}

#[test]
fn a_closing_record_never_grows_beyond_what_was_promised() {
    let long = "x".repeat(2000);
    let mut buffer = AttemptBuffer::default();
    let line = AttemptLine {
        provider: &long,
        model: &long[..200],
        ..AttemptLine::default()
    };
    (0..MAX_ATTEMPT_LINES).for_each(|_| buffer.push(&line));
    assert!(buffer.is_cut);
    let open = UsageEvent {
        request_id: &long,
        key: &long,
        tags: "a=b",
        ..UsageEvent::default()
    };
    let close = UsageEvent {
        kind: Kind::Close,
        model: &long,
        provider: &long,
        upstream_model: &long,
        batch: &long,
        rejected: &long,
        credential: &long,
        lines: buffer.lines(),
        ..open
    };
    assert!(written(&close).len() <= written(&open).len() + MAX_GROWTH_BYTES);
}

#[test]
fn segments_are_told_by_their_names() {
    let name = SegmentName {
        boot: 0xab,
        shard: 3,
        number: 12,
    };
    assert_eq!(name.to_string(), "00000000000000ab-3-12.seg");
    assert_eq!(SegmentName::parse("00000000000000ab-3-12.seg"), Some(name));
    for other in [
        "ab-3-12.seg",
        "00000000000000ab-3-12",
        "00000000000000ab-3-012.seg",
        "-.seg",
        "x",
    ] {
        assert_eq!(SegmentName::parse(other), None, "{other}");
    }
    assert_eq!(boot_of(&boot_file(0xab)), Some(0xab));
    assert_eq!(boot_of("ab.boot"), None);
    let other = SegmentName { number: 13, ..name };
    assert_ne!(SegmentHeader(name).write(), SegmentHeader(other).write());
}

/// A closing record as version 1 wrote it.
const VERSION_1: &str = "\
    200100009954b742545501010300c800edfe00000000000008000000000000000700000000000000e803000000000000d007000000000000\
    00ca9a3b00000000404b4c0000000000ffffffffffffffff0a0000000000000014000000000000000b000000000000000000000000000000\
    0000000000000000000000000000000007000000000000000000000000000000000000000000000000000000000000000000000000000000\
    40e2010000000000000000000000000009000000000000001100050002000000050006000500080003000500050006000700040006000000\
    000000007265712d3163692d626f74616c6963657265736561726368613d62736d617274736d6172746f70656e61696770742d352e346368\
    61746f70656e6169";

#[test]
fn records_of_the_first_version_are_still_read() {
    let digits = VERSION_1.as_bytes().chunks_exact(2);
    let bytes: Vec<u8> = digits
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).expect("digits"), 16).expect("digits"))
        .collect();
    let Next::Record(read, length) = next(&bytes) else {
        panic!("{:?}", next(&bytes))
    };
    assert_eq!(length, bytes.len());
    let expected = UsageEvent {
        kind: Kind::Close,
        boot: 0xfeed,
        shard: 3,
        sequence: 8,
        opened: 7,
        started_unix_ms: 1_000,
        ended_unix_ms: 2_000,
        total_ns: 1_000_000_000,
        gateway_ns: 5_000_000,
        request_bytes: 10,
        response_bytes: 20,
        tokens: [Some(11), None, None, None, Some(7), None, None, None, None],
        cost: Some((PicoUsd(123_456), PriceVersion(9))),
        status: 200,
        attempts: 2,
        streamed: true,
        request_id: "req-1",
        key: "ci-bot",
        user: "alice",
        team: "research",
        tags: "a=b",
        model_asked: "smart",
        model: "smart",
        provider: "openai",
        upstream_model: "gpt-5.4",
        surface: "chat",
        dialect: "openai",
        ..UsageEvent::default()
    };
    assert_eq!(read, expected);
    // And one of a version to come is known for that, however long it is; a damaged one is not.
    let mut later = bytes;
    later[10] = 3;
    let sum = crc32fast::hash(&later[8..]);
    later[4..8].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(next(&later), Next::Newer(3, later.len()));
    let damaged = [&later[..100], &[later[100] ^ 1], &later[101..]].concat();
    assert_eq!(next(&damaged), Next::Damaged);
    let longer = MAX_FRAME_BYTES + 8;
    later.resize(longer, 7);
    later[..4].copy_from_slice(&(longer as u32).to_le_bytes());
    let sum = crc32fast::hash(&later[8..]);
    later[4..8].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(next(&later), Next::Newer(3, longer));
    assert_eq!(next(&later[..12]), Next::Short);
}
