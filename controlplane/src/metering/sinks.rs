//! How far the calls of a ledger were sent elsewhere, beside those calls: a control plane that is killed goes on where it
//! was, and what was not sent is kept for a while when its time is over. Knows nothing of where they go.

use std::ops::ControlFlow;

use rusqlite::{Connection, OptionalExtension};

use super::database::{Database, Transaction};
use crate::{
    postgres::{Cell, Session},
    store::StoreError,
};

pub const TABLE: &str = "sinks";
/// Of SQLite's one control plane.
pub const OWN: i64 = 0;
/// In place of a node: what is posted later, which is kept as long as the hours' sums, sent or not. Control planes that share
/// a ledger note together how far that is.
const CORRECTIONS: i64 = -1;
/// In place of `hold_ms`: nothing is sent from here now, and nothing waits for it.
const RELEASED: i64 = -1;

/// Up to which call of its own a control plane has sent. Ids of calls rise in the order in which they are committed, since
/// one thread commits those of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Whose calls these are.
    of: i64,
    pub last: i64,
    /// Grows when calls are forgotten: an id may then come again in SQLite, and what was read before is not to be noted.
    epoch: i64,
    /// Calls, or corrections, that were forgotten unsent, ever.
    pub skipped: i64,
}

/// Where it is with this node's calls; the table and its row are made where there are none, and `hold_ms` is said.
pub fn begin(ledger: &mut Database, hold_ms: u64) -> Result<Sent, StoreError> {
    begin_of(ledger, ledger.node(), i64::try_from(hold_ms).unwrap_or(i64::MAX))
}

/// Where it is with corrections.
pub fn begin_corrections(ledger: &mut Database) -> Result<Sent, StoreError> {
    begin_of(ledger, CORRECTIONS, 0)
}

fn begin_of(ledger: &mut Database, of: i64, hold_ms: i64) -> Result<Sent, StoreError> {
    if !ledger.has_table(TABLE)? {
        make(ledger)?;
    }
    if let Some((sent, held)) = read(ledger, of)? {
        if held != hold_ms {
            ledger.execute("UPDATE sinks SET hold_ms = ?1 WHERE node = ?2", &[hold_ms, of])?;
        }
        return Ok(sent);
    }
    let values = [of, hold_ms];
    ledger.execute(
        "INSERT INTO sinks (node, last, epoch, skipped, hold_ms) VALUES (?1, 0, 0, 0, ?2) ON CONFLICT DO NOTHING",
        &values,
    )?;
    let made = read(ledger, of)?.map(|(sent, _)| sent);
    made.ok_or_else(|| StoreError::Content("how far calls were sent cannot be noted".to_owned()))
}

fn make(ledger: &mut Database) -> Result<(), StoreError> {
    const MAKE: &str = "CREATE TABLE IF NOT EXISTS sinks (node BIGINT PRIMARY KEY, last BIGINT NOT NULL, epoch BIGINT NOT NULL, \
         skipped BIGINT NOT NULL, hold_ms BIGINT NOT NULL)";
    let mut making = ledger.begin_to_write()?;
    making.execute(MAKE, &[])?;
    making.commit()
}

fn read(ledger: &mut Database, of: i64) -> Result<Option<(Sent, i64)>, StoreError> {
    let mut found = None;
    ledger.each(
        "SELECT last, epoch, skipped, hold_ms FROM sinks WHERE node = ?1",
        &[of],
        |row| {
            let sent = Sent {
                of,
                last: row.get(0)?,
                epoch: row.get(1)?,
                skipped: row.get(2)?,
            };
            found = Some((sent, row.get(3)?));
            Ok(ControlFlow::Break(()))
        },
    )?;
    Ok(found)
}

/// Sent up to `last`, but for so many that nobody takes; false where calls were forgotten meanwhile, and it is to be looked
/// again.
pub fn advance(ledger: &mut Database, before: Sent, last: i64, skipped: i64) -> Result<bool, StoreError> {
    const ADVANCE: &str =
        "UPDATE sinks SET last = ?1, skipped = skipped + ?5 WHERE node = ?2 AND last = ?3 AND epoch = ?4";
    let values = [last, before.of, before.last, before.epoch, skipped];
    Ok(ledger.execute(ADVANCE, &values)? == 1)
}

/// Nothing is sent from here any more: nothing waits for it, and where it was is remembered.
pub fn release(ledger: &mut Database) -> Result<(), StoreError> {
    if ledger.has_table(TABLE)? {
        let values = [RELEASED, ledger.node()];
        ledger.execute("UPDATE sinks SET hold_ms = ?1 WHERE node = ?2", &values)?;
    }
    Ok(())
}

/// Of SQLite: calls up to this id may be forgotten, and those behind it that ended before `from_ms`.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub last: i64,
    pub from_ms: i64,
    is_sending: bool,
}

