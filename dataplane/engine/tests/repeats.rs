//! Calls that come again under the same `idempotency-key`: whole exchanges, on one shard and on two, that share the node's
//! table.

#![allow(clippy::disallowed_types)] // The locks of the table are a shell's, and here the test is that.

mod rig;

use std::sync::{Arc, Mutex};

use rig::{Did, Rig, body_of, dialled, document, header, reply};
use tollgate_config::{
    Document,
    document::{IDEMPOTENCY_PARTS, Idempotency, Limit, Period, Unit, Window},
};
use tollgate_engine::{
    Input, Repeats,
    exchange::UpstreamFault,
    limits::LocalLimits,
    outputs::ReplyFraming,
    repeats::{Part, Parts},
};

const CHAT: &str = r#"{"model":"same","messages":[{"role":"user","content":"hi"}]}"#;
const OTHER: &str = r#"{"model":"same","messages":[{"role":"user","content":"bye"}]}"#;
const ANSWER: &str = r#"{"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;

#[derive(Debug)]
struct Locked(Vec<Mutex<Part>>);

impl Parts for Locked {
    fn with(&self, part: usize, work: &mut dyn FnMut(&mut Part)) {
        work(&mut self.0[part].lock().expect("no panic"));
    }
}

/// So many exchanges, each on a shard of its own, of one node.
fn node(document: Document, shards: usize) -> Vec<Rig> {
    let repeats = Repeats::new(Locked((0..IDEMPOTENCY_PARTS).map(|_| Mutex::default()).collect()));
    let first = Rig::new(document);
    let pinned = first.pinned.clone();
    let mut all = vec![first];
    all.resize_with(shards, || Rig::sharing(pinned.clone()));
    for rig in &mut all {
        rig.local.repeats = Some(repeats.clone());
    }
    all
}

fn call(rig: &mut Rig, key: &str, body: &str) -> Vec<Did> {
    call_as(rig, "all", key, body)
}

fn call_as(rig: &mut Rig, who: &str, key: &str, body: &str) -> Vec<Did> {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\nhost: gate\nauthorization: Bearer secret-{who}\nidempotency-key: {key}\n"
    );
    rig.request(&head, body.as_bytes())
}

fn answer_with(rig: &mut Rig, status: u16, body: &str) -> Vec<Did> {
    rig.connected(1);
    rig.whole_answer(status, body)
}

fn answered(rig: &mut Rig) -> Vec<Did> {
    answer_with(rig, 200, ANSWER)
}

#[track_caller]
fn assert_replayed(rig: &Rig, did: &[Did], body: &str) {
    let (status, lines, said) = reply(did);
    assert_eq!((status, &*said), (200, body), "{did:?}");
    assert_eq!(header(&lines, "x-tollgate-idempotent"), Some("replayed"));
    assert_eq!(header(&lines, "content-type"), Some("application/json"));
    assert_eq!(header(&lines, "x-tollgate-upstream-request-id"), Some("theirs"));
    let own = lines.lines().filter(|line| line.starts_with("x-request-id: "));
    assert_eq!(
        own.collect::<Vec<_>>(),
        [format!("x-request-id: {}", rig.exchange.record().request_id)]
    );
    let record = rig.exchange.record();
    assert!(record.replayed && record.usage.is_none() && record.cost.is_none() && record.attempts == 0);
}

#[test]
fn a_repeat_on_another_shard_waits_for_the_call_under_way_and_gets_its_answer() {
    let mut node = node(document(), 2);
    let [first, second] = &mut node[..] else { panic!() };
    assert_eq!(dialled(&call(first, "a", CHAT)).len(), 1);
    assert_eq!(call(second, "a", CHAT), []);
    let mut waits_ms = Vec::new();
    for _ in 0..8 {
        let before = second.now;
        assert_eq!(second.expire(), []);
        waits_ms.push(second.now.ns_since(before) / 1_000_000);
    }
    assert_eq!(waits_ms, [1, 2, 4, 8, 16, 32, 50, 50]);
    let (_, lines, said) = reply(&answered(first));
    assert_eq!(header(&lines, "x-tollgate-idempotent"), None);
    assert_eq!(said, ANSWER);
    let did = second.expire();
    assert_replayed(second, &did, ANSWER);
    assert!(
        second.exchange.record().gateway_ns < 1_000_000,
        "it waited for a provider"
    );
}

#[test]
fn a_repeat_that_comes_later_gets_the_answer_that_was_given() {
    let mut node = node(document(), 1);
    let rig = &mut node[0];
    call(rig, "a", CHAT);
    answered(rig);
    for _ in 0..3 {
        let did = call(rig, "a", CHAT);
        assert_replayed(rig, &did, ANSWER);
    }
    assert_eq!(dialled(&call(rig, "b", CHAT)).len(), 1, "another key is another call");
}

