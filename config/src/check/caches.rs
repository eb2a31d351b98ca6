//! `caches`: which answers are kept, for whom, for how long.

use serde_json::Value;

use super::{
    cluster,
    node::{Fields, Node},
    semantic_cache, values,
};
use crate::{
    Document,
    document::{
        Allowed, CACHE_PARTS, Cache, CacheScope, CacheSnapshot, ExactCache, LEAST_CACHE_BYTES, SecondTier, Valkey,
    },
    keys,
};

const MAX_TTL_MS: u64 = 30 * 24 * 3_600_000;
const LEAST_TTL_MS: u64 = 1_000;
const SECOND_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 1..=1_000;
/// In the place of a store: the one that limits are shared through.
const OF_CLUSTER: &str = "cluster";
const SNAPSHOTS_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;

pub fn cache(node: &Node) -> Option<Cache> {
    let fields = Fields::open(node, &keys::CACHE)?;
    let exact = fields.required("exact", "{ ttl: 24h, max_bytes: 256MiB }", exact);
    let (exact, second) = exact.unzip();
    let kept_ms = exact.unwrap_or_default().ttl_ms;
    let semantic = fields.read("semantic", |node| semantic_cache::semantic(node, kept_ms));
    Some(Cache {
        scope: fields.read("scope", scope).unwrap_or_default(),
        exact: Some(exact?),
        second: second.flatten(),
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

fn exact(node: &Node) -> Option<(ExactCache, Option<Box<SecondTier>>)> {
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
    let exact = ExactCache {
        ttl_ms: fields.read("ttl", ttl_ms).unwrap_or(default.ttl_ms),
        max_bytes,
        max_answer_bytes: said.unwrap_or(default.max_answer_bytes.min(most)),
    };
    Some((exact, fields.read("second", second).map(Box::new)))
}

fn second(node: &Node) -> Option<SecondTier> {
    const STORE: &str = "{ urls: [ \"redis://HOST:6379\" ] }, or cluster for the store that `cluster` names";
    const SECRET: &str = "env:NAME or file:PATH, the same on every node";
    let fields = Fields::open(node, &keys::CACHE_SECOND)?;
    let valkey = fields.required("valkey", STORE, store);
    let secret = fields.required("secret", SECRET, values::secret);
    let timeout_ms = fields.read("timeout", second_timeout_ms);
    Some(SecondTier {
        valkey: valkey?,
        secret: secret?,
        timeout_ms: timeout_ms.unwrap_or(SecondTier::DEFAULT_TIMEOUT_MS),
    })
}

/// The inner `None`: that of `cluster`.
fn store(node: &Node) -> Option<Option<Valkey>> {
    match node.value.as_str() {
        Some(OF_CLUSTER) => Some(None),
        _ => cluster::valkey(node).map(Some),
    }
}

fn second_timeout_ms(node: &Node) -> Option<u64> {
    let timeout_ms = values::timeout_ms(node)?;
    if SECOND_TIMEOUT_MS.contains(&timeout_ms) {
        return Some(timeout_ms);
    }
    node.expected(
        "a time that a call may wait for the second tier",
        "1ms to 1s, such as 20ms",
    )
}

/// Second tiers in a store that no `cluster` names.
pub fn refuse_a_store_of_no_cluster(root: &Fields, document: &Document) {
    let Some(caches) = root.get("caches").filter(|_| document.cluster.is_none()) else {
        return;
    };
    for (name, cache) in &document.caches {
        if cache.second.as_ref().is_some_and(|second| second.valkey.is_none()) {
            caches.at(name, |cache| {
                cache.at("exact", |exact| {
                    exact.at("second", |second| {
                        second.at("valkey", |node| {
                            node.fault(
                                "`valkey: cluster`, and there is no `cluster`",
                                "cluster: { valkey: { urls: [ … ] } }, or the store's own { urls: [ … ] } here",
                            );
                        });
                    });
                });
            });
        }
    }
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
