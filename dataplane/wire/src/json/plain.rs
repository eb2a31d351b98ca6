//! Where plain string text ends: the loop that most bytes of a prompt go through. Knows bytes, and no JSON around them.
//!
//! Sixteen bytes at a time, in the widest registers that every processor of a kind has.

use wide::u8x16;

const STEP: usize = 16;
const BLOCK: usize = 4 * STEP;

/// The first byte from `at` on that is not plain string text: a quote, a backslash, a control byte; else the end.
///
/// Most strings are keys and end within two steps; the rest are prompts and are passed by the block.
#[inline(always)]
pub fn plain_end(buf: &[u8], mut at: usize) -> usize {
    loop {
        for _ in 0..2 {
            let Some(step) = chunk::<STEP>(buf, at) else {
                return plain_end_of_tail(buf, at);
            };
            if let Some(first) = first_special(step) {
                return at + first;
            }
            at += STEP;
        }
        while let Some(block) = chunk::<BLOCK>(buf, at) {
            if let Some(first) = first_special_of_block(block) {
                return at + first;
            }
            at += BLOCK;
        }
    }
}

#[inline(always)]
fn chunk<const N: usize>(buf: &[u8], at: usize) -> Option<&[u8; N]> {
    buf.get(at..)?.first_chunk()
}

fn plain_end_of_tail(buf: &[u8], mut at: usize) -> usize {
    while buf.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        at += 1;
    }
    at
}

/// Where the first byte of `bytes` is that is not plain.
#[inline(always)]
fn first_special(bytes: &[u8; STEP]) -> Option<usize> {
    let mask = special(bytes).to_bitmask();
    (mask != 0).then(|| mask.trailing_zeros() as usize)
}

#[inline(always)]
fn first_special_of_block(block: &[u8; BLOCK]) -> Option<usize> {
    let (steps, _) = block.as_chunks::<STEP>();
    let [a, b, c, d] = [0, 1, 2, 3].map(|step| special(&steps[step]));
    if !(a | b | c | d).any() {
        return None;
    }
    let mask = |step: u8x16, at: usize| u64::from(step.to_bitmask()) << (at * STEP);
    Some((mask(a, 0) | mask(b, 1) | mask(c, 2) | mask(d, 3)).trailing_zeros() as usize)
}

/// All bits of each byte that is not plain.
#[inline(always)]
fn special(bytes: &[u8; STEP]) -> u8x16 {
    let bytes = u8x16::new(*bytes);
    let highest_control = u8x16::splat(0x1f);
    let is_control = bytes.max(highest_control).simd_eq(highest_control);
    is_control | bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_ends_at_each_special_byte_and_place() {
        for special_byte in (0..0x20).chain([b'"', b'\\']) {
            for len in 0..140 {
                for at in 0..len {
                    let mut text = vec![0x80 | 0x22; len];
                    text[at] = special_byte;
                    assert_eq!(plain_end(&text, 0), at);
                    assert_eq!(plain_end(&text, at + 1), len);
                }
            }
        }
        let mut text = vec![b'x'; 1000];
        text[777] = b'"';
        assert_eq!(plain_end(&text, 3), 777);
    }

    #[test]
    fn all_other_bytes_are_plain() {
        for byte in 0..=255u8 {
            for at in [0, 15, 40, 95] {
                let mut text = [b'a'; 96];
                text[at] = byte;
                let special = matches!(byte, b'"' | b'\\' | 0..=0x1f);
                assert_eq!(plain_end(&text, 0), if special { at } else { text.len() }, "{byte}");
            }
        }
    }
}
