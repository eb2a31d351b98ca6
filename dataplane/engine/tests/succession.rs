//! Models that take over from the one that was asked for, or are known late: their limits, and what the answers used that
//! nobody got.

mod rig;

use std::{rc::Rc, sync::Arc};

use rig::{
    Did, NOW_UNIX_MS, Rig, dialled, header, key, price_list, reply,
    streams::{self, ask, feed, two},
};
use tollgate_config::{
    Document,
    document::{Dialect, Grant, Granted, Limit, LimitMode, Overload, Unit, Window},
    prices::{Class, ServiceTier},
};
use tollgate_engine::{
    Input,
    exchange::UpstreamFault,
    limits::{LocalLimits, Report, report},
};

const JSON: &str = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n";
const REFUSAL: &str = r#"{"id":"a","choices":[{"index":0,"message":{"content":"No"},"finish_reason":"content_filter"}],"usage":{"prompt_tokens":100,"completion_tokens":20}}"#;
const SILENT_REFUSAL: &str =
    r#"{"id":"a","choices":[{"index":0,"message":{"content":"No"},"finish_reason":"content_filter"}]}"#;
const ANSWER: &str = r#"{"id":"b","choices":[{"index":0,"message":{"content":"Yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":4}}"#;
const TOO_LONG: &str = r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#;

fn limit(unit: Unit, amount: u64) -> Limit {
    Limit {
        unit,
        amount,
        window: match unit {
            Unit::Concurrent => Window::None,
            _ => Window::Refill {
                per_ms: 60_000,
                burst: amount,
            },
        },
        mode: LimitMode::Enforce,
        hard: false,
        cut: false,
        thresholds: Default::default(),
    }
}

/// `m` at `one`, from which `other`, at `two`, takes over; a token in is a millionth of a dollar, out or in.
fn succeeding(of_other: &[Limit]) -> Document {
    let mut document = two(Dialect::OpenAi, |model| {
        model.targets.truncate(1);
        model.on_refusal = Some("other".to_owned());
        model.on_context_overflow = Some("other".to_owned());
        model.limits = [Unit::Requests, Unit::Tokens, Unit::Concurrent]
            .map(|unit| limit(unit, 1_000))
            .to_vec();
    });
    let price = |class| (ServiceTier::Standard, class, 1_000_000);
    for (_, provider) in &mut document.providers {
        provider.prices = price_list(&[price(Class::Input), price(Class::Output)]);
    }
    document.models.push(rig::model("other", &[("two", "real-model")]));
    document.models[1].1.limits = of_other.to_vec();
    document.keys[0].1.limits = vec![limit(Unit::Tokens, 100_000), limit(Unit::Budget, 1_000_000_000)];
    document
}

fn used(rig: &Rig) -> Vec<(String, u64)> {
    let (snapshot, keys) = (&rig.pinned.snapshot, &rig.pinned.keys);
    let all = report((snapshot, keys), &rig.local.limits.balances, NOW_UNIX_MS, |_, _| true);
    let row = |told: Report| (format!("{} {}", told.name, told.limit.unit.name()), told.level.used);
    all.into_iter().map(row).collect()
}

fn use_of(rig: &Rig, names: &[&str]) -> Vec<u64> {
    let all = used(rig);
    let one = |name: &&str| {
        all.iter()
            .find(|(known, _)| known == name)
            .unwrap_or_else(|| panic!("{name} in {all:?}"))
            .1
    };
    names.iter().map(one).collect()
}

fn next(rig: &Rig) -> Rig {
    let mut other = Rig::sharing(Rc::clone(&rig.pinned));
    other.local.limits = LocalLimits::new(Arc::clone(&rig.local.limits.balances));
    other
}

/// A whole answer to an attempt.
fn answered(rig: &mut Rig, attempt: u16, head: &str, body: &str) -> Vec<Did> {
    rig.connected(attempt);
    let mut did = rig.answer(attempt, head);
    did.extend(feed(rig, attempt, body.as_bytes()).0);
    did.extend(rig.end(attempt));
    did
}

const ALL: [&str; 8] = [
    "m requests",
    "m tokens",
    "m concurrent",
    "other requests",
    "other tokens",
    "other concurrent",
    "all tokens",
    "all budget",
];

