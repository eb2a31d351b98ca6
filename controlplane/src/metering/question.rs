//! What is asked of the ledger: sums over a span of time, by any of its dimensions.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, types::Value as Cell};
use serde_json::{Map, Value, json};
use tollgate_config::money::PicoUsd;

use super::{
    hours::{HOUR_MS, NUMBERS, TEXTS},
    ledger::{self, COST_UNIT_PICOS},
};
use crate::{store::StoreError, time::rfc3339};

/// Rows of an answer; a question that has more is refused.
pub const MAX_ROWS: usize = 100_000;
const MAX_DIMENSIONS: usize = 8;

/// By what sums are kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// A column of the calls.
    Column(&'static str),
    /// The value of a tag.
    Tag(String),
    Day,
    Hour,
}

const COLUMNS: [&str; 6] = ["team", "user", "key", "model", "provider", "upstream_model"];

impl Dimension {
    /// `team,model,tag:project,day`
    pub fn parse_list(text: &str) -> Result<Vec<Self>, BadQuestion> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut all = Vec::new();
        for name in names {
            let dimension = match (COLUMNS.iter().find(|column| **column == name), name) {
                (Some(column), _) => Self::Column(column),
                (None, "day") => Self::Day,
                (None, "hour") => Self::Hour,
                (None, _) => match name.strip_prefix("tag:").filter(|tag| !tag.is_empty()) {
                    Some(tag) => Self::Tag(tag.to_owned()),
                    None => return Err(BadQuestion::Dimension(name.to_owned())),
                },
            };
            if !all.contains(&dimension) {
                all.push(dimension);
            }
        }
        match all.len() {
            0..=MAX_DIMENSIONS => Ok(all),
            _ => Err(BadQuestion::TooMany),
        }
    }

    /// Its member of a row.
    pub fn name(&self) -> String {
        match self {
            Self::Column(name) => (*name).to_owned(),
            Self::Tag(tag) => format!("tag:{tag}"),
            Self::Day => "day".to_owned(),
            Self::Hour => "hour".to_owned(),
        }
    }

    /// What the table is grouped by.
    fn expression(&self) -> &'static str {
        match self {
            Self::Column(name) => name,
            Self::Tag(_) => "tags",
            Self::Day => "at_ms / 86400000 * 86400000",
            Self::Hour => "at_ms / 3600000 * 3600000",
        }
    }

    fn value(&self, cell: Cell) -> String {
        let seconds = |cell: &Cell| match cell {
            Cell::Integer(ms) => u64::try_from(ms / 1000).unwrap_or(0),
            _ => 0,
        };
        match (self, cell) {
            (Self::Day, cell) => rfc3339(seconds(&cell)).chars().take(10).collect(),
            (Self::Hour, cell) => rfc3339(seconds(&cell)),
            (Self::Tag(tag), Cell::Text(tags)) => {
                let mut pairs = tags.split(',').filter_map(|pair| pair.trim().split_once('='));
                let found = pairs.find(|(name, _)| name == tag);
                found.map_or_else(String::new, |(_, value)| value.to_owned())
            }
            (Self::Column(_), Cell::Text(text)) => text,
            _ => String::new(),
        }
    }
}

/// Why a question cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    #[error(
        "'{0}' is nothing that usage is kept by; team, user, key, model, provider, upstream_model, tag:NAME, day, hour"
    )]
    Dimension(String),
    #[error("more than {MAX_DIMENSIONS} dimensions at once")]
    TooMany,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub by: Vec<Dimension>,
    /// Calls that ended at this time or later,
    pub from_ms: u64,
    /// and before this.
    pub to_ms: u64,
}

/// Sums of one row. Costs are exact: two sums of whole numbers.
type Sums = [i64; NUMBERS.len()];

/// Of the sums, those that a row shows; the last two make the cost.
const SHOWN: usize = NUMBERS.len() - 2;

#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub rows: Vec<Value>,
    /// There were more rows than an answer may have.
    pub is_cut: bool,
}

