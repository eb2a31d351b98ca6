//! A provider's file as rows of named texts: CSV, JSON with its pages and buckets taken apart, JSON by lines. Numbers stay
//! the digits that stand there: none of them is ever a float.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

pub type Row = BTreeMap<String, String>;

/// A file that is larger is no report of a month.
pub const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;
const MAX_DEPTH: usize = 16;

pub fn rows(text: &str) -> Result<Vec<Row>, String> {
    let text = text.trim_start_matches('\u{feff}');
    match text.trim_start().starts_with(['{', '[']) {
        true => json(text),
        false => csv(text),
    }
}

fn json(text: &str) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    if let Ok(whole) = serde_json::from_str::<&RawValue>(text) {
        buckets(whole, &Row::new(), 0, &mut rows)?;
        return Ok(rows);
    }
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let row = serde_json::from_str::<&RawValue>(line).map_err(|error| format!("line {}: {error}", number + 1))?;
        buckets(row, &Row::new(), 0, &mut rows)?;
    }
    Ok(rows)
}

/// Pages hold `data`, buckets hold `results`; what stands beside those is of each row in them.
fn buckets(raw: &RawValue, of_all: &Row, depth: usize, rows: &mut Vec<Row>) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("it is nested deeper than {MAX_DEPTH}"));
    }
    if raw.get().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
        return items
            .into_iter()
            .try_for_each(|item| buckets(item, of_all, depth + 1, rows));
    }
    let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()) else {
        return Err(format!(
            "'{}' is no row",
            raw.get().chars().take(40).collect::<String>()
        ));
    };
    let inner = ["data", "results"]
        .into_iter()
        .find_map(|name| members.get_key_value(name));
    let inner = inner.filter(|(_, list)| list.get().starts_with('['));
    let mut row = of_all.clone();
    for (name, value) in &members {
        if inner.is_none_or(|(inside, _)| inside != name) {
            flatten(name, value, depth + 1, &mut row)?;
        }
    }
    match inner {
        Some((_, list)) => buckets(list, &row, depth + 1, rows)?,
        None => rows.push(row),
    }
    Ok(())
}

/// `{"amount":{"value":0.06}}` is `amount.value`.
fn flatten(name: &str, raw: &RawValue, depth: usize, row: &mut Row) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("'{name}' is nested deeper than {MAX_DEPTH}"));
    }
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|error| error.to_string())?;
            members
                .iter()
                .try_for_each(|(inner, value)| flatten(&format!("{name}.{inner}"), value, depth + 1, row))
        }
        Some(b'"') => {
            let value: String = serde_json::from_str(text).map_err(|error| error.to_string())?;
            row.insert(name.to_owned(), value);
            Ok(())
        }
        // Lists say nothing that is compared.
        Some(b'[') => Ok(()),
        _ => {
            if text != "null" {
                row.insert(name.to_owned(), text.to_owned());
            }
            Ok(())
        }
    }
}

/// RFC 4180; the first record names the columns.
fn csv(text: &str) -> Result<Vec<Row>, String> {
    let mut records = records(text)?.into_iter();
    let Some(head) = records.next() else {
        return Err("it is empty".to_owned());
    };
    let named = |(number, record): (usize, Vec<String>)| match record.len() == head.len() {
        true => Ok(head
            .iter()
            .cloned()
            .zip(record)
            .filter(|(_, cell)| !cell.is_empty())
            .collect()),
        false => Err(format!(
            "record {} has {} cells, and the head {}",
            number + 2,
            record.len(),
            head.len()
        )),
    };
    records.enumerate().map(named).collect()
}

fn records(text: &str) -> Result<Vec<Vec<String>>, String> {
    let (mut records, mut record, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            ('"', true) => quoted = false,
            ('"', false) if cell.is_empty() => quoted = true,
            (',', false) => record.push(std::mem::take(&mut cell)),
            ('\r', false) if chars.peek() == Some(&'\n') => {}
            ('\n', false) => {
                record.push(std::mem::take(&mut cell));
                let record = std::mem::take(&mut record);
                // An empty line is none.
                if record.len() > 1 || record.first().is_some_and(|cell| !cell.is_empty()) {
                    records.push(record);
                }
            }
            (c, _) => cell.push(c),
        }
    }
    if quoted {
        return Err("a quote is never closed".to_owned());
    }
    if !cell.is_empty() || !record.is_empty() {
        record.push(cell);
        records.push(record);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_buckets_are_taken_apart_and_digits_stay() {
        let text = r#"{"object":"page","data":[{"start_time":1730419200,"results":[
            {"amount":{"value":0.10000000000000001,"currency":"usd"},"line_item":null},{"amount":{"value":2}}]},
            {"start_time":1730505600,"results":[]}],"has_more":false}"#;
        let rows = rows(text).expect("rows");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["amount.value"], "0.10000000000000001");
        assert_eq!(rows[1]["start_time"], "1730419200");
        assert!(!rows[0].contains_key("line_item"));
    }

    #[test]
    fn csv_and_lines_are_rows_too() {
        let rows_of = |text| rows(text).expect("rows");
        let csv = rows_of("\u{feff}date,\"na\"\"me\"\r\n2026-11-01,\"a,\r\nb\"\r\n\r\n2026-11-02,\r\n");
        assert_eq!(csv.len(), 2);
        assert_eq!(csv[0]["na\"me"], "a,\r\nb");
        assert!(!csv[1].contains_key("na\"me"));
        let lines = rows_of("{\"a\":1}\n\n{\"a\":{\"b\":\"x\"}}\n");
        assert_eq!((lines[0]["a"].as_str(), lines[1]["a.b"].as_str()), ("1", "x"));
        for wrong in ["", "a,b\n1\n", "a\n\"1", "{\"a\":1}\n{", "[1]"] {
            assert!(rows(wrong).is_err(), "{wrong}");
        }
        let deep = "[".repeat(100) + &"]".repeat(100);
        assert!(rows(&deep).is_err());
    }
}