#[test]
fn each_model_is_charged_what_was_used_of_it_and_the_caller_all() {
    let of_other = [Unit::Requests, Unit::Tokens, Unit::Concurrent].map(|unit| limit(unit, 1_000));
    let mut rig = Rig::new(succeeding(&of_other));
    ask(&mut rig, Dialect::OpenAi, false);
    let did = answered(&mut rig, 1, JSON, REFUSAL);
    assert_eq!(dialled(&did), [("two".to_owned(), false)]);
    let [requests, tokens, busy, .., other_busy, _, _] = use_of(&rig, &ALL)[..] else {
        panic!("eight")
    };
    assert_eq!(
        (requests, tokens, busy, other_busy),
        (1, 120, 0, 1),
        "the second is under way"
    );
    let did = answered(&mut rig, 2, JSON, ANSWER);
    let (status, lines, body) = reply(&did);
    assert_eq!((status, body.as_str()), (200, ANSWER));
    // 134 tokens, a millionth of a dollar each.
    assert_eq!(header(&lines, "x-tollgate-cost-usd"), Some("0.000134000"));
    assert_eq!(use_of(&rig, &ALL), [1, 120, 0, 1, 14, 0, 134, 134_000]);
    let record = rig.exchange.record();
    let usage = record.usage.unwrap_or_default();
    assert_eq!(
        (usage.all_input(), usage.all_output(), record.estimated),
        (110, 24, false)
    );
    assert_eq!(record.cost.map(|cost| cost.usd.to_nanos().0), Some(134_000));
}

#[test]
fn a_refusal_that_says_nothing_of_its_use_is_estimated() {
    let mut rig = Rig::new(succeeding(&[]));
    ask(&mut rig, Dialect::OpenAi, false);
    answered(&mut rig, 1, JSON, SILENT_REFUSAL);
    answered(&mut rig, 2, JSON, ANSWER);
    let record = rig.exchange.record();
    let usage = record.usage.unwrap_or_default();
    assert!(usage.all_input() > 10 && usage.all_output() == 4, "{usage:?}");
    assert!(record.estimated);
    let paid = use_of(&rig, &["m tokens", "all tokens"]);
    assert_eq!(paid, [usage.all_input() - 10, usage.all_input() + 4]);
}

#[test]
fn a_stream_that_refuses_is_paid_too() {
    let mut rig = Rig::new(succeeding(&[]));
    ask(&mut rig, Dialect::OpenAi, true);
    rig.connected(1);
    rig.answer(1, &streams::head(Dialect::OpenAi));
    let chunk = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"content_filter\"}],\
                 \"usage\":{\"prompt_tokens\":100,\"completion_tokens\":7}}\n\n";
    let (did, _) = feed(&mut rig, 1, chunk.as_bytes());
    assert_eq!(dialled(&did), [("two".to_owned(), false)]);
    rig.connected(2);
    rig.answer(2, &streams::head(Dialect::OpenAi));
    feed(
        &mut rig,
        2,
        &streams::written(Dialect::OpenAi, &streams::saying("b", &["Yes"])).concat(),
    );
    rig.end(2);
    let record = rig.exchange.record();
    let usage = record.usage.unwrap_or_default();
    assert_eq!((usage.all_input(), usage.all_output()), (109, 8));
    assert_eq!(
        record.resumed, 0,
        "another model's answer is no stream that was gone on with"
    );
}

#[test]
fn a_model_whose_limits_refuse_does_not_take_over() {
    for (body, status, refusal) in [
        (REFUSAL, 200, JSON.to_owned()),
        (TOO_LONG, 400, JSON.replace("200 OK", "400 No")),
    ] {
        let mut rig = Rig::new(succeeding(&[limit(Unit::Concurrent, 1)]));
        let other = r#"{"model":"other","messages":[]}"#;
        rig.chat(other);
        let mut second = next(&rig);
        ask(&mut second, Dialect::OpenAi, false);
        let did = answered(&mut second, 1, &refusal, body);
        assert_eq!(
            (reply(&did).0, reply(&did).2.as_str()),
            (status, body),
            "the answer is what there is"
        );
        assert_eq!(
            use_of(&second, &["m requests", "m concurrent", "other concurrent"]),
            [1, 0, 1]
        );
        rig.feed(Input::ClientGone);
        let mut third = next(&rig);
        ask(&mut third, Dialect::OpenAi, false);
        let did = answered(&mut third, 1, &refusal, body);
        assert_eq!(dialled(&did), [("two".to_owned(), false)], "once there is room it does");
    }
}

