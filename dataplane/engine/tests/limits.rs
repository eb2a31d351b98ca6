//! Limits as a client meets them: what is admitted, what a refusal says in each dialect, and what is settled however a call
//! ends.

mod rig;

use std::{rc::Rc, sync::Arc};

use rig::{Did, NOW_UNIX_MS, Rig, document, header, price_list, reply, six};
use tollgate_config::{
    Document,
    document::{Dialect, Limit, LimitMode, Period, Team, Unit, Window},
    prices::{Class, ServiceTier},
};
use tollgate_engine::{
    Input,
    exchange::UpstreamFault,
    limits::{Balances, LocalLimits, Report, report},
};

const BODY: &str = r#"{"model":"same","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}"#;
const ANSWER: &str = r#"{"id":"x","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":4}}"#;

fn limit(unit: Unit, amount: u64, window: Window) -> Limit {
    Limit::new(unit, amount, window)
}

fn per_minute(unit: Unit, amount: u64) -> Limit {
    let window = Window::Refill {
        per_ms: 60_000,
        burst: amount,
    };
    limit(unit, amount, window)
}

fn per_month(unit: Unit, amount: u64) -> Limit {
    limit(unit, amount, Window::Calendar(Period::Month))
}

fn of_key(limits: &[Limit]) -> Document {
    let mut document = document();
    document.keys[0].1.limits = limits.to_vec();
    document
}

fn json_head(length: usize) -> String {
    format!("HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {length}\n")
}

/// A further call on the same node.
fn next(rig: &Rig) -> Rig {
    let mut other = Rig::sharing(Rc::clone(&rig.pinned));
    other.local.limits = LocalLimits::new(Arc::clone(&rig.local.limits.balances));
    other
}

/// A whole call that is answered.
fn answered(rig: &mut Rig) -> String {
    rig.chat(BODY);
    rig.connected(1);
    let mut did = rig.answer(1, &json_head(ANSWER.len()));
    did.extend(rig.body(1, ANSWER));
    assert!(rig.end(1).contains(&Did::Settle));
    reply(&did).1
}

fn used(rig: &Rig) -> Vec<(String, u64)> {
    let all = report(
        (&rig.pinned.snapshot, &rig.pinned.keys),
        &rig.local.limits.balances,
        NOW_UNIX_MS,
        |_, _| true,
    );
    let row = |told: Report| {
        (
            format!("{} {}", told.scope.name(), told.limit.unit.name()),
            told.level.used,
        )
    };
    all.into_iter().map(row).collect()
}

#[test]
fn as_many_as_the_limit_says_and_not_one_more() {
    let mut rig = Rig::new(of_key(&[per_minute(Unit::Requests, 3)]));
    for left in ["2", "1", "0"] {
        let lines = answered(&mut rig);
        assert_eq!(header(&lines, "x-ratelimit-limit-requests"), Some("3"));
        assert_eq!(header(&lines, "x-ratelimit-remaining-requests"), Some(left));
        rig = next(&rig);
    }
    let did = rig.chat(BODY);
    let (status, lines, body) = reply(&did);
    assert_eq!(status, 429, "{body}");
    assert!(
        body.contains("rate_limit_exceeded") && body.contains("The key 'all' may use 3 requests per 1m0s"),
        "{body}"
    );
    assert_eq!(header(&lines, "retry-after"), Some("20"));
    assert_eq!(header(&lines, "retry-after-ms"), Some("20000"));
    assert_eq!(header(&lines, "x-should-retry"), None);
    assert_eq!(header(&lines, "x-ratelimit-reset-requests"), Some("1m0s"));
    assert_eq!(used(&rig), [("key requests".to_owned(), 3)], "a refusal uses nothing");
}

#[test]
fn what_is_refused_by_one_limit_is_taken_from_none() {
    let mut document = of_key(&[per_minute(Unit::Requests, 100)]);
    document.teams = vec![(
        "research".into(),
        Team {
            limits: vec![per_month(Unit::Tokens, 75)],
            ..Team::default()
        },
    )];
    document.organization = vec![per_minute(Unit::Concurrent, 9)];
    document.organization[0].window = Window::None;
    let mut rig = Rig::new(document);
    answered(&mut rig);
    let after = [
        ("organization concurrent".to_owned(), 0),
        ("team tokens".to_owned(), 14),
        ("key requests".to_owned(), 1),
    ];
    assert_eq!(used(&rig), after);
    // 19 of input and 50 of output are expected, and 61 are left.
    let mut refused = next(&rig);
    let (status, lines, body) = reply(&refused.chat(BODY));
    assert_eq!(status, 429);
    assert!(
        body.contains("insufficient_quota") && body.contains("The team 'research' may use 75 tokens per month"),
        "{body}"
    );
    assert_eq!(header(&lines, "x-should-retry"), Some("false"));
    assert!(header(&lines, "retry-after").is_some());
    assert_eq!(used(&rig), after);
}

