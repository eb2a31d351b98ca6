//! How a model chooses among its targets, tries again and turns away from what is ill, as an operator says it.

use super::{
    meaning::Judging,
    spending::SpentShare,
    when::{Features, Hours},
};
use crate::money::NanoUsd;

/// A group of targets that are tried before those of the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tier {
    pub strategy: Strategy,
    /// `weighted` only: what the choice holds on to.
    pub sticky: Option<Sticky>,
    pub affinity: Option<Affinity>,
    pub judging: Judging,
    /// How many of `Model::targets`, behind those of the tiers before it.
    pub targets: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// As they are listed.
    #[default]
    Priority,
    /// By lot, as often as their weights say.
    Weighted,
    /// The quicker of two drawn by lot.
    LeastLatency,
    /// The one with the fewest calls under way for its weight.
    LeastBusy,
    /// The one with the largest share left of what its provider grants.
    Headroom,
    /// The one that this call is expected to cost least at.
    LowestCost,
    /// The one whose examples the prompt resembles most.
    Semantic,
    /// Those of the tier that the prompt is judged to need.
    Complexity,
}

impl Strategy {
    pub const ALL: [Self; 8] = [
        Self::Priority,
        Self::Weighted,
        Self::LeastLatency,
        Self::LeastBusy,
        Self::Headroom,
        Self::LowestCost,
        Self::Semantic,
        Self::Complexity,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::Weighted => "weighted",
            Self::LeastLatency => "least_latency",
            Self::LeastBusy => "least_busy",
            Self::Headroom => "headroom",
            Self::LowestCost => "lowest_cost",
            Self::Semantic => "semantic",
            Self::Complexity => "complexity",
        }
    }
}

/// Calls that have this in common go to the same target, as long as it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    Key,
    User,
    /// Of this name, lower case. A call without it is not sticky.
    Header(String),
}

/// Calls that have this in common are drawn to the same target, as long as it is well and not much busier than the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// How their prompts begin.
    Prefix,
}

/// What a call must be like for a target to be tried. All that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Names or patterns with one trailing `*`; empty: any.
    pub keys: Vec<String>,
    pub teams: Vec<String>,
    pub users: Vec<String>,
    /// Pairs that `x-tollgate-tags` must hold.
    pub tags: Vec<(String, String)>,
    /// Names, lower case, and the values they must have.
    pub headers: Vec<(String, String)>,
    pub min_body_bytes: Option<u64>,
    pub max_body_bytes: Option<u64>,
    /// What the call asks for, all of them.
    pub features: Features,
    /// What it does not ask for, none of them.
    pub without: Features,
    /// Of its prompt, as estimated.
    pub min_tokens: Option<u64>,
    pub max_tokens: Option<u64>,
    pub hours: Option<Hours>,
    /// What the call is expected to cost at the target.
    pub max_cost: Option<NanoUsd>,
    /// What of the model's `charge` is to be left when the target is paid, in percent.
    pub margin_percent: Option<u32>,
    /// How much is spent of a limit that the call comes under.
    pub spent_share: Option<SpentShare>,
}

/// When a target is left alone for a while. Failures are connections that do not come about or break, time-outs, and
/// statuses from 500 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// So many in a row, over all shards; 0: never.
    pub failures: u32,
    /// Over what the shares below are counted.
    pub window_ms: u64,
    /// How long it is left alone; twice as long after each probe that failed, eight times at most.
    pub cooldown_ms: u64,
    /// The share of calls in the window that may fail.
    pub error_percent: u32,
    /// A call that took longer to its first byte is slow.
    pub slow_ms: Option<u64>,
    /// The share of calls in the window that may be slow.
    pub slow_percent: u32,
    /// With fewer calls in the window shares mean nothing.
    pub min_calls: u32,
    /// The share of a model's targets that may be left alone at once.
    pub max_ejected_percent: u32,
    /// How long a target that is well again gets less than its part.
    pub slow_start_ms: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures: 5,
            window_ms: 10_000,
            cooldown_ms: 15_000,
            error_percent: 50,
            slow_ms: None,
            slow_percent: 80,
            min_calls: 20,
            max_ejected_percent: 50,
            slow_start_ms: 10_000,
        }
    }
}

/// Which failures before the first byte are tried again, where, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries of one call in all.
    pub attempts: u32,
    pub on_connect: bool,
    pub on_disconnect: bool,
    pub on_timeout: bool,
    pub on_status: Vec<u16>,
    /// A provider's `retry-after` is waited for, within `max_wait_ms`.
    pub respect_retry_after: bool,
    /// The longest wait before a try at the same target.
    pub max_wait_ms: u64,
    /// The first such wait is drawn from zero to this; each further one from twice as much.
    pub backoff_ms: u64,
    /// Of what succeeded lately, so many percent may be tried again.
    pub budget_percent: u32,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            on_connect: true,
            on_disconnect: true,
            on_timeout: true,
            on_status: vec![429, 500, 502, 503, 504, 529],
            respect_retry_after: true,
            max_wait_ms: 10_000,
            backoff_ms: 100,
            budget_percent: 10,
        }
    }
}
