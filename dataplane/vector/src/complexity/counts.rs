//! What shows in a prompt without a model: length, numbers, mathematics, code, language, how it is built, and what its call is
//! like. Knows no weights.

use super::{Traits, shape::Shape};

/// The features by name, in the order of [`of`].
pub const NAMES: [&str; COUNTS] = [
    "length",
    "words",
    "tokens_a_word",
    "letters_a_word",
    "long_words",
    "numbers",
    "digits",
    "capitals",
    "beyond_ascii",
    "mathematics",
    "code",
    "sentences",
    "lines",
    "steps",
    "questions",
    "negations",
    "words_an_item",
    "numeric_items",
    "alike_items",
    "words_before_items",
    "asks",
    "turns",
    "tools",
];
pub const COUNTS: usize = 23;

const MATHEMATICS: &[u8] = b"=+*/^<>%$\\|~_";
const CODE: &[u8] = b"{}();[]`#&";
/// Longer ones are learned words.
const LONG_WORD_LETTERS: u32 = 9;
const NEGATIONS: [&str; 5] = ["not", "except", "false", "never", "no"];

/// What one pass over the bytes counts.
#[derive(Default)]
struct Seen {
    words: u32,
    long_words: u32,
    letters: u32,
    numbers: u32,
    digits: u32,
    capitals: u32,
    beyond_ascii: u32,
    mathematics: u32,
    code: u32,
    sentences: u32,
    lines: u32,
    questions: u32,
    negations: u32,
}

/// The features of a text, of which `traits` says more than shows in it.
pub fn of(text: &str, traits: Traits) -> [f32; COUNTS] {
    let (seen, shape) = (Seen::of(text), Shape::of(text));
    let share = |part: u32, whole: usize| part as f32 / whole.max(1) as f32;
    let count = |count: u32| (count as f32).ln_1p();
    [
        (traits.bytes as f32).ln_1p(),
        count(seen.words),
        (traits.tokens as f32 / seen.words.max(1) as f32).min(8.0),
        share(seen.letters, seen.words as usize).min(32.0),
        share(seen.long_words, seen.words as usize),
        count(seen.numbers),
        share(seen.digits, text.len()),
        share(seen.capitals, text.len()),
        share(seen.beyond_ascii, text.len()),
        count(seen.mathematics),
        count(seen.code),
        count(seen.sentences),
        count(seen.lines),
        count(shape.items),
        count(seen.questions),
        count(seen.negations),
        shape.words_an_item().ln_1p(),
        shape.numeric_share(),
        shape.alike_share(),
        count(shape.words_before),
        f32::from(u8::from(shape.asks)),
        (traits.turns as f32).ln_1p(),
        (traits.tools as f32).ln_1p(),
    ]
}

impl Seen {
    fn of(text: &str) -> Self {
        let mut seen = Self::default();
        let mut before = b' ';
        for byte in text.bytes() {
            seen.byte(byte, before);
            before = byte;
        }
        seen.sentences += u32::from(matches!(before, b'.' | b'!' | b'?'));
        for word in text.split_ascii_whitespace() {
            seen.word(word);
        }
        seen
    }

    fn byte(&mut self, byte: u8, before: u8) {
        self.numbers += u32::from(byte.is_ascii_digit() && !before.is_ascii_digit());
        self.digits += u32::from(byte.is_ascii_digit());
        self.capitals += u32::from(byte.is_ascii_uppercase());
        // Each character once: bytes that go on with one do not count.
        self.beyond_ascii += u32::from(byte >= 0xc0);
        self.mathematics += u32::from(MATHEMATICS.contains(&byte));
        self.code += u32::from(CODE.contains(&byte));
        self.sentences += u32::from(byte.is_ascii_whitespace() && matches!(before, b'.' | b'!' | b'?'));
        self.lines += u32::from(byte == b'\n');
        self.questions += u32::from(byte == b'?');
    }

    fn word(&mut self, word: &str) {
        let letters = word.chars().filter(|letter| letter.is_alphabetic()).count() as u32;
        self.words += 1;
        self.letters += letters;
        self.long_words += u32::from(letters > LONG_WORD_LETTERS);
        let bare = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        self.negations += u32::from(NEGATIONS.iter().any(|negation| bare.eq_ignore_ascii_case(negation)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_is_counted() {
        let text = "Prove that 12 + 3 = 15.\n1. Not by induction!\n- Übung {x}?";
        let of = of(
            text,
            Traits {
                bytes: 1_000,
                tokens: 28,
                turns: 3,
                tools: 2,
            },
        );
        let named = |name: &str| of[NAMES.iter().position(|known| *known == name).expect("a name")];
        let counted = |name: &str| named(name).exp_m1().round() as u32;
        assert_eq!(counted("length"), 1_000);
        assert_eq!(counted("words"), 14);
        assert_eq!(named("tokens_a_word"), 2.0);
        assert_eq!(counted("numbers"), 4);
        assert_eq!(counted("mathematics"), 2);
        assert_eq!(counted("code"), 2);
        assert_eq!(counted("sentences"), 4);
        assert_eq!(counted("lines"), 2);
        assert_eq!(counted("steps"), 2);
        assert_eq!(counted("questions"), 1);
        assert_eq!(counted("negations"), 1);
        assert_eq!((named("words_an_item").exp_m1() * 2.0).round(), 5.0);
        assert_eq!(counted("words_before_items"), 7);
        assert_eq!(
            (named("numeric_items"), named("alike_items"), named("asks")),
            (0.0, 0.0, 0.0)
        );
        assert_eq!((counted("turns"), counted("tools")), (3, 2));
        assert_eq!(named("beyond_ascii"), 1.0 / text.len() as f32);
    }

    #[test]
    fn nothing_is_no_reason_to_divide_by_it() {
        let of = of("", Traits::default());
        assert!(of.iter().all(|value| *value == 0.0), "{of:?}");
    }
}
