//! A provider's own matter on its way through another dialect: signatures and sealed thinking are handed to the client
//! with the name of who issued them, and handed back to that provider alone, byte for byte.
//!
//! A sealed text is base64 (Gemini's clients decode the field) of `tgate`, NUL, provider, NUL, what came. It is no secret
//! and carries no MAC: a client that forges one only sends its own bytes to a provider it may call anyway.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use memchr::memmem::{self, Finder};

const MARK: &[u8] = b"tgate\0";
/// What every sealed text begins with: base64 of the mark, whose six bytes are eight characters of their own.
pub const BEGINS: &str = "dGdhdGUA";

/// What a sealed text holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Name of the provider in the configuration.
    pub provider: String,
    pub raw: String,
}

pub fn seal(provider: &str, raw: &str) -> String {
    let mut bytes = Vec::with_capacity(MARK.len() + provider.len() + 1 + raw.len());
    bytes.extend_from_slice(MARK);
    bytes.extend_from_slice(provider.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(raw.as_bytes());
    STANDARD.encode(bytes)
}

/// `None` for what was never sealed: the matter of a provider of the caller's own dialect.
pub fn open(text: &str) -> Option<Sealed> {
    if !text.starts_with(BEGINS) {
        return None;
    }
    let bytes = STANDARD.decode(text).ok()?;
    let (provider, raw) = str::from_utf8(bytes.strip_prefix(MARK)?).ok()?.split_once('\0')?;
    Some(Sealed {
        provider: provider.to_owned(),
        raw: raw.to_owned(),
    })
}

/// The provider that sealed what stands last in `document`, found without reading it.
pub fn last_issuer(document: &[u8]) -> Option<String> {
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BEGINS.as_bytes()));
    // Hardly any document has one, and looking forward is many times faster than looking back.
    let first = FINDER.find(document)?;
    let start = first + memmem::rfind(&document[first..], BEGINS.as_bytes())?;
    let coded = document[start..].iter().take(MAX_ISSUER_CHARACTERS);
    let coded: Vec<u8> = coded.copied().take_while(|&byte| byte != b'"').collect();
    // Whole groups of four: the name ends long before what it sealed does.
    let bytes = STANDARD.decode(&coded[..coded.len() / 4 * 4]).ok()?;
    let rest = bytes.strip_prefix(MARK)?;
    let end = memchr::memchr(0, rest)?;
    str::from_utf8(&rest[..end]).ok().map(str::to_owned)
}

/// Enough for the longest name of a provider.
const MAX_ISSUER_CHARACTERS: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_sealed_opens_as_it_was(provider in "[a-z0-9.-]{1,40}", raw in any::<String>()) {
            let sealed = seal(&provider, &raw);
            prop_assert!(sealed.starts_with(BEGINS));
            let document = format!("{{\"a\":\"{sealed}\",\"b\":1}}");
            prop_assert_eq!(last_issuer(document.as_bytes()), Some(provider.clone()));
            prop_assert_eq!(open(&sealed), Some(Sealed { provider, raw }));
        }

        #[test]
        fn nothing_else_opens(text in "[A-Za-z0-9+/=]{0,60}") {
            if let Some(sealed) = open(&text) {
                prop_assert_eq!(seal(&sealed.provider, &sealed.raw), text);
            }
        }
    }
}
