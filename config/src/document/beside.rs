//! What goes on beside a call, as an operator says it: a second target that is asked as well, a copy that goes to another
//! model, and looks at a provider that nobody called.

/// A second target is asked when the first takes long, and the first answer counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hedge {
    pub after: HedgeAfter,
    /// Of a hundred calls, so many may be asked a second time.
    pub max_extra_percent: u32,
}

/// How long the target that was asked may take to begin its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    Delay {
        ms: u64,
    },
    /// As long as so many of its hundred recent answers to such calls took.
    Quantile {
        percent: u32,
    },
}

impl HedgeAfter {
    /// By the names that a document has for them.
    pub const QUANTILES: [(&'static str, u32); 4] = [("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99)];
}

/// A share of a model's calls goes to another model as well, whose answers nobody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    pub model: String,
    pub share_percent: u32,
}

/// A request that is sent to a provider now and then, to see whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveCheck {
    /// Behind the provider's host, as it is.
    pub path: String,
    pub every_ms: u64,
    pub timeout_ms: u64,
    /// So many in a row that were answered well make a provider well again that checks had found ill.
    pub healthy: u32,
    /// After so many failures in a row its targets are left alone.
    pub unhealthy: u32,
}
