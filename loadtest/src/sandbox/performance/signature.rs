//! What the sandbox signs its thoughts with, and by what it knows its own: base64 of twenty bytes that end with a keyed
//! hash of the sixteen before. A byte changed anywhere is noticed; so is a signature under another text.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The provider's secret, so to speak.
const KEY: u32 = 0x5a4d_b0c5;

pub fn of(text: &str) -> String {
    let mut bytes = [0; 20];
    for (index, word) in bytes[..16].chunks_mut(4).enumerate() {
        word.copy_from_slice(&hash(index as u32, text.as_bytes()).to_be_bytes());
    }
    let (said, check) = bytes.split_at_mut(16);
    check.copy_from_slice(&hash(KEY, said).to_be_bytes());
    STANDARD.encode(bytes)
}

/// Whether it is one of ours, and of this text where it is said.
pub fn is_ours(signature: &str, text: Option<&str>) -> bool {
    match text {
        Some(text) => signature == of(text),
        None => STANDARD.decode(signature).is_ok_and(|bytes| {
            bytes.len() == 20
                && bytes[16..] == hash(KEY, &bytes[..16]).to_be_bytes()
                && STANDARD.encode(&bytes) == signature
        }),
    }
}

fn hash(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    // A bare checksum of what ends with its own is constant.
    hasher.finalize().wrapping_mul(0x9e37_79b1) ^ seed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_signatures_are_known_byte_for_byte() {
        let signature = of("a thought");
        assert!(is_ours(&signature, Some("a thought")) && is_ours(&signature, None));
        assert!(!is_ours(&signature, Some("another")));
        for at in 0..signature.len() {
            let mut changed = signature.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(!is_ours(&changed, None), "{changed}");
        }
        assert!(!is_ours("", None) && !is_ours("c2lnbmF0dXJl", None));
    }
}
