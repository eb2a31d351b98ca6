//! The spool written by hand, and what the ledger makes of it.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::MutexGuard,
};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use tollgate_config::{
    document::Retention,
    money::PicoUsd,
    prices::PriceVersion,
    usage_event::{
        CacheMark, END_MARK, HEADER_BYTES, Kind, MAX_FRAME_BYTES, SEGMENT_BYTES, SPOOL_FOLDER, SegmentHeader,
        SegmentName, UsageEvent, boot_file,
    },
};

use super::{
    Metering,
    database::Database,
    ingest::Ingest,
    place,
    question::{Dimension, Question},
    zone::Zone,
};

mod adjusted;
mod clocks;
mod focus;
mod hostile;
mod index;
mod months;
mod newer;
mod on_postgres;
mod shared_keys;
mod sinks;
mod sums;
mod versions;

const BOOT: u64 = 0xfeed_0000_0000_0001;

/// A state directory with a data plane that lives as long as `alive` is held.
struct World {
    folder: tempfile::TempDir,
    alive: Option<File>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(SPOOL_FOLDER)).unwrap();
        let alive = File::create(folder.path().join(SPOOL_FOLDER).join(boot_file(BOOT))).unwrap();
        flock(&alive, FlockOperation::LockExclusive).unwrap();
        if let Some(settings) = on_postgres::settings() {
            place::remember(folder.path(), Some(&json!({"postgres": settings}))).unwrap();
        }
        Self {
            folder,
            alive: Some(alive),
        }
    }

    fn path(&self, shard: u16, number: u32) -> PathBuf {
        self.spool().join(name(shard, number).to_string())
    }

    fn spool(&self) -> PathBuf {
        self.folder.path().join(SPOOL_FOLDER)
    }

    fn open(&self) -> (Metering, Ingest) {
        Metering::open(self.folder.path()).unwrap()
    }

    /// Writes a segment from its beginning.
    fn write(&self, shard: u16, number: u32, frames: &[u8]) {
        let file = File::create(self.path(shard, number)).unwrap();
        file.set_len(SEGMENT_BYTES as u64).unwrap();
        file.write_all_at(&SegmentHeader(name(shard, number)).write(), 0)
            .unwrap();
        file.write_all_at(frames, HEADER_BYTES as u64).unwrap();
    }

    /// What lies in the spool.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.spool()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn name(shard: u16, number: u32) -> SegmentName {
    SegmentName {
        boot: BOOT,
        shard,
        number,
    }
}

fn frame(event: &UsageEvent<'_>) -> Vec<u8> {
    let mut frame = [0; MAX_FRAME_BYTES];
    let bytes = event.write(&mut frame);
    frame[..bytes].to_vec()
}

fn open(sequence: u64) -> UsageEvent<'static> {
    UsageEvent {
        kind: Kind::Open,
        boot: BOOT,
        sequence,
        opened: sequence,
        started_unix_ms: 1_000_000_000_000,
        team: "research",
        model: "smart",
        tags: "call=a,project=x",
        attempts: 1,
        ..UsageEvent::default()
    }
}

/// The end of the call that `opened` began: 7 tokens in, 5 out, and a cost beyond what 64 bits hold.
fn close(sequence: u64, opened: u64) -> UsageEvent<'static> {
    UsageEvent {
        kind: Kind::Close,
        sequence,
        ended_unix_ms: 1_000_000_000_500,
        status: 200,
        tokens: [Some(4), Some(3), None, None, Some(5), None, None, None, None],
        cost: Some((PicoUsd((1 << 64) + 1), PriceVersion(u64::MAX))),
        ..open(opened)
    }
}

/// Calls one after the other: 1 opens what 2 closes, and so on.
fn calls(first: u64, count: u64) -> Vec<u8> {
    let pairs = (0..count).flat_map(|call| {
        let sequence = first + 2 * call;
        [frame(&open(sequence)), frame(&close(sequence + 1, sequence))]
    });
    pairs.flatten().collect()
}

fn end_mark() -> Vec<u8> {
    let mut mark = END_MARK.to_le_bytes().to_vec();
    mark.extend([0; 4]);
    mark
}

fn ask(metering: &Metering, by: &str) -> Vec<Value> {
    let question = Question::new(Dimension::parse_list(by).unwrap(), (0, u64::MAX), Zone::utc(), 0);
    rows(metering, &question)
}

fn rows(metering: &Metering, question: &Question) -> Vec<Value> {
    question.rows(&question.ask(&mut reader(metering)).unwrap())
}

