//! What a ledger of versions 1 and 2 has, in the tables of this one. Its calls had a column for each text, and so had its
//! sums by the hour.

use rusqlite::{Transaction, params_from_iter};

use super::{CALL_TEXTS, NUMBERS, OWN, TEXTS, TRAITS};
use crate::{
    metering::{
        ledger,
        names::{digest_of_texts, digest_of_traits},
    },
    postgres::Cell,
    store::StoreError,
};

/// Version 1 knew less of an hour.
const TEXTS_1: [&str; 7] = ["team", "user", "key", "model", "provider", "upstream_model", "tags"];
const NUMBERS_1: [&str; 16] = [
    "requests",
    "failed",
    "crashed",
    "attempts",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "estimated",
    "cost_units",
    "cost_rest",
];

/// Fills the tables, which have been made, and takes the former ones away.
pub fn carry(transaction: &Transaction<'_>, found: i64) -> Result<(), StoreError> {
    if found > 1 {
        // A version that has posted corrections knows no cache of theirs.
        transaction
            .execute_batch("DROP VIEW billed; ALTER TABLE adjustments ADD COLUMN cache TEXT NOT NULL DEFAULT '';")?;
    }
    let (of_hours, of_calls) = (hour_texts(found), call_texts());
    carry_names(transaction, &of_hours, &of_calls)?;
    carry_hours(transaction, found, &of_hours)?;
    carry_traits(transaction, &of_calls)?;
    let same_traits = TRAITS.map(|name| format!("t.{name} IS c.{name}")).join(" AND ");
    transaction.execute_batch(&format!(
        "INSERT INTO call_rows (id, traits, {}) SELECT c.id, t.id, {} FROM calls c CROSS JOIN names n ON {} \
         CROSS JOIN call_traits t ON t.names = n.id AND {same_traits};
         DROP INDEX traits_by_all; DROP INDEX names_by_text; DROP TABLE hours; DROP TABLE calls;",
        OWN.join(", "),
        list("c", &OWN),
        same("n", &of_calls),
    ))?;
    Ok(())
}

/// One by one: SQLite makes no digests.
fn carry_names(transaction: &Transaction<'_>, of_hours: &[String], of_calls: &[String]) -> Result<(), StoreError> {
    let texts = TEXTS.join(", ");
    let mut sets = transaction.prepare(&format!(
        "SELECT MAX(at_ms), {texts} FROM (SELECT hour_ms AS at_ms, {} FROM hours h UNION ALL \
         SELECT ended_ms / 3600000 * 3600000, {} FROM calls c) GROUP BY {texts}",
        named(of_hours),
        of_calls.join(", "),
    ))?;
    let columns = format!("digest, seen_ms, {texts}");
    let mut insert = transaction.prepare(&ledger::insert("names", &columns, 2 + TEXTS.len()))?;
    let mut rows = sets.query([])?;
    while let Some(row) = rows.next()? {
        let seen = Cell::Whole(row.get(0)?);
        let mut texts: [String; TEXTS.len()] = Default::default();
        for (at, text) in texts.iter_mut().enumerate() {
            *text = row.get(1 + at)?;
        }
        let texts = texts.each_ref().map(String::as_str);
        let digest = digest_of_texts(&texts);
        let cells = [Cell::Bytes(&digest), seen].into_iter().chain(texts.map(Cell::Text));
        insert.execute(params_from_iter(cells))?;
    }
    transaction.execute_batch(&format!("CREATE UNIQUE INDEX names_by_text ON names ({texts});"))?;
    Ok(())
}

fn carry_hours(transaction: &Transaction<'_>, found: i64, of_hours: &[String]) -> Result<(), StoreError> {
    let numbers = NUMBERS.map(|name| match found == 1 && !NUMBERS_1.contains(&name) {
        true => "0".to_owned(),
        false => format!("h.{name}"),
    });
    transaction.execute_batch(&format!(
        "INSERT INTO hour_rows (hour_ms, names, {}) SELECT h.hour_ms, n.id, {} FROM hours h CROSS JOIN names n ON {};",
        NUMBERS.join(", "),
        numbers.join(", "),
        same("n", of_hours),
    ))?;
    Ok(())
}

fn carry_traits(transaction: &Transaction<'_>, of_calls: &[String]) -> Result<(), StoreError> {
    let traits = TRAITS.join(", ");
    let of_c = list("c", &TRAITS);
    let mut sets = transaction.prepare(&format!(
        "SELECT MAX(c.ended_ms) / 3600000 * 3600000, n.id, {of_c} FROM calls c CROSS JOIN names n ON {} \
         GROUP BY n.id, {of_c}",
        same("n", of_calls),
    ))?;
    let columns = format!("digest, seen_ms, names, {traits}");
    let mut insert = transaction.prepare(&ledger::insert("call_traits", &columns, 3 + TRAITS.len()))?;
    let mut rows = sets.query([])?;
    while let Some(row) = rows.next()? {
        let (seen_ms, names) = (row.get(0)?, row.get(1)?);
        let mut traits = [None; TRAITS.len()];
        for (at, value) in traits.iter_mut().enumerate() {
            *value = row.get(2 + at)?;
        }
        let digest = digest_of_traits(names, &traits);
        let head = [Cell::Bytes(&digest), Cell::Whole(seen_ms), Cell::Whole(names)];
        insert.execute(params_from_iter(head.into_iter().chain(traits.map(Cell::from))))?;
    }
    transaction.execute_batch(&format!(
        "CREATE UNIQUE INDEX traits_by_all ON call_traits (names, {traits});"
    ))?;
    Ok(())
}

fn same(of: &str, values: &[String]) -> String {
    let pairs = TEXTS
        .iter()
        .zip(values)
        .map(|(name, value)| format!("{of}.{name} = {value}"));
    pairs.collect::<Vec<_>>().join(" AND ")
}

fn list(of: &str, columns: &[&str]) -> String {
    let columns = columns.iter().map(|name| format!("{of}.{name}"));
    columns.collect::<Vec<_>>().join(", ")
}

/// Of a row of hours, by `TEXTS`.
fn hour_texts(found: i64) -> Vec<String> {
    let text = |name: &str| match name {
        "cache" => "''".to_owned(),
        name if found == 1 && !TEXTS_1.contains(&name) => "''".to_owned(),
        name => format!("h.{name}"),
    };
    TEXTS.map(text).to_vec()
}

/// Of a row of calls, by `TEXTS`.
fn call_texts() -> Vec<String> {
    let text = |name: &str| match name {
        "cache" | "entry" => "''".to_owned(),
        "price_version" => {
            "CASE WHEN c.price_version IS NULL THEN '' ELSE printf('%016x', c.price_version) END".to_owned()
        }
        name if CALL_TEXTS.contains(&name) => format!("c.{name}"),
        name => unreachable!("a call has no {name}"),
    };
    TEXTS.map(text).to_vec()
}

fn named(values: &[String]) -> String {
    let pairs = values
        .iter()
        .zip(TEXTS)
        .map(|(value, name)| format!("{value} AS {name}"));
    pairs.collect::<Vec<_>>().join(", ")
}
