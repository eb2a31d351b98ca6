//! Sums by the hour, over every dimension: what months are answered from, and what stays when single calls are forgotten.
//! They are committed with the calls that are in them.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params_from_iter, types::Value as Cell};
use tollgate_config::usage_event::{Ending, UsageEvent};

use super::ledger;
use crate::store::StoreError;

pub const HOUR_MS: u64 = 3_600_000;

/// The texts by which sums are kept apart.
pub const TEXTS: [&str; 7] = ["team", "user", "key", "model", "provider", "upstream_model", "tags"];

/// Sums of each hour, and how they are made of a call. A call is answered when its client got an answer of success,
/// whatever became of its end.
pub const NUMBERS: [(&str, &str); 16] = [
    // What a list has shown the end of is a batch, and no call.
    (
        "requests",
        "status BETWEEN 200 AND 299 AND ending <> 3 AND (attempts > 0 OR batch = '')",
    ),
    ("failed", "status NOT BETWEEN 200 AND 299 AND ending <> 3"),
    ("crashed", "ending = 3"),
    ("attempts", "attempts"),
    (
        "input_tokens",
        "IFNULL(input, 0) + IFNULL(cache_read, 0) + IFNULL(cache_write_5m, 0) + IFNULL(cache_write_1h, 0) + \
         IFNULL(input_audio, 0) + IFNULL(input_image, 0)",
    ),
    (
        "output_tokens",
        "IFNULL(output, 0) + IFNULL(reasoning, 0) + IFNULL(output_audio, 0)",
    ),
    ("cache_read_tokens", "IFNULL(cache_read, 0)"),
    ("cache_write_5m_tokens", "IFNULL(cache_write_5m, 0)"),
    ("cache_write_1h_tokens", "IFNULL(cache_write_1h, 0)"),
    ("reasoning_tokens", "IFNULL(reasoning, 0)"),
    ("input_audio_tokens", "IFNULL(input_audio, 0)"),
    ("output_audio_tokens", "IFNULL(output_audio, 0)"),
    ("input_image_tokens", "IFNULL(input_image, 0)"),
    ("estimated", "estimated"),
    ("cost_units", "IFNULL(cost_units, 0)"),
    ("cost_rest", "IFNULL(cost_rest, 0)"),
];
const _: () = assert!(Ending::Crashed as u8 == 3, "as the sums above say");

/// An hour, and the texts.
type Key = (u64, [String; TEXTS.len()]);

/// What the calls of a transaction add.
#[derive(Debug, Default)]
pub struct Hours {
    sums: BTreeMap<Key, [i64; NUMBERS.len()]>,
}

impl Hours {
    pub fn add(&mut self, event: &UsageEvent<'_>) {
        let hour_ms = event.ended_unix_ms / HOUR_MS * HOUR_MS;
        let texts = [
            event.team,
            event.user,
            event.key,
            event.model,
            event.provider,
            event.upstream_model,
            event.tags,
        ];
        let sums = self.sums.entry((hour_ms, texts.map(str::to_owned)));
        for (sum, number) in sums.or_default().iter_mut().zip(numbers(event)) {
            *sum = sum.saturating_add(number);
        }
    }

    pub fn write(self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let mut statement = transaction.prepare_cached(&upsert())?;
        for ((hour_ms, texts), sums) in self.sums {
            let hour = Cell::Integer(ledger::whole(hour_ms));
            let cells = texts.into_iter().map(Cell::Text);
            let cells = std::iter::once(hour)
                .chain(cells)
                .chain(sums.into_iter().map(Cell::Integer));
            statement.execute(params_from_iter(cells))?;
        }
        Ok(())
    }
}

/// As `NUMBERS` makes them of a row.
fn numbers(event: &UsageEvent<'_>) -> [i64; NUMBERS.len()] {
    let crashed = event.ending == Ending::Crashed;
    let succeeded = (200..300).contains(&event.status);
    let is_call = event.attempts > 0 || event.batch.is_empty();
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
    ] = event.tokens.map(|count| ledger::whole(count.unwrap_or(0)));
    let (cost_units, cost_rest) = event.cost.map_or((0, 0), |(usd, _)| ledger::units(usd));
    [
        i64::from(succeeded && !crashed && is_call),
        i64::from(!succeeded && !crashed),
        i64::from(crashed),
        i64::from(event.attempts),
        input + cache_read + cache_write_5m + cache_write_1h + input_audio + input_image,
        output + reasoning + output_audio,
        cache_read,
        cache_write_5m,
        cache_write_1h,
        reasoning,
        input_audio,
        output_audio,
        input_image,
        i64::from(event.estimated),
        cost_units,
        cost_rest,
    ]
}

pub fn schema() -> String {
    let texts = TEXTS.map(|name| format!("{name} TEXT NOT NULL")).join(", ");
    let numbers = NUMBERS.map(|(name, _)| format!("{name} INTEGER NOT NULL")).join(", ");
    let key = TEXTS.join(", ");
    format!(
        "CREATE TABLE IF NOT EXISTS hours (hour_ms INTEGER NOT NULL, {texts}, {numbers}, PRIMARY KEY (hour_ms, {key})) \
         WITHOUT ROWID;"
    )
}

fn upsert() -> String {
    let key = TEXTS.join(", ");
    let names = NUMBERS.map(|(name, _)| name);
    let adds = names
        .map(|name| format!("{name} = {name} + excluded.{name}"))
        .join(", ");
    let places: Vec<String> = (1..=1 + TEXTS.len() + names.len()).map(|n| format!("?{n}")).collect();
    format!(
        "INSERT INTO hours (hour_ms, {key}, {}) VALUES ({}) ON CONFLICT (hour_ms, {key}) DO UPDATE SET {adds}",
        names.join(", "),
        places.join(", ")
    )
}
