//! `caches`: which answers are kept, for whom, for how long.

use serde_json::Value;

use super::{
    node::{Fields, Node},
    semantic_cache, values,
};
use crate::{
    document::{Allowed, CACHE_PARTS, Cache, CacheScope, CacheSnapshot, ExactCache, LEAST_CACHE_BYTES},
    keys,
};

const MAX_TTL_MS: u64 = 30 * 24 * 3_600_000;
const LEAST_TTL_MS: u64 = 1_000;
const SNAPSHOTS_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;

pub fn cache(node: &Node) -> Option<Cache> {
    let fields = Fields::open(node, &keys::CACHE)?;
    let exact = fields.required("exact", "{ ttl: 24h, max_bytes: 256MiB }", exact);
    let kept_ms = exact.unwrap_or_default().ttl_ms;
    let semantic = fields.read("semantic", |node| semantic_cache::semantic(node, kept_ms));
    Some(Cache {
        scope: fields.read("scope", scope).unwrap_or_default(),
        exact: Some(exact?),
        semantic,
        allow: fields.read("allow", allowed).unwrap_or_default(),
        charge_hits: fields.read("charge_hits", values::boolean),
        snapshot: fields.read("snapshot", snapshot),
    })
}

fn scope(node: &Node) -> Option<CacheScope> {
    let named = node.value.as_str();
    let found = CacheScope::ALL.into_iter().find(|scope| Some(scope.name()) == named);
    found.or_else(|| node.expected("who may share an answer", "key, team or organization"))
}

fn exact(node: &Node) -> Option<ExactCache> {
    let fields = Fields::open(node, &keys::CACHE_EXACT)?;
    let default = ExactCache::default();
    let max_bytes = fields.read("max_bytes", max_bytes).unwrap_or(default.max_bytes);
    let most = max_bytes / CACHE_PARTS;
    let said = fields.read("max_answer", values::size_bytes);
    if let Some(max_answer) = said
        && !(1..=most).contains(&max_answer)
    {
        node.fault(
            format!("`max_answer` is {max_answer} bytes and `max_bytes` {max_bytes}"),
            format!("a `max_bytes` of at least {CACHE_PARTS} times `max_answer`"),
        );
    }
    Some(ExactCache {
        ttl_ms: fields.read("ttl", ttl_ms).unwrap_or(default.ttl_ms),
        max_bytes,
        max_answer_bytes: said.unwrap_or(default.max_answer_bytes.min(most)),
    })
}

fn snapshot(node: &Node) -> Option<CacheSnapshot> {
    let fields = Fields::open(node, &keys::CACHE_SNAPSHOT)?;
    let every_ms = fields.read("every", every_ms);
    Some(every_ms.map_or_else(CacheSnapshot::default, |every_ms| CacheSnapshot { every_ms }))
}

fn every_ms(node: &Node) -> Option<u64> {
    let every_ms = values::timeout_ms(node)?;
    if SNAPSHOTS_MS.contains(&every_ms) {
        return Some(every_ms);
    }
    node.expected("a time between two snapshots", "1s to 1d, such as 5m")
}

fn max_bytes(node: &Node) -> Option<u64> {
    let bytes = values::size_bytes(node)?;
    if bytes >= LEAST_CACHE_BYTES {
        return Some(bytes);
    }
    node.expected("room for answers", "at least 1MiB, such as 256MiB")
}

pub(super) fn ttl_ms(node: &Node) -> Option<u64> {
    let ttl_ms = values::timeout_ms(node)?;
    if (LEAST_TTL_MS..=MAX_TTL_MS).contains(&ttl_ms) {
        return Some(ttl_ms);
    }
    node.expected("a time to keep answers", "1s to 30d, such as 24h")
}

fn allowed(node: &Node) -> Option<Allowed> {
    const RIGHT: &str = "[ tool_calls, temperature ], or fewer of them";
    let mut allowed = Allowed::default();
    node.list("a list of what may be kept", RIGHT, |item| {
        match item.value {
            Value::String(word) if word == Allowed::TOOL_CALLS => allowed.tool_calls = true,
            Value::String(word) if word == Allowed::TEMPERATURE => allowed.temperature = true,
            _ => return item.expected("one of what may be kept", RIGHT),
        }
        Some(())
    })?;
    Some(allowed)
}
