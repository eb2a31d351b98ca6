//! Caches of answers, as an operator says them.

use super::{Reference, Valkey};

/// A cache is held in parts that are locked apart; each has its share of the room, and no answer is larger.
pub const CACHE_PARTS: u64 = 16;
/// Of a cache at least.
pub const LEAST_CACHE_BYTES: u64 = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    pub scope: CacheScope,
    pub exact: Option<ExactCache>,
    /// Where nodes share what they keep; `None`: each keeps its own.
    pub second: Option<Box<SecondTier>>,
    /// The same question in other words gets the answer as well.
    pub semantic: Option<SemanticCache>,
    /// What is kept out of it unless it is named here.
    pub allow: Allowed,
    /// An answer that was kept is charged like the call that made it; `None`: as the document says.
    pub charge_hits: Option<bool>,
    /// What it keeps outlives the process; `None`: nothing touches the disk.
    pub snapshot: Option<CacheSnapshot>,
}

/// `snapshot: { every: 5m }`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSnapshot {
    pub every_ms: u64,
}

impl Default for CacheSnapshot {
    fn default() -> Self {
        Self { every_ms: 300_000 }
    }
}

/// Who may share an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheScope {
    Key,
    #[default]
    Team,
    Organization,
}

impl CacheScope {
    pub const ALL: [Self; 3] = [Self::Key, Self::Team, Self::Organization];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::Organization => "organization",
        }
    }
}

/// Calls that are the same to the byte, but for what does not change their answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExactCache {
    /// How long an answer is kept.
    pub ttl_ms: u64,
    /// Of all answers that are kept; and once more of those that are on their way.
    pub max_bytes: u64,
    /// A longer answer is not kept.
    pub max_answer_bytes: u64,
}

impl Default for ExactCache {
    fn default() -> Self {
        Self {
            ttl_ms: 24 * 3_600_000,
            max_bytes: 256 << 20,
            max_answer_bytes: 1 << 20,
        }
    }
}

/// `exact: { second: { valkey: { urls: [ "rediss://HOST:6379" ], … }, secret: env:NAME, timeout: 20ms } }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondTier {
    /// `None`: the store of `cluster`.
    pub valkey: Option<Valkey>,
    /// What answers are sealed with there: the same on every node.
    pub secret: Reference,
    /// A call waits no longer for what the store says.
    pub timeout_ms: u64,
}

impl SecondTier {
    pub const DEFAULT_TIMEOUT_MS: u64 = 20;

    /// All references in it, each with its place below `second`.
    pub fn references(&self) -> Vec<(&Reference, Vec<&'static str>)> {
        let below = |(reference, at): (_, &[&'static str])| (reference, [&["valkey"], at].concat());
        let store = self.valkey.iter().flat_map(Valkey::references).map(below);
        store.chain([(&self.secret, vec!["secret"])]).collect()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Answers that call tools.
    pub tool_calls: bool,
    /// Answers of calls that say a temperature above zero.
    pub temperature: bool,
}

impl Allowed {
    pub const TOOL_CALLS: &str = "tool_calls";
    pub const TEMPERATURE: &str = "temperature";
}

/// Calls that ask the same in other words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemanticCache {
    /// How long an answer is found by what was asked; never longer than it is kept.
    pub ttl_ms: u64,
    /// Answers that can be found so, of all tenants.
    pub max_entries: u32,
    /// Below this similarity nothing is looked at. In thousandths.
    pub threshold_thousandths: u16,
    pub mode: SemanticMode,
    pub history: SemanticHistory,
}

impl SemanticCache {
    pub const DEFAULT_MAX_ENTRIES: u32 = 100_000;
    pub const MOST_ENTRIES: u32 = 16 << 20;
    pub const DEFAULT_THRESHOLD_THOUSANDTHS: u16 = 500;
    pub const LEAST_THRESHOLD_THOUSANDTHS: u16 = 300;
}

/// When the turns before the last words are taken to be the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SemanticHistory {
    /// Equal, as all else must be.
    #[default]
    Exact,
    /// Turn by turn the verifier finds no difference, and all together are as near as this. In thousandths.
    Similar { threshold_thousandths: u16 },
}

impl SemanticHistory {
    pub const EXACT: &str = "exact";
    pub const SIMILAR: &str = "similar";
    pub const DEFAULT_THRESHOLD_THOUSANDTHS: u16 = 800;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SemanticMode {
    #[default]
    Serve,
    /// Looked up and never served: what would have been is compared with what the provider says.
    Shadow,
}

impl SemanticMode {
    pub const ALL: [Self; 2] = [Self::Serve, Self::Shadow];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Shadow => "shadow",
        }
    }
}
