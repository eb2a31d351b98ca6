//! What tests of kept answers share: a node whose shards have one table, calls, and what a hit looks like.

#![allow(clippy::disallowed_types)] // The locks of the table are a shell's, and here the test is that.

use std::sync::Mutex;

use tollgate_config::{
    Document,
    document::{Allowed, CACHE_PARTS, Cache, CacheScope, ExactCache},
};
use tollgate_engine::{
    Answers,
    exact::{Part, Seed, Stats},
    repeats::Parts,
};

use super::{Did, Rig, dialled, document, header, reply};

pub const CHAT: &str = r#"{"model":"same","messages":[{"role":"user","content":"hi"}]}"#;
pub const OTHER: &str = r#"{"model":"same","messages":[{"role":"user","content":"bye"}]}"#;
pub const ANSWER: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;

#[derive(Debug)]
struct Locked(Vec<Mutex<Part>>);

impl Parts<Part> for Locked {
    fn with(&self, part: usize, work: &mut dyn FnMut(&mut Part)) {
        work(&mut self.0[part].lock().expect("no panic"));
    }
}

pub fn answers() -> Answers {
    let parts = (0..CACHE_PARTS).map(|_| Mutex::default()).collect();
    Answers::new(Locked(parts), Seed([1, 2]))
}

pub fn cache(scope: CacheScope) -> Cache {
    Cache {
        scope,
        exact: Some(ExactCache::default()),
        semantic: None,
        allow: Allowed::default(),
        charge_hits: None,
        snapshot: None,
        second: None,
    }
}

pub fn cached(mut document: Document, change: impl FnOnce(&mut Cache)) -> Document {
    let mut cache = cache(CacheScope::Team);
    change(&mut cache);
    document.caches = vec![("c".into(), cache)];
    for (_, model) in &mut document.models {
        model.cache = Some("c".into());
    }
    for (_, key) in &mut document.keys {
        key.models.clear();
    }
    document
}

/// So many exchanges, each on a shard of its own, of one node.
pub fn node(document: Document, shards: usize) -> Vec<Rig> {
    let answers = answers();
    let first = Rig::new(document);
    let pinned = first.pinned.clone();
    let mut all = vec![first];
    all.resize_with(shards, || Rig::sharing(pinned.clone()));
    for rig in &mut all {
        rig.local.answers = Some(answers.clone());
    }
    all
}

pub fn one(change: impl FnOnce(&mut Cache)) -> Rig {
    node(cached(document(), change), 1).remove(0)
}

pub fn call_as(rig: &mut Rig, who: &str, more: &str, body: &str) -> Vec<Did> {
    let head = format!("POST /v1/chat/completions HTTP/1.1\nhost: gate\nauthorization: Bearer secret-{who}\n{more}");
    rig.request(&head, body.as_bytes())
}

pub fn answer_with(rig: &mut Rig, status: u16, body: &str) -> Vec<Did> {
    rig.connected(1);
    rig.whole_answer(status, body)
}

pub fn is_miss(did: &[Did]) -> bool {
    dialled(did).len() == 1
}

#[track_caller]
pub fn assert_hit(rig: &Rig, did: &[Did], body: &str) {
    let (status, lines, said) = reply(did);
    assert_eq!((status, &*said), (200, body), "{did:?}");
    assert_eq!(header(&lines, "x-tollgate-cache"), Some("hit"));
    assert_eq!(header(&lines, "content-type"), Some("application/json"));
    assert_eq!(lines.matches("content-type").count(), 1, "{lines}");
    assert!(
        header(&lines, "age").is_some() && header(&lines, "x-tollgate-attempts").is_none(),
        "{lines}"
    );
    assert_eq!(header(&lines, "x-tollgate-provider"), Some("one"));
    let record = rig.exchange.record();
    assert_eq!(header(&lines, "x-request-id"), Some(record.request_id));
    assert!(record.usage.is_none() && record.cost.is_none() && record.attempts == 0);
    assert_eq!(record.cache, Some("hit"));
}

pub fn stats(rig: &Rig) -> Stats {
    let all = rig.local.answers.as_ref().expect("a table").stats();
    all.first().map(|(_, stats)| *stats).unwrap_or_default()
}
