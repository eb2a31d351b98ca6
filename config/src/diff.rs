//! What changes between two trees, in words an operator reads, and the effect.

use serde::{Deserialize, Serialize};

/// One change. `summary` is a sentence such as `models/smart: target openai/gpt-5.4 added`; `effect` says what it
/// does to running traffic (`new requests only`, `listener opened`, …).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub pointer: String,
    pub summary: String,
    pub effect: String,
}

/// The changes that lead from `old` to `new`, in document order; empty when equal.
pub fn diff(old: &serde_json::Value, new: &serde_json::Value) -> Vec<Change> {
    let _ = (old, new);
    todo!()
}
