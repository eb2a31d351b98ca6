//! The tokens of JSON (RFC 8259): where a string, a number, a literal ends. Knows no structure.
//!
//! Strings are most of a prompt's bytes, so they are skipped many bytes at a time.

use super::cursor::BadJson;

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

const WORD: usize = 8;
const BLOCK: usize = 64;

/// The first byte from `at` on that is not plain string text: a quote, a backslash, a control byte; else the end.
///
/// Most strings are keys and end within a few words; the rest are prompts and are skipped by the block.
#[inline(always)]
pub(super) fn plain_end(buf: &[u8], mut at: usize) -> usize {
    loop {
        for _ in 0..BLOCK / WORD / 2 {
            let Some(word) = buf.get(at..).and_then(|rest| rest.first_chunk::<WORD>()) else {
                return plain_end_of_tail(buf, at);
            };
            let found = special(u64::from_le_bytes(*word));
            if found != 0 {
                return at + found.trailing_zeros() as usize / 8;
            }
            at += WORD;
        }
        while buf
            .get(at..)
            .and_then(|rest| rest.first_chunk::<BLOCK>())
            .is_some_and(is_plain)
        {
            at += BLOCK;
        }
    }
}

fn plain_end_of_tail(buf: &[u8], mut at: usize) -> usize {
    while buf.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        at += 1;
    }
    at
}

/// The high bit of each byte that is not plain, exact up to the first such byte (a borrow may mark later ones).
#[inline(always)]
fn special(word: u64) -> u64 {
    const LOW: u64 = u64::MAX / 255;
    const HIGH: u64 = LOW << 7;
    let quote = word ^ (LOW * b'"' as u64);
    let backslash = word ^ (LOW * b'\\' as u64);
    let is_quote = quote.wrapping_sub(LOW) & !quote;
    let is_backslash = backslash.wrapping_sub(LOW) & !backslash;
    let is_control = word.wrapping_sub(LOW * 0x20) & !word;
    (is_quote | is_backslash | is_control) & HIGH
}

/// Written as a minimum over bytes, zero where one is not plain: compilers make it a few wide instructions.
#[inline(always)]
fn is_plain(block: &[u8; BLOCK]) -> bool {
    block.iter().fold(u8::MAX, |least, byte| {
        least.min(byte ^ b'"').min(byte ^ b'\\').min(byte & 0xe0)
    }) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_ends_at_each_special_byte_and_place() {
        for special_byte in (0..0x20).chain([b'"', b'\\']) {
            for len in 0..100 {
                for at in 0..len {
                    let mut text = vec![0x80 | 0x22; len];
                    text[at] = special_byte;
                    assert_eq!(plain_end(&text, 0), at);
                    assert_eq!(plain_end(&text, at + 1), len);
                }
            }
        }
        for byte in 0..=255u8 {
            let mut block = [b'a'; BLOCK];
            block[usize::from(byte) % BLOCK] = byte;
            assert_eq!(is_plain(&block), !matches!(byte, b'"' | b'\\' | 0..=0x1f), "{byte}");
        }
        let mut text = vec![b'x'; 1000];
        text[777] = b'"';
        assert_eq!(plain_end(&text, 3), 777);
    }
}
