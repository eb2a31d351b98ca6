//! Sums by the hour, over every dimension: what months are answered from, and what stays when single calls are forgotten.
//! They are committed with the records that are in them.

use std::{ops::ControlFlow, sync::LazyLock};

use hashbrown::HashMap;
use rusqlite::{Transaction, params_from_iter};
use tollgate_config::usage_event::UsageEvent;

use super::{
    database::Database,
    ledger,
    names::{NameAt, Names},
    row::{NUMBERS, Numbers, TEXTS, rows},
    sinks,
};
use crate::{postgres::Cell, store::StoreError};

pub const HOUR_MS: u64 = 3_600_000;
/// By hour, and the place of the texts.
pub type Sums = HashMap<(u64, NameAt), Numbers>;

/// What the records of a transaction add.
#[derive(Default)]
pub struct Hours {
    sums: Sums,
}

impl Hours {
    /// Adds what a call does, and answers the place of its texts.
    pub fn add(&mut self, names: &mut Names, event: &UsageEvent<'_>) -> NameAt {
        let (main, moved) = rows(event);
        for row in moved {
            let place = names.place(&row.texts, row.prices);
            self.add_at(row.at_ms, place, &row.numbers);
        }
        let place = names.place(&main.texts, main.prices);
        self.add_at(main.at_ms, place, &main.numbers);
        place
    }

    /// What was posted: its texts by `TEXTS`.
    pub fn add_posted(&mut self, names: &mut Names, at_ms: u64, texts: &[String; TEXTS.len()], numbers: &Numbers) {
        self.add_at(at_ms, names.place_posted(texts), numbers);
    }

    fn add_at(&mut self, at_ms: u64, place: NameAt, numbers: &Numbers) {
        let sums = self.sums.entry((at_ms / HOUR_MS * HOUR_MS, place));
        add(sums.or_insert([0; NUMBERS.len()]), numbers);
    }

    pub fn into_sums(self) -> Sums {
        self.sums
    }
}

/// Adds sums to those of SQLite.
pub fn write(transaction: &Transaction<'_>, names: &mut Names, sums: &Sums) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(&UPSERT)?;
    for ((hour_ms, place), numbers) in sums {
        let head = [ledger::whole(*hour_ms), names.id(transaction, *place, *hour_ms)?];
        statement.execute(params_from_iter(head.iter().chain(numbers)))?;
    }
    Ok(())
}

fn add(sums: &mut Numbers, numbers: &Numbers) {
    for (sum, number) in sums.iter_mut().zip(numbers) {
        *sum = sum.saturating_add(*number);
    }
}

/// Forgets sums, and what was posted, of before then.
pub fn forget(ledger: &mut Database, before_ms: u64) -> Result<(), StoreError> {
    let before_ms = ledger::whole(before_ms / HOUR_MS * HOUR_MS);
    ledger.forget_hours(before_ms)?;
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

static UPSERT: LazyLock<String> = LazyLock::new(|| {
    let adds = NUMBERS
        .map(|name| format!("{name} = {name} + excluded.{name}"))
        .join(", ");
    let columns = format!("hour_ms, names, {}", NUMBERS.join(", "));
    let insert = ledger::insert("hour_rows", &columns, 2 + NUMBERS.len());
    format!("{insert} ON CONFLICT (hour_ms, names) DO UPDATE SET {adds}")
});