fn reader(metering: &Metering) -> MutexGuard<'_, Database> {
    metering.readers[0].lock().unwrap()
}

fn total(metering: &Metering, member: &str) -> i64 {
    let rows = ask(metering, "");
    rows.first().map_or(0, |row| row[member].as_i64().unwrap())
}

#[test]
fn calls_come_in_once_whatever_is_started_again() {
    let world = World::new();
    world.write(0, 1, &[calls(1, 3), end_mark()].concat());
    world.write(0, 2, &calls(7, 2));
    world.write(1, 1, &[]);
    let (metering, mut ingest) = world.open();
    for _ in 0..3 {
        ingest.pass().unwrap();
    }
    assert_eq!(total(&metering, "requests"), 5);
    drop(ingest);
    // A control plane that was killed before it removed what it had read finds it again.
    world.write(0, 1, &[calls(1, 3), end_mark()].concat());
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    assert_eq!((total(&metering, "requests"), &ingest.news[..]), (5, &[][..]));
    assert_eq!(total(&metering, "input_tokens"), 35);
    assert_eq!(total(&metering, "output_tokens"), 25);
    // 5 × (2^64 + 1) pico-dollars, rounded up once.
    assert_eq!(ask(&metering, "")[0]["cost_usd"], "92233720.368547759");
    let left = [boot_file(BOOT), name(0, 2).to_string(), name(1, 1).to_string()];
    let mut left = left.to_vec();
    left.sort();
    assert_eq!(world.files(), left, "segments wholly read are removed");
}

#[test]
fn answers_from_a_cache_come_in_by_their_one_record() {
    let world = World::new();
    // Between them is a call that a provider was asked for.
    let kept = |sequence: u64| frame(&close(sequence, sequence));
    world.write(0, 1, &[kept(1), calls(2, 1), kept(4), end_mark()].concat());
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    assert_eq!((total(&metering, "requests"), total(&metering, "crashed")), (3, 0));
    assert_eq!(&ingest.news[..], &[][..]);
}

#[test]
fn what_grows_is_followed_and_calls_left_open_crash_only_when_their_data_plane_ends() {
    let mut world = World::new();
    let frames = [frame(&open(1)), frame(&open(2)), frame(&close(3, 2))];
    world.write(0, 1, &frames[..2].concat());
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    assert_eq!(total(&metering, "requests"), 0);
    // Grown in place.
    let file = File::options().write(true).open(world.path(0, 1)).unwrap();
    file.write_all_at(&frames.concat(), HEADER_BYTES as u64).unwrap();
    drop(ingest);
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let sums = |metering: &Metering| ["requests", "crashed", "estimated"].map(|member| total(metering, member));
    assert_eq!(sums(&metering), [1, 0, 0]);
    world.alive = None;
    ingest.pass().unwrap();
    assert_eq!(sums(&metering), [1, 1, 1]);
    assert_eq!(world.files(), Vec::<String>::new());
    ingest.pass().unwrap();
    drop(ingest);
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    assert_eq!(sums(&metering), [1, 1, 1]);
}

#[test]
fn a_call_dropped_by_a_fault_of_ours_is_told_as_crashed() {
    let world = World::new();
    let dropped = UsageEvent {
        kind: Kind::Dropped,
        boot: BOOT,
        sequence: 2,
        opened: 1,
        ended_unix_ms: 1_000_000_000_900,
        ..UsageEvent::default()
    };
    world.write(0, 1, &[frame(&open(1)), frame(&dropped)].concat());
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let rows = ask(&metering, "team,tag:project");
    assert_eq!(
        (&rows[0]["team"], &rows[0]["tag:project"]),
        (&json!("research"), &json!("x"))
    );
    assert_eq!((&rows[0]["crashed"], &rows[0]["estimated"]), (&json!(1), &json!(1)));
}

#[test]
fn a_batch_is_paid_for_once_however_often_it_is_read() {
    let world = World::new();
    let of_batch = |event: UsageEvent<'static>, batch| UsageEvent {
        provider: "openai",
        batch,
        ..event
    };
    let frames = [
        frame(&open(1)),
        frame(&of_batch(close(2, 1), "batch_1")),
        frame(&open(3)),
        frame(&of_batch(close(4, 3), "batch_1")),
        frame(&open(5)),
        frame(&of_batch(close(6, 5), "batch_2")),
    ];
    world.write(0, 1, &frames.concat());
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    assert_eq!(
        [total(&metering, "requests"), total(&metering, "output_tokens")],
        [3, 10]
    );
}

