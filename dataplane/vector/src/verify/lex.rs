//! Text to lexemes: words in lower case, numbers, marks, and literals (code, quotes, addresses) kept as they are. Knows
//! no language's words.

use std::borrow::Cow;

use super::tables;
use crate::run::Run;

/// One item of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Lexeme<'a> {
    pub text: Cow<'a, str>,
    /// Of the text, as the tables have it.
    pub hash: u32,
    pub kind: Kind,
    /// A word that began with a capital, where no sentence begins.
    pub capital: bool,
    /// A word of two capitals or more.
    pub shouted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Word,
    Number,
    /// An operator, a sign of currency, an emoji: anything that is neither letter, digit nor punctuation.
    Mark,
    Code,
    Quote,
    Address,
    /// A comma or the end of a sentence: where a clause may begin.
    Break,
}

/// Pairs of marks around quoted text; what stands between is compared as it is.
const QUOTES: &[(&str, &str)] = &[
    ("``", "''"),
    ("\"", "\""),
    ("“", "”"),
    ("«", "»"),
    ("„", "“"),
    ("‘", "’"),
    ("「", "」"),
];

/// `small`: the text with its ASCII letters in lower case.
pub fn lexemes<'a>(text: &'a str, small: &'a str) -> Vec<Lexeme<'a>> {
    /// A word and the space behind it.
    const USUAL_BYTES: usize = 5;
    let mut reader = Reader {
        text,
        small,
        at: 0,
        found: Vec::with_capacity(text.len() / USUAL_BYTES + 1),
        sentence_begins: true,
        no_address_until: 0,
        unclosed: 0,
    };
    while let Some(&byte) = text.as_bytes().get(reader.at) {
        reader.step(byte);
    }
    reader.found
}

