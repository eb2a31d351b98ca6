//! A call of the ledger as the topic has it: one JSON object, whose names and sums are those of `GET /v1/usage`. What is
//! there is not renamed; what comes is added; `VERSION` changes when either cannot be.

use std::{collections::BTreeMap, ops::ControlFlow};

use serde_json::{Map, Value, json};
use tollgate_config::{prices::ServiceTier, usage_event::TOKEN_CLASSES};

use super::{
    super::{
        database::{Database, Row},
        money::Picos,
        row::{self, NUMBERS, SHOWN, TEXTS},
    },
    records::Record,
};
use crate::{store::StoreError, time};

pub const VERSION: &str = "1";
/// Calls of one reading.
const CALLS_AT_ONCE: i64 = 500;
/// Of one reading, without the attempts of its calls.
const READ_BYTES: usize = 512 * 1024;

/// Of a call, before the texts and the sums.
const HEAD: [&str; 21] = [
    "id",
    "boot",
    "shard",
    "sequence",
    "started_ms",
    "ended_ms",
    "request_id",
    "batch",
    "rejected",
    "status",
    "ending",
    "streamed",
    "tier",
    "free",
    "hedge",
    "resumed",
    "total_ns",
    "gateway_ns",
    "first_token_ns",
    "price_version",
    "trace",
];
/// `TEXTS` without what it is an entry of, and its prices.
pub(super) const OF_CALL: &[&str] = TEXTS.split_at(TEXTS.len() - 2).0;
/// A single call is no adjustment.
const ADJUSTMENTS: &str = "adjustments";
const ENDINGS: [&str; 4] = ["complete", "client_gone", "cut", "crashed"];
const HEDGES: [&str; 5] = ["none", "won", "lost", "failed", "over_budget"];

/// Of one reading, the oldest first.
#[derive(Debug, Default)]
pub struct Calls {
    pub records: Vec<Record>,
    /// Of the last of them.
    pub last: i64,
    /// When the first ended.
    pub oldest_ms: Option<u64>,
    /// There are more.
    pub more: bool,
}

/// Calls behind `after`.
pub fn read(ledger: &mut Database, after: i64) -> Result<Calls, StoreError> {
    let (own, node) = match ledger.is_shared() {
        true => (" AND c.node = ?3", Some(ledger.node())),
        false => ("", None),
    };
    let columns: Vec<String> = HEAD.iter().chain(OF_CALL).map(|name| format!("c.{name}")).collect();
    let sql = format!(
        "SELECT {}, {} FROM calls c WHERE c.id > ?1{own} ORDER BY c.id LIMIT ?2",
        columns.join(", "),
        row::numbers_of_calls()
    );
    let mut calls = Calls {
        last: after,
        ..Calls::default()
    };
    let mut found: BTreeMap<i64, (Record, Map<String, Value>)> = BTreeMap::new();
    let mut bytes = 0;
    let values: Vec<i64> = [after, CALLS_AT_ONCE].into_iter().chain(node).collect();
    ledger.each(&sql, &values, |row| {
        if bytes > READ_BYTES {
            calls.more = true;
            return Ok(ControlFlow::Break(()));
        }
        let id = row.get(0)?;
        let ended_ms = row.get::<i64>(5)?;
        calls.oldest_ms = calls.oldest_ms.or(u64::try_from(ended_ms).ok());
        calls.last = id;
        let (name, members) = call(row)?;
        bytes += members
            .iter()
            .map(|(name, value)| name.len() + 8 + value.to_string().len())
            .sum::<usize>();
        let record = Record {
            id: name,
            at_ms: ended_ms,
            value: Vec::new(),
        };
        found.insert(id, (record, members));
        Ok(ControlFlow::Continue(()))
    })?;
    calls.more |= found.len() as i64 == CALLS_AT_ONCE;
    let attempts = attempts(ledger, after, calls.last, &found)?;
    for (id, (mut record, mut members)) in found {
        let lines = attempts.get(&id).cloned().unwrap_or_default();
        members.insert("attempt_lines".to_owned(), Value::Array(lines));
        record.value = serde_json::to_vec(&members)?;
        calls.records.push(record);
    }
    Ok(calls)
}

