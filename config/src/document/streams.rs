//! What an operator says of streams: how long a provider may be silent, what the client hears meanwhile, and what becomes
//! of one that breaks.

/// How long a stream may say nothing, in events that carry part of the answer: heads, pings and comments are none.
/// `None`: only bytes are waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenTimeouts {
    /// From the request's end to the first of them.
    pub first_token_ms: Option<u64>,
    /// From one to the next.
    pub between_tokens_ms: Option<u64>,
}

impl TokenTimeouts {
    /// What is said here, or else there.
    pub fn or(self, other: Self) -> Self {
        Self {
            first_token_ms: self.first_token_ms.or(other.first_token_ms),
            between_tokens_ms: self.between_tokens_ms.or(other.between_tokens_ms),
        }
    }
}

/// How a model's streams are kept going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// Before its targets' own.
    pub timeouts: TokenTimeouts,
    /// A client that has heard nothing for so long is sent what its dialect has for that. `None`: it waits in silence.
    pub keep_alive_ms: Option<u64>,
    /// One that breaks is gone on with at another target.
    pub resume: bool,
    /// A call whose client left, streamed or not, is read on for so long. `None`: its provider is left at once.
    pub drain_ms: Option<u64>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            timeouts: TokenTimeouts::default(),
            keep_alive_ms: Some(15_000),
            resume: false,
            drain_ms: None,
        }
    }
}
