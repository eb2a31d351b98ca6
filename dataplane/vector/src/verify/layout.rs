//! White space where it says something: how lines are indented, where they end, and what stands within code and quotation
//! marks. Elsewhere it is how a prompt was typed. Knows no meaning.

use memchr::{memchr3, memmem};

use super::marks;
use super::tables::{self, Tables};

/// Pairs of marks within which white space counts.
const AROUND: &[(char, char)] = &[
    ('`', '`'),
    ('"', '"'),
    ('“', '”'),
    ('„', '“'),
    ('«', '»'),
    ('‘', '’'),
    ('「', '」'),
    ('\'', '\''),
];

/// Whether white space says the same in two texts.
pub fn alike(one: &str, other: &str, tables: &Tables) -> bool {
    (is_plain(one) && is_plain(other)) || of(one, tables) == of(other, tables)
}

/// One line, with nothing but single spaces.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr3(b'\n', b'\r', b'\t', bytes).is_none() && memmem::find(bytes, b"  ").is_none() && text.is_ascii()
}

/// All white space of a text that says something, with what stands around it.
fn of(text: &str, tables: &Tables) -> String {
    let text = text.trim_end();
    let is_exact = words(text).any(|word| is(word, marks::OF_LAYOUT, tables));
    let mut found = Found {
        said: String::new(),
        is_exact,
        within: None,
    };
    let mut lines = text.lines().skip_while(|line| line.trim().is_empty()).peekable();
    let (mut before, mut blank) = (None, 0);
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            blank += 1;
            continue;
        }
        let is_last = lines.peek().is_none();
        if let Some(before) = before {
            found.end(before, (line, is_last), blank, tables);
        }
        found.line(line, before.is_some() || !is_last);
        (before, blank) = (Some((line, before.is_none())), 0);
    }
    found.said
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

fn is(word: &str, list: marks::Marks, tables: &Tables) -> bool {
    let lower = word.to_lowercase();
    tables.facts(tables.id(&lower, tables::hash(&lower))).marks.has(list)
}

struct Found {
    said: String,
    /// The text speaks of lines or spaces: all of them count.
    is_exact: bool,
    /// The mark that closes what it is within.
    within: Option<char>,
}

impl Found {
    /// The end of a line, which says whether it was the first, before another, which says whether it is the last.
    fn end(&mut self, (before, is_first): (&str, bool), (line, is_last): (&str, bool), blank: usize, tables: &Tables) {
        let leads = || before.trim_end().ends_with(':') && is_of_prose(before) && ends_sentence(line);
        let is_prose = line.starts_with(char::is_alphabetic) && (ends_sentence(before) || leads());
        let polite = marks::IS_POLITE.and(marks::BEFORE_POLITE);
        let begins = |line: &str, list| words(line).next().is_some_and(|word| is(word, list, tables));
        let is_polite = || (is_first && begins(before, polite)) || (is_last && begins(line, marks::IS_POLITE));
        let says_nothing = !self.is_exact && self.within.is_none() && (is_prose || is_polite());
        if !says_nothing {
            self.said.push('\n');
            if blank > 0 {
                self.said.push_str(&blank.to_string());
            }
            self.said.extend(
                line.trim_start()
                    .chars()
                    .next()
                    .into_iter()
                    .flat_map(char::to_lowercase),
            );
        }
    }

    fn line(&mut self, line: &str, is_of_many: bool) {
        let indented = line.len() - line.trim_start().len();
        let (indent, line) = line.split_at(indented);
        if is_of_many && !indent.is_empty() {
            self.said.push('>');
            self.said.push_str(indent);
        }
        let mut before = ' ';
        let mut letters = line.char_indices().peekable();
        while let Some((at, letter)) = letters.next() {
            if letter.is_whitespace() {
                let from = at;
                while letters.next_if(|(_, next)| next.is_whitespace()).is_some() {}
                let to = letters.peek().map_or(line.len(), |(at, _)| *at);
                let space = line.get(from..to).unwrap_or_default();
                self.space(space, letters.peek().map(|(_, next)| *next));
            } else {
                self.mark(letter, before, letters.peek().map(|(_, next)| *next));
            }
            before = letter;
        }
    }

    fn space(&mut self, space: &str, next: Option<char>) {
        let counts = self.is_exact || self.within.is_some();
        if space != " " && (counts || (next.is_some() && space.contains(['\t', '\r', '\u{b}', '\u{c}']))) {
            self.said.push_str(space);
            self.said.extend(next);
        }
    }

    fn mark(&mut self, letter: char, before: char, next: Option<char>) {
        let is_word = |letter: char| letter.is_alphanumeric();
        if let Some(close) = self.within {
            // No apostrophe within a word closes.
            let is_apostrophe = letter == '\'' && next.is_some_and(is_word);
            if letter == close && !is_apostrophe {
                self.within = None;
            }
        } else if let Some((_, close)) = AROUND.iter().find(|(open, _)| *open == letter)
            && (letter != '\'' || !is_word(before))
        {
            self.within = Some(*close);
        }
    }
}

fn ends_sentence(line: &str) -> bool {
    line.trim_end().ends_with(['.', '!', '?', '。', '？', '！']) && is_of_prose(line)
}

/// A line of words, and no remark in a piece of code.
fn is_of_prose(line: &str) -> bool {
    let is_plain =
        |letter: char| letter.is_alphanumeric() || letter.is_whitespace() || ",.?!:'’-()$%\"。？！".contains(letter);
    line.starts_with(char::is_alphabetic) && line.chars().all(is_plain)
}
