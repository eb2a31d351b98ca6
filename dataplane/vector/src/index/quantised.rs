//! A vector in bytes, one scale for all of them. Knows no index.

/// The largest value a byte of a vector has.
const MOST: f32 = 127.0;

/// A quantised vector: a value is its byte times the scale, which brings the whole to length 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quantised {
    pub values: Vec<i8>,
    pub scale: f32,
}

impl Quantised {
    /// Rounds `vector` to bytes. The zero vector, and one with values that are no finite numbers, is similar to nothing.
    pub fn set(&mut self, vector: &[f32]) {
        let most = vector.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let per_value = if most > 0.0 && most.is_finite() {
            MOST / most
        } else {
            0.0
        };
        self.values.clear();
        self.values
            .extend(vector.iter().map(|value| (value * per_value).round() as i8));
        let squares: i64 = self.values.iter().map(|value| i64::from(*value).pow(2)).sum();
        self.scale = if squares > 0 {
            1.0 / (squares as f32).sqrt()
        } else {
            0.0
        };
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

/// Adds bytes as values to a sum.
pub fn add_to(sum: &mut [f32], values: &[i8], scale: f32) {
    sum.iter_mut()
        .zip(values)
        .for_each(|(lane, value)| *lane += f32::from(*value) * scale);
}
