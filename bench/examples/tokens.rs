//! Counts a corpus by `tokens`, for calibration and measurement (docs/src/tokens.md): reads lines of JSON with a
//! `text` each, and writes a line for each.
//!
//!     tokens features < CORPUS.jsonl           transitions of the fast estimate and their numbers
//!     tokens count NAME BYTES < CORPUS.jsonl   tokens, with so many bytes counted by the vocabulary

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
};

use tollgate_dialect::tokens::{Counter, Memo, Tokenizer, fast};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut memo = Memo::default();
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let document: serde_json::Value = serde_json::from_str(&line?)?;
        let text = document["text"].as_str().unwrap_or_default().as_bytes();
        match arguments[..] {
            ["features"] => {
                let mut numbers = BTreeMap::new();
                fast::transitions(text, |transition| *numbers.entry(transition).or_insert(0u32) += 1);
                for (transition, number) in numbers {
                    write!(out, "{transition}:{number} ")?;
                }
                writeln!(out)?;
            }
            ["count", name, bytes] => {
                let tokenizer = Tokenizer::ALL.into_iter().find(|tokenizer| tokenizer.name() == name);
                let (Some(tokenizer), Ok(bytes)) = (tokenizer, bytes.parse()) else {
                    return Err(io::Error::other("no such tokenizer, or no number of bytes"));
                };
                let mut counter = Counter::new(tokenizer, bytes);
                counter.text(&mut memo, text);
                writeln!(out, "{}", counter.estimate().tokens)?;
            }
            _ => return Err(io::Error::other("tokens features | tokens count NAME BYTES")),
        }
    }
    out.flush()
}
