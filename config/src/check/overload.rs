//! `overload`, `models.*.overload` and `keys.*.priority`: how much a target is given at once, and who goes first.

use super::{
    node::{Fields, Node},
    values,
};
use crate::{
    document::{Overload, Priority, ShardOverload},
    keys,
};

const MAX_LIMIT: u64 = 100_000;
const MAX_QUEUE: u64 = 10_000;

const MAX_CALLS: u64 = 10_000_000;
const MAX_LAG_MS: u64 = 10_000;

/// Of a whole shard.
pub fn of_shard(node: &Node) -> Option<ShardOverload> {
    let fields = Fields::open(node, &keys::SHARD_OVERLOAD)?;
    let overload = ShardOverload {
        max_lag_ms: fields.read("max_lag", max_lag_ms),
        max_calls: fields.read("max_calls", |node| values::count(node, 1, MAX_CALLS)),
    };
    if fields.get("max_lag").is_none() && fields.get("max_calls").is_none() {
        return node.expected("a bound on anything", "max_lag: 50ms, max_calls: 10000, or both");
    }
    Some(overload)
}

fn max_lag_ms(node: &Node) -> Option<u64> {
    let max_lag_ms = values::timeout_ms(node)?;
    if max_lag_ms <= MAX_LAG_MS {
        return Some(max_lag_ms);
    }
    node.expected(
        "a time that clients may wait for the loop of a shard",
        "up to 10s, such as 50ms",
    )
}

pub fn overload(node: &Node) -> Option<Overload> {
    let fields = Fields::open(node, &keys::OVERLOAD)?;
    let default = Overload::default();
    let count = |key, least, most| fields.read(key, |node| values::count(node, least, most));
    let overload = Overload {
        min: count("min", 1, MAX_LIMIT).unwrap_or(default.min),
        max: count("max", 1, MAX_LIMIT).unwrap_or(default.max),
        queue: count("queue", 0, MAX_QUEUE).unwrap_or(default.queue),
        max_queue_wait_ms: fields
            .read("max_queue_wait", values::timeout_ms)
            .unwrap_or(default.max_queue_wait_ms),
    };
    if overload.min > overload.max {
        node.fault(
            format!("`min` is {} and `max` is {}", overload.min, overload.max),
            "min up to max",
        );
    }
    Some(overload)
}

pub fn priority(node: &Node) -> Option<Priority> {
    const RIGHT: &str = "high, normal or low";
    let Some(word) = node.value.as_str() else {
        return node.expected("a priority", RIGHT);
    };
    Priority::named(word).or_else(|| {
        let names = Priority::ALL.into_iter().map(Priority::name);
        let right = node.nearest_name(word, names, || RIGHT.to_string());
        node.expected("a priority", right)
    })
}
