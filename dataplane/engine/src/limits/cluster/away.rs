//! What a node grants itself while the store is away, by `on_partition`, and what becomes of that when it is back.

use tollgate_config::document::Window;

use super::{OnPartition, held::Held};
use crate::limits::{balances::Balances, bucket};

/// What it may grant itself of a limit when the store goes: among so many nodes its share of what nobody had leased, or all
/// that was not used.
pub(super) fn at_first(policy: OnPartition, held: &Held, balances: &Balances, nodes: u64, now_ms: u64) -> u64 {
    let most = bucket::most(&held.limit);
    match policy {
        OnPartition::Refuse => 0,
        OnPartition::LocalShare => {
            // Of what it granted itself before, where the store went away again without having heard of it, nothing is left.
            held.pool.min(most).saturating_sub(held.untold(balances)) / nodes.max(1)
        }
        OnPartition::Allow => {
            let used = held.used_by(now_ms).saturating_add(held.untold(balances));
            most.saturating_sub(used.saturating_add(held.rest(balances)))
        }
    }
}

/// What has flowed back into a bucket meanwhile: its share of that, or all.
pub(super) fn meanwhile(
    policy: OnPartition,
    held: &Held,
    balances: &Balances,
    nodes: u64,
    (from_ms, until_ms): (u64, u64),
) -> u64 {
    let Window::Refill { per_ms, burst } = held.limit.window else {
        return 0;
    };
    let parts = match policy {
        OnPartition::Refuse => return 0,
        OnPartition::LocalShare => nodes.max(1),
        OnPartition::Allow => 1,
    };
    // On the grid of one node's share, so that small shares flow as well.
    let flowed = bucket::flowed((from_ms, until_ms), held.limit.amount, per_ms.saturating_mul(parts));
    let room = (burst / parts).max(1).saturating_sub(held.rest(balances));
    flowed.min(room)
}
