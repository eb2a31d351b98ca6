//! The ledger's tables, and the statements that fill them. Knows nothing of files: what a record is worth is decided when
//! it is written, and its place in the spool is noted in the same transaction.

use std::sync::LazyLock;

use rusqlite::{Connection, Transaction, params, params_from_iter};
use tollgate_config::{
    money::PicoUsd,
    usage_event::{AttemptLine, AttemptLines, Tokens, UsageEvent},
};

use super::{database, row, sinks};
use crate::{postgres::Cell, store::StoreError};

/// No call uses more: a provider may say any number, and sums must fit.
const MAX_TOKENS: u64 = 1_000_000_000_000;
/// Costs are kept in two columns, of so many pico-dollars and the rest: a sum over all calls fits in both.
pub const COST_UNIT_PICOS: u128 = 1_000_000_000;

/// Of a call, in the order of `call_cells`.
pub const CALL_COLUMNS: &str = "boot, shard, sequence, started_ms, ended_ms, request_id, key, user, team, tags, model_asked, \
     model, provider, upstream_model, surface, dialect, batch, rejected, status, ending, attempts, streamed, estimated, \
     input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, input_audio, output_audio, input_image, \
     cost_units, cost_rest, price_version, request_bytes, response_bytes, total_ns, gateway_ns, first_token_ns, \
     organization, cost_center, credential, trace, tier, requests, images, audio_ms, list_units, list_rest, hedge, resumed, \
     shadow, replayed, free, more_attempts, arm";
const CALL_CELLS: usize = 57;

/// Of an attempt, in the order of `attempt_cells`.
pub const ATTEMPT_COLUMNS: &str = "call, number, provider, upstream_model, credential, status, outcome, started_ns, took_ns, \
     estimated, moved, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, input_audio, output_audio, \
     input_image, cost_units, cost_rest, list_units, list_rest, price_version";
const ATTEMPT_CELLS: usize = 25;

static INSERT_CALL: LazyLock<String> = LazyLock::new(|| insert("calls", CALL_COLUMNS, CALL_CELLS));
static INSERT_ATTEMPT: LazyLock<String> = LazyLock::new(|| insert("attempts", ATTEMPT_COLUMNS, ATTEMPT_CELLS));

fn insert(table: &str, columns: &str, count: usize) -> String {
    let places: Vec<String> = (1..=count).map(|place| format!("?{place}")).collect();
    format!("INSERT INTO {table} ({columns}) VALUES ({})", places.join(", "))
}

/// How far the spool of a shard is in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub segment: u32,
    pub at: usize,
    pub next_sequence: u64,
    /// When its last record was made.
    pub last_ms: u64,
}

/// SQLite's integers have a sign; boots use all 64 bits.
pub fn signed(bits: u64) -> i64 {
    bits.cast_signed()
}

/// Longest times and sizes that are believed.
pub fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What a call counts for: work that was done before, and was counted before, costs nothing more.
pub fn counted<'e>(
    transaction: &mut database::Transaction<'_>,
    event: &UsageEvent<'e>,
) -> Result<UsageEvent<'e>, StoreError> {
    let is_id = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (known_by, batch) = match event.batch.split_once(' ') {
        Some(both) => both,
        None if is_id(event.batch) => (event.batch, ""),
        // Version 1 knew batches by the ids that clients have.
        None => (event.batch, event.batch),
    };
    if !known_by.is_empty() {
        transaction.alone()?;
    }
    let provider = Cell::Text(event.provider);
    let by_version_1 = !batch.is_empty()
        && batch != known_by
        && transaction.exists(
            "SELECT 1 FROM batches WHERE provider = ?1 AND id = ?2",
            &[provider, Cell::Text(batch)],
        )?;
    let counted_before = !known_by.is_empty()
        && (transaction.execute(
            "INSERT INTO batches (provider, id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            &[provider, Cell::Text(known_by)],
        )? == 0
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

/// What is kept of a call.
pub fn call_cells<'e>(event: &'e UsageEvent<'_>) -> [Cell<'e>; CALL_CELLS] {
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
    [
        signed(event.boot).into(),
        i64::from(event.shard).into(),
        whole(event.sequence).into(),
        whole(event.started_unix_ms).into(),
        whole(event.ended_unix_ms).into(),
        event.request_id.into(),
        event.key.into(),
        event.user.into(),
        event.team.into(),
        event.tags.into(),
        event.model_asked.into(),
        event.model.into(),
        event.provider.into(),
        event.upstream_model.into(),
        event.surface.into(),
        event.dialect.into(),
        event.batch.into(),
        event.rejected.into(),
        i64::from(event.status).into(),
        i64::from(event.ending as u8).into(),
        i64::from(event.attempts).into(),
        event.streamed.into(),
        event.estimated.into(),
        input.into(),
        cache_read.into(),
        cache_write_5m.into(),
        cache_write_1h.into(),
        output.into(),
        reasoning.into(),
        input_audio.into(),
        output_audio.into(),
        input_image.into(),
        cost.map(|(usd, _)| units(usd).0).into(),
        cost.map(|(usd, _)| units(usd).1).into(),
        cost.map(|(_, version)| signed(version.0)).into(),
        whole(event.request_bytes).into(),
        whole(event.response_bytes).into(),
        whole(event.total_ns).into(),
        whole(event.gateway_ns).into(),
        event.first_token_ns.map(whole).into(),
        event.organization.into(),
        event.cost_center.into(),
        event.credential.into(),
        event.trace.as_ref().map_or(Cell::Null, |trace| Cell::Bytes(trace)),
        i64::from(event.tier as u8).into(),
        whole(event.requests).into(),
        event.images.map(whole).into(),
        event.audio_ms.map(whole).into(),
        event.list.map(|usd| units(usd).0).into(),
        event.list.map(|usd| units(usd).1).into(),
        i64::from(event.hedge as u8).into(),
        i64::from(event.resumed).into(),
        event.shadow.into(),
        event.replayed.into(),
        event.free.into(),
        event.more_attempts.into(),
        event.arm.into(),
    ]
}

