//! A reading as it is kept and compared: one piece of text, and terms that are numbers beside it. What is equal is equal in
//! all its letters: a hash only says what is not.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Difference;
use super::reading::{Reading, Term};
use super::words::Class;

/// A prompt's reading, by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    frames: Box<[&'static str]>,
    telegraphic: bool,
    past: Option<bool>,
    modals: u8,
    persons: Box<[u8]>,
    /// What the terms say, one behind the other.
    text: Box<[u8]>,
    /// Those whose order counts, then dates, then the answer's shape.
    terms: Box<[Kept]>,
    in_order: usize,
    dates: usize,
    /// All terms by what they say; of the same, as they stand. What each says, as its hash, above its place.
    sorted: Box<[u64]>,
}

/// A term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    hash: u32,
    from: u32,
    bytes: u32,
    class: Class,
    role: u8,
    marks: u8,
}

const OPTIONAL: u8 = 1;
const LED: u8 = 2;
const SUFFERED: u8 = 4;

impl Kept {
    fn is(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// The same term with two parts to play.
    fn is_crossed_with(&self, other: &Self) -> bool {
        (self.role != 0 && other.role != 0 && self.role != other.role) || self.is(SUFFERED) != other.is(SUFFERED)
    }
}

/// Of what `Form::sorted` holds: below it is the place.
const HASH_SHIFT: u32 = 32;

fn place_of(sorted: u64) -> usize {
    sorted as u32 as usize
}

/// A term and what it says.
type Said<'a> = (&'a Kept, &'a [u8]);

fn says_the_same(a: &Said<'_>, b: &Said<'_>) -> bool {
    a.0.hash == b.0.hash && a.1 == b.1
}

impl Form {
    pub fn of(reading: &Reading<'_>) -> Self {
        let all = || reading.terms.iter().chain(&reading.dates).chain(&reading.shape);
        let mut text = Vec::with_capacity(all().map(|term| term.name.text.len()).sum());
        let keep = |term: &Term<'_>| {
            let from = text.len() as u32;
            text.extend_from_slice(term.name.text.as_bytes());
            let mark = |mark: u8, is: bool| if is { mark } else { 0 };
            Kept {
                hash: term.name.hash,
                from,
                bytes: term.name.text.len() as u32,
                class: term.class,
                role: term.role,
                marks: mark(OPTIONAL, term.optional) | mark(LED, term.led) | mark(SUFFERED, term.suffered),
            }
        };
        let terms = all().map(keep).collect();
        let mut made = Self {
            frames: reading.frames.as_slice().into(),
            telegraphic: reading.telegraphic,
            past: reading.past,
            modals: reading.modals,
            persons: reading.persons.as_slice().into(),
            text: text.into(),
            terms,
            in_order: reading.terms.len(),
            dates: reading.dates.len(),
            sorted: Box::default(),
        };
        made.sorted = made.in_order_of_hashes();
        made
    }

    fn in_order_of_hashes(&self) -> Box<[u64]> {
        let hash_of = |sorted: &u64| sorted >> HASH_SHIFT;
        let places = self.terms.iter().enumerate();
        let mut sorted: Box<[u64]> = places
            .map(|(place, term)| u64::from(term.hash) << HASH_SHIFT | place as u64)
            .collect();
        sorted.sort_unstable();
        // Different words of the same hash are rare.
        for same in sorted.chunk_by_mut(|one, other| hash_of(one) == hash_of(other)) {
            if same.len() > 1 {
                same.sort_by(|one, other| self.said(place_of(*one)).1.cmp(self.said(place_of(*other)).1));
            }
        }
        sorted
    }

    /// What it takes in memory, besides itself.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.frames)
            + size_of_val(&*self.persons)
            + self.text.len()
            + size_of_val(&*self.terms)
            + size_of_val(&*self.sorted)
    }

    fn said(&self, at: usize) -> Said<'_> {
        static NONE: Kept = Kept {
            hash: 0,
            from: 0,
            bytes: 0,
            class: Class::Word,
            role: 0,
            marks: 0,
        };
        let term = self.terms.get(at).unwrap_or(&NONE);
        let (from, bytes) = (term.from as usize, term.bytes as usize);
        (term, self.text.get(from..from + bytes).unwrap_or_default())
    }

    fn all(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = Said<'_>> {
        places.map(|at| self.said(at))
    }

    fn dates(&self) -> impl Iterator<Item = Said<'_>> {
        self.all(self.in_order..self.in_order + self.dates)
    }

    fn shape(&self) -> impl Iterator<Item = Said<'_>> {
        self.all(self.in_order + self.dates..self.terms.len())
    }

    /// Whether a term counts beside another prompt: not where it only names the kind of thing that is asked for, and the other
    /// does not.
    fn counts_beside(&self, at: usize, other: &Self) -> bool {
        let is_optional = self.terms.get(at).is_some_and(|term| term.is(OPTIONAL));
        let others = || other.terms.iter().take(other.in_order);
        !is_optional
            || at >= self.in_order
            || others().any(|term| term.is(OPTIONAL))
            || other
                .all(0..other.in_order)
                .any(|theirs| says_the_same(&theirs, &self.said(at)))
    }

    /// The terms whose order counts, beside another prompt.
    fn beside<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = Said<'a>> + Clone {
        let counts = move |at: &usize| self.counts_beside(*at, other);
        (0..self.in_order).filter(counts).map(|at| self.said(at))
    }

    /// As `sorted` has them.
    fn sorted_beside(&self, other: &Self) -> Cow<'_, [u64]> {
        match self.terms.iter().any(|term| term.is(OPTIONAL)) {
            false => Cow::Borrowed(&self.sorted),
            true => {
                let sorted = self.sorted.iter().copied();
                Cow::Owned(
                    sorted
                        .filter(|sorted| self.counts_beside(place_of(*sorted), other))
                        .collect(),
                )
            }
        }
    }

    fn difference_at(&self, sorted: u64) -> Option<Difference> {
        self.terms.get(place_of(sorted)).map(|term| difference_of(term.class))
    }

    fn frames(&self) -> &[&'static str] {
        &self.frames
    }

    fn is_bare(&self) -> bool {
        self.frames() == ["bare"]
    }
}

