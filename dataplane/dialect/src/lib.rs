//! Wire dialects of model providers: what a request and an answer mean in each, read without building a tree.
//!
//! Nothing here knows a socket, a clock or a configuration.

pub mod anthropic;
pub mod bedrock;
pub mod canonical;
pub mod cohere;
pub mod gemini;
pub mod json;
mod locate;
mod numbers;
pub mod openai_chat;
pub mod openai_responses;
pub mod quirks;
pub mod speak;
pub mod tokens;
pub mod usage;

pub use locate::mentions_usage;
