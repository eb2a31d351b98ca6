//! How many tokens a text, a picture or a prompt will be, before the provider says: for limits and routing, never for a
//! bill.
//!
//! Two ways to count. `merge` is the real thing for the two vocabularies that OpenAI publishes, up to a stated size; by
//! them also their siblings are counted, and converted. `fast` is an automaton with a weight per transition, fitted to
//! each family's tokenizer; it converts, takes over beyond that size, corrected by what it got wrong before, and does the
//! rest alone. What each costs and how far each errs is
//! measured in docs/src/tokens.md. Nothing here knows a target or a price.

mod answer;
mod bound;
mod class;
mod counter;
mod escaped;
mod family;
pub mod fast;
pub mod image;
mod learned;
mod memo;
mod merge;
mod prompt;
mod ranks;
mod split;

pub use answer::AnswerCounter;
pub use bound::{Unbounded, most_prompt};
pub use counter::{Counter, DEFAULT_EXACT_BYTES};
pub use escaped::Unescape;
pub use family::Tokenizer;
pub use learned::Learned;
pub use memo::Memo;
pub use prompt::estimate_prompt;

/// A number of tokens, and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    pub tokens: u64,
    /// Zero where every token was counted; else the mean error of this way of counting, as measured on the test half
    /// of the corpus (docs/src/tokens.md), or as assumed where no tokenizer is public.
    pub mean_error_basis_points: u16,
}

impl Estimate {
    pub const ZERO: Estimate = Estimate {
        tokens: 0,
        mean_error_basis_points: 0,
    };

    /// Is it anything but a count by the tokenizer itself?
    pub fn estimated(&self) -> bool {
        self.mean_error_basis_points > 0
    }

    /// The sum, whose error is the parts' by weight: errors of one tokenizer on one prompt lean the same way.
    pub fn plus(self, other: Estimate) -> Estimate {
        let tokens = self.tokens.saturating_add(other.tokens);
        let part = |part: Estimate| u128::from(part.tokens) * u128::from(part.mean_error_basis_points);
        let error = (part(self) + part(other)).div_ceil(u128::from(tokens.max(1)));
        Estimate {
            tokens,
            mean_error_basis_points: error.min(u128::from(u16::MAX)) as u16,
        }
    }
}

#[cfg(test)]
mod tests;