impl Question {
    /// Where single calls are forgotten only whole hours can be told: both ends then move outwards to one.
    pub fn new(by: Vec<Dimension>, from_ms: u64, to_ms: u64, kept_from_ms: u64) -> Self {
        let from_hour = from_ms / HOUR_MS * HOUR_MS;
        let to_hour = to_ms.div_ceil(HOUR_MS).saturating_mul(HOUR_MS);
        // An hour of which a part is forgotten counts as forgotten.
        let forgotten = |ms: u64| ms < kept_from_ms.saturating_add(HOUR_MS);
        Self {
            by,
            from_ms: if forgotten(from_ms) { from_hour } else { from_ms },
            to_ms: if forgotten(to_ms) { to_hour } else { to_ms },
        }
    }

    pub(super) fn ask(&self, ledger: &Connection) -> Result<Answer, StoreError> {
        let mut sums = BTreeMap::<Vec<String>, Sums>::new();
        let mut statement = ledger.prepare_cached(&self.statement())?;
        let mut rows = statement.query(self.spans().map(ledger::whole))?;
        while let Some(row) = rows.next()? {
            let key = self.key(row)?;
            if !sums.contains_key(&key) && sums.len() == MAX_ROWS {
                return Ok(Answer {
                    rows: Vec::new(),
                    is_cut: true,
                });
            }
            for (index, sum) in sums.entry(key).or_default().iter_mut().enumerate() {
                *sum = sum.saturating_add(row.get(self.by.len() + index)?);
            }
        }
        let rows = sums.into_iter().map(|(key, sums)| self.row(key, &sums));
        Ok(Answer {
            rows: rows.collect(),
            is_cut: false,
        })
    }

    /// Whole hours are answered from their sums, what is left at both ends from the calls: from, to of the first end, of
    /// the hours, and of the last end.
    fn spans(&self) -> [u64; 6] {
        let (from, to) = (self.from_ms, self.to_ms);
        let first = from.div_ceil(HOUR_MS).saturating_mul(HOUR_MS).min(to);
        let last = (to / HOUR_MS * HOUR_MS).max(first);
        [from, first, first, last, last, to]
    }

    fn statement(&self) -> String {
        let texts = TEXTS.join(", ");
        let names = NUMBERS.map(|(name, _)| name).join(", ");
        let made = NUMBERS.map(|(name, made)| format!("{made} AS {name}")).join(", ");
        let calls = format!("SELECT ended_ms AS at_ms, {texts}, {made} FROM calls WHERE ended_ms");
        let rows = format!(
            "{calls} >= ?1 AND ended_ms < ?2 UNION ALL {calls} >= ?5 AND ended_ms < ?6 UNION ALL SELECT hour_ms, {texts}, \
             {names} FROM hours WHERE hour_ms >= ?3 AND hour_ms < ?4"
        );
        let by = self.by.iter().map(|dimension| dimension.expression().to_owned());
        let sums = NUMBERS.iter().map(|(name, _)| format!("SUM({name})"));
        let columns: Vec<String> = by.chain(sums).collect();
        let places: Vec<String> = (1..=self.by.len()).map(|place| place.to_string()).collect();
        // One row for all; none without calls.
        let group = if places.is_empty() {
            "NULL".to_owned()
        } else {
            places.join(", ")
        };
        format!("SELECT {} FROM ({rows}) GROUP BY {group}", columns.join(", "))
    }

    fn key(&self, row: &Row<'_>) -> Result<Vec<String>, StoreError> {
        let values = self.by.iter().enumerate();
        values
            .map(|(index, dimension)| Ok(dimension.value(row.get(index)?)))
            .collect()
    }

    fn row(&self, key: Vec<String>, sums: &Sums) -> Value {
        let mut row = Map::new();
        for (dimension, value) in self.by.iter().zip(key) {
            row.insert(dimension.name(), Value::String(value));
        }
        for ((name, _), number) in NUMBERS.iter().zip(sums).take(SHOWN) {
            row.insert((*name).to_owned(), json!(number));
        }
        row.insert("cost_usd".to_owned(), json!(cost(sums).to_nanos().to_string()));
        Value::Object(row)
    }
}

fn cost(sums: &Sums) -> PicoUsd {
    let part = |number: i64| u128::try_from(number).unwrap_or(0);
    PicoUsd(part(sums[SHOWN]) * COST_UNIT_PICOS + part(sums[SHOWN + 1]))
}
