//! Addresses that are told of what happens: by the control plane, never by a shard.

use super::{BaseUrl, Reference};

/// One address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    pub url: BaseUrl,
    /// What is told is signed with it (HMAC-SHA256).
    pub secret: Reference,
    /// Of `NOTICES`.
    pub events: Vec<&'static str>,
}

/// Kinds of events that can be told; the first two unless said.
pub const NOTICES: [&str; 9] = [
    "limit_threshold",
    "limit_debt",
    "usage_spool_full",
    "usage_spool_well",
    "target_ejected",
    "target_recovered",
    "shed",
    "shed_ended",
    "revision_applied",
];

/// Of `NOTICES`, so many from the beginning on.
pub const USUAL_NOTICES: usize = 2;
