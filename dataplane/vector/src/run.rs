//! Letters and digits of ASCII that stand together: most words are such, and what is asked of one is found in one walk over
//! its bytes. Knows no words.

use crate::embed::vocabulary::{HASH_OF_NOTHING, hash_on};

/// What a text begins with.
#[derive(Debug)]
pub struct Run {
    pub bytes: usize,
    /// Of it in small letters, as the tables have words.
    pub hash: u32,
    capitals: usize,
    has_small: bool,
    pub begins_large: bool,
    /// The byte behind it.
    pub next: Option<u8>,
    /// White space or the end of the text is behind it, or behind one mark of a sentence: it is no part of an address.
    pub ends_plainly: bool,
}

/// Longer ones are no words that anybody writes: whether such a one is part of an address is looked at.
const MOST_PLAIN_BYTES: usize = 256;

const LETTER_OR_DIGIT: u8 = 1;
const SMALL: u8 = 2;
const SPACE: u8 = 4;
/// What a capital has more than 0, and its small letter more than it.
const LARGE: u8 = 0x20;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' => LETTER_OR_DIGIT | SMALL,
            b'A'..=b'Z' => LETTER_OR_DIGIT | LARGE,
            b'0'..=b'9' => LETTER_OR_DIGIT,
            b' ' => SPACE,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

impl Run {
    pub fn of(text: &[u8]) -> Self {
        let (mut bytes, mut hash, mut capitals, mut all) = (0, HASH_OF_NOTHING, 0, 0);
        let mut next = None;
        for byte in text {
            let class = CLASSES[usize::from(*byte)];
            if class & LETTER_OR_DIGIT == 0 {
                next = Some(*byte);
                break;
            }
            hash = hash_on(hash, byte | (class & LARGE));
            capitals += usize::from(class & LARGE);
            all |= class;
            bytes += 1;
        }
        Self {
            bytes,
            hash,
            capitals: capitals / usize::from(LARGE),
            has_small: all & SMALL != 0,
            begins_large: text.first().is_some_and(u8::is_ascii_uppercase),
            next,
            ends_plainly: (1..MOST_PLAIN_BYTES).contains(&bytes) && ends_plainly(next, text.get(bytes + 1)),
        }
    }

    /// Two capitals and more, and nothing small.
    pub fn is_shouted(&self) -> bool {
        self.capitals > 1 && !self.has_small
    }

    /// It is of small letters and digits.
    pub fn is_plain(&self) -> bool {
        self.capitals == 0
    }
}

/// Where the first byte is that is no letter or digit of ASCII, and no space.
pub fn first_mark(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| CLASSES[usize::from(*byte)] == 0)
}

fn ends_plainly(next: Option<u8>, behind: Option<&u8>) -> bool {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t'..=b'\r');
    match next {
        None => true,
        Some(b'.' | b',' | b':' | b';' | b'!' | b'?') => behind.is_none_or(|behind| is_space(*behind)),
        Some(next) => is_space(next),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Run, first_mark};
    use crate::embed::vocabulary::{HASH_OF_NOTHING, hash_on};

    proptest! {
        #[test]
        fn one_walk_finds_what_many_would(text in "[A-Ca-c1-2 .,@é\t-]{0,6}") {
            let bytes = text.as_bytes();
            let run = Run::of(bytes);
            let word: Vec<u8> = bytes.iter().copied().take_while(u8::is_ascii_alphanumeric).collect();
            let capitals = word.iter().filter(|byte| byte.is_ascii_uppercase()).count();
            let small = word.to_ascii_lowercase();
            prop_assert_eq!(run.bytes, word.len());
            prop_assert_eq!(run.hash, small.iter().fold(HASH_OF_NOTHING, |hash, byte| hash_on(hash, *byte)));
            prop_assert_eq!(run.is_plain(), capitals == 0);
            prop_assert_eq!(run.is_shouted(), capitals > 1 && !word.iter().any(u8::is_ascii_lowercase));
            prop_assert_eq!(run.begins_large, word.first().is_some_and(u8::is_ascii_uppercase));
            prop_assert_eq!(run.next, bytes.get(word.len()).copied());
            let rest = text.get(word.len()..).unwrap_or_default();
            let rest = rest.strip_prefix(['.', ',']).unwrap_or(rest);
            prop_assert_eq!(run.ends_plainly, !word.is_empty() && (rest.is_empty() || rest.starts_with([' ', '\t'])));
            let is_mark = |byte: &u8| !byte.is_ascii_alphanumeric() && *byte != b' ';
            prop_assert_eq!(first_mark(bytes), bytes.iter().position(is_mark));
        }
    }
}