pub fn compare(a: &Form, b: &Form) -> Result<(), Difference> {
    if a == b {
        return Ok(());
    }
    same_question(a, b)?;
    same_terms(a, b)?;
    same_time(a, b)
}

fn same_question(a: &Form, b: &Form) -> Result<(), Difference> {
    let may_be_bare = |other: &Form, bare: &Form| {
        other.frames() == ["what"] || (other.frames() == ["how"] && bare.telegraphic && bare.in_order > 1)
    };
    let same = a.frames() == b.frames() || (a.is_bare() && may_be_bare(b, a)) || (b.is_bare() && may_be_bare(a, b));
    if !same || a.modals != b.modals {
        return Err(Difference::QuestionType);
    }
    Ok(())
}

fn same_time(a: &Form, b: &Form) -> Result<(), Difference> {
    // "Wants" tells no time by itself, and "wanted" does. Words for a search box tell none.
    let is_past = |form: &Form| form.past == Some(true);
    let is_told = (a.past.is_some() && b.past.is_some()) || !(a.is_bare() || b.is_bare());
    match is_past(a) != is_past(b) && is_told {
        true => Err(Difference::Tense),
        false => Ok(()),
    }
}

fn same_terms(a: &Form, b: &Form) -> Result<(), Difference> {
    let is_same_order = say_the_same(a.beside(b), b.beside(a));
    let are_same_dates = say_the_same(a.dates(), b.dates());
    let is_same_shape = say_the_same(a.shape(), b.shape());
    if !(is_same_order && are_same_dates && is_same_shape) {
        if let Some(difference) = first_difference(a, b) {
            return Err(difference);
        }
        if !are_same_dates {
            return Err(Difference::Date);
        }
        if !is_same_shape {
            return Err(Difference::Order);
        }
        return another_order(a, b);
    }
    let any_crossed = a.beside(b).zip(b.beside(a)).any(|(a, b)| a.0.is_crossed_with(b.0));
    let persons = !a.persons.is_empty() && !b.persons.is_empty() && a.persons != b.persons;
    if any_crossed || persons {
        Err(Difference::Direction)
    } else {
        Ok(())
    }
}

/// Whether two lists of terms say the same, one by one.
fn say_the_same<'a>(mut one: impl Iterator<Item = Said<'a>>, mut other: impl Iterator<Item = Said<'a>>) -> bool {
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if says_the_same(&one, &other) => {}
            _ => return false,
        }
    }
}

/// The terms are the same, in another order.
fn another_order(a: &Form, b: &Form) -> Result<(), Difference> {
    let directed = a
        .beside(b)
        .any(|(term, _)| matches!(term.class, Class::Direction | Class::Comparison));
    match is_attribute(a.beside(b), b.beside(a)) {
        true => Ok(()),
        false if directed => Err(Difference::Direction),
        false => Err(Difference::Order),
    }
}

/// "Lima population" and "population of Lima": a name may stand before its attribute or, led by a preposition, after it.
fn is_attribute<'a>(left: impl Iterator<Item = Said<'a>>, right: impl Iterator<Item = Said<'a>>) -> bool {
    let (left, right): (Vec<_>, Vec<_>) = (left.take(3).collect(), right.take(3).collect());
    let ([left_first, left_last], [right_first, right_last]) = (&left[..], &right[..]) else {
        return false;
    };
    // At a sentence's beginning a capital does not tell a name: that of the other prompt does.
    let is_name = |a: &Said<'_>, b: &Said<'_>| a.0.class == Class::Name || b.0.class == Class::Name;
    let names = usize::from(is_name(left_first, right_last)) + usize::from(is_name(left_last, right_first));
    let swapped = says_the_same(left_first, right_last) && says_the_same(left_last, right_first);
    let (left_led, right_led) = (left_last.0.is(LED), right_last.0.is(LED));
    names == 1 && swapped && left_led != right_led
}

/// Why the terms of two prompts differ, whatever their order: the difference that says most.
fn first_difference(a: &Form, b: &Form) -> Option<Difference> {
    let (left, right) = (a.sorted_beside(b), b.sorted_beside(a));
    let (mut at, mut other_at, mut first) = (0, 0, None);
    loop {
        let order = match (left.get(at), right.get(other_at)) {
            (None, None) => return first,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => by_what_they_say((a, *one), (b, *other)),
        };
        let found = match order {
            Ordering::Less => left.get(at).and_then(|one| a.difference_at(*one)),
            Ordering::Greater => right.get(other_at).and_then(|other| b.difference_at(*other)),
            Ordering::Equal => None,
        };
        first = first.into_iter().chain(found).min();
        at += usize::from(order.is_le());
        other_at += usize::from(order.is_ge());
    }
}

/// By their hashes first: those of most terms differ.
fn by_what_they_say((a, one): (&Form, u64), (b, other): (&Form, u64)) -> Ordering {
    let (hash, other_hash) = (one >> HASH_SHIFT, other >> HASH_SHIFT);
    let order = hash.cmp(&other_hash);
    order.then_with(|| a.said(place_of(one)).1.cmp(b.said(place_of(other)).1))
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
