//! Text to lexemes: words in lower case, numbers, marks, and literals (code, quotes, addresses) kept as they are. Knows
//! no language's words.

/// One item of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Lexeme {
    pub text: String,
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

pub fn lexemes(text: &str) -> Vec<Lexeme> {
    let mut reader = Reader {
        text,
        rest: text,
        found: Vec::new(),
        sentence_begins: true,
        no_address_until: usize::MAX,
        unclosed: 0,
    };
    while !reader.rest.is_empty() {
        reader.step();
    }
    reader.found
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    found: Vec<Lexeme>,
    sentence_begins: bool,
    /// No address begins in what is left until so little is left: a run is looked at once.
    no_address_until: usize,
    /// Of each of `QUOTES` a bit, and above them of the two fences: it is closed nowhere behind here.
    unclosed: u16,
}

impl<'a> Reader<'a> {
    fn step(&mut self) {
        if self.fenced("```", Kind::Code) || self.quoted() || self.fenced("`", Kind::Code) || self.single_quoted() {
            return;
        }
        if self.after_space() && self.address() {
            return;
        }
        let Some(first) = self.rest.chars().next() else { return };
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
            _ if first.is_alphabetic() => self.word(),
            '\'' | '’' => self.apostrophe(first),
            _ if first.is_whitespace() || is_silent(first) => self.skip(first.len_utf8()),
            '-' if !self.is_sign() => self.skip(1),
            _ => self.take(first.len_utf8(), Kind::Mark),
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or("");
    }

    fn take(&mut self, bytes: usize, kind: Kind) {
        let text = self.rest.get(..bytes).unwrap_or("").to_owned();
        self.push(text, kind, false);
        self.skip(bytes);
    }

    fn push(&mut self, text: String, kind: Kind, capital: bool) {
        self.sentence_begins &= kind == Kind::Break;
        self.found.push(Lexeme {
            text,
            kind,
            capital,
            shouted: false,
        });
    }

    fn before(&self) -> Option<char> {
        let read_bytes = self.text.len() - self.rest.len();
        self.text.get(..read_bytes)?.chars().next_back()
    }

    fn after_space(&self) -> bool {
        self.before()
            .is_none_or(|before| before.is_whitespace() || "([{<".contains(before))
    }

    /// A minus before a number, and not a dash within a word or between words.
    fn is_sign(&self) -> bool {
        let mut next = self.rest.chars().skip(1);
        self.after_space()
            && next
                .next()
                .is_some_and(|next| next.is_ascii_digit() || next.is_whitespace())
    }

    fn fenced(&mut self, fence: &str, kind: Kind) -> bool {
        let Some(inside) = self.rest.strip_prefix(fence) else {
            return false;
        };
        if fence.len() == 1 && inside.starts_with('`') {
            return false;
        }
        let bit = 1 << (QUOTES.len() + usize::from(fence.len() > 1));
        let Some(length) = self.closes(bit, inside, fence) else {
            return false;
        };
        self.push(inside.get(..length).unwrap_or("").trim().to_owned(), kind, false);
        self.skip(length + 2 * fence.len());
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
        let mut quotes = QUOTES.iter().enumerate();
        let Some((at, (open, close))) = quotes.find(|(_, (open, _))| self.rest.starts_with(open)) else {
            return false;
        };
        let inside = self.rest.get(open.len()..).unwrap_or("");
        let Some(length) = self.closes(1 << at, inside, close) else {
            return false;
        };
        let text = inside
            .get(..length)
            .unwrap_or("")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        self.push(text, Kind::Quote, false);
        self.skip(length + open.len() + close.len());
        true
    }

