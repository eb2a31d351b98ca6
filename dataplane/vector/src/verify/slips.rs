//! Typing slips: a word that nobody writes, one slip away from one that is expected. Knows no meaning.

/// Shorter words are one letter away from too many others.
const MIN_ONE_OFF_CHARS: usize = 5;
const MIN_TRANSPOSED_CHARS: usize = 3;

/// The word of `expected` in which two letters of `word` changed places.
pub fn transposed<'a>(word: &str, expected: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    find(word, MIN_TRANSPOSED_CHARS, is_transposed, expected)
}

/// The word of `expected` that has one letter more, less, or other than `word`.
pub fn one_off<'a>(word: &str, expected: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    find(word, MIN_ONE_OFF_CHARS, is_one_off, expected)
}

/// Words of plain letters only: they are compared by the byte.
fn find<'a>(
    word: &str,
    min_chars: usize,
    is_slip: fn(&[u8], &[u8]) -> bool,
    mut expected: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() < min_chars || !word.bytes().all(|letter| letter.is_ascii_alphabetic()) {
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
