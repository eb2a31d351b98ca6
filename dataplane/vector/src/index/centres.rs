//! Where the lists of a large index lie: centres found by spherical k-means on a sample, the same for the same entries.
//! Knows no entries but the sample it is given.

use super::code;
use super::quantised::{Quantised, add_to};
use crate::Kernel;

/// Rounds after which the centres hardly move.
const ROUNDS: usize = 6;
/// Entries a list has, on average: the finer the lists, the fewer entries are near enough to be looked at in vain.
const ENTRIES_PER_LIST: usize = 256;
/// Entries of the sample for each centre.
pub const SAMPLE_PER_CENTRE: usize = 16;
/// Centres whose bytes are compared: those whose codes differ least, so many times what is wanted and at least so many.
const COMPARED_TIMES: usize = 4;
const COMPARED_LEAST: usize = 64;

#[derive(Clone, Debug, Default)]
pub struct Centres {
    dims: usize,
    values: Vec<i8>,
    scales: Vec<f32>,
    codes: Vec<u64>,
    /// What codes are taken beside: the mean of the sample, rotated.
    origin: Vec<f32>,
}

/// What comparing with the centres needs while it runs.
#[derive(Debug, Default)]
pub struct CentreScratch {
    rotated: Vec<f32>,
    /// Of the vector that was compared last.
    pub code: Vec<u64>,
    differing: Vec<u16>,
    pub nearest: Vec<(f32, u32)>,
}

impl Centres {
    /// How many centres so many entries need: a power of two.
    pub fn wanted(entries: usize) -> usize {
        (entries / ENTRIES_PER_LIST).max(16).next_power_of_two()
    }

    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// From a sample of vectors, which holds at least as many as there shall be centres.
    pub fn find(sample: &[Quantised], count: usize, kernel: Kernel) -> Self {
        let dims = sample.first().map_or(0, |vector| vector.values.len());
        let mut origin = vec![0.0; dims];
        sample
            .iter()
            .for_each(|vector| add_to(&mut origin, &vector.values, vector.scale / sample.len() as f32));
        origin.resize(code::rotated_dims(dims), 0.0);
        code::rotate(&mut origin);
        let mut centres = Self {
            dims,
            origin,
            ..Self::default()
        };
        let stride = (sample.len() / count.max(1)).max(1);
        for vector in sample.iter().step_by(stride).take(count) {
            centres.values.extend_from_slice(&vector.values);
            centres.scales.push(vector.scale);
        }
        let mut scratch = CentreScratch::default();
        centres.encode_all(&mut scratch);
        for _ in 0..ROUNDS {
            let mut sums = vec![0.0; centres.len() * dims];
            for vector in sample {
                let nearest = centres.nearest(vector, kernel, &mut scratch);
                let sum = sums.get_mut(nearest * dims..(nearest + 1) * dims).unwrap_or_default();
                add_to(sum, &vector.values, vector.scale);
            }
            centres.settle(&sums);
            centres.encode_all(&mut scratch);
        }
        centres
    }

    /// Moves each centre to where its vectors point; one without any stays.
    fn settle(&mut self, sums: &[f32]) {
        let centres = self.values.chunks_exact_mut(self.dims.max(1)).zip(&mut self.scales);
        for ((values, scale), sum) in centres.zip(sums.chunks_exact(self.dims.max(1))) {
            let moved = Quantised::of(sum);
            if moved.scale > 0.0 {
                values.copy_from_slice(&moved.values);
                *scale = moved.scale;
            }
        }
    }

    fn encode_all(&mut self, scratch: &mut CentreScratch) {
        let mut codes = Vec::with_capacity(self.len() * code::words(self.dims));
        for (values, scale) in self.values.chunks_exact(self.dims.max(1)).zip(&self.scales) {
            self.encode(values, *scale, scratch);
            codes.extend_from_slice(&scratch.code);
        }
        self.codes = codes;
    }

    /// The code of a vector, into `scratch.code`.
    pub fn encode(&self, values: &[i8], scale: f32, scratch: &mut CentreScratch) {
        let CentreScratch { rotated, code, .. } = scratch;
        rotated.clear();
        rotated.extend(values.iter().map(|value| f32::from(*value) * scale));
        rotated.resize(code::rotated_dims(self.dims), 0.0);
        code::rotate(rotated);
        code.clear();
        code::encode(rotated, &self.origin, code);
    }

    /// The nearest centre; `scratch.code` is the vector's code afterwards.
    pub fn nearest(&self, vector: &Quantised, kernel: Kernel, scratch: &mut CentreScratch) -> usize {
        self.nearest_few(vector, 1, kernel, scratch);
        scratch.nearest.first().map_or(0, |(_, at)| *at as usize)
    }

    /// The nearest centres, nearest first, into `scratch.nearest`; `scratch.code` is the vector's code afterwards.
    pub fn nearest_few(&self, vector: &Quantised, few: usize, kernel: Kernel, scratch: &mut CentreScratch) {
        self.encode(&vector.values, vector.scale, scratch);
        let CentreScratch {
            code,
            differing,
            nearest,
            ..
        } = scratch;
        differing.clear();
        kernel.hammings(code, &self.codes, differing);
        let reach = reach_of(differing, (few * COMPARED_TIMES).max(COMPARED_LEAST));
        nearest.clear();
        for (at, _) in differing.iter().enumerate().filter(|(_, bits)| **bits <= reach) {
            let values = self.values.get(at * self.dims..(at + 1) * self.dims);
            if let (Some(values), Some(scale)) = (values, self.scales.get(at)) {
                nearest.push((kernel.dot(&vector.values, values) as f32 * scale, at as u32));
            }
        }
        if few < nearest.len() {
            nearest.select_nth_unstable_by(few, |a, b| b.0.total_cmp(&a.0));
            nearest.truncate(few);
        }
        nearest.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    }

    pub fn bytes(&self) -> usize {
        self.values.len() + size_of::<f32>() * self.scales.len() + size_of::<u64>() * self.codes.len()
    }
}

/// The number of differing bits up to which `least` are, or a few more.
fn reach_of(differing: &[u16], least: usize) -> u16 {
    /// Codes of the largest dimensions count in the last bin what is beyond it.
    const BINS: usize = 1024;
    let mut bins = [0u32; BINS];
    for bits in differing {
        bins[usize::from(*bits).min(BINS - 1)] += 1;
    }
    let mut within = 0;
    let reach = bins.iter().position(|count| {
        within += *count as usize;
        within >= least
    });
    reach
        .filter(|reach| *reach < BINS - 1)
        .map_or(u16::MAX, |reach| reach as u16)
}