/// What is kept of an attempt of a call; `moved`: it is billed beside the call's own.
pub fn attempt_cells<'e>(call: i64, at: usize, line: &AttemptLine<'e>, moved: bool) -> [Cell<'e>; ATTEMPT_CELLS] {
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
    [
        call.into(),
        (at as i64 + 1).into(),
        line.provider.into(),
        line.model.into(),
        line.credential.into(),
        i64::from(line.status).into(),
        line.end.name().into(),
        whole(line.started_ns).into(),
        whole(line.took_ns).into(),
        line.estimated.into(),
        moved.into(),
        input.into(),
        cache_read.into(),
        cache_write_5m.into(),
        cache_write_1h.into(),
        output.into(),
        reasoning.into(),
        input_audio.into(),
        output_audio.into(),
        input_image.into(),
        line.cost.map(|(usd, _)| units(usd).0).into(),
        line.cost.map(|(usd, _)| units(usd).1).into(),
        line.list.map(|usd| units(usd).0).into(),
        line.list.map(|usd| units(usd).1).into(),
        line.cost.map(|(_, version)| signed(version.0)).into(),
    ]
}

/// One line per call.
pub fn insert_call(transaction: &Transaction<'_>, event: &UsageEvent<'_>) -> Result<(), StoreError> {
    transaction
        .prepare_cached(&INSERT_CALL)?
        .execute(params_from_iter(call_cells(event)))?;
    // The one attempt of most calls says nothing that the call does not.
    if event.lines.len() > 1 {
        insert_attempts(transaction, transaction.last_insert_rowid(), event)?;
    }
    Ok(())
}

fn insert_attempts(transaction: &Transaction<'_>, call: i64, event: &UsageEvent<'_>) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(&INSERT_ATTEMPT)?;
    let moved: Vec<usize> = row::moved(event).map(|(at, _)| at).collect();
    for (at, line) in event.lines.iter().enumerate() {
        statement.execute(params_from_iter(attempt_cells(call, at, &line, moved.contains(&at))))?;
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

/// Forgets single calls that ended before then, a few of them; true when there may be more. They stay in the hours' sums.
pub fn forget_calls(connection: &Connection, before_ms: u64) -> Result<bool, StoreError> {
    const AT_ONCE: usize = 5_000;
    const OLD: &str =
        "SELECT id FROM calls WHERE ended_ms < ?1 AND (id <= ?3 OR ended_ms < ?4) ORDER BY ended_ms LIMIT ?2";
    let transaction = connection.unchecked_transaction()?;
    let before_ms = whole(before_ms);
    let held = sinks::held(&transaction, before_ms)?;
    let (last, from_ms) = held.map_or((i64::MAX, before_ms), |held| (held.last, held.from_ms));
    let bounds = (before_ms, AT_ONCE as i64, last, from_ms);
    let unsent = match held {
        Some(_) => transaction.query_row(&format!("SELECT COUNT(*) FROM ({OLD}) WHERE id > ?3"), bounds, |row| {
            row.get(0)
        })?,
        None => 0,
    };
    transaction.execute(&format!("DELETE FROM attempts WHERE call IN ({OLD})"), bounds)?;
    let forgotten = transaction.execute(&format!("DELETE FROM calls WHERE id IN ({OLD})"), bounds)?;
    if let (Some(held), 1..) = (held, forgotten) {
        sinks::forgotten(&transaction, held, unsent)?;
    }
    transaction.commit()?;
    Ok(forgotten == AT_ONCE)
}
