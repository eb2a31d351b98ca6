//! The automaton of the fast estimate: what kind of byte follows what, roughly as tokenizers see it. A tokenizer's
//! estimate is a weight for every transition; the automaton is the same for all.
//!
//! Whoever changes it must calibrate again (docs/src/tokens.md): the weights in `tables/fast.bin` are its transitions'.

/// Kinds of bytes.
pub(crate) const CLASSES: usize = 72;
pub(crate) const STATES: usize = 189;
pub(crate) const TRANSITIONS: usize = STATES * CLASSES;

const DIGIT: u8 = 6;
const SPACE: u8 = 7;
const TAB: u8 = 8;
const LINE_FEED: u8 = 9;
const CARRIAGE_RETURN: u8 = 10;
const PUNCTUATION: u8 = 11;
const OTHER: u8 = 22;
/// Lead bytes of two, three and four; their classes follow the bytes' order.
const LEAD_2: u8 = 23;
const LEAD_3: u8 = 37;
const LEAD_4: u8 = 52;
const INVALID: u8 = 54;
/// Continuation bytes: sixteen kinds by the upper four of their six bits.
const CONTINUATION: u8 = 56;

/// The kind of every byte.
pub(super) static CLASS_OF: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = class_of(byte as u8);
        byte += 1;
    }
    classes
};

const fn class_of(byte: u8) -> u8 {
    match byte {
        b'a' | b'e' | b'i' | b'o' | b'u' => 0,
        b't' | b'n' | b's' | b'r' | b'l' | b'd' | b'c' | b'm' | b'h' => 1,
        b'q' | b'x' | b'z' | b'j' => 3,
        b'a'..=b'z' => 2,
        b'A' | b'E' | b'I' | b'O' | b'U' => 4,
        b'A'..=b'Z' => 5,
        b'0'..=b'9' => DIGIT,
        b' ' => SPACE,
        b'\t' | 11 | 12 => TAB,
        b'\n' => LINE_FEED,
        b'\r' => CARRIAGE_RETURN,
        b'.' => 11,
        b',' => 12,
        b'"' | b'\'' | b'`' => 13,
        b'-' => 14,
        b'_' => 15,
        b'/' => 16,
        b'(' | b'[' | b'{' => 17,
        b')' | b']' | b'}' => 18,
        b':' | b';' => 19,
        b'=' | b'<' | b'>' => 20,
        b'*' | b'#' => 21,
        0..=0x7F => OTHER,
        0x80..=0xBF => CONTINUATION + (byte >> 2 & 15),
        _ => lead_class(byte),
    }
}

const fn lead_class(byte: u8) -> u8 {
    match byte {
        0xC2 => LEAD_2,
        0xC3 => 24,
        0xC4..=0xC5 => 25,
        0xC6..=0xCB => 26,
        0xCC..=0xCD => 27,
        0xCE..=0xCF => GREEK_LEAD,
        0xD0 => CYRILLIC_LEAD,
        0xD1 => 30,
        0xD2..=0xD5 => 31,
        0xD6..=0xD7 => HEBREW_LEAD,
        0xD8 => ARABIC_LEAD,
        0xD9 => 34,
        0xDA..=0xDB => 35,
        0xDC..=0xDF => 36,
        0xE0..=0xEE => LEAD_3 + (byte - 0xE0),
        0xEF => LEAD_3 + 14,
        0xF0 => LEAD_4,
        0xF1..=0xF4 => LEAD_4 + 1,
        _ => INVALID,
    }
}

const GREEK_LEAD: u8 = 28;
const CYRILLIC_LEAD: u8 = 29;
const HEBREW_LEAD: u8 = 32;
const ARABIC_LEAD: u8 = 33;

// States.
pub(super) const START: u8 = 0;
const ONE_SPACE: u8 = 1;
const SPACES: u8 = 2;
const AFTER_TAB: u8 = 3;
const LINE_END: u8 = 4;
const LINE_ENDS: u8 = 5;
/// One, two, three digits of a group.
const DIGITS: u8 = 6;
/// A punctuation mark by kind; then the same as the second or later of a run.
const MARK: u8 = 9;
const MARKS: u8 = 21;
/// One capital behind a space, one elsewhere, two, three, four or more.
const SPACED_CAPITAL: u8 = 33;
const CAPITAL: u8 = 34;
const CAPITALS: u8 = 35;
/// A word's small letter: by length so far (eleven steps), vowel or not, behind a space or not.
const WORD: u8 = 38;
const WORD_LENGTHS: u8 = 11;
/// Letters since a Latin letter of two bytes: none to three.
const ACCENTED: u8 = 82;
/// Within a character of two bytes: Latin-1 symbols, then what counts as a letter.
const IN_SYMBOL: u8 = 86;
const IN_LATIN: u8 = 87;
/// Words of scripts with two bytes a letter, six lengths each: Greek, Cyrillic, Hebrew, Arabic.
const SCRIPT: u8 = 92;
/// Within the next letter of such a word, by its length before; Cyrillic and Arabic have a second lead byte.
const IN_SCRIPT: u8 = 116;
const IN_CYRILLIC_2: u8 = 140;
const IN_ARABIC_2: u8 = 146;
/// Within a character of three bytes: the lead by its value, then the second by script, then behind it.
const IN_3: u8 = 152;
const IN_3_SECOND: u8 = 168;
const WIDE: u8 = 176;
/// Four bytes: within, three times; then behind.
const IN_4: u8 = 184;
const EMOJI: u8 = 187;
const BROKEN: u8 = 188;

