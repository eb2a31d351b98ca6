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

fn find<'a>(
    word: &str,
    min_chars: usize,
    is_slip: fn(&[char], &[char]) -> bool,
    mut expected: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    /// A letter's bytes, at most: what one slip can change of a length.
    const SLIP_BYTES: usize = 4;
    let chars: Vec<char> = word.chars().collect();
    if chars.len() < min_chars || !chars.iter().all(|letter| letter.is_alphabetic()) {
        return None;
    }
    expected.find(|other| {
        other.len().abs_diff(word.len()) <= SLIP_BYTES && {
            let other: Vec<char> = other.chars().collect();
            other.len() >= min_chars && is_slip(&chars, &other)
        }
    })
}

/// Two letters beside each other changed places.
fn is_transposed(a: &[char], b: &[char]) -> bool {
    let Some(at) = a.iter().zip(b).position(|(a, b)| a != b) else {
        return false;
    };
    a.len() == b.len() && a.get(at) == b.get(at + 1) && a.get(at + 1) == b.get(at) && a.get(at + 2..) == b.get(at + 2..)
}

/// One letter is another, one too many, or missing. The first letter is seldom the slip, and often another word.
fn is_one_off(a: &[char], b: &[char]) -> bool {
    let at = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let rest = |letters: &[char], skip: usize| letters.get(at + skip..).map(<[char]>::to_vec);
    at > 0
        && match a.len() as isize - b.len() as isize {
            0 => at < a.len() && rest(a, 1) == rest(b, 1),
            1 => rest(a, 1) == rest(b, 0),
            -1 => rest(a, 0) == rest(b, 1),
            _ => false,
        }
}