#[test]
fn without_the_header_or_with_it_off_every_call_runs() {
    let mut off = document();
    off.idempotency = None;
    let mut node = node(off, 1);
    let rig = &mut node[0];
    for _ in 0..2 {
        assert_eq!(dialled(&call(rig, "a", CHAT)).len(), 1);
        answered(rig);
    }
    let mut node = self::node(document(), 1);
    let rig = &mut node[0];
    for _ in 0..2 {
        assert_eq!(dialled(&rig.chat(CHAT)).len(), 1);
        answered(rig);
    }
}

#[test]
fn the_same_key_with_another_body_is_an_error_that_names_it() {
    let mut node = node(document(), 2);
    let [first, second] = &mut node[..] else { panic!() };
    call(first, "a", CHAT);
    for _ in ["under way", "answered"] {
        let (status, _, said) = reply(&call(second, "a", OTHER));
        assert_eq!(status, 422, "{said}");
        assert!(
            said.contains("idempotency_key_reused") && said.contains("idempotency-key"),
            "{said}"
        );
        answered(first);
    }
    let head =
        "POST /openai/v1/chat/completions HTTP/1.1\nhost: gate\nauthorization: Bearer secret-all\nidempotency-key: a\n";
    let (status, ..) = reply(&second.request(head, CHAT.as_bytes()));
    assert_eq!(status, 422, "another path is another request");
}

#[test]
fn a_key_means_nothing_to_another_api_key() {
    let mut document = document();
    document.keys[1].1.models.clear();
    let mut node = node(document, 2);
    let [first, second] = &mut node[..] else { panic!() };
    call(first, "a", CHAT);
    answered(first);
    assert_eq!(dialled(&call_as(second, "few", "a", OTHER)).len(), 1);
}

#[test]
fn what_failed_runs_again() {
    for status in [429, 500, 503, 529, 401, 409] {
        let mut node = node(document(), 2);
        let [first, second] = &mut node[..] else { panic!() };
        call(first, "a", CHAT);
        assert_eq!(call(second, "a", CHAT), []);
        answer_with(first, status, "{}");
        assert_eq!(dialled(&second.expire()).len(), 1, "{status}: who waited runs it");
        answered(second);
        let did = call(first, "a", CHAT);
        assert_replayed(first, &did, ANSWER);
    }
    let mut node = node(document(), 1);
    let rig = &mut node[0];
    call(rig, "a", CHAT);
    rig.failed(1, UpstreamFault::Connect);
    assert_eq!(dialled(&call(rig, "a", CHAT)).len(), 1);
}

