//! The ledger's tables, and the statements that fill them. Knows nothing of files: what a record is worth is decided when
//! it is written, and its place in the spool is noted in the same transaction.

use std::sync::LazyLock;

use rusqlite::{Connection, Transaction, params, params_from_iter};
use tollgate_config::{
    money::PicoUsd,
    usage_event::{AttemptLine, AttemptLines, Tokens, UsageEvent},
};

use super::{
    database,
    hours::HOUR_MS,
    names::{NameAt, Names},
    row, sinks,
};
use crate::{postgres::Cell, store::StoreError};

/// No call uses more: a provider may say any number, and sums must fit.
const MAX_TOKENS: u64 = 1_000_000_000_000;
/// Costs are kept in two columns, of so many pico-dollars and the rest: a sum over all calls fits in both.
pub const COST_UNIT_PICOS: u128 = 1_000_000_000;

/// What is a call's own, in the order of `own_cells`.
pub const OWN: [&str; 27] = [
    "sequence",
    "started_ms",
    "ended_ms",
    "request_id",
    "batch",
    "rejected",
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
    "request_bytes",
    "response_bytes",
    "total_ns",
    "gateway_ns",
    "first_token_ns",
    "images",
    "audio_ms",
    "trace",
];
/// What it shares with many, in the order of `traits`; beside the texts by which sums are kept apart.
pub const TRAITS: [&str; 16] = [
    "boot",
    "shard",
    "status",
    "ending",
    "attempts",
    "streamed",
    "estimated",
    "price_version",
    "tier",
    "requests",
    "hedge",
    "resumed",
    "shadow",
    "replayed",
    "free",
    "more_attempts",
];
/// Its texts of `TEXTS`: a call is no entry.
pub const CALL_TEXTS: &[&str] = row::TEXTS.split_at(row::ENTRY).0;

/// All of them.
pub static CALL_COLUMNS: LazyLock<String> = LazyLock::new(|| [&OWN[..], &TRAITS, CALL_TEXTS].concat().join(", "));

/// Of an attempt, in the order of `attempt_cells`.
pub const ATTEMPT_COLUMNS: &str = "call, number, provider, upstream_model, credential, status, outcome, started_ns, took_ns, \
     estimated, moved, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, input_audio, output_audio, \
     input_image, cost_units, cost_rest, list_units, list_rest, price_version";
const ATTEMPT_CELLS: usize = 25;

static INSERT_CALL: LazyLock<String> =
    LazyLock::new(|| insert("call_rows", &format!("traits, {}", OWN.join(", ")), 1 + OWN.len()));
static INSERT_ATTEMPT: LazyLock<String> = LazyLock::new(|| insert("attempts", ATTEMPT_COLUMNS, ATTEMPT_CELLS));

pub fn insert(table: &str, columns: &str, count: usize) -> String {
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

/// What is kept of a call, by `CALL_COLUMNS`.
pub fn call_cells<'e>(event: &'e UsageEvent<'_>) -> impl Iterator<Item = Cell<'e>> {
    let texts = row::texts(event).into_iter().take(CALL_TEXTS.len());
    own_cells(event)
        .into_iter()
        .chain(traits(event).map(Cell::from))
        .chain(texts.map(Cell::from))
}

pub fn own_cells<'e>(event: &'e UsageEvent<'_>) -> [Cell<'e>; OWN.len()] {
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
    let (cost, list) = (event.cost.map(|(usd, _)| units(usd)), event.list.map(units));
    [
        whole(event.sequence).into(),
        whole(event.started_unix_ms).into(),
        whole(event.ended_unix_ms).into(),
        event.request_id.into(),
        event.batch.into(),
        event.rejected.into(),
        input.into(),
        cache_read.into(),
        cache_write_5m.into(),
        cache_write_1h.into(),
        output.into(),
        reasoning.into(),
        input_audio.into(),
        output_audio.into(),
        input_image.into(),
        cost.map(|(units, _)| units).into(),
        cost.map(|(_, rest)| rest).into(),
        list.map(|(units, _)| units).into(),
        list.map(|(_, rest)| rest).into(),
        whole(event.request_bytes).into(),
        whole(event.response_bytes).into(),
        whole(event.total_ns).into(),
        whole(event.gateway_ns).into(),
        event.first_token_ns.map(whole).into(),
        event.images.map(whole).into(),
        event.audio_ms.map(whole).into(),
        event.trace.as_ref().map_or(Cell::Null, |trace| Cell::Bytes(trace)),
    ]
}

