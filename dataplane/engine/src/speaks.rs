//! Which of the six dialects a word of the configuration means.

use tollgate_config::document::Dialect;
use tollgate_dialect::{anthropic, bedrock, cohere, gemini, openai_chat, openai_responses, speak::Speaks};

use crate::snapshot::Upstream;

pub(crate) fn of(dialect: Dialect) -> &'static dyn Speaks {
    match dialect {
        Dialect::OpenAi => &openai_chat::OpenAiChat,
        Dialect::OpenAiResponses => &openai_responses::OpenAiResponses,
        Dialect::Anthropic => &anthropic::Anthropic,
        Dialect::Gemini => &gemini::Gemini,
        Dialect::Cohere => &cohere::Cohere,
        Dialect::Bedrock => &bedrock::Bedrock,
    }
}

/// How this provider answers.
pub(crate) fn at(upstream: &Upstream, spoken: Dialect) -> &'static dyn Speaks {
    match spoken {
        Dialect::Anthropic if upstream.frames_events => &anthropic::Framed,
        _ => of(spoken),
    }
}
