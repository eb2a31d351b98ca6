//! The ledger's tables, and the statements that fill them. Knows nothing of files: what a record is worth is decided when
//! it is written, and its place in the spool is noted in the same transaction.

use std::{collections::BTreeMap, path::Path};

use rusqlite::{Connection, Transaction, params};
use tollgate_config::{
    money::PicoUsd,
    usage_event::{AttemptLines, Tokens, UsageEvent},
};

use super::{row, schema};
use crate::store::{StoreError, database};

/// No call uses more: a provider may say any number, and sums must fit.
const MAX_TOKENS: u64 = 1_000_000_000_000;
/// Costs are kept in two columns, of so many pico-dollars and the rest: a sum over all calls fits in both.
pub const COST_UNIT_PICOS: u128 = 1_000_000_000;

const INSERT_CALL: &str = "INSERT INTO calls (boot, shard, sequence, started_ms, ended_ms, request_id, key, user, team, \
     tags, model_asked, model, provider, upstream_model, surface, dialect, batch, rejected, status, ending, attempts, \
     streamed, estimated, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, input_audio, \
     output_audio, input_image, cost_units, cost_rest, price_version, request_bytes, response_bytes, total_ns, \
     gateway_ns, first_token_ns, organization, cost_center, credential, trace, tier, requests, images, audio_ms, \
     list_units, list_rest, hedge, resumed, shadow, replayed, free, more_attempts, arm) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, \
     ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, \
     ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38, ?39, ?40, ?41, ?42, ?43, ?44, ?45, ?46, ?47, ?48, ?49, ?50, ?51, ?52, \
     ?53, ?54, ?55, ?56, ?57)";

const INSERT_ATTEMPT: &str = "INSERT INTO attempts (call, number, provider, upstream_model, credential, status, outcome, \
     started_ns, took_ns, estimated, moved, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, \
     input_audio, output_audio, input_image, cost_units, cost_rest, list_units, list_rest, price_version) VALUES (?1, \
     ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25)";

/// How far the spool of a shard is in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub segment: u32,
    pub at: usize,
    pub next_sequence: u64,
    /// When its last record was made.
    pub last_ms: u64,
}

/// Opens or creates the ledger. A segment is removed once its records are here, so they must be on disk by then.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    database::open_with(path, schema::VERSION, schema::migrate)
}

/// SQLite's integers have a sign; boots use all 64 bits.
fn signed(bits: u64) -> i64 {
    bits.cast_signed()
}

/// Longest times and sizes that are believed.
pub fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What a call counts for: work that was done before, and was counted before, costs nothing more.
pub fn counted<'e>(transaction: &Transaction<'_>, event: &UsageEvent<'e>) -> Result<UsageEvent<'e>, StoreError> {
    let is_id = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (known_by, batch) = match event.batch.split_once(' ') {
        Some(both) => both,
        None if is_id(event.batch) => (event.batch, ""),
        // Version 1 knew batches by the ids that clients have.
        None => (event.batch, event.batch),
    };
    let by_version_1 = !batch.is_empty()
        && batch != known_by
        && transaction
            .prepare_cached("SELECT 1 FROM batches WHERE provider = ?1 AND id = ?2")?
            .exists((event.provider, batch))?;
    let counted_before = !known_by.is_empty()
        && (transaction
            .prepare_cached("INSERT OR IGNORE INTO batches (provider, id) VALUES (?1, ?2)")?
            .execute((event.provider, known_by))?
            == 0
            || by_version_1);
    let counts = |count: Option<u64>| count.filter(|_| !counted_before);
    Ok(UsageEvent {
        tokens: believed(event.tokens).map(counts),
        cost: event.cost.filter(|_| !counted_before),
        batch,
        list: event.list.filter(|_| !counted_before),
        free: event.free || counted_before,
        lines: if counted_before {
            AttemptLines::default()
        } else {
            event.lines
        },
        ..*event
    })
}

/// One line per call.
pub fn insert_call(transaction: &Transaction<'_>, event: &UsageEvent<'_>) -> Result<(), StoreError> {
    let cost = event.cost;
    let [
        input,
        cache_read,
        cache_write_5m,
        cache_write_1h,
        output,
        reasoning,
        input_audio,
        output_audio,
        input_image,
    ] = event.tokens.map(|count| count.map(whole));
    let values = params![
        signed(event.boot),
        event.shard,
        whole(event.sequence),
        whole(event.started_unix_ms),
        whole(event.ended_unix_ms),
        event.request_id,
        event.key,
        event.user,
        event.team,
        event.tags,
        event.model_asked,
        event.model,
        event.provider,
        event.upstream_model,
        event.surface,
        event.dialect,
        event.batch,
        event.rejected,
        event.status,
        event.ending as u8,
        event.attempts,
        event.streamed,
        event.estimated,
        input,
        cache_read,
        cache_write_5m,
        cache_write_1h,
        output,
        reasoning,
        input_audio,
        output_audio,
        input_image,
        cost.map(|(usd, _)| units(usd).0),
        cost.map(|(usd, _)| units(usd).1),
        cost.map(|(_, version)| signed(version.0)),
        whole(event.request_bytes),
        whole(event.response_bytes),
        whole(event.total_ns),
        whole(event.gateway_ns),
        event.first_token_ns.map(whole),
        event.organization,
        event.cost_center,
        event.credential,
        event.trace,
        event.tier as u8,
        whole(event.requests),
        event.images.map(whole),
        event.audio_ms.map(whole),
        event.list.map(|usd| units(usd).0),
        event.list.map(|usd| units(usd).1),
        event.hedge as u8,
        event.resumed,
        event.shadow,
        event.replayed,
        event.free,
        event.more_attempts,
        event.arm,
    ];
    transaction.prepare_cached(INSERT_CALL)?.execute(values)?;
    // The one attempt of most calls says nothing that the call does not.
    if event.lines.len() > 1 {
        insert_attempts(transaction, transaction.last_insert_rowid(), event)?;
    }
    Ok(())
}