/// By `TRAITS`.
pub fn traits(event: &UsageEvent<'_>) -> [Option<i64>; TRAITS.len()] {
    let mut traits = [
        signed(event.boot),
        i64::from(event.shard),
        i64::from(event.status),
        i64::from(event.ending as u8),
        i64::from(event.attempts),
        i64::from(event.streamed),
        i64::from(event.estimated),
        0,
        i64::from(event.tier as u8),
        whole(event.requests),
        i64::from(event.hedge as u8),
        i64::from(event.resumed),
        i64::from(event.shadow),
        i64::from(event.replayed),
        i64::from(event.free),
        i64::from(event.more_attempts),
    ]
    .map(Some);
    traits[PRICES] = event.cost.map(|(_, version)| signed(version.0));
    traits
}
/// The place of the version of prices among `TRAITS`.
const PRICES: usize = 7;

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

/// One row per call, and what it shares with others by its number.
pub fn insert_call(
    transaction: &Transaction<'_>,
    names: &mut Names,
    place: NameAt,
    event: &UsageEvent<'_>,
) -> Result<(), StoreError> {
    let traits = names.of_call(transaction, place, event)?;
    let mut cells = own_cells(event);
    let id = event.request_id.as_bytes().try_into().ok().and_then(bytes_of);
    if let Some(id) = &id {
        cells[REQUEST_ID] = Cell::Bytes(id);
    }
    transaction
        .prepare_cached(&INSERT_CALL)?
        .execute(params_from_iter([Cell::Whole(traits)].into_iter().chain(cells)))?;
    // The one attempt of most calls says nothing that the call does not.
    if event.lines.len() > 1 {
        insert_attempts(transaction, transaction.last_insert_rowid(), event)?;
    }
    Ok(())
}
/// The place of the request's id among `OWN`.
const REQUEST_ID: usize = 3;

/// Of 32 lower hexadecimal digits, as the gateway makes ids, half as many bytes say the same.
fn bytes_of(digits: &[u8; 32]) -> Option<[u8; 16]> {
    let half = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = half(pair[0])? << 4 | half(pair[1])?;
    }
    Some(bytes)
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
        "SELECT id FROM call_rows WHERE ended_ms < ?1 AND (id <= ?3 OR ended_ms < ?4) ORDER BY ended_ms LIMIT ?2";
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
    let forgotten = transaction.execute(&format!("DELETE FROM call_rows WHERE id IN ({OLD})"), bounds)?;
    if let (Some(held), 1..) = (held, forgotten) {
        sinks::forgotten(&transaction, held, unsent)?;
    }
    transaction.commit()?;
    Ok(forgotten == AT_ONCE)
}

/// Forgets what calls and sums had in common that are all gone. Each is kept as long as anything of the hour that last had
/// use of it.
pub fn forget_names(connection: &Connection) -> Result<(), StoreError> {
    const NEVER: i64 = i64::MAX;
    let oldest_call = format!("(SELECT IFNULL(MIN(ended_ms), {NEVER}) / {HOUR_MS} * {HOUR_MS} FROM call_rows)");
    let oldest_sum = format!("(SELECT IFNULL(MIN(hour_ms), {NEVER}) FROM hour_rows)");
    let transaction = connection.unchecked_transaction()?;
    transaction.execute(&format!("DELETE FROM call_traits WHERE seen_ms < {oldest_call}"), [])?;
    transaction.execute(
        &format!("DELETE FROM names WHERE seen_ms < MIN({oldest_call}, {oldest_sum})"),
        [],
    )?;
    transaction.commit()?;
    Ok(())
}
