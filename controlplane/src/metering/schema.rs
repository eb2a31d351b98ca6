//! The ledger's tables, and how those of an earlier version become them.

mod former;

use rusqlite::Connection;

use super::{
    ledger::{CALL_TEXTS, OWN, TRAITS},
    row::{NUMBERS, TEXTS, view},
};
use crate::store::StoreError;

pub const VERSION: i64 = 3;

/// How far the spool was read, and what is open of it. As all versions have them.
pub const SPOOL: &str = "
CREATE TABLE open_calls (
    boot INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    frame BLOB NOT NULL,
    PRIMARY KEY (boot, shard, sequence)
) WITHOUT ROWID;
CREATE TABLE marks (
    boot INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    segment INTEGER NOT NULL,
    at INTEGER NOT NULL,
    next_sequence INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (boot, shard)
) WITHOUT ROWID;
CREATE TABLE batches (
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
    make(connection, found).map_err(|error| match error {
        StoreError::Full(error) if found > 0 => StoreError::Full(without_room(connection, found, &error)),
        error => error,
    })
}

/// What whoever upgrades does about it.
fn without_room(connection: &Connection, found: i64, error: &str) -> String {
    const MIB: u64 = 1024 * 1024;
    let path = connection.path().unwrap_or_default();
    let bytes = std::fs::metadata(path).map_or(0, |about| about.len());
    format!(
        "{path}, of version {found}, is carried over into version {VERSION}, and that failed: {error}. Nothing of it has \
         changed. As much again as it takes, {} MiB, must be free on its disk, and as much where SQLite keeps temporary \
         files (SQLITE_TMPDIR, else /var/tmp or /tmp); then start again",
        bytes.div_ceil(MIB)
    )
}

fn make(connection: &mut Connection, found: i64) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    if found < 1 {
        transaction.execute_batch(SPOOL)?;
    }
    if found == 1 {
        for (name, kind) in MORE_OF_CALLS {
            transaction.execute_batch(&format!("ALTER TABLE calls ADD COLUMN {name} {kind};"))?;
        }
    }
    if found < 2 {
        transaction.execute_batch(ATTEMPTS)?;
        transaction.execute_batch(&adjustments())?;
    }
    transaction.execute_batch(&tables())?;
    if found > 0 {
        former::carry(&transaction, found)?;
    }
    transaction.execute_batch(&views())?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}

/// What calls have in common is written once, and they have its number; so have sums by the hour.
fn tables() -> String {
    let column = |name: &&str| match *name {
        // SQLite keeps bytes there as they are: `ledger::insert_call` writes an id of 32 hexadecimal digits as 16 of them.
        "request_id" | "batch" | "rejected" => format!("{name} TEXT NOT NULL"),
        "trace" => "trace BLOB".to_owned(),
        "price_version" => "price_version INTEGER".to_owned(),
        name if CAN_BE_ABSENT.contains(&name) => format!("{name} INTEGER"),
        name => format!("{name} INTEGER NOT NULL"),
    };
    let list = |columns: &[&str]| columns.iter().map(column).collect::<Vec<_>>().join(", ");
    let texts = TEXTS.map(|name| format!("{name} TEXT NOT NULL")).join(", ");
    format!(
        "CREATE TABLE names (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, seen_ms INTEGER NOT NULL, {texts});
         CREATE TABLE call_traits (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, seen_ms INTEGER NOT NULL, \
         names INTEGER NOT NULL, {});
         CREATE TABLE call_rows (id INTEGER PRIMARY KEY, traits INTEGER NOT NULL, {});
         CREATE INDEX call_rows_by_end ON call_rows (ended_ms);
         CREATE TABLE hour_rows (hour_ms INTEGER NOT NULL, names INTEGER NOT NULL, {}, PRIMARY KEY (hour_ms, names)) \
         WITHOUT ROWID;",
        list(&TRAITS),
        list(&OWN),
        list(&NUMBERS),
    )
}

/// Of a call's own.
const CAN_BE_ABSENT: [&str; 16] = [
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "input_audio",
    "output_audio",
    "input_image",
    "cost_units",
    "cost_rest",
    "list_units",
    "list_rest",
    "first_token_ns",
    "images",
    "audio_ms",
];

/// Calls and sums with all that they have, as whoever asks wants them. A join from the left costs nothing where nobody asks
/// for what it brings.
fn views() -> String {
    let of = |table: &str, columns: &[&str]| {
        let column = |name: &&str| match *name {
            "request_id" => {
                "CASE typeof(r.request_id) WHEN 'blob' THEN lower(hex(r.request_id)) ELSE r.request_id END AS \
                 request_id"
                    .to_owned()
            }
            name => format!("{table}.{name}"),
        };
        columns.iter().map(column).collect::<Vec<_>>().join(", ")
    };
    format!(
        "CREATE VIEW calls AS SELECT r.id, {}, {}, {} FROM call_rows r LEFT JOIN call_traits t ON t.id = r.traits \
         LEFT JOIN names n ON n.id = t.names;
         CREATE VIEW hours AS SELECT h.hour_ms, {}, {} FROM hour_rows h LEFT JOIN names n ON n.id = h.names;
         {}",
        of("r", &OWN),
        of("t", &TRAITS),
        of("n", CALL_TEXTS),
        of("n", &TEXTS),
        of("h", &NUMBERS),
        view()
    )
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
