//! Whether two statements say the same, where nothing may be left out: word by word, but for how words are spelled. Knows no
//! meaning.

use super::lex::{self, Kind, Lexeme};
use super::marks;
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

/// Words, marks and numbers in order; and behind them what of their writing may make them others.
fn said(text: &str, tables: &Tables) -> Vec<(Kind, String)> {
    let small = text.to_ascii_lowercase();
    let lexemes = lex::lexemes(text, &small);
    let next = lexemes.iter().skip(1).map(Some).chain([None]);
    let pairs = lexemes.iter().zip(next);
    let odd = pairs.filter(|(lexeme, next)| lexeme.kind == Kind::Word && may_be_another(lexeme, *next, tables));
    let odd: Vec<(Kind, String)> = odd.map(|(lexeme, _)| (Kind::Word, lexeme.text.to_string())).collect();
    let (words, _) = Words::of(lexemes, tables).spelled(tables);
    let mut said: Vec<(Kind, String)> = words
        .iter()
        .filter(|word| word.text() != "\n")
        .map(|word| (word.kind, word.text().to_owned()))
        .collect();
    // The last dot says nothing.
    said.pop_if(|(_, text)| text == ".");
    said.extend(odd);
    said.push((Kind::Mark, letters_and_hyphens(text)));
    said
}

/// A contraction that is not sure to be what it is written out as: "he's gone" is "he has", "I'd" is "I had", "u" and "cant"
/// are other words.
fn may_be_another(word: &Lexeme<'_>, next: Option<&Lexeme<'_>>, tables: &Tables) -> bool {
    let text = &*word.text;
    let marks = |text: &str| tables.facts(tables.find(text)).marks;
    let is_participle = |next: &Lexeme<'_>| {
        let listed = marks(&next.text).has(marks::IS_PARTICIPLE.and(marks::IS_HELPED).and(marks::HAVE));
        listed || next.text.ends_with("ed") || next.text.ends_with("en")
    };
    match text.split_once('\'') {
        Some((_, "d")) => true,
        Some((_, "s")) => next.is_some_and(is_participle),
        Some(_) => ["shan't", "ain't"].contains(&text),
        None => text != "cannot" && tables.facts(tables.find(text)).written_out.is_some(),
    }
}

/// Single letters where no sentence begins, but for "I", and hyphens within words.
fn letters_and_hyphens(text: &str) -> String {
    let mut found = String::new();
    let mut letters = text.chars().peekable();
    let (mut before, mut begins) = (' ', true);
    while let Some(letter) = letters.next() {
        let is_inner = before.is_alphanumeric() || matches!(before, '\'' | '’');
        let ends = letters.peek().is_none_or(|next| !next.is_alphanumeric());
        let is_single = letter.is_alphabetic() && !is_inner && ends && !matches!(letter, 'i' | 'I');
        if is_single && !begins {
            found.push(letter);
        }
        if letter == '-' && is_inner && !ends {
            found.push(before.to_ascii_lowercase());
            found.push(letter);
        }
        begins = matches!(letter, '.' | '!' | '?') || (begins && !letter.is_alphanumeric());
        before = letter;
    }
    found
}