#[test]
fn what_was_used_replaces_what_was_reserved_however_a_call_ends() {
    let limits = [
        per_minute(Unit::Requests, 100),
        per_month(Unit::InputTokens, 1_000),
        per_month(Unit::OutputTokens, 1_000),
        limit(Unit::Concurrent, 5, Window::None),
    ];
    let reserved = [1, 19, 50, 1];
    let counts = |rig: &Rig| used(rig).into_iter().map(|(_, used)| used).collect::<Vec<_>>();
    let called = || {
        let mut rig = Rig::new(of_key(&limits));
        rig.chat(BODY);
        rig.connected(1);
        assert_eq!(counts(&rig), reserved);
        rig
    };
    let mut whole = called();
    whole.answer(1, &json_head(ANSWER.len()));
    whole.body(1, ANSWER);
    whole.end(1);
    assert_eq!(counts(&whole), [1, 10, 4, 0]);

    let mut failed = called();
    failed.answer(
        1,
        "HTTP/1.1 400 Bad Request\ncontent-type: application/json\ncontent-length: 2\n",
    );
    failed.body(1, "{}");
    failed.end(1);
    assert_eq!(counts(&failed), [1, 0, 0, 0], "what failed is not paid");

    let mut down = called();
    down.failed(1, UpstreamFault::Connect);
    assert_eq!(counts(&down), [1, 0, 0, 0]);

    let mut left = called();
    left.feed(Input::ClientGone);
    assert_eq!(
        counts(&left),
        [1, 8, 0, 0],
        "the provider has read the prompt, counted as its record has it"
    );
    let recorded = left.exchange.record();
    assert_eq!(recorded.usage.and_then(|usage| usage.input), Some(8));
    assert!(recorded.estimated);

    let mut broken = called();
    broken.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n",
    );
    broken.body(1, "data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}\n\n");
    broken.failed(1, UpstreamFault::Cut);
    let after = counts(&broken);
    assert_eq!((after[0], after[3]), (1, 0));
    assert!(after[1] > 0 && after[2] > 0, "a part of an answer was used: {after:?}");
}

#[test]
fn a_call_that_never_went_up_is_no_request() {
    let mut document = of_key(&[per_minute(Unit::Requests, 5)]);
    document.models[1].1.targets[0].when.teams = vec!["nobody".into()];
    let mut rig = Rig::new(document);
    let (status, ..) = reply(&rig.chat(BODY));
    assert_eq!(status, 403);
    assert_eq!(used(&rig)[0].1, 0);
}

#[test]
fn money_is_reserved_at_the_dearest_target_and_settled_at_the_one_that_answered() {
    let mut document = of_key(&[per_month(Unit::Budget, 1_000_000)]);
    let price = |picos| {
        price_list(&[
            (ServiceTier::Standard, Class::Input, picos),
            (ServiceTier::Standard, Class::Output, 5 * picos),
        ])
    };
    // A dollar a million tokens is a million pico-dollars a token.
    document.providers[0].1.prices = price(1_000_000);
    document.providers[1].1.prices = price(2_000_000);
    let mut rig = Rig::new(document);
    let body = BODY.replace("same", "gpt");
    rig.chat(&body);
    let input = body.len().div_ceil(4) as u64;
    assert_eq!(used(&rig)[0].1, 2_000 * (input + 5 * 50));
    rig.connected(1);
    rig.answer(1, &json_head(ANSWER.len()));
    rig.body(1, ANSWER);
    rig.end(1);
    assert_eq!(used(&rig)[0].1, 1_000 * (10 + 5 * 4));
    // What is left does not suffice for an answer of a million tokens.
    let mut refused = next(&rig);
    let (status, _, body) = reply(&refused.chat(&body.replace("50", "1000000")));
    assert_eq!(status, 429);
    assert!(body.contains("0.001000000 USD per month"), "{body}");
}

