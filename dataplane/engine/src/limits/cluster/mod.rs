//! Node ← cluster: what of each limit a node holds for its own calls, leased from a store that all nodes share.
//!
//! `Agent` is a node's side, without I/O: it says what to ask and is told what was answered, with the time. `SCRIPT` is the
//! store's side. The bounds that both keep are derived in docs/src/limits.md.

mod agent;
mod away;
mod claim;
mod group;
mod held;
mod marks;
mod peers;
mod wire;

#[cfg(test)]
mod apart_tests;
#[cfg(test)]
mod change_tests;
#[cfg(test)]
mod given_back_tests;
#[cfg(test)]
mod lost_tests;
#[cfg(test)]
mod sim_tests;
#[cfg(test)]
mod store_model;

use agent::MAX_STANDING;

pub use agent::Agent;
pub use wire::{Answer, Entry, Heard, Kind, MOST_NAMED, MOST_UNITS, Reply, Request, SCRIPT, Word};

pub use super::shared::{MAX_GROUPS, Sharing};
pub use tollgate_config::document::OnPartition;

use tollgate_config::document::Limit;

use super::rules;
use crate::{Snapshot, identity::KeyTable};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub groups: usize,
    pub on_partition: OnPartition,
    /// The store is away when it has not been heard for so long.
    pub away_after_ms: u64,
    /// What the store has not heard of for so long is gone, and its leases are others'.
    pub reclaim_after_ms: u64,
}

/// For operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Of a group: not heard any more.
    Away,
    Back,
    /// The store had lost something, and is told all anew.
    Epoch(u64),
    /// Another process says that it is this node.
    Overtaken,
}

/// How the agent stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub groups: u64,
    pub groups_away: u64,
    /// That were heard lately, this one too.
    pub nodes: u64,
    pub epoch: u64,
    pub leases: u64,
    pub asked: u64,
    pub failed: u64,
    /// Asked for and not there.
    pub starved: u64,
    /// Calls that were refused until a lease had grown.
    pub refused_early: u64,
}

/// The limits of a revision and its keys, by their numbers; those of tags are known when they are first used.
pub fn known<'s>(snapshot: &'s Snapshot, keys: &'s KeyTable) -> impl Iterator<Item = (u64, Limit)> + 's {
    rules::all(snapshot, keys)
        .flat_map(|rules| rules.all.iter().map(|rule| (rule.id, rule.limit)))
        .take(MAX_STANDING)
}