fn call(row: &Row<'_>) -> Result<(String, Map<String, Value>), StoreError> {
    let number = |at: usize| row.get::<i64>(at);
    let text = |at: usize| row.get::<String>(at);
    let word = |names: &[&str], at: usize| -> Result<Value, StoreError> {
        let number = usize::try_from(number(at)?).ok();
        Ok(json!(number.and_then(|number| names.get(number))))
    };
    let id = format!("{:016x}-{}-{}", number(1)?, number(2)?, number(3)?);
    let tiers = ServiceTier::ALL.map(ServiceTier::name);
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("version", json!(1));
    put("id", json!(id));
    put("started_at", json!(at(number(4)?)));
    put("ended_at", json!(at(number(5)?)));
    for (name, place) in [("request_id", 6), ("batch", 7), ("rejected", 8)] {
        put(name, json!(text(place)?));
    }
    put("status", json!(number(9)?));
    put("ending", word(&ENDINGS, 10)?);
    put("streamed", json!(number(11)? != 0));
    put("tier", word(&tiers, 12)?);
    put("free", json!(number(13)? != 0));
    put("hedge", word(&HEDGES, 14)?);
    put("resumed", json!(number(15)?));
    put("total_ns", json!(number(16)?));
    put("gateway_ns", json!(number(17)?));
    put("first_token_ns", json!(row.get::<Option<i64>>(18)?));
    put("price_version", json!(row.get::<Option<i64>>(19)?.map(version)));
    put("trace", json!(row.get::<Option<Vec<u8>>>(20)?.map(|bytes| hex(&bytes))));
    put_sums(&mut members, row, HEAD.len())?;
    Ok((id, members))
}

/// By what sums are kept apart, and what they are, from a column on.
pub(super) fn put_sums(members: &mut Map<String, Value>, row: &Row<'_>, from: usize) -> Result<(), StoreError> {
    let number = |at: usize| row.get::<i64>(at);
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    for (place, name) in OF_CALL.iter().enumerate() {
        put(name, json!(row.get::<String>(from + place)?));
    }
    let numbers = from + OF_CALL.len();
    for (place, name) in NUMBERS[..SHOWN].iter().enumerate() {
        if *name != ADJUSTMENTS {
            put(name, json!(number(numbers + place)?));
        }
    }
    let money = |place: usize| -> Result<Value, StoreError> {
        Ok(json!(Picos::of_units(number(place)?, number(place + 1)?).to_string()))
    };
    put("cost_usd", money(numbers + SHOWN)?);
    put("list_cost_usd", money(numbers + SHOWN + 2)?);
    Ok(())
}

/// Of calls that took more than one.
fn attempts(
    ledger: &mut Database,
    after: i64,
    last: i64,
    found: &BTreeMap<i64, (Record, Map<String, Value>)>,
) -> Result<BTreeMap<i64, Vec<Value>>, StoreError> {
    const TEXTS: [&str; 4] = ["provider", "upstream_model", "credential", "outcome"];
    const NUMBERS: [&str; 4] = ["number", "status", "started_ns", "took_ns"];
    const MONEY: [&str; 4] = ["cost_units", "cost_rest", "list_units", "list_rest"];
    let mut lines: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
    if found.is_empty() {
        return Ok(lines);
    }
    let all = ["call"]
        .iter()
        .chain(&TEXTS)
        .chain(&NUMBERS)
        .chain(&["estimated", "moved"]);
    let all = all.chain(&TOKEN_CLASSES).chain(&MONEY).chain(&["price_version"]);
    let columns: Vec<String> = all.map(|name| format!("a.{name}")).collect();
    let (own, node) = match ledger.is_shared() {
        true => (" AND c.node = ?3", Some(ledger.node())),
        false => ("", None),
    };
    let sql = format!(
        "SELECT {} FROM attempts a JOIN calls c ON c.id = a.call WHERE c.id > ?1 AND c.id <= ?2{own} ORDER BY a.call, a.number",
        columns.join(", ")
    );
    let values: Vec<i64> = [after, last].into_iter().chain(node).collect();
    ledger.each(&sql, &values, |row| {
        let mut line = Map::new();
        let mut at = 1;
        for name in TEXTS {
            line.insert(name.to_owned(), json!(row.get::<String>(at)?));
            at += 1;
        }
        for name in NUMBERS {
            line.insert(name.to_owned(), json!(row.get::<i64>(at)?));
            at += 1;
        }
        for name in ["estimated", "moved"] {
            line.insert(name.to_owned(), json!(row.get::<i64>(at)? != 0));
            at += 1;
        }
        for class in TOKEN_CLASSES {
            line.insert(format!("{class}_tokens"), json!(row.get::<Option<i64>>(at)?));
            at += 1;
        }
        for name in ["cost_usd", "list_cost_usd"] {
            let (units, rest): (Option<i64>, Option<i64>) = (row.get(at)?, row.get(at + 1)?);
            let usd = units
                .zip(rest)
                .map(|(units, rest)| Picos::of_units(units, rest).to_string());
            line.insert(name.to_owned(), json!(usd));
            at += 2;
        }
        line.insert(
            "price_version".to_owned(),
            json!(row.get::<Option<i64>>(at)?.map(version)),
        );
        lines.entry(row.get(0)?).or_default().push(Value::Object(line));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(lines)
}

fn version(bits: i64) -> String {
    format!("{bits:016x}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `2026-11-24T17:54:08.123Z`
pub(super) fn at(unix_ms: i64) -> String {
    let unix_ms = u64::try_from(unix_ms).unwrap_or(0);
    let whole = time::rfc3339(unix_ms / 1000);
    format!("{}.{:03}Z", whole.trim_end_matches('Z'), unix_ms % 1000)
}
