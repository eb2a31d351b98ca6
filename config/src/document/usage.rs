//! How records of calls are kept, as an operator says it.

const DAY_MS: u64 = 86_400_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageKeeping {
    pub on_full: OnFull,
    /// How long a call waits for room, with `on_full: block`.
    pub block_for_ms: u64,
    pub durability: Durability,
    /// Records that no control plane has read may take so much of the disk.
    pub max_spool_bytes: u64,
    pub retention: Retention,
}

impl Default for UsageKeeping {
    fn default() -> Self {
        Self {
            on_full: OnFull::default(),
            block_for_ms: 10_000,
            durability: Durability::default(),
            max_spool_bytes: 16 << 30,
            retention: Retention::default(),
        }
    }
}

/// What becomes of calls whose records have no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    #[default]
    Refuse,
    /// They wait for room, and are refused after `block_for`.
    Block,
    /// The oldest records that nobody has read make room, and are counted.
    DropOldest,
}

/// When a record is on the disk, for power cuts: that it outlives the process is never in question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Soon after the answer.
    #[default]
    Group,
    /// Before the answer's last byte goes out.
    Strict,
}

/// How long the ledger keeps things; `None`: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Single calls and their attempts.
    pub calls_ms: u64,
    /// Sums by the hour.
    pub hours_ms: Option<u64>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            calls_ms: 35 * DAY_MS,
            hours_ms: None,
        }
    }
}