/// Where each transition leads: the first transition of the next state.
pub(super) static NEXT: [u16; TRANSITIONS] = {
    let mut next = [0; TRANSITIONS];
    let mut at = 0;
    while at < TRANSITIONS {
        let to = step((at / CLASSES) as u8, (at % CLASSES) as u8);
        assert!((to as usize) < STATES);
        next[at] = (to as usize * CLASSES) as u16;
        at += 1;
    }
    next
};

const fn step(state: u8, class: u8) -> u8 {
    match class {
        0..=3 => small_letter(state, class),
        4..=5 => capital(state),
        DIGIT => match state {
            6 | 7 => state + 1,
            _ => DIGITS,
        },
        SPACE => match state {
            ONE_SPACE | SPACES => SPACES,
            _ => ONE_SPACE,
        },
        TAB => AFTER_TAB,
        LINE_FEED | CARRIAGE_RETURN => match state {
            ONE_SPACE..=LINE_ENDS => LINE_ENDS,
            _ => LINE_END,
        },
        PUNCTUATION..=OTHER => match state {
            MARK..SPACED_CAPITAL => MARKS + (class - PUNCTUATION),
            _ => MARK + (class - PUNCTUATION),
        },
        LEAD_2..LEAD_3 => lead_of_two(state, class),
        LEAD_3..LEAD_4 => IN_3 + (class - LEAD_3),
        LEAD_4..INVALID => IN_4,
        CONTINUATION.. => continuation(state, class - CONTINUATION),
        _ => BROKEN,
    }
}

const fn small_letter(state: u8, class: u8) -> u8 {
    let consonant = (class != 0) as u8;
    match state {
        ONE_SPACE | SPACES => word(0, consonant, 0),
        SPACED_CAPITAL => word(1, consonant, 0),
        CAPITAL..WORD => word(1, consonant, 1),
        WORD..ACCENTED => {
            let length = (state - WORD) / 4 + 1;
            let bare = (state - WORD) % 2;
            word(
                if length < WORD_LENGTHS {
                    length
                } else {
                    WORD_LENGTHS - 1
                },
                consonant,
                bare,
            )
        }
        ACCENTED..IN_SYMBOL => {
            if state + 1 < IN_SYMBOL {
                state + 1
            } else {
                state
            }
        }
        _ => word(0, consonant, 1),
    }
}

const fn word(length: u8, consonant: u8, bare: u8) -> u8 {
    WORD + (length * 2 + consonant) * 2 + bare
}

const fn capital(state: u8) -> u8 {
    match state {
        ONE_SPACE | SPACES => SPACED_CAPITAL,
        SPACED_CAPITAL | CAPITAL => CAPITALS,
        CAPITALS | 36 => state + 1,
        37 => 37,
        _ => CAPITAL,
    }
}

const fn lead_of_two(state: u8, class: u8) -> u8 {
    // Letters of this script so far, where the state is one of its words.
    const fn length(state: u8, script: u8) -> u8 {
        let first = SCRIPT + script * 6;
        if state >= first && state < first + 6 {
            let length = state - first + 1;
            if length < 6 { length } else { 5 }
        } else {
            0
        }
    }
    match class {
        LEAD_2 => IN_SYMBOL,
        GREEK_LEAD => IN_SCRIPT + length(state, 0),
        CYRILLIC_LEAD => IN_SCRIPT + 6 + length(state, 1),
        30 => IN_CYRILLIC_2 + length(state, 1),
        HEBREW_LEAD => IN_SCRIPT + 12 + length(state, 2),
        ARABIC_LEAD | 35 => IN_SCRIPT + 18 + length(state, 3),
        34 => IN_ARABIC_2 + length(state, 3),
        24..=27 => IN_LATIN + (class - 24),
        _ => IN_LATIN + 4,
    }
}

const fn continuation(state: u8, kind: u8) -> u8 {
    match state {
        IN_SYMBOL => MARK + (OTHER - PUNCTUATION),
        IN_LATIN..SCRIPT => ACCENTED,
        IN_SCRIPT..IN_CYRILLIC_2 => SCRIPT + (state - IN_SCRIPT),
        IN_CYRILLIC_2..IN_ARABIC_2 => SCRIPT + 6 + (state - IN_CYRILLIC_2),
        IN_ARABIC_2..IN_3 => SCRIPT + 18 + (state - IN_ARABIC_2),
        // India's northern scripts; its southern ones and Thai.
        IN_3 => IN_3_SECOND + (kind >= 12) as u8,
        // General; punctuation; Japan's; ideographs; Korea's; forms of breadth.
        153 => IN_3_SECOND + 2,
        154 => IN_3_SECOND + 3,
        155 => IN_3_SECOND + 4,
        156..=161 => IN_3_SECOND + 5,
        162..=165 => IN_3_SECOND + 6,
        166..IN_3_SECOND => IN_3_SECOND + 7,
        IN_3_SECOND..WIDE => WIDE + (state - IN_3_SECOND),
        IN_4..EMOJI => state + 1,
        _ => BROKEN,
    }
}
