//! Rows as RFC 4180 has them.

use serde_json::{Map, Value};

pub fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// All members of the first row as columns; `otherwise` where there are no rows.
pub fn csv(rows: &[Value], otherwise: impl Iterator<Item = String>) -> String {
    let none = Map::new();
    let members = |row: &Value| row.as_object().unwrap_or(&none).keys().cloned().collect::<Vec<_>>();
    let columns = rows.first().map_or_else(|| otherwise.collect(), members);
    let line = |cells: Vec<String>| cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",") + "\r\n";
    let mut written = line(columns.clone());
    for row in rows {
        written.push_str(&line(columns.iter().map(|name| text(row.get(name))).collect()));
    }
    written
}

/// Quoted where it must be. What a spreadsheet would take for a formula is told apart by a quote mark in front; numbers
/// that are less than nothing are none.
fn quoted(cell: &str) -> String {
    let is_number = cell.strip_prefix('-').is_some_and(|rest| {
        rest.starts_with(|c: char| c.is_ascii_digit()) && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    });
    let cell = match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number {
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
        let rows = [json!({"team": "a,\"b\"", "tag:x": "=1+1", "requests": 2, "cost_usd": "-0.000000001"})];
        assert_eq!(
            csv(&rows, std::iter::empty()),
            "team,tag:x,requests,cost_usd\r\n\"a,\"\"b\"\"\",'=1+1,2,-0.000000001\r\n"
        );
        assert_eq!(csv(&[], ["team".to_owned()].into_iter()), "team\r\n");
        assert_eq!(quoted("-1+cmd"), "'-1+cmd");
    }
}