#[test]
fn a_shadow_counts_and_refuses_nobody() {
    let watched = Limit {
        mode: LimitMode::Shadow,
        ..per_minute(Unit::Requests, 1)
    };
    let mut rig = Rig::new(of_key(&[watched]));
    for _ in 0..3 {
        let lines = answered(&mut rig);
        assert_eq!(
            header(&lines, "x-ratelimit-limit-requests"),
            None,
            "no client has to keep it"
        );
        rig = next(&rig);
    }
    assert_eq!(used(&rig), [("key requests".to_owned(), 3)]);
}

#[test]
fn calls_under_way_are_counted_by_the_model_they_ask_for() {
    let mut document = document();
    document.models[1].1.limits = vec![limit(Unit::Concurrent, 1, Window::None)];
    let mut first = Rig::new(document);
    first.chat(BODY);
    let mut second = next(&first);
    let (status, lines, body) = reply(&second.chat(BODY));
    assert_eq!(status, 429);
    assert!(body.contains("The model 'same' may use 1 calls at once"), "{body}");
    assert_eq!(header(&lines, "retry-after"), Some("1"));
    let mut elsewhere = next(&first);
    assert!(!elsewhere.chat(&BODY.replace("same", "gpt")).is_empty());
    first.feed(Input::ClientGone);
    let mut third = next(&first);
    assert!(matches!(third.chat(BODY)[..], [Did::Dial { .. }]));
}

#[test]
fn a_call_larger_than_its_limit_is_told_so() {
    let mut rig = Rig::new(of_key(&[per_minute(Unit::Tokens, 40)]));
    let (status, lines, body) = reply(&rig.chat(BODY));
    assert_eq!(status, 429);
    assert!(body.contains("this call is larger than that"), "{body}");
    assert_eq!(header(&lines, "x-should-retry"), Some("false"));
    assert_eq!(header(&lines, "retry-after"), None);
}

#[test]
fn a_full_table_refuses_rather_than_grant_what_it_cannot_count() {
    let mut rig = Rig::new(of_key(&[per_minute(Unit::Requests, 5), per_minute(Unit::Tokens, 500)]));
    rig.local.limits = LocalLimits::new(Arc::new(Balances::in_memory(1)));
    assert_eq!(reply(&rig.chat(BODY)).0, 429);
}

#[test]
fn each_dialect_says_it_in_its_own_words() {
    let mut document = six();
    document.keys[0].1.limits = vec![per_month(Unit::Requests, 1)];
    let balances = Arc::new(Balances::in_memory(64));
    let calls = [
        (
            Dialect::OpenAi,
            "/v1/chat/completions",
            r#"{"model":"openai","messages":[]}"#,
            "insufficient_quota",
        ),
        (
            Dialect::OpenAiResponses,
            "/v1/responses",
            r#"{"model":"openai-responses","input":"x"}"#,
            "insufficient_quota",
        ),
        (
            Dialect::Anthropic,
            "/v1/messages",
            r#"{"model":"anthropic","max_tokens":9,"messages":[]}"#,
            "rate_limit_error",
        ),
        (
            Dialect::Gemini,
            "/v1beta/models/gemini:generateContent",
            r#"{"contents":[]}"#,
            "RESOURCE_EXHAUSTED",
        ),
        (
            Dialect::Cohere,
            "/v2/chat",
            r#"{"model":"cohere","messages":[]}"#,
            "per month",
        ),
        (
            Dialect::Bedrock,
            "/model/bedrock/converse",
            r#"{"messages":[]}"#,
            "per month",
        ),
    ];
    let mut rig = Rig::new(document);
    rig.local.limits = LocalLimits::new(Arc::clone(&balances));
    rig.chat(r#"{"model":"openai","messages":[]}"#);
    for (dialect, path, body, says) in calls {
        let mut rig = next(&rig);
        let head = format!(
            "POST {path} HTTP/1.1\nhost: gate\nauthorization: Bearer secret-all\ncontent-type: application/json\n"
        );
        let (status, lines, body) = reply(&rig.request(&head, body.as_bytes()));
        assert_eq!(status, 429, "{dialect:?}: {body}");
        assert!(body.contains(says), "{dialect:?}: {body}");
        assert_eq!(header(&lines, "x-should-retry"), Some("false"), "{dialect:?}");
    }
}
