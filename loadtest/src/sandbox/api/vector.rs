//! Embeddings made of a text's words: unit vectors, the same for the same text, and near each other for texts that share many
//! words. Knows no provider.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::sandbox::text::PromptCount;

/// The widest that may be asked for.
pub const MAX_DIMENSIONS: usize = 8192;

/// Words of a text that count, and components that each has a say in.
const MAX_WORDS: usize = 256;
const SAYS: usize = 32;

/// The vector of a text, whatever the order of its words and their capitals; the longer a word, the more it says.
pub fn of(text: &str, dimensions: usize) -> Vec<f64> {
    let mut vector = vec![0.0; dimensions];
    let words = text.split(|letter: char| !letter.is_alphanumeric());
    for word in words.filter(|word| !word.is_empty()).take(MAX_WORDS) {
        let mut state = PromptCount::of(&word.to_lowercase()).seed | 1;
        for _ in 0..SAYS {
            let draw = draw(&mut state);
            let says = word.chars().count() as f64;
            vector[(draw >> 1) as usize % dimensions] += if draw & 1 == 0 { says } else { -says };
        }
    }
    match vector.iter().any(|part| *part != 0.0) {
        true => to_unit(vector),
        false => unit(PromptCount::of(text).seed, dimensions),
    }
}

/// Of what has no words.
fn unit(seed: u64, dimensions: usize) -> Vec<f64> {
    let mut state = seed | 1;
    let vector = (0..dimensions).map(|_| draw(&mut state) as f64 / (1u64 << 52) as f64 - 1.0);
    to_unit(vector.collect())
}

/// xorshift64*, as the texts are drawn with: 53 bits.
fn draw(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
}

/// Its components become whole hundred-millionths, so that text and binary say the same.
fn to_unit(mut vector: Vec<f64>) -> Vec<f64> {
    let length = vector.iter().map(|part| part * part).sum::<f64>().sqrt().max(1e-9);
    vector
        .iter_mut()
        .for_each(|part| *part = (*part / length * 1e8).round() / 1e8);
    vector
}

/// Appends `[0.1,-0.2,…]`.
pub fn write_floats(out: &mut Vec<u8>, vector: &[f64]) {
    write_list(
        out,
        vector.iter().map(|part| (part * 1e8).round() as i64),
        |out, part| {
            // Printing integers costs a tenth of printing floats.
            let mut digits = [b'0'; 8];
            let printed = itoa::Buffer::new().format(part.unsigned_abs() % 100_000_000).to_owned();
            digits[8 - printed.len()..].copy_from_slice(printed.as_bytes());
            let whole: &[u8] = if part.unsigned_abs() >= 100_000_000 {
                b"1."
            } else {
                b"0."
            };
            out.extend_from_slice(if part < 0 { b"-" } else { b"" });
            out.extend_from_slice(whole);
            out.extend_from_slice(&digits);
        },
    );
}

/// Appends `[12,-7,…]`.
pub fn write_integers(out: &mut Vec<u8>, parts: impl Iterator<Item = i64>) {
    write_list(out, parts, |out, part| {
        out.extend_from_slice(itoa::Buffer::new().format(part).as_bytes())
    });
}

fn write_list(out: &mut Vec<u8>, parts: impl Iterator<Item = i64>, write: impl Fn(&mut Vec<u8>, i64)) {
    out.push(b'[');
    for (index, part) in parts.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, part);
    }
    out.push(b']');
}

/// Appends the vector as little-endian 32-bit floats in Base64, with its quotes.
pub fn write_base64(out: &mut Vec<u8>, vector: &[f64]) {
    let bytes: Vec<u8> = vector.iter().flat_map(|part| (*part as f32).to_le_bytes()).collect();
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Each component as a signed byte.
pub fn int8(vector: &[f64]) -> impl Iterator<Item = i64> {
    vector.iter().map(|part| (part * 127.0).round() as i64)
}

/// Each component's sign as a bit, the first the highest of its byte.
pub fn bits(vector: &[f64]) -> impl Iterator<Item = i64> {
    vector.chunks(8).map(|eight| {
        let byte = eight
            .iter()
            .enumerate()
            .fold(0u8, |byte, (index, part)| byte | u8::from(*part >= 0.0) << (7 - index));
        i64::from(byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_units_and_the_forms_agree() {
        let vector = of("a river and a mill", 1536);
        let length: f64 = vector.iter().map(|part| part * part).sum();
        assert!((length - 1.0).abs() < 1e-4, "{length}");
        assert_ne!(vector, of("a river and a hill", 1536));
        assert_ne!(unit(7, 1536), unit(9, 1536));
        let mut text = Vec::new();
        write_floats(&mut text, &vector);
        let read: Vec<f64> = serde_json::from_slice(&text).unwrap();
        assert_eq!(read, vector);
        let mut quoted = Vec::new();
        write_base64(&mut quoted, &vector);
        let bytes = STANDARD.decode(&quoted[1..quoted.len() - 1]).unwrap();
        let floats: Vec<f32> = bytes
            .chunks(4)
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect();
        assert!(
            floats
                .iter()
                .zip(&vector)
                .all(|(a, b)| (f64::from(*a) - b).abs() < 1e-7)
        );
    }

    #[test]
    fn texts_that_share_words_are_near() {
        let near = |one: &str, other: &str| {
            let (one, other) = (of(one, 256), of(other, 256));
            one.iter().zip(&other).map(|(one, other)| one * other).sum::<f64>()
        };
        let asked = "What is the capital of France?";
        assert!(near(asked, "Please tell me, what's the capital of France?") > 0.7);
        assert!(near(asked, "what is THE capital of france") > 0.999);
        assert!(near(asked, "Write a poem on rain") < 0.3);
        assert!((near("?!", "?!") - 1.0).abs() < 1e-4);
    }

    #[test]
    fn known_numbers_are_written_so() {
        let mut out = Vec::new();
        write_floats(&mut out, &[1.0, -0.5, 0.00000012, 0.0]);
        assert_eq!(out, b"[1.00000000,-0.50000000,0.00000012,0.00000000]");
        assert_eq!(
            bits(&[1.0, -1.0, 0.0, -1.0, -1.0, -1.0, -1.0, 1.0, 1.0]).collect::<Vec<_>>(),
            [0b1010_0001, 0b1000_0000]
        );
        assert_eq!(int8(&[1.0, -1.0, 0.5]).collect::<Vec<_>>(), [127, -127, 64]);
    }
}
