//! Comments in code of languages that are read right here: C, Go, Java, Python and Rust. Strings, characters and what looks like
//! a comment inside them stay as they are. Code that is not understood to its end stays whole.

use super::fences;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    C,
    Go,
    Java,
    Python,
    Rust,
}

impl Language {
    fn named(info: &str) -> Option<Self> {
        let name = info.split([' ', '\t', ',', '{']).next()?.to_ascii_lowercase();
        Some(match &*name {
            "c" => Self::C,
            "go" | "golang" => Self::Go,
            "java" => Self::Java,
            "python" | "py" | "python3" => Self::Python,
            "rust" | "rs" => Self::Rust,
            _ => return None,
        })
    }

    fn comments_by_hash(self) -> bool {
        self == Self::Python
    }
}

/// The code of a block whose fence says this, without its comments; none where there is nothing to take out, or where it is
/// not known what is a comment.
pub(super) fn strip(info: &str, code: &str) -> Option<String> {
    let language = Language::named(info)?;
    // What stands in a comment there is code.
    if language == Language::Go && code.contains("import \"C\"") {
        return None;
    }
    let mut lexer = Lexer {
        language,
        code,
        at: 0,
        out: String::with_capacity(code.len()),
        stripped: false,
    };
    lexer.run()?;
    let without = tidy(code, &lexer.out).filter(|_| lexer.stripped)?;
    // A line that was no fence for what stood behind it would be one now.
    let ends_early = without.lines().any(fences::is_fence);
    (!ends_early && without.len() < code.len()).then_some(without)
}

/// Marks in the lexer's output where a comment was: no source has it, or it is left alone.
const GONE: char = '\u{e000}';

/// Lines of which nothing but a comment was are gone with it; of others the blanks before it.
fn tidy(code: &str, marked: &str) -> Option<String> {
    if code.contains(GONE) {
        return None;
    }
    let mut out = String::with_capacity(marked.len());
    for line in marked.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        if !body.contains(GONE) {
            out.push_str(line);
            continue;
        }
        if body.chars().all(|mark| mark == GONE || mark.is_whitespace()) {
            continue;
        }
        let ends = body.trim_end_matches([GONE, ' ', '\t']);
        let mut rest = ends;
        while let Some(at) = rest.find(GONE) {
            out.push_str(rest.get(..at).unwrap_or_default());
            rest = rest.get(at + GONE.len_utf8()..).unwrap_or_default();
            match out.ends_with(char::is_whitespace) {
                true => rest = rest.trim_start_matches([' ', '\t']),
                // What stood on either side of it does not become one word.
                false if !rest.starts_with(char::is_whitespace) => out.push(' '),
                false => {}
            }
        }
        out.push_str(rest);
        out.push_str(line.get(body.len()..).unwrap_or_default());
    }
    Some(out)
}

struct Lexer<'c> {
    language: Language,
    code: &'c str,
    at: usize,
    out: String,
    stripped: bool,
}

