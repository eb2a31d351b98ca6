//! What a ledger of versions 1 and 2 has, in the tables of this one. Its calls had a column for each text, and so had its
//! sums by the hour.

use super::{CALL_TEXTS, NUMBERS, OWN, TEXTS, TRAITS};

/// Version 1 knew less of an hour.
const TEXTS_1: [&str; 7] = ["team", "user", "key", "model", "provider", "upstream_model", "tags"];
const NUMBERS_1: [&str; 16] = [
    "requests",
    "failed",
    "crashed",
    "attempts",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "estimated",
    "cost_units",
    "cost_rest",
];

/// Fills the tables, which have been made, and takes the former ones away.
pub fn carry(found: i64) -> String {
    let texts = TEXTS.join(", ");
    let same = |of: &str, values: &[String]| {
        let pairs = TEXTS
            .iter()
            .zip(values)
            .map(|(name, value)| format!("{of}.{name} = {value}"));
        pairs.collect::<Vec<_>>().join(" AND ")
    };
    let (of_hours, of_calls) = (hour_texts(found), call_texts());
    let numbers = NUMBERS.map(|name| match found == 1 && !NUMBERS_1.contains(&name) {
        true => "0".to_owned(),
        false => format!("h.{name}"),
    });
    let list = |of: &str, columns: &[&str]| {
        let columns = columns.iter().map(|name| format!("{of}.{name}"));
        columns.collect::<Vec<_>>().join(", ")
    };
    let same_traits = TRAITS.map(|name| format!("t.{name} IS c.{name}")).join(" AND ");
    // A version that has posted corrections knows no cache of theirs.
    let adjustments = match found {
        1 => "",
        _ => "DROP VIEW billed; ALTER TABLE adjustments ADD COLUMN cache TEXT NOT NULL DEFAULT '';",
    };
    format!(
        "{adjustments}
         INSERT INTO names (seen_ms, {texts}) SELECT MAX(at_ms), {texts} FROM (SELECT hour_ms AS at_ms, {} FROM hours h \
         UNION ALL SELECT ended_ms / 3600000 * 3600000, {} FROM calls c) GROUP BY {texts};
         CREATE UNIQUE INDEX names_by_text ON names ({texts});
         INSERT INTO hour_rows (hour_ms, names, {}) SELECT h.hour_ms, n.id, {} FROM hours h CROSS JOIN names n ON {};
         INSERT INTO call_traits (seen_ms, names, {}) SELECT MAX(c.ended_ms) / 3600000 * 3600000, n.id, {} FROM calls c \
         CROSS JOIN names n ON {} GROUP BY n.id, {};
         CREATE UNIQUE INDEX traits_by_all ON call_traits (names, {});
         INSERT INTO call_rows (id, traits, {}) SELECT c.id, t.id, {} FROM calls c CROSS JOIN names n ON {} \
         CROSS JOIN call_traits t ON t.names = n.id AND {same_traits};
         DROP INDEX traits_by_all; DROP INDEX names_by_text; DROP TABLE hours; DROP TABLE calls;",
        named(&of_hours),
        of_calls.join(", "),
        NUMBERS.join(", "),
        numbers.join(", "),
        same("n", &of_hours),
        TRAITS.join(", "),
        list("c", &TRAITS),
        same("n", &of_calls),
        list("c", &TRAITS),
        TRAITS.join(", "),
        OWN.join(", "),
        list("c", &OWN),
        same("n", &of_calls),
    )
}

/// Of a row of hours, by `TEXTS`.
fn hour_texts(found: i64) -> Vec<String> {
    let text = |name: &str| match name {
        "cache" => "''".to_owned(),
        name if found == 1 && !TEXTS_1.contains(&name) => "''".to_owned(),
        name => format!("h.{name}"),
    };
    TEXTS.map(text).to_vec()
}

/// Of a row of calls, by `TEXTS`.
fn call_texts() -> Vec<String> {
    let text = |name: &str| match name {
        "cache" | "entry" => "''".to_owned(),
        "price_version" => {
            "CASE WHEN c.price_version IS NULL THEN '' ELSE printf('%016x', c.price_version) END".to_owned()
        }
        name if CALL_TEXTS.contains(&name) => format!("c.{name}"),
        name => unreachable!("a call has no {name}"),
    };
    TEXTS.map(text).to_vec()
}

fn named(values: &[String]) -> String {
    let pairs = values
        .iter()
        .zip(TEXTS)
        .map(|(value, name)| format!("{value} AS {name}"));
    pairs.collect::<Vec<_>>().join(", ")
}
