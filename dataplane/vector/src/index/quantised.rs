//! A vector in bytes, one scale for all of them. Knows no index.

/// The largest value a byte of a vector has.
const MOST: f32 = 127.0;
/// Added to a small number it leaves no bit for a fraction: the last bits of the sum are the rounded number's.
const TO_WHOLE: f32 = 12_582_912.0;

/// A quantised vector: a value is its byte times the scale, which brings the whole to length 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quantised {
    pub values: Vec<i8>,
    pub scale: f32,
}

impl Quantised {
    /// Rounds `vector` to bytes. The zero vector, and one with values that are no finite numbers, is similar to nothing.
    pub fn set(&mut self, vector: &[f32]) {
        // Without their signs floats are in the order of their bits, those that are no finite numbers last.
        let most = vector.iter().map(|value| value.abs().to_bits()).fold(0, u32::max);
        let most = f32::from_bits(most);
        self.values.clear();
        self.scale = 0.0;
        if most == 0.0 || !most.is_finite() {
            return self.values.resize(vector.len(), 0);
        }
        let per_value = MOST / most;
        let byte = |value: &f32| (value * per_value + TO_WHOLE).to_bits() as i8;
        self.values.extend(vector.iter().map(byte));
        let squares: i32 = self.values.iter().map(|value| i32::from(*value).pow(2)).sum();
        if squares > 0 {
            self.scale = 1.0 / (squares as f32).sqrt();
        }
    }

    pub fn of(vector: &[f32]) -> Self {
        let mut made = Self::default();
        made.set(vector);
        made
    }

    /// The similarity that a dot product of bytes means.
    pub fn similarity(&self, dot: i32, other_scale: f32) -> f32 {
        dot as f32 * self.scale * other_scale
    }
}

/// A vector by a byte a dimension, as an index holds it: made of these numbers anew, an entry is the same.
pub fn to_bytes(vector: &[f32]) -> Box<[i8]> {
    Quantised::of(vector).values.into()
}

/// Adds bytes as values to a sum.
pub fn add_to(sum: &mut [f32], values: &[i8], scale: f32) {
    sum.iter_mut()
        .zip(values)
        .for_each(|(lane, value)| *lane += f32::from(*value) * scale);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rounded_to_bytes_of_the_largest() {
        let made = Quantised::of(&[2.0, -2.0, 1.0, 0.0, -0.013, 0.007, 1.99]);
        assert_eq!(made.values, [127, -127, 64, 0, -1, 0, 126]);
        let again: Vec<f32> = made.values.iter().map(|&value| f32::from(value)).collect();
        assert_eq!(Quantised::of(&again), made);
        let squares: f32 = made.values.iter().map(|value| f32::from(*value).powi(2)).sum();
        assert_eq!(made.scale, 1.0 / squares.sqrt());
    }

    #[test]
    fn what_is_no_number_is_similar_to_nothing() {
        for wrong in [f32::NAN, f32::from_bits(0x7f80_0001), f32::INFINITY, f32::NEG_INFINITY] {
            let made = Quantised::of(&[1.0, wrong, 0.5]);
            assert_eq!((made.values.as_slice(), made.scale), (&[0i8, 0, 0][..], 0.0));
        }
        assert_eq!(Quantised::of(&[0.0, -0.0]).scale, 0.0);
    }
}
