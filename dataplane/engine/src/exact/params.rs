//! What of a request does not change its answer, dialect by dialect: members that are left out of its hash, and what they
//! say where they say nothing new. Only what is known is here; all else counts. Sources: the APIs' references, as of
//! November 2026.

use tollgate_config::document::Dialect;

pub(super) const TEMPERATURE: &[u8] = b"temperature";

#[derive(Debug)]
pub(super) struct Rules {
    /// Which model, in what form, on whose behalf, at what price.
    left_out: &'static [&'static str],
    /// What is so where nobody says otherwise, in the form that is hashed.
    usual: &'static [(&'static str, &'static [u8])],
    /// Objects that settings stand in.
    holds: &'static [&'static str],
    /// Asks for an object at the provider.
    keeps: Option<&'static str>,
    /// An object that goes to the model as it is: settings of the model's own stand anywhere in it.
    passes: Option<&'static str>,
}

impl Rules {
    pub fn leaves_out(&self, key: &[u8]) -> bool {
        is_one_of(self.left_out, key)
    }

    pub fn usual(&self, key: &[u8]) -> Option<&'static [u8]> {
        let found = self.usual.iter().find(|(name, _)| name.as_bytes() == key);
        found.map(|(_, usual)| *usual)
    }

    pub fn holds_settings(&self, key: &[u8]) -> bool {
        is_one_of(self.holds, key)
    }

    pub fn passes(&self, key: &[u8]) -> bool {
        self.passes.is_some_and(|name| name.as_bytes() == key)
    }

    pub fn keeps(&self, key: &[u8], raw: &[u8]) -> bool {
        self.keeps.is_some_and(|name| name.as_bytes() == key) && raw == b"true"
    }
}

fn is_one_of(names: &[&str], key: &[u8]) -> bool {
    names.iter().any(|name| name.as_bytes() == key)
}

fn of_number(raw: &[u8]) -> Option<f64> {
    str::from_utf8(raw).ok()?.parse().ok()
}

pub(super) fn is_above_zero(raw: &[u8]) -> bool {
    of_number(raw).is_some_and(|said| said > 0.0)
}

/// Members whose strings are what somebody says.
pub(super) fn is_said(key: &[u8]) -> bool {
    matches!(
        key,
        b"content" | b"text" | b"system" | b"instructions" | b"input" | b"prompt" | b"message"
    )
}

const ONE: &[u8] = b"1";
const NONE: &[u8] = b"0";
const NO: &[u8] = b"false";

static OPENAI: Rules = Rules {
    left_out: &[
        "model",
        "stream",
        "stream_options",
        "user",
        "safety_identifier",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "service_tier",
    ],
    usual: &[
        ("n", ONE),
        ("temperature", ONE),
        ("top_p", ONE),
        ("frequency_penalty", NONE),
        ("presence_penalty", NONE),
        ("logprobs", NO),
        ("store", NO),
        ("parallel_tool_calls", b"true"),
        ("logit_bias", b"{}"),
        ("tools", b"[]"),
        ("response_format", br#"{"type":"text"}"#),
        ("encoding_format", br#""float""#),
    ],
    holds: &[],
    keeps: Some("store"),
    passes: None,
};
/// An answer repeats what most of these say.
static RESPONSES: Rules = Rules {
    left_out: &["model", "stream", "stream_options"],
    usual: &[
        ("background", NO),
        ("temperature", ONE),
        ("top_p", ONE),
        ("parallel_tool_calls", b"true"),
        ("store", b"true"),
        ("truncation", br#""disabled""#),
        ("tools", b"[]"),
        ("metadata", b"{}"),
    ],
    holds: &[],
    keeps: None,
    passes: None,
};
static ANTHROPIC: Rules = Rules {
    left_out: &["model", "stream", "metadata", "service_tier", "cache_control"],
    usual: &[("temperature", ONE), ("tools", b"[]"), ("stop_sequences", b"[]")],
    holds: &[],
    keeps: None,
    passes: None,
};
static GEMINI: Rules = Rules {
    left_out: &["model", "labels"],
    usual: &[("candidateCount", ONE), ("tools", b"[]")],
    holds: &["generationConfig", "generation_config"],
    keeps: None,
    passes: None,
};
static BEDROCK: Rules = Rules {
    left_out: &["requestMetadata", "performanceConfig", "serviceTier"],
    usual: &[],
    holds: &["inferenceConfig"],
    keeps: None,
    passes: Some("additionalModelRequestFields"),
};
static COHERE: Rules = Rules {
    left_out: &["model", "stream", "priority"],
    usual: &[
        ("frequency_penalty", NONE),
        ("presence_penalty", NONE),
        ("logprobs", NO),
        ("tools", b"[]"),
    ],
    holds: &[],
    keeps: None,
    passes: None,
};

pub(super) fn of(dialect: Dialect) -> &'static Rules {
    match dialect {
        Dialect::OpenAi => &OPENAI,
        Dialect::OpenAiResponses => &RESPONSES,
        Dialect::Anthropic => &ANTHROPIC,
        Dialect::Gemini => &GEMINI,
        Dialect::Bedrock => &BEDROCK,
        Dialect::Cohere => &COHERE,
    }
}
