//! A shard that is past what it bears refuses calls by their rank before it reads anything of their bodies.

mod rig;

use rig::{Did, Rig, document, header, key, reply};
use tollgate_config::{
    Document,
    document::{Priority, ShardOverload},
};
use tollgate_engine::{Input, exchange::UpstreamFault, pressure::Shed};

const MS: u64 = 1_000_000;

fn ranked() -> Document {
    let mut document = document();
    document.keys = Priority::ALL
        .into_iter()
        .map(|priority| {
            let (name, mut key) = key(priority.name(), &[]);
            (key.priority, key.pass_through) = (priority, true);
            (name, key)
        })
        .collect();
    document
}

/// The head of a call; its body is still on its way.
fn comes(rig: &mut Rig, path: &str, key: &str, more: &str) -> Vec<Did> {
    let head =
        format!("POST {path} HTTP/1.1\nhost: gate\nauthorization: Bearer secret-{key}\n{more}content-length: 60\n");
    rig.begin(&head, b"");
    rig.feed(Input::Head)
}

const CHAT: &str = "/v1/chat/completions";

/// A shard with room for so many calls.
fn bounded(max_calls: u32) -> Rig {
    let mut rig = Rig::new(ranked());
    rig.local.pressure.bound(Some(ShardOverload {
        max_lag_ms: Some(50),
        max_calls: Some(max_calls),
    }));
    rig
}

/// A further exchange of the same shard, which is in its own hands until the next.
fn beside(rig: &mut Rig) -> Rig {
    let mut other = Rig::sharing(rig.pinned.clone());
    other.local = std::mem::take(&mut rig.local);
    other.now = rig.now;
    other
}

#[test]
fn who_is_refused_is_told_in_its_dialect_when_to_come_back_and_nothing_is_read() {
    let paths = [
        (CHAT, "\"code\":\"overloaded\""),
        ("/v1/messages", "overloaded_error"),
        ("/v1beta/models/gpt:generateContent", "UNAVAILABLE"),
        ("/v1/audio/transcriptions", "\"code\":\"overloaded\""),
        ("/providers/one/v1/anything", "\"code\":\"overloaded\""),
    ];
    for (path, says) in paths {
        let mut rig = bounded(2);
        let mut calls = Vec::new();
        for _ in 0..2 {
            assert!(!comes(&mut rig, CHAT, "normal", "").contains(&Did::End));
            let next = beside(&mut rig);
            calls.push(std::mem::replace(&mut rig, next));
        }
        for key in ["normal", "low"] {
            let did = comes(&mut rig, path, key, "");
            let (status, lines, body) = reply(&did);
            assert_eq!(status, 503, "{path} {key}");
            assert_eq!(header(&lines, "retry-after"), Some("1"), "{path} {key}");
            assert!(
                body.contains(says) && body.contains("more calls than it bears"),
                "{path} {key}: {body}"
            );
            assert!(
                did.ends_with(&[Did::Settle, Did::End]),
                "{path} {key}: nothing is read: {did:?}"
            );
            assert_eq!(rig.exchange.record().rejected, Some("overloaded"));
            let next = beside(&mut rig);
            rig = next;
        }
        let did = comes(&mut rig, path, "high", "");
        assert!(!did.contains(&Did::End), "{path}: {did:?}");
    }
}

#[test]
fn a_request_lowers_its_own_rank_and_never_raises_it() {
    let mut rig = bounded(2);
    comes(&mut rig, CHAT, "normal", "");
    let mut rig = beside(&mut rig);
    let did = comes(&mut rig, CHAT, "high", "x-tollgate-priority: low\n");
    assert_eq!(reply(&did).0, 503, "of two places low calls have one");
    let mut rig = beside(&mut rig);
    let did = comes(&mut rig, CHAT, "low", "x-tollgate-priority: high\n");
    assert_eq!(reply(&did).0, 503);
    let mut rig = beside(&mut rig);
    assert_eq!(comes(&mut rig, CHAT, "normal", ""), [Did::ReadBody]);
}

#[test]
fn however_a_call_ends_its_place_is_free_again() {
    type End = fn(&mut Rig);
    let ends: [(&str, End); 5] = [
        ("left", |rig| drop(rig.feed(Input::ClientGone))),
        ("refused", |rig| {
            rig.set_body(b"no JSON");
            rig.feed(Input::Body);
        }),
        ("answered", |rig| {
            rig.set_body(br#"{"model":"same","messages":[]}"#);
            rig.feed(Input::Body);
            rig.connected(1);
            rig.answer(
                1,
                "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 2\n",
            );
            rig.body(1, "{}");
            rig.end(1);
        }),
        ("failed", |rig| {
            rig.set_body(br#"{"model":"same","messages":[]}"#);
            rig.feed(Input::Body);
            rig.failed(1, UpstreamFault::Connect);
        }),
        ("crashed", |rig| {
            rig.set_body(br#"{"model":"same","messages":[]}"#);
            rig.feed(Input::Body);
            rig.panic();
        }),
    ];
    for (name, end) in ends {
        let mut rig = bounded(1);
        assert_eq!(comes(&mut rig, CHAT, "normal", ""), [Did::ReadBody]);
        end(&mut rig);
        assert_eq!(rig.exchange.deadline(), None, "{name}: it is over");
        let mut next = beside(&mut rig);
        assert_eq!(comes(&mut next, CHAT, "normal", ""), [Did::ReadBody], "{name}");
        let mut last = beside(&mut next);
        assert_eq!(
            reply(&comes(&mut last, CHAT, "normal", "")).0,
            503,
            "{name}: one place, not two"
        );
    }
}

#[test]
fn a_shard_that_is_behind_refuses_a_share_and_tells_of_it() {
    let mut rig = bounded(1_000_000);
    for _ in 0..20 {
        rig.now = rig.now.plus_ms(200);
        assert_eq!(rig.local.pressure.turned(rig.now, 200 * MS), None);
    }
    let mut refused = |key: &str| {
        let refused = |rig: &mut Rig| comes(rig, CHAT, key, "").contains(&Did::End);
        (0..200)
            .filter(|_| {
                // All of one turn: the loop has not slept.
                rig.local.pressure.turned(rig.now, 200 * MS);
                let next = beside(&mut rig);
                rig = next;
                refused(&mut rig)
            })
            .count()
    };
    assert_eq!(refused("high"), 0);
    let (normal, low) = (refused("normal"), refused("low"));
    assert!(
        (150..190).contains(&normal) && low > normal,
        "{normal} and {low} of 200"
    );
    rig.now = rig.now.plus_ms(10_000);
    assert_eq!(
        rig.local.pressure.turned(rig.now, MS),
        Some(Shed::Ended((normal + low) as u64))
    );
    assert!(
        !comes(&mut rig, CHAT, "low", "").contains(&Did::End),
        "it has slept since"
    );
}
