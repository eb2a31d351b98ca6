//! What a target's own counts have taught: where no tokenizer is public, the provider's usage is the measure.

use super::Estimate;

/// One to one.
const EVEN: u32 = 10_000;
/// A ratio beyond these is not about tokenizers: something else is counted.
const LEAST: u32 = 2_500;
const MOST: u32 = 40_000;
/// An answer counts for one part in so many, once there were so many.
const WINDOW: u32 = 64;

/// The running ratio of counted to estimated input tokens of one target, for its one owner. Sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    ratio_basis_points: u32,
    /// The mean of how far estimates were off, after correction.
    error_basis_points: u32,
    /// Up to `WINDOW`.
    answers: u32,
}

impl Default for Learned {
    fn default() -> Self {
        Learned {
            ratio_basis_points: EVEN,
            error_basis_points: 0,
            answers: 0,
        }
    }
}

impl Learned {
    /// The provider counted `counted` where `estimated` (not corrected) was expected. Prompts of a few tokens teach
    /// nothing: there the provider's template outweighs the text.
    pub fn learn(&mut self, estimated: u64, counted: u64) {
        if estimated < 32 || counted == 0 {
            return;
        }
        let ratio = u128::from(counted) * u128::from(EVEN) / u128::from(estimated);
        let ratio = ratio.clamp(u128::from(LEAST), u128::from(MOST)) as u32;
        let off = ratio.abs_diff(self.ratio_basis_points) * EVEN / ratio;
        self.answers = (self.answers + 1).min(WINDOW);
        self.ratio_basis_points = toward(self.ratio_basis_points, ratio, self.answers);
        self.error_basis_points = toward(self.error_basis_points, off, self.answers);
    }

    /// The estimate as this target would count it; its error is the one seen, once there were answers enough.
    pub fn correct(&self, estimate: Estimate) -> Estimate {
        if !estimate.estimated() || self.answers == 0 {
            return estimate;
        }
        let tokens = u128::from(estimate.tokens) * u128::from(self.ratio_basis_points);
        let seen = self.error_basis_points.clamp(1, u32::from(u16::MAX)) as u16;
        Estimate {
            tokens: tokens.div_ceil(u128::from(EVEN)).min(u128::from(u64::MAX)) as u64,
            mean_error_basis_points: if self.answers < 8 {
                estimate.mean_error_basis_points
            } else {
                seen
            },
        }
    }
}

/// `mean`, moved to `value` by one part in `parts`.
fn toward(mean: u32, value: u32, parts: u32) -> u32 {
    let moved = i64::from(mean) + (i64::from(value) - i64::from(mean)) / i64::from(parts);
    moved as u32
}
