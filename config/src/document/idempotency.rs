//! Calls that come again under the same `idempotency-key`, as an operator says it.

/// Answers are remembered in parts that are locked apart; each has its share of the room, and no answer is larger.
pub const IDEMPOTENCY_PARTS: u64 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// How long an answer is remembered.
    pub window_ms: u64,
    /// Of all answers that are remembered; and once more of those that are on their way.
    pub max_bytes: u64,
    /// A longer answer is not remembered.
    pub max_answer_bytes: u64,
}

impl Default for Idempotency {
    fn default() -> Self {
        Self {
            window_ms: 600_000,
            max_bytes: 64 << 20,
            max_answer_bytes: 1 << 20,
        }
    }
}
