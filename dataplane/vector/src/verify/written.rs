//! How two prompts are written, where that is what is said: signs, the case of symbols and names, single letters, and prompts
//! that speak of words themselves. Reading takes all of it away, so it is looked at beside. Knows no meaning.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Difference;
use super::layout;
use super::marks::{self, Marks};
use super::small;
use super::tables::{self, Id, Tables};
use super::words::has;
use crate::run::{self, Run};

/// What units may be written as beside small letters.
const UNITS_IN_CAPITALS: &str = "kB KB MB GB TB L KG KM";
/// Of words that are no politeness, where politeness is left out.
const LEAST_WORDS: usize = 3;
/// More words of politeness are something else.
const MOST_POLITE: usize = 8;
/// Ways to write one word that are looked at.
const MOST_FORMS: usize = 8;

/// Whether both are written alike in what no reading tells.
pub fn alike(before: &str, now: &str, tables: &Tables) -> Result<(), Difference> {
    let (one, other) = (Written::of(before, tables), Written::of(now, tables));
    if one.is_of_words() || other.is_of_words() {
        return Err(Difference::Wording);
    }
    if signs(before) != signs(now) || !one.letters().eq(other.letters()) || !layout::alike(before, now, tables) {
        return Err(Difference::Literal);
    }
    if !one.few().eq(other.few()) || one.asks_of_some() != other.asks_of_some() {
        return Err(Difference::Scope);
    }
    if !one.points_as(&other) || !one.fillers_that_are_meant().eq(other.fillers_that_are_meant()) {
        return Err(Difference::Wording);
    }
    small::alike(&one, &other, tables)?;
    if one.odd_units() != other.odd_units() {
        return Err(Difference::Unit);
    }
    if !have_each_other_s_case(&one, &other) {
        return Err(Difference::Name);
    }
    match one.polite().eq(other.polite()) || (one.is_polite_around() && other.is_polite_around()) {
        true => Ok(()),
        false => Err(Difference::Wording),
    }
}

pub(super) struct Written<'a> {
    text: &'a str,
    pub words: Vec<Token<'a>>,
    /// The lists that its words are in.
    pub seen: Marks,
}

pub(super) struct Token<'a> {
    pub text: &'a str,
    pub lower: Cow<'a, str>,
    /// It is of ASCII's small letters and digits.
    is_plain: bool,
    pub hash: u32,
    pub id: Id,
    pub marks: Marks,
    /// A sentence begins with it: its first letter says nothing.
    pub begins: bool,
    /// Punctuation or an end stands there.
    after_mark: bool,
    pub before_mark: bool,
}

impl<'a> Written<'a> {
    fn of(text: &'a str, tables: &Tables) -> Self {
        let words = tokens(text, tables);
        let mut seen = Marks::default();
        words.iter().for_each(|word| seen.add(word.marks));
        Self { text, words, seen }
    }

