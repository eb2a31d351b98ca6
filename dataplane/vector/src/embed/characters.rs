//! One character at a time, as BERT's uncased normaliser sees it: controls dropped, accents stripped, lower case,
//! ideographs and punctuation apart. Knows no vocabulary.

use unicode_normalization::char::{decompose_canonical, is_combining_mark};

use super::classes::{DROPPED, IDEOGRAPHS, PUNCTUATION, SPACES};

/// What normalisation makes of the text, in order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Piece {
    /// One more character of a word.
    Letter(char),
    /// A character that is a word of its own.
    Alone(char),
    /// The word before it ends.
    Break,
}

/// The normaliser's switches, as `tokenizer.json` says them. Controls are always dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normaliser {
    pub handle_chinese_chars: bool,
    pub strip_accents: bool,
    pub lowercase: bool,
}

impl Normaliser {
    /// Gives `sink` what becomes of `character`.
    pub fn pieces(self, character: char, sink: &mut impl FnMut(Piece)) {
        if character.is_ascii() {
            return self.ascii(character, sink);
        }
        if is_in(DROPPED, character) && (self.strip_accents || !is_combining_mark(character)) {
            return;
        }
        if is_in(SPACES, character) {
            return sink(Piece::Break);
        }
        let ideograph = self.handle_chinese_chars && is_in(IDEOGRAPHS, character);
        if ideograph {
            sink(Piece::Break);
        }
        if self.strip_accents {
            decompose_canonical(character, |part| {
                if !is_in(DROPPED, part) {
                    self.lower(part, sink);
                }
            });
        } else {
            self.lower(character, sink);
        }
        if ideograph {
            sink(Piece::Break);
        }
    }

    fn ascii(self, character: char, sink: &mut impl FnMut(Piece)) {
        match character {
            'A'..='Z' if self.lowercase => sink(Piece::Letter(character.to_ascii_lowercase())),
            'a'..='z' | 'A'..='Z' | '0'..='9' => sink(Piece::Letter(character)),
            '\t' | '\n' | '\r' | ' ' => sink(Piece::Break),
            _ if character.is_ascii_punctuation() => sink(Piece::Alone(character)),
            // Controls, the vertical tab and the form feed among them.
            _ => {}
        }
    }

    fn lower(self, character: char, sink: &mut impl FnMut(Piece)) {
        let mut one = |character: char| {
            sink(match character {
                _ if is_punctuation(character) => Piece::Alone(character),
                _ if is_in(SPACES, character) => Piece::Break,
                _ => Piece::Letter(character),
            });
        };
        if self.lowercase {
            character.to_lowercase().for_each(&mut one);
        } else {
            one(character);
        }
    }
}

fn is_punctuation(character: char) -> bool {
    character.is_ascii_punctuation() || (!character.is_ascii() && is_in(PUNCTUATION, character))
}

/// Whether a list of ranges (first, one past last, in turns) holds the character.
fn is_in(ranges: &[u32], character: char) -> bool {
    // An odd number of boundaries at or below it: one range has begun and not ended.
    ranges.partition_point(|boundary| *boundary <= character as u32) % 2 == 1
}
