//! What the columns of a provider's report mean: data, built in for the reports we know (`formats.json`) and the same in a
//! file of the operator's for all others.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::table::Row;
use crate::{
    metering::{money::Picos, reconcile::Line},
    time,
};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mapping {
    /// For people.
    pub about: String,
    /// Columns; of several the first that a row has.
    pub day: Vec<String>,
    pub model: Vec<String>,
    /// A model's name ends before this.
    pub model_until: String,
    pub key: Vec<String>,
    /// What is counted, each the sum of its columns.
    pub counts: BTreeMap<String, Vec<String>>,
    /// In reports with a row for each kind of usage: the column that names it, that of the amount, and what kinds mean.
    pub kind: Vec<String>,
    pub amount: Vec<String>,
    pub amount_times: i64,
    pub kinds: Vec<Kind>,
    pub cost: Vec<String>,
    /// Costs are in dollars times ten to this.
    pub cost_power: i32,
    /// Digits behind the point of a dollar to which costs are rounded, at least.
    pub cost_digits: u32,
    pub only: Option<Only>,
    /// Their names, and ours.
    pub models: BTreeMap<String, String>,
    pub keys: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    contains: String,
    counts: Vec<String>,
}

/// Other rows are of something else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Only {
    columns: Vec<String>,
    contains: String,
}

const FORMATS: &str = include_str!("formats.json");

impl Mapping {
    /// A report that is built in; `None`: all their names.
    pub fn built_in(name: &str) -> Result<Self, String> {
        let formats: BTreeMap<String, Self> = serde_json::from_str(FORMATS).map_err(|error| error.to_string())?;
        let names: Vec<&String> = formats.keys().collect();
        let unknown = || {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            format!(
                "no report is called '{name}': one of {}, or --mapping with a file that says what its columns mean",
                names.join(", ")
            )
        };
        formats.get(name).cloned().ok_or_else(unknown)
    }

    pub fn read(tree: Value) -> Result<Self, String> {
        serde_json::from_value(tree).map_err(|error| error.to_string())
    }

    /// What the operator's file says, over what is built in.
    pub fn over(self, base: Self) -> Self {
        let list = |own: Vec<String>, base: Vec<String>| if own.is_empty() { base } else { own };
        Self {
            about: base.about,
            day: list(self.day, base.day),
            model: list(self.model, base.model),
            model_until: if self.model_until.is_empty() {
                base.model_until
            } else {
                self.model_until
            },
            key: list(self.key, base.key),
            counts: if self.counts.is_empty() {
                base.counts
            } else {
                self.counts
            },
            kind: list(self.kind, base.kind),
            amount: list(self.amount, base.amount),
            amount_times: if self.amount_times == 0 {
                base.amount_times
            } else {
                self.amount_times
            },
            kinds: if self.kinds.is_empty() { base.kinds } else { self.kinds },
            cost: list(self.cost, base.cost),
            cost_power: if self.cost_power == 0 {
                base.cost_power
            } else {
                self.cost_power
            },
            cost_digits: if self.cost_digits == 0 {
                base.cost_digits
            } else {
                self.cost_digits
            },
            only: self.only.or(base.only),
            models: self.models,
            keys: self.keys,
        }
    }

    /// Rows as what is compared; those that say nothing of use are left out.
    pub fn lines(&self, rows: &[Row]) -> Result<Vec<Line>, String> {
        let mut lines = Vec::new();
        for (number, row) in rows.iter().enumerate() {
            let line = self.line(row).map_err(|error| format!("row {}: {error}", number + 1))?;
            lines.extend(line);
        }
        Ok(lines)
    }

    fn line(&self, row: &Row) -> Result<Option<Line>, String> {
        if let Some(only) = &self.only
            && !first(row, &only.columns).is_some_and(|text| text.contains(&only.contains))
        {
            return Ok(None);
        }
        let counts = self.counts_of(row)?;
        let cost = first(row, &self.cost);
        if counts.values().all(|count| *count == 0) && cost.is_none() {
            return Ok(None);
        }
        let Some(day) = first(row, &self.day) else {
            return Err(format!("it has none of {}", self.day.join(", ")));
        };
        let (cost, rounded_by) = match cost {
            None => (None, None),
            Some(text) => {
                let (cost, rounded_by) = self.money(text)?;
                (Some(cost.to_string()), Some(rounded_by.to_string()))
            }
        };
        let model = first(row, &self.model).unwrap_or_default();
        let model = match self.model_until.is_empty() {
            true => model,
            false => model.split(&self.model_until).next().unwrap_or(model),
        };
        let key = first(row, &self.key)
            .filter(|_| !self.keys.is_empty())
            .unwrap_or_default();
        let ours =
            |name: &str, names: &BTreeMap<String, String>| names.get(name).cloned().unwrap_or_else(|| name.to_owned());
        Ok(Some(Line {
            day: day_of(day)?,
            model: ours(model, &self.models),
            credential: ours(key, &self.keys),
            counts,
            cost,
            rounded_by,
        }))
    }

