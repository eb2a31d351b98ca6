//! Answers that nodes share through a store: when it is asked, how long a call waits, and what of it is taken.

#![allow(clippy::disallowed_types)] // The store and its locks are a shell's, and here the test is that.

mod rig;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use rig::{
    Did, Rig, document, env, header,
    kept::{ANSWER, CHAT, answer_with, answers, assert_hit, cached, call_as, is_miss, stats},
    key, reply,
};
use tollgate_config::{
    Document,
    document::{Cache, CacheScope, SecondTier},
    link::Purge,
};
use tollgate_engine::{
    Input,
    exact::{Filter, Found, Offer, Patience, Question, Tier, codec::Kept},
};

/// What all nodes share.
#[derive(Debug, Default)]
struct Store {
    kept: Mutex<BTreeMap<u128, Kept>>,
    asked: Mutex<Vec<Question>>,
    forgotten: AtomicU64,
    late: AtomicU64,
    is_away: Mutex<bool>,
}

impl Store {
    /// Answers all that was asked, with what is there.
    fn answer(&self) {
        for question in self.asked.lock().expect("no panic").drain(..) {
            let kept = self.kept.lock().expect("no panic").get(&question.key).cloned();
            let forgotten = self.forgotten.load(Ordering::SeqCst);
            // It may be too late.
            let _ = question.slot.set(kept.map(|kept| Found { kept, forgotten }));
        }
    }

    fn questions(&self) -> usize {
        self.asked.lock().expect("no panic").len()
    }

    fn entries(&self) -> usize {
        self.kept.lock().expect("no panic").len()
    }
}

#[derive(Debug)]
struct Node(Arc<Store>);

impl Tier for Node {
    fn forgotten(&self, _: &str) -> u64 {
        self.0.forgotten.load(Ordering::SeqCst)
    }

    fn ask(&self, question: Question) -> bool {
        let is_away = *self.0.is_away.lock().expect("no panic");
        if !is_away {
            self.0.asked.lock().expect("no panic").push(question);
        }
        !is_away
    }

    fn late(&self, _: &str, waited: Patience) {
        let counts = waited == Patience::Whole;
        self.0.late.fetch_add(u64::from(counts), Ordering::SeqCst);
    }

    fn offer(
        &self,
        Offer {
            kept,
            forgotten,
            left_ms,
            ..
        }: Offer,
    ) {
        assert!(left_ms > 0);
        if forgotten == self.0.forgotten.load(Ordering::SeqCst) {
            self.0.kept.lock().expect("no panic").insert(kept.key, kept);
        }
    }
}

fn shared(change: impl FnOnce(&mut Cache)) -> Document {
    let mut document = cached(document(), |cache| {
        cache.second = Some(Box::new(SecondTier {
            valkey: None,
            secret: env("OF_ALL_NODES_AND_LONG_ENOUGH_FOR_IT"),
            timeout_ms: 20,
        }));
        change(cache);
    });
    document.keys.push(key("other", &[]));
    document
}

/// Two nodes, each with a table of its own, and their store.
fn two(change: impl FnOnce(&mut Cache)) -> ([Rig; 2], Arc<Store>) {
    let store = Arc::<Store>::default();
    let first = Rig::new(shared(change));
    let pinned = first.pinned.clone();
    let mut nodes = [first, Rig::sharing(pinned)];
    for node in &mut nodes {
        node.local.answers = Some(answers());
        node.local.second = Some(Box::new(Node(Arc::clone(&store))));
    }
    (nodes, store)
}

/// The first node has kept the answer, and the store has it.
fn kept(change: impl FnOnce(&mut Cache)) -> ([Rig; 2], Arc<Store>) {
    let (mut nodes, store) = two(change);
    assert!(waits(&nodes[0].chat(CHAT)));
    store.answer();
    assert!(is_miss(&nodes[0].feed(Input::Found)));
    answer_with(&mut nodes[0], 200, ANSWER);
    assert_eq!(store.entries(), 1);
    (nodes, store)
}

fn waits(did: &[Did]) -> bool {
    did.iter().all(|did| matches!(did, Did::ReadBody))
}

#[test]
fn what_another_node_kept_is_a_hit_and_lies_here_then() {
    let ([_, mut other], store) = kept(|_| {});
    assert!(waits(&other.chat(CHAT)));
    // Woken for something else.
    assert!(waits(&other.feed(Input::Found)));
    store.answer();
    let did = other.feed(Input::Found);
    assert_hit(&other, &did, ANSWER);
    let did = other.chat(CHAT);
    assert_hit(&other, &did, ANSWER);
    assert_eq!(store.questions(), 0, "from memory");
    let stats = stats(&other);
    assert_eq!((stats.hits, stats.misses, stats.entries), (2, 0, 1));
    assert_eq!(stats.saved_tokens, 14);
}

#[test]
fn a_call_waits_for_its_time_and_no_longer() {
    let ([_, mut other], store) = kept(|_| {});
    let began = other.now;
    assert!(waits(&other.chat(CHAT)));
    assert!(is_miss(&other.expire()));
    assert_eq!(other.now, began.plus_ms(20));
    assert_eq!(store.late.load(Ordering::SeqCst), 1);
    // What comes now comes too late.
    store.answer();
    assert!(waits(&other.feed(Input::Found)));
    let (_, lines, _) = reply(&answer_with(&mut other, 200, ANSWER));
    assert_eq!(header(&lines, "x-tollgate-cache"), Some("miss"));
    let counted = stats(&other);
    assert_eq!((counted.hits, counted.misses), (0, 1));

    let ([_, mut other], store) = kept(|_| {});
    assert!(waits(&call_as(&mut other, "all", "x-tollgate-timeout: 40ms\n", CHAT)));
    assert_eq!(
        other.exchange.deadline(),
        Some(other.now.plus_ms(10)),
        "a quarter of it"
    );
    other.expire();
    assert_eq!(
        store.late.load(Ordering::SeqCst),
        0,
        "a client's own hurry is not the store's lateness"
    );
    *store.is_away.lock().expect("no panic") = true;
    let ([_, mut away], _) = two(|_| {});
    away.local.second = Some(Box::new(Node(store)));
    assert!(is_miss(&away.chat(CHAT)), "nobody waits for a store that is away");
}

