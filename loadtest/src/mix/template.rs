//! Texts with `${…}` in them, cut into pieces once and put together for each request. Pure.

use super::{dice::Dice, distribution::Distribution, prose};

/// Hex digits of one `${random:N}`, and bytes of one `${pad:SIZE}`.
const HEX_MOST: usize = 1024;
const PAD_MOST_BYTES: u64 = 1024 * 1024;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Fixed(Vec<u8>),
    /// The request's number in the run.
    Counter,
    /// So many random hex digits.
    Hex(usize),
    /// A whole number between two, both included.
    Between(u64, u64),
    Uuid,
    /// Text of a drawn size.
    Prose(Distribution),
    /// A drawn whole number, at least 1.
    Number(Distribution),
    /// Sixteen hex digits that are the same all through one turn of a conversation.
    TurnId,
    /// The caller's key.
    Key,
    /// Length of the body.
    Length,
}

/// What one request's pieces are filled from. A copy of it fills them again with the same.
#[derive(Clone, Debug)]
pub struct Draw<'a> {
    pub dice: Dice,
    pub counter: u64,
    pub turn_id: u64,
    pub key: &'a [u8],
    pub length: u64,
}

/// Where a filled text goes: into a buffer, or, to learn its length, nowhere.
pub trait Sink {
    fn put(&mut self, bytes: &[u8]);
    fn prose(&mut self, dice: Dice, bytes: usize);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn prose(&mut self, dice: Dice, bytes: usize) {
        prose::write(self, dice, bytes);
    }
}

/// Counts the bytes.
#[derive(Default)]
pub struct Measure(pub u64);

impl Sink for Measure {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }

    fn prose(&mut self, _dice: Dice, bytes: usize) {
        self.0 += bytes as u64;
    }
}

/// Fills the pieces in.
pub fn fill(pieces: &[Piece], draw: &mut Draw, out: &mut impl Sink) {
    for piece in pieces {
        match piece {
            Piece::Fixed(bytes) => out.put(bytes),
            Piece::Counter => number(draw.counter, out),
            Piece::Hex(digits) => hex(*digits, &mut draw.dice, out),
            Piece::Between(low, high) => number(low + draw.dice.below(high - low + 1), out),
            Piece::Uuid => out.put(&uuid(&mut draw.dice)),
            Piece::Prose(size) => {
                let own = Dice::new(draw.dice.roll());
                out.prose(own, size.draw(&mut draw.dice).max(1.0) as usize);
            }
            Piece::Number(distribution) => number(distribution.draw_whole(&mut draw.dice).max(1), out),
            Piece::TurnId => out.put(&hex_of(draw.turn_id)),
            Piece::Key => out.put(draw.key),
            Piece::Length => number(draw.length, out),
        }
    }
}

fn number(value: u64, out: &mut impl Sink) {
    out.put(itoa::Buffer::new().format(value).as_bytes());
}

fn hex(digits: usize, dice: &mut Dice, out: &mut impl Sink) {
    let mut left = digits;
    while left > 0 {
        let some = left.min(16);
        out.put(&hex_of(dice.roll())[..some]);
        left -= some;
    }
}

fn hex_of(bits: u64) -> [u8; 16] {
    std::array::from_fn(|digit| b"0123456789abcdef"[(bits >> (60 - 4 * digit)) as usize & 15])
}

/// Version 4 of RFC 9562.
fn uuid(dice: &mut Dice) -> [u8; 36] {
    let high = hex_of(dice.roll() & !0xf000 | 0x4000);
    let low = hex_of(dice.roll() & !(0b11 << 62) | 0b10 << 62);
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&high[..8]);
    text[9..13].copy_from_slice(&high[8..12]);
    text[14..18].copy_from_slice(&high[12..]);
    text[19..23].copy_from_slice(&low[..4]);
    text[24..].copy_from_slice(&low[4..]);
    text
}

/// Cuts a text into pieces. `own` knows the placeholders of the place the text stands in, beside those that stand
/// everywhere; `$${` is a `${` that is meant.
pub fn parse(text: &[u8], own: &dyn Fn(&str) -> Option<Vec<Piece>>) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, b"${") {
        if rest[..at].ends_with(b"$") {
            push_fixed(&mut pieces, &rest[..at - 1]);
            push_fixed(&mut pieces, b"${");
            rest = &rest[at + 2..];
            continue;
        }
        push_fixed(&mut pieces, &rest[..at]);
        let end =
            memchr::memchr(b'}', &rest[at..]).ok_or("a '${' without its '}'; write $${ for the two characters")?;
        let name = String::from_utf8_lossy(&rest[at + 2..at + end]);
        match own(&name) {
            Some(more) => more.into_iter().for_each(|piece| push(&mut pieces, piece)),
            None => push(&mut pieces, everywhere(&name)?),
        }
        rest = &rest[at + end + 1..];
    }
    push_fixed(&mut pieces, rest);
    Ok(pieces)
}

