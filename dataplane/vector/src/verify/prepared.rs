//! All that comparing needs of one prompt, whichever the other is: its reading, and the words in which the other may show a
//! slip. It is made once and kept beside the prompt.

use std::collections::BTreeMap;

use super::form::Form;
use super::lex;
use super::slips;
use super::spelled::{self, MOST_SLIPS, Words};
use super::tables::Tables;
use super::{MAX_COMPARED_BYTES, MAX_COMPARED_LEXEMES, form_of};

/// A prompt as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared(Option<Box<Read>>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    /// Where no slip is put right.
    pub form: Form,
    /// Words that nobody writes, by the alphabet.
    odd: Box<[Odd]>,
    /// Of the words that people write, what `slips::letters` makes of them.
    letters: Box<[u16]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Odd {
    text: Box<str>,
    times: u16,
    /// Somewhere it has no capital.
    is_small: bool,
}

impl Prepared {
    pub(super) fn of(text: &str, tables: &Tables, is_known: &dyn Fn(&str) -> bool) -> Self {
        if text.len() > MAX_COMPARED_BYTES {
            return Self(None);
        }
        let small = text.to_ascii_lowercase();
        let lexemes = lex::lexemes(text, &small);
        if lexemes.len() > MAX_COMPARED_LEXEMES {
            return Self(None);
        }
        let words = Words::of(lexemes, tables);
        let (odd, letters) = expected_and_not(&words, is_known);
        Self(Some(Box::new(Read {
            form: form_of(words, tables, is_known),
            odd,
            letters,
        })))
    }

    /// None where it is too long to be compared.
    pub(super) fn read(&self) -> Option<&Read> {
        self.0.as_deref()
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        let read = |read: &Read| {
            let odd = read.odd.iter().map(|odd| size_of::<Odd>() + odd.text.len());
            size_of::<Read>() + read.form.bytes() + odd.sum::<usize>() + size_of_val(&*read.letters)
        };
        size_of::<Self>() + self.read().map_or(0, read)
    }
}

fn expected_and_not(words: &Words<'_>, is_known: &dyn Fn(&str) -> bool) -> (Box<[Odd]>, Box<[u16]>) {
    let (mut odd, mut letters) = (BTreeMap::<&str, (u16, bool)>::new(), Vec::new());
    for word in words.words() {
        if spelled::is_word(word, is_known) {
            letters.extend(slips::letters(word.text()));
        } else {
            let (times, is_small) = odd.entry(word.text()).or_default();
            *times += 1;
            *is_small |= !word.capital;
        }
    }
    let odd = odd.into_iter().map(|(text, (times, is_small))| Odd {
        text: text.into(),
        times,
        is_small,
    });
    (odd.collect(), letters.into())
}

impl Read {
    /// Whether a word of this may be a slip that is put right beside the other.
    pub fn may_be_corrected(&self, other: &Self, tables: &Tables) -> bool {
        let mut theirs = other.odd.iter().peekable();
        let mut odd = self.odd.iter().filter(|odd| {
            while theirs.next_if(|their| their.text < odd.text).is_some() {}
            theirs.peek().is_none_or(|their| their.text != odd.text)
        });
        let (mut slips, mut found) = (0, Vec::new());
        for odd in &mut odd {
            slips += usize::from(odd.times);
            if slips > MOST_SLIPS {
                return false;
            }
            found.push(odd);
        }
        let is_slip = |odd: &Odd| {
            let is_of_other = slips::letters(&odd.text).is_some_and(|of| other.letters.contains(&of));
            is_of_other || spelled::of_tables(&odd.text, odd.is_small, tables).is_some()
        };
        found.into_iter().any(is_slip)
    }
}
