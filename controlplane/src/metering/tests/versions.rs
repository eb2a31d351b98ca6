//! A ledger of an earlier version becomes one of this, with all that is in it; and how this one keeps what calls have in
//! common.

use rusqlite::{Connection, types::ValueRef};
use tollgate_config::{document::Retention, usage_event::UsageEvent};

use super::{
    super::{
        ledger::{CALL_TEXTS, OWN, TRAITS},
        names::digest_of_texts,
        row::{NUMBERS, TEXTS},
    },
    World, ask, calls, close, end_mark, frame, open, total,
};

/// As version 1 made them.
const CALLS_1: &str = "
CREATE TABLE calls (
    id INTEGER PRIMARY KEY,
    boot INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    key TEXT NOT NULL,
    user TEXT NOT NULL,
    team TEXT NOT NULL,
    tags TEXT NOT NULL,
    model_asked TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    surface TEXT NOT NULL,
    dialect TEXT NOT NULL,
    batch TEXT NOT NULL,
    rejected TEXT NOT NULL,
    status INTEGER NOT NULL,
    ending INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    streamed INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    input INTEGER,
    cache_read INTEGER,
    cache_write_5m INTEGER,
    cache_write_1h INTEGER,
    output INTEGER,
    reasoning INTEGER,
    input_audio INTEGER,
    output_audio INTEGER,
    input_image INTEGER,
    cost_units INTEGER,
    cost_rest INTEGER,
    price_version INTEGER,
    request_bytes INTEGER NOT NULL,
    response_bytes INTEGER NOT NULL,
    total_ns INTEGER NOT NULL,
    gateway_ns INTEGER NOT NULL,
    first_token_ns INTEGER
);
CREATE INDEX calls_by_end ON calls (ended_ms);
";
const HOURS_1: &str = "CREATE TABLE hours (hour_ms INTEGER NOT NULL, team TEXT NOT NULL, user TEXT NOT NULL, key TEXT NOT \
     NULL, model TEXT NOT NULL, provider TEXT NOT NULL, upstream_model TEXT NOT NULL, tags TEXT NOT NULL, requests INTEGER \
     NOT NULL, failed INTEGER NOT NULL, crashed INTEGER NOT NULL, attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL, \
     output_tokens INTEGER NOT NULL, cache_read_tokens INTEGER NOT NULL, cache_write_5m_tokens INTEGER NOT NULL, \
     cache_write_1h_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, input_audio_tokens INTEGER NOT NULL, \
     output_audio_tokens INTEGER NOT NULL, input_image_tokens INTEGER NOT NULL, estimated INTEGER NOT NULL, cost_units \
     INTEGER NOT NULL, cost_rest INTEGER NOT NULL, PRIMARY KEY (hour_ms, team, user, key, model, provider, upstream_model, \
     tags)) WITHOUT ROWID;";
const CALL_1: &str = "INSERT INTO calls (boot, shard, sequence, started_ms, ended_ms, request_id, key, user, team, tags, \
     model_asked, model, provider, upstream_model, surface, dialect, batch, rejected, status, ending, attempts, streamed, \
     estimated, input, output, cost_units, cost_rest, price_version, request_bytes, response_bytes, total_ns, gateway_ns) \
     VALUES (1, 0, 2, 3600000, 3600500, 'id', 'k', '', 'research', 'a=b', 'smart', 'smart', 'openai', 'gpt', 'chat', \
     'openai', '', '', 200, 0, 1, 0, 0, 7, 5, 1, 2, -1, 10, 20, 30, 4);
     INSERT INTO hours VALUES (3600000, 'research', '', 'k', 'smart', 'openai', 'gpt', 'a=b', 1, 0, 0, 1, 7, 5, 0, 0, 0, 0, \
     0, 0, 0, 0, 1, 2);";

