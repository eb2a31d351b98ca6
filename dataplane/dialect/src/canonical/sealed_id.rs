//! Ids of objects that live at a provider (responses, files, batches), as a client of the gateway sees them: whose the
//! object is, where it lives and the provider's own id, under a MAC. Another owner's id, a forged one or the provider's own
//! opens nothing.
//!
//! A sealed id is the raw one's prefix (`resp_`, `file-`), then base64url of: three bytes that mark it, the provider's
//! name with its length, the MAC (HMAC-SHA256, 128 bits), and the text. The text is the tag of the credential that
//! reaches the object and the rest of the raw id, hidden under a stream of HMAC blocks that begin with the MAC (the
//! construction of RFC 5297): who sees another's sealed id does not learn the raw one, which could be used elsewhere.
//! The owner stands in the MAC alone. The same object has the same sealed id every time.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

/// What every sealed id has behind its prefix: base64url of the first three bytes.
pub const MARK: &str = "tgt1";
const MARK_BYTES: usize = 3;
const MAC_BYTES: usize = 16;
const TAG_BYTES: usize = 2;
const MAX_PREFIX_BYTES: usize = 16;
const MAX_PROVIDER_BYTES: usize = u8::MAX as usize;
/// A provider's id that is longer is not sealed, and so opens nothing.
pub const MAX_RAW_BYTES: usize = 256;
/// No sealed id is longer: four characters for three bytes of all that it holds.
pub const MAX_SEALED_BYTES: usize =
    MAX_PREFIX_BYTES + (MARK_BYTES + 1 + MAX_PROVIDER_BYTES + MAC_BYTES + TAG_BYTES + MAX_RAW_BYTES).div_ceil(3) * 4;

/// Tells a provider's credentials apart: they may belong to different accounts.
pub type CredentialTag = [u8; TAG_BYTES];

/// Who shares an object: never wider than one team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    Team(&'a str),
    User(&'a str),
    Key(&'a str),
}

impl Owner<'_> {
    /// Tells owners apart.
    pub fn scope_and_name(&self) -> (u8, &str) {
        match self {
            Owner::Team(name) => (b't', name),
            Owner::User(name) => (b'u', name),
            Owner::Key(name) => (b'k', name),
        }
    }
}

/// Where an object lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Name of the provider in the configuration.
    pub provider: &'a str,
    pub credential: CredentialTag,
}

/// What a sealed id opens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    pub credential: CredentialTag,
    pub raw: String,
}

/// A text of the form of a sealed id. Nothing it says is proven before a key opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedId<'a> {
    prefix: &'a str,
    provider: String,
    mac: [u8; MAC_BYTES],
    hidden: Vec<u8>,
}

