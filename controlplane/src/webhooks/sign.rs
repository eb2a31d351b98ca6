//! HMAC-SHA256 (RFC 2104), by which a receiver knows who tells it something.

use sha2::{Digest as _, Sha256};

const BLOCK_BYTES: usize = 64;

/// Of the moment and the body, so that nobody can send an old notice again: hexadecimal.
pub fn signature(secret: &[u8], unix_s: u64, body: &[u8]) -> String {
    let moment = format!("{unix_s}.");
    let code = hmac(secret, &[moment.as_bytes(), body]);
    code.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hmac(secret: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut key = [0u8; BLOCK_BYTES];
    let short: &[u8] = match secret.len() > BLOCK_BYTES {
        true => &Sha256::digest(secret),
        false => secret,
    };
    for (byte, own) in key.iter_mut().zip(short) {
        *byte = *own;
    }
    let mut inner = Sha256::new_with_prefix(key.map(|byte| byte ^ 0x36));
    for part in parts {
        inner.update(part);
    }
    let mut outer = Sha256::new_with_prefix(key.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 1, 2 and 6.
    #[test]
    fn it_is_the_standards() {
        let hex = |code: [u8; 32]| code.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        for (key, data, code) in [
            (
                &[0x0b; 20][..],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hex(hmac(key, &[data])), code);
            let (one, two) = data.split_at(3);
            assert_eq!(hex(hmac(key, &[one, two])), code);
        }
    }
}
