//! Whether the answer to one prompt may be served for another: everything that turns an answer must agree. What is not
//! known to mean the same is a difference, so a wording that nobody thought of costs a call.
//! Knows no vectors: similarity finds candidates, this decides.

mod lex;
mod phrases;
mod reading;
mod slips;
mod spelled;
mod tables;
mod words;
mod written;

use reading::{Reading, Term};
use spelled::Words;
use tables::Tables;
use words::Class;

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

impl Verifier {
    /// Whether the answer to `before` answers `now`. `is_known` says which lower-case words people write; what it does
    /// not know may be a typing slip.
    pub fn verify(&self, before: &str, now: &str, is_known: impl Fn(&str) -> bool) -> Result<(), Difference> {
        if before.split_whitespace().eq(now.split_whitespace()) {
            return Ok(());
        }
        if before.len().max(now.len()) > MAX_COMPARED_BYTES {
            return Err(Difference::Length);
        }
        let as_is = (before, now);
        let (before, now) = (lex::lexemes(before), lex::lexemes(now));
        if before.len().max(now.len()) > MAX_COMPARED_LEXEMES {
            return Err(Difference::Length);
        }
        let mut before = Words::of(before, &self.tables);
        let mut now = Words::of(now, &self.tables);
        let as_written = before.clone();
        before.correct(&now, &self.tables, &is_known);
        now.correct(&as_written, &self.tables, &is_known);
        compare(
            &before.read(&self.tables, &is_known),
            &now.read(&self.tables, &is_known),
        )?;
        written::alike(as_is.0, as_is.1)
    }
}

fn compare(a: &Reading, b: &Reading) -> Result<(), Difference> {
    same_question(a, b)?;
    same_terms(a, b)?;
    same_time(a, b)
}

fn same_terms(a: &Reading, b: &Reading) -> Result<(), Difference> {
    let (left, right) = (terms_beside(a, b), terms_beside(b, a));
    let all = |reading: &Reading, terms: &[&Term]| {
        let floating = reading.dates.iter().chain(&reading.shape);
        let mut all: Vec<(String, Class)> = terms
            .iter()
            .copied()
            .chain(floating)
            .map(|term| (term.text.clone(), term.class))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    if let Some(difference) = first_difference(&all(a, &left), &all(b, &right)) {
        return Err(difference);
    }
    let texts = |terms: &[Term]| terms.iter().map(|term| term.text.clone()).collect::<Vec<_>>();
    if texts(&a.dates) != texts(&b.dates) {
        return Err(Difference::Date);
    }
    if texts(&a.shape) != texts(&b.shape) {
        return Err(Difference::Order);
    }
    if !left
        .iter()
        .map(|term| &term.text)
        .eq(right.iter().map(|term| &term.text))
    {
        let directed = left
            .iter()
            .any(|term| matches!(term.class, Class::Direction | Class::Comparison));
        let otherwise = if directed {
            Difference::Direction
        } else {
            Difference::Order
        };
        return if is_attribute(&left, &right) {
            Ok(())
        } else {
            Err(otherwise)
        };
    }
    let crossed = |a: &Term, b: &Term| {
        let roles = a.role.is_some() && b.role.is_some() && a.role != b.role;
        roles || (a.suffered.is_some() && b.suffered.is_some() && a.suffered != b.suffered)
    };
    let any_crossed = left.iter().zip(&right).any(|(a, b)| crossed(a, b));
    let persons = !a.persons.is_empty() && !b.persons.is_empty() && a.persons != b.persons;
    if any_crossed || persons {
        Err(Difference::Direction)
    } else {
        Ok(())
    }
}

/// Terms without those that only name the kind of thing that is asked for, where the other prompt does not.
fn terms_beside<'a>(of: &'a Reading, other: &Reading) -> Vec<&'a Term> {
    let other_has = |term: &Term| other.terms.iter().any(|theirs| theirs.text == term.text);
    of.terms
        .iter()
        .filter(|term| !term.optional || other_has(term))
        .collect()
}

/// "Lima population" and "population of Lima": a name may stand before its attribute or, led by a preposition, after it.
fn is_attribute(left: &[&Term], right: &[&Term]) -> bool {
    let (&[left_first, left_last], &[right_first, right_last]) = (left, right) else {
        return false;
    };
    // At a sentence's beginning a capital does not tell a name: that of the other prompt does.
    let is_name = |a: &Term, b: &Term| a.class == Class::Name || b.class == Class::Name;
    let names = usize::from(is_name(left_first, right_last)) + usize::from(is_name(left_last, right_first));
    let swapped = left_first.text == right_last.text && left_last.text == right_first.text;
    names == 1 && swapped && (left_last.led || right_last.led) && !(left_last.led && right_last.led)
}

/// Why two sorted lists of terms differ: the difference that says most.
fn first_difference(a: &[(String, Class)], b: &[(String, Class)]) -> Option<Difference> {
    let mut only: Vec<Class> = Vec::new();
    let (mut left, mut right) = (a.iter().peekable(), b.iter().peekable());
    loop {
        match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(a), Some(b)) if a.0 == b.0 => {
                left.next();
                right.next();
            }
            (Some(a), Some(b)) if a.0 < b.0 => only.extend(left.next().map(|term| term.1)),
            (Some(_), None) => only.extend(left.next().map(|term| term.1)),
            _ => only.extend(right.next().map(|term| term.1)),
        }
    }
    only.into_iter().map(difference_of).min()
}

fn difference_of(class: Class) -> Difference {
    match class {
        Class::Literal => Difference::Literal,
        Class::Number => Difference::Number,
        Class::Unit => Difference::Unit,
        Class::Currency => Difference::Currency,
        Class::Date => Difference::Date,
        Class::Language => Difference::Language,
        Class::Format => Difference::Format,
        Class::Negation => Difference::Negation,
        Class::Comparison => Difference::Comparison,
        Class::Direction => Difference::Direction,
        Class::Scope => Difference::Scope,
        Class::Name => Difference::Name,
        Class::Ask | Class::Word => Difference::Wording,
    }
}

fn same_question(a: &Reading, b: &Reading) -> Result<(), Difference> {
    let bare = |reading: &Reading| reading.frames == ["bare"];
    let may_be_bare = |other: &Reading, bare: &Reading| {
        other.frames == ["what"] || (other.frames == ["how"] && bare.telegraphic && bare.terms.len() > 1)
    };
    let same = a.frames == b.frames || (bare(a) && may_be_bare(b, a)) || (bare(b) && may_be_bare(a, b));
    if !same {
        return Err(Difference::QuestionType);
    }
    if !asks_how(a, b) && a.modals != b.modals {
        return Err(Difference::QuestionType);
    }
    Ok(())
}

fn same_time(a: &Reading, b: &Reading) -> Result<(), Difference> {
    match (a.past, b.past) {
        (Some(past), Some(other)) if past != other && !asks_how(a, b) => Err(Difference::Tense),
        _ => Ok(()),
    }
}

/// Asked how, "can I", "should I" and "did you" ask for the same.
fn asks_how(a: &Reading, b: &Reading) -> bool {
    a.frames.iter().chain(&b.frames).any(|frame| frame == "how")
}
