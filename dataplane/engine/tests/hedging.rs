//! A second target that is asked as well: who wins, what is given up, what it may cost, and how often it may happen.

mod rig;

use rig::{Did, Rig, dialled, document, header, price_list, reply, sent};
use tollgate_config::{
    Document,
    document::{Hedge, HedgeAfter, Limit, LimitMode, Model, Period, Retry, Target, Unit, Window},
    prices::{Class, ServiceTier},
};
use tollgate_engine::{
    Input,
    exchange::{Pinned, UpstreamFault},
    limits::report,
    outputs::AttemptId,
    record::{AttemptOutcome, HedgeOutcome},
};

const CHAT: &str = r#"{"model":"gpt","messages":[{"role":"user","content":"hi there"}]}"#;
const ANSWER: &str = r#"{"id":"x","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":4}}"#;
const AFTER_MS: u64 = 100;

/// The rig's document, whose model `gpt` asks `two` when `one` takes a while.
fn with(change: impl FnOnce(&mut Model)) -> Document {
    let mut document = document();
    let model = &mut document.models[0].1;
    model.retry = Retry::default();
    model.hedge = Some(Hedge {
        after: HedgeAfter::Delay { ms: AFTER_MS },
        max_extra_percent: 100,
    });
    change(model);
    document
}

fn hedged() -> Document {
    with(|_| {})
}

fn head(status: u16, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\ncontent-type: application/json\ncontent-length: {length}\n")
}

/// Both targets were asked, and neither has answered.
fn both_asked(document: Document) -> Rig {
    let mut rig = Rig::new(document);
    assert_eq!(dialled(&rig.chat(CHAT))[0].0, "one");
    rig.connected(1);
    let began = rig.now;
    assert_eq!(dialled(&rig.expire())[0].0, "two");
    assert_eq!(rig.now.ns_since(began), AFTER_MS * 1_000_000);
    rig.connected(2);
    rig
}

/// The answer of an attempt, whole; what was done on its head alone, and the reply.
fn answered(rig: &mut Rig, attempt: u16) -> (Vec<Did>, (u16, String, String)) {
    let first = rig.answer(attempt, &head(200, ANSWER));
    let mut all = first.clone();
    all.extend(rig.body(attempt, ANSWER));
    all.extend(rig.end(attempt));
    assert_eq!(all.last(), Some(&Did::End));
    (first, reply(&all))
}

fn log(rig: &Rig) -> Vec<(usize, AttemptOutcome)> {
    rig.exchange.attempts().collect()
}

fn outcome(rig: &Rig) -> Option<HedgeOutcome> {
    rig.exchange.record().hedge.map(|hedge| hedge.outcome)
}

#[test]
fn the_second_answers_first_and_the_first_is_given_up_at_once() {
    let mut document = hedged();
    let price = (ServiceTier::Standard, Class::Input, 1_000_000);
    document.providers[0].1.prices = price_list(&[price]);
    let mut rig = both_asked(document);
    let (first, (status, lines, body)) = answered(&mut rig, 2);
    assert_eq!(first[0], Did::Abandon { attempt: 1 });
    assert_eq!((status, body.as_str()), (200, ANSWER));
    assert_eq!(header(&lines, "x-tollgate-provider"), Some("two"));
    assert_eq!(header(&lines, "x-tollgate-model"), Some("gpt-spare"));
    assert_eq!(header(&lines, "x-tollgate-attempts"), Some("2"));
    assert_eq!(log(&rig), [(0, AttemptOutcome::HedgeLost), (1, AttemptOutcome::Ok)]);
    // What comes of the first all the same means nothing.
    assert_eq!(rig.answer(1, &head(200, ANSWER)), []);
    let record = rig.exchange.record();
    assert_eq!(record.provider, Some((1, "two")));
    let hedge = record.hedge.expect("it was hedged");
    assert_eq!(hedge.outcome, HedgeOutcome::Won);
    let lost = hedge.lost.expect("the first had its request");
    assert_eq!((lost.provider, lost.input_tokens), ((0, "one"), Some(10)));
    assert_eq!(lost.cost.map(|cost| cost.usd.0), Some(10_000_000));
}