#[test]
fn a_ledger_of_the_first_version_is_made_into_this_one() {
    let world = World::new();
    let path = world.folder.path().join("usage.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(super::super::schema::SPOOL).unwrap();
    old.execute_batch(CALLS_1).unwrap();
    old.execute_batch(HOURS_1).unwrap();
    old.execute_batch(CALL_1).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    world.write(0, 1, &calls(1, 1));
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    assert_eq!(
        [total(&metering, "requests"), total(&metering, "input_tokens")],
        [2, 14]
    );
    let rows = ask(&metering, "provider,price_version,entry");
    let old = rows.iter().find(|row| row["provider"] == "openai").unwrap();
    assert_eq!(old["cost_usd"], "0.001000001", "1,000,000,002 pico-dollars, rounded up");
    // Single records say the same.
    let opened = Connection::open(&path).unwrap();
    let of_records: (i64, String) = opened
        .query_row("SELECT SUM(requests), MIN(price_version) FROM billed", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(of_records, (2, "ffffffffffffffff".to_owned()));
    drop(opened);
    // Opening it again changes nothing.
    drop((metering, ingest));
    let (metering, _) = world.open();
    assert_eq!(total(&metering, "requests"), 2);
}

/// As text, each row of an answer.
fn rows(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let count = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let values = (0..count).map(|at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Integer(number) => number.to_string(),
                other => format!("{other:?}"),
            })
        });
        Ok(values.collect::<rusqlite::Result<Vec<_>>>()?.join("|"))
    };
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_ledger_of_the_second_version_says_the_same_in_the_tables_of_this_one() {
    let world = World::new();
    let path = world.folder.path().join("usage.db");
    let of_then = |columns: &[&str]| {
        let known = columns.iter().filter(|name| **name != "cache");
        known.copied().collect::<Vec<_>>().join(", ")
    };
    let (texts, numbers) = (of_then(&TEXTS), NUMBERS.join(", "));
    let calls_then = of_then(&[&["id"], &OWN[..], &TRAITS, CALL_TEXTS].concat());
    let asked = [
        format!("SELECT {calls_then} FROM calls ORDER BY id"),
        format!("SELECT at_ms, {texts}, {numbers} FROM billed ORDER BY at_ms, {texts}, input_tokens, requests"),
        format!("SELECT hour_ms, {texts}, {numbers} FROM hours ORDER BY hour_ms, {texts}"),
        "SELECT * FROM attempts ORDER BY call, number".to_owned(),
    ];
    let old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("version_2.sql")).unwrap();
    let before = asked.each_ref().map(|sql| rows(&old, sql));
    drop(old);
    assert_eq!(before.each_ref().map(Vec::len), [4, 7, 5, 2]);

    world.write(0, 1, &calls(1, 1));
    drop(world.open());
    let opened = Connection::open(&path).unwrap();
    assert_eq!(asked.each_ref().map(|sql| rows(&opened, sql)), before);
    assert_eq!(
        rows(
            &opened,
            "SELECT DISTINCT cache FROM (SELECT cache FROM billed UNION SELECT cache FROM hours)"
        ),
        [""]
    );
    // What calls have in common is there once.
    assert_eq!(rows(&opened, "SELECT COUNT(*) FROM names"), ["5"]);
    // And found again, as if it had come in today.
    for (digest, texts) in digests(&opened) {
        let texts = texts.each_ref().map(String::as_str);
        assert_eq!(digest, digest_of_texts(&texts), "{texts:?}");
    }
    assert_eq!(
        rows(
            &opened,
            "SELECT COUNT(*), COUNT(DISTINCT digest), MIN(LENGTH(digest)) FROM call_traits"
        ),
        ["4|4|16"]
    );
    // Calls come in behind them, and those that are there have their ids.
    let (metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    assert_eq!(rows(&opened, "SELECT id FROM calls ORDER BY id")[3..], ["9", "10"]);
    assert_eq!(
        ask(&metering, "team")
            .iter()
            .find(|row| row["team"] == "research")
            .unwrap()["requests"],
        1
    );
}

#[test]
fn without_room_to_carry_a_ledger_over_it_is_said_which_one_and_how_much() {
    let world = World::new();
    let path = world.folder.path().join("usage.db");
    let mut old = Connection::open(&path).unwrap();
    old.execute_batch(include_str!("version_2.sql")).unwrap();
    let pages: i64 = old.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    old.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
        .unwrap();
    let said = super::super::schema::migrate(&mut old, 2).unwrap_err().to_string();
    for words in [
        path.to_str().unwrap(),
        "of version 2",
        "1 MiB",
        "Nothing of it has changed",
    ] {
        assert!(said.contains(words), "{said}");
    }
    drop(old);
    // With room it goes on from there.
    drop(world.open());
    let opened = Connection::open(&path).unwrap();
    assert_eq!(rows(&opened, "SELECT COUNT(*) FROM calls"), ["4"]);
}

fn digests(connection: &Connection) -> Vec<([u8; 16], [String; TEXTS.len()])> {
    let sql = format!("SELECT digest, {} FROM names", TEXTS.join(", "));
    let mut statement = connection.prepare(&sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, std::array::from_fn(|at| row.get(1 + at).unwrap())));
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

