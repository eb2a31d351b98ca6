//! `models.*.overload` and `keys.*.priority`: how much a target is given at once, and who goes first.

use super::{
    node::{Fields, Node},
    values,
};
use crate::{
    document::{Overload, Priority},
    keys,
};

const MAX_LIMIT: u64 = 100_000;
const MAX_QUEUE: u64 = 10_000;

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
