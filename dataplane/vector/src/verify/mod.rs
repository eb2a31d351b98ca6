//! Whether the answer to one prompt may be served for another: everything that turns an answer must agree. What is not
//! known to mean the same is a difference, so a wording that nobody thought of costs a call.
//! Knows no vectors: similarity finds candidates, this decides.

mod form;
mod layout;
mod lex;
mod marks;
mod phrases;
mod prepared;
mod reading;
mod slips;
mod small;
mod spelled;
mod stated;
mod tables;
mod turns;
mod words;
mod written;

use form::Form;
pub use prepared::Prepared;
use spelled::Words;
use tables::Tables;

/// Longer prompts are served only when they are equal but for white space: comparing takes about a microsecond a word.
pub const MAX_COMPARED_BYTES: usize = 4 << 10;
/// And those of more words and marks: what comparing costs is bounded whatever they are.
const MAX_COMPARED_LEXEMES: usize = 512;

/// The similarity below which no candidate is looked at, unless configured otherwise: low, for similarity only finds
/// what the verifier decides.
pub const DEFAULT_THRESHOLD: f32 = 0.50;

/// Why a cached answer may not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    Literal,
    Number,
    Unit,
    Currency,
    Date,
    Language,
    Format,
    Negation,
    Comparison,
    Direction,
    Scope,
    Name,
    QuestionType,
    Tense,
    Wording,
    Order,
    Length,
}

impl Difference {
    /// For explain, metrics and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Literal => "literal",
            Self::Number => "number",
            Self::Unit => "unit",
            Self::Currency => "currency",
            Self::Date => "date",
            Self::Language => "language",
            Self::Format => "format",
            Self::Negation => "negation",
            Self::Comparison => "comparison",
            Self::Direction => "direction",
            Self::Scope => "scope",
            Self::Name => "name",
            Self::QuestionType => "question_type",
            Self::Tense => "tense",
            Self::Wording => "wording",
            Self::Order => "order",
            Self::Length => "length",
        }
    }
}

/// The verifier, with its tables made ready. Immutable and shared by all shards.
pub struct Verifier {
    tables: Tables,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { tables: Tables::new() }
    }
}

/// A prompt and what was read of it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub text: &'a str,
    pub prepared: &'a Prepared,
}

impl Verifier {
    /// Whether the answer to `before` answers `now`. `is_known` says which lower-case words people write; what it does
    /// not know may be a typing slip.
    pub fn verify(&self, before: &str, now: &str, is_known: impl Fn(&str) -> bool) -> Result<(), Difference> {
        if are_the_same_words(before, now, &self.tables) {
            return Ok(());
        }
        let (first, second) = (self.prepare(before, &is_known), self.prepare(now, &is_known));
        let of = |text, prepared| Asked { text, prepared };
        self.compare(of(before, &first), of(now, &second), is_known)
    }

    /// Whether two statements, such as the texts of earlier turns, say the same: of what a question may leave out nothing is
    /// left out, and only how its words are spelled may differ.
    pub fn states_the_same(&self, before: &str, now: &str, is_known: impl Fn(&str) -> bool) -> Result<(), Difference> {
        if are_the_same_words(before, now, &self.tables) {
            return Ok(());
        }
        // It says why, where a question would be another too.
        self.verify(before, now, is_known)?;
        stated::alike(before, now, &self.tables)
    }

    /// Reads a prompt, so that it can be compared with many.
    pub fn prepare(&self, text: &str, is_known: impl Fn(&str) -> bool) -> Prepared {
        Prepared::of(text, &self.tables, &is_known)
    }

    /// Whether the answer to `before` answers `now`, both read with the same `is_known`.
    pub fn compare(
        &self,
        before: Asked<'_>,
        now: Asked<'_>,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<(), Difference> {
        if are_the_same_words(before.text, now.text, &self.tables) {
            return Ok(());
        }
        let (Some(first), Some(second)) = (before.prepared.read(), now.prepared.read()) else {
            return Err(Difference::Length);
        };
        match first.may_be_corrected(second, &self.tables) || second.may_be_corrected(first, &self.tables) {
            true => self.compare_corrected(before.text, now.text, &is_known)?,
            false => form::compare(&first.form, &second.form)?,
        }
        written::alike(before.text, now.text, &self.tables)
    }

    /// Both are read again, each with slips put right that the other shows to be some.
    fn compare_corrected(&self, before: &str, now: &str, is_known: &dyn Fn(&str) -> bool) -> Result<(), Difference> {
        let tables = &self.tables;
        let (small_before, small_now) = (before.to_ascii_lowercase(), now.to_ascii_lowercase());
        let mut before = Words::of(lex::lexemes(before, &small_before), tables);
        let mut now = Words::of(lex::lexemes(now, &small_now), tables);
        let as_written = before.clone();
        before.correct(&now, tables, is_known);
        now.correct(&as_written, tables, is_known);
        form::compare(&form_of(before, tables, is_known), &form_of(now, tables, is_known))
    }
}

fn form_of(words: Words<'_>, tables: &Tables, is_known: &dyn Fn(&str) -> bool) -> Form {
    let (words, is_english) = words.spelled(tables);
    Form::of(&reading::read(&words, tables, is_known, is_english))
}

/// Where one has another byte than the other: prompts may be alike for a long way.
fn first_other_byte(one: &[u8], other: &[u8]) -> Option<usize> {
    const AT_ONCE: usize = 64;
    let both = || one.chunks(AT_ONCE).zip(other.chunks(AT_ONCE));
    let (at, (one, other)) = both().enumerate().find(|(_, (one, other))| one != other)?;
    let within = one.iter().zip(other).position(|(one, other)| one != other);
    within.map(|within| at * AT_ONCE + within)
}

/// Whether two texts are equal but for white space that says nothing.
fn are_the_same_words(one: &str, other: &str, tables: &Tables) -> bool {
    let differ = first_other_byte(one.as_bytes(), other.as_bytes());
    let is_letter_at = |text: &str, at: usize| {
        let at = text.floor_char_boundary(at);
        text.get(at..)
            .and_then(|rest| rest.chars().next())
            .is_some_and(|letter| !letter.is_whitespace())
    };
    match differ {
        None if one.len() == other.len() => true,
        // Most texts part within a word.
        Some(at) if is_letter_at(one, at) && is_letter_at(other, at) => false,
        _ => one.split_whitespace().eq(other.split_whitespace()) && layout::alike(one, other, tables),
    }
}

#[cfg(test)]
mod tests;
