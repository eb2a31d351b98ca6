//! The facts of `words`, `phrases` and `marks`, made findable once: a word is looked up by its bytes, and what is known of it
//! lies together. Knows no prompt.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::marks::{self, Marks};
use super::phrases::PHRASES;
use super::slips::Expected;
use super::turns::{Turn, Turns};
use super::words::{
    AUXILIARIES, CLASSES, CONTRACTIONS, Class, DETERMINERS, Determiner, MODALS, NUMBER_WORDS, ORDINALS, PAST_FORMS,
    PERSONS, PREPOSITIONS, Preposition, ROLES, SAME, SILENT, has,
};
use crate::embed::vocabulary::{HASH_OF_NOTHING, Vocabulary, hash_on};

/// A word of the tables, or `NONE`: a word that is in none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub u16);

pub const NONE: Id = Id(0);

/// What is known of one word.
#[derive(Debug, Default)]
pub struct Facts {
    pub text: Box<str>,
    pub hash: u32,
    pub marks: Marks,
    pub class: Option<Class>,
    /// The word that stands for this and all that mean the same.
    pub canonical: Id,
    /// Of a past form that no ending tells.
    pub verb: Id,
    pub number: Option<u64>,
    /// "1st" of "first".
    pub ordinal: Id,
    pub written_out: Option<&'static str>,
    /// Numbers of `ROLES` and `PERSONS`; zero is none.
    pub role: u8,
    pub person: u8,
    pub determiner: Determiner,
    pub preposition: Preposition,
    /// A bit for each of `MODALS` that is another.
    pub modal: u8,
}

pub struct Tables {
    ids: Vocabulary,
    /// By `Id`.
    facts: Vec<Facts>,
    turns: Turns,
    expected: Expected,
}

/// A word as it stands in a prompt or in its place.
#[derive(Clone, Debug)]
pub struct Named<'a> {
    pub text: Cow<'a, str>,
    pub hash: u32,
    pub id: Id,
}

const MODALS_THAT_STAND: [&str; 5] = ["can", "should", "will", "must", "might"];

pub fn hash(text: &str) -> u32 {
    text.bytes().fold(HASH_OF_NOTHING, hash_on)
}

impl Tables {
    pub fn new() -> Self {
        let mut making = Making::default();
        making.words();
        making.lists();
        making.single_facts();
        making.standing_for_others();
        let Making { facts, ids, .. } = making;
        let turns = Turns::new(PHRASES, |word| ids.get(word).copied().unwrap_or_default());
        let of_tables = facts.iter().filter(|facts| facts.marks.has(marks::WORD));
        let expected = Expected::of(of_tables.map(|facts| &*facts.text));
        let numbered = facts.iter().enumerate().skip(1);
        let ids = Vocabulary::new(numbered.map(|(id, facts)| (&*facts.text, id as u32)));
        Self {
            ids,
            facts,
            turns,
            expected,
        }
    }

    /// What is known of a word, by its id.
    pub fn facts(&self, id: Id) -> &Facts {
        // Ids are made here: none is without its facts.
        &self.facts[usize::from(id.0)]
    }

    /// `hash`: the text's, which the caller has at hand.
    pub fn id(&self, text: &str, hash: u32) -> Id {
        let id = self.ids.id(text.as_bytes(), hash);
        id.map_or(NONE, |id| Id(id as u16))
    }

    pub fn find(&self, text: &str) -> Id {
        self.id(text, hash(text))
    }

