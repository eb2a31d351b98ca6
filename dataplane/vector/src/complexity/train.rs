//! Makes the weights of the complexity router out of graded prompts: for each of the two models a logistic regression with a
//! penalty, by Newton's method, which always ends at the same weights. Knows no files.

use super::{
    Complexity, FORMAT, Head, SHARES, Traits, VECTOR_SCALE,
    counts::{self, COUNTS},
    fingerprint,
    matrix::Symmetric,
};
use crate::Embedder;

/// What a large weight costs, tried by cross-validation: the smaller, the nearer to the examples.
pub const PENALTIES: [f64; 5] = [30.0, 100.0, 300.0, 1_000.0, 3_000.0];
/// Newton's method ends when no weight moves by more than this, or after so many steps.
const CLOSE: f64 = 1e-6;
const MAX_STEPS: usize = 30;
/// Of what weights move by in a step, at most: far from the end the method may leap too far.
const LONGEST_STEP: f64 = 4.0;

/// A prompt, and whether the two models answered it right.
#[derive(Clone, Debug)]
pub struct Example {
    pub vector: Vec<f32>,
    pub counts: [f32; COUNTS],
    pub strong_ok: bool,
    pub weak_ok: bool,
}

impl Example {
    pub fn new(vector: Vec<f32>, text: &str, traits: Traits, (strong_ok, weak_ok): (bool, bool)) -> Self {
        Self {
            vector,
            counts: counts::of(text, traits),
            strong_ok,
            weak_ok,
        }
    }
}

/// What is to be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Strong,
    Weak,
    /// The strong model was right where the weak one was not: the plain baseline.
    OnlyStrong,
}

impl Asked {
    fn holds(self, example: &Example) -> bool {
        match self {
            Self::Strong => example.strong_ok,
            Self::Weak => example.weak_ok,
            Self::OnlyStrong => example.strong_ok && !example.weak_ok,
        }
    }
}

/// Prompts as the regression sees them: what is usual of the counts is known.
pub struct Prepared<'e> {
    examples: Vec<&'e Example>,
    means: Vec<f32>,
    deviations: Vec<f32>,
    /// The vector's lanes, the counts, and one.
    rows: Vec<Vec<f64>>,
}

impl<'e> Prepared<'e> {
    pub fn new(examples: Vec<&'e Example>) -> Self {
        let (means, deviations) = usual(&examples);
        let scaled = Scaled {
            means: &means,
            deviations: &deviations,
        };
        let rows = examples.iter().map(|example| scaled.row(example)).collect();
        Self {
            examples,
            means,
            deviations,
            rows,
        }
    }

    /// Weights for each member of a row; none where the examples say nothing.
    pub fn fit(&self, asked: Asked, penalty: f64) -> Option<Vec<f64>> {
        let side = self.rows.first()?.len();
        let mut weights = vec![0.0; side];
        for _ in 0..MAX_STEPS {
            let mut curvature = Symmetric::zero(side);
            let mut slope = vec![0.0; side];
            for (row, example) in self.rows.iter().zip(&self.examples) {
                let right = probability(row, &weights);
                let off = f64::from(u8::from(asked.holds(example))) - right;
                slope.iter_mut().zip(row).for_each(|(sum, value)| *sum += off * value);
                curvature.add_outer(row, (right * (1.0 - right)).max(1e-6));
            }
            for (at, (sum, weight)) in slope.iter_mut().zip(&weights).enumerate() {
                // The bias is free, but for what keeps examples that are all alike from leading to infinity.
                let own = if at + 1 == side { 1e-3 } else { penalty };
                *sum -= own * weight;
                curvature.add_to_diagonal(at, own);
            }
            let step = curvature.solve(&slope)?;
            let longest = step.iter().fold(0.0f64, |most, value| most.max(value.abs()));
            let part = (LONGEST_STEP / longest.max(f64::MIN_POSITIVE)).min(1.0);
            weights
                .iter_mut()
                .zip(&step)
                .for_each(|(weight, value)| *weight += part * value);
            if longest < CLOSE {
                break;
            }
        }
        Some(weights)
    }

    /// What weights of [`Self::fit`] say of an example.
    pub fn judge(&self, weights: &[f64], example: &Example) -> f64 {
        let scaled = Scaled {
            means: &self.means,
            deviations: &self.deviations,
        };
        probability(&scaled.row(example), weights)
    }

    /// The router: both regressions, and what ordinary prompts gain. `made` says how, for people.
    pub fn train(&self, embedder: &Embedder, penalty: f64, made: String) -> Option<Complexity> {
        let head = |asked| Some(head(&self.fit(asked, penalty)?));
        let mut router = Complexity {
            format: FORMAT.to_owned(),
            embedding: fingerprint(embedder),
            made,
            means: self.means.clone(),
            deviations: self.deviations.clone(),
            strong: head(Asked::Strong)?,
            weak: head(Asked::Weak)?,
            gains: Vec::new(),
        };
        let gain = |example: &&Example| router.gain_of(&example.vector, &router.usual(&example.counts));
        let mut gains: Vec<f32> = self.examples.iter().map(gain).collect();
        gains.sort_by(|a, b| b.total_cmp(a));
        let at = |percent: usize| {
            gains
                .get(percent * gains.len() / (SHARES - 1))
                .or(gains.last())
                .copied()
        };
        router.gains = (0..SHARES).filter_map(at).collect();
        Some(router)
    }
}

fn head(weights: &[f64]) -> Head {
    let lanes = weights.len().saturating_sub(COUNTS + 1);
    let (vector, rest) = weights.split_at(lanes);
    let (counts, bias) = rest.split_at(rest.len().saturating_sub(1));
    let brief = |weights: &[f64]| weights.iter().map(|weight| *weight as f32).collect();
    Head {
        bias: bias.first().map_or(0.0, |bias| *bias as f32),
        counts: brief(counts),
        vector: brief(vector),
    }
}

struct Scaled<'p> {
    means: &'p [f32],
    deviations: &'p [f32],
}

impl Scaled<'_> {
    fn row(&self, example: &Example) -> Vec<f64> {
        let lanes = example.vector.iter().map(|value| f64::from(value * VECTOR_SCALE));
        let counts = example.counts.iter().zip(self.means).zip(self.deviations);
        let counts = counts.map(|((value, mean), deviation)| {
            f64::from(((value - mean) / deviation).clamp(-super::MOST_UNUSUAL, super::MOST_UNUSUAL))
        });
        lanes.chain(counts).chain([1.0]).collect()
    }
}

fn probability(row: &[f64], weights: &[f64]) -> f64 {
    let sum: f64 = row.iter().zip(weights).map(|(value, weight)| value * weight).sum();
    1.0 / (1.0 + (-sum).exp())
}

/// The mean of each count, and how far from it they are.
fn usual(examples: &[&Example]) -> (Vec<f32>, Vec<f32>) {
    let all = examples.len().max(1) as f64;
    let of = |at: usize| {
        let values = || {
            examples
                .iter()
                .filter_map(move |example| example.counts.get(at))
                .map(|value| f64::from(*value))
        };
        let mean = values().sum::<f64>() / all;
        let squares = values().map(|value| (value - mean).powi(2)).sum::<f64>() / all;
        // What is the same of all examples says nothing of a prompt in which it is otherwise.
        let deviation = if squares > 1e-12 { squares.sqrt() } else { 1.0 };
        (mean as f32, deviation as f32)
    };
    (0..COUNTS).map(of).unzip()
}
