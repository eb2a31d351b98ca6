//! What the published tokenizers ask of a character: its kind, by Unicode's general category.

/// `tables/classes.bin`: a block number for every 128 code points, then the blocks. Made by bench/tokens/tables.py.
static TABLE: &[u8; 38_784] = include_bytes!("tables/classes.bin");
const BLOCK: usize = 128;
const BLOCKS_AT: usize = 0x11_0000 / BLOCK;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Punctuation, symbols, control characters, and bytes that are no UTF-8.
    Other,
    /// White space but for line ends.
    Space,
    /// `\r` and `\n`.
    Newline,
    Number,
    /// Capital and title-case letters.
    Upper,
    Lower,
    /// Letters without case.
    Uncased,
    /// Combining marks.
    Mark,
    /// Behind the last byte.
    End,
}

impl Class {
    const fn of_number(number: u8) -> Class {
        match number {
            1 => Class::Space,
            2 => Class::Newline,
            3 => Class::Number,
            4 => Class::Upper,
            5 => Class::Lower,
            6 => Class::Uncased,
            7 => Class::Mark,
            _ => Class::Other,
        }
    }

    pub(super) fn is_letter(self) -> bool {
        matches!(self, Class::Upper | Class::Lower | Class::Uncased)
    }
}

static ASCII: [Class; 128] = {
    let mut classes = [Class::Other; 128];
    let mut at = 0;
    while at < classes.len() {
        classes[at] = Class::of_number(TABLE[BLOCKS_AT + TABLE[0] as usize * BLOCK + at]);
        at += 1;
    }
    classes
};

fn of_char(code: u32) -> Class {
    let code = code as usize;
    let block = TABLE.get(code / BLOCK).copied().unwrap_or_default();
    let at = BLOCKS_AT + usize::from(block) * BLOCK + code % BLOCK;
    Class::of_number(TABLE.get(at).copied().unwrap_or_default())
}

/// The part of a text that is at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    pub(super) bytes: &'a [u8],
    /// Nothing comes behind it.
    pub(super) last: bool,
}

impl Window<'_> {
    /// The character at `at` and its length in bytes; `None` while that cannot be known.
    #[inline(always)]
    pub(super) fn class(self, at: usize) -> Option<(Class, usize)> {
        match self.bytes.get(at) {
            Some(&byte) if byte < 0x80 => Some((ASCII[usize::from(byte)], 1)),
            _ => self.wide(at),
        }
    }

    /// The byte at `at`: zero behind the end, `None` while that cannot be known.
    #[inline(always)]
    pub(super) fn byte(self, at: usize) -> Option<u8> {
        match self.bytes.get(at) {
            Some(&byte) => Some(byte),
            None => self.last.then_some(0),
        }
    }

    fn wide(self, at: usize) -> Option<(Class, usize)> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        let Some(&lead) = rest.first() else {
            return self.last.then_some((Class::End, 0));
        };
        let length = match lead {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => return Some((Class::Other, 1)),
        };
        let mut code = u32::from(lead) & (0x7F >> length);
        for offset in 1..length {
            match rest.get(offset) {
                Some(&byte) if byte & 0xC0 == 0x80 => code = code << 6 | u32::from(byte & 0x3F),
                None if !self.last => return None,
                _ => return Some((Class::Other, 1)),
            }
        }
        Some((of_char(code), length))
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Window, of_char};

    #[test]
    fn characters_have_the_class_that_unicode_gives_them() {
        let table = [
            ("aßяαﬁ", Class::Lower),
            ("AÄЯΩǅ", Class::Upper),
            ("日あアﾊ한אبกのªʰ", Class::Uncased),
            ("\u{301}\u{93F}\u{20DD}", Class::Mark),
            ("07٣Ⅷ½²", Class::Number),
            (" \t\u{A0}\u{3000}\u{2009}\u{85}", Class::Space),
            ("\r\n", Class::Newline),
            ("!_-$€。「😀\0\u{FFFD}\u{200B}", Class::Other),
        ];
        for (characters, class) in table {
            for character in characters.chars() {
                assert_eq!(of_char(u32::from(character)), class, "{character:?}");
            }
        }
    }

    #[test]
    fn what_is_no_utf8_is_one_byte_of_no_kind_and_half_a_character_waits() {
        let at = |bytes: &[u8], last| Window { bytes, last }.class(0);
        assert_eq!(at(b"\xFFa", true), Some((Class::Other, 1)));
        assert_eq!(at(b"\xC3a", true), Some((Class::Other, 1)));
        assert_eq!(at(b"\xE6\x97", true), Some((Class::Other, 1)));
        assert_eq!(at(b"\xE6\x97", false), None);
        assert_eq!(at(b"\xE6\x97\xA5", false), Some((Class::Uncased, 3)));
        assert_eq!(at(b"", false), None);
        assert_eq!(at(b"", true), Some((Class::End, 0)));
    }
}
