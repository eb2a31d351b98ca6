//! `caches.*.semantic`: how near a question must be to one that was answered, for how long, and whether it is served.

use super::{
    caches, meaning,
    node::{Fields, Node},
    values,
};
use crate::{
    document::{SemanticCache, SemanticHistory, SemanticMode},
    keys,
};

/// `kept_ms`: how long the cache keeps an answer.
pub(super) fn semantic(node: &Node, kept_ms: u64) -> Option<SemanticCache> {
    let fields = Fields::open(node, &keys::CACHE_SEMANTIC)?;
    let ttl_ms = fields.read("ttl", |node| ttl_ms(node, kept_ms)).unwrap_or(kept_ms);
    Some(SemanticCache {
        ttl_ms,
        max_entries: fields
            .read("max_entries", |node| {
                values::count(node, 1, u64::from(SemanticCache::MOST_ENTRIES))
            })
            .unwrap_or(SemanticCache::DEFAULT_MAX_ENTRIES),
        threshold_thousandths: fields
            .read("threshold", threshold)
            .unwrap_or(SemanticCache::DEFAULT_THRESHOLD_THOUSANDTHS),
        mode: fields.read("mode", mode).unwrap_or_default(),
        history: history(&fields),
    })
}

fn history(fields: &Fields<'_>) -> SemanticHistory {
    let is_similar = fields.read("history", is_similar).unwrap_or(false);
    let threshold = fields.read("history_threshold", |node| {
        if !is_similar {
            node.fault(
                "it is asked of no history that must be equal",
                "`history: similar` beside it",
            );
        }
        threshold(node)
    });
    match is_similar {
        false => SemanticHistory::Exact,
        true => SemanticHistory::Similar {
            threshold_thousandths: threshold.unwrap_or(SemanticHistory::DEFAULT_THRESHOLD_THOUSANDTHS),
        },
    }
}

fn is_similar(node: &Node) -> Option<bool> {
    match node.value.as_str() {
        Some(SemanticHistory::EXACT) => Some(false),
        Some(SemanticHistory::SIMILAR) => Some(true),
        _ => node.expected("when histories are the same", "exact or similar"),
    }
}

fn ttl_ms(node: &Node, kept_ms: u64) -> Option<u64> {
    let ttl_ms = caches::ttl_ms(node)?;
    if ttl_ms > kept_ms {
        node.fault(
            "it is longer than an answer is kept",
            "at most `exact.ttl`, or a longer `exact.ttl`",
        );
    }
    Some(ttl_ms)
}

/// Texts that have nothing to do with each other come to 0.3.
fn threshold(node: &Node) -> Option<u16> {
    let thousandths = meaning::thousandths(node)?;
    if thousandths >= SemanticCache::LEAST_THRESHOLD_THOUSANDTHS {
        return Some(thousandths);
    }
    node.expected("a similarity to look at", "a number from 0.3 to 1, such as 0.5")
}

fn mode(node: &Node) -> Option<SemanticMode> {
    let named = node.value.as_str();
    let found = SemanticMode::ALL.into_iter().find(|mode| Some(mode.name()) == named);
    found.or_else(|| node.expected("what becomes of what is found", "serve or shadow"))
}
