//! The same on PostgreSQL: what holds of a ledger in SQLite, and what several control planes may do to one at once. One
//! server for all of it, a schema for each world.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use serde_json::{Value, json};
use tollgate_config::{document::Retention, link::StoredKey, usage_event::UsageEvent};

use super::{
    super::{
        database::{Database, Place},
        ingest::IngestError,
        place,
    },
    BOOT, World, adjusted, calls, clocks, close, end_mark, frame, hostile, index, months, newer, open, shared_keys,
    sinks, sums, total,
};
use crate::store::{KeyRow, Store, StoreError};

#[path = "../../../tests/e2e/harness/postgres.rs"]
pub mod server;

use server::Postgres;

thread_local! {
    /// Where the worlds of this thread have their ledgers.
    static ON: RefCell<Option<Value>> = const { RefCell::new(None) };
}

/// Of the next world: a schema of its own.
pub fn settings() -> Option<Value> {
    static WORLDS: AtomicU32 = AtomicU32::new(0);
    ON.with_borrow(|on| {
        let mut settings = on.clone()?;
        if settings["schema"] == "" {
            settings["schema"] = json!(format!("world_{}", WORLDS.fetch_add(1, Ordering::Relaxed)));
        }
        Some(settings)
    })
}

/// A world is made in a hundredth of a second there.
pub fn cases(on_sqlite: u32) -> u32 {
    if ON.with_borrow(Option::is_some) { 2 } else { on_sqlite }
}

pub fn step(on_sqlite: usize) -> usize {
    if ON.with_borrow(Option::is_some) {
        on_sqlite * 24
    } else {
        on_sqlite
    }
}

pub fn turn_to(settings: Option<Value>) {
    ON.with_borrow_mut(|on| *on = settings);
}

pub fn of(server: &Postgres, schema: &str) -> Value {
    let mut settings: Value = serde_json::from_str(&server.settings("t")).unwrap();
    settings["schema"] = json!(schema);
    settings
}

const SAME: [fn(); 11] = [
    super::calls_come_in_once_whatever_is_started_again,
    super::what_grows_is_followed_and_calls_left_open_crash_only_when_their_data_plane_ends,
    super::a_call_dropped_by_a_fault_of_ours_is_told_as_crashed,
    super::a_batch_is_paid_for_once_however_often_it_is_read,
    super::damage_costs_the_record_it_hit_and_is_named,
    super::a_segment_cut_anywhere_gives_what_was_before,
    super::a_segment_that_is_gone_is_missed_by_its_numbers,
    super::a_header_of_another_name_is_told_and_records_are_read,
    super::any_span_of_time_is_answered_to_the_call_from_hours_and_calls_together,
    super::calls_are_forgotten_and_their_hours_are_not,
    super::sums_are_kept_apart_by_every_dimension,
];

#[test]
fn what_holds_in_sqlite_holds_in_postgresql() {
    let server = Postgres::start();
    turn_to(Some(of(&server, "")));
    let later: [fn(); 2] = [
        clocks::a_clock_set_back_an_hour_and_forward_a_day_loses_and_doubles_nothing,
        newer::records_of_a_later_version_wait_in_the_spool_for_who_knows_them,
    ];
    let all = SAME.into_iter().chain(later).chain(hostile::ALL);
    let all = all
        .chain(adjusted::ALL)
        .chain(sums::ALL)
        .chain(months::ALL)
        .chain(sinks::ALL);
    all.for_each(|holds| holds());
}

#[test]
fn control_planes_share_one_ledger() {
    let mut server = Postgres::start();
    several_write_at_once(&server);
    who_read_from_an_old_mark_changes_nothing(&server);
    a_ledger_moves_with_what_is_open(&server);
    days_are_made_and_dropped(&server);
    any_text_is_taken(&server);
    a_ledger_of_the_first_version_becomes_one_of_this_while_another_writes(&server);
    keys_are_brought_along_and_followed_in_order(&server);
    shared_keys::names_of_keys_that_are_gone_are_bounded(&server);
    shared_keys::a_change_that_waits_for_another_is_given_up(&server);
    index::it_is_made_beside_whoever_writes_and_again_where_it_was_broken_off(&server);
    a_server_that_was_away_misses_nothing_and_has_nothing_twice(&mut server);
}

