//! Whether two statements say the same, where nothing may be left out: word by word, but for how words are spelled. Knows no
//! meaning.

use super::lex::{self, Kind};
use super::spelled::Words;
use super::tables::Tables;
use super::{Difference, MAX_COMPARED_BYTES};

/// Whether both are the same words and marks, contractions written out and numbers in digits.
pub fn alike(before: &str, now: &str, tables: &Tables) -> Result<(), Difference> {
    if before.len().max(now.len()) > MAX_COMPARED_BYTES {
        return Err(Difference::Length);
    }
    match said(before, tables) == said(now, tables) {
        true => Ok(()),
        false => Err(Difference::Wording),
    }
}

fn said(text: &str, tables: &Tables) -> Vec<(Kind, String)> {
    let small = text.to_ascii_lowercase();
    let lexemes = lex::lexemes(text, &small);
    // What looks like a contraction without an apostrophe may be another word: "u", "cant".
    let is_odd = |text: &str| {
        let has_mark = text.contains('\'') && !["shan't", "ain't"].contains(&text);
        !has_mark && text != "cannot" && tables.facts(tables.find(text)).written_out.is_some()
    };
    let odd: Vec<(Kind, String)> = lexemes
        .iter()
        .filter(|lexeme| lexeme.kind == Kind::Word && is_odd(&lexeme.text))
        .map(|lexeme| (lexeme.kind, lexeme.text.to_string()))
        .collect();
    let (words, _) = Words::of(lexemes, tables).spelled(tables);
    let mut said: Vec<(Kind, String)> = words
        .iter()
        .filter(|word| word.text() != "\n")
        .map(|word| (word.kind, word.text().to_owned()))
        .collect();
    // The last dot says nothing.
    said.pop_if(|(_, text)| text == ".");
    said.extend(odd);
    said
}
