//! Rows of numbers that learners without a matrix of their own go by: the vector's lanes, the counts, and one.

use super::Graded;

/// The vector's lanes are of the size of a sixteenth, the counts of one: as the router weighs them.
const VECTOR_SCALE: f32 = 8.0;
const MOST_UNUSUAL: f32 = 4.0;

pub struct Rows {
    means: Vec<f32>,
    deviations: Vec<f32>,
    pub rows: Vec<Vec<f32>>,
}

impl Rows {
    pub fn of(graded: &[&Graded]) -> Self {
        let count = graded.len().max(1) as f32;
        let of = |at: usize| {
            let values = || graded.iter().map(move |one| one.example.counts[at]);
            let mean = values().sum::<f32>() / count;
            let squares = values().map(|value| (value - mean).powi(2)).sum::<f32>() / count;
            (mean, if squares > 1e-12 { squares.sqrt() } else { 1.0 })
        };
        let (means, deviations) = (0..graded[0].example.counts.len()).map(of).unzip();
        let mut made = Self {
            means,
            deviations,
            rows: Vec::new(),
        };
        made.rows = graded.iter().map(|one| made.row(one)).collect();
        made
    }

    pub fn row(&self, one: &Graded) -> Vec<f32> {
        let lanes = one.example.vector.iter().map(|value| value * VECTOR_SCALE);
        let counts = one.example.counts.iter().zip(&self.means).zip(&self.deviations);
        let counts =
            counts.map(|((value, mean), deviation)| ((value - mean) / deviation).clamp(-MOST_UNUSUAL, MOST_UNUSUAL));
        lanes.chain(counts).chain([1.0]).collect()
    }

    /// The weights of a ridge regression, by conjugate gradients.
    pub fn ridge(&self, targets: &[f64], penalty: f64) -> Vec<f32> {
        const STEPS: usize = 60;
        let side = self.rows[0].len();
        let products = |weights: &[f32]| {
            let mut sums: Vec<f32> = weights.iter().map(|weight| weight * penalty as f32).collect();
            // The bias is free.
            sums[side - 1] = 0.0;
            for row in &self.rows {
                let said = dot(row, weights);
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += said * value);
            }
            sums
        };
        let mut weights = vec![0.0f32; side];
        let mut left = vec![0.0f32; side];
        for (row, target) in self.rows.iter().zip(targets) {
            left.iter_mut()
                .zip(row)
                .for_each(|(sum, value)| *sum += *target as f32 * value);
        }
        let mut step = left.clone();
        let mut squares = dot(&left, &left);
        for _ in 0..STEPS {
            let along = products(&step);
            let far = squares / dot(&step, &along).max(f32::MIN_POSITIVE);
            weights
                .iter_mut()
                .zip(&step)
                .for_each(|(weight, step)| *weight += far * step);
            left.iter_mut()
                .zip(&along)
                .for_each(|(left, along)| *left -= far * along);
            let now = dot(&left, &left);
            if now < 1e-6 {
                break;
            }
            step.iter_mut()
                .zip(&left)
                .for_each(|(step, left)| *step = left + now / squares * *step);
            squares = now;
        }
        weights
    }
}

/// In lanes, so that it is wide.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let ((wide_a, rest_a), (wide_b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in wide_a.iter().zip(wide_b) {
        lanes.iter_mut().zip(a).zip(b).for_each(|((lane, a), b)| *lane += a * b);
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

/// A sequence of numbers that look like chance and are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % most
    }

    /// Between minus one and one.
    pub fn even(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0
    }

    pub fn shuffle(&mut self, order: &mut [usize]) {
        for at in (1..order.len()).rev() {
            order.swap(at, self.below(at + 1));
        }
    }
}