/// Reads a damaged segment of a data plane that ended; answers how many calls were answered, crashed, and the news.
fn read_damaged(frames: &[u8], damage: impl FnOnce(&Path)) -> ([i64; 2], Vec<String>) {
    let mut world = World::new();
    world.write(0, 1, frames);
    damage(&world.path(0, 1));
    world.alive = None;
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let news = ingest.news.iter().map(|news| news.kind.to_owned()).collect();
    ([total(&metering, "requests"), total(&metering, "crashed")], news)
}

#[test]
fn damage_costs_the_record_it_hit_and_is_named() {
    let frames = calls(1, 4);
    let (opening, closing) = (frame(&open(1)).len(), frame(&close(2, 1)).len());
    for at in (0..frames.len()).step_by(on_postgres::step(41)) {
        let flip = |path: &Path| {
            let file = File::options().read(true).write(true).open(path).unwrap();
            let at = (HEADER_BYTES + at) as u64;
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 0x55], at).unwrap();
        };
        let (counts, news) = read_damaged(&frames, flip);
        // Without its closing record a call is left open, without its opening one it is whole all the same.
        let hits_opening = at % (opening + closing) < opening;
        assert_eq!(counts, if hits_opening { [4, 0] } else { [3, 1] }, "byte {at}");
        assert!(news.contains(&"usage_spool_damaged".to_owned()), "byte {at}: {news:?}");
        let is_last = at >= frames.len() - closing;
        assert_eq!(
            news.contains(&"usage_records_missing".to_owned()),
            !is_last,
            "byte {at}: {news:?}"
        );
    }
}

#[test]
fn a_segment_cut_anywhere_gives_what_was_before() {
    let frames = calls(1, 3);
    let pair = frames.len() / 3;
    for end in (0..frames.len()).step_by(on_postgres::step(97)) {
        let cut = |path: &Path| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_len((HEADER_BYTES + end) as u64).unwrap();
        };
        let ([answered, crashed], _) = read_damaged(&frames, cut);
        let whole_openings = (0..3).filter(|call| call * pair + frame(&open(1)).len() <= end).count() as i64;
        assert_eq!(answered, (end / pair) as i64, "cut at {end}");
        assert_eq!(crashed, whole_openings - answered, "cut at {end}");
    }
}

#[test]
fn a_segment_that_is_gone_is_missed_by_its_numbers() {
    let mut world = World::new();
    world.write(0, 1, &[calls(1, 2), end_mark()].concat());
    world.write(0, 3, &calls(11, 1));
    world.alive = None;
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    assert_eq!(total(&metering, "requests"), 3);
    assert_eq!(ingest.counts_missing(), 6);
    let told = &ingest.news[0];
    assert!(
        told.text.contains("5 to 10 of boot feed000000000001, shard 0"),
        "{told:?}"
    );
}

#[test]
fn a_header_of_another_name_is_told_and_records_are_read() {
    let (counts, news) = read_damaged(&calls(1, 2), |path| {
        let file = File::options().write(true).open(path).unwrap();
        file.write_all_at(&SegmentHeader(name(9, 9)).write(), 0).unwrap();
    });
    assert_eq!((counts, news), ([2, 0], vec!["usage_spool_damaged".to_owned()]));
}

/// An hour and some more, from a fixed beginning of an hour.
const HOUR_MS: u64 = 3_600_000;
const BEGINNING_MS: u64 = 277_777 * HOUR_MS;

/// Writes calls that end every seven minutes, over ten hours.
fn write_hours(world: &World) -> Vec<u64> {
    let ends: Vec<u64> = (0..86).map(|call| BEGINNING_MS + call * 7 * 60_000).collect();
    let frames = ends.iter().enumerate().flat_map(|(call, end)| {
        let sequence = 2 * call as u64 + 1;
        let close = UsageEvent {
            ended_unix_ms: *end,
            ..close(sequence + 1, sequence)
        };
        [frame(&open(sequence)), frame(&close)]
    });
    world.write(0, 1, &frames.flatten().collect::<Vec<u8>>());
    ends
}

#[test]
fn any_span_of_time_is_answered_to_the_call_from_hours_and_calls_together() {
    let world = World::new();
    let ends = write_hours(&world);
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let moments = (0..40).map(|moment| BEGINNING_MS + moment * 17 * 60_000 - 1_000 * (moment % 3));
    let moments: Vec<u64> = moments
        .chain([BEGINNING_MS, BEGINNING_MS + HOUR_MS, 0, u64::MAX])
        .collect();
    for from_ms in &moments {
        for to_ms in moments.iter().filter(|to_ms| *to_ms >= from_ms) {
            let question = Question::new(Vec::new(), (*from_ms, *to_ms), Zone::utc(), 0);
            let rows = rows(&metering, &question);
            let expected = ends.iter().filter(|end| (from_ms..to_ms).contains(end)).count();
            let found = rows.first().map_or(0, |row| row["requests"].as_u64().unwrap() as usize);
            assert_eq!(found, expected, "from {from_ms} to {to_ms}");
        }
    }
}