    fn are(&self, list: Marks) -> impl Iterator<Item = &Token<'a>> {
        let words = if self.seen.has(list) { &self.words[..] } else { &[] };
        words.iter().filter(move |word| word.marks.has(list))
    }

    fn is_of_words(&self) -> bool {
        let is_quoted = || self.text.contains(['"', '“', '«', '„', '「', '`', '‘']);
        let names_words = || {
            let mut pairs = self.words.iter().zip(self.words.iter().skip(1));
            pairs.any(|(article, word)| article.marks.has(marks::COUNTS_WORDS) && word.marks.has(marks::NAMES_WORDS))
        };
        self.seen.has(marks::OF_WORDS)
            || (self.seen.has(marks::OF_TEXTS) && self.text.contains(':'))
            || (self.seen.has(marks::OF_SPEECH) && !is_quoted())
            || (self.seen.has(marks::NAMES_WORDS) && names_words())
    }

    /// Single letters, in order; "a" where it is no article.
    fn letters(&self) -> impl Iterator<Item = &str> {
        let is_symbol = |at: usize, word: &Token<'_>| {
            let next = self.words.get(at + 1);
            let is_behind =
                |next: &Token<'_>| next.lower.chars().count() == 1 || next.marks.has(marks::BEHIND_A_LETTER);
            word.lower != "a" || word.before_mark || next.is_some_and(is_behind)
        };
        let none = marks::IS_LEFT.and(marks::IS_UNIT);
        let single = self.words.iter().enumerate();
        let single = single.filter(move |(at, word)| {
            word.lower.len() == 1
                && !word.marks.has(none)
                && word.lower.chars().all(char::is_alphabetic)
                && is_symbol(*at, word)
        });
        single.map(|(_, word)| &*word.lower)
    }

    /// "Few" and "a few" are not as many.
    fn few(&self) -> impl Iterator<Item = bool> {
        let words = if self.seen.has(marks::IS_FEW) {
            &self.words[..]
        } else {
            &[]
        };
        let few = words
            .iter()
            .enumerate()
            .filter(|(_, word)| word.marks.has(marks::IS_FEW));
        few.map(|(at, _)| at > 0 && words.get(at - 1).is_some_and(|before| before.lower == "a"))
    }

    /// "Can some people fly?" is not whether people can.
    fn asks_of_some(&self) -> bool {
        let mut words = self.words.iter();
        let asks = |word: &Token<'_>| word.marks.has(marks::BEGINS_WHETHER) || word.lower == "why";
        words.next().is_some_and(asks)
            && words.next().is_some_and(|who| who.lower != "you")
            && self.words.iter().any(|word| word.lower == "some")
    }

    /// Where both point at something, they do so in the same order: "this" before "that".
    fn points_as(&self, other: &Self) -> bool {
        let points = |of: &Self| of.are(marks::POINTS).map(|word| word.hash).collect::<Vec<_>>();
        let both = self.seen.has(marks::POINTS) && other.seen.has(marks::POINTS);
        !both || points(self) == points(other)
    }

    /// Beside a question of meaning, a word that says nothing may be what is asked about.
    fn fillers_that_are_meant(&self) -> impl Iterator<Item = u32> {
        let are_meant = self.seen.has(marks::OF_MEANING);
        let fillers = self.are(marks::IS_FILLER).filter(move |_| are_meant);
        fillers.map(|word| word.hash)
    }

    /// "Mg" is no "mg", and no milligram.
    fn odd_units(&self) -> Vec<&str> {
        let units = || self.are(marks::IS_UNIT);
        let is_odd = |word: &Token<'_>| word.text != word.lower && !has(UNITS_IN_CAPITALS, word.text);
        match units().any(is_odd) {
            true => units().map(|word| word.text).collect(),
            false => Vec::new(),
        }
    }

    /// A text without capitals but where sentences begin.
    fn is_small(&self) -> bool {
        self.words.iter().filter(|word| !word.is_plain).all(|word| {
            let mut letters = word.text.chars().skip(usize::from(word.begins || word.text == "I"));
            !letters.any(char::is_uppercase)
        })
    }

    fn polite(&self) -> impl Iterator<Item = &str> {
        self.are(marks::IS_POLITE).map(|word| &*word.lower)
    }

    /// All politeness stands where a request begins or ends, and there is a request.
    fn is_polite_around(&self) -> bool {
        let polite = self.polite().count();
        let is_around = |at: usize, word: &Token<'_>| {
            let leads = || {
                self.words
                    .iter()
                    .take(at)
                    .all(|word| word.marks.has(marks::BEFORE_POLITE))
            };
            let behind = marks::BEHIND_POLITE.and(marks::IS_POLITE);
            let trails = || self.words.iter().skip(at + 1).all(|word| word.marks.has(behind));
            // "Who wrote Thank You" asks for what would lack then.
            let is_object = || {
                let before = at.checked_sub(1).and_then(|at| self.words.get(at));
                before.is_some_and(|before| before.marks.has(marks::NEEDS_OBJECT))
            };
            let is_large = |word: &Token<'_>| !word.begins && word.text.starts_with(char::is_uppercase);
            // Without a mark before it, "Thanks" begins a sentence, and "Thank You" is a title.
            let is_title = || {
                let is_next_large = self.words.get(at + 1).is_some_and(is_large);
                is_large(word) && !word.after_mark && (is_next_large || !word.lower.starts_with("thank"))
            };
            // A clause of its own, or the beginning of one.
            !is_title() && (word.after_mark || leads() || (trails() && !is_object()))
        };
        let mut words = self.words.iter().enumerate();
        polite == 0
            || (polite <= MOST_POLITE
                && self.words.len() >= polite + LEAST_WORDS
                && !self.seen.has(marks::OF_MEANING)
                && words.all(|(at, word)| !word.marks.has(marks::IS_POLITE) || is_around(at, word)))
    }

    /// Words that have capitals in one of the two, by their letters; of the same, as they stand.
    fn cased<'b>(&'b self, cased: &Cased) -> Vec<&'b Token<'a>> {
        let mut words: Vec<&Token<'_>> = self.words.iter().filter(|word| cased.may_have(word.hash)).collect();
        words.sort_by(|one, other| one.by_letters(other));
        words
    }
}