#[test]
fn errors_that_stay_are_answered_again() {
    let mut node = node(document(), 1);
    let rig = &mut node[0];
    call(rig, "a", CHAT);
    answer_with(rig, 400, r#"{"error":{}}"#);
    let (status, lines, said) = reply(&call(rig, "a", CHAT));
    assert_eq!((status, &*said), (400, r#"{"error":{}}"#));
    assert_eq!(header(&lines, "x-tollgate-idempotent"), Some("replayed"));
}

#[test]
fn streams_come_again_as_streams_and_broken_ones_run_again() {
    const STREAM: &str = r#"{"model":"same","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
    const HEAD: &str = "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n";
    let mut node = node(document(), 1);
    let rig = &mut node[0];
    call(rig, "a", STREAM);
    rig.connected(1);
    rig.answer(1, HEAD);
    rig.body(1, "data: {\"choices\":[]}\n\n");
    rig.failed(1, UpstreamFault::Cut);
    assert_eq!(dialled(&call(rig, "a", STREAM)).len(), 1, "it broke");
    rig.connected(1);
    rig.answer(1, HEAD);
    for event in [
        "data: {\"choices\":[{}]}\n",
        "\ndata: {\"choices\":[]}\n\n",
        "data: [DONE]\n\n",
    ] {
        rig.body(1, event);
    }
    rig.end(1);
    let did = call(rig, "a", STREAM);
    let framing = did.iter().find_map(|did| match did {
        Did::Head { framing, .. } => Some(*framing),
        _ => None,
    });
    assert_eq!(framing, Some(ReplyFraming::Stream));
    assert_eq!(
        body_of(&did),
        "data: {\"choices\":[{}]}\n\ndata: {\"choices\":[]}\n\ndata: [DONE]\n\n"
    );
}

#[test]
fn answers_that_are_too_long_are_not_remembered() {
    let mut document = document();
    document.idempotency = Some(Idempotency {
        max_answer_bytes: 100,
        ..Idempotency::default()
    });
    let mut node = node(document, 2);
    let [first, second] = &mut node[..] else { panic!() };
    call(first, "a", CHAT);
    assert_eq!(call(second, "a", CHAT), []);
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(100));
    let (_, _, said) = reply(&answer_with(first, 200, &long));
    assert_eq!(said, long, "who asked first gets all of it");
    assert_eq!(dialled(&second.expire()).len(), 1);
}

#[test]
fn an_answer_is_forgotten_in_time() {
    let mut node = node(document(), 1);
    let rig = &mut node[0];
    call(rig, "a", CHAT);
    answered(rig);
    rig.now = rig.now.plus_ms(599_999);
    let did = call(rig, "a", CHAT);
    assert_replayed(rig, &did, ANSWER);
    rig.now = rig.now.plus_ms(1);
    assert_eq!(dialled(&call(rig, "a", OTHER)).len(), 1);
}

#[test]
fn a_client_that_ran_out_of_patience_finds_its_call_still_running() {
    let mut node = node(document(), 2);
    let [first, second] = &mut node[..] else { panic!() };
    call(first, "a", CHAT);
    first.connected(1);
    assert_eq!(first.feed(Input::ClientGone), [], "nothing is cancelled yet");
    second.now = first.now.plus_ms(4_000);
    assert_eq!(call(second, "a", CHAT), []);
    // It goes on as long as somebody waits for it.
    for _ in 0..3 {
        let due = first.exchange.deadline().expect("it looks");
        while second.now < due {
            assert_eq!(second.expire(), []);
        }
        first.now = due;
        assert_eq!(first.feed(Input::Timer), []);
    }
    let mut did = first.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: application/json\nx-request-id: theirs\ncontent-length: 2\n",
    );
    did.extend(first.body(1, "{}"));
    did.extend(first.end(1));
    assert_eq!(did, [Did::Settle, Did::End], "nothing is sent to who is gone");
    let did = second.expire();
    assert_replayed(second, &did, "{}");
}

#[test]
fn a_call_that_nobody_comes_back_to_is_cancelled() {
    let mut node = node(document(), 2);
    let [first, second] = &mut node[..] else { panic!() };
    call(first, "a", CHAT);
    first.connected(1);
    let left = first.now;
    assert_eq!(first.feed(Input::ClientGone), []);
    let did = first.expire();
    assert_eq!(did, [Did::Abandon { attempt: 1 }, Did::Settle, Did::Cut]);
    assert_eq!(first.now.ns_since(left), 5_000_000_000);
    assert_eq!(first.exchange.record().status, 499);
    assert_eq!(dialled(&call(second, "a", CHAT)).len(), 1, "who comes now runs it");
    // A client that leaves when its answer has begun is gone at once, and so is one whose connection ends for good.
    second.connected(1);
    second.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n",
    );
    assert!(second.feed(Input::ClientGone).contains(&Did::Cut));
    call(first, "b", CHAT);
    assert_eq!(first.feed(Input::ClientGone), []);
    assert!(first.feed(Input::ClientGone).contains(&Did::Cut));
}

#[test]
fn bad_keys_are_refused() {
    let mut node = node(document(), 1);
    for key in ["", &"k".repeat(256), "with space"] {
        let (status, _, said) = reply(&call(&mut node[0], key, CHAT));
        assert_eq!(status, 400, "{said}");
        assert!(
            said.contains("'idempotency-key' must be 1 to 255 visible characters"),
            "{said}"
        );
    }
    assert_eq!(dialled(&call(&mut node[0], &"k".repeat(255), CHAT)).len(), 1);
}

#[test]
fn a_repeat_counts_against_no_limit() {
    let mut document = document();
    document.keys[0].1.limits = vec![Limit::new(Unit::Requests, 1, Window::Calendar(Period::Month))];
    let mut node = node(document, 2);
    let balances = Arc::clone(&node[0].local.limits.balances);
    node[1].local.limits = LocalLimits::new(balances);
    let [first, second] = &mut node[..] else { panic!() };
    call(first, "a", CHAT);
    assert_eq!(call(second, "a", CHAT), [], "it waits, whatever is left");
    answered(first);
    let did = second.expire();
    assert_replayed(second, &did, ANSWER);
    assert_eq!(reply(&call(second, "b", CHAT)).0, 429, "another call is one too many");
    assert_eq!(reply(&call(first, "b", CHAT)).0, 429, "and is not remembered");
}
