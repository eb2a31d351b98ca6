//! Exchanges without a client: copies of calls for another model, and looks at a provider.

mod rig;

use std::rc::Rc;

use rig::{Did, Rig, dialled, document, reply, sent};
use tollgate_config::{Document, document::Shadow};
use tollgate_engine::{
    Input,
    exchange::UpstreamFault,
    routing::health::{Change, Standing},
    snapshot::Found,
};

const HEAD: &str =
    "POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\nx-tollgate-tags: a=b\n";
const CHAT: &str = r#"{"model":"gpt","messages":[{"role":"user","content":"hi"}]}"#;
const SAID: &str = r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","usage":{"input_tokens":9,"output_tokens":2}}"#;
/// Of `sonnet` in the rig's document.
const SONNET: u32 = 3;

/// Calls of `gpt` are copied to `sonnet`, and those of `sonnet` to `same`.
fn shadowed(share_percent: u32) -> Document {
    let mut document = document();
    let shadow = |model: &str, share_percent| {
        Some(Shadow {
            model: model.into(),
            share_percent,
        })
    };
    document.models[0].1.shadow = shadow("sonnet", share_percent);
    document.models[SONNET as usize].1.shadow = shadow("same", 100);
    let spare = document.models[0].1.targets[0].clone();
    document.models[SONNET as usize].1.targets.push(spare);
    document
}

/// The call after its request went up, and what the shell makes of its copy.
fn copied() -> (Rig, Rig) {
    let mut call = Rig::new(shadowed(100));
    call.request(HEAD, CHAT.as_bytes());
    let did = call.connected(1);
    assert!(
        matches!(did[0], Did::SendUp { .. }),
        "the call itself comes first: {did:?}"
    );
    assert_eq!(did[1..], [Did::Shadow { model: SONNET }]);
    let mut copy = Rig::sharing(call.pinned.clone());
    copy.begin(HEAD, CHAT.as_bytes());
    assert!(copy.exchange.begin_shadow(&call.exchange, SONNET, copy.now));
    (call, copy)
}

#[test]
fn a_copy_goes_to_the_other_model_and_is_nobodys() {
    let (call, mut copy) = copied();
    assert_eq!(dialled(&copy.feed(Input::Body))[0].0, "claude");
    let did = copy.connected(1);
    let (head, body) = sent(&did);
    assert!(
        head.starts_with("POST /v1/messages ") && body.contains("claude-sonnet"),
        "{head}{body}"
    );
    assert_eq!(did.len(), 1, "a copy is not copied: {did:?}");
    let answer = format!(
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
        SAID.len()
    );
    copy.answer(1, &answer);
    copy.body(1, SAID);
    assert_eq!(copy.end(1).last(), Some(&Did::End));
    let record = copy.exchange.record();
    assert!(record.shadow);
    assert_eq!((record.model, record.status), (Some((SONNET as usize, "sonnet")), 200));
    assert_eq!((record.key, record.team, record.tags), (None, None, None));
    assert_eq!(record.usage.and_then(|usage| usage.output), Some(2));
    assert_eq!(record.request_id, call.exchange.record().request_id);
    let record = call.exchange.record();
    assert!(!record.shadow);
    assert_eq!((record.model, record.key), (Some((0, "gpt")), Some("all")));
}

#[test]
fn a_copy_that_fails_is_not_tried_again() {
    let (_, mut copy) = copied();
    copy.feed(Input::Body);
    let did = copy.failed(1, UpstreamFault::Connect);
    assert!(dialled(&did).is_empty() && did.last() == Some(&Did::End), "{did:?}");
    let (mut call, mut copy) = copied();
    copy.feed(Input::Body);
    copy.connected(1);
    let did = copy.answer(1, "HTTP/1.1 503 X\ncontent-length: 0\n");
    assert!(dialled(&did).is_empty(), "{did:?}");
    // The call itself knows nothing of it.
    call.answer(1, "HTTP/1.1 200 OK\ncontent-length: 2\n");
    call.body(1, "{}");
    assert_eq!(call.end(1).last(), Some(&Did::End));
}