#[test]
fn what_the_loser_read_counts_against_the_callers_limits() {
    let mut document = hedged();
    let price = (ServiceTier::Standard, Class::Input, 1_000_000);
    for (_, provider) in &mut document.providers {
        provider.prices = price_list(&[price]);
    }
    let monthly = |unit| Limit {
        unit,
        amount: 1_000_000_000,
        window: Window::Calendar(Period::Month),
        mode: LimitMode::Enforce,
        hard: false,
        cut: false,
        thresholds: Default::default(),
    };
    document.keys[0].1.limits = [Unit::Tokens, Unit::Budget, Unit::Requests].map(monthly).to_vec();
    let mut rig = both_asked(document);
    answered(&mut rig, 2);
    let Pinned { snapshot, keys } = &*rig.pinned;
    let all = report(
        (snapshot, keys),
        &rig.local.limits.balances,
        rig::NOW_UNIX_MS,
        |_, _| true,
    );
    let used: Vec<u64> = all.iter().map(|report| report.level.used).collect();
    // Ten tokens twice and the answer's four; ten micro-dollars twice; and one request.
    assert_eq!(used, [24, 20_000, 1]);
}

#[test]
fn the_first_answers_after_all() {
    let mut rig = both_asked(hedged());
    let (first, (_, lines, _)) = answered(&mut rig, 1);
    assert_eq!(first[0], Did::Abandon { attempt: 2 });
    assert_eq!(header(&lines, "x-tollgate-provider"), Some("one"));
    assert_eq!(log(&rig), [(1, AttemptOutcome::HedgeLost), (0, AttemptOutcome::Ok)]);
    assert_eq!(outcome(&rig), Some(HedgeOutcome::Lost));
    assert_eq!(rig.exchange.record().upstream_model, Some("gpt-real"));
}

#[test]
fn who_never_got_the_request_has_nothing_to_bill() {
    let mut rig = Rig::new(hedged());
    rig.chat(CHAT);
    rig.connected(1);
    rig.expire();
    // The second has no connection yet.
    answered(&mut rig, 1);
    let hedge = rig.exchange.record().hedge.expect("it was hedged");
    assert!(hedge.lost.is_none());
}

#[test]
fn each_of_two_dialects_is_asked_and_read_in_its_own_words() {
    let claude = |model: &mut Model| {
        model.targets[1] = Target {
            provider: "claude".into(),
            model: "claude-sonnet".into(),
            ..Target::default()
        };
    };
    const SAID: &str = r#"{"id":"m","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","usage":{"input_tokens":9,"output_tokens":2}}"#;
    for second_wins in [true, false] {
        let mut rig = Rig::new(with(claude));
        rig.chat(CHAT);
        let (_, to_one) = sent(&rig.connected(1));
        assert_eq!(to_one, CHAT.replace("\"gpt\"", "\"gpt-real\""));
        assert_eq!(dialled(&rig.expire())[0].0, "claude");
        let (head_to_claude, to_claude) = sent(&rig.connected(2));
        assert!(head_to_claude.starts_with("POST /v1/messages "), "{head_to_claude}");
        assert!(to_claude.contains("\"max_tokens\""), "{to_claude}");
        let (attempt, said) = if second_wins { (2, SAID) } else { (1, ANSWER) };
        let mut all = rig.answer(attempt, &head(200, said));
        all.extend(rig.body(attempt, said));
        all.extend(rig.end(attempt));
        let (status, _, body) = reply(&all);
        assert_eq!(status, 200);
        match second_wins {
            true => assert!(
                body.contains("\"content\":\"hello\"") && body.contains("chat.completion"),
                "{body}"
            ),
            false => assert_eq!(body, ANSWER),
        }
        let input = rig.exchange.record().usage.and_then(|usage| usage.input);
        assert_eq!(input, Some(if second_wins { 9 } else { 10 }));
    }
}

