//! JSON (RFC 8259) text → tree and positions. What is not JSON is left to the YAML reader, which also words the
//! faults: this reader only ever says "not for me", or which keys are written twice.

use serde_json::{Map, Number, Value};

use super::{
    MAX_DEPTH, Parsed, duplicate,
    positions::{PointerHash, Positions},
};
use crate::{
    pointer,
    problem::{Position, Problem},
};

/// `None`: not JSON.
pub fn parse(text: &str) -> Option<Result<Parsed, Vec<Problem>>> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let mut reader = Reader {
        text,
        at: 0,
        mark: Mark {
            at: 0,
            line: 1,
            column: 1,
        },
        pointer: String::new(),
        hash: PointerHash::ROOT,
        positions: Positions::default(),
        problems: Vec::new(),
    };
    reader.skip_space();
    let begin = reader.position();
    let tree = reader.value(begin, 1)?;
    reader.skip_space();
    if reader.at != text.len() {
        return None;
    }
    if reader.problems.is_empty() {
        return Some(Ok(Parsed {
            tree,
            positions: reader.positions,
        }));
    }
    Some(Err(reader.problems))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    mark: Mark,
    pointer: String,
    /// That of `pointer`.
    hash: PointerHash,
    positions: Positions,
    problems: Vec<Problem>,
}

/// The last offset whose line and column are known; moving it on costs what lies between, never the whole line.
struct Mark {
    at: usize,
    line: u32,
    column: u32,
}

impl Reader<'_> {
    /// Reads the value here; `begin` is where it is said to begin when it is a list or a map.
    fn value(&mut self, begin: Position, depth: usize) -> Option<Value> {
        let first = self.peek()?;
        let scalar = !matches!(first, b'{' | b'[');
        let position = if scalar { self.position() } else { begin };
        self.positions.insert(self.hash, position);
        match first {
            _ if !scalar => {
                if depth > MAX_DEPTH {
                    return None;
                }
                if first == b'{' {
                    self.map(depth)
                } else {
                    self.list(depth)
                }
            }
            b'"' => self.string().map(Value::String),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => self.number().map(Value::Number),
        }
    }

    fn map(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut map = Map::new();
        self.skip_space();
        if self.take(b'}') {
            return Some(Value::Object(map));
        }
        let outer = (self.pointer.len(), self.hash);
        loop {
            self.skip_space();
            let begin = self.position();
            let key = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return None;
            }
            self.skip_space();
            self.enter(&key);
            let first = map.contains_key(&key).then(|| self.positions.at(self.hash));
            let value = self.value(begin, depth + 1)?;
            if let Some(first) = first {
                self.problems.push(duplicate(&self.pointer, &key, first, begin));
            }
            map.insert(key, value);
            self.leave(outer);
            self.skip_space();
            if self.take(b'}') {
                return Some(Value::Object(map));
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Some(Value::Array(items));
        }
        let outer = (self.pointer.len(), self.hash);
        loop {
            self.skip_space();
            let begin = self.position();
            self.enter(&items.len().to_string());
            items.push(self.value(begin, depth + 1)?);
            self.leave(outer);
            self.skip_space();
            if self.take(b']') {
                return Some(Value::Array(items));
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let begin = self.at;
        if !self.take(b'"') {
            return None;
        }
        let mut escaped = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        if escaped {
            return serde_json::from_str(self.text.get(begin..self.at)?).ok();
        }
        Some(self.text[begin + 1..self.at - 1].to_string())
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    fn number(&mut self) -> Option<Number> {
        let rest = &self.text[self.at..];
        let end = rest
            .bytes()
            .position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        let digits = &rest[..end.unwrap_or(rest.len())];
        self.at += digits.len();
        let bare = digits.strip_prefix('-').unwrap_or(digits);
        let canonical = bare == "0" || bare.starts_with(|c: char| ('1'..='9').contains(&c)) || bare.starts_with("0.");
        if !canonical || digits.contains(['.', 'e', 'E']) && !is_json_float(bare) {
            return None;
        }
        super::scalar::number(digits)
    }

    fn enter(&mut self, token: &str) {
        let outer = self.pointer.len();
        pointer::push(&mut self.pointer, token);
        self.hash = self.hash.then(&self.pointer[outer..]);
    }

    fn leave(&mut self, (length, hash): (usize, PointerHash)) {
        self.pointer.truncate(length);
        self.hash = hash;
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn position(&mut self) -> Position {
        for byte in self.text.as_bytes()[self.mark.at..self.at].iter() {
            match byte {
                b'\n' => {
                    self.mark.line = self.mark.line.saturating_add(1);
                    self.mark.column = 1;
                }
                // Bytes that continue a character do not begin a column.
                0x80..0xC0 => {}
                _ => self.mark.column = self.mark.column.saturating_add(1),
            }
        }
        self.mark.at = self.at;
        Position {
            line: self.mark.line,
            column: self.mark.column,
        }
    }
}

/// Digits on both sides of a point, and after an `e`.
fn is_json_float(bare: &str) -> bool {
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match bare.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (bare, None),
    };
    let whole = match mantissa.split_once('.') {
        Some((left, right)) => all_digits(left) && all_digits(right),
        None => all_digits(mantissa),
    };
    whole && exponent.is_none_or(|digits| all_digits(digits.strip_prefix(['-', '+']).unwrap_or(digits)))
}
