//! The words of a prompt before they are read: contractions written out, numbers in digits, typing slips put right.
//! Knows the other prompt only as words this one may have been meant to have.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::lex::{Kind, Lexeme};
use super::marks::{self, Marks};
use super::slips;
use super::tables::{NONE, Named, Tables};

/// A word of the prompt on its way to a term.
#[derive(Clone, Debug)]
pub struct Word<'a> {
    pub name: Named<'a>,
    /// The lists it is in.
    pub marks: Marks,
    pub kind: Kind,
    pub capital: bool,
    pub shouted: bool,
}

pub const POSSESSIVE: &str = "'s";
/// Prompts with more words that the other has not are no slips apart.
pub const MOST_SLIPS: usize = 4;

impl<'a> Word<'a> {
    pub fn text(&self) -> &str {
        &self.name.text
    }

    pub fn is(&self, list: Marks) -> bool {
        self.marks.has(list)
    }

    fn rename(&mut self, tables: &Tables, text: Cow<'a, str>) {
        self.name = tables.named(text);
        self.marks = tables.facts(self.name.id).marks;
    }
}

/// The words of a prompt, contractions written out.
#[derive(Clone, Debug)]
pub struct Words<'a>(Vec<Word<'a>>);

impl<'a> Words<'a> {
    pub fn of(lexemes: Vec<Lexeme<'a>>, tables: &Tables) -> Self {
        let mut words = Vec::with_capacity(lexemes.len() + 8);
        // Where all is shouted, capitals say nothing.
        let quiet = lexemes
            .iter()
            .any(|lexeme| lexeme.kind == Kind::Word && !lexeme.shouted && lexeme.text.len() > 1);
        for lexeme in lexemes {
            let Lexeme {
                text,
                hash,
                kind,
                capital,
                shouted,
            } = lexeme;
            let shouted = shouted && quiet;
            let word = |name: Named<'a>, capital: bool| Word {
                marks: tables.facts(name.id).marks,
                name,
                kind,
                capital,
                shouted,
            };
            let id = tables.id(&text, hash);
            let name = Named { text, hash, id };
            let written_out = (kind == Kind::Word).then(|| written_out(&name, tables)).flatten();
            match written_out {
                None => words.push(word(name, capital)),
                Some(parts) => words.extend(parts.split(' ').map(|part| {
                    let name = tables.named(Cow::Owned(part.to_owned()));
                    word(name, capital && part != POSSESSIVE)
                })),
            }
        }
        Self(words)
    }

    pub fn words(&self) -> impl Iterator<Item = &Word<'a>> {
        self.0.iter().filter(|word| word.kind == Kind::Word)
    }

    /// Puts right what `is_known` calls no word and is one slip from a word of the other prompt or of the tables.
    pub fn correct(&mut self, other: &Self, tables: &Tables, is_known: &dyn Fn(&str) -> bool) {
        let is_word = |word: &Word<'_>| is_word(word, is_known);
        let elsewhere: BTreeSet<&str> = other.words().map(Word::text).collect();
        let is_odd = |word: &Word<'_>| word.kind == Kind::Word && !elsewhere.contains(word.text()) && !is_word(word);
        if self.0.iter().filter(|word| is_odd(word)).nth(MOST_SLIPS).is_some() {
            return;
        }
        let others: Vec<&Word<'_>> = other.words().filter(|word| is_word(word)).collect();
        for word in self.0.iter_mut().filter(|word| is_odd(word)) {
            // Names and terms of a trade are one letter apart (nitrate, nitrite): only two letters that changed places make a
            // slip of a word that the other prompt has, and one letter only of a word of the tables.
            let meant = slips::transposed(word.text(), others.iter().map(|word| word.text()));
            let meant = meant.or_else(|| of_tables(word.text(), !word.capital, tables));
            if let Some(meant) = meant.map(str::to_owned) {
                word.rename(tables, Cow::Owned(meant));
            }
        }
    }

    /// As they are read; and whether any is grammar of English.
    pub fn spelled(self, tables: &Tables) -> (Vec<Word<'a>>, bool) {
        let grammar = marks::IS_ENGLISH.and(marks::IS_REQUEST);
        let is_english = self.words().any(|word| word.is(grammar));
        let words = number_words(self.0, tables);
        (particles(words), is_english)
    }
}

pub fn is_word(word: &Word<'_>, is_known: &dyn Fn(&str) -> bool) -> bool {
    word.is(marks::WORD) || is_known(word.text())
}

/// The word of the tables that this was meant to be.
pub fn of_tables<'t>(text: &str, may_be_one_off: bool, tables: &'t Tables) -> Option<&'t str> {
    let expected = tables.expected();
    let one_off = || may_be_one_off.then(|| expected.one_off(text)).flatten();
    expected.transposed(text).or_else(one_off)
}