struct Reader<'a> {
    text: &'a str,
    small: &'a str,
    at: usize,
    found: Vec<Lexeme<'a>>,
    sentence_begins: bool,
    /// No address begins before here: a run is looked at once.
    no_address_until: usize,
    /// Of each of `QUOTES` a bit, and above them of the two fences: it is closed nowhere behind here.
    unclosed: u16,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// `byte`: the first of what is left.
    fn step(&mut self, byte: u8) {
        let is_literal = match byte {
            b' ' => {
                self.at += 1;
                return;
            }
            b'`' => self.fenced("```", Kind::Code) || self.quoted() || self.fenced("`", Kind::Code),
            b'\'' => self.single_quoted(),
            b'"' | 0x80.. => self.quoted(),
            _ => false,
        };
        if is_literal {
            return;
        }
        let run = Run::of(self.text.as_bytes().get(self.at..).unwrap_or_default());
        let may_be_address = !run.ends_plainly && self.at >= self.no_address_until && self.after_space();
        if may_be_address && self.address() {
            return;
        }
        if byte.is_ascii_alphabetic() {
            return self.word(&run);
        }
        let Some(first) = self.rest().chars().next() else {
            return;
        };
        match first {
            _ if first.is_ascii_digit() => self.number(),
            '.' | '!' | '?' | ';' | '\n' | '。' | '？' | '！' => {
                self.take(first.len_utf8(), Kind::Break);
                self.sentence_begins = true;
            }
            ',' | ':' | '،' | '、' => {
                self.take(first.len_utf8(), Kind::Break);
                // What follows a greeting or "Please tell me:" is written as a sentence's beginning.
                self.sentence_begins = first == ':';
            }
            // Ideographs are written without spaces: each counts alone.
            _ if is_ideograph(first) => self.take(first.len_utf8(), Kind::Word),
            _ if first.is_alphabetic() => self.any_word(),
            '\'' | '’' => self.apostrophe(first),
            _ if first.is_whitespace() || is_silent(first) => self.at += first.len_utf8(),
            '-' if !self.is_sign() => self.at += 1,
            _ => self.take(first.len_utf8(), Kind::Mark),
        }
    }

    fn take(&mut self, bytes: usize, kind: Kind) {
        let text = self.rest().get(..bytes).unwrap_or("");
        self.push(text, kind);
        self.at += bytes;
    }

    fn push(&mut self, text: impl Into<Cow<'a, str>>, kind: Kind) {
        self.sentence_begins &= kind == Kind::Break;
        let text = text.into();
        self.found.push(Lexeme {
            hash: tables::hash(&text),
            text,
            kind,
            capital: false,
            shouted: false,
        });
    }

    fn before(&self) -> Option<char> {
        self.text.get(..self.at)?.chars().next_back()
    }

    fn after_space(&self) -> bool {
        self.before()
            .is_none_or(|before| before.is_whitespace() || matches!(before, '(' | '[' | '{' | '<'))
    }

    /// A minus before a number, and not a dash within a word or between words.
    fn is_sign(&self) -> bool {
        let mut next = self.rest().chars().skip(1);
        self.after_space()
            && next
                .next()
                .is_some_and(|next| next.is_ascii_digit() || next.is_whitespace())
    }

    fn fenced(&mut self, fence: &str, kind: Kind) -> bool {
        let Some(inside) = self.rest().strip_prefix(fence) else {
            return false;
        };
        if fence.len() == 1 && inside.starts_with('`') {
            return false;
        }
        let bit = 1 << (QUOTES.len() + usize::from(fence.len() > 1));
        let Some(length) = self.closes(bit, inside, fence) else {
            return false;
        };
        self.push(inside.get(..length).unwrap_or(""), kind);
        self.at += length + 2 * fence.len();
        true
    }

    /// Where it does, looked for once only where it does not.
    fn closes(&mut self, bit: u16, inside: &str, close: &str) -> Option<usize> {
        if self.unclosed & bit != 0 {
            return None;
        }
        let found = inside.find(close);
        if found.is_none() {
            self.unclosed |= bit;
        }
        found
    }

    fn quoted(&mut self) -> bool {
        let rest = self.rest();
        let mut quotes = QUOTES.iter().enumerate();
        let Some((at, (open, close))) = quotes.find(|(_, (open, _))| rest.starts_with(open)) else {
            return false;
        };
        let inside = rest.get(open.len()..).unwrap_or("");
        let Some(length) = self.closes(1 << at, inside, close) else {
            return false;
        };
        self.push(inside.get(..length).unwrap_or(""), Kind::Quote);
        self.at += length + open.len() + close.len();
        true
    }

    /// `'quoted'`, but no apostrophe: a space before, and no letter after the closing one.
    fn single_quoted(&mut self) -> bool {
        let Some(inside) = self.rest().strip_prefix('\'').filter(|_| self.after_space()) else {
            return false;
        };
        let inside = start_of(inside);
        let closes = |at: &usize| {
            let next = inside.get(at + 1..).and_then(|after| after.chars().next());
            !next.is_some_and(char::is_alphanumeric)
        };
        let close = inside.match_indices('\'').map(|(at, _)| at).find(closes);
        let Some(length) = close.filter(|length| *length > 0) else {
            return false;
        };
        self.push(inside.get(..length).unwrap_or(""), Kind::Quote);
        self.at += length + 2;
        true
    }

    /// A link, a mail address, a path, a name of code: a run without spaces with marks no plain word has.
    fn address(&mut self) -> bool {
        let rest = self.rest();
        // No bracket that opens.
        if rest.starts_with(['(', '[', '{', '<']) {
            return false;
        }
        if let Some(bytes) = plain_run(rest) {
            self.no_address_until = self.at + bytes;
            return false;
        }
        let run = start_of(rest).split(char::is_whitespace).next().unwrap_or("");
        let behind = self.at + run.len();
        let run = run.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}', '"', '\'', '>']);
        if !is_address(run) {
            self.no_address_until = behind;
            return false;
        }
        let kind = if run.contains("://") || run.contains('@') || run.starts_with("www.") {
            Kind::Address
        } else {
            Kind::Code
        };
        // "C++" is typed in either case; what has a case within it is code.
        let text = if run.chars().skip(1).any(char::is_uppercase) {
            Cow::Borrowed(run)
        } else {
            Cow::Owned(run.to_lowercase())
        };
        self.push(text, kind);
        self.at += run.len();
        true
    }

    /// Digits with what may stand between them; separators of thousands are left out.
    fn number(&mut self) {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let mut length = 0;
        while let Some(byte) = bytes.get(length) {
            let between = matches!(byte, b'.' | b',' | b':') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
            if !byte.is_ascii_digit() && !between {
                break;
            }
            length += 1;
        }
        let digits = rest.get(..length).unwrap_or("");
        let grouped = digits.contains(',') && {
            let whole = digits.split('.').next().unwrap_or("");
            whole.split(',').skip(1).all(|group| group.len() == 3)
        };
        let text = if grouped {
            Cow::Owned(digits.replace(',', ""))
        } else {
            Cow::Borrowed(digits)
        };
        self.push(text, Kind::Number);
        self.at += length;
    }

    /// Letters, and digits and apostrophes within.
    fn word(&mut self, run: &Run) {
        if matches!(run.next, Some(b'\'' | 0x80..)) {
            return self.any_word();
        }
        // The two are alike but for the case of letters.
        let text = self.small.get(self.at..self.at + run.bytes).unwrap_or("");
        let is_i = run.bytes == 1 && text == "i";
        let capital = !self.sentence_begins && run.begins_large && !is_i;
        self.push_word((Cow::Borrowed(text), run.hash), capital, run.is_shouted());
        self.at += run.bytes;
    }

    /// One with other letters than ASCII's, or with an apostrophe.
    fn any_word(&mut self) {
        let rest = self.rest();
        let mut length = 0;
        let mut characters = rest.chars().peekable();
        while let Some(character) = characters.next() {
            let inner = matches!(character, '\'' | '’') && characters.peek().is_some_and(|next| next.is_alphabetic());
            if !(character.is_alphanumeric() || inner || is_combining(character)) || is_ideograph(character) {
                break;
            }
            length += character.len_utf8();
        }
        let word = rest.get(..length).unwrap_or("");
        let capital = !self.sentence_begins && word.chars().next().is_some_and(char::is_uppercase) && word != "I";
        let shouted =
            word.chars().filter(|letter| letter.is_uppercase()).count() > 1 && !word.chars().any(char::is_lowercase);
        let text = word.replace('’', "'").to_lowercase();
        let hash = tables::hash(&text);
        self.push_word((Cow::Owned(text), hash), capital, shouted);
        self.at += length;
    }

    fn push_word(&mut self, (text, hash): (Cow<'a, str>, u32), capital: bool, shouted: bool) {
        self.sentence_begins = false;
        self.found.push(Lexeme {
            text,
            hash,
            kind: Kind::Word,
            capital,
            shouted,
        });
    }

    /// After a plural's `s` it is a possessive; elsewhere it says nothing.
    fn apostrophe(&mut self, mark: char) {
        if self.before() == Some('s')
            && let Some(word) = self.found.last_mut().filter(|last| last.kind == Kind::Word)
        {
            word.text.to_mut().push_str("'s");
            word.hash = tables::hash(&word.text);
        }
        self.at += mark.len_utf8();
    }
}