#[test]
fn calls_are_forgotten_and_their_hours_are_not() {
    let world = World::new();
    let ends = write_hours(&world);
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let kept_from_ms = BEGINNING_MS + 5 * HOUR_MS + 1;
    let retention = Retention {
        calls_ms: 1_000,
        hours_ms: None,
    };
    ingest.forget(&retention, kept_from_ms + 1_000).unwrap();
    assert_eq!(total(&metering, "requests"), ends.len() as i64);
    let asked = |from_ms: u64, to_ms: u64| {
        let question = Question::new(Vec::new(), (from_ms, to_ms), Zone::utc(), kept_from_ms);
        let rows = rows(&metering, &question);
        (
            question.from_ms,
            question.to_ms,
            rows[0]["requests"].as_u64().unwrap() as usize,
        )
    };
    let within = |from_ms: u64, to_ms: u64| ends.iter().filter(|end| (from_ms..to_ms).contains(end)).count();
    // In what is forgotten, whole hours.
    let (from_ms, to_ms) = (BEGINNING_MS + HOUR_MS, BEGINNING_MS + 3 * HOUR_MS);
    assert_eq!(asked(from_ms + 5, to_ms - 5), (from_ms, to_ms, within(from_ms, to_ms)));
    // Behind it, to the millisecond.
    let (from_ms, to_ms) = (BEGINNING_MS + 7 * HOUR_MS + 5, BEGINNING_MS + 8 * HOUR_MS + 60_000);
    assert_eq!(asked(from_ms, to_ms), (from_ms, to_ms, within(from_ms, to_ms)));
    // Hours too, where the document says so.
    let retention = Retention {
        calls_ms: 1_000,
        hours_ms: Some(2 * HOUR_MS),
    };
    ingest.forget(&retention, BEGINNING_MS + 9 * HOUR_MS).unwrap();
    let left = within(BEGINNING_MS + 7 * HOUR_MS, u64::MAX);
    assert_eq!(total(&metering, "requests"), left as i64);
}

#[test]
fn sums_are_kept_apart_by_every_dimension() {
    let world = World::new();
    let day_ms = 86_400_000;
    let other = |sequence| UsageEvent {
        kind: Kind::Close,
        team: "",
        user: "u",
        key: "k",
        model: "m2",
        provider: "p",
        upstream_model: "um",
        tags: "project=y",
        status: 502,
        attempts: 3,
        cache: CacheMark::SemanticHit,
        ended_unix_ms: 1_000_000_000_000 + day_ms,
        ..close(sequence, sequence - 1)
    };
    let frames = [
        calls(1, 1),
        frame(&open(3)),
        frame(&other(4)),
        frame(&open(5)),
        frame(&other(6)),
    ];
    world.write(0, 1, &frames.concat());
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let values = |by: &str| -> Vec<Vec<String>> {
        let names: Vec<&str> = by.split(',').collect();
        let rows = ask(&metering, by);
        rows.iter()
            .map(|row| {
                names
                    .iter()
                    .map(|name| row[name].as_str().unwrap().to_owned())
                    .collect()
            })
            .collect()
    };
    assert_eq!(values("team,user"), [["", "u"], ["research", ""]]);
    assert_eq!(values("cache,user"), [["", ""], ["semantic-hit", "u"]]);
    assert_eq!(
        values("key,model,provider,upstream_model"),
        [["", "smart", "", ""], ["k", "m2", "p", "um"]]
    );
    assert_eq!(values("tag:project,day"), [["x", "2001-09-09"], ["y", "2001-09-10"]]);
    assert_eq!(values("hour"), [["2001-09-09T01:00:00Z"], ["2001-09-10T01:00:00Z"]]);
    let failed = &ask(&metering, "model")[0];
    assert_eq!(
        (&failed["model"], &failed["failed"], &failed["attempts"]),
        (&json!("m2"), &json!(2), &json!(6))
    );
    assert_eq!(failed["requests"], 0);
    for wrong in ["teams", "tag:", "team;DROP TABLE calls"] {
        assert!(Dimension::parse_list(wrong).is_err(), "{wrong}");
    }
}
