//! `tollgate usage`: who used what, and what it cost.

mod csv;
mod rerate;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use self::csv::{csv, text};
use super::{CliError, Output, print, table};
use crate::{
    client::{Call, Client},
    metering::focus,
};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct UsageArguments {
    #[command(subcommand)]
    command: Option<UsageCommand>,
    /// Kept apart by: organization, cost_center, team, user, key, model_asked, model, provider, upstream_model, credential,
    /// surface, dialect, tags, tag:NAME, entry, price_version, hour, day, month
    #[arg(long, value_name = "LIST", default_value = "team,model")]
    by: String,
    /// Calls that ended at this time or later: a time, a day, a month, or how long ago (24h) [default: 30d]
    #[arg(long, value_name = "T")]
    from: Option<String>,
    /// Calls that ended before this time [default: now]
    #[arg(long, value_name = "T")]
    to: Option<String>,
    /// What days and months are of, such as Europe/Berlin [default: the document's]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// How the rows are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// When what is left of each calendar limit will be used up, if things go on as in the last seven days
    #[arg(long, conflicts_with_all = ["by", "from", "to", "timezone"])]
    forecast: bool,
}

#[derive(Subcommand)]
enum UsageCommand {
    /// What a period would have cost at other prices; with --post the difference is written to the ledger
    Rerate(rerate::RerateArguments),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The most important columns
    Table,
    /// All columns
    Csv,
    /// As the API answers
    Json,
    /// The columns of FOCUS 1.2 as CSV, a row for each day, team, key and model
    Focus,
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
/// Those of forecasts.
const FORECAST: [&str; 9] = [
    "scope", "name", "unit", "per", "limit", "used", "per_day", "ends_at", "at_end",
];

pub async fn run(client: &Client, arguments: &UsageArguments, output: Output) -> Result<(), CliError> {
    if let Some(UsageCommand::Rerate(arguments)) = &arguments.command {
        return rerate::run(client, arguments, output).await;
    }
    let format = match output {
        Output::Json if arguments.format != Format::Focus => Format::Json,
        _ => arguments.format,
    };
    let path = match arguments.forecast {
        true => "/v1/usage/forecast".to_owned(),
        false => asked(arguments, format),
    };
    let answer: Value = client.json(Call::get(path)).await?;
    let rows = answer["rows"].as_array().map_or(&[][..], Vec::as_slice);
    let columns = || match (arguments.forecast, format) {
        (true, _) => FORECAST.map(str::to_owned).to_vec(),
        (false, Format::Focus) => focus::COLUMNS.map(str::to_owned).to_vec(),
        _ => dimensions(&arguments.by)
            .into_iter()
            .chain(SHOWN)
            .map(str::to_owned)
            .collect(),
    };
    match format {
        Format::Json => print(&answer.to_string()),
        Format::Csv | Format::Focus => print(csv(rows, columns().into_iter()).trim_end()),
        Format::Table => print(&shown(rows, &columns())),
    }
    Ok(())
}

fn asked(arguments: &UsageArguments, format: Format) -> String {
    let mut path = match format {
        Format::Focus => "/v1/usage?format=focus".to_owned(),
        _ => format!("/v1/usage?by={}", encoded(&arguments.by)),
    };
    let given = [
        ("from", &arguments.from),
        ("to", &arguments.to),
        ("timezone", &arguments.timezone),
    ];
    for (name, value) in given {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    path
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

fn shown(rows: &[Value], columns: &[String]) -> String {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_a_dash_for_no_name() {
        let rows = [json!({"team": "", "requests": 2})];
        let columns = ["team", "requests"].map(str::to_owned);
        let table = shown(&rows, &columns);
        assert!(table.starts_with("TEAM  REQUESTS"), "{table}");
        assert!(
            table.lines().nth(1).is_some_and(|line| line.starts_with("-     2")),
            "{table}"
        );
        assert_eq!(dimensions("team, team"), ["team"]);
    }

    #[test]
    fn a_query_is_encoded() {
        assert_eq!(encoded("tag:a b&c,day"), "tag:a%20b%26c,day");
    }
}