/// Hashes of words with capitals, a bit for several: words without any are written alike, and need no look.
#[derive(Default)]
struct Cased([u64; 8]);

impl Cased {
    fn place(hash: u32) -> (usize, u64) {
        ((hash >> 6) as usize % 8, 1 << (hash % 64))
    }

    fn add(&mut self, words: &[Token<'_>]) {
        for word in words.iter().filter(|word| word.is_cased()) {
            let (at, bit) = Self::place(word.hash);
            self.0[at] |= bit;
        }
    }

    fn may_have(&self, hash: u32) -> bool {
        let (at, bit) = Self::place(hash);
        self.0[at] & bit != 0
    }
}

/// Each word of both is written in each in a way that it is written in the other.
fn have_each_other_s_case(one: &Written<'_>, other: &Written<'_>) -> bool {
    let mut cased = Cased::default();
    cased.add(&one.words);
    cased.add(&other.words);
    let is_one_small = one.is_small() || other.is_small();
    let (ones, others) = (one.cased(&cased), other.cased(&cased));
    let mut others = others.chunk_by(|one, other| one.lower == other.lower).peekable();
    ones.chunk_by(|one, other| one.lower == other.lower).all(|ones| {
        let Some(one) = ones.first() else { return true };
        let order = |others: &&[&Token<'_>]| others.first().map(|other| other.by_letters(one));
        while others.next_if(|others| order(others) == Some(Ordering::Less)).is_some() {}
        let Some(others) = others.next_if(|others| order(others) == Some(Ordering::Equal)) else {
            return true;
        };
        are_written_as(ones, others, is_one_small) && are_written_as(others, ones, is_one_small)
    })
}

fn are_written_as(words: &[&Token<'_>], others: &[&Token<'_>], is_one_small: bool) -> bool {
    let mut forms: Vec<&Token<'_>> = Vec::new();
    for word in others {
        let is_new = |form: &&Token<'_>| (form.text, form.begins) != (word.text, word.begins);
        if forms.len() < MOST_FORMS && forms.iter().all(is_new) {
            forms.push(word);
        }
    }
    let is_written = |word: &&Token<'_>| forms.iter().any(|form| word.is_written_as(form, is_one_small));
    words.iter().all(is_written)
}

impl Token<'_> {
    /// It has capitals.
    fn is_cased(&self) -> bool {
        !self.is_plain && self.text != self.lower
    }

    /// Whatever the order, of the same letters are those that are equal.
    fn by_letters(&self, other: &Self) -> Ordering {
        self.hash.cmp(&other.hash).then_with(|| self.lower.cmp(&other.lower))
    }

    fn is_written_as(&self, other: &Self, is_one_small: bool) -> bool {
        if self.text == other.text || self.lower == "i" {
            return true;
        }
        let (rest, other_rest) = (behind_first(self.text), behind_first(other.text));
        let is_symbol = self.lower.chars().count() <= 2 && !self.marks.has(marks::IS_SHORT);
        let is_first_only = rest == other_rest && !rest.chars().any(char::is_uppercase);
        let is_beginning = self.begins || other.begins;
        let is_name = self.marks.has(marks::IS_HOMOGRAPH);
        is_first_only && !is_symbol && (is_beginning || (is_one_small && !is_name))
    }
}

fn behind_first(text: &str) -> &str {
    let mut letters = text.chars();
    letters.next();
    letters.as_str()
}

fn tokens<'a>(text: &'a str, tables: &Tables) -> Vec<Token<'a>> {
    /// A word and the space behind it.
    const USUAL_BYTES: usize = 5;
    let mut words: Vec<Token<'_>> = Vec::with_capacity(text.len() / USUAL_BYTES + 1);
    let (mut at, mut begins, mut after_mark) = (0, true, true);
    while let Some(byte) = text.as_bytes().get(at) {
        let rest = text.get(at..).unwrap_or_default();
        let run = Run::of(rest.as_bytes());
        let is_run = !matches!(run.next, Some(b'-' | 0x80..));
        let length = if is_run { run.bytes } else { word_bytes(rest) };
        if length > 0 {
            let word = rest.get(..length).unwrap_or_default();
            let is_plain = match is_run {
                true => run.is_plain(),
                false => word.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()),
            };
            let lower = match is_plain {
                true => Cow::Borrowed(word),
                false => Cow::Owned(word.to_lowercase()),
            };
            let hash = if is_run { run.hash } else { tables::hash(&lower) };
            let id = tables.id(&lower, hash);
            words.push(Token {
                text: word,
                id,
                marks: tables.facts(id).marks,
                lower,
                is_plain,
                hash,
                begins,
                after_mark,
                before_mark: false,
            });
            at += length;
            (begins, after_mark) = (false, false);
            continue;
        }
        at = text.ceil_char_boundary(at + 1);
        if matches!(byte, b'.' | b'!' | b'?' | b';' | b':' | b',' | b'\n') {
            begins |= *byte != b',';
            after_mark = true;
            if let Some(last) = words.last_mut() {
                last.before_mark = true;
            }
        }
    }
    if let Some(last) = words.last_mut() {
        last.before_mark = true;
    }
    words
}

