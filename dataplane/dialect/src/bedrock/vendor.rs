//! Whose model it is, and what of Converse the service takes for that vendor's models.

/// Whose words a model understands, told by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vendor {
    /// Also every model whose name tells nothing (the ARN of a profile).
    Anthropic,
    Nova,
    /// Its open-weight models.
    OpenAi,
    /// No word for thinking or top-k is known.
    Other,
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
            Vendor::Anthropic
        }
    }

    // The service refuses all of these for the models of most vendors.

    pub fn takes_cache_points(self) -> bool {
        matches!(self, Vendor::Anthropic | Vendor::Nova)
    }

    pub fn takes_result_status(self) -> bool {
        matches!(self, Vendor::Anthropic | Vendor::Nova)
    }

    /// Thoughts that nothing proves to be the model's are refused by Anthropic's.
    pub fn takes_thought(self, is_signed: bool) -> bool {
        match self {
            Vendor::Anthropic => is_signed,
            Vendor::Nova | Vendor::OpenAi => true,
            Vendor::Other => false,
        }
    }

    pub fn takes_sealed_thoughts(self) -> bool {
        matches!(self, Vendor::Anthropic)
    }
}