    /// `'quoted'`, but no apostrophe: a space before, and no letter after the closing one.
    fn single_quoted(&mut self) -> bool {
        let Some(inside) = self.rest.strip_prefix('\'').filter(|_| self.after_space()) else {
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
        self.push(inside.get(..length).unwrap_or("").to_owned(), Kind::Quote, false);
        self.skip(length + 2);
        true
    }

    /// A link, a mail address, a path, a name of code: a run without spaces with marks no plain word has.
    fn address(&mut self) -> bool {
        // Neither a bracket that opens nor what follows in a run that was looked at.
        if self.rest.len() > self.no_address_until || self.rest.starts_with(['(', '[', '{', '<']) {
            return false;
        }
        let run = start_of(self.rest).split(char::is_whitespace).next().unwrap_or("");
        let left = self.rest.len() - run.len();
        let run = run.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}', '"', '\'', '>']);
        let wordy = run.chars().any(char::is_alphabetic);
        let marked = run.contains("://")
            || run.starts_with("www.")
            || run.contains(['@', '/', '\\', '_', '=', '{', '}', '#', '~', '|', '*', '&'])
            || run.contains("++")
            || run.contains("::")
            || run.contains("()")
            || run.starts_with("--")
            || has_inner_dot(run);
        if !(wordy && marked) {
            self.no_address_until = left;
            return false;
        }
        let kind = if run.contains("://") || run.contains('@') || run.starts_with("www.") {
            Kind::Address
        } else {
            Kind::Code
        };
        // "C++" is typed in either case; what has a case within it is code.
        let text = if run.chars().skip(1).any(char::is_uppercase) {
            run.to_owned()
        } else {
            run.to_lowercase()
        };
        let bytes = run.len();
        self.push(text, kind, false);
        self.skip(bytes);
        true
    }

    /// Digits with what may stand between them; separators of thousands are left out.
    fn number(&mut self) {
        let bytes = self.rest.as_bytes();
        let mut length = 0;
        while let Some(byte) = bytes.get(length) {
            let between = matches!(byte, b'.' | b',' | b':') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit);
            if !byte.is_ascii_digit() && !between {
                break;
            }
            length += 1;
        }
        let digits = self.rest.get(..length).unwrap_or("");
        let grouped = digits.contains(',') && {
            let whole = digits.split('.').next().unwrap_or("");
            whole.split(',').skip(1).all(|group| group.len() == 3)
        };
        let text = if grouped {
            digits.replace(',', "")
        } else {
            digits.to_owned()
        };
        self.push(text, Kind::Number, false);
        self.skip(length);
    }

    /// Letters, and digits and apostrophes within.
    fn word(&mut self) {
        let mut length = 0;
        let mut characters = self.rest.chars().peekable();
        while let Some(character) = characters.next() {
            let inner = matches!(character, '\'' | '’') && characters.peek().is_some_and(|next| next.is_alphabetic());
            if !(character.is_alphanumeric() || inner || is_combining(character)) || is_ideograph(character) {
                break;
            }
            length += character.len_utf8();
        }
        let word = self.rest.get(..length).unwrap_or("");
        let capital = !self.sentence_begins && word.chars().next().is_some_and(char::is_uppercase) && word != "I";
        let shouted =
            word.chars().filter(|letter| letter.is_uppercase()).count() > 1 && !word.chars().any(char::is_lowercase);
        self.push(word.replace('’', "'").to_lowercase(), Kind::Word, capital);
        if let Some(last) = self.found.last_mut() {
            last.shouted = shouted;
        }
        self.skip(length);
    }

    /// After a plural's `s` it is a possessive; elsewhere it says nothing.
    fn apostrophe(&mut self, mark: char) {
        if self.before() == Some('s')
            && let Some(word) = self.found.last_mut().filter(|last| last.kind == Kind::Word)
        {
            word.text.push_str("'s");
        }
        self.skip(mark.len_utf8());
    }
}

/// What is looked through from any place of a text, so that no text makes reading it slow.
fn start_of(text: &str) -> &str {
    const REACH_BYTES: usize = 512;
    text.get(..text.floor_char_boundary(REACH_BYTES)).unwrap_or(text)
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
