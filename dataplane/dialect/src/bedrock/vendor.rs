//! Whose model it is, and how that vendor's models are told to think: told by a model's name.

use crate::canonical::request::Amount;

/// Whose words a model understands, told by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vendor {
    /// Also every model whose name tells nothing (the ARN of a profile).
    Anthropic(Claude),
    Nova,
    /// Its open-weight models.
    OpenAi,
    /// No word for thinking or top-k is known.
    Other,
}

/// How a model of Anthropic's is told how much to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claude {
    /// Up to 4.5: a budget in tokens.
    Budget,
    /// 4.6: that, or an effort with adaptive thinking.
    Both,
    /// From 4.7 on: an effort only.
    Effort,
}

impl Vendor {
    pub fn of_model(model: &str) -> Vendor {
        const OTHERS: [&str; 14] = [
            "ai21.",
            "amazon.",
            "cohere.",
            "deepseek.",
            "google.",
            "luma.",
            "meta.",
            "minimax.",
            "mistral.",
            "moonshot",
            "nvidia.",
            "qwen.",
            "writer.",
            "zai.",
        ];
        if model.contains("amazon.nova") {
            Vendor::Nova
        } else if model.contains("openai.") {
            Vendor::OpenAi
        } else if OTHERS.iter().any(|vendor| model.contains(vendor)) {
            Vendor::Other
        } else {
            Vendor::Anthropic(Claude::of_model(model))
        }
    }
}

impl Claude {
    /// `anthropic.claude-sonnet-4-5-20250929-v1:0`: line, major and minor; older names have the numbers first.
    fn of_model(model: &str) -> Claude {
        let Some((_, name)) = model.split_once("claude-") else {
            return Claude::Budget;
        };
        let mut words = name.split(['-', ':', '@']).skip(1);
        // A date is no version.
        let mut number = || words.next()?.parse::<u32>().ok().filter(|number| *number < 100);
        let Some(major) = number() else {
            return Claude::Budget;
        };
        let first_is_line = name.starts_with(|first: char| first.is_ascii_alphabetic() && first != 'v');
        match (major, number().unwrap_or(0)) {
            _ if !first_is_line => Claude::Budget,
            (0..=3, _) | (4, 0..=5) => Claude::Budget,
            (4, 6) => Claude::Both,
            _ => Claude::Effort,
        }
    }
}

impl Claude {
    /// Is it told so much in tokens?
    pub fn counts(self, amount: Amount) -> bool {
        match self {
            Claude::Budget => true,
            Claude::Both => matches!(amount, Amount::BudgetTokens(_)),
            Claude::Effort => false,
        }
    }
}