/// Their spools may even have the same names: each has marks of its own.
fn several_write_at_once(server: &Postgres) {
    const NODES: usize = 4;
    const SEGMENTS: u32 = 5;
    const CALLS: u64 = 40;
    let settings = of(server, "several");
    let nodes: Vec<_> = (0..NODES)
        .map(|_| {
            let settings = settings.clone();
            thread::spawn(move || {
                turn_to(Some(settings));
                let mut world = World::new();
                let (metering, mut ingest) = world.open();
                for number in 1..=SEGMENTS {
                    let first = 1 + 2 * CALLS * u64::from(number - 1);
                    world.write(0, number, &[calls(first, CALLS), end_mark()].concat());
                    // The same batch everywhere: counted once of all.
                    let of_batch = |event: UsageEvent<'static>| UsageEvent {
                        shard: 1,
                        batch: "batch_1",
                        provider: "openai",
                        ..event
                    };
                    let sequence = 2 * u64::from(number) - 1;
                    let batch = [
                        frame(&of_batch(open(sequence))),
                        frame(&of_batch(close(sequence + 1, sequence))),
                        end_mark(),
                    ];
                    world.write(1, number, &batch.concat());
                    ingest.pass().unwrap();
                }
                world.alive = None;
                ingest.pass().unwrap();
                assert_eq!(world.files(), Vec::<String>::new());
                (world, metering)
            })
        })
        .collect();
    let ended: Vec<_> = nodes.into_iter().map(|node| node.join().unwrap()).collect();
    let (_, metering) = &ended[0];
    let calls = (NODES as u64 * u64::from(SEGMENTS) * CALLS) as i64;
    let batches = (NODES as u64 * u64::from(SEGMENTS)) as i64;
    assert_eq!(total(metering, "requests"), calls + batches);
    assert_eq!(
        total(metering, "output_tokens"),
        5 * (calls + 1),
        "the batch was counted once"
    );
    // Single records say the same.
    let question = super::Question::new(Vec::new(), (1, u64::MAX), super::Zone::utc(), 0);
    assert_eq!(super::rows(metering, &question)[0]["requests"], calls + batches);
}

fn who_read_from_an_old_mark_changes_nothing(server: &Postgres) {
    turn_to(Some(of(server, "old_mark")));
    let world = World::new();
    let (metering, mut first) = world.open();
    let (_, mut second) = world.open();
    // Both know the marks as they are: one whose COMMIT had no answer is in the same place.
    first.pass().unwrap();
    second.pass().unwrap();
    world.write(0, 1, &calls(1, 3));
    first.pass().unwrap();
    let overtaken = second.pass().unwrap_err();
    assert!(
        matches!(overtaken, IngestError::Store(StoreError::Overtaken)),
        "{overtaken}"
    );
    world.write(0, 1, &calls(1, 5));
    second.pass().unwrap();
    assert!(first.pass().is_err());
    first.pass().unwrap();
    assert_eq!([total(&metering, "requests"), total(&metering, "crashed")], [5, 0]);
}

/// From SQLite, and back: what each has is there once, and calls that are open close where the ledger is.
fn a_ledger_moves_with_what_is_open(server: &Postgres) {
    turn_to(None);
    let mut world = World::new();
    let frames = [calls(1, 2), frame(&open(5)), frame(&open(6)), frame(&open(7))].concat();
    world.write(0, 1, &frames);
    let (sqlite, mut ingest) = world.open();
    ingest.pass().unwrap();
    let document = json!({"version": 1, "database": {"postgres": of(server, "moved")}});
    let document = tollgate_config::check::check(&tollgate_config::parse::Parsed::from_tree(document)).unwrap();
    let there = place::of(world.folder.path(), &document).unwrap();
    ingest.turn_to(&there).unwrap();
    world.write(0, 1, &[frames.clone(), frame(&close(8, 5))].concat());
    ingest.pass().unwrap();
    let mut postgres = Database::of(there.clone());
    let requests = |ledger: &mut Database| -> i64 {
        let question = super::Question::new(Vec::new(), (0, u64::MAX), super::Zone::utc(), 0);
        let rows = question.rows(&question.ask(ledger).unwrap());
        rows.first().map_or(0, |row| row["requests"].as_i64().unwrap())
    };
    assert_eq!((total(&sqlite, "requests"), requests(&mut postgres)), (2, 1));
    // The same ledger by another way is no move.
    let Place::Postgres { settings, node } = there.clone() else {
        panic!("it is there")
    };
    let settings = tollgate_config::document::Postgres {
        connections: 9,
        ..*settings
    };
    let settings = Box::new(settings);
    ingest.turn_to(&Place::Postgres { settings, node }).unwrap();
    ingest.pass().unwrap();
    ingest.turn_to(&place::sqlite(world.folder.path())).unwrap();
    world.write(0, 1, &[frames, frame(&close(8, 5)), frame(&close(9, 6))].concat());
    world.alive = None;
    ingest.pass().unwrap();
    assert_eq!([total(&sqlite, "requests"), total(&sqlite, "crashed")], [3, 1]);
    assert_eq!(requests(&mut postgres), 1);
    assert!(postgres.marks().unwrap().is_empty(), "nothing is left to be told there");
}

