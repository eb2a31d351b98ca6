//! What becomes of calls that a model's targets have no room for, and who goes first, as an operator says it.

/// How many calls a model's targets get at once, and who waits. All of it holds for each shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overload {
    /// A target always gets so many …
    pub min: u32,
    /// … and never more than these, whatever its limit learns.
    pub max: u32,
    /// Calls that may wait for a target; 0: none.
    pub queue: u32,
    /// How long they wait; those of low priority a quarter of it.
    pub max_queue_wait_ms: u64,
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            min: 4,
            max: 1_000,
            queue: 100,
            max_queue_wait_ms: 1_000,
        }
    }
}

/// When a shard is past what it bears, and begins to refuse calls before it reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardOverload {
    /// How long what comes to its loop may wait.
    pub max_lag_ms: Option<u64>,
    /// Calls under way.
    pub max_calls: Option<u32>,
}

/// Who goes first where not all can. The order is that of rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

impl Priority {
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.name() == name)
    }
}
