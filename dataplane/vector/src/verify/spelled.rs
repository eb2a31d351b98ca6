//! The words of a prompt before they are read: contractions written out, numbers in digits, typing slips put right.
//! Knows the other prompt only as words this one may have been meant to have.

use std::collections::BTreeSet;

use super::lex::{Kind, Lexeme};
use super::reading::{self, Reading};
use super::slips;
use super::tables::Tables;
use super::words::{ENGLISH, IS_AFTER, NUMBER_WORDS, ORDINALS, REQUESTS, has};

/// A word of the prompt on its way to a term.
#[derive(Clone, Debug)]
pub struct Word {
    pub text: String,
    pub kind: Kind,
    pub capital: bool,
    pub shouted: bool,
}

pub const POSSESSIVE: &str = "'s";

/// The words of a prompt, contractions written out and numbers in digits.
#[derive(Clone, Debug)]
pub struct Words(Vec<Word>);

impl Words {
    pub fn of(lexemes: Vec<Lexeme>, tables: &Tables) -> Self {
        let mut words = Vec::with_capacity(lexemes.len() + 8);
        // Where all is shouted, capitals say nothing.
        let quiet = lexemes
            .iter()
            .any(|lexeme| lexeme.kind == Kind::Word && !lexeme.shouted && lexeme.text.len() > 1);
        for lexeme in lexemes {
            let Lexeme {
                text, kind, capital, ..
            } = lexeme;
            let shouted = lexeme.shouted && quiet;
            if kind != Kind::Word {
                words.push(Word {
                    text,
                    kind,
                    capital,
                    shouted,
                });
                continue;
            }
            for part in expanded(&text, tables).split(' ') {
                words.push(Word {
                    text: part.to_owned(),
                    kind,
                    capital: capital && part != POSSESSIVE,
                    shouted,
                });
            }
        }
        Self(words)
    }

    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(|word| word.kind == Kind::Word)
            .map(|word| word.text.as_str())
    }

    /// Puts right what `is_known` calls no word and is one slip from a word of the other prompt or of the tables.
    pub fn correct(&mut self, other: &Self, tables: &Tables, is_known: impl Fn(&str) -> bool) {
        /// Prompts with more words that the other has not are no slips apart.
        const MOST_SLIPS: usize = 4;
        let is_word = |text: &str| tables.has_word(text) || is_known(text);
        let elsewhere: BTreeSet<&str> = other.texts().collect();
        let is_odd =
            |word: &Word| word.kind == Kind::Word && !elsewhere.contains(word.text.as_str()) && !is_word(&word.text);
        if self.0.iter().filter(|word| is_odd(word)).nth(MOST_SLIPS).is_some() {
            return;
        }
        for word in self.0.iter_mut().filter(|word| is_odd(word)) {
            // Names and terms of a trade are one letter apart (nitrate, nitrite): only two letters that changed places make a
            // slip of a word that the other prompt has, and one letter only of a word of the tables.
            let meant = slips::transposed(&word.text, other.texts().filter(|meant| is_word(meant)))
                .or_else(|| slips::transposed(&word.text, tables.words()))
                .or_else(|| slips::one_off(&word.text, tables.words().filter(|_| !word.capital)));
            if let Some(meant) = meant {
                word.text = meant.to_owned();
            }
        }
    }

    pub fn read(self, tables: &Tables, is_known: &dyn Fn(&str) -> bool) -> Reading {
        let is_english = self.texts().any(|text| has(ENGLISH, text) || has(REQUESTS, text));
        let words = number_words(self.0);
        let words = particles(words);
        reading::read(words, tables, is_known, is_english)
    }
}

/// A word written out: parts with a space between.
fn expanded(word: &str, tables: &Tables) -> String {
    if let Some(written) = tables.written_out(word) {
        return written.to_owned();
    }
    if let Some(stem) = word.strip_suffix("n't") {
        return format!("{stem} not");
    }
    for (ending, full) in [
        ("'re", "are"),
        ("'ve", "have"),
        ("'ll", "will"),
        ("'d", "would"),
        ("'m", "am"),
    ] {
        if let Some(stem) = word.strip_suffix(ending) {
            return format!("{stem} {full}");
        }
    }
    match word.strip_suffix(POSSESSIVE) {
        Some("layman" | "laymen") => "laymans".to_owned(),
        Some(stem) if has(IS_AFTER, stem) => format!("{stem} is"),
        Some(stem) if !stem.is_empty() => format!("{stem} {POSSESSIVE}"),
        _ => word.to_owned(),
    }
}

/// Numbers in words as digits: "twenty five" is 25, "two hundred" is 200.
fn number_words(words: Vec<Word>) -> Vec<Word> {
    let mut out: Vec<Word> = Vec::with_capacity(words.len());
    let mut small = false;
    for mut word in words {
        let value = NUMBER_WORDS
            .iter()
            .find(|(text, _)| word.kind == Kind::Word && *text == word.text);
        let scale = match word.text.as_str() {
            "hundred" => Some(100),
            "thousand" => Some(1_000),
            "million" => Some(1_000_000),
            "billion" => Some(1_000_000_000),
            _ => None,
        };
        let last = out.last_mut().filter(|last| last.kind == Kind::Number);
        let last_value = last.as_ref().and_then(|last| last.text.parse::<u64>().ok());
        match (value, scale, last.zip(last_value)) {
            (Some((_, units @ 1..=9)), _, Some((last, tens @ 20..=90))) if small && tens % 10 == 0 => {
                last.text = (tens + units).to_string();
                small = false;
            }
            (_, Some(scale), Some((last, value))) if value.checked_mul(scale).is_some() => {
                last.text = (value * scale).to_string();
                small = false;
            }
            (Some((_, value)), _, _) => {
                word.text = value.to_string();
                word.kind = Kind::Number;
                small = true;
                out.push(word);
            }
            _ => {
                small = false;
                if let Some((_, ordinal)) = ORDINALS
                    .iter()
                    .find(|(text, _)| *text == word.text && word.text != "second")
                {
                    word.text = (*ordinal).to_owned();
                }
                out.push(word);
            }
        }
    }
    out
}

/// "Turn dark mode on" as "turn on dark mode".
fn particles(mut words: Vec<Word>) -> Vec<Word> {
    /// So many words may stand between a verb and its particle.
    const REACH: usize = 5;
    let verbs: Vec<usize> = words
        .iter()
        .enumerate()
        .filter(|(_, word)| ["turn", "switch", "turned", "switched", "log", "sign"].contains(&word.text.as_str()))
        .map(|(at, _)| at)
        .collect();
    for verb in verbs {
        let clause = words.iter().enumerate().skip(verb + 1).take(REACH);
        let clause = clause.take_while(|(_, word)| word.kind != Kind::Break);
        let particle = clause
            .filter(|(_, word)| ["on", "off"].contains(&word.text.as_str()))
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
