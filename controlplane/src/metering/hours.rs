//! Sums by the hour, over every dimension: what months are answered from, and what stays when single calls are forgotten.
//! They are committed with the records that are in them.

use std::{collections::BTreeMap, fmt::Write as _, ops::ControlFlow};

use rusqlite::{Transaction, params_from_iter};
use tollgate_config::usage_event::UsageEvent;

use super::{
    database::Database,
    ledger,
    row::{NUMBERS, Numbers, Row, TEXTS, rows},
    sinks,
};
use crate::{postgres::Cell, store::StoreError};

pub const HOUR_MS: u64 = 3_600_000;
/// Between texts of a key, and in none of them.
const BETWEEN: char = '\u{1f}';

/// By hour, and the texts with `BETWEEN` between them.
pub type Sums = BTreeMap<(u64, String), Numbers>;

/// What the records of a transaction add.
#[derive(Debug, Default)]
pub struct Hours {
    sums: Sums,
    /// The last key, which mostly is the next one's too.
    key: (u64, String),
}

impl Hours {
    pub fn add(&mut self, event: &UsageEvent<'_>) {
        for row in rows(event) {
            self.add_row(&row);
        }
    }

    fn add_row(&mut self, row: &Row<'_>) {
        let (hour_ms, key) = &mut self.key;
        *hour_ms = row.at_ms / HOUR_MS * HOUR_MS;
        key.clear();
        for text in row.texts {
            match text.contains(BETWEEN) {
                true => key.push_str(&text.replace(BETWEEN, "\u{fffd}")),
                false => key.push_str(text),
            }
            key.push(BETWEEN);
        }
        if let Some(version) = row.prices {
            // Writing to a string cannot fail.
            let _ = write!(key, "{version:016x}");
        }
        if let Some(sums) = self.sums.get_mut(&self.key) {
            return add(sums, &row.numbers);
        }
        self.sums.insert(self.key.clone(), row.numbers);
    }

    /// What was posted: its texts by `TEXTS`.
    pub fn add_posted(&mut self, at_ms: u64, texts: &[String; TEXTS.len()], numbers: &Numbers) {
        let hour_ms = at_ms / HOUR_MS * HOUR_MS;
        let texts: Vec<String> = texts.iter().map(|text| text.replace(BETWEEN, "\u{fffd}")).collect();
        let sums = self.sums.entry((hour_ms, texts.join(&BETWEEN.to_string())));
        add(sums.or_insert([0; NUMBERS.len()]), numbers);
    }

    pub fn into_sums(self) -> Sums {
        self.sums
    }
}

/// The texts of a key, by `TEXTS`.
pub fn texts_of(key: &str) -> impl Iterator<Item = &str> {
    key.split(BETWEEN)
}

/// Adds sums to those of SQLite.
pub fn write(transaction: &Transaction<'_>, sums: &Sums) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(&upsert())?;
    for ((hour_ms, texts), numbers) in sums {
        let hour = Cell::Whole(ledger::whole(*hour_ms));
        let cells = std::iter::once(hour)
            .chain(texts_of(texts).map(Cell::Text))
            .chain(numbers.iter().map(|number| Cell::Whole(*number)));
        statement.execute(params_from_iter(cells))?;
    }
    Ok(())
}

fn add(sums: &mut Numbers, numbers: &Numbers) {
    for (sum, number) in sums.iter_mut().zip(numbers) {
        *sum = sum.saturating_add(*number);
    }
}

pub fn schema() -> String {
    let texts = TEXTS.map(|name| format!("{name} TEXT NOT NULL")).join(", ");
    let numbers = NUMBERS.map(|name| format!("{name} INTEGER NOT NULL")).join(", ");
    let key = TEXTS.join(", ");
    format!(
        "CREATE TABLE IF NOT EXISTS hours (hour_ms INTEGER NOT NULL, {texts}, {numbers}, PRIMARY KEY (hour_ms, {key})) \
         WITHOUT ROWID;"
    )
}

/// Version 1 knew less of an hour.
pub fn from_version_1() -> String {
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
    let of = |name: &&str, known: &[&str], none: &str| match known.contains(name) {
        true => (*name).to_owned(),
        false => none.to_owned(),
    };
    let texts = TEXTS.iter().map(|name| of(name, &TEXTS_1, "''"));
    let numbers = NUMBERS.iter().map(|name| of(name, &NUMBERS_1, "0"));
    let columns: Vec<String> = texts.chain(numbers).collect();
    format!(
        "ALTER TABLE hours RENAME TO hours_1; {} INSERT INTO hours (hour_ms, {}, {}) SELECT hour_ms, {} FROM hours_1; \
         DROP TABLE hours_1;",
        schema(),
        TEXTS.join(", "),
        NUMBERS.join(", "),
        columns.join(", ")
    )
}

/// Forgets sums, and what was posted, of before then.
pub fn forget(ledger: &mut Database, before_ms: u64) -> Result<(), StoreError> {
    let before_ms = ledger::whole(before_ms / HOUR_MS * HOUR_MS);
    ledger.execute("DELETE FROM hours WHERE hour_ms < ?1", &[before_ms])?;
    let mut are_there = false;
    let old = "SELECT 1 FROM adjustments WHERE at_ms < ?1 LIMIT 1";
    ledger.each(old, &[before_ms], |_| {
        are_there = true;
        Ok(ControlFlow::Break(()))
    })?;
    if !are_there {
        return Ok(());
    }
    let is_sent = ledger.has_table(sinks::TABLE)?;
    let mut forgetting = ledger.begin_to_write()?;
    if is_sent {
        sinks::forget_corrections(&mut forgetting, before_ms)?;
    }
    forgetting.execute("DELETE FROM adjustments WHERE at_ms < ?1", &[Cell::Whole(before_ms)])?;
    if is_sent {
        sinks::forgot_corrections(&mut forgetting)?;
    }
    forgetting.commit()
}

fn upsert() -> String {
    let key = TEXTS.join(", ");
    let adds = NUMBERS
        .map(|name| format!("{name} = {name} + excluded.{name}"))
        .join(", ");
    let places: Vec<String> = (1..=1 + TEXTS.len() + NUMBERS.len()).map(|n| format!("?{n}")).collect();
    format!(
        "INSERT INTO hours (hour_ms, {key}, {}) VALUES ({}) ON CONFLICT (hour_ms, {key}) DO UPDATE SET {adds}",
        NUMBERS.join(", "),
        places.join(", ")
    )
}
