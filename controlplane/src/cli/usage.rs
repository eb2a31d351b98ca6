//! `tollgate usage`: who used what, and what it cost.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::{CliError, Output, print, table};
use crate::client::{Call, Client};

#[derive(Args)]
pub struct UsageArguments {
    /// Kept apart by: team, user, key, model, provider, upstream_model, tag:NAME, day, hour
    #[arg(long, value_name = "LIST", default_value = "team,model")]
    by: String,
    /// Calls that ended at this time or later: a time, a day, or how long ago (24h) [default: 30d]
    #[arg(long, value_name = "T")]
    from: Option<String>,
    /// Calls that ended before this time [default: now]
    #[arg(long, value_name = "T")]
    to: Option<String>,
    /// How the rows are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The most important columns
    Table,
    /// All columns
    Csv,
    /// As the API answers
    Json,
}

/// Columns of the table behind the dimensions.
const SHOWN: [&str; 7] = [
    "requests",
    "failed",
    "attempts",
    "input_tokens",
    "output_tokens",
    "estimated",
    "cost_usd",
];

pub async fn run(client: &Client, arguments: &UsageArguments, output: Output) -> Result<(), CliError> {
    let mut path = format!("/v1/usage?by={}", encoded(&arguments.by));
    for (name, value) in [("from", &arguments.from), ("to", &arguments.to)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    let answer: Value = client.json(Call::get(path)).await?;
    let rows = answer["rows"].as_array().map_or(&[][..], Vec::as_slice);
    let format = match output {
        Output::Json => Format::Json,
        Output::Text => arguments.format,
    };
    match format {
        Format::Json => print(&answer.to_string()),
        Format::Csv => print(csv(rows, &arguments.by).trim_end()),
        Format::Table => print(&shown(rows, &arguments.by)),
    }
    Ok(())
}

/// A query's value: all but unreserved characters percent-encoded.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b',' | b':' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn dimensions(by: &str) -> Vec<&str> {
    let names = by.split(',').map(str::trim).filter(|name| !name.is_empty());
    let mut all: Vec<&str> = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

fn shown(rows: &[Value], by: &str) -> String {
    let columns: Vec<&str> = dimensions(by).into_iter().chain(SHOWN).collect();
    let head = columns.iter().map(|name| name.to_uppercase().replace('_', " "));
    let mut lines = vec![head.collect()];
    lines.extend(rows.iter().map(|row| {
        let cells = columns.iter().map(|name| text(row.get(name)));
        // A name that is not there is seen to be none.
        cells
            .map(|cell| if cell.is_empty() { "-".to_owned() } else { cell })
            .collect()
    }));
    table(&lines)
}

/// RFC 4180; with its head also where there are no rows.
fn csv(rows: &[Value], by: &str) -> String {
    let none = Map::new();
    let members = |row: &Value| row.as_object().unwrap_or(&none).keys().cloned().collect::<Vec<_>>();
    let columns = rows.first().map_or_else(
        || dimensions(by).into_iter().chain(SHOWN).map(str::to_owned).collect(),
        members,
    );
    let line = |cells: Vec<String>| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\r\n";
    let mut written = line(columns.clone());
    for row in rows {
        written.push_str(&line(columns.iter().map(|name| text(row.get(name))).collect()));
    }
    written
}

/// Quoted where it must be. What a spreadsheet would take for a formula is told apart by a quote mark in front.
fn quoted(cell: &str) -> String {
    let cell = match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{cell}"),
        false => cell.to_owned(),
    };
    match cell.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn csv_keeps_what_names_hold_and_runs_no_formula() {
        let rows = [json!({"team": "a,\"b\"", "tag:x": "=1+1", "requests": 2, "cost_usd": "0.000000001"})];
        assert_eq!(
            csv(&rows, "team,tag:x"),
            "team,tag:x,requests,cost_usd\r\n\"a,\"\"b\"\"\",'=1+1,2,0.000000001\r\n"
        );
        assert!(csv(&[], "team").starts_with("team,requests,"));
    }

    #[test]
    fn a_table_has_a_dash_for_no_name() {
        let rows = [json!({"team": "", "requests": 2})];
        let table = shown(&rows, "team, team");
        assert!(table.starts_with("TEAM  REQUESTS"), "{table}");
        assert!(
            table.lines().nth(1).is_some_and(|line| line.starts_with("-     2")),
            "{table}"
        );
    }

    #[test]
    fn a_query_is_encoded() {
        assert_eq!(encoded("tag:a b&c,day"), "tag:a%20b%26c,day");
    }
}