fn days_are_made_and_dropped(server: &Postgres) {
    const DAY_MS: u64 = 86_400_000;
    turn_to(Some(of(server, "days")));
    let world = World::new();
    let (metering, mut ingest) = world.open();
    let now_ms = 20_000 * DAY_MS + 5;
    let retention = Retention {
        calls_ms: 2 * DAY_MS,
        hours_ms: None,
    };
    ingest.forget(&retention, now_ms).unwrap();
    ingest.forget(&retention, now_ms + 1).unwrap();
    let ended = |day: u64, sequence: u64| UsageEvent {
        ended_unix_ms: day * DAY_MS + 7,
        ..close(sequence + 1, sequence)
    };
    let days = [20_000, 20_001, 20_002, 30_000, 3];
    let frames = days.iter().enumerate().flat_map(|(at, day)| {
        let sequence = 2 * at as u64 + 1;
        [frame(&open(sequence)), frame(&ended(*day, sequence))]
    });
    world.write(0, 1, &frames.flatten().collect::<Vec<u8>>());
    ingest.pass().unwrap();
    let counts = || {
        let mut reader = super::reader(&metering);
        let mut count = |sql: &str| {
            let mut found = 0;
            let read = |row: &super::super::database::Row<'_>| {
                found = row.get::<i64>(0)?;
                Ok(std::ops::ControlFlow::Continue(()))
            };
            reader.each(sql, &[], read).unwrap();
            found
        };
        [
            count("SELECT COUNT(*) FROM calls"),
            count("SELECT COUNT(*) FROM calls_rest"),
            count("SELECT COUNT(*) FROM days"),
            count("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'days' AND tablename LIKE 'calls_2024%'"),
        ]
    };
    assert_eq!(counts(), [5, 2, 3, 3]);
    // Two days later the first is too old, and so is what a clock said of 1970.
    ingest.forget(&retention, now_ms + 3 * DAY_MS).unwrap();
    assert_eq!(counts(), [3, 1, 5, 5]);
    assert_eq!(total(&metering, "requests"), 5, "their sums stay");
}

/// A control plane of the first version goes on writing to what this one has made of it.
fn a_ledger_of_the_first_version_becomes_one_of_this_while_another_writes(server: &Postgres) {
    const TO_VERSION_1: &str = "DROP VIEW billed; ALTER TABLE calls DROP COLUMN cache; ALTER TABLE hours DROP COLUMN cache; \
         ALTER TABLE adjustments DROP COLUMN cache; CREATE VIEW billed AS SELECT 1 AS at_ms; \
         UPDATE ledger_version SET version = 1";
    turn_to(Some(of(server, "versions")));
    let world = World::new();
    world.write(0, 1, &[calls(1, 2), end_mark()].concat());
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    drop((metering, ingest));
    server.run("versions", TO_VERSION_1);
    let (metering, mut ingest) = world.open();
    world.write(0, 2, &calls(5, 1));
    ingest.pass().unwrap();
    // What it writes names no column that it does not know.
    let hours = "hour_ms, digest, organization, cost_center, team, \"user\", key, model_asked, model, provider, \
         upstream_model, credential, surface, dialect, tags, arm, entry, price_version";
    let columns = format!("{hours}, {}", super::super::row::NUMBERS.join(", "));
    let copy = format!(
        "INSERT INTO hours ({columns}) SELECT {} FROM hours",
        columns.replacen("digest", "'as of then'::BYTEA", 1)
    );
    server.run("versions", &copy);
    assert_eq!(total(&metering, "requests"), 6);
    let rows = super::ask(&metering, "cache,team");
    assert_eq!(
        (rows.len(), &rows[0]["cache"], &rows[0]["requests"]),
        (1, &json!(""), &json!(6))
    );
    let mut of_calls = 0;
    let read = |row: &super::super::database::Row<'_>| {
        of_calls = row.get::<i64>(0)?;
        Ok(std::ops::ControlFlow::Continue(()))
    };
    let sum = "SELECT CAST(SUM(requests) AS BIGINT) FROM billed WHERE cache = ''";
    super::reader(&metering).each(sum, &[], read).unwrap();
    assert_eq!(of_calls, 3);
}