#[test]
fn a_share_of_the_calls_is_copied() {
    let mut rig = Rig::new(shadowed(25));
    let mut copies = 0;
    for _ in 0..2_000 {
        rig.request(HEAD, CHAT.as_bytes());
        copies += usize::from(rig.connected(1).len() == 2);
        rig.answer(1, "HTTP/1.1 200 OK\ncontent-length: 2\n");
        rig.body(1, "{}");
        rig.end(1);
    }
    // Three standard deviations of a quarter: 58.
    assert!((442..=558).contains(&copies), "{copies} of 2000");
}

#[test]
fn a_call_that_is_tried_twice_is_copied_once() {
    let mut rig = Rig::new(shadowed(100));
    rig.request(HEAD, CHAT.as_bytes());
    let shadows = |did: &[Did]| did.iter().filter(|did| matches!(did, Did::Shadow { .. })).count();
    assert_eq!(shadows(&rig.connected(1)), 1);
    rig.answer(1, "HTTP/1.1 503 X\ncontent-length: 0\n");
    assert_eq!(shadows(&rig.connected(2)), 0);
}

#[test]
fn a_look_asks_with_the_providers_credential() {
    let mut rig = Rig::new(document());
    rig.begin("GET /providers/-/v1/models?limit=1 HTTP/1.1\nhost: check\n", b"");
    let (pinned, now) = (Rc::clone(&rig.pinned), rig.now);
    assert!(rig.exchange.begin_check(pinned, 2, 500, now));
    assert_eq!(dialled(&rig.feed(Input::Body))[0].0, "claude");
    let (head, body) = sent(&rig.connected(1));
    assert!(head.starts_with("GET /v1/models?limit=1 HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("x-api-key: credential-KEY_claude") && body.is_empty(),
        "{head}"
    );
    let late = rig.expire();
    assert_eq!(reply(&late).0, 504);
    assert_eq!(rig.now.ns_since(now), 500_000_000);
    assert_eq!(rig.exchange.record().attempts, 1);
}

#[test]
fn what_looks_find_counts_for_every_target_of_the_provider() {
    let rig = Rig::new(document());
    let (snapshot, now) = (&rig.pinned.snapshot, rig.now);
    let until = now.plus_ms(60_000);
    let changes = snapshot.checked(0, Found::Ill { until }, now);
    let changed: Vec<_> = changes
        .iter()
        .map(|told| (told.model, told.target, told.change))
        .collect();
    // `one` is a target of `gpt`, `same` and `one/*`.
    assert_eq!(
        changed,
        [(0, 0, Change::Opened), (1, 0, Change::Opened), (2, 0, Change::Opened)]
    );
    assert_eq!(
        snapshot.checked(0, Found::Ill { until }, now),
        [],
        "they are left alone already"
    );
    let standing = |now| {
        let (_, _, health) = snapshot.targets().next().expect("a target");
        health.standing(now, &snapshot.document.models[0].1.breaker)
    };
    // Longer than its cooldown: looks go on meanwhile.
    assert_eq!(standing(now.plus_ms(59_000)), Standing::Ejected { until });
    let changes = snapshot.checked(0, Found::WellAgain, now.plus_ms(1_000));
    assert_eq!(changes.len(), 3);
    assert!(matches!(standing(now.plus_ms(2_000)), Standing::Recovering { .. }));
    assert_eq!(snapshot.checked(0, Found::WellAgain, now), [], "they were well");
}

#[test]
fn the_arm_of_a_comparison_is_told() {
    let mut document = document();
    document.models[0].1.targets[0].arm = Some("a".into());
    document.models[2].1.targets[0].arm = Some("starred".into());
    let mut rig = Rig::new(document);
    rig.chat(CHAT);
    assert_eq!(rig.exchange.record().arm, Some("a"));
    rig.failed(1, UpstreamFault::Connect);
    assert_eq!(rig.exchange.record().arm, None, "of the target that was asked last");
    rig.feed(Input::ClientGone);
    rig.chat(&CHAT.replace("gpt", "one/any"));
    assert_eq!(rig.exchange.record().arm, Some("starred"));
}