fn insert_attempts(transaction: &Transaction<'_>, call: i64, event: &UsageEvent<'_>) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(INSERT_ATTEMPT)?;
    let moved: Vec<usize> = row::moved(event).map(|(at, _)| at).collect();
    for (number, line) in event.lines.iter().enumerate() {
        let [
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
            reasoning,
            input_audio,
            output_audio,
            input_image,
        ] = believed(line.tokens).map(|count| count.map(whole));
        statement.execute(params![
            call,
            number as i64 + 1,
            line.provider,
            line.model,
            line.credential,
            line.status,
            line.end.name(),
            whole(line.started_ns),
            whole(line.took_ns),
            line.estimated,
            moved.contains(&number),
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
            reasoning,
            input_audio,
            output_audio,
            input_image,
            line.cost.map(|(usd, _)| units(usd).0),
            line.cost.map(|(usd, _)| units(usd).1),
            line.list.map(|usd| units(usd).0),
            line.list.map(|usd| units(usd).1),
            line.cost.map(|(_, version)| signed(version.0)),
        ])?;
    }
    Ok(())
}

/// No provider is believed to have used more.
pub fn believed(tokens: Tokens) -> Tokens {
    tokens.map(|count| count.map(|count| count.min(MAX_TOKENS)))
}

/// A sum in the two columns of a cost.
pub fn units(usd: PicoUsd) -> (i64, i64) {
    /// Four quadrillion dollars.
    const MAX_UNITS: u128 = 1 << 62;
    let units = (usd.0 / COST_UNIT_PICOS).min(MAX_UNITS);
    (units as i64, (usd.0 % COST_UNIT_PICOS) as i64)
}

pub fn insert_open(
    transaction: &Transaction<'_>,
    boot: u64,
    shard: u16,
    sequence: u64,
    frame: &[u8],
) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO open_calls (boot, shard, sequence, frame) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![signed(boot), shard, whole(sequence), frame])?;
    Ok(())
}

/// Takes a call out of those that are open, and answers its opening record.
pub fn take_open(
    transaction: &Transaction<'_>,
    boot: u64,
    shard: u16,
    sequence: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    let mut taken = transaction
        .prepare_cached("DELETE FROM open_calls WHERE boot = ?1 AND shard = ?2 AND sequence = ?3 RETURNING frame")?;
    let mut rows = taken.query(params![signed(boot), shard, whole(sequence)])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?)
}

/// Opening records of a shard of a boot, a few at a time.
pub fn some_open(transaction: &Transaction<'_>, boot: u64, shard: u16) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    const AT_ONCE: u32 = 1_000;
    let mut statement =
        transaction.prepare_cached("SELECT sequence, frame FROM open_calls WHERE boot = ?1 AND shard = ?2 LIMIT ?3")?;
    let rows = statement.query_map(params![signed(boot), shard, AT_ONCE], |row| {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub fn set_mark(transaction: &Transaction<'_>, boot: u64, shard: u16, mark: Mark) -> Result<(), StoreError> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO marks (boot, shard, segment, at, next_sequence, last_ms) VALUES (?1, ?2, ?3, ?4, \
             ?5, ?6)",
        )?
        .execute(params![
            signed(boot),
            shard,
            mark.segment,
            mark.at as i64,
            whole(mark.next_sequence),
            whole(mark.last_ms)
        ])?;
    Ok(())
}

/// Of each boot and shard.
pub fn marks(connection: &Connection) -> Result<BTreeMap<(u64, u16), Mark>, StoreError> {
    let mut statement = connection.prepare("SELECT boot, shard, segment, at, next_sequence, last_ms FROM marks")?;
    let rows = statement.query_map([], |row| {
        let mark = Mark {
            segment: row.get(2)?,
            at: row.get::<_, i64>(3)?.cast_unsigned() as usize,
            next_sequence: row.get::<_, i64>(4)?.cast_unsigned(),
            last_ms: row.get::<_, i64>(5)?.cast_unsigned(),
        };
        Ok(((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?), mark))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Forgets single calls that ended before then, a few of them; true when there may be more. They stay in the hours' sums.
pub fn forget_calls(connection: &Connection, before_ms: u64) -> Result<bool, StoreError> {
    const AT_ONCE: usize = 5_000;
    const OLD: &str = "SELECT id FROM calls WHERE ended_ms < ?1 ORDER BY ended_ms LIMIT ?2";
    let bounds = (whole(before_ms), AT_ONCE as i64);
    let transaction = connection.unchecked_transaction()?;
    transaction.execute(&format!("DELETE FROM attempts WHERE call IN ({OLD})"), bounds)?;
    let forgotten = transaction.execute(&format!("DELETE FROM calls WHERE id IN ({OLD})"), bounds)?;
    transaction.commit()?;
    Ok(forgotten == AT_ONCE)
}

/// A boot of which no file is left needs none.
pub fn forget_boot(connection: &Connection, boot: u64) -> Result<(), StoreError> {
    connection.execute("DELETE FROM marks WHERE boot = ?1", [signed(boot)])?;
    Ok(())
}