/// How long the word is that a text begins with. "E-mail" is one.
fn word_bytes(text: &str) -> usize {
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let mut joins = || at > 0 && letters.peek().is_some_and(|(_, behind)| behind.is_alphabetic());
        if !(letter.is_alphanumeric() || (letter == '-' && joins())) {
            return at;
        }
    }
    text.len()
}

/// In order, each with what stands around it: what reading leaves out and may be meant, which is brackets, dashes, and dots and
/// other punctuation where no sentence ends.
fn signs(text: &str) -> String {
    let mut found = String::new();
    let mut rest = text;
    while let Some(at) = run::first_mark(rest.as_bytes()) {
        let mut letters = rest.get(at..).unwrap_or_default().chars();
        let Some(letter) = letters.next() else { break };
        rest = letters.as_str();
        let read = text
            .get(..text.len() - rest.len() - letter.len_utf8())
            .unwrap_or_default();
        let before = read.chars().next_back().unwrap_or(' ');
        let behind = || letters.clone().next().unwrap_or(' ');
        let is_end = || {
            let behind = behind();
            behind.is_whitespace() || "\"'”’»!?.)".contains(behind)
        };
        let is_meant = match letter {
            '(' | ')' | '[' | ']' | '{' | '}' | '–' | '—' | '…' => true,
            '-' => !(before.is_alphabetic() && behind().is_alphabetic()),
            '!' => !is_end() || before.is_ascii_digit() || before.is_whitespace(),
            '.' | '?' | ';' => !is_end() || before.is_whitespace(),
            ',' | ':' => before.is_whitespace(),
            // Feet and inches, and the possessive of a plural.
            '\'' | '"' | '′' | '″' | '’' | '”' | '`' => {
                let is_inner = behind().is_alphabetic();
                let is_double = matches!(letter, '"' | '″' | '”' | '`');
                if !is_inner && letter != '`' && (before.is_ascii_digit() || (!is_double && "sS".contains(before))) {
                    found.extend([before, if is_double { '″' } else { '′' }]);
                }
                before.is_whitespace() && behind().is_whitespace()
            }
            _ => false,
        };
        if is_meant {
            let next = letters.clone().find(|letter| !letter.is_whitespace()).unwrap_or(' ');
            let last = read.chars().rev().find(|letter| !letter.is_whitespace()).unwrap_or(' ');
            found.extend([last, letter, next].into_iter().flat_map(char::to_lowercase));
        }
    }
    found
}