#[test]
fn when_one_fails_the_other_is_waited_for() {
    type Fails = fn(&mut Rig, u16) -> Vec<Did>;
    let ways: [(Fails, AttemptOutcome); 3] = [
        (
            |rig, attempt| rig.failed(attempt, UpstreamFault::Connect),
            AttemptOutcome::Connect,
        ),
        (
            |rig, attempt| rig.answer(attempt, &head(503, "")),
            AttemptOutcome::Status,
        ),
        (
            |rig, attempt| rig.answer(attempt, &head(429, "")),
            AttemptOutcome::Status,
        ),
    ];
    for (fails, how) in ways {
        for (fallen, stands) in [(1, 2), (2, 1)] {
            let mut rig = both_asked(hedged());
            let did = fails(&mut rig, fallen);
            assert!(
                dialled(&did).is_empty() && !did.iter().any(|did| matches!(did, Did::Head { .. })),
                "{did:?}"
            );
            let (_, (status, lines, _)) = answered(&mut rig, stands);
            let (name, place) = if stands == 1 { ("one", 0) } else { ("two", 1) };
            assert_eq!((status, header(&lines, "x-tollgate-provider")), (200, Some(name)));
            assert_eq!(log(&rig), [(1 - place, how), (place, AttemptOutcome::Ok)]);
            let outcomes = [HedgeOutcome::Lost, HedgeOutcome::Won];
            assert_eq!(outcome(&rig), Some(outcomes[place]));
        }
    }
}

#[test]
fn retries_go_on_when_both_failed() {
    let mut rig = both_asked(hedged());
    assert_eq!(rig.answer(1, &head(503, "")), [Did::Abandon { attempt: 1 }]);
    assert_eq!(rig.answer(2, &head(503, "")), [Did::Abandon { attempt: 2 }]);
    let did = rig.expire();
    assert_eq!(dialled(&did).len(), 1, "a third try after a while: {did:?}");
    // Which is not hedged again.
    rig.connected(3);
    let (_, (status, lines, _)) = answered(&mut rig, 3);
    assert_eq!((status, header(&lines, "x-tollgate-attempts")), (200, Some("3")));
}

#[test]
fn the_clients_see_the_last_failure_when_nothing_is_left() {
    let mut rig = both_asked(with(|model| model.retry.attempts = 1));
    rig.failed(1, UpstreamFault::Connect);
    let did = rig.answer(2, &head(503, ""));
    assert_eq!(reply(&did).0, 503);
    rig.end(2);
    assert_eq!(outcome(&rig), Some(HedgeOutcome::Won), "it answered, if with an error");
    let mut rig = both_asked(with(|model| model.retry.attempts = 1));
    rig.failed(1, UpstreamFault::Connect);
    assert_eq!(reply(&rig.failed(2, UpstreamFault::Connect)).0, 502);
    assert_eq!(outcome(&rig), Some(HedgeOutcome::Failed));
}

#[test]
fn an_error_that_is_not_tried_again_is_an_answer() {
    let mut rig = both_asked(hedged());
    let did = rig.answer(2, &head(400, "{}"));
    assert_eq!(did[0], Did::Abandon { attempt: 1 });
    assert_eq!(reply(&did).0, 400);
}

#[test]
fn a_client_that_leaves_takes_both_along() {
    let mut rig = both_asked(hedged());
    let did = rig.feed(Input::ClientGone);
    for attempt in [1, 2] {
        assert!(did.contains(&Did::Abandon { attempt }), "{did:?}");
    }
    let mut log = log(&rig);
    log.sort_by_key(|(provider, _)| *provider);
    assert_eq!(log, [(0, AttemptOutcome::Cancelled), (1, AttemptOutcome::Cancelled)]);
    assert_eq!(rig.exchange.record().status, 499);
}

#[test]
fn the_clients_own_time_ends_both() {
    let mut rig = Rig::new(hedged());
    let asks =
        "POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\nx-tollgate-timeout: 300ms\n";
    rig.request(asks, CHAT.as_bytes());
    rig.connected(1);
    rig.expire();
    rig.connected(2);
    let did = rig.expire();
    assert_eq!(reply(&did).0, 504);
    for attempt in [1, 2] {
        assert!(did.contains(&Did::Abandon { attempt }), "{did:?}");
    }
}

#[test]
fn one_that_took_too_long_leaves_the_other_alone() {
    let mut document = hedged();
    document.providers[0].1.timeouts.first_byte_ms = 150;
    let mut rig = both_asked(document);
    assert_eq!(rig.expire(), [Did::Abandon { attempt: 1 }]);
    let (_, (_, lines, _)) = answered(&mut rig, 2);
    assert_eq!(header(&lines, "x-tollgate-provider"), Some("two"));
    assert_eq!(log(&rig)[0], (0, AttemptOutcome::Timeout));
}

