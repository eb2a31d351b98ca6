//! The tokens of JSON (RFC 8259), and values as a whole: where a string, a number, an array ends. Knows no paths.
//!
//! Strings are most of a prompt's bytes, so they are skipped many bytes at a time.

use super::{
    cursor::{BadJson, Kind},
    plain::plain_end,
};

pub(super) const NO_COMMA: &str = "neither a comma nor the container's end";

/// A position in a document.
pub(super) struct Scan<'a> {
    pub buf: &'a [u8],
    pub at: usize,
}

impl Scan<'_> {
    /// The byte here; NUL, which no token begins with, at the end.
    #[inline(always)]
    pub fn peek(&self) -> u8 {
        self.buf.get(self.at).copied().unwrap_or(0)
    }

    #[cold]
    pub fn fault<T>(&self, reason: &'static str) -> Result<T, BadJson> {
        let reason = if self.at >= self.buf.len() {
            "the document ends early"
        } else {
            reason
        };
        Err(BadJson {
            reason,
            offset: self.at,
        })
    }

    /// Skips white space and gives the byte behind it.
    #[inline(always)]
    pub fn next_token(&mut self) -> u8 {
        loop {
            match self.peek() {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return byte,
            }
        }
    }

    /// Proves the value that is next, containers with all that is in them; nested no deeper than `most_deep`.
    pub fn value(&mut self, most_deep: usize) -> Result<Kind, BadJson> {
        let kind = self.scalar_or_bracket()?;
        if !matches!(kind, Kind::Object | Kind::Array) {
            return Ok(kind);
        }
        // A bit for each open container, the innermost lowest: is it an object?
        let mut objects = 0u128;
        let mut depth = 0;
        let mut opened = Some(kind);
        loop {
            if let Some(kind) = opened {
                if depth == most_deep {
                    return self.fault("nested too deeply");
                }
                depth += 1;
                self.at += 1;
                objects = objects << 1 | u128::from(kind == Kind::Object);
            }
            let in_object = objects & 1 == 1;
            let end = if in_object { b'}' } else { b']' };
            let next = self.next_token();
            if next == end {
                self.at += 1;
                depth -= 1;
                if depth == 0 {
                    return Ok(kind);
                }
                objects >>= 1;
                opened = None;
                continue;
            }
            if opened.is_none() {
                if next != b',' {
                    return self.fault(NO_COMMA);
                }
                self.at += 1;
                self.next_token();
            }
            if in_object {
                self.key()?;
                self.colon()?;
                self.next_token();
            }
            let value = self.scalar_or_bracket()?;
            opened = Some(value).filter(|kind| matches!(kind, Kind::Object | Kind::Array));
        }
    }

    /// Reads the value that is next, where it is no container; of a container nothing yet.
    #[inline(always)]
    fn scalar_or_bracket(&mut self) -> Result<Kind, BadJson> {
        match self.peek() {
            b'"' => {
                self.at += 1;
                self.string()?;
                Ok(Kind::String)
            }
            b'{' => Ok(Kind::Object),
            b'[' => Ok(Kind::Array),
            b'-' | b'0'..=b'9' => self.number().map(|()| Kind::Number),
            b't' => self.literal(b"true").map(|()| Kind::True),
            b'f' => self.literal(b"false").map(|()| Kind::False),
            b'n' => self.literal(b"null").map(|()| Kind::Null),
            _ => self.fault("no value where one belongs"),
        }
    }

    /// A key with its quotes. Says whether there were escapes.
    #[inline(always)]
    pub fn key(&mut self) -> Result<bool, BadJson> {
        if self.peek() != b'"' {
            return self.fault("no key where one belongs");
        }
        self.at += 1;
        self.string()
    }

    #[inline(always)]
    pub fn colon(&mut self) -> Result<(), BadJson> {
        if self.next_token() != b':' {
            return self.fault("no colon after a key");
        }
        self.at += 1;
        Ok(())
    }

    /// From behind the opening quote to behind the closing one. Says whether there were escapes.
    #[inline(always)]
    pub fn string(&mut self) -> Result<bool, BadJson> {
        let mut escapes = false;
        loop {
            self.at = plain_end(self.buf, self.at);
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(escapes);
                }
                b'\\' => self.escape()?,
                _ => return self.fault("control byte in a string"),
            }
            escapes = true;
        }
    }

    fn escape(&mut self) -> Result<(), BadJson> {
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.peek().is_ascii_hexdigit() {
                        return self.fault("bad \\u escape");
                    }
                }
                self.at += 1;
            }
            _ => return self.fault("bad escape"),
        }
        Ok(())
    }

    pub fn number(&mut self) -> Result<(), BadJson> {
        self.at += usize::from(self.peek() == b'-');
        match self.peek() {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), BadJson> {
        if !self.peek().is_ascii_digit() {
            return self.fault("bad number");
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    pub fn literal(&mut self, word: &[u8]) -> Result<(), BadJson> {
        if !self.buf[self.at..].starts_with(word) {
            return self.fault("bad literal");
        }
        self.at += word.len();
        Ok(())
    }
}
