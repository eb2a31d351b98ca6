//! The ledger's tables, and how those of an earlier version become them.

use rusqlite::Connection;

use super::{
    hours,
    row::{NUMBERS, TEXTS, view},
};
use crate::store::StoreError;

pub const VERSION: i64 = 2;

pub const CALLS: &str = "
CREATE TABLE IF NOT EXISTS calls (
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
CREATE INDEX IF NOT EXISTS calls_by_end ON calls (ended_ms);
CREATE TABLE IF NOT EXISTS open_calls (
    boot INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    frame BLOB NOT NULL,
    PRIMARY KEY (boot, shard, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (
    boot INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    at INTEGER NOT NULL,
    next_sequence INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (boot, shard)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
    provider TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (provider, id)
) WITHOUT ROWID;
";

/// What version 2 knows more of a call.
const MORE_OF_CALLS: [(&str, &str); 17] = [
    ("organization", "TEXT NOT NULL DEFAULT ''"),
    ("cost_center", "TEXT NOT NULL DEFAULT ''"),
    ("credential", "TEXT NOT NULL DEFAULT ''"),
    ("trace", "BLOB"),
    ("tier", "INTEGER NOT NULL DEFAULT 0"),
    ("requests", "INTEGER NOT NULL DEFAULT 1"),
    ("images", "INTEGER"),
    ("audio_ms", "INTEGER"),
    ("list_units", "INTEGER"),
    ("list_rest", "INTEGER"),
    ("hedge", "INTEGER NOT NULL DEFAULT 0"),
    ("resumed", "INTEGER NOT NULL DEFAULT 0"),
    ("shadow", "INTEGER NOT NULL DEFAULT 0"),
    ("replayed", "INTEGER NOT NULL DEFAULT 0"),
    ("free", "INTEGER NOT NULL DEFAULT 0"),
    ("more_attempts", "INTEGER NOT NULL DEFAULT 0"),
    ("arm", "TEXT NOT NULL DEFAULT ''"),
];

const ATTEMPTS: &str = "
CREATE TABLE attempts (
    call INTEGER NOT NULL,
    number INTEGER NOT NULL,
    provider TEXT NOT NULL,
    upstream_model TEXT NOT NULL,
    credential TEXT NOT NULL,
    status INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    started_ns INTEGER NOT NULL,
    took_ns INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    moved INTEGER NOT NULL,
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
    list_units INTEGER,
    list_rest INTEGER,
    price_version INTEGER,
    PRIMARY KEY (call, number)
) WITHOUT ROWID;
";

/// Makes the tables of this version out of whatever version is there, in one transaction.
pub fn migrate(connection: &mut Connection, found: i64) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    if found < 1 {
        transaction.execute_batch(CALLS)?;
    }
    if found < 2 {
        for (name, kind) in MORE_OF_CALLS {
            transaction.execute_batch(&format!("ALTER TABLE calls ADD COLUMN {name} {kind};"))?;
        }
        transaction.execute_batch(ATTEMPTS)?;
        transaction.execute_batch(&adjustments())?;
        if found == 1 {
            transaction.execute_batch(&hours::from_version_1())?;
        } else {
            transaction.execute_batch(&hours::schema())?;
        }
        transaction.execute_batch(&view())?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}

/// What is posted to the ledger later: never an edit. `post` is what makes it be there once.
fn adjustments() -> String {
    let texts = TEXTS.map(|name| format!("{name} TEXT NOT NULL")).join(", ");
    let numbers = NUMBERS.map(|name| format!("{name} INTEGER NOT NULL")).join(", ");
    format!(
        "CREATE TABLE adjustments (id INTEGER PRIMARY KEY, post TEXT NOT NULL UNIQUE, posted_ms INTEGER NOT NULL, \
         at_ms INTEGER NOT NULL, reason TEXT NOT NULL, {texts}, {numbers}); \
         CREATE INDEX adjustments_by_time ON adjustments (at_ms);"
    )
}
