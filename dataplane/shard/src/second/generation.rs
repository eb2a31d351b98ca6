//! Which of a cache's answers in the store are good: those of its generation. A purge begins another, and all that were stored
//! before are forgotten, by every node. Later ones are greater, so that a store that lost what it knew, or that is an older
//! copy of itself, is told again by whoever knows better. Knows no store.

use std::fmt;

use ring::hmac;

/// In the store: hexadecimal, and the first digit is none, so that one can always tell a later from an earlier by its text.
pub const TEXT_BYTES: usize = 32;
const MOST: u128 = 1 << 124;
/// The upper half counts, the lower is drawn: two purges at once do not make the same.
const ONE_PURGE: u128 = 1 << 64;

/// Sets the generation unless there is a later one; gives what is there then. What is none is as good as nothing, and so is the
/// second argument: what was seen there, and nobody signed. One that no purge has begun gives way to whatever is there.
pub const RAISE: &str = "local now = redis.pcall('GET', KEYS[1])
if type(now) == 'string' and now ~= ARGV[2] and #now == 64 and string.match(now, '^0%x+$') and
(now >= ARGV[1] or string.sub(ARGV[1], 1, 16) == '0000000000000000') then return now end
redis.call('SET', KEYS[1], ARGV[1])
return ARGV[1]";
/// Behind the generation, in hexadecimal: half of an HMAC.
const TAG_BYTES: usize = 16;
const FINGERPRINT_BYTES: usize = 8;

/// Generations as they lie in the store: signed, so that whoever writes to it and has not the secret cannot make one.
pub struct Signer {
    key: hmac::Key,
    /// What the cache is called in the store: one of another there is none here.
    of: String,
}

impl Signer {
    pub fn new(key: &[u8], of: String) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        Self { key, of }
    }

    /// Nodes that have the same secret have the same, and it tells nothing of it.
    pub fn fingerprint(&self) -> String {
        hex(hmac::sign(&self.key, b"fingerprint").as_ref(), FINGERPRINT_BYTES)
    }

    pub fn text(&self, generation: Generation) -> String {
        let tag = hmac::sign(&self.key, &self.signed(generation));
        format!("{generation}{}", hex(tag.as_ref(), TAG_BYTES))
    }

    /// `None`: it is none, or nobody signed it who has the secret.
    pub fn read(&self, text: &[u8]) -> Option<Generation> {
        let (number, _) = text.split_at_checked(TEXT_BYTES)?;
        let generation = Generation::read(number)?;
        let good = self.text(generation);
        // By their HMACs, whose comparison takes as long whatever they are.
        let good = hmac::sign(&self.key, good.as_bytes());
        hmac::verify(&self.key, text, good.as_ref()).ok()?;
        Some(generation)
    }

    fn signed(&self, generation: Generation) -> Vec<u8> {
        [b"generation\0", self.of.as_bytes(), b"\0", &generation.bytes()].concat()
    }
}

fn hex(bytes: &[u8], most: usize) -> String {
    bytes.iter().take(most).map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation(u128);

impl Generation {
    pub fn first(drawn: u64) -> Self {
        Self(u128::from(drawn))
    }

    /// `None`: there is no later one.
    pub fn next(self, drawn: u64) -> Option<Self> {
        let next = (self.0 / ONE_PURGE + 1) * ONE_PURGE + u128::from(drawn);
        (next < MOST).then_some(Self(next))
    }

    /// No purge began it.
    pub fn is_first(self) -> bool {
        self.0 < ONE_PURGE
    }

    /// Fewer purges made it.
    pub fn is_before(self, other: Self) -> bool {
        self.0 / ONE_PURGE < other.0 / ONE_PURGE
    }

    pub fn read(text: &[u8]) -> Option<Self> {
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != TEXT_BYTES || !text.iter().all(is_digit) {
            return None;
        }
        let value = u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()?;
        (value < MOST).then_some(Self(value))
    }

    pub fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_generation_is_none() {
        for text in [
            "",
            "0",
            "f0000000000000000000000000000000",
            "0000000000000000000000000000000G",
            "+0000000000000000000000000000000",
            "0000000000000000000000000000000A",
        ] {
            assert_eq!(Generation::read(text.as_bytes()), None, "{text}");
        }
        let last = Generation(MOST - 1);
        assert_eq!(last.next(0), None);
        assert_eq!(Generation::read(last.to_string().as_bytes()), Some(last));
    }

    #[test]
    fn only_who_has_the_secret_makes_one() {
        let signer = |key: u8, of: &str| Signer::new(&[key; 32], of.to_owned());
        let (mine, generation) = (signer(1, "one"), Generation::first(7));
        let text = mine.text(generation);
        assert_eq!((text.len(), mine.read(text.as_bytes())), (64, Some(generation)));
        for other in [signer(2, "one"), signer(1, "other")] {
            assert_eq!(mine.read(other.text(generation).as_bytes()), None);
        }
        let later = generation.next(7).expect("there is room").to_string() + &text[TEXT_BYTES..];
        for forged in [&later, &text[..TEXT_BYTES], "", &format!("{text}0")] {
            assert_eq!(mine.read(forged.as_bytes()), None, "{forged}");
        }
        assert_ne!(mine.fingerprint(), signer(2, "one").fingerprint());
    }

    proptest! {
        #[test]
        fn a_later_one_is_greater_as_a_number_and_as_a_text(one in 0..MOST / 2, drawn: u64) {
            let one = Generation(one);
            let next = one.next(drawn).expect("there is room");
            prop_assert!(one.is_before(next) && !next.is_before(one) && one < next && one.to_string() < next.to_string());
            prop_assert_eq!(Generation::read(next.to_string().as_bytes()), Some(next));
        }
    }
}