/// A form that is longer than is held, and names its model behind its file.
fn upload(rig: &mut Rig, name: &str, name_comes: Comes) -> Vec<Did> {
    let head = "POST /v1/audio/transcriptions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\ncontent-type: \
                multipart/form-data; boundary=xYz\ncontent-length: 3000000\n";
    let file = "--xYz\r\nContent-Disposition: form-data; name=file\r\n\r\n".to_owned() + &"x".repeat(1_100_000);
    rig.begin(head, file.as_bytes());
    rig.feed(Input::Head);
    assert_eq!(dialled(&rig.feed(Input::BodyPart)).len(), 1);
    let model = format!("\r\n--xYz\r\nContent-Disposition: form-data; name=model\r\n\r\n{name}\r\n--xYz--\r\n");
    if name_comes == Comes::BeforeItIsSent {
        rig.set_body((file + &model).as_bytes());
        return rig.connected(1);
    }
    rig.connected(1);
    rig.feed(Input::BodyPassing(model.as_bytes()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    BeforeItIsSent,
    Behind,
}

fn forms(of_model: &[Limit]) -> Document {
    let mut document = succeeding(&[]);
    document.providers.truncate(1);
    document.models.truncate(1);
    let model = &mut document.models[0].1;
    (model.on_refusal, model.on_context_overflow) = (None, None);
    model.limits = of_model.to_vec();
    document.keys = vec![key("all", &[])];
    document.max_upload_bytes = 8 * 1024 * 1024;
    document
}

#[test]
fn a_model_that_is_named_behind_the_file_is_limited_like_any_other() {
    let mut first = Rig::new(forms(&[limit(Unit::Concurrent, 1), limit(Unit::Requests, 100)]));
    let did = upload(&mut first, "m", Comes::Behind);
    assert!(matches!(did[..], [Did::PassUp { .. }]), "{did:?}");
    assert_eq!(use_of(&first, &["m concurrent", "m requests"]), [1, 1]);
    for comes in [Comes::Behind, Comes::BeforeItIsSent] {
        let mut second = next(&first);
        let did = upload(&mut second, "m", comes);
        assert_eq!(
            did[0],
            Did::Abandon { attempt: 1 },
            "the provider never sees the end of it"
        );
        let (status, _, body) = reply(&did);
        assert_eq!(status, 429, "{comes:?}");
        assert!(body.contains("The model 'm' may use 1 calls at once"), "{body}");
    }
    assert_eq!(use_of(&first, &["m concurrent", "m requests"]), [1, 1]);
    first.feed(Input::BodyPassed);
    first.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 2\n",
    );
    first.body(1, "{}");
    first.end(1);
    assert_eq!(use_of(&first, &["m concurrent", "m requests"]), [0, 1]);
}

#[test]
fn a_model_that_is_named_late_is_as_busy_as_its_calls() {
    let mut document = forms(&[]);
    document.models[0].1.overload = Some(Overload {
        min: 1,
        max: 1,
        queue: 1,
        max_queue_wait_ms: 1_000,
    });
    let mut rig = Rig::new(document);
    upload(&mut rig, "m", Comes::Behind);
    let mut second = Rig::sharing(Rc::clone(&rig.pinned));
    std::mem::swap(&mut rig.local, &mut second.local);
    second.exchange.set_name(3);
    assert_eq!(ask(&mut second, Dialect::OpenAi, false), [], "it waits");
    std::mem::swap(&mut rig.local, &mut second.local);
    let did = rig.failed(1, UpstreamFault::Cut);
    assert!(did.contains(&Did::Turn(3)), "{did:?}");
}

#[test]
fn what_a_broken_stream_used_is_not_granted_again() {
    let mut document = two(Dialect::OpenAi, |model| model.streams.resume = true);
    document.providers[0].1.grants = vec![Grant {
        of: Granted::Tokens,
        most: 1_000,
        per_ms: 60_000,
    }];
    let mut rig = Rig::new(document);
    ask(&mut rig, Dialect::OpenAi, true);
    rig.connected(1);
    rig.answer(1, &streams::head(Dialect::OpenAi));
    let mut said = streams::saying("a", &["Once"]);
    said[1] = streams::usage(700, 1);
    let parts = streams::written(Dialect::OpenAi, &said);
    feed(&mut rig, 1, &parts[..4].concat());
    // OpenAI says what was used behind the answer; this one does before.
    feed(
        &mut rig,
        1,
        b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":700,\"completion_tokens\":200}}\n\n",
    );
    assert_eq!(dialled(&rig.failed(1, UpstreamFault::Cut)), [("two".to_owned(), false)]);
    rig.connected(2);
    rig.answer(2, &streams::head(Dialect::OpenAi));
    let rest = streams::written(Dialect::OpenAi, &streams::saying("b", &[" upon"])).concat();
    feed(&mut rig, 2, &rest);
    rig.end(2);
    // Of a thousand tokens nine hundred are used: a call that expects more goes elsewhere.
    let mut next = Rig::sharing(Rc::clone(&rig.pinned));
    next.local = std::mem::take(&mut rig.local);
    let body = r#"{"model":"m","max_tokens":200,"messages":[]}"#;
    assert_eq!(dialled(&next.chat(body)), [("two".to_owned(), false)]);
}
