//! A shard's spool over real files, and what is in them afterwards.

#![allow(clippy::disallowed_methods)] // Reads them.

use std::{fs, path::Path};

use crossbeam_channel::Receiver;
use tollgate_config::{
    document::{Durability, OnFull, UsageKeeping},
    money::PicoUsd,
    prices::PriceVersion,
    usage_event::{HEADER_BYTES, Kind, MAX_ATTEMPT_LINES, Next, SegmentHeader, SegmentName, UsageEvent, next},
};
use tollgate_dialect::usage::Usage;
use tollgate_engine::{
    Tick,
    billing::{Attempt, Billed},
    cost::Cost,
    record::{AttemptOutcome, LateWork, Outcome, Record},
};

use super::{
    Counts, Handle, Opened, Spool,
    maker::{Ask, Maker},
    sync,
};

const BOOT: u64 = 42;
const UNIX_MS: u64 = 1_700_000_000_000;

fn record(team: &str) -> Record<'_> {
    Record {
        arm: None,
        shadow: false,
        embeds: false,
        hedge: None,
        replayed: false,
        cache: None,
        findings: &[],
        compressed: None,
        summary: None,
        agreed: None,
        resumed: 0,
        request_id: "id",
        status: 200,
        outcome: Outcome::Cut,
        surface: "chat",
        dialect: "openai",
        key: Some("key"),
        user: None,
        team: Some(team),
        model_asked: Some("smart"),
        model: Some((0, "smart")),
        provider: Some((0, "openai")),
        upstream_model: Some("gpt"),
        tags: Some("a=b"),
        attempts: 2,
        streamed: true,
        rejected: None,
        refusal: Some("sk-secret is wrong"),
        usage: Some(Usage {
            input: Some(3),
            output: Some(0),
            ..Usage::default()
        }),
        cost: Some(Cost {
            usd: PicoUsd(7),
            list: PicoUsd(7),
            prices: PriceVersion(9),
        }),
        late: None,
        estimated: true,
        request_body_bytes: 10,
        response_body_bytes: 20,
        total_ns: 2_000_000_000,
        gateway_ns: 5,
        first_token_ns: Some(6),
        media: tollgate_engine::record::Media {
            images: Some(2),
            audio_ms: None,
        },
    }
}

/// A spool of one shard; segments are made when the test says so.
struct World {
    folder: tempfile::TempDir,
    maker: Maker,
    asked: Receiver<Ask>,
    syncs: Receiver<sync::Ask>,
    spool: Spool,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut maker = Maker::new(folder.path().to_owned(), BOOT, 1);
        let first = maker.make(0).expect("a segment");
        let (handle, asked, syncs) = Handle::detached(BOOT);
        Self {
            spool: Spool::new(handle, 0, vec![first]),
            folder,
            maker,
            asked,
            syncs,
        }
    }

    fn open(&mut self, team: &str, now: Tick) -> Option<Opened> {
        self.spool.open((&record(team), &Billed::default()), UNIX_MS, now)
    }

    fn close(&mut self, opened: Opened, record: &Record<'_>, unix_ms: u64, now: Tick) -> Option<u64> {
        self.spool
            .close(opened, (record, &Billed::default(), false), unix_ms, now)
    }

    /// Does what the spool asked for.
    fn make(&mut self, now: Tick) {
        while let Ok(ask) = self.asked.try_recv() {
            match ask {
                Ask::Segment(shard) => self
                    .spool
                    .take(self.maker.make_or_overwrite(shard).expect("a segment"), now),
                Ask::Populate(pages) => pages.populate(),
                Ask::Unmap(shard, number, writer) => {
                    drop(writer);
                    self.maker.note_full(shard, number);
                }
            }
        }
    }
}

/// Kind, sequence and opening of all records, segment after segment.
fn read(folder: &Path) -> Vec<(Kind, u64, u64)> {
    let mut found = Vec::new();
    for number in 1.. {
        let name = SegmentName {
            boot: BOOT,
            shard: 0,
            number,
        };
        let Ok(bytes) = fs::read(folder.join(name.to_string())) else {
            return found;
        };
        assert_eq!(bytes[..HEADER_BYTES], SegmentHeader(name).write());
        let mut at = HEADER_BYTES;
        loop {
            match next(&bytes[at..]) {
                Next::Record(event, length) => {
                    found.push((event.kind, event.sequence, event.opened));
                    at += length;
                }
                Next::Nothing | Next::End => break,
                other => panic!("{other:?} at {at} of {name}"),
            }
        }
    }
    found
}

