//! The text prompts are made of: plain English words, so that it costs tokenizers, guards and caches what prompts do.
//! Needs no escape in JSON. The same in every run; knows no request.

use std::sync::LazyLock;

use super::dice::Dice;

/// Short of the second-level cache, so that drawing from it costs the generator little.
const TEXT_BYTES: usize = 64 * 1024;
/// A prompt is put together from stretches of this length, each from its own place: two prompts that are alike by
/// chance are as good as impossible from a few hundred bytes on.
const STRETCH_BYTES: usize = 512;
/// Words that open every prompt and make short ones differ, too.
const OPENING_WORDS: usize = 5;
const SEED: u64 = 0x7073_6f72_7065;

#[rustfmt::skip]
const WORDS: [&str; 128] = [
    "the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "with", "was", "on", "be", "by", "this",
    "are", "from", "at", "not", "or", "have", "an", "they", "which", "one", "you", "all", "when", "there", "can", "more",
    "what", "time", "if", "will", "no", "out", "so", "about", "into", "people", "up", "than", "them", "may", "other", "new",
    "some", "these", "two", "only", "any", "first", "then", "our", "work", "like", "now", "over", "such", "even", "most", "after",
    "year", "also", "many", "must", "before", "day", "through", "where", "how", "long", "between", "part", "place", "same", "under", "might",
    "while", "last", "number", "order", "state", "water", "still", "without", "again", "hand", "small", "large", "house", "point", "every", "case",
    "report", "price", "market", "letter", "table", "answer", "question", "city", "road", "light", "plan", "form", "result", "system", "value", "field",
    "write", "read", "open", "close", "find", "keep", "move", "turn", "carry", "build", "check", "send", "count", "draw", "learn", "speak",
];

/// The text, and what is known of it.
pub struct Prose {
    /// Twice the same, so that a stretch may begin anywhere in the first.
    text: Vec<u8>,
    /// Where words begin.
    starts: Vec<u32>,
    tokens: usize,
}

static PROSE: LazyLock<Prose> = LazyLock::new(Prose::new);

/// Bytes a token takes on average; words and marks count one each.
pub fn bytes_per_token() -> f64 {
    PROSE.starts.len() as f64 * mean_word_bytes() / PROSE.tokens as f64
}

fn mean_word_bytes() -> f64 {
    (PROSE.text.len() / 2) as f64 / PROSE.starts.len() as f64
}

/// Appends `bytes` bytes of text, the same for the same dice.
pub fn write(out: &mut Vec<u8>, mut dice: Dice, bytes: usize) {
    let prose = &*PROSE;
    let end = out.len() + bytes;
    let mut opening = dice.roll();
    for _ in 0..OPENING_WORDS {
        out.extend_from_slice(WORDS[opening as usize % WORDS.len()].as_bytes());
        out.push(b' ');
        opening >>= 7;
    }
    while out.len() < end {
        let start = prose.starts[dice.below(prose.starts.len() as u64) as usize] as usize;
        let stretch = STRETCH_BYTES.min(end - out.len());
        out.extend_from_slice(&prose.text[start..start + stretch]);
    }
    out.truncate(end);
    // A space at the end would be lost in a header, and is no prompt's end either.
    if let Some(last) = out.last_mut().filter(|last| bytes > 0 && **last == b' ') {
        *last = b'.';
    }
}

impl Prose {
    fn new() -> Self {
        let mut dice = Dice::new(SEED);
        let (mut text, mut starts, mut tokens) = (Vec::with_capacity(2 * TEXT_BYTES), Vec::new(), 0);
        let mut left_in_sentence = 0;
        while text.len() < TEXT_BYTES {
            if left_in_sentence == 0 {
                left_in_sentence = 6 + dice.below(9);
            }
            starts.push(text.len() as u32);
            text.extend_from_slice(WORDS[dice.below(WORDS.len() as u64) as usize].as_bytes());
            tokens += 1;
            left_in_sentence -= 1;
            if left_in_sentence == 0 {
                text.push(b'.');
                tokens += 1;
            }
            text.push(b' ');
        }
        text.extend_from_within(..);
        Self { text, starts, tokens }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn text(seed: u64, bytes: usize) -> String {
        let mut out = Vec::new();
        write(&mut out, Dice::new(seed), bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn prompts_differ_and_come_again_with_their_seed() {
        let prompts: HashSet<String> = (0..20_000).map(|seed| text(seed, 200)).collect();
        assert_eq!(prompts.len(), 20_000);
        assert_eq!(text(7, 5000), text(7, 5000));
    }

    #[test]
    fn a_text_has_the_tokens_its_length_promises() {
        let prompt = text(3, 100_000);
        let words = prompt.split([' ', '.']).filter(|word| !word.is_empty()).count();
        let marks = prompt.matches('.').count();
        let right = 100_000.0 / bytes_per_token();
        assert!(
            ((words + marks) as f64 / right - 1.0).abs() < 0.02,
            "{} for {right}",
            words + marks
        );
    }

    proptest! {
        #[test]
        fn a_text_is_as_long_as_asked_and_plain(seed: u64, bytes in 0usize..3000) {
            let text = text(seed, bytes);
            prop_assert_eq!(text.len(), bytes);
            prop_assert!(text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b' ' | b'.')));
            prop_assert!(!text.ends_with(' '));
        }
    }
}