/// Of whatever length, with whatever in it.
fn any_text_is_taken(server: &Postgres) {
    turn_to(Some(of(server, "texts")));
    let world = World::new();
    let long = "ж".repeat(512);
    let tags = format!("zero=a\0b,long={long}");
    let odd = UsageEvent {
        tags: &tags,
        user: "it's \"quoted\" \\N \t",
        key: &long[..256],
        model: &long[..256],
        provider: &long[..256],
        upstream_model: &long[..256],
        credential: &long[..256],
        cost_center: &long[..256],
        ..close(2, 1)
    };
    world.write(0, 1, &[frame(&open(1)), frame(&odd)].concat());
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let rows = super::ask(&metering, "user,tag:zero");
    assert_eq!(rows[0]["user"], "it's \"quoted\" \\N \t");
    assert_eq!(rows[0]["tag:zero"], "a\u{fffd}b");
}

fn keys_are_brought_along_and_followed_in_order(server: &Postgres) {
    let document = json!({"version": 1, "database": {"postgres": of(server, "keys")}});
    let document = tollgate_config::check::check(&tollgate_config::parse::Parsed::from_tree(document)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = |name: &str| Store::open(&folder.path().join(name)).unwrap();
    let (first, second) = (store("first.db"), store("second.db"));
    let key = |name: &str, sha256: &str| KeyRow {
        key: StoredKey {
            name: name.to_owned(),
            sha256: sha256.to_owned(),
            models: vec!["gpt-*".to_owned()],
            previous: None,
            team: None,
            user: None,
            expires_unix_s: None,
            priority: None,
            limits: Default::default(),
        },
        created_ms: 7,
        created_by: "ann".to_owned(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        // Before they share anything.
        first.insert_key(key("a", "1")).await.unwrap();
        first.insert_key(key("both", "2")).await.unwrap();
        second.insert_key(key("both", "3")).await.unwrap();
        assert!(first.shared_table().await.unwrap().is_none());
        for store in [&first, &second] {
            store.share(document.database.as_ref());
        }
        let own = first.keys().await.unwrap();
        assert_eq!(first.bring(own).await.unwrap(), Vec::<String>::new());
        let own = second.keys().await.unwrap();
        assert_eq!(second.bring(own).await.unwrap(), ["both"], "it was there before");
        let tables = [&first, &second].map(|store| store.shared_table());
        let [one, other] = tables;
        let (one, other) = (one.await.unwrap().unwrap(), other.await.unwrap().unwrap());
        assert_eq!((one.identity, one.last), (other.identity, other.last));
        let refused = second.insert_key(key("a", "4")).await;
        assert!(matches!(refused, Err(StoreError::Exists(_))), "{refused:?}");
        second.insert_key(key("c", "5")).await.unwrap();
        first.remove_key("a".to_owned()).await.unwrap();
        let refused = second.replace_key(key("both", "3"), key("both", "6")).await;
        assert!(matches!(refused, Err(StoreError::Elsewhere(_))), "{refused:?}");
        second.replace_key(key("both", "2"), key("both", "6")).await.unwrap();
        let refused = second.replace_key(key("a", "1"), key("a", "7")).await;
        assert!(
            matches!(refused, Err(StoreError::Elsewhere(_))),
            "it is gone: {refused:?}"
        );
        let changes = first.changes(0).await.unwrap();
        let told: Vec<(&str, Option<&str>)> = changes
            .iter()
            .map(|change| (&*change.name, change.row.as_ref().map(|row| &*row.key.sha256)))
            .collect();
        assert_eq!(told, [("c", Some("5")), ("a", None), ("both", Some("6"))]);
        assert!(first.changes(changes[2].number).await.unwrap().is_empty());
        // A name that is gone may be had again.
        first.insert_key(key("a", "8")).await.unwrap();
        first.share(None);
        assert!(!first.is_shared());
    });
}

fn a_server_that_was_away_misses_nothing_and_has_nothing_twice(server: &mut Postgres) {
    turn_to(Some(of(server, "away")));
    let mut world = World::new();
    world.write(0, 1, &[calls(1, 2), end_mark()].concat());
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    server.stop();
    world.write(0, 2, &[calls(5, 2), end_mark()].concat());
    world.write(0, 3, &[calls(9, 2), frame(&open(13))].concat());
    for _ in 0..3 {
        let away = ingest.pass().unwrap_err();
        assert!(matches!(away, IngestError::Store(StoreError::Away(_))), "{away}");
    }
    assert!(
        world.files().contains(&super::name(0, 2).to_string()),
        "the spool keeps it"
    );
    assert_eq!(world.files().len(), 3, "of boot {BOOT:x}");
    server.start_again();
    ingest.pass().unwrap();
    world.alive = None;
    ingest.pass().unwrap();
    let (metering, _) = {
        drop(metering);
        world.open()
    };
    assert_eq!([total(&metering, "requests"), total(&metering, "crashed")], [6, 1]);
    assert_eq!(world.files(), Vec::<String>::new());
}
