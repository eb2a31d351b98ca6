//! The table of worked examples in the book is the readers' golden set: what it promises is what they read.

use tollgate_dialect::{anthropic, bedrock, gemini, listen, openai_chat, usage::Usage};

const BOOK: &str = include_str!("../../../docs/src/usage-classes.md");

#[test]
fn every_worked_example_of_the_book_holds() {
    const DIALECTS: [&str; 4] = ["openai", "anthropic", "gemini", "bedrock"];
    let of = |line: &&str, dialect: &str| line.starts_with(&format!("| {dialect} |"));
    let rows: Vec<&str> = BOOK
        .lines()
        .filter(|line| DIALECTS.iter().any(|dialect| of(line, dialect)))
        .collect();
    for dialect in DIALECTS {
        assert!(rows.iter().any(|row| of(row, dialect)), "no row of {dialect} was found");
    }
    for row in rows {
        // The texts hold no `|`, which would end a cell.
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [dialect, form, said, classes] = cells[..] else {
            panic!("four cells: {row}")
        };
        let events: Vec<&str> = said.split('⏎').map(|event| event.trim().trim_matches('`')).collect();
        assert_eq!(words(read(dialect, form, &events)), classes, "{row}");
    }
}

fn read(dialect: &str, form: &str, events: &[&str]) -> Usage {
    let answer = events[0].as_bytes();
    match (dialect, form) {
        ("openai", "answer") => openai_chat::usage_of_answer(answer).unwrap_or_default(),
        ("anthropic", "answer") => anthropic::usage_of_answer(answer).unwrap_or_default(),
        ("openai", "stream") => {
            let mut chunks = events
                .iter()
                .filter_map(|event| openai_chat::read_chunk(event.as_bytes())?.usage);
            chunks.next_back().unwrap_or_default()
        }
        ("anthropic", "stream") => {
            let mut total = Usage::default();
            for event in events {
                anthropic::read_event(event.as_bytes(), &mut total);
            }
            total
        }
        ("gemini", "answer") => listen::usage_of(&gemini::SPEAKS, answer).unwrap_or_default(),
        ("gemini", "stream") => {
            let mut total = Usage::default();
            for usage in events
                .iter()
                .filter_map(|event| listen::usage_of(&gemini::SPEAKS, event.as_bytes()))
            {
                total.merge(&usage);
            }
            total
        }
        ("bedrock", "answer") => listen::usage_of(&bedrock::SPEAKS, answer).unwrap_or_default(),
        other => panic!("no such reader: {other:?}"),
    }
}

/// The classes in the table's order and words.
fn words(usage: Usage) -> String {
    let classes = [
        ("input", usage.input),
        ("cache_read", usage.cache_read),
        ("cache_write_5m", usage.cache_write_5m),
        ("cache_write_1h", usage.cache_write_1h),
        ("output", usage.output),
        ("reasoning", usage.reasoning),
        ("input_audio", usage.input_audio),
        ("output_audio", usage.output_audio),
        ("input_image", usage.input_image),
    ];
    let said: Vec<String> = classes
        .iter()
        .filter_map(|(name, count)| count.map(|count| format!("{name} {count}")))
        .collect();
    if said.is_empty() {
        "–".to_owned()
    } else {
        said.join(", ")
    }
}

#[test]
fn only_the_event_that_exists_for_usage_is_told_apart() {
    for (data, only_usage) in [
        (r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, true),
        (r#"{"usage":{"prompt_tokens":1},"choices":[ ]}"#, true),
        (r#"{"choices":[],"usage":null}"#, false),
        (r#"{"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}"#, false),
        (r#"{"usage":{"prompt_tokens":1}}"#, false),
    ] {
        let chunk = openai_chat::read_chunk(data.as_bytes()).expect("a chunk that mentions usage");
        assert_eq!(chunk.only_usage, only_usage, "{data}");
    }
}
