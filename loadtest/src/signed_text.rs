//! The sandbox's texts and their checksum: the last four words of a text tell the CRC of what stands before them.
//!
//! The checksum is part of the text, so it survives every gateway, dialect and stream that leaves the text alone, and
//! costs no token more. Knows no HTTP.

/// Words that texts are made of: 64, so that six bits choose one.
pub const WORDS: [&str; 64] = [
    "amber", "anchor", "autumn", "beacon", "birch", "bridge", "bright", "canal", "cedar", "clear", "cloud", "copper",
    "coral", "delta", "dune", "early", "ember", "fern", "field", "flint", "forest", "garden", "gentle", "glass",
    "granite", "harbor", "hazel", "island", "ivory", "juniper", "lake", "lantern", "linen", "maple", "marble",
    "meadow", "mellow", "mist", "morning", "north", "oak", "ocean", "olive", "open", "orchard", "pebble", "pine",
    "plain", "quiet", "rain", "ridge", "river", "saffron", "shore", "silver", "slate", "spring", "stone", "summer",
    "timber", "valley", "velvet", "willow", "winter",
];

/// Words that carry the checksum.
pub const CHECK_WORDS: usize = 4;

/// The words that close a text whose bytes so far have this CRC-32 (IEEE): its lowest 24 bits, six a word, lowest first.
pub fn check_words(crc: u32) -> [&'static str; CHECK_WORDS] {
    std::array::from_fn(|word| WORDS[(crc >> (6 * word)) as usize & 63])
}

/// What a text says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Right,
    Wrong,
    /// Too short to carry a checksum: [`CHECK_WORDS`] words or fewer.
    Unsigned,
    /// It does not end with words that a checksum is made of: somebody else's, or changed at its very end.
    Foreign,
}

/// Judges a whole text, which ends with ` w1 w2 w3 w4`.
pub fn judge(text: &[u8]) -> Verdict {
    let mut end = text.len();
    let mut said = [&text[..0]; CHECK_WORDS];
    for word in said.iter_mut().rev() {
        let Some(space) = memchr::memrchr(b' ', &text[..end]) else {
            return Verdict::Unsigned;
        };
        *word = &text[space + 1..end];
        end = space;
    }
    let right = check_words(crc32fast::hash(&text[..end]));
    let is_known = |said: &&[u8]| WORDS.iter().any(|word| word.as_bytes() == *said);
    match said.iter().zip(right).all(|(said, right)| *said == right.as_bytes()) {
        true => Verdict::Right,
        false if said.iter().all(is_known) => Verdict::Wrong,
        false => Verdict::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(text: &str) -> String {
        format!("{text} {}", check_words(crc32fast::hash(text.as_bytes())).join(" "))
    }

    #[test]
    fn a_changed_cut_or_doubled_text_is_wrong() {
        let text = signed("quiet rain, early mist.");
        assert_eq!(judge(text.as_bytes()), Verdict::Right);
        assert_eq!(judge(&text.as_bytes()[1..]), Verdict::Wrong);
        assert_eq!(judge(&text.as_bytes()[..text.len() - 1]), Verdict::Foreign);
        assert_eq!(judge(format!("{text}{text}").as_bytes()), Verdict::Wrong);
        assert_eq!(judge(text.replace("rain", "lake").as_bytes()), Verdict::Wrong);
    }

    #[test]
    fn a_text_of_somebody_elses_is_told_from_a_wrong_one() {
        assert_eq!(judge(b"The answer to your question is forty-two."), Verdict::Foreign);
        assert_eq!(judge(b"rain amber birch cedar dune"), Verdict::Wrong);
    }

    #[test]
    fn a_short_text_carries_none() {
        assert_eq!(judge(b""), Verdict::Unsigned);
        assert_eq!(judge(b"amber birch cedar dune"), Verdict::Unsigned);
    }
}