    fn counts_of(&self, row: &Row) -> Result<BTreeMap<String, i64>, String> {
        let mut counts = BTreeMap::new();
        for (name, columns) in &self.counts {
            for text in columns.iter().filter_map(|column| row.get(column)) {
                *counts.entry(name.clone()).or_insert(0) += whole(text, 1)?;
            }
        }
        if let (Some(kind), Some(amount)) = (first(row, &self.kind), first(row, &self.amount)) {
            let known = self.kinds.iter().find(|known| kind.contains(&known.contains));
            for name in known.into_iter().flat_map(|known| &known.counts) {
                *counts.entry(name.clone()).or_insert(0) += whole(amount, self.amount_times.max(1))?;
            }
        }
        Ok(counts)
    }

    /// And by how much it may be rounded: half of the last digit.
    fn money(&self, text: &str) -> Result<(Picos, Picos), String> {
        let cost = Picos::parse(text, self.cost_power).ok_or_else(|| format!("'{text}' is no amount of money"))?;
        let behind = text
            .split_once('.')
            .map_or(0, |(_, digits)| digits.bytes().take_while(u8::is_ascii_digit).count());
        let exponent = text.split_once(['e', 'E']);
        let exponent: i64 = exponent.and_then(|(_, digits)| digits.parse().ok()).unwrap_or(0);
        let given = i64::try_from(behind).unwrap_or(0) - exponent - i64::from(self.cost_power);
        let digits = given.max(self.cost_digits.into()).clamp(0, 12);
        let unit = 10i128.pow(12 - u32::try_from(digits).unwrap_or(0));
        Ok((cost, Picos(unit.div_euclid(2))))
    }
}

fn first<'r>(row: &'r Row, columns: &[String]) -> Option<&'r str> {
    columns.iter().find_map(|column| row.get(column)).map(String::as_str)
}

/// Times so many, rounded to a whole number.
fn whole(text: &str, times: i64) -> Result<i64, String> {
    let wrong = || format!("'{text}' is no number");
    let scaled = Picos::parse(text, 0)
        .ok_or_else(wrong)?
        .0
        .checked_mul(i128::from(times))
        .ok_or_else(wrong)?;
    const ONE: i128 = 1_000_000_000_000;
    i64::try_from((scaled + ONE / 2).div_euclid(ONE)).map_err(|_| wrong())
}

