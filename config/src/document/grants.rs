//! What a provider grants: so many requests, or tokens, in a period, all of the operator's calls together.

/// A bucket that is full at first, and into which `most` flow back in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub of: Granted,
    pub most: u64,
    pub per_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    Requests,
    /// Input and output together.
    Tokens,
}

impl Granted {
    pub const ALL: [Self; 2] = [Self::Requests, Self::Tokens];

    /// As the document has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}
