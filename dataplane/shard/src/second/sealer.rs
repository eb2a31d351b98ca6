//! Answers as they lie in the store: sealed, under names that tell nothing, so that whoever reads it learns neither prompts
//! nor answers nor whether a prompt was asked, and whoever writes to it cannot put in an answer, nor one in another's place.
//! Knows no store.
//!
//! AES-256-GCM (NIST SP 800-38D) with a key of each answer's own, HMAC-SHA-256 over 16 random bytes that stand before it: no
//! key seals twice, so a nonce that is always the same is as good as a new one.

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
    rand::SecureRandom,
};
use tollgate_engine::exact::TierKeys;

use super::generation::Generation;

/// Of all below.
const VERSION: u8 = 1;
const GENERATION_BYTES: usize = 16;
const SALT_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + GENERATION_BYTES + SALT_BYTES;
/// A name in the store: half of an HMAC.
const NAME_BYTES: usize = 16;

pub struct Sealer {
    naming: hmac::Key,
    sealing: hmac::Key,
}

/// Why what lies in the store is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Of another form.
    Version,
    /// Shorter than any, or longer than any is.
    Length,
    /// Sealed with another secret, under another name, or changed.
    Seal,
    /// Sealed well, and no answer to this call.
    Content,
}

impl Unreadable {
    pub const ALL: [Self; 4] = [Self::Version, Self::Length, Self::Seal, Self::Content];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Length => "length",
            Self::Seal => "seal",
            Self::Content => "content",
        }
    }
}

impl Sealer {
    pub fn new(keys: &TierKeys) -> Self {
        Self {
            naming: hmac::Key::new(hmac::HMAC_SHA256, &keys.naming),
            sealing: hmac::Key::new(hmac::HMAC_SHA256, &keys.sealing),
        }
    }

    /// What an answer is called in the store.
    pub fn name(&self, key: u128) -> String {
        let tag = hmac::sign(&self.naming, &key.to_be_bytes());
        let half = tag.as_ref().iter().take(NAME_BYTES);
        half.map(|byte| format!("{byte:02x}")).collect()
    }

    /// `None`: the system gives no randomness.
    pub fn seal(
        &self,
        random: &dyn SecureRandom,
        (key, generation): (u128, Generation),
        plain: &[u8],
    ) -> Option<Vec<u8>> {
        let mut salt = [0; SALT_BYTES];
        random.fill(&mut salt).ok()?;
        let mut sealed = Vec::with_capacity(HEAD_BYTES + plain.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&generation.bytes());
        sealed.extend_from_slice(&salt);
        let aad = aad(&sealed, key);
        let mut body = plain.to_vec();
        self.key(&salt)?
            .seal_in_place_append_tag(nonce(), Aad::from(aad), &mut body)
            .ok()?;
        sealed.extend_from_slice(&body);
        Some(sealed)
    }

    /// `Ok(None)`: it was forgotten, or is of a generation that this node has not heard of.
    pub fn open(&self, (key, generation): (u128, Generation), sealed: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        let (version, _) = sealed.split_first().ok_or(Unreadable::Length)?;
        if *version != VERSION {
            return Err(Unreadable::Version);
        }
        let (head, body) = sealed.split_at_checked(HEAD_BYTES).ok_or(Unreadable::Length)?;
        let (of, salt) = head[1..].split_at(GENERATION_BYTES);
        if of != generation.bytes() {
            return Ok(None);
        }
        let opens = self.key(salt).ok_or(Unreadable::Seal)?;
        let mut body = body.to_vec();
        let plain = opens.open_in_place(nonce(), Aad::from(aad(head, key)), &mut body);
        let length = plain.map_err(|_| Unreadable::Seal)?.len();
        body.truncate(length);
        Ok(Some(body))
    }

    fn key(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let key = hmac::sign(&self.sealing, salt);
        UnboundKey::new(&AES_256_GCM, key.as_ref()).ok().map(LessSafeKey::new)
    }
}

/// What has to be so for it to open: all that stands before it, and its name.
fn aad(head: &[u8], key: u128) -> Vec<u8> {
    [head, &key.to_be_bytes()].concat()
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::rand::SystemRandom;

    use super::*;

    const PLAIN: &[u8] = b"the answer that nobody may read";

    fn sealer(secret: u8) -> Sealer {
        Sealer::new(&TierKeys::derive(&[secret; 32], "answers").expect("they are short"))
    }

    fn sealed(key: u128, generation: Generation) -> Vec<u8> {
        let sealed = sealer(1).seal(&SystemRandom::new(), (key, generation), PLAIN);
        sealed.expect("there is randomness")
    }

    #[test]
    fn it_opens_under_its_name_in_its_generation_with_its_secret_only() {
        let now = Generation::first(7);
        let later = now.next(0).expect("there is room");
        let value = sealed(1, now);
        assert!(!value.windows(6).any(|some| PLAIN.windows(6).any(|plain| plain == some)));
        assert_eq!(sealer(1).open((1, now), &value), Ok(Some(PLAIN.to_vec())));
        assert_eq!(sealer(1).open((1, later), &value), Ok(None));
        assert_eq!(sealer(1).open((2, now), &value), Err(Unreadable::Seal));
        assert_eq!(sealer(2).open((1, now), &value), Err(Unreadable::Seal));
        assert_ne!(value, sealed(1, now), "no two are the same");
        // Passed off as of a later generation it does not open.
        let mut forged = value.clone();
        forged[1..=GENERATION_BYTES].copy_from_slice(&later.bytes());
        assert_eq!(sealer(1).open((1, later), &forged), Err(Unreadable::Seal));
        assert_ne!(sealer(1).name(1), sealer(1).name(2));
        assert_ne!(sealer(1).name(1), sealer(2).name(1));
        assert!(!sealer(1).name(1).contains("0000000000000001"));
    }

    proptest! {
        #[test]
        fn whatever_is_changed_does_not_open(at: prop::sample::Index, change in 1u8..) {
            let now = Generation::first(7);
            let mut value = sealed(1, now);
            let at = at.index(value.len());
            value[at] ^= change;
            prop_assert!(!matches!(sealer(1).open((1, now), &value), Ok(Some(_))));
            value.truncate(at);
            prop_assert!(!matches!(sealer(1).open((1, now), &value), Ok(Some(_))));
        }

        #[test]
        fn whatever_lies_there_is_no_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(!matches!(sealer(1).open((1, Generation::first(7)), &bytes), Ok(Some(_))));
        }
    }
}
