//! What is asked of the ledger: sums over a span of time, by any of its dimensions.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, types::Value as Cell};
use serde_json::{Map, Value, json};
use tollgate_config::money::PicoUsd;

use super::ledger::{COST_UNIT_PICOS, CRASHED};
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
            Self::Day => "ended_ms / 86400000 * 86400000",
            Self::Hour => "ended_ms / 3600000 * 3600000",
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sums {
    numbers: [i64; NUMBERS.len()],
    cost_units: i64,
    cost_rest: i64,
}

/// Members of each row and how they are made. A call is answered when its client got an answer of success, whatever became
/// of its end.
const NUMBERS: [(&str, &str); 14] = [
    ("requests", "SUM(status BETWEEN 200 AND 299 AND ending <> 3)"),
    ("failed", "SUM(status NOT BETWEEN 200 AND 299 AND ending <> 3)"),
    ("crashed", "SUM(ending = 3)"),
    ("attempts", "SUM(attempts)"),
    (
        "input_tokens",
        "SUM(IFNULL(input, 0) + IFNULL(cache_read, 0) + IFNULL(cache_write_5m, 0) + IFNULL(cache_write_1h, 0) + \
         IFNULL(input_audio, 0) + IFNULL(input_image, 0))",
    ),
    (
        "output_tokens",
        "SUM(IFNULL(output, 0) + IFNULL(reasoning, 0) + IFNULL(output_audio, 0))",
    ),
    ("cache_read_tokens", "SUM(IFNULL(cache_read, 0))"),
    ("cache_write_5m_tokens", "SUM(IFNULL(cache_write_5m, 0))"),
    ("cache_write_1h_tokens", "SUM(IFNULL(cache_write_1h, 0))"),
    ("reasoning_tokens", "SUM(IFNULL(reasoning, 0))"),
    ("input_audio_tokens", "SUM(IFNULL(input_audio, 0))"),
    ("output_audio_tokens", "SUM(IFNULL(output_audio, 0))"),
    ("input_image_tokens", "SUM(IFNULL(input_image, 0))"),
    ("estimated", "SUM(estimated)"),
];
const _: () = assert!(CRASHED == 3, "as the sums above say");

#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub rows: Vec<Value>,
    /// There were more rows than an answer may have.
    pub is_cut: bool,
}

impl Question {
    pub(super) fn ask(&self, ledger: &Connection) -> Result<Answer, StoreError> {
        let mut sums = BTreeMap::<Vec<String>, Sums>::new();
        let mut statement = ledger.prepare_cached(&self.statement())?;
        let span = [self.from_ms, self.to_ms].map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        let mut rows = statement.query(span)?;
        while let Some(row) = rows.next()? {
            let key = self.key(row)?;
            if !sums.contains_key(&key) && sums.len() == MAX_ROWS {
                return Ok(Answer {
                    rows: Vec::new(),
                    is_cut: true,
                });
            }
            sums.entry(key).or_default().add(row, self.by.len())?;
        }
        let rows = sums.into_iter().map(|(key, sums)| self.row(key, &sums));
        Ok(Answer {
            rows: rows.collect(),
            is_cut: false,
        })
    }

    fn statement(&self) -> String {
        let by: Vec<&str> = self.by.iter().map(Dimension::expression).collect();
        let numbers = NUMBERS.iter().map(|(_, made)| *made);
        let costs = ["IFNULL(SUM(cost_units), 0)", "IFNULL(SUM(cost_rest), 0)"];
        let columns: Vec<&str> = by.iter().copied().chain(numbers).chain(costs).collect();
        let places: Vec<String> = (1..=by.len()).map(|place| place.to_string()).collect();
        let group = match places.is_empty() {
            // One row for all; none without calls.
            true => "GROUP BY NULL".to_owned(),
            false => format!("GROUP BY {}", places.join(", ")),
        };
        format!(
            "SELECT {} FROM calls WHERE ended_ms >= ?1 AND ended_ms < ?2 {group}",
            columns.join(", ")
        )
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
        for ((name, _), number) in NUMBERS.iter().zip(sums.numbers) {
            row.insert((*name).to_owned(), json!(number));
        }
        row.insert("cost_usd".to_owned(), json!(sums.cost().to_nanos().to_string()));
        Value::Object(row)
    }
}

impl Sums {
    fn add(&mut self, row: &Row<'_>, first: usize) -> Result<(), StoreError> {
        for (index, number) in self.numbers.iter_mut().enumerate() {
            *number = number.saturating_add(row.get(first + index)?);
        }
        let costs = first + NUMBERS.len();
        self.cost_units = self.cost_units.saturating_add(row.get(costs)?);
        self.cost_rest = self.cost_rest.saturating_add(row.get(costs + 1)?);
        Ok(())
    }

    fn cost(&self) -> PicoUsd {
        let part = |number: i64| u128::try_from(number).unwrap_or(0);
        PicoUsd(part(self.cost_units) * COST_UNIT_PICOS + part(self.cost_rest))
    }
}