/// Adds a piece; two fixed ones in a row become one.
pub fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    match piece {
        Piece::Fixed(bytes) => push_fixed(pieces, &bytes),
        other => pieces.push(other),
    }
}

pub fn push_fixed(pieces: &mut Vec<Piece>, bytes: &[u8]) {
    match pieces.last_mut() {
        _ if bytes.is_empty() => {}
        Some(Piece::Fixed(last)) => last.extend_from_slice(bytes),
        _ => pieces.push(Piece::Fixed(bytes.to_vec())),
    }
}

fn everywhere(name: &str) -> Result<Piece, String> {
    let (word, argument) = match name.split_once(':') {
        Some((word, argument)) => (word, Some(argument)),
        None => (name, None),
    };
    match (word, argument) {
        ("counter", None) => Ok(Piece::Counter),
        ("uuid", None) => Ok(Piece::Uuid),
        ("random", None) => Ok(Piece::Hex(16)),
        ("random", Some(range)) if range.contains('-') => between(range),
        ("random", Some(digits)) => match digits.parse() {
            Ok(digits) if (1..=HEX_MOST).contains(&digits) => Ok(Piece::Hex(digits)),
            _ => Err(format!(
                "${{{name}}}: write 1 to {HEX_MOST} hex digits, as in ${{random:8}}"
            )),
        },
        ("pad", Some(size)) => match super::units::size_bytes(size)? {
            bytes if bytes <= PAD_MOST_BYTES => Ok(Piece::Fixed(vec![b'x'; bytes as usize])),
            _ => Err(format!("${{{name}}}: at most {PAD_MOST_BYTES} bytes")),
        },
        _ => Err(format!(
            "${{{name}}} is no placeholder here; there are ${{counter}}, ${{random}}, ${{random:8}}, \
             ${{random:1-100}}, ${{uuid}}, ${{pad:4KiB}}, and in bodies ${{prompt}} and ${{max_tokens}}"
        )),
    }
}

fn between(range: &str) -> Result<Piece, String> {
    let ends = range
        .split_once('-')
        .and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
    match ends {
        Some((low, high)) if low <= high && high < u64::MAX => Ok(Piece::Between(low, high)),
        _ => Err(format!(
            "${{random:{range}}}: write two whole numbers, the smaller first, as in ${{random:1-100}}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: &dyn Fn(&str) -> Option<Vec<Piece>> = &|_| None;

    fn filled(text: &str, seed: u64) -> String {
        let pieces = parse(text.as_bytes(), NONE).unwrap();
        let draw = Draw {
            dice: Dice::new(seed),
            counter: 41,
            turn_id: 0xab,
            key: b"tg-k",
            length: 7,
        };
        let (mut out, mut measure) = (Vec::new(), Measure::default());
        fill(&pieces, &mut draw.clone(), &mut measure);
        fill(&pieces, &mut draw.clone(), &mut out);
        assert_eq!(measure.0, out.len() as u64, "what was measured is what is written");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn placeholders_are_filled() {
        assert_eq!(filled("plain", 1), "plain");
        assert_eq!(filled("n${counter}.", 1), "n41.");
        assert_eq!(filled("$${counter} $5 {}", 1), "${counter} $5 {}");
        assert_eq!(filled("${pad:3}", 1), "xxx");
        let random = filled("${random}", 1);
        assert!(
            random.len() == 16 && random.bytes().all(|digit| digit.is_ascii_hexdigit()),
            "{random}"
        );
        assert_eq!(filled("${random:40}", 1).len(), 40);
        assert_ne!(filled("${random:8}", 1), filled("${random:8}", 2));
        let drawn: Vec<u64> = (0..200)
            .map(|seed| filled("${random:7-9}", seed).parse().unwrap())
            .collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&7), Some(&9)));
    }

    #[test]
    fn a_uuid_says_its_version_and_variant() {
        for seed in 0..50 {
            let uuid = filled("${uuid}", seed);
            let parts: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(parts, [8, 4, 4, 4, 12], "{uuid}");
            assert!(
                uuid.as_bytes()[14] == b'4' && b"89ab".contains(&uuid.as_bytes()[19]),
                "{uuid}"
            );
        }
    }

    #[test]
    fn wrong_placeholders_are_refused_with_a_remedy() {
        let cases = [
            ("${counter", "$${"),
            ("${count}", "${counter}"),
            ("${random:0}", "${random:8}"),
            ("${random:9-1}", "${random:1-100}"),
            ("${random:x-1}", "${random:1-100}"),
            ("${pad:9GiB}", "at most"),
            ("${pad:x}", "no size"),
        ];
        for (text, remedy) in cases {
            let said = parse(text.as_bytes(), NONE).unwrap_err();
            assert!(said.contains(remedy), "{text}: {said}");
        }
    }

    proptest! {
        #[test]
        fn a_text_without_placeholders_stays_as_it_is(text in "[^$]{0,60}") {
            prop_assert_eq!(filled(&text, 0), text);
        }
    }
}
