//! The ledger's tables in PostgreSQL. Columns of calls and attempts are those that are written, so that there is one list
//! of them; all whole numbers are BIGINT.

use tollgate_config::usage_event::{AttemptLine, UsageEvent};

use super::{
    super::{
        ledger::{ATTEMPT_COLUMNS, CALL_COLUMNS, attempt_cells, call_cells},
        row::{NUMBERS, TEXTS, view},
    },
    IDS_AT_ONCE,
};
use crate::{
    postgres::{Alone, Kind, Session, kinds_of, translated},
    store::StoreError,
};

const VERSION: i64 = 2;

/// Makes the tables where there are none. A later version's are refused rather than misread.
pub fn open(session: &mut Session, schema: &str) -> Result<(), StoreError> {
    let encoding = session.first("SHOW server_encoding", &[])?;
    let encoding: String = encoding.and_then(|row| row.try_get(0).ok()).unwrap_or_default();
    if encoding != "UTF8" {
        return Err(StoreError::Postgres(format!(
            "the database's encoding is {encoding}; UTF8, as CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0 makes it"
        )));
    }
    if version(session, schema)? == Some(VERSION) {
        return Ok(());
    }
    session.run("BEGIN")?;
    let made = make(session, schema);
    match made {
        Ok(()) => session.run("COMMIT"),
        Err(error) => {
            session.rollback();
            Err(error)
        }
    }
}

fn version(session: &mut Session, schema: &str) -> Result<Option<i64>, StoreError> {
    if !session.has_table(schema, "ledger_version")? {
        return Ok(None);
    }
    let row = session.first("SELECT version FROM ledger_version", &[])?;
    let found: Option<i64> = row.and_then(|row| row.try_get(0).ok());
    match found {
        Some(found) if found > VERSION => Err(StoreError::Later { found, known: VERSION }),
        found => Ok(found),
    }
}

fn make(session: &mut Session, schema: &str) -> Result<(), StoreError> {
    session.lock(Alone::Tables)?;
    // Another control plane may have made them while this one waited.
    let found = version(session, schema)?;
    if found == Some(VERSION) {
        return Ok(());
    }
    match found {
        None => {
            session.make_schema(schema)?;
            session.run(&translated(&tables()))
        }
        Some(_) => session.run(&translated(&from_version_1())),
    }
}

/// Version 1 did not know which cache an answer came from. Control planes of that version that run go on writing.
fn from_version_1() -> String {
    let tables = ["calls", "hours", "adjustments"];
    let more = tables.map(|table| format!("ALTER TABLE {table} ADD COLUMN cache TEXT NOT NULL DEFAULT '';"));
    format!(
        "DROP VIEW billed; {} {} UPDATE ledger_version SET version = {VERSION};",
        more.join(" "),
        billed()
    )
}

fn tables() -> String {
    let event = UsageEvent::default();
    let of_calls = kinds_of(&CALL_COLUMNS, &call_cells(&event).collect::<Vec<_>>(), "trace");
    let of_attempts = kinds_of(
        ATTEMPT_COLUMNS,
        &attempt_cells(0, 0, &AttemptLine::default(), false),
        "",
    );
    let list = |columns: &[(&str, Kind)]| {
        let columns = columns.iter().map(|(name, kind)| format!("{name} {}", kind.sql()));
        columns.collect::<Vec<_>>().join(", ")
    };
    let texts = TEXTS.map(|name| format!("{name} TEXT NOT NULL")).join(", ");
    let numbers = NUMBERS.map(|name| format!("{name} BIGINT NOT NULL")).join(", ");
    format!(
        "CREATE SEQUENCE call_ids INCREMENT BY {IDS_AT_ONCE};
         CREATE TABLE calls (id BIGINT NOT NULL, node BIGINT NOT NULL, {}) PARTITION BY RANGE (ended_ms);
         CREATE INDEX calls_by_end ON calls (ended_ms);
         CREATE INDEX calls_by_id ON calls (id);
         CREATE TABLE calls_rest PARTITION OF calls DEFAULT;
         CREATE TABLE attempts (ended_ms BIGINT NOT NULL, {}, PRIMARY KEY (call, number, ended_ms)) \
         PARTITION BY RANGE (ended_ms);
         CREATE TABLE attempts_rest PARTITION OF attempts DEFAULT;
         CREATE TABLE days (day BIGINT PRIMARY KEY);
         CREATE TABLE open_calls (node BIGINT NOT NULL, boot BIGINT NOT NULL, shard BIGINT NOT NULL, \
         sequence BIGINT NOT NULL, frame BYTEA NOT NULL, PRIMARY KEY (node, boot, shard, sequence));
         CREATE TABLE marks (node BIGINT NOT NULL, boot BIGINT NOT NULL, shard BIGINT NOT NULL, segment BIGINT NOT NULL, \
         at BIGINT NOT NULL, next_sequence BIGINT NOT NULL, last_ms BIGINT NOT NULL, PRIMARY KEY (node, boot, shard));
         CREATE TABLE batches (provider TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (provider, id));
         CREATE TABLE hours (hour_ms BIGINT NOT NULL, digest BYTEA NOT NULL, {texts}, {numbers}, \
         PRIMARY KEY (hour_ms, digest)) WITH (fillfactor = 80);
         CREATE TABLE adjustments (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, post TEXT NOT NULL UNIQUE, \
         posted_ms BIGINT NOT NULL, at_ms BIGINT NOT NULL, reason TEXT NOT NULL, {texts}, {numbers});
         CREATE INDEX adjustments_by_time ON adjustments (at_ms);
         {}
         CREATE TABLE ledger_version (version BIGINT NOT NULL, identity TEXT NOT NULL);
         INSERT INTO ledger_version VALUES ({VERSION}, gen_random_uuid()::TEXT);",
        list(&of_calls),
        list(&of_attempts),
        billed(),
    )
}

/// The same view of single records as SQLite's.
fn billed() -> String {
    let mut view = view().replacen("CREATE VIEW IF NOT EXISTS", "CREATE VIEW", 1);
    for of in ["c", "a"] {
        let sqlite = format!("printf('%016x', {of}.price_version)");
        view = view.replace(&sqlite, &format!("lpad(to_hex({of}.price_version), 16, '0')"));
    }
    view
}
