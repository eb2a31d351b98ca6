//! What is asked of the ledger: sums over a span of time, by any of its dimensions.

use std::{collections::BTreeMap, ops::ControlFlow};

use serde_json::{Map, Value, json};

use super::{
    database::{Database, Row},
    hours::HOUR_MS,
    ledger,
    money::Picos,
    row::{NUMBERS, Numbers, SHOWN, TEXTS},
    zone::Zone,
};
use crate::store::StoreError;

/// Rows of an answer; a question that has more is refused.
pub const MAX_ROWS: usize = 100_000;
const MAX_DIMENSIONS: usize = 20;
/// No zone's offset is finer.
const QUARTER_MS: u64 = 900_000;

/// By what sums are kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// A column of the calls.
    Column(&'static str),
    /// The value of a tag.
    Tag(String),
    /// The model asked for, of what was asked of no provider; for exports alone.
    KeptModel,
    Hour,
    Day,
    Month,
}

impl Dimension {
    /// `team,model,tag:project,day`
    pub fn parse_list(text: &str) -> Result<Vec<Self>, BadQuestion> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut all = Vec::new();
        for name in names {
            let dimension = match (TEXTS.iter().find(|column| **column == name), name) {
                (Some(column), _) => Self::Column(column),
                (None, "hour") => Self::Hour,
                (None, "day") => Self::Day,
                (None, "month") => Self::Month,
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
            Self::KeptModel => "kept_model".to_owned(),
            Self::Hour => "hour".to_owned(),
            Self::Day => "day".to_owned(),
            Self::Month => "month".to_owned(),
        }
    }

    /// What the table is grouped by; how quarters of an hour make days is the zone's to say.
    fn expression(&self) -> String {
        match self {
            Self::Column(name) => (*name).to_owned(),
            Self::Tag(_) => "tags".to_owned(),
            Self::KeptModel => "CASE WHEN provider = '' THEN model_asked ELSE '' END".to_owned(),
            Self::Hour | Self::Day | Self::Month => format!("at_ms / {QUARTER_MS} * {QUARTER_MS}"),
        }
    }

    fn value(&self, row: &Row<'_>, place: usize, zone: &Zone) -> Result<String, StoreError> {
        let at = || Ok::<_, StoreError>(u64::try_from(row.get::<i64>(place)?).unwrap_or(0));
        Ok(match self {
            Self::Hour => zone.hour(at()?),
            Self::Day => zone.day(at()?),
            Self::Month => zone.month(at()?),
            Self::Tag(tag) => {
                let tags: String = row.get(place)?;
                let mut pairs = tags.split(',').filter_map(|pair| pair.trim().split_once('='));
                let found = pairs.find(|(name, _)| name == tag);
                found.map_or_else(String::new, |(_, value)| value.to_owned())
            }
            Self::Column(_) | Self::KeptModel => row.get(place)?,
        })
    }
}

/// Why a question cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    #[error(
        "'{name}' is nothing that usage is kept by; {known}, tag:NAME, hour, day, month", name = .0, known = TEXTS.join(", ")
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
    /// What days are of.
    pub zone: Zone,
    /// Days begin within hours: they are made of single records.
    by_records: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// By the dimensions that were asked for.
    pub sums: BTreeMap<Vec<String>, Numbers>,
    /// There were more rows than an answer may have.
    pub is_cut: bool,
}

impl Question {
    /// Where single calls are forgotten only whole hours can be told: both ends then move outwards to one.
    pub fn new(by: Vec<Dimension>, (from_ms, to_ms): (u64, u64), zone: Zone, kept_from_ms: u64) -> Self {
        let from_hour = from_ms / HOUR_MS * HOUR_MS;
        let to_hour = to_ms.div_ceil(HOUR_MS).saturating_mul(HOUR_MS);
        // An hour of which a part is forgotten counts as forgotten.
        let forgotten = |ms: u64| ms < kept_from_ms.saturating_add(HOUR_MS);
        let has_days = by
            .iter()
            .any(|dimension| matches!(dimension, Dimension::Day | Dimension::Month));
        Self {
            from_ms: if forgotten(from_ms) { from_hour } else { from_ms },
            to_ms: if forgotten(to_ms) { to_hour } else { to_ms },
            by_records: has_days && !forgotten(from_ms) && zone.splits_hours(from_ms, to_ms),
            by,
            zone,
        }
    }