/// What is looked through from any place of a text, so that no text makes reading it slow.
const REACH_BYTES: usize = 512;

fn start_of(text: &str) -> &str {
    text.get(..text.floor_char_boundary(REACH_BYTES)).unwrap_or(text)
}

/// How long the run without spaces is that a text begins with, where it is sure to be no address: all is ASCII, and none of
/// an address's marks is in it. A dot or colon at its end is none.
fn plain_run(text: &str) -> Option<usize> {
    let mut marked = false;
    for (at, byte) in text.bytes().take(REACH_BYTES).enumerate() {
        match byte {
            b' ' | b'\t'..=b'\r' => return (!marked).then_some(at),
            // Behind these something else of the run makes it one that is looked at.
            b'.' | b':' if at > 0 => marked |= text.as_bytes().get(at + 1).is_some_and(|next| !is_end(*next)),
            b'.' | b':' | b'-' if at == 0 => return None,
            b'@' | b'/' | b'\\' | b'_' | b'=' | b'{' | b'}' | b'#' | b'~' | b'|' | b'*' | b'&' | b'+' | b'(' => {
                return None;
            }
            0x80.. => return None,
            _ => {}
        }
    }
    (!marked && text.len() < REACH_BYTES).then_some(text.len())
}

fn is_end(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn is_address(run: &str) -> bool {
    let marked = || {
        run.contains("://")
            || run.starts_with("www.")
            || run.contains(['@', '/', '\\', '_', '=', '{', '}', '#', '~', '|', '*', '&'])
            || run.contains("++")
            || run.contains("::")
            || run.contains("()")
            || run.starts_with("--")
            || has_inner_dot(run)
    };
    run.chars().any(char::is_alphabetic) && marked()
}

/// `file.rs`, `example.org`: a dot between letters, which no abbreviation like "U.S." has after one letter only.
fn has_inner_dot(run: &str) -> bool {
    run.split('.').count() > 1
        && run.split('.').all(|part| part.chars().any(char::is_alphabetic))
        && run.split('.').any(|part| part.chars().count() > 1)
}

fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{2e80}'..='\u{2fff}' | '\u{3040}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

fn is_combining(character: char) -> bool {
    unicode_normalization::char::is_combining_mark(character)
}

/// Punctuation that changes no meaning.
fn is_silent(character: char) -> bool {
    matches!(
        character,
        '(' | ')' | '[' | ']' | '{' | '}' | '"' | '`' | '“' | '”' | '‘' | '«' | '»' | '¿' | '¡' | '…' | '–' | '—'
    ) || character.is_control()
}