impl<'c> Lexer<'c> {
    fn rest(&self) -> &'c str {
        self.code.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, bytes: usize) -> Option<()> {
        self.out.push_str(self.code.get(self.at..self.at + bytes)?);
        self.at += bytes;
        Some(())
    }

    fn drop(&mut self, bytes: usize) {
        self.out.push(GONE);
        self.at += bytes;
        self.stripped = true;
    }

    /// None: it is not understood.
    fn run(&mut self) -> Option<()> {
        while let Some(next) = self.rest().chars().next() {
            let rest = self.rest();
            match next {
                '#' if self.language.comments_by_hash() => self.line_comment()?,
                '/' if !self.language.comments_by_hash() && rest.starts_with("//") => self.line_comment()?,
                '/' if !self.language.comments_by_hash() && rest.starts_with("/*") => self.block_comment()?,
                '"' | '\'' | '`' => self.quoted(next, "")?,
                _ if next.is_alphanumeric() || next == '_' => self.word()?,
                _ => self.take(next.len_utf8())?,
            }
        }
        Some(())
    }

    fn line_comment(&mut self) -> Option<()> {
        let line = self.rest().split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        // In C what ends with a backslash goes on; Go and the first line of a script say something to programs.
        let goes_on = self.language == Language::C && line.ends_with('\\');
        let says = line.starts_with("//go:") || line.starts_with("// +build") || self.at == 0 && line.starts_with("#!");
        match (goes_on, says) {
            (true, _) => None,
            (false, true) => self.take(line.len()),
            (false, false) => {
                self.drop(line.len());
                Some(())
            }
        }
    }

    fn block_comment(&mut self) -> Option<()> {
        let rest = self.rest();
        let (mut depth, mut at) = (0usize, 0);
        loop {
            let here = rest.get(at..)?;
            if here.starts_with("/*") && (depth == 0 || self.language == Language::Rust) {
                (depth, at) = (depth + 1, at + 2);
            } else if here.starts_with("*/") {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    break;
                }
            } else {
                at += here.chars().next()?.len_utf8();
            }
        }
        self.drop(at);
        Some(())
    }

    /// A name, a number, or what a string begins with.
    fn word(&mut self) -> Option<()> {
        let rest = self.rest();
        let is_number = rest.starts_with(|first: char| first.is_ascii_digit());
        let of_word = |mark: char| mark.is_alphanumeric() || mark == '_';
        let mut length = rest.find(|mark| !of_word(mark)).unwrap_or(rest.len());
        if is_number && self.language == Language::C {
            // C23 parts digits by quotes.
            length = rest.find(|mark| !of_word(mark) && mark != '\'').unwrap_or(rest.len());
        }
        let word = rest.get(..length)?;
        self.take(length)?;
        let behind = self.rest();
        let quote = behind.chars().next().filter(|mark| matches!(mark, '"' | '\'' | '#'));
        let raw = matches!(word, "r" | "br" | "cr") && self.language == Language::Rust;
        match (self.language, quote) {
            (Language::Rust, Some('"' | '#')) if raw => self.raw_string(),
            (Language::Python, Some(quote @ ('"' | '\''))) => self.quoted(quote, word),
            _ => Some(()),
        }
    }

    /// Rust's `r#"…"#`.
    fn raw_string(&mut self) -> Option<()> {
        let rest = self.rest();
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        if !rest.get(hashes..)?.starts_with('"') {
            // A name that is a keyword.
            return self.take(hashes);
        }
        let end = format!("\"{}", "#".repeat(hashes));
        let inside = hashes + 1;
        let length = rest.get(inside..)?.find(&end)?;
        self.take(inside + length + end.len())
    }

    fn quoted(&mut self, quote: char, prefix: &str) -> Option<()> {
        let rest = self.rest();
        match (self.language, quote) {
            (Language::Go, '`') => {
                let length = rest.get(1..)?.find('`')?;
                self.take(length + 2)
            }
            (_, '`') => None,
            (Language::Rust, '\'') => self.character_or_lifetime(),
            (Language::Java | Language::Python, _) if rest.starts_with(&quote.to_string().repeat(3)) => {
                self.string(&quote.to_string().repeat(3), prefix, true)
            }
            (Language::Rust, _) => self.string("\"", prefix, true),
            _ => self.string(&quote.to_string(), prefix, false),
        }
    }

    /// `'a'`, or the `'a` of a lifetime.
    fn character_or_lifetime(&mut self) -> Option<()> {
        let rest = self.rest().get(1..)?;
        let mut marks = rest.chars();
        let first = marks.next()?;
        if first == '\\' {
            return self.string("'", "", false);
        }
        match marks.next() {
            Some('\'') => self.take(1 + first.len_utf8() + 1),
            _ => self.take(1),
        }
    }

    fn string(&mut self, quote: &str, prefix: &str, over_lines: bool) -> Option<()> {
        let inside = self.rest().get(quote.len()..)?;
        let mut at = 0;
        loop {
            let here = inside.get(at..)?;
            if here.starts_with(quote) {
                break;
            }
            let mark = here.chars().next()?;
            match mark {
                '\\' => at += 1 + here.get(1..)?.chars().next()?.len_utf8(),
                '\n' if !over_lines => return None,
                _ => at += mark.len_utf8(),
            }
        }
        let said = inside.get(..at)?;
        // Python's formatted strings may hold code that holds quotes: where braces are not even, this was not the end.
        let formats = prefix.contains(['f', 'F', 't', 'T']);
        if self.language == Language::Python && formats && said.matches('{').count() != said.matches('}').count() {
            return None;
        }
        self.take(quote.len() + at + quote.len())
    }
}
