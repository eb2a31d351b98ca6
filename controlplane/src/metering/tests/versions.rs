//! A ledger of the first version becomes one of this, with all that is in it.

use rusqlite::Connection;

use super::{World, ask, calls, total};

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
