//! How many tokens an answer has, where the provider does not say: what its events say, by the fast estimate.

use super::{Estimate, Tokenizer, Unescape, fast::Fast};
use crate::{
    canonical::event::{Began, Event},
    json::Text,
};

/// What a call has around its name and arguments.
const PER_CALL: u64 = 4;

/// Follows the events of one answer, in memory that does not grow.
#[derive(Clone, Debug)]
pub struct AnswerCounter {
    tokenizer: Tokenizer,
    text: Fast,
    /// All that is not counted as text.
    rest: u64,
    /// The part that the last piece was of: no token reaches from one into the next.
    part: Option<(u32, u32)>,
}

impl AnswerCounter {
    /// `model`: the provider's name of it.
    pub fn new(model: &str) -> AnswerCounter {
        AnswerCounter {
            tokenizer: Tokenizer::of_model(model),
            text: Fast::default(),
            rest: 0,
            part: None,
        }
    }

    pub fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Began {
                what: Began::ToolCall { name, .. },
                ..
            } => {
                self.rest = self.rest.saturating_add(PER_CALL);
                self.text.end_text();
                self.part = None;
                self.feed(name);
            }
            Event::Piece { choice, part, text } => {
                if self.part.replace((*choice, *part)) != Some((*choice, *part)) {
                    self.text.end_text();
                }
                self.feed(text);
            }
            _ => {}
        }
    }

    fn feed(&mut self, text: &Text<'_>) {
        let weights = self.tokenizer.weights();
        match text {
            Text::Plain(text) => self.text.feed(weights, text.as_bytes()),
            Text::Escaped(raw) => {
                let mut unescape = Unescape::default();
                unescape.feed(raw, |bytes| self.text.feed(weights, bytes));
                unescape.end(|bytes| self.text.feed(weights, bytes));
            }
        }
    }

    /// Of what came so far.
    pub fn estimate(&self) -> Estimate {
        let tokens = self.text.millitokens().div_ceil(1_000);
        Estimate {
            tokens: tokens.saturating_add(self.rest),
            mean_error_basis_points: self.tokenizer.mean_error_basis_points(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_counts_however_it_is_cut_and_escaped() {
        let count = |texts: &[&str]| {
            let mut counter = AnswerCounter::new("gpt-5.4");
            for text in texts {
                let text = Text::Escaped(text.as_bytes());
                counter.take(&Event::Piece {
                    choice: 0,
                    part: 0,
                    text,
                });
            }
            counter.estimate().tokens
        };
        let whole = count(&["Twelve words of plain English text are some fifteen tokens, or so."]);
        assert!((12..20).contains(&whole), "{whole}");
        assert_eq!(
            count(&[
                "Twelve words of pl",
                "ain English te",
                "xt are some fifteen \\u0074okens, or so."
            ]),
            whole
        );
        assert_eq!(count(&[]), 0);
    }
}