#[test]
fn the_store_is_asked_once_by_calls_that_are_the_same() {
    let (nodes, store) = two(|_| {});
    let [mut first, _] = nodes;
    let mut second = Rig::sharing(first.pinned.clone());
    second.local.answers = first.local.answers.clone();
    second.local.second = Some(Box::new(Node(Arc::clone(&store))));
    assert!(waits(&first.chat(CHAT)) && waits(&second.chat(CHAT)));
    assert_eq!(store.questions(), 1);
    store.answer();
    assert!(is_miss(&first.feed(Input::Found)));
    assert!(waits(&second.expire()), "it waits for the first");
    answer_with(&mut first, 200, ANSWER);
    let did = second.expire();
    assert_hit(&second, &did, ANSWER);
}

#[test]
fn no_answer_of_another_tenant_and_none_that_was_purged_is_taken() {
    let ([_, mut other], store) = kept(|cache| cache.scope = CacheScope::Key);
    assert!(waits(&call_as(&mut other, "other", "", CHAT)));
    // Whatever lies under its name.
    let mut of_another = store
        .kept
        .lock()
        .expect("no panic")
        .values()
        .next()
        .cloned()
        .expect("one");
    of_another.key = store.asked.lock().expect("no panic")[0].key;
    store.kept.lock().expect("no panic").insert(of_another.key, of_another);
    store.answer();
    assert!(is_miss(&other.feed(Input::Found)));

    let ([_, mut other], store) = kept(|_| {});
    assert!(waits(&other.chat(CHAT)));
    store.answer();
    // Purged through this node or another when it had come already.
    store.forgotten.fetch_add(1, Ordering::SeqCst);
    assert!(is_miss(&other.feed(Input::Found)));

    let ([_, mut other], store) = kept(|_| {});
    assert!(waits(&other.chat(CHAT)));
    store.answer();
    let answers = other.local.answers.clone().expect("a table");
    answers.purge(&Filter(Purge::default()));
    assert!(is_miss(&other.feed(Input::Found)));
    answer_with(&mut other, 200, ANSWER);
    assert_eq!(stats(&other).entries, 0, "its call began before");
}

#[test]
fn an_answer_whose_call_began_before_a_purge_is_not_shared() {
    let ([mut first, _], store) = two(|_| {});
    assert!(waits(&first.chat(CHAT)));
    store.answer();
    assert!(is_miss(&first.feed(Input::Found)));
    store.forgotten.fetch_add(1, Ordering::SeqCst);
    answer_with(&mut first, 200, ANSWER);
    assert_eq!(store.entries(), 0);
}

#[test]
fn what_a_request_says_is_done_there_as_well() {
    let ([_, mut other], store) = kept(|_| {});
    let wish = |rig: &mut Rig, wish: &str| call_as(rig, "all", &format!("x-tollgate-cache: {wish}\n"), CHAT);
    assert!(is_miss(&wish(&mut other, "bypass")));
    answer_with(&mut other, 200, ANSWER);
    assert_eq!(store.questions(), 0);
    assert!(waits(&wish(&mut other, "only")));
    store.answer();
    let did = other.feed(Input::Found);
    assert_hit(&other, &did, ANSWER);
    let newer = ANSWER.replace("hello", "hello again");
    assert!(is_miss(&wish(&mut other, "refresh")));
    answer_with(&mut other, 200, &newer);
    let ([_, mut third], nothing) = two(|_| {});
    assert!(waits(&wish(&mut third, "only")));
    nothing.answer();
    let (status, _, said) = reply(&third.feed(Input::Found));
    assert!(status == 504 && said.contains("cache_miss"), "{said}");
    third.local.second = Some(Box::new(Node(Arc::clone(&store))));
    assert!(waits(&wish(&mut third, "only")));
    store.answer();
    let did = third.feed(Input::Found);
    assert_hit(&third, &did, &newer);
}

#[test]
fn a_client_that_leaves_while_the_store_is_asked_holds_up_nobody() {
    let ([mut first, _], store) = two(|_| {});
    assert!(waits(&first.chat(CHAT)));
    first.feed(Input::ClientGone);
    store.answer();
    assert!(waits(&first.chat(CHAT)), "it is asked anew");
    assert_eq!(store.questions(), 1);
    store.answer();
    assert!(is_miss(&first.feed(Input::Found)));
}

#[test]
fn an_answer_is_as_old_as_it_is_wherever_it_lay() {
    let ([_, mut other], store) = kept(|_| {});
    other.now = other.now.plus_ms(9_000);
    assert!(waits(&other.chat(CHAT)));
    store.answer();
    let (_, lines, _) = reply(&other.feed(Input::Found));
    assert_eq!(header(&lines, "age"), Some("9"));
    let ([_, mut other], store) = kept(|_| {});
    other.now = other.now.plus_ms(24 * 3_600_000);
    assert!(waits(&other.chat(CHAT)));
    store.answer();
    assert!(is_miss(&other.feed(Input::Found)), "its time is over");
}