    pub fn named<'a>(&self, text: Cow<'a, str>) -> Named<'a> {
        let hash = hash(&text);
        let id = self.id(&text, hash);
        Named { text, hash, id }
    }

    pub fn by_id(&self, id: Id) -> Named<'_> {
        let facts = self.facts(id);
        Named {
            text: Cow::Borrowed(&facts.text),
            hash: facts.hash,
            id,
        }
    }

    /// The longest turn of phrase that these words begin with.
    pub fn turn(&self, clause_begins: bool, words: impl Iterator<Item = Id>) -> Option<&Turn> {
        self.turns.longest(clause_begins, words)
    }

    /// What an unknown word may have been meant to be.
    pub fn expected(&self) -> &Expected {
        &self.expected
    }

    pub fn class(&self, id: Id) -> Option<Class> {
        self.facts(id).class
    }

    /// The one word that stands for this and all that mean the same.
    pub fn canonical<'a>(&'a self, word: &Named<'a>) -> Named<'a> {
        if word.id != NONE {
            return self.by_id(self.facts(word.id).canonical);
        }
        let singular = singular(&word.text, false);
        if singular.len() != word.text.len() {
            let id = self.find(&singular);
            if self.facts(id).marks.has(marks::HAS_SAME) {
                return self.by_id(self.facts(id).canonical);
            }
        }
        match american(&singular) {
            Some(american) => self.named(Cow::Owned(american)),
            None if singular.len() == word.text.len() => word.clone(),
            None => self.named(Cow::Owned(singular.into_owned())),
        }
    }

    /// The verb of a past form or a participle, if it is one.
    pub fn verb(&self, word: &Named<'_>, is_known: &dyn Fn(&str) -> bool) -> Option<Named<'_>> {
        let irregular = self.facts(word.id).verb;
        if irregular != NONE {
            return Some(self.by_id(irregular));
        }
        let stem = word
            .text
            .strip_suffix("ed")
            .filter(|stem| stem.len() > 2 && !stem.ends_with('e'))?;
        verb_of(stem, is_known).map(|verb| self.named(Cow::Owned(verb)))
    }

    /// The verb of a gerund.
    pub fn done(&self, word: &Named<'_>, is_known: &dyn Fn(&str) -> bool) -> Option<Named<'_>> {
        let stem = word.text.strip_suffix("ing").filter(|stem| stem.len() > 2)?;
        verb_of(stem, is_known).map(|verb| self.named(Cow::Owned(verb)))
    }
}

/// The tables on their way.
struct Making {
    ids: BTreeMap<String, Id>,
    facts: Vec<Facts>,
}

impl Default for Making {
    /// The first is of words that are in no table.
    fn default() -> Self {
        Self {
            ids: BTreeMap::new(),
            facts: vec![Facts::default()],
        }
    }
}

impl Making {
    fn id(&mut self, word: &str) -> Id {
        if let Some(id) = self.ids.get(word) {
            return *id;
        }
        assert!(
            self.facts.len() < usize::from(u16::MAX),
            "the tables' words have ids of two bytes"
        );
        let id = Id(self.facts.len() as u16);
        self.ids.insert(word.to_owned(), id);
        self.facts.push(Facts {
            text: word.into(),
            hash: hash(word),
            ..Facts::default()
        });
        id
    }

    fn of(&mut self, word: &str) -> &mut Facts {
        let id = self.id(word);
        &mut self.facts[usize::from(id.0)]
    }

    /// Words that prompts may have been meant to have: those with a meaning here.
    fn words(&mut self) {
        let mut words: BTreeSet<Cow<'static, str>> = BTreeSet::new();
        for (pattern, says) in PHRASES {
            let pattern = pattern.trim_start_matches('^').split(' ');
            words.extend(pattern.chain(says.split(' ')).map(Cow::Borrowed));
        }
        let classes = CLASSES.iter().flat_map(|(_, words)| words.split(' '));
        let numbers = NUMBER_WORDS.iter().map(|(word, _)| *word);
        let ordinals = ORDINALS.iter().map(|(word, _)| *word);
        let all = classes.chain(SILENT.split(' ')).chain(numbers).chain(ordinals);
        words.extend(all.map(Cow::Borrowed));
        for word in SAME.iter().flat_map(|group| group.split(' ')) {
            words.insert(Cow::Borrowed(word));
            words.insert(Cow::Owned(format!("{word}s")));
        }
        for word in words {
            self.of(&word).marks.add(marks::WORD);
        }
    }

    fn lists(&mut self) {
        for (list, words) in marks::LISTS {
            for word in words.split(' ') {
                self.of(word).marks.add(*list);
            }
        }
        for (class, words) in CLASSES {
            for word in words.split(' ') {
                self.of(word).class = Some(*class);
            }
        }
        for word in SAME.iter().flat_map(|group| group.split(' ')) {
            self.of(word).marks.add(marks::HAS_SAME);
        }
    }

    fn single_facts(&mut self) {
        for (word, written_out) in CONTRACTIONS {
            self.of(word).written_out = Some(written_out);
        }
        for (word, number) in NUMBER_WORDS {
            self.of(word).number = Some(*number);
        }
        // "Second" is a time as well.
        for (word, ordinal) in ORDINALS.iter().filter(|(word, _)| *word != "second") {
            let ordinal = self.id(ordinal);
            self.of(word).ordinal = ordinal;
        }
        for (past, verb) in PAST_FORMS {
            let verb = self.id(verb);
            self.of(past).verb = verb;
        }
        for (word, role) in ROLES {
            let number = ROLES.iter().position(|(_, other)| other == role);
            self.of(word).role = number.map_or(0, |number| number as u8 + 1);
        }
        for (determiner, words) in DETERMINERS {
            for word in words.split(' ') {
                self.of(word).determiner = *determiner;
            }
        }
        for (preposition, words) in PREPOSITIONS {
            for word in words.split(' ') {
                self.of(word).preposition = *preposition;
            }
        }
        for (word, person) in PERSONS {
            self.of(word).person = *person;
        }
        for (word, modal) in MODALS {
            self.of(word).modal = modal_bit(modal);
            if has(AUXILIARIES, modal) {
                self.of(word).marks.add(marks::BEGINS_WHETHER);
            }
        }
        for word in AUXILIARIES.split(' ') {
            if !MODALS.iter().any(|(modal, _)| *modal == word) {
                self.of(word).marks.add(marks::BEGINS_WHETHER);
            }
        }
    }

    /// What stands for a word is a word of the tables too, and something may stand for that.
    fn standing_for_others(&mut self) {
        let groups = SAME.iter().map(|group| group.split(' '));
        let same: BTreeMap<&str, &str> = groups
            .flat_map(|group| {
                let first = group.clone().next().unwrap_or("");
                group.map(move |word| (word, first))
            })
            .collect();
        let mut at = 1;
        while at < self.facts.len() {
            let word = self.facts[at].text.clone();
            let singular = singular(&word, self.facts[at].marks.has(marks::HAS_NO_PLURAL));
            let found = same.get(&*word).or_else(|| same.get(&*singular));
            let canonical = match found {
                Some(same) => (*same).to_owned(),
                None => american(&singular).unwrap_or_else(|| singular.into_owned()),
            };
            self.facts[at].canonical = self.id(&canonical);
            at += 1;
        }
    }
}

/// A bit for each of the modals that stand for others.
pub fn modal_bit(name: &str) -> u8 {
    let at = MODALS_THAT_STAND.iter().position(|modal| *modal == name);
    at.map_or(0, |at| 1 << at)
}

/// The verb whose ending was cut off: "declin" of "decline", "plann" of "plan", "appli" of "apply".
fn verb_of(stem: &str, is_known: &dyn Fn(&str) -> bool) -> Option<String> {
    let mut letters = stem.chars().rev();
    let (last, before) = (letters.next()?, letters.next()?);
    let doubled = last == before && !"sl".contains(last);
    let single = doubled.then(|| stem.strip_suffix(last)).flatten().map(str::to_owned);
    let y = stem.strip_suffix('i').map(|stem| format!("{stem}y"));
    let mut spelled = single.into_iter().chain(y);
    spelled
        .find(|verb| is_known(verb))
        .or_else(|| Some(format!("{stem}e")).filter(|verb| is_known(verb)))
        .or_else(|| is_known(stem).then(|| stem.to_owned()))
}

/// Without a plural's ending. It need not be a word: both prompts are cut alike.
fn singular(word: &str, has_no_plural: bool) -> Cow<'_, str> {
    let ends = |end: &str| word.ends_with(end);
    if !ends("s") || word.len() < 4 || has_no_plural || ends("ss") || ends("us") || ends("is") {
        return Cow::Borrowed(word);
    }
    let sibilant = ["sses", "xes", "ches", "shes", "zzes"].into_iter().any(ends);
    match word.strip_suffix("ies") {
        Some(stem) if stem.len() > 1 => Cow::Owned(format!("{stem}y")),
        _ if sibilant => Cow::Borrowed(word.strip_suffix("es").unwrap_or(word)),
        _ => Cow::Borrowed(word.strip_suffix('s').unwrap_or(word)),
    }
}

/// Spelled as in America, where endings tell how. It need not be a word: both prompts are spelled alike.
fn american(word: &str) -> Option<String> {
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
    const LEAST_BYTES: usize = 6;
    let may_end = matches!(word.bytes().next_back(), Some(b'd' | b'e' | b'g' | b'n' | b'r'));
    if word.len() < LEAST_BYTES || !may_end {
        return None;
    }
    let ending = ENDINGS.iter().find(|(british, _)| word.ends_with(british));
    ending.map(|(british, american)| word.strip_suffix(british).unwrap_or(word).to_owned() + american)
}