#[test]
fn each_has_its_own_time_to_the_first_token() {
    let mut document = hedged();
    document.providers[0].1.timeouts.tokens.first_token_ms = Some(150);
    let mut rig = Rig::new(document);
    rig.chat(&CHAT.replacen('{', "{\"stream\":true,", 1));
    rig.connected(1);
    let began = rig.now;
    rig.expire();
    rig.connected(2);
    assert_eq!(rig.expire(), [Did::Abandon { attempt: 1 }]);
    assert_eq!(rig.now.ns_since(began), 150_000_000);
    assert_eq!(log(&rig), [(0, AttemptOutcome::Timeout)]);
    let stream = "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n";
    rig.answer(2, stream);
    let said = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
    assert_eq!(reply(&rig.body(2, said)).0, 200);
    assert_eq!(outcome(&rig), Some(HedgeOutcome::Won));
}

#[test]
fn a_kept_connection_that_was_closed_is_made_anew_for_either() {
    let mut rig = both_asked(hedged());
    let did = rig.failed(2, UpstreamFault::Closed { reused: true });
    assert_eq!(dialled(&did)[0].0, "two");
    rig.feed(Input::Connected(AttemptId(3)));
    let (first, (_, lines, _)) = answered(&mut rig, 3);
    assert_eq!(first[0], Did::Abandon { attempt: 1 });
    assert_eq!(header(&lines, "x-tollgate-provider"), Some("two"));
}

#[test]
fn who_is_ill_is_not_asked_second() {
    let mut rig = Rig::new(with(|model| model.breaker.failures = 1));
    // `two` fails once, which is enough.
    rig.chat(CHAT);
    rig.failed(1, UpstreamFault::Connect);
    rig.failed(2, UpstreamFault::Connect);
    let mut rig = {
        let mut next = Rig::sharing(rig.pinned.clone());
        next.local = std::mem::take(&mut rig.local);
        next
    };
    rig.chat(CHAT);
    rig.connected(1);
    let did = rig.expire();
    assert!(dialled(&did).is_empty(), "{did:?}");
    assert_eq!(outcome(&rig), None);
}

#[test]
fn a_storm_is_not_asked_twice() {
    let mut rig = Rig::new(with(|model| {
        model.hedge = Some(Hedge {
            after: HedgeAfter::Delay { ms: AFTER_MS },
            max_extra_percent: 7,
        });
    }));
    let (mut second, mut over) = (0, 0);
    for calls in 1..=1_000 {
        rig.chat(CHAT);
        rig.connected(1);
        let did = rig.expire();
        second += dialled(&did).len();
        over += usize::from(outcome(&rig) == Some(HedgeOutcome::OverBudget));
        answered(&mut rig, 1);
        assert!(second * 100 <= calls * 7, "{second} of {calls}");
    }
    assert_eq!((second, over), (70, 930));
}

#[test]
fn what_answers_usually_take_is_learned() {
    let learned = || {
        with(|model| {
            model.hedge = Some(Hedge {
                after: HedgeAfter::Quantile { percent: 95 },
                max_extra_percent: 100,
            });
        })
    };
    let mut rig = Rig::new(learned());
    let wait_ms = |rig: &mut Rig| {
        rig.chat(CHAT);
        rig.connected(1);
        let until = rig.exchange.deadline().expect("an answer is waited for");
        until.ns_since(rig.now) / 1_000_000
    };
    for call in 0..40 {
        let wait_ms = wait_ms(&mut rig);
        if call < 10 {
            assert_eq!(wait_ms, 60_000, "nothing is known yet");
        }
        rig.now = rig.now.plus_ms(20);
        answered(&mut rig, 1);
    }
    let known_ms = wait_ms(&mut rig);
    assert!((15..=25).contains(&known_ms), "{known_ms}");
    answered(&mut rig, 1);
    // The second wins again and again within a millisecond: neither seems quicker than it is.
    for _ in 0..20 {
        wait_ms(&mut rig);
        rig.expire();
        rig.connected(2);
        rig.now = rig.now.plus_ms(1);
        answered(&mut rig, 2);
    }
    let after_ms = wait_ms(&mut rig);
    assert!(
        (known_ms..=40).contains(&after_ms),
        "{known_ms} ms before, {after_ms} ms after"
    );
}
