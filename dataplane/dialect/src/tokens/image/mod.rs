//! What a picture costs in tokens, by the formula that its provider publishes. Sources and dates: docs/src/tokens.md.

pub mod header;
mod rule;

pub use header::File;
pub use rule::Rule;

use super::Estimate;

/// In pixels; neither is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

/// OpenAI's `detail`, Gemini's media resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    Low,
    /// What the model does by itself.
    #[default]
    Auto,
    High,
}

/// Assumed where only a URL is known, or the header is none of ours: a photo as phones and screens make them.
const USUAL: Size = Size {
    width: 1_920,
    height: 1_080,
};
/// How far a guess at the size may be off.
const UNSEEN_ERROR_BASIS_POINTS: u16 = 5_000;
/// Providers round differently when they scale.
const SCALED_ERROR_BASIS_POINTS: u16 = 300;

/// The tokens of one picture. `size` is `None` where it is not to be seen.
pub fn estimate(rule: Rule, size: Option<Size>, detail: Detail) -> Estimate {
    Estimate {
        tokens: rule.tokens(size.unwrap_or(USUAL), detail),
        mean_error_basis_points: match size {
            Some(_) => SCALED_ERROR_BASIS_POINTS,
            None => UNSEEN_ERROR_BASIS_POINTS,
        },
    }
}

#[cfg(test)]
mod tests;