/// A word written out, where it is one that is: parts with a space between.
fn written_out(word: &Named<'_>, tables: &Tables) -> Option<Cow<'static, str>> {
    let text = &*word.text;
    if let Some(written) = tables.facts(word.id).written_out {
        return Some(Cow::Borrowed(written));
    }
    // A word that stands in its prompt as it is has no apostrophe.
    if matches!(word.text, Cow::Borrowed(_)) || !text.contains('\'') {
        return None;
    }
    if let Some(stem) = text.strip_suffix("n't") {
        return Some(Cow::Owned(format!("{stem} not")));
    }
    for (ending, full) in [
        ("'re", "are"),
        ("'ve", "have"),
        ("'ll", "will"),
        ("'d", "would"),
        ("'m", "am"),
    ] {
        if let Some(stem) = text.strip_suffix(ending) {
            return Some(Cow::Owned(format!("{stem} {full}")));
        }
    }
    match text.strip_suffix(POSSESSIVE)? {
        "layman" | "laymen" => Some(Cow::Borrowed("laymans")),
        stem if tables.facts(tables.find(stem)).marks.has(marks::TAKES_IS) => Some(Cow::Owned(format!("{stem} is"))),
        "" => None,
        stem => Some(Cow::Owned(format!("{stem} {POSSESSIVE}"))),
    }
}

/// Numbers in words as digits: "twenty five" is 25, "two hundred" is 200.
fn number_words<'a>(words: Vec<Word<'a>>, tables: &Tables) -> Vec<Word<'a>> {
    let facts = |word: &Word<'_>| tables.facts(word.name.id);
    let counts = |word: &Word<'_>| {
        let facts = facts(word);
        facts.number.is_some() || facts.ordinal != NONE || word.is(marks::SCALES)
    };
    if !words.iter().any(counts) {
        return words;
    }
    let mut out: Vec<Word<'a>> = Vec::with_capacity(words.len());
    let mut small = false;
    for mut word in words {
        let value = facts(&word).number.filter(|_| word.kind == Kind::Word);
        let scale = scale(&word);
        let counts = value.is_some() || scale.is_some();
        let last = out.last_mut().filter(|last| counts && last.kind == Kind::Number);
        let last_value = last.as_ref().and_then(|last| last.text().parse::<u64>().ok());
        match (value, scale, last.zip(last_value)) {
            (Some(units @ 1..=9), _, Some((last, tens @ 20..=90))) if small && tens % 10 == 0 => {
                last.rename(tables, Cow::Owned((tens + units).to_string()));
                small = false;
            }
            (_, Some(scale), Some((last, value))) if value.checked_mul(scale).is_some() => {
                last.rename(tables, Cow::Owned((value * scale).to_string()));
                small = false;
            }
            (Some(value), _, _) => {
                word.rename(tables, Cow::Owned(value.to_string()));
                word.kind = Kind::Number;
                small = true;
                out.push(word);
            }
            _ => {
                small = false;
                let ordinal = facts(&word).ordinal;
                if ordinal != NONE {
                    word.rename(tables, Cow::Owned(tables.facts(ordinal).text.to_string()));
                }
                out.push(word);
            }
        }
    }
    out
}

fn scale(word: &Word<'_>) -> Option<u64> {
    match word.text() {
        _ if !word.is(marks::SCALES) => None,
        "hundred" => Some(100),
        "thousand" => Some(1_000),
        "million" => Some(1_000_000),
        "billion" => Some(1_000_000_000),
        _ => None,
    }
}

/// "Turn dark mode on" as "turn on dark mode".
fn particles(mut words: Vec<Word<'_>>) -> Vec<Word<'_>> {
    /// So many words may stand between a verb and its particle.
    const REACH: usize = 5;
    let verbs = words
        .iter()
        .enumerate()
        .filter(|(_, word)| word.is(marks::HAS_PARTICLE));
    let verbs: Vec<usize> = verbs.map(|(at, _)| at).collect();
    for verb in verbs {
        let clause = words.iter().enumerate().skip(verb + 1).take(REACH);
        let clause = clause.take_while(|(_, word)| word.kind != Kind::Break);
        let particle = clause
            .filter(|(_, word)| word.is(marks::IS_PARTICLE))
            .map(|(at, _)| at)
            .last();
        // "On" before a noun is no particle: only the clause's last word is moved.
        let ends = |at: &usize| words.get(at + 1).is_none_or(|next| next.kind == Kind::Break);
        if let Some(at) = particle.filter(ends) {
            // Within its reach only: a prompt may hold thousands of them.
            words.get_mut(verb + 1..=at).unwrap_or_default().rotate_right(1);
        }
    }
    words
}