#[test]
fn a_record_says_what_the_engine_knew_and_no_secret() {
    let mut world = World::new();
    let opened = world.open("red", Tick(1)).expect("room");
    world.close(opened, &record("blue"), UNIX_MS + 2_000, Tick(2));
    let name = SegmentName {
        boot: BOOT,
        shard: 0,
        number: 1,
    };
    let bytes = fs::read(world.folder.path().join(name.to_string())).expect("a segment");
    let Next::Record(open, length) = next(&bytes[HEADER_BYTES..]) else {
        panic!("no opening record")
    };
    assert_eq!((open.kind, open.team, open.ended_unix_ms), (Kind::Open, "red", 0));
    let Next::Record(close, _) = next(&bytes[HEADER_BYTES + length..]) else {
        panic!("no closing record")
    };
    assert_eq!(
        (close.kind, close.team, close.opened),
        (Kind::Close, "blue", open.sequence)
    );
    assert_eq!((close.started_unix_ms, close.ended_unix_ms), (UNIX_MS, UNIX_MS + 2_000));
    assert_eq!(close.tokens[..5], [Some(3), None, None, None, Some(0)]);
    assert_eq!(close.cost, Some((PicoUsd(7), PriceVersion(9))));
    assert_eq!((close.images, close.audio_ms), (Some(2), None));
    assert!(close.estimated && close.streamed && close.attempts == 2);
    assert!(!bytes.windows(9).any(|window| window == b"sk-secret"));
}

#[test]
fn what_was_opened_can_be_closed_though_nothing_more_is_made() {
    let mut world = World::new();
    let mut open = Vec::new();
    while !world.spool.is_full() {
        open.push(world.open("red", Tick(1)).expect("room"));
    }
    assert!(open.len() > 200, "{}", open.len());
    assert!(world.open("red", Tick(1)).is_none());
    // As long as a closing record can become.
    let long = "x".repeat(2_000);
    let longest = Record {
        model: Some((0, &long)),
        provider: Some((0, &long)),
        upstream_model: Some(&long),
        late: Some(LateWork {
            id: 7,
            batch: Some(&long),
        }),
        rejected: Some("usage_spool_full"),
        ..record("red")
    };
    let calls = open.len() as u64;
    for (index, opened) in open.into_iter().enumerate() {
        match index % 10 {
            0 => world.spool.drop_call(opened, UNIX_MS, Tick(2)),
            _ => {
                world.close(opened, &longest, UNIX_MS, Tick(2));
            }
        }
    }
    let counts = world.spool.counts;
    assert_eq!(
        (counts.opened, counts.closed + counts.dropped, counts.lost),
        (calls, calls, 0)
    );
    assert_eq!(read(world.folder.path()).len() as u64, 2 * calls);
    world.make(Tick(3));
    assert!(!world.spool.is_full(), "there is room again");
    let opened = world.open("red", Tick(4)).expect("room");
    world.close(opened, &record("red"), UNIX_MS, Tick(4));
    let sequences: Vec<u64> = read(world.folder.path())
        .iter()
        .map(|(_, sequence, _)| *sequence)
        .collect();
    assert_eq!(
        sequences,
        (1..=2 * calls + 2).collect::<Vec<u64>>(),
        "a refusal leaves no gap"
    );
}

#[test]
fn sequences_go_on_from_segment_to_segment() {
    let mut world = World::new();
    for call in 0..10_000 {
        let opened = world.open("red", Tick(call)).expect("room");
        world.close(opened, &record("red"), UNIX_MS, Tick(call));
        world.make(Tick(call));
        assert!(!world.spool.is_full());
    }
    let found = read(world.folder.path());
    assert_eq!(found.len(), 20_000);
    for (index, (kind, sequence, opened)) in found.into_iter().enumerate() {
        let expected = index as u64 + 1;
        assert_eq!(sequence, expected);
        match kind {
            Kind::Open => assert_eq!(opened, expected),
            _ => assert_eq!(opened, expected - 1),
        }
    }
}

