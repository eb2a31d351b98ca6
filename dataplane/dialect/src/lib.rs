//! Wire dialects of model providers: what a request and an answer mean in each, read without building a tree.
//!
//! Nothing here knows a socket, a clock or a configuration.

pub mod anthropic;
pub mod bedrock;
mod beyond;
pub mod canonical;
pub mod cohere;
pub mod count;
pub mod embed;
pub mod gemini;
pub mod json;
pub mod listen;
mod locate;
mod numbers;
pub mod openai_chat;
pub mod openai_responses;
pub mod quirks;
pub mod rerank;
pub mod sign;
pub mod speak;
pub mod tokens;
pub mod translate;
pub mod usage;

pub use locate::mentions_usage;

/// Every chat dialect, by the name that the configuration has for it.
pub static ALL: [(&str, &dyn speak::Speaks); 6] = [
    ("openai", &openai_chat::OpenAiChat),
    ("openai-responses", &openai_responses::OpenAiResponses),
    ("anthropic", &anthropic::Anthropic),
    ("gemini", &gemini::Gemini),
    ("cohere", &cohere::Cohere),
    ("bedrock", &bedrock::Bedrock),
];