impl<'a> SealedId<'a> {
    pub fn read(text: &'a str) -> Option<SealedId<'a>> {
        if text.len() > MAX_SEALED_BYTES {
            return None;
        }
        let (prefix, coded) = text.split_at(prefix_bytes(text));
        if !coded.starts_with(MARK) {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(coded).ok()?;
        let (&length, rest) = bytes.get(MARK_BYTES..)?.split_first()?;
        let (provider, rest) = rest.split_at_checked(usize::from(length))?;
        let (mac, hidden) = rest.split_first_chunk()?;
        (hidden.len() >= TAG_BYTES).then_some(())?;
        Some(SealedId {
            prefix,
            provider: str::from_utf8(provider).ok()?.to_owned(),
            mac: *mac,
            hidden: hidden.to_vec(),
        })
    }

    /// Where the object lives, if the id is what it looks like.
    pub fn provider(&self) -> &str {
        &self.provider
    }
}

/// `resp_`, `file-`: letters and what ends them. The mark's digit keeps a sealed id without a prefix from having one.
fn prefix_bytes(id: &str) -> usize {
    let letters = id.bytes().take_while(u8::is_ascii_lowercase).count();
    let ends = matches!(id.as_bytes().get(letters), Some(b'_' | b'-'));
    if ends && (1..MAX_PREFIX_BYTES).contains(&letters) {
        letters + 1
    } else {
        0
    }
}

/// What ids are sealed with and opened.
#[derive(Clone, Debug)]
pub struct IdKey {
    mac: hmac::Key,
    stream: hmac::Key,
    matter: hmac::Key,
}

/// Signs what one owner is given.
#[derive(Clone, Debug)]
pub struct Signer(hmac::Context);

impl Signer {
    /// Of the parts, each with its length.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
        finish(self.0.clone(), parts)
    }
}

fn finish(mut context: hmac::Context, parts: &[&[u8]]) -> [u8; MAC_BYTES] {
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut mac = [0; MAC_BYTES];
    mac.copy_from_slice(&context.sign().as_ref()[..MAC_BYTES]);
    mac
}

impl IdKey {
    /// Derived from a secret of at least 128 bits.
    pub fn new(secret: &[u8]) -> IdKey {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = |purpose: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, purpose).as_ref());
        IdKey {
            mac: derived(b"tollgate ids 1: mac"),
            stream: derived(b"tollgate ids 1: stream"),
            matter: derived(b"tollgate sealed matter 1"),
        }
    }

    /// Seals places in lists: where an owner's list goes on may be the id of another's object, which must open no object.
    pub fn of_places(&self) -> IdKey {
        let derived = |key: &hmac::Key| {
            let secret = hmac::sign(key, b"tollgate places in lists 1");
            hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref())
        };
        IdKey {
            mac: derived(&self.mac),
            stream: derived(&self.stream),
            matter: derived(&self.matter),
        }
    }

    /// Signs matter of providers (`seal`) for its owner.
    pub fn signer(&self, owner: Owner<'_>) -> Signer {
        let (scope, name) = owner.scope_and_name();
        let mut context = hmac::Context::with_key(&self.matter);
        context.update(&[scope]);
        context.update(&(name.len() as u64).to_le_bytes());
        context.update(name.as_bytes());
        Signer(context)
    }

    /// `None` for what is too long or empty.
    pub fn seal(&self, owner: Owner<'_>, place: Place<'_>, raw: &str) -> Option<String> {
        let fits = (1..=MAX_RAW_BYTES).contains(&raw.len()) && place.provider.len() <= MAX_PROVIDER_BYTES;
        fits.then_some(())?;
        let (prefix, rest) = raw.split_at(prefix_bytes(raw));
        let mut text = [&place.credential, rest.as_bytes()].concat();
        let mac = self.mac(owner, prefix, place.provider, &text);
        self.hide(&mac, &mut text);
        let mut bytes = URL_SAFE_NO_PAD.decode(MARK).expect("the mark is base64url");
        bytes.push(place.provider.len() as u8);
        bytes.extend_from_slice(place.provider.as_bytes());
        bytes.extend_from_slice(&mac);
        bytes.extend_from_slice(&text);
        let mut sealed = prefix.to_owned();
        URL_SAFE_NO_PAD.encode_string(bytes, &mut sealed);
        Some(sealed)
    }

    /// `None` for what this key did not seal for this owner.
    pub fn open(&self, owner: Owner<'_>, sealed: &SealedId<'_>) -> Option<Opened> {
        let mut text = sealed.hidden.clone();
        self.hide(&sealed.mac, &mut text);
        let mac = self.mac(owner, sealed.prefix, &sealed.provider, &text);
        let differ = mac.iter().zip(sealed.mac).fold(0, |differ, (a, b)| differ | (a ^ b));
        (differ == 0).then_some(())?;
        let (credential, rest) = text.split_first_chunk()?;
        Some(Opened {
            credential: *credential,
            raw: format!("{}{}", sealed.prefix, str::from_utf8(rest).ok()?),
        })
    }

    fn mac(&self, owner: Owner<'_>, prefix: &str, provider: &str, text: &[u8]) -> [u8; MAC_BYTES] {
        let (scope, name) = owner.scope_and_name();
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(&[scope]);
        finish(
            context,
            &[name.as_bytes(), prefix.as_bytes(), provider.as_bytes(), text],
        )
    }

    /// Hides the text, and shows it again.
    fn hide(&self, mac: &[u8; MAC_BYTES], text: &mut [u8]) {
        const BLOCK_BYTES: usize = 32;
        for (number, block) in text.chunks_mut(BLOCK_BYTES).enumerate() {
            let mut context = hmac::Context::with_key(&self.stream);
            context.update(mac);
            context.update(&(number as u64).to_le_bytes());
            let mask = context.sign();
            for (byte, mask) in block.iter_mut().zip(mask.as_ref()) {
                *byte ^= mask;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn open(key: &IdKey, owner: Owner<'_>, text: &str) -> Option<Opened> {
        key.open(owner, &SealedId::read(text)?)
    }

    #[test]
    fn it_keeps_the_prefix_and_hides_the_rest() {
        let place = Place {
            provider: "openai",
            credential: [1, 2],
        };
        for raw in [
            "resp_68aF",
            "file-68aF",
            "batch_68aF",
            "conv_68aF",
            "68aF-x",
            "tgt1",
            "tgt_1",
        ] {
            let sealed = IdKey::new(SECRET).seal(Owner::Team("a"), place, raw).expect("it fits");
            let prefix = &raw[..prefix_bytes(raw)];
            assert!(sealed.starts_with(&format!("{prefix}{MARK}")), "{sealed}");
            assert!(!sealed.contains("68aF"), "{sealed}");
            assert!(
                sealed
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            );
            assert_eq!(SealedId::read(&sealed).expect("its form").provider(), "openai");
        }
        assert_eq!(IdKey::new(SECRET).seal(Owner::Team("a"), place, ""), None);
        assert_eq!(
            IdKey::new(SECRET).seal(Owner::Team("a"), place, &"x".repeat(MAX_RAW_BYTES + 1)),
            None
        );
    }

    proptest! {
        #[test]
        fn it_opens_for_its_owner_alone(
            prefix in "([a-z]{0,18}[_-])?",
            rest in "\\PC{1,40}",
            provider in "[a-z0-9. -]{1,80}",
            credential in any::<[u8; 2]>(),
            flip in any::<prop::sample::Index>(),
            bit in 0..7u32,
        ) {
            let raw = prefix + &rest;
            let key = IdKey::new(SECRET);
            let place = Place { provider: &provider, credential };
            let sealed = key.seal(Owner::User("ann"), place, &raw).expect("it fits");
            prop_assert!(sealed.len() <= MAX_SEALED_BYTES);
            let read = SealedId::read(&sealed).expect("its form");
            prop_assert_eq!(read.provider(), &*provider);
            prop_assert_eq!(open(&key, Owner::User("ann"), &sealed), Some(Opened { credential, raw: raw.clone() }));
            for other in [Owner::User("anne"), Owner::Team("ann"), Owner::Key("ann"), Owner::User("")] {
                prop_assert_eq!(open(&key, other, &sealed), None);
            }
            prop_assert_eq!(open(&IdKey::new(b"another secret of some length..."), Owner::User("ann"), &sealed), None);
            prop_assert_eq!(open(&key, Owner::User("ann"), &raw), None);
            let at = key.of_places().seal(Owner::User("ann"), place, &raw).expect("it fits");
            prop_assert_eq!(open(&key, Owner::User("ann"), &at), None);
            prop_assert_eq!(open(&key.of_places(), Owner::User("ann"), &sealed), None);
            prop_assert_eq!(open(&key.of_places(), Owner::User("ann"), &at).map(|opened| opened.raw), Some(raw.clone()));

            let mut forged = sealed.into_bytes();
            let at = flip.index(forged.len());
            forged[at] ^= 1 << bit;
            let forged = String::from_utf8(forged).expect("the highest bit is left");
            prop_assert_eq!(open(&key, Owner::User("ann"), &forged), None);
            forged.char_indices().for_each(|(end, _)| assert_eq!(open(&key, Owner::User("ann"), &forged[..end]), None));
        }

        #[test]
        fn nothing_else_opens(text in "([a-z]{0,5}_)?tgt1[A-Za-z0-9_-]{0,90}") {
            prop_assert_eq!(open(&IdKey::new(SECRET), Owner::Team(""), &text), None);
        }
    }
}