/// The day in UTC of Unix seconds, of a time, or as it stands there.
fn day_of(text: &str) -> Result<String, String> {
    if let Ok(unix) = text.parse::<u64>() {
        let unix_s = if unix > 100_000_000_000 { unix / 1000 } else { unix };
        return Ok(time::rfc3339(unix_s).chars().take(10).collect());
    }
    if let Some(unix_s) = time::parse_rfc3339(text) {
        return Ok(time::rfc3339(unix_s).chars().take(10).collect());
    }
    let day: String = text.chars().take(10).collect();
    match time::parse_rfc3339(&format!("{day}T00:00:00Z")) {
        Some(_) => Ok(day),
        None => Err(format!("'{text}' is no time")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::reconcile::table::rows;

    fn lines(format: &str, text: &str) -> Vec<Line> {
        let mapping = Mapping::built_in(format).expect("a format");
        mapping.lines(&rows(text).expect("rows")).expect("lines")
    }

    fn counts(line: &Line) -> Vec<(&str, i64)> {
        line.counts
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect()
    }

    #[test]
    fn openai_tells_usage_and_costs() {
        let usage = r#"{"data":[{"object":"bucket","start_time":1793491200,"end_time":1793577600,"results":[
            {"object":"organization.usage.completions.result","input_tokens":1000,"output_tokens":500,
             "input_cached_tokens":800,"num_model_requests":5,"api_key_id":null,"model":"gpt-4o-2024-08-06"}]}]}"#;
        let all = lines("openai", usage);
        assert_eq!(
            (all[0].day.as_str(), all[0].model.as_str()),
            ("2026-11-01", "gpt-4o-2024-08-06")
        );
        let expected = [
            ("cache_read_tokens", 800),
            ("input_tokens", 1000),
            ("output_tokens", 500),
            ("requests", 5),
        ];
        assert_eq!(counts(&all[0]), expected);
        let costs = "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item\n\
             1793491200,1793577600,2026-11-01T00:00:00+00:00,,0.003835980000000000000000000000,usd,\"gpt-4o-2024-08-06, input\"\n\
             1793577600,1793664000,2026-11-02T00:00:00+00:00,,,,\n";
        let all = lines("openai", costs);
        assert_eq!(all.len(), 1, "a day without costs is no line");
        assert_eq!(all[0].model, "gpt-4o-2024-08-06");
        assert_eq!(
            (all[0].cost.as_deref(), all[0].rounded_by.as_deref()),
            (Some("0.003835980000"), Some("0.000000000000"))
        );
    }

    #[test]
    fn anthropic_tells_classes_and_cents() {
        let text = r#"{"data":[{"starting_at":"2026-11-01T00:00:00Z","ending_at":"2026-11-02T00:00:00Z","results":[
            {"uncached_input_tokens":10,"cache_creation":{"ephemeral_1h_input_tokens":2,"ephemeral_5m_input_tokens":3},
             "cache_read_input_tokens":4,"output_tokens":7,"model":"claude-sonnet-5","api_key_id":"apikey_1"},
            {"amount":"123.78912","currency":"USD","model":"claude-sonnet-5"}]}]}"#;
        let all = lines("anthropic", text);
        let expected = [
            ("cache_read_tokens", 4),
            ("cache_write_1h_tokens", 2),
            ("cache_write_5m_tokens", 3),
            ("input_tokens", 19),
            ("output_tokens", 7),
        ];
        assert_eq!(counts(&all[0]), expected);
        assert_eq!(all[0].credential, "", "keys are compared once they have names of ours");
        assert_eq!(
            (all[1].cost.as_deref(), all[1].rounded_by.as_deref()),
            (Some("1.237891200000"), Some("0.000000050000"))
        );
    }

    #[test]
    fn bedrock_and_vertex_tell_a_kind_a_row() {
        let report = "line_item_usage_start_date,line_item_product_code,line_item_usage_type,line_item_usage_amount,line_item_unblended_cost\n\
             2026-11-01T00:00:00.000Z,AmazonBedrock,USE1-Nova-input-tokens,1.234,0.0000740400\n\
             2026-11-01T01:00:00.000Z,AmazonBedrock,USE1-Nova-cache-read-input-token-count,0.5,0.0000075000\n\
             2026-11-01T00:00:00.000Z,AmazonS3,Requests-Tier1,9,0.1\n";
        let mut mapping = Mapping::built_in("bedrock").expect("a format");
        mapping.models = [
            ("USE1-Nova-input-tokens", "amazon.nova-lite-v1:0"),
            ("USE1-Nova-cache-read-input-token-count", "amazon.nova-lite-v1:0"),
        ]
        .map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned()))
        .into();
        let all = mapping.lines(&rows(report).expect("rows")).expect("lines");
        assert_eq!(all.len(), 2);
        assert!(all.iter().all(|line| line.model == "amazon.nova-lite-v1:0"));
        assert_eq!(counts(&all[0]), [("input_tokens", 1234)]);
        assert_eq!(counts(&all[1]), [("cache_read_tokens", 500), ("input_tokens", 500)]);
        assert_eq!(all[0].rounded_by.as_deref(), Some("0.000000000050"));
        let export = r#"{"service":{"description":"Vertex AI"},"sku":{"description":"Gemini 2.5 Flash Text Output - Predictions"},"usage_start_time":"2026-11-01 00:00:00 UTC","usage":{"amount":77.0,"unit":"count"},"cost":0.000193}"#;
        // Hours for which a cache was kept cost, and are no tokens.
        let kept = export.replace("Text Output - Predictions", "Text Input Caching Storage");
        let all = lines("vertex", &kept);
        assert_eq!((all[0].cost.is_some(), counts(&all[0])), (true, vec![]));
        let all = lines("vertex", export);
        assert_eq!(
            (all[0].day.as_str(), counts(&all[0])),
            ("2026-11-01", vec![("output_tokens", 77)])
        );
    }

    #[test]
    fn an_operators_mapping_says_what_columns_mean() {
        let tree = serde_json::json!({
            "day": ["Tag"], "model": ["Modell"], "key": ["Schlüssel"], "counts": {"input_tokens": ["Ein"], "output_tokens": ["Aus"]},
            "cost": ["Betrag"], "cost_digits": 2, "keys": {"k1": "OPENAI_API_KEY"},
        });
        let mapping = Mapping::read(tree).expect("a mapping");
        let text = "Tag,Modell,Schlüssel,Ein,Aus,Betrag\n2026-11-01,gpt,k1,5,7,1.23\n";
        let all = mapping.lines(&rows(text).expect("rows")).expect("lines");
        assert_eq!(all[0].credential, "OPENAI_API_KEY");
        assert_eq!(all[0].rounded_by.as_deref(), Some("0.005000000000"));
        for wrong in ["Tag,Ein\nyesterday,5\n", "Ein\n5\n", "Tag,Ein\n2026-11-01,five\n"] {
            assert!(mapping.lines(&rows(wrong).expect("rows")).is_err(), "{wrong}");
        }
        assert!(Mapping::read(serde_json::json!({"dya": []})).is_err());
        assert!(Mapping::built_in("acme").is_err_and(|error| error.contains("anthropic")));
    }
}