    pub fn ask(&self, ledger: &mut Database) -> Result<Answer, StoreError> {
        let mut answer = Answer {
            sums: BTreeMap::new(),
            is_cut: false,
        };
        ledger.each(&self.statement(), &self.spans().map(ledger::whole), |row| {
            let key = self.key(row)?;
            if !answer.sums.contains_key(&key) && answer.sums.len() == MAX_ROWS {
                answer.is_cut = true;
                answer.sums.clear();
                return Ok(ControlFlow::Break(()));
            }
            let sums = answer.sums.entry(key).or_insert([0; NUMBERS.len()]);
            for (index, sum) in sums.iter_mut().enumerate() {
                *sum = sum.saturating_add(row.get(self.by.len() + index)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(answer)
    }

    /// Whole hours are answered from their sums, what is left at both ends from single records: from, to of the first end,
    /// of the hours, and of the last end.
    fn spans(&self) -> [u64; 6] {
        let (from, to) = (self.from_ms, self.to_ms);
        if self.by_records {
            return [from, to, to, to, to, to];
        }
        let first = from.div_ceil(HOUR_MS).saturating_mul(HOUR_MS).min(to);
        let last = (to / HOUR_MS * HOUR_MS).max(first);
        [from, first, first, last, last, to]
    }

    fn statement(&self) -> String {
        let columns = [&TEXTS[..], &NUMBERS[..]].concat().join(", ");
        let records = format!("SELECT at_ms, {columns} FROM billed WHERE at_ms");
        let rows = format!(
            "{records} >= ?1 AND at_ms < ?2 UNION ALL {records} >= ?5 AND at_ms < ?6 UNION ALL SELECT hour_ms, {columns} \
             FROM hours WHERE hour_ms >= ?3 AND hour_ms < ?4"
        );
        let by = self.by.iter().map(Dimension::expression);
        // PostgreSQL makes a sum of another kind.
        let sums = NUMBERS.iter().map(|name| format!("CAST(SUM({name}) AS BIGINT)"));
        let columns: Vec<String> = by.chain(sums).collect();
        let places: Vec<String> = (1..=self.by.len()).map(|place| place.to_string()).collect();
        // One row for all; none without calls.
        let group = match places.is_empty() {
            true => "HAVING COUNT(*) > 0".to_owned(),
            false => format!("GROUP BY {}", places.join(", ")),
        };
        format!("SELECT {} FROM ({rows}) AS found {group}", columns.join(", "))
    }

    fn key(&self, row: &Row<'_>) -> Result<Vec<String>, StoreError> {
        let values = self.by.iter().enumerate();
        values
            .map(|(index, dimension)| dimension.value(row, index, &self.zone))
            .collect()
    }

    /// Rows as the API answers them.
    pub fn rows(&self, answer: &Answer) -> Vec<Value> {
        answer.sums.iter().map(|(key, sums)| self.row(key, sums)).collect()
    }

    fn row(&self, key: &[String], sums: &Numbers) -> Value {
        let mut row = Map::new();
        for (dimension, value) in self.by.iter().zip(key) {
            row.insert(dimension.name(), json!(value));
        }
        for (name, number) in NUMBERS.iter().zip(sums).take(SHOWN) {
            row.insert((*name).to_owned(), json!(number));
        }
        row.insert("cost_usd".to_owned(), json!(cost(sums).nanos_text()));
        row.insert("list_cost_usd".to_owned(), json!(list_cost(sums).nanos_text()));
        Value::Object(row)
    }
}

/// The first hour of which the ledger has anything.
pub fn began_ms(ledger: &mut Database) -> Result<Option<u64>, StoreError> {
    let mut first = None;
    ledger.each("SELECT MIN(hour_ms) FROM hours", &[], |row| {
        first = row.get::<Option<i64>>(0)?;
        Ok(ControlFlow::Break(()))
    })?;
    Ok(first.and_then(|ms| u64::try_from(ms).ok()))
}

pub fn cost(sums: &Numbers) -> Picos {
    Picos::of_units(sums[SHOWN], sums[SHOWN + 1])
}

pub fn list_cost(sums: &Numbers) -> Picos {
    Picos::of_units(sums[SHOWN + 2], sums[SHOWN + 3])
}
