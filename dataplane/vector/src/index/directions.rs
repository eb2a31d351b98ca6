//! Directions that vectors lie in, side by side: their bytes, scales and codes; and how they are found among vectors by spherical
//! k-means, the same for the same vectors. Knows no lists.

use super::code::{self, Rotation};
use super::quantised::{Quantised, add_to};
use crate::{Kernel, kernels::ask_for};

/// Rounds after which directions hardly move.
const ROUNDS: usize = 6;

#[derive(Clone, Debug, Default)]
pub struct Directions {
    dims: usize,
    pub values: Vec<i8>,
    pub scales: Vec<f32>,
    /// None until they are [encoded](Self::encode_all).
    pub codes: Vec<u64>,
}

impl Directions {
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// `count` of them, of a sample that holds at least as many vectors.
    pub fn find(sample: &[&Quantised], count: usize, kernel: Kernel) -> Self {
        let dims = sample.first().map_or(0, |vector| vector.values.len());
        let mut found = Self {
            dims,
            ..Self::default()
        };
        let stride = (sample.len() / count.max(1)).max(1);
        for vector in sample.iter().step_by(stride).take(count) {
            found.values.extend_from_slice(&vector.values);
            found.scales.push(vector.scale);
        }
        let mut dots = Vec::new();
        for _ in 0..ROUNDS {
            let mut sums = vec![0.0; found.values.len()];
            for vector in sample {
                let nearest = found.nearest(vector, kernel, &mut dots);
                let sum = sums.get_mut(nearest * dims..(nearest + 1) * dims).unwrap_or_default();
                add_to(sum, &vector.values, vector.scale);
            }
            found.settle(&sums);
        }
        found
    }

    /// One of them alone.
    pub fn only(&self, at: usize) -> Self {
        let values = self.values.get(at * self.dims..(at + 1) * self.dims);
        Self {
            dims: self.dims,
            values: values.unwrap_or_default().to_vec(),
            scales: self.scales.get(at).copied().into_iter().collect(),
            codes: Vec::new(),
        }
    }

    /// Moves each to where its vectors point; one without any stays.
    fn settle(&mut self, sums: &[f32]) {
        let each = self.values.chunks_exact_mut(self.dims.max(1)).zip(&mut self.scales);
        for ((values, scale), sum) in each.zip(sums.chunks_exact(self.dims.max(1))) {
            let moved = Quantised::of(sum);
            if moved.scale > 0.0 {
                values.copy_from_slice(&moved.values);
                *scale = moved.scale;
            }
        }
    }

    /// The nearest of all, by bytes.
    pub fn nearest(&self, vector: &Quantised, kernel: Kernel, dots: &mut Vec<i32>) -> usize {
        self.dots(vector, kernel, dots);
        let near = dots.iter().zip(&self.scales).map(|(dot, scale)| *dot as f32 * scale);
        let best = near.enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map_or(0, |(at, _)| at)
    }

    /// The products of a vector with all of them, into `dots`.
    pub fn dots(&self, vector: &Quantised, kernel: Kernel, dots: &mut Vec<i32>) {
        dots.clear();
        dots.resize(self.len(), 0);
        kernel.dots(&vector.values, &self.values, dots);
    }

    /// Asks for what [`Self::nearness`] reads.
    pub fn ask_for(&self, at: usize) {
        ask_for(self.values.get(at * self.dims..(at + 1) * self.dims).unwrap_or(&[]));
    }

    /// How near a vector is to one of them, but for its own scale.
    pub fn nearness(&self, at: usize, vector: &Quantised, kernel: Kernel) -> Option<f32> {
        let values = self.values.get(at * self.dims..(at + 1) * self.dims)?;
        Some(kernel.dot(&vector.values, values) as f32 * self.scales.get(at)?)
    }

    /// Codes beside `origin`, for a comparison of many at once.
    pub fn encode_all(&mut self, rotation: &Rotation, origin: &[f32], rotated: &mut Vec<f32>) {
        let mut codes = Vec::with_capacity(self.len() * code::words(self.dims));
        for (values, scale) in self.values.chunks_exact(self.dims.max(1)).zip(&self.scales) {
            rotation.code_of(values, *scale, origin, rotated, &mut codes);
        }
        self.codes = codes;
    }

    pub fn bytes(&self) -> usize {
        self.values.len() + size_of::<f32>() * self.scales.len() + size_of::<u64>() * self.codes.len()
    }
}