/// `None`: nothing was ever sent from here.
pub fn held(connection: &Connection, before_ms: i64) -> Result<Option<Held>, StoreError> {
    let is_there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
    if !connection.prepare_cached(is_there)?.exists([TABLE])? {
        return Ok(None);
    }
    let row: Option<(i64, i64)> = connection
        .query_row("SELECT last, hold_ms FROM sinks WHERE node = ?1", [OWN], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(row.map(|(last, hold_ms)| Held {
        last,
        from_ms: before_ms.saturating_sub(hold_ms.max(0)),
        is_sending: hold_ms != RELEASED,
    }))
}

/// `unsent` calls are being forgotten, in this transaction, and are no longer there.
pub fn forgotten(connection: &Connection, held: Held, unsent: usize) -> Result<(), StoreError> {
    const FORGOTTEN: &str = "UPDATE sinks SET epoch = epoch + 1, skipped = skipped + ?2, \
         last = MIN(last, (SELECT IFNULL(MAX(id), 0) FROM call_rows)) WHERE node = ?1";
    let skipped = if held.is_sending { unsent as i64 } else { 0 };
    connection.execute(FORGOTTEN, [OWN, skipped])?;
    Ok(())
}

/// Corrections of before then are about to be forgotten, in this transaction; those that are not sent are missed where anybody
/// sends.
pub fn forget_corrections(transaction: &mut Transaction<'_>, before_ms: i64) -> Result<(), StoreError> {
    const MISS: &str = "UPDATE sinks SET epoch = epoch + 1, skipped = skipped + \
         CASE WHEN EXISTS (SELECT 1 FROM sinks s WHERE s.node <> ?2 AND s.hold_ms <> ?3) \
         THEN (SELECT COUNT(*) FROM adjustments a WHERE a.at_ms < ?1 AND a.id > sinks.last) ELSE 0 END WHERE node = ?2";
    transaction.execute(MISS, &[before_ms, CORRECTIONS, RELEASED].map(Cell::Whole))?;
    Ok(())
}

/// They are forgotten. SQLite gives the ids behind the last one that is left to what is posted next.
pub fn forgot_corrections(transaction: &mut Transaction<'_>) -> Result<(), StoreError> {
    const LAST: &str = "(SELECT COALESCE(MAX(id), 0) FROM adjustments)";
    let begin_behind = format!("UPDATE sinks SET last = {LAST} WHERE node = ?1 AND last > {LAST}");
    transaction.execute(&begin_behind, &[Cell::Whole(CORRECTIONS)])?;
    Ok(())
}

/// Of PostgreSQL: was anything ever sent from this ledger?
pub fn is_used(session: &mut Session) -> Result<bool, StoreError> {
    let found = session.first("SELECT 1 WHERE to_regclass('sinks') IS NOT NULL", &[])?;
    Ok(found.is_some())
}

/// Of PostgreSQL: are calls of this partition, all of which ended before `end_ms`, held for anybody? Where not, whoever misses
/// some is told, in this transaction, and they may go. `before_ms`: what ended before it may be forgotten.
pub fn let_go(session: &mut Session, partition: &str, (before_ms, end_ms): (i64, i64)) -> Result<bool, StoreError> {
    let unsent = format!("FROM {partition} c WHERE c.node = sinks.node AND c.id > sinks.last");
    let is_held = format!("SELECT 1 FROM sinks WHERE hold_ms > ?1 AND EXISTS (SELECT 1 {unsent})");
    let over_by_ms = before_ms.saturating_sub(end_ms).max(0);
    if session.first(&is_held, &[&over_by_ms])?.is_some() {
        return Ok(false);
    }
    let skip = format!(
        "UPDATE sinks SET skipped = skipped + (SELECT COUNT(*) {unsent}) WHERE hold_ms >= 0 AND EXISTS (SELECT 1 {unsent})"
    );
    session.execute(&skip, &[])?;
    Ok(true)
}

/// Of PostgreSQL: the same of the partition for calls of odd days, some of which may be forgotten. Answers what is true of
/// those, of a call `c`; `?1` is `before_ms`.
pub fn let_go_of_rest(session: &mut Session, before_ms: i64) -> Result<&'static str, StoreError> {
    const FREE: &str = "c.ended_ms < ?1 AND NOT EXISTS (SELECT 1 FROM sinks s WHERE s.node = c.node AND c.id > s.last \
         AND c.ended_ms >= ?1 - GREATEST(s.hold_ms, 0))";
    if !is_used(session)? {
        return Ok("c.ended_ms < ?1");
    }
    let skip = "UPDATE sinks SET skipped = skipped + (SELECT COUNT(*) FROM calls_rest c WHERE c.node = sinks.node \
         AND c.id > sinks.last AND c.ended_ms < ?1 - hold_ms) WHERE hold_ms >= 0";
    session.execute(skip, &[&before_ms])?;
    Ok(FREE)
}
