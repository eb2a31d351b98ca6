//! Typing slips: a word that nobody writes, one slip away from one that is expected. Knows no meaning.

/// Shorter words are one letter away from too many others.
const MIN_ONE_OFF_CHARS: usize = 5;
const MIN_TRANSPOSED_CHARS: usize = 3;
const LETTERS: usize = 26;

/// Words by their length and first letter, in each of these by the alphabet.
#[derive(Debug)]
pub struct Expected(Vec<Vec<Box<str>>>);

impl Expected {
    pub fn of<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut sorted: Vec<&str> = words.collect();
        sorted.sort_unstable();
        let mut made = Self(Vec::new());
        for word in sorted {
            if let Some(place) = word.bytes().next().and_then(|first| place(word.len(), first)) {
                made.0.resize_with(made.0.len().max(place + 1), Vec::new);
                made.0[place].push(word.into());
            }
        }
        made
    }

    fn at(&self, length: usize, first: u8) -> impl Iterator<Item = &str> {
        let words = place(length, first).and_then(|place| self.0.get(place));
        words.into_iter().flatten().map(|word| &**word)
    }

    /// The first by the alphabet in which two letters of `word` changed places.
    pub fn transposed(&self, word: &str) -> Option<&str> {
        let (Some(first), Some(second)) = (word.bytes().next(), word.as_bytes().get(1).copied()) else {
            return None;
        };
        let begins_so = transposed(word, self.at(word.len(), first));
        let begins_otherwise = transposed(word, self.at(word.len(), second));
        begins_so.into_iter().chain(begins_otherwise).min()
    }

    /// The first by the alphabet that has one letter more, less, or other than `word`.
    pub fn one_off(&self, word: &str) -> Option<&str> {
        let first = word.bytes().next()?;
        let lengths = [word.len().checked_sub(1)?, word.len(), word.len() + 1];
        let found = lengths.map(|length| one_off(word, self.at(length, first)));
        found.into_iter().flatten().min()
    }
}

fn place(length: usize, first: u8) -> Option<usize> {
    first
        .is_ascii_lowercase()
        .then(|| length * LETTERS + usize::from(first - b'a'))
}

/// What is the same of a word and of each in which its letters stand in another order. None of words that no two letters
/// of which may have changed places.
pub fn letters(word: &str) -> Option<u16> {
    let of =
        |sum: u16, letter: u8| sum.wrapping_add(u16::from(letter).wrapping_mul(u16::from(letter)).wrapping_mul(157));
    is_plain(word, MIN_TRANSPOSED_CHARS).then(|| word.bytes().fold(0, of))
}

/// The word of `expected` in which two letters of `word` changed places.
pub fn transposed<'a>(word: &str, expected: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    find(word, MIN_TRANSPOSED_CHARS, is_transposed, expected)
}

fn one_off<'a>(word: &str, expected: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    find(word, MIN_ONE_OFF_CHARS, is_one_off, expected)
}

/// Words of plain letters only: they are compared by the byte.
fn is_plain(word: &str, min_chars: usize) -> bool {
    word.len() >= min_chars && word.bytes().all(|letter| letter.is_ascii_alphabetic())
}

fn find<'a>(
    word: &str,
    min_chars: usize,
    is_slip: fn(&[u8], &[u8]) -> bool,
    mut expected: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    if !is_plain(word, min_chars) {
        return None;
    }
    expected.find(|other| {
        let near = other.len() >= min_chars && other.len().abs_diff(word.len()) <= 1;
        near && is_slip(word.as_bytes(), other.as_bytes())
    })
}

/// Two letters beside each other changed places.
fn is_transposed(a: &[u8], b: &[u8]) -> bool {
    let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) else {
        return false;
    };
    a.len() == b.len() && a.get(at) == b.get(at + 1) && a.get(at + 1) == b.get(at) && a.get(at + 2..) == b.get(at + 2..)
}

/// One letter is another, one too many, or missing. The first letter is seldom the slip, and often another word.
fn is_one_off(a: &[u8], b: &[u8]) -> bool {
    let at = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (rest, other) = (|skip: usize| a.get(at + skip..), |skip: usize| b.get(at + skip..));
    at > 0
        && match a.len().cmp(&b.len()) {
            std::cmp::Ordering::Equal => at < a.len() && rest(1) == other(1),
            std::cmp::Ordering::Greater => rest(1) == other(0),
            std::cmp::Ordering::Less => rest(0) == other(1),
        }
}
