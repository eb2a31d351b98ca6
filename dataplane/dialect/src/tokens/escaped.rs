//! Takes the escapes out of a JSON string that comes in pieces, without holding it.

/// The longest escape: a surrogate pair.
const LONGEST: usize = 12;

/// Feeds on what stands between the quotes of a JSON string, cut anywhere, and gives its text on in pieces. An escape
/// that stands for no character gives U+FFFD.
#[derive(Clone, Debug, Default)]
pub struct Unescape {
    /// An escape that may not be whole.
    held: [u8; LONGEST],
    held_bytes: usize,
}

/// What an escape's first bytes say.
enum Escape {
    /// It takes so many bytes, and is this character.
    Is(usize, char),
    More,
}

impl Unescape {
    pub fn feed(&mut self, raw: &[u8], mut on_text: impl FnMut(&[u8])) {
        let mut rest = raw;
        while self.held_bytes > 0 {
            let Some((&byte, behind)) = rest.split_first() else {
                return;
            };
            rest = behind;
            self.held[self.held_bytes] = byte;
            self.held_bytes += 1;
            self.give_held(false, &mut on_text);
        }
        while let Some(at) = memchr::memchr(b'\\', rest) {
            if at > 0 {
                on_text(&rest[..at]);
            }
            rest = &rest[at..];
            match escape(&rest[..rest.len().min(LONGEST)], false) {
                Escape::Is(length, character) => {
                    on_text(character.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = &rest[length..];
                }
                Escape::More => {
                    self.held[..rest.len()].copy_from_slice(rest);
                    self.held_bytes = rest.len();
                    return;
                }
            }
        }
        if !rest.is_empty() {
            on_text(rest);
        }
    }

    /// The string ends.
    pub fn end(&mut self, mut on_text: impl FnMut(&[u8])) {
        while self.held_bytes > 0 {
            self.give_held(true, &mut on_text);
        }
    }

    /// Gives on what is held, as far as it is known.
    fn give_held(&mut self, last: bool, on_text: &mut impl FnMut(&[u8])) {
        while self.held_bytes > 0 {
            let held = self.held;
            let held = &held[..self.held_bytes];
            let length = if held[0] == b'\\' {
                match escape(held, last) {
                    Escape::More => return,
                    Escape::Is(length, character) => {
                        on_text(character.encode_utf8(&mut [0; 4]).as_bytes());
                        length
                    }
                }
            } else {
                on_text(&held[..1]);
                1
            };
            self.held.copy_within(length..held.len(), 0);
            self.held_bytes -= length;
        }
    }
}

/// The escape at the start of `bytes`, of which there are at most `LONGEST`.
fn escape(bytes: &[u8], last: bool) -> Escape {
    let simple = |character| Escape::Is(2, character);
    match bytes.get(1) {
        None if last => Escape::Is(1, char::REPLACEMENT_CHARACTER),
        None => Escape::More,
        Some(b'n') => simple('\n'),
        Some(b't') => simple('\t'),
        Some(b'r') => simple('\r'),
        Some(b'b') => simple('\u{8}'),
        Some(b'f') => simple('\u{C}'),
        Some(b'u') => unicode(bytes, last),
        Some(&byte @ (b'"' | b'\\' | b'/')) => simple(byte.into()),
        // No JSON: the byte behind stands for itself.
        Some(_) => Escape::Is(1, char::REPLACEMENT_CHARACTER),
    }
}

fn unicode(bytes: &[u8], last: bool) -> Escape {
    let broken = |length: usize| Escape::Is(length.min(bytes.len()), char::REPLACEMENT_CHARACTER);
    let Some(high) = bytes.get(2..6) else {
        return if last { broken(6) } else { Escape::More };
    };
    let Some(high) = hexadecimal(high) else {
        return broken(2);
    };
    if !(0xD800..0xDC00).contains(&high) {
        return char::from_u32(high).map_or(broken(6), |character| Escape::Is(6, character));
    }
    let expected = b"\\u";
    let behind = &bytes[6..];
    let begun = behind.len().min(2);
    if behind[..begun] != expected[..begun] {
        return broken(6);
    }
    match behind.get(2..6) {
        None if last => broken(6),
        None => Escape::More,
        Some(low) => match hexadecimal(low) {
            Some(low @ 0xDC00..0xE000) => {
                let code = 0x1_0000 + ((high - 0xD800) << 10 | (low - 0xDC00));
                Escape::Is(12, char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            _ => broken(6),
        },
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
}
