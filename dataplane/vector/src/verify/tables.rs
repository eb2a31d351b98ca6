//! The facts of `words` and `phrases`, made findable once. Knows no prompt.

use std::collections::{BTreeMap, BTreeSet};

use super::phrases::PHRASES;
use super::words::{CLASSES, CONTRACTIONS, Class, NO_PLURALS, NUMBER_WORDS, ORDINALS, PAST_FORMS, SAME, SILENT, has};

pub struct Tables {
    phrases: BTreeMap<&'static str, Vec<Phrase>>,
    same: BTreeMap<&'static str, &'static str>,
    classes: BTreeMap<&'static str, Class>,
    silent: BTreeSet<&'static str>,
    contractions: BTreeMap<&'static str, &'static str>,
    /// Every word of the tables: what an unknown word may have been meant to be.
    words: BTreeSet<String>,
}

/// One turn of phrase: its words, and what it says.
pub struct Phrase {
    pub words: Vec<&'static str>,
    pub only_at_clause: bool,
    pub says: &'static str,
}

impl Tables {
    pub fn new() -> Self {
        let mut phrases: BTreeMap<&str, Vec<Phrase>> = BTreeMap::new();
        for (pattern, says) in PHRASES {
            let words: Vec<&str> = pattern.trim_start_matches('^').split(' ').collect();
            let only_at_clause = pattern.starts_with('^');
            let first = words.first().copied().unwrap_or("");
            phrases.entry(first).or_default().push(Phrase {
                words,
                only_at_clause,
                says,
            });
        }
        for of_word in phrases.values_mut() {
            of_word.sort_by_key(|phrase| std::cmp::Reverse(phrase.words.len()));
        }
        let same: BTreeMap<&str, &str> = SAME
            .iter()
            .flat_map(|group| {
                let first = group.split(' ').next().unwrap_or(group);
                group.split(' ').map(move |word| (word, first))
            })
            .collect();
        let classes: BTreeMap<&str, Class> = CLASSES
            .iter()
            .flat_map(|(class, words)| words.split(' ').map(|word| (word, *class)))
            .collect();
        let contractions = CONTRACTIONS.iter().copied().collect();
        let in_phrases = phrases
            .values()
            .flatten()
            .flat_map(|phrase| phrase.words.iter().copied().chain(phrase.says.split(' ')));
        let numbers = NUMBER_WORDS
            .iter()
            .map(|(word, _)| *word)
            .chain(ORDINALS.iter().map(|(word, _)| *word));
        let single = in_phrases
            .chain(classes.keys().copied())
            .chain(SILENT.split(' '))
            .chain(numbers);
        let plurals = same.keys().map(|word| format!("{word}s"));
        let words = single
            .chain(same.keys().copied())
            .map(str::to_owned)
            .chain(plurals)
            .collect();
        Self {
            words,
            phrases,
            same,
            classes,
            silent: SILENT.split(' ').collect(),
            contractions,
        }
    }

    /// Those that begin with `word`, the longest first.
    pub fn phrases(&self, word: &str) -> &[Phrase] {
        self.phrases.get(word).map_or(&[], Vec::as_slice)
    }

    pub fn written_out(&self, contraction: &str) -> Option<&'static str> {
        self.contractions.get(contraction).copied()
    }

    pub fn is_silent(&self, word: &str) -> bool {
        self.silent.contains(word)
    }

    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    pub fn has_word(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    pub fn class(&self, term: &str) -> Option<Class> {
        self.classes.get(term).copied()
    }

    /// The one word that stands for this and all that mean the same.
    pub fn canonical(&self, word: &str) -> String {
        let same = |word: &str| self.same.get(word).copied();
        let singular = singular(word);
        let found = same(word).or_else(|| same(&singular)).map(str::to_owned);
        found.unwrap_or_else(|| american(&singular))
    }

    /// The verb of a past form or a participle, if it is one.
    pub fn verb(&self, word: &str, is_known: &impl Fn(&str) -> bool) -> Option<String> {
        if let Some((_, verb)) = PAST_FORMS.iter().find(|(past, _)| *past == word) {
            return Some((*verb).to_owned());
        }
        let stem = word
            .strip_suffix("ed")
            .filter(|stem| stem.len() > 2 && !stem.ends_with('e'))?;
        verb_of(stem, is_known)
    }

    /// The verb of a gerund.
    pub fn done(&self, word: &str, is_known: &impl Fn(&str) -> bool) -> Option<String> {
        verb_of(word.strip_suffix("ing").filter(|stem| stem.len() > 2)?, is_known)
    }
}

/// The verb whose ending was cut off: "declin" of "decline", "plann" of "plan", "appli" of "apply".
fn verb_of(stem: &str, is_known: &impl Fn(&str) -> bool) -> Option<String> {
    let mut letters = stem.chars().rev();
    let (last, before) = (letters.next()?, letters.next()?);
    let doubled = last == before && !"sl".contains(last);
    let single = doubled.then(|| stem.strip_suffix(last)).flatten().map(str::to_owned);
    let y = stem.strip_suffix('i').map(|stem| format!("{stem}y"));
    let candidates = single.into_iter().chain(y).chain([format!("{stem}e"), stem.to_owned()]);
    candidates.into_iter().find(|verb| is_known(verb))
}

/// Without a plural's ending. It need not be a word: both prompts are cut alike.
fn singular(word: &str) -> String {
    let keeps = word.len() < 4 || ["ss", "us", "is"].iter().any(|end| word.ends_with(end)) || has(NO_PLURALS, word);
    if keeps || !word.ends_with('s') {
        return word.to_owned();
    }
    let sibilant = ["sses", "xes", "ches", "shes", "zzes"]
        .iter()
        .any(|end| word.ends_with(end));
    match word.strip_suffix("ies") {
        Some(stem) if stem.len() > 1 => format!("{stem}y"),
        _ if sibilant => word.strip_suffix("es").unwrap_or(word).to_owned(),
        _ => word.strip_suffix('s').unwrap_or(word).to_owned(),
    }
}

/// Spelled as in America, where endings tell how. It need not be a word: both prompts are spelled alike.
fn american(word: &str) -> String {
    const ENDINGS: &[(&str, &str)] = &[
        ("isation", "ization"),
        ("ising", "izing"),
        ("ised", "ized"),
        ("ise", "ize"),
        ("yse", "yze"),
        ("ysing", "yzing"),
        ("ysed", "yzed"),
        ("our", "or"),
        ("oured", "ored"),
        ("ouring", "oring"),
        ("ourite", "orite"),
        ("elled", "eled"),
        ("elling", "eling"),
    ];
    let long = word.len() >= 6;
    let ending = ENDINGS.iter().find(|(british, _)| long && word.ends_with(british));
    ending.map_or_else(
        || word.to_owned(),
        |(british, american)| word.strip_suffix(british).unwrap_or(word).to_owned() + american,
    )
}
