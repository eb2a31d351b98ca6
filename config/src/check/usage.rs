//! `usage`: how records of calls are kept.

use serde_json::Value;

use super::{
    kafka,
    node::{Fields, Node},
    values,
};
use crate::{
    document::{Durability, Kafka, OnFull, Retention, UsageKeeping},
    keys,
};

const DAY_MS: u64 = 86_400_000;
/// Records have room for so much of a name.
const MAX_TEXT_BYTES: usize = 256;
const MAX_BLOCK_MS: u64 = 120_000;
/// A busy shard alone has seventeen segments of 1 MiB in hand.
const SPOOL_BYTES: std::ops::RangeInclusive<u64> = (1 << 30)..=(1 << 40);

/// How records are kept, and where else they go.
pub fn usage(node: &Node) -> Option<(UsageKeeping, Option<Kafka>)> {
    let fields = Fields::open(node, &keys::USAGE)?;
    let default = UsageKeeping::default();
    let keeping = UsageKeeping {
        on_full: fields.read("on_full", on_full).unwrap_or_default(),
        block_for_ms: fields.read("block_for", block_for_ms).unwrap_or(default.block_for_ms),
        durability: fields.read("durability", durability).unwrap_or_default(),
        max_spool_bytes: fields.read("max_spool", max_spool).unwrap_or(default.max_spool_bytes),
        retention: fields.read("retention", retention).unwrap_or_default(),
    };
    Some((keeping, fields.read("kafka", kafka::kafka)))
}

/// A name that is kept with usage: whole, or not at all.
pub fn short_text(node: &Node) -> Option<String> {
    let text = values::text(node)?;
    if text.len() <= MAX_TEXT_BYTES {
        return Some(text);
    }
    node.expected("a short text", format!("at most {MAX_TEXT_BYTES} bytes"))
}

fn on_full(node: &Node) -> Option<OnFull> {
    match node.value.as_str() {
        Some("refuse") => Some(OnFull::Refuse),
        Some("block") => Some(OnFull::Block),
        Some("drop_oldest") => Some(OnFull::DropOldest),
        _ => node.expected("what to do without room for records", "refuse, block or drop_oldest"),
    }
}

fn block_for_ms(node: &Node) -> Option<u64> {
    let block_ms = values::timeout_ms(node)?;
    if block_ms <= MAX_BLOCK_MS {
        return Some(block_ms);
    }
    node.expected("a time that calls may wait for room", "up to 2m, such as 10s")
}

fn durability(node: &Node) -> Option<Durability> {
    match node.value.as_str() {
        Some("group") => Some(Durability::Group),
        Some("strict") => Some(Durability::Strict),
        _ => node.expected("when records are on the disk", "group or strict"),
    }
}

fn max_spool(node: &Node) -> Option<u64> {
    let bytes = values::size_bytes(node)?;
    if SPOOL_BYTES.contains(&bytes) {
        return Some(bytes);
    }
    node.expected("a size for records that wait", "1GiB to 1024GiB, such as 16GiB")
}

fn retention(node: &Node) -> Option<Retention> {
    let fields = Fields::open(node, &keys::RETENTION)?;
    let default = Retention::default();
    let read = Retention {
        calls_ms: fields.read("calls", days_ms).unwrap_or(default.calls_ms),
        hours_ms: fields.read("hours", hours_ms).unwrap_or(default.hours_ms),
    };
    if read.hours_ms.is_some_and(|hours_ms| hours_ms < read.calls_ms) {
        node.fault(
            "sums by the hour are kept for less long than single calls",
            "`hours: forever`, or at least as long as `calls`",
        );
    }
    Some(read)
}

fn days_ms(node: &Node) -> Option<u64> {
    let ms = values::duration_ms(node)?;
    if ms >= DAY_MS {
        return Some(ms);
    }
    node.expected("a time to keep single calls", "at least 1d, such as 35d")
}

/// The inner `None`: for ever.
fn hours_ms(node: &Node) -> Option<Option<u64>> {
    match node.value {
        Value::String(word) if word == "forever" => Some(None),
        _ => days_ms(node).map(Some),
    }
}