#[test]
fn a_call_that_no_provider_was_asked_for_has_one_record() {
    let mut world = World::new();
    let noted = |world: &mut World| {
        let hit = (&record("red"), &Billed::default());
        world.spool.close_at_once(hit, UNIX_MS, Tick(1))
    };
    assert_eq!(noted(&mut world), Some(None));
    let opened = world.open("red", Tick(1)).expect("room");
    assert_eq!(noted(&mut world), Some(None));
    world.close(opened, &record("red"), UNIX_MS, Tick(2));
    assert_eq!(
        read(world.folder.path()),
        [
            (Kind::Close, 1, 1),
            (Kind::Open, 2, 2),
            (Kind::Close, 3, 3),
            (Kind::Close, 4, 2)
        ]
    );
    let mut calls = 3;
    // Whoever sees room for a call finds room for this record.
    while !world.spool.is_full() {
        assert!(noted(&mut world).is_some());
        calls += 1;
    }
    assert!(noted(&mut world).is_some());
    calls += 1;
    while noted(&mut world).is_some() {
        calls += 1;
    }
    let counts = world.spool.counts;
    assert_eq!((counts.opened, counts.closed, counts.lost), (1, calls, 1));
    assert_eq!(read(world.folder.path()).len() as u64, calls + 1);
}

#[test]
fn without_any_segment_nothing_is_taken() {
    let (handle, _asked, _syncs) = Handle::detached(BOOT);
    let mut spool = Spool::new(handle, 0, Vec::new());
    assert!(spool.is_full());
    let opened = spool.open((&record("red"), &Billed::default()), UNIX_MS, Tick(1));
    assert!(opened.is_none());
    assert_eq!(spool.counts, Counts::default(), "what is refused is not lost");
}

#[test]
fn busy_shards_keep_more_segments_ahead() {
    let mut world = World::new();
    world.make(Tick(1));
    let fill = |world: &mut World, calls: u64, ns_each: u64| {
        for call in 0..calls {
            let now = Tick(call * ns_each);
            let opened = world.open("red", now).expect("room");
            world.close(opened, &record("red"), UNIX_MS, now);
            world.make(now);
        }
        let segments = fs::read_dir(world.folder.path()).expect("a folder").count() - 1;
        let used = (world.spool.counts.opened * 2 * 376).div_ceil(1 << 20);
        segments as u64 - used
    };
    let at_rest = fill(&mut world, 10, 1);
    assert!((1..=2).contains(&at_rest), "{at_rest} segments ahead");
    let busy = fill(&mut world, 20_000, 10_000);
    assert!(busy > 8, "{busy} segments ahead");
}

#[test]
fn each_attempt_has_its_line_and_no_more_than_there_is_room_for() {
    let mut world = World::new();
    let long = "n".repeat(256);
    for (name, calls, kept) in [("gpt", 3, 3), ("gpt", 20, MAX_ATTEMPT_LINES), (&long, 8, 2)] {
        let opened = world.open("red", Tick(1)).expect("room");
        for call in 0..calls {
            world.spool.note(&Attempt {
                provider: name,
                model: name,
                credential: name,
                status: 500 + call,
                outcome: AttemptOutcome::Status,
                started_ns: 1,
                took_ns: 2,
                usage: None,
                cost: None,
                estimated: false,
            });
        }
        world.close(opened, &record("red"), UNIX_MS, Tick(2));
        let bytes = fs::read(world.folder.path().join(name_of(1).to_string())).expect("a segment");
        let last = events(&bytes).last().copied().expect("a record");
        let statuses: Vec<u16> = last.lines.iter().map(|line| line.status).collect();
        assert_eq!(statuses, (500..500 + kept as u16).collect::<Vec<u16>>(), "{name}");
        assert_eq!(last.more_attempts, usize::from(calls) > kept, "{name}");
        assert!(last.lines.iter().all(|line| line.credential == name));
    }
}

