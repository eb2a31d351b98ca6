//! WordPiece: words of normalised text cut into the longest tokens the vocabulary has, from the left. Agrees with the
//! `tokenizers` library. Knows no vectors.

use super::characters::{Normaliser, Piece};
use super::vocabulary::{HASH_OF_NOTHING, Vocabulary, hash_on};
use crate::run::Run;

/// A tokenizer of the family that `tokenizer.json` files of BERT describe.
#[derive(Debug)]
pub struct WordPiece {
    pub(super) normaliser: Normaliser,
    /// Tokens that begin a word, and those that continue one, without the prefix that marks them.
    pub(super) beginnings: Vocabulary,
    pub(super) continuations: Vocabulary,
    pub(super) added: Added,
    pub(super) unknown: u32,
    pub(super) padding: Option<u32>,
    pub(super) max_chars_per_word: usize,
    pub(super) ids: u32,
}

/// Texts that are a token wherever they stand, before anything is normalised.
#[derive(Debug)]
pub struct Added {
    tokens: Vec<(String, u32)>,
    /// Whether one begins with this byte.
    begins: [bool; 256],
}

impl Added {
    pub fn new(tokens: Vec<(String, u32)>) -> Self {
        let begins = std::array::from_fn(|byte| {
            let starts = |(token, _): &(String, u32)| token.bytes().next().map(usize::from) == Some(byte);
            tokens.iter().any(starts)
        });
        Self { tokens, begins }
    }

    /// The first in the text, the longest of those that begin there, with what stands around it.
    fn first_in<'a>(&self, text: &'a str) -> Option<(&'a str, u32, &'a str)> {
        let begins = |byte: u8| self.begins.get(usize::from(byte)).copied().unwrap_or(false);
        let places = text.bytes().enumerate().filter(|(_, byte)| begins(*byte));
        places.into_iter().find_map(|(at, _)| {
            let (before, rest) = text.split_at_checked(at)?;
            let here = self.tokens.iter().filter(|(token, _)| rest.starts_with(token.as_str()));
            let (token, id) = here.max_by_key(|(token, _)| token.len())?;
            Some((before, *id, rest.get(token.len()..)?))
        })
    }
}

/// The word that is being read. Bounded by the longest word that is looked up.
#[derive(Debug, Default)]
pub struct Scratch {
    word: String,
    chars: usize,
    /// Tokens of the word, which count only when its end is reached.
    found: Vec<u32>,
    /// Hash of each prefix of what is left of the word.
    hashes: Vec<u32>,
}

impl WordPiece {
    /// One more than the highest id there may be.
    pub fn ids(&self) -> u32 {
        self.ids
    }

    /// Unknown words and padding say nothing about a text.
    pub fn counts(&self, id: u32) -> bool {
        id != self.unknown && Some(id) != self.padding
    }

    /// Whether a word is one token.
    pub fn knows(&self, word: &str) -> bool {
        let hash = word.bytes().fold(HASH_OF_NOTHING, hash_on);
        self.beginnings.id(word.as_bytes(), hash).is_some()
    }

    /// Gives `sink` each token of `text` in order.
    pub fn tokens(&self, text: &str, scratch: &mut Scratch, sink: &mut impl FnMut(u32)) {
        let mut rest = text;
        while let Some((before, id, after)) = self.added.first_in(rest) {
            self.plain(before, scratch, sink);
            sink(id);
            rest = after;
        }
        self.plain(rest, scratch, sink);
    }

    fn plain(&self, text: &str, scratch: &mut Scratch, sink: &mut impl FnMut(u32)) {
        scratch.clear_word();
        let mut rest = text;
        loop {
            if let Some(behind) = self.behind_run(rest, scratch, sink) {
                rest = behind;
                continue;
            }
            let mut characters = rest.chars();
            let Some(character) = characters.next() else { break };
            rest = characters.as_str();
            self.normaliser.pieces(character, &mut |piece| match piece {
                Piece::Letter(letter) => scratch.push(letter, self.max_chars_per_word),
                Piece::Break => self.end_word(scratch, sink),
                Piece::Alone(letter) => {
                    self.end_word(scratch, sink);
                    scratch.push(letter, self.max_chars_per_word);
                    self.end_word(scratch, sink);
                }
            });
        }
        self.end_word(scratch, sink);
    }

