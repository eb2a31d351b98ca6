//! A provider's own matter on its way through another dialect: signatures and sealed thinking are handed to the client
//! with the name of who issued them, and handed back to that provider alone, byte for byte.
//!
//! A sealed text is base64 (Gemini's clients decode the field) of `tgate`, NUL, provider, NUL, MAC in hexadecimal, what
//! came. All of that is ASCII where what came is, so that either alphabet of base64 writes it alike. It is no secret. The
//! MAC is of the owner, too: only what the gateway sealed for this owner decides where a request goes. Where there is no
//! key, it is zeros, and decides nothing. What is no longer sealed well goes to the provider it names all the same: who
//! forges one only sends own bytes to a provider that may be called anyway.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use memchr::memmem::{self, Finder};

pub use super::sealed_id::Signer;

const MARK: &[u8] = b"tgate\0";
/// What every sealed text begins with: base64 of the mark, whose six bytes are eight characters of their own.
pub const BEGINS: &str = "dGdhdGUA";
/// Two digits for each byte of a MAC.
const MAC_DIGITS: usize = 32;
/// Sealed texts of one request that are looked at for where it goes.
const MAX_LOOKED_AT: usize = 256;

/// What a sealed text holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Name of the provider in the configuration.
    pub provider: String,
    mac: String,
    pub raw: String,
}

impl Sealed {
    /// Was it sealed with this key, for this owner?
    pub fn is_by(&self, signer: &Signer) -> bool {
        let mac = mac(Some(signer), &self.provider, &self.raw);
        let differ = mac
            .bytes()
            .zip(self.mac.bytes())
            .fold(0, |differ, (a, b)| differ | (a ^ b));
        differ == 0
    }
}

fn mac(signer: Option<&Signer>, provider: &str, raw: &str) -> String {
    let Some(signer) = signer else {
        return "0".repeat(MAC_DIGITS);
    };
    let digits = signer
        .mac(&[provider.as_bytes(), raw.as_bytes()])
        .map(|byte| format!("{byte:02x}"));
    digits.concat()
}

pub fn seal(signer: Option<&Signer>, provider: &str, raw: &str) -> String {
    let mut bytes = Vec::with_capacity(MARK.len() + provider.len() + 1 + MAC_DIGITS + raw.len());
    bytes.extend_from_slice(MARK);
    bytes.extend_from_slice(provider.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(mac(signer, provider, raw).as_bytes());
    bytes.extend_from_slice(raw.as_bytes());
    STANDARD.encode(bytes)
}

/// `None` for what was never sealed: the matter of a provider of the caller's own dialect.
pub fn open(text: &str) -> Option<Sealed> {
    if !text.starts_with(BEGINS) {
        return None;
    }
    let bytes = STANDARD.decode(text).ok()?;
    let (provider, rest) = str::from_utf8(bytes.strip_prefix(MARK)?).ok()?.split_once('\0')?;
    let (mac, raw) = rest.split_at_checked(MAC_DIGITS)?;
    let is_mac = mac.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_mac.then(|| Sealed {
        provider: provider.to_owned(),
        mac: mac.to_owned(),
        raw: raw.to_owned(),
    })
}

/// Is there anything in `document` that looks sealed? Found without reading it.
pub fn is_in(document: &[u8]) -> bool {
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BEGINS.as_bytes()));
    FINDER.find(document).is_some()
}

/// The last sealed text in `document` that is what it looks like, wherever it stands.
pub fn last_in(document: &[u8], is_genuine: impl Fn(&Sealed) -> bool) -> Option<Sealed> {
    let places = memmem::rfind_iter(document, BEGINS.as_bytes()).take(MAX_LOOKED_AT);
    places.into_iter().find_map(|start| {
        let coded = document.get(start..)?.split(|&byte| byte == b'"').next()?;
        // Some writers escape a slash.
        let coded: Vec<u8> = coded.iter().copied().filter(|&byte| byte != b'\\').collect();
        open(str::from_utf8(&coded).ok()?).filter(&is_genuine)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::canonical::sealed_id::{IdKey, Owner};

    proptest! {
        #[test]
        fn what_was_sealed_opens_as_it_was(provider in "[a-z0-9.-]{1,40}", raw in any::<String>(), has_key: bool) {
            let key = IdKey::new(b"0123456789abcdef0123456789abcdef");
            let (ours, others) = (key.signer(Owner::Team("a")), key.signer(Owner::User("a")));
            let sealed = seal(has_key.then_some(&ours), &provider, &raw);
            prop_assert!(sealed.starts_with(BEGINS));
            let opened = open(&sealed).expect("sealed");
            prop_assert_eq!((&opened.provider, &opened.raw), (&provider, &raw));
            prop_assert_eq!((opened.is_by(&ours), opened.is_by(&others)), (has_key, false));
            // What only looks sealed, behind it, does not hide it.
            let forged = seal(None, "other", "x");
            let document = format!("{{\"a\":\"{}\",\"b\":\"{forged}\"}}", sealed.replace('/', "\\/"));
            prop_assert!(is_in(document.as_bytes()));
            let found = last_in(document.as_bytes(), |sealed| sealed.is_by(&ours));
            prop_assert_eq!(found, has_key.then_some(opened));
        }

        #[test]
        fn nothing_else_opens(text in "[A-Za-z0-9+/=]{0,60}") {
            prop_assert_eq!(open(&text), None);
            prop_assert_eq!(last_in(text.as_bytes(), |_| true), None);
        }
    }
}