#[test]
fn what_is_written_is_brought_to_the_disk_in_groups_and_strictly_before_it_is_said_to_be() {
    let mut world = World::new();
    let strict = UsageKeeping {
        durability: Durability::Strict,
        ..UsageKeeping::default()
    };
    let first = world.open("red", Tick(1)).expect("room");
    assert_eq!(
        world.close(first, &record("red"), UNIX_MS, Tick(1)),
        None,
        "nobody waits"
    );
    let asks: Vec<sync::Ask> = world.syncs.try_iter().collect();
    assert_eq!(asks.len(), 1, "one at a time");
    assert_eq!((asks[0].sequence, asks[0].at_once), (1, false));
    world.spool.synced(1);
    let ask = world.syncs.try_recv().expect("what came meanwhile");
    assert_eq!(ask.sequence, 2);
    world.spool.synced(2);
    assert!(world.syncs.try_recv().is_err(), "nothing is left to do");

    world.spool.keep(&strict);
    let second = world.open("red", Tick(2)).expect("room");
    let waits = world
        .close(second, &record("red"), UNIX_MS, Tick(2))
        .expect("somebody waits");
    assert!(!world.spool.is_synced(waits));
    world.spool.synced(3);
    assert!(!world.spool.is_synced(waits), "only the opening record was asked for");
    let ask = world.syncs.try_iter().last().expect("an ask");
    assert!(ask.at_once);
    ask.pages.iter().for_each(|pages| pages.sync().expect("a disk"));
    world.spool.synced(ask.sequence);
    assert!(world.spool.is_synced(waits));
}

#[test]
fn segments_that_are_left_are_synced_too() {
    let mut world = World::new();
    for call in 0..3_000 {
        let opened = world.open("red", Tick(call)).expect("room");
        world.close(opened, &record("red"), UNIX_MS, Tick(call));
        world.make(Tick(call));
    }
    let first = world.syncs.try_recv().expect("an ask");
    assert_eq!(first.pages.len(), 1);
    world.spool.synced(first.sequence);
    let rest = world.syncs.try_recv().expect("an ask");
    let written = (1..9).filter(|number| {
        let segment = fs::read(world.folder.path().join(name_of(*number).to_string()));
        segment.is_ok_and(|bytes| !events(&bytes).is_empty())
    });
    assert_eq!(rest.pages.len(), written.count());
    assert!(rest.pages.len() > 1);
    assert_eq!(rest.sequence, 6_000);
}

#[test]
fn the_oldest_make_room_where_the_document_says_so() {
    let mut world = World::new();
    let keeping = UsageKeeping {
        on_full: OnFull::DropOldest,
        max_spool_bytes: 8 << 20,
        ..UsageKeeping::default()
    };
    world.maker.keep(&keeping);
    for call in 0..20_000u64 {
        // Slowly, so that few segments are made ahead.
        let call = call * 1_000_000_000;
        let opened = world.open("red", Tick(call)).expect("room");
        world.close(opened, &record("red"), UNIX_MS, Tick(call));
        world.make(Tick(call));
    }
    let names = fs::read_dir(world.folder.path()).expect("a folder");
    let names = names.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let mut numbers: Vec<u32> = names
        .filter_map(|name| SegmentName::parse(&name))
        .map(|name| name.number)
        .collect();
    numbers.sort_unstable();
    assert!(numbers.len() <= 8 && numbers[0] > 1, "{numbers:?}");
    let found: Vec<u64> = numbers
        .iter()
        .flat_map(|number| {
            let bytes = fs::read(world.folder.path().join(name_of(*number).to_string())).expect("a segment");
            events(&bytes).iter().map(|event| event.sequence).collect::<Vec<u64>>()
        })
        .collect();
    let newest: Vec<u64> = (40_001 - found.len() as u64..=40_000).collect();
    assert_eq!(found, newest, "the newest are there, without a gap");
    let counts = world.spool.counts;
    assert_eq!(
        counts.overwritten,
        40_000 - found.len() as u64,
        "and what went is counted"
    );
    assert_eq!(counts.lost, 0);
}

fn name_of(number: u32) -> SegmentName {
    SegmentName {
        boot: BOOT,
        shard: 0,
        number,
    }
}

fn events(segment: &[u8]) -> Vec<UsageEvent<'_>> {
    let (mut at, mut events) = (HEADER_BYTES, Vec::new());
    while let Next::Record(event, length) = next(&segment[at..]) {
        events.push(event);
        at += length;
    }
    events
}
