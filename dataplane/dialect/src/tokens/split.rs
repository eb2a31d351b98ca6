//! Cuts a text into the pieces that a published tokenizer merges within, one piece at a time: what the patterns of
//! `o200k_base` and `cl100k_base` match, without a regular expression.

use super::class::{Class, Window};

/// A longer piece is cut here: its pieces are then counted apart, which may add a token or two.
pub(super) const MAX_PIECE_BYTES: usize = 256;
/// In so many bytes the first piece always ends.
pub(super) const WINDOW_BYTES: usize = MAX_PIECE_BYTES + 16;

/// The length of the text's first piece; `None` while more bytes could change it. The text is not empty.
pub(super) type Split = fn(Window<'_>) -> Option<usize>;

/// `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+('s|…)?`, the same with a capital last,
/// `\p{N}{1,3}`, ` ?[^\s\p{L}\p{N}]+[\r\n/]*`, and white space.
pub(super) fn o200k(window: Window<'_>) -> Option<usize> {
    let (class, length) = window.class(0)?;
    let in_word = |class: Class| class.is_letter() || class == Class::Mark;
    match class {
        Class::Number => digits(window, length),
        Class::Newline => spaces(window, End::BeforeLineEnds),
        Class::Other | Class::Space => match window.class(length)?.0 {
            next if in_word(next) => cased_word(window, length),
            Class::Other if window.byte(0)? == b' ' => punctuation(window, length, b'/'),
            _ if class == Class::Other => punctuation(window, 0, b'/'),
            _ => spaces(window, End::BeforeLineEnds),
        },
        _ => cased_word(window, 0),
    }
}

/// `'(?i:[sdmt]|ll|ve|re)`, `[^\r\n\p{L}\p{N}]?\p{L}+`, `\p{N}{1,3}`, ` ?[^\s\p{L}\p{N}]+[\r\n]*`, and white space.
pub(super) fn cl100k(window: Window<'_>) -> Option<usize> {
    let (class, length) = window.class(0)?;
    match class {
        Class::Number => digits(window, length),
        Class::Newline => spaces(window, End::First),
        Class::Other | Class::Space | Class::Mark => {
            let suffix = contraction(window, 0)?;
            if suffix > 0 {
                return Some(suffix);
            }
            match window.class(length)?.0 {
                next if next.is_letter() => word(window, length),
                Class::Other | Class::Mark if window.byte(0)? == b' ' => punctuation(window, length, b'\n'),
                _ if class != Class::Space => punctuation(window, 0, b'\n'),
                _ => spaces(window, End::First),
            }
        }
        _ => word(window, 0),
    }
}

/// Letters from `at` on.
fn word(window: Window<'_>, mut at: usize) -> Option<usize> {
    while at < MAX_PIECE_BYTES {
        match window.class(at)? {
            (class, length) if class.is_letter() => at += length,
            _ => break,
        }
    }
    Some(at)
}

/// Capitals, then small letters, then `'s` and the like. Letters without case and marks are both.
fn cased_word(window: Window<'_>, mut at: usize) -> Option<usize> {
    let mut behind_both = 0;
    while at < MAX_PIECE_BYTES {
        match window.class(at)? {
            (Class::Upper, length) => at += length,
            (Class::Uncased | Class::Mark, length) => {
                at += length;
                behind_both = at;
            }
            (Class::Lower, _) => {
                let end = lower(window, at)?;
                return Some(end + contraction(window, end)?);
            }
            _ => break,
        }
    }
    // The pattern wants a small letter last. Letters without case do; capitals behind them are given back. Where
    // there are only capitals, the second pattern takes them.
    let end = if behind_both > 0 { behind_both } else { at };
    Some(end + contraction(window, end)?)
}

fn lower(window: Window<'_>, mut at: usize) -> Option<usize> {
    while at < MAX_PIECE_BYTES {
        match window.class(at)? {
            (Class::Lower | Class::Uncased | Class::Mark, length) => at += length,
            _ => break,
        }
    }
    Some(at)
}

/// The length of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll`, `'d` at `at` in any case; zero where there is none.
fn contraction(window: Window<'_>, at: usize) -> Option<usize> {
    if at >= MAX_PIECE_BYTES || window.byte(at)? != b'\'' {
        return Some(0);
    }
    let second = |wanted: u8| {
        window
            .byte(at + 2)
            .map(|byte| if byte | 0x20 == wanted { 3 } else { 0 })
    };
    match window.byte(at + 1)? | 0x20 {
        b's' | b't' | b'm' | b'd' => Some(2),
        b'r' | b'v' => second(b'e'),
        b'l' => second(b'l'),
        // `ſ` is a small s to a pattern that ignores case.
        0xE5 if window.byte(at + 1)? == 0xC5 => window.byte(at + 2).map(|byte| if byte == 0xBF { 3 } else { 0 }),
        _ => Some(0),
    }
}

/// At most three digits; the first has `at` bytes.
fn digits(window: Window<'_>, mut at: usize) -> Option<usize> {
    for _ in 1..3 {
        match window.class(at)? {
            (Class::Number, length) => at += length,
            _ => break,
        }
    }
    Some(at)
}

/// Neither spaces, letters nor digits; then line ends, with `also` among them.
fn punctuation(window: Window<'_>, mut at: usize, also: u8) -> Option<usize> {
    while at < MAX_PIECE_BYTES {
        match window.class(at)? {
            (Class::Other | Class::Mark, length) => at += length,
            _ => break,
        }
    }
    while at < MAX_PIECE_BYTES {
        match window.byte(at)? {
            b'\r' | b'\n' => at += 1,
            byte if byte == also => at += 1,
            _ => break,
        }
    }
    Some(at)
}

/// What white space at the very end of a text is.
#[derive(PartialEq)]
enum End {
    /// One piece, whatever it holds.
    First,
    /// One piece behind its last line end.
    BeforeLineEnds,
}

/// `\s*[\r\n]+`, `\s+(?!\S)`, `\s+`: up to the last line end; else all but the last, which goes to the word behind it.
fn spaces(window: Window<'_>, end: End) -> Option<usize> {
    let mut at = 0;
    let mut behind_line_end = 0;
    let mut last = 0;
    let follows = loop {
        if at >= MAX_PIECE_BYTES {
            return Some(at);
        }
        let (class, length) = window.class(at)?;
        match class {
            Class::Newline => behind_line_end = at + length,
            Class::Space => {}
            follows => break follows,
        }
        last = at;
        at += length;
    };
    Some(match follows {
        Class::End if end == End::First => at,
        _ if behind_line_end > 0 => behind_line_end,
        Class::End => at,
        _ if last > 0 => last,
        _ => at,
    })
}