#[test]
fn sums_stay_one_row_for_each_hour_and_set_whatever_is_forgotten_meanwhile() {
    let world = World::new();
    // Two sets, which come again after what was remembered of them is gone.
    let calls = |first: u64| -> Vec<u8> {
        let pairs = (0..4).flat_map(|call| {
            let tags = format!("n={}", call % 2);
            let opened = UsageEvent {
                tags: &tags,
                ..open(first + 2 * call)
            };
            let closed = UsageEvent {
                tags: &tags,
                ..close(first + 2 * call + 1, first + 2 * call)
            };
            [frame(&opened), frame(&closed)]
        });
        pairs.flatten().chain(end_mark()).collect()
    };
    let opened = || Connection::open(world.folder.path().join("usage.db")).unwrap();
    let counts = || {
        ["call_rows", "call_traits", "hour_rows", "names"]
            .map(|table| rows(&opened(), &format!("SELECT COUNT(*) FROM {table}")).concat())
    };
    let kept = Retention {
        calls_ms: 86_400_000,
        hours_ms: None,
    };
    let (_metering, mut ingest) = world.open();
    for segment in 1..=3 {
        world.write(0, segment, &calls(1 + 8 * u64::from(segment - 1)));
        ingest.pass().unwrap();
        ingest.forget(&kept, 1_000_000_000_000).unwrap();
    }
    drop(ingest);
    for segment in 4..=6 {
        let (metering, mut ingest) = world.open();
        world.write(0, segment, &calls(1 + 8 * u64::from(segment - 1)));
        ingest.pass().unwrap();
        assert_eq!(total(&metering, "requests"), i64::from(4 * segment));
    }
    assert_eq!(counts(), ["24", "2", "2", "2"]);
    // A set that an earlier hour has use of once more is kept for the later one.
    let seen = "SELECT seen_ms - (SELECT MAX(hour_ms) FROM hour_rows) FROM names";
    assert_eq!(rows(&opened(), seen), ["0", "0"]);
}

#[test]
fn what_calls_have_in_common_goes_when_they_and_their_sums_are_gone() {
    let world = World::new();
    world.write(0, 1, &calls(1, 3));
    let (_metering, mut ingest) = world.open();
    ingest.pass().unwrap();
    let opened = Connection::open(world.folder.path().join("usage.db")).unwrap();
    let kept = |calls_ms, hours_ms| Retention {
        calls_ms,
        hours_ms: Some(hours_ms),
    };
    let counts = || {
        ["call_rows", "call_traits", "hour_rows", "names"]
            .map(|table| rows(&opened, &format!("SELECT COUNT(*) FROM {table}")).concat())
    };
    const DAY_MS: u64 = 86_400_000;
    let now_ms = 1_000_000_000_000 + 2 * DAY_MS;
    ingest.forget(&kept(3 * DAY_MS, 3 * DAY_MS), now_ms).unwrap();
    assert_eq!(counts(), ["3", "1", "1", "1"]);
    ingest.forget(&kept(DAY_MS, 3 * DAY_MS), now_ms).unwrap();
    assert_eq!(counts(), ["0", "0", "1", "1"]);
    ingest.forget(&kept(DAY_MS, DAY_MS), now_ms).unwrap();
    assert_eq!(counts(), ["0"; 4].map(str::to_owned));
    // What comes after it is written anew.
    world.write(0, 2, &calls(7, 1));
    world.write(0, 1, &[calls(1, 3), end_mark()].concat());
    ingest.pass().unwrap();
    assert_eq!(rows(&opened, "SELECT team FROM calls"), ["research"]);
}

#[test]
fn a_call_is_looked_up_by_its_time_and_its_id_and_by_no_other_way() {
    let world = World::new();
    drop(world.open());
    let opened = Connection::open(world.folder.path().join("usage.db")).unwrap();
    for (asked, wanted) in [
        (
            "SELECT SUM(requests) FROM billed WHERE at_ms >= 1 AND at_ms < 2",
            "call_rows_by_end",
        ),
        (
            "SELECT team FROM calls c WHERE c.id > 1 ORDER BY c.id LIMIT 2",
            "INTEGER PRIMARY KEY",
        ),
        (
            "SELECT SUM(requests) FROM hours WHERE hour_ms >= 1 AND hour_ms < 2",
            "PRIMARY KEY (hour_ms>? AND hour_ms<?)",
        ),
    ] {
        let plan = rows(&opened, &format!("EXPLAIN QUERY PLAN {asked}"));
        assert!(plan.iter().any(|line| line.contains(wanted)), "{asked}: {plan:#?}");
        // Of calls, their traits, names, and sums.
        let is_all = |line: &str| {
            ["SCAN r", "SCAN t", "SCAN n", "SCAN h", "SCAN call"]
                .iter()
                .any(|scan| line.contains(scan))
        };
        assert!(!plan.iter().any(|line| is_all(line)), "{asked}: {plan:#?}");
    }
}