    /// Where a word begins that is but letters and digits of ASCII, which most are, gives its tokens: nothing of it is looked at
    /// by the character.
    fn behind_run<'a>(&self, text: &'a str, scratch: &mut Scratch, sink: &mut impl FnMut(u32)) -> Option<&'a str> {
        if scratch.chars > 0 {
            return None;
        }
        let run = Run::of(text.as_bytes());
        let ends = |next: u8| matches!(next, b'\t' | b'\n' | b'\r' | b' ') || next.is_ascii_punctuation();
        let is_word = (1..=self.max_chars_per_word).contains(&run.bytes)
            && run.next.is_none_or(ends)
            && (self.normaliser.lowercase || run.is_plain());
        let (word, behind) = text.split_at_checked(run.bytes).filter(|_| is_word)?;
        let token = match run.is_plain() {
            true => self.beginnings.id(word.as_bytes(), run.hash),
            false => None,
        };
        match token {
            Some(id) => sink(id),
            None => {
                let letters = word.chars().map(|letter| letter.to_ascii_lowercase());
                letters.for_each(|letter| scratch.push(letter, self.max_chars_per_word));
                self.end_word(scratch, sink);
            }
        }
        // The space ends a word that has ended.
        Some(behind.strip_prefix(' ').unwrap_or(behind))
    }

    fn end_word(&self, scratch: &mut Scratch, sink: &mut impl FnMut(u32)) {
        if scratch.chars == 0 {
            return;
        }
        if scratch.chars <= self.max_chars_per_word && self.cut(scratch) {
            scratch.found.iter().for_each(|id| sink(*id));
        } else {
            sink(self.unknown);
        }
        scratch.clear_word();
    }

    /// Cuts the word into tokens; a word with a part that is no token is unknown as a whole.
    fn cut(&self, scratch: &mut Scratch) -> bool {
        let Scratch {
            word, found, hashes, ..
        } = scratch;
        found.clear();
        let mut rest = word.as_str();
        let mut vocabulary = &self.beginnings;
        while !rest.is_empty() {
            let Some((id, length_bytes)) = longest(vocabulary, rest, hashes) else {
                return false;
            };
            found.push(id);
            rest = rest.get(length_bytes..).unwrap_or("");
            vocabulary = &self.continuations;
        }
        true
    }
}

/// The longest token that `text` begins with, and its length.
fn longest(vocabulary: &Vocabulary, text: &str, hashes: &mut Vec<u32>) -> Option<(u32, usize)> {
    hashes.clear();
    let reach = text.as_bytes().iter().take(vocabulary.longest_bytes());
    hashes.extend(reach.scan(HASH_OF_NOTHING, |hash, byte| {
        *hash = hash_on(*hash, *byte);
        Some(*hash)
    }));
    let prefixes = hashes.iter().enumerate().rev();
    prefixes
        .map(|(index, hash)| (index + 1, *hash))
        .filter(|(length_bytes, _)| text.is_char_boundary(*length_bytes))
        .find_map(|(length_bytes, hash)| {
            let token = text.as_bytes().get(..length_bytes)?;
            Some((vocabulary.id(token, hash)?, length_bytes))
        })
}

impl Scratch {
    fn clear_word(&mut self) {
        self.word.clear();
        self.chars = 0;
    }

    /// A word that is too long to be known is counted on and no longer kept.
    fn push(&mut self, letter: char, max_chars: usize) {
        self.chars = self.chars.saturating_add(1);
        if self.chars <= max_chars {
            self.word.push(letter);
        }
    }
}
