//! Which target a call goes to, when it is tried again, and when a target is left alone: through whole exchanges.

mod rig;

use rig::{Did, Rig, dialled, document, header, price_list, reply};
use tollgate_config::{
    Document,
    document::{Breaker, Conditions, Retry, Sticky, Strategy, Tier},
    prices::{Class, PriceList, ServiceTier},
};
use tollgate_engine::{
    exchange::UpstreamFault,
    explain::{Asked, explain},
    record::AttemptOutcome,
};

const CHAT: &str = r#"{"model":"gpt","messages":[{"role":"user","content":"hi"}]}"#;
const FINE: &str = "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 2\n";
const CLOSED: UpstreamFault = UpstreamFault::Closed { reused: false };

/// The rig's document with its model `gpt` changed: targets `one` and `two`.
fn with(change: impl FnOnce(&mut tollgate_config::document::Model)) -> Document {
    let mut document = document();
    document.models[0].1.retry = Retry::default();
    change(&mut document.models[0].1);
    document
}

fn strategy(strategy: Strategy) -> Document {
    with(|model| {
        model.tiers = vec![Tier {
            strategy,
            targets: 2,
            ..Tier::default()
        }];
    })
}

fn first(rig: &mut Rig) -> String {
    let did = rig.chat(CHAT);
    let dialled = dialled(&did);
    assert_eq!(dialled.len(), 1, "{did:?}");
    dialled[0].0.clone()
}

/// A whole call that is answered well; who answered, after `ms` milliseconds.
fn answered_after(rig: &mut Rig, ms: impl Fn(&str) -> u64) -> String {
    let provider = first(rig);
    rig.connected(1);
    rig.now = rig.now.plus_ms(ms(&provider));
    rig.answer(1, FINE);
    rig.body(1, "{}");
    rig.end(1);
    provider
}

fn answered(rig: &mut Rig) -> String {
    answered_after(rig, |_| 1)
}

/// A call whose every attempt is refused a connection; who was asked, in order.
fn refused(rig: &mut Rig) -> Vec<String> {
    let mut asked = Vec::new();
    let mut did = rig.chat(CHAT);
    for attempt in 1.. {
        if let Some((provider, _)) = dialled(&did).first() {
            asked.push(provider.clone());
        } else {
            assert!(did.contains(&Did::Settle), "{did:?}");
            return asked;
        }
        did = rig.failed(attempt, UpstreamFault::Connect);
        if did.is_empty() {
            did = rig.expire();
        }
    }
    unreachable!("attempts are bounded")
}

#[test]
fn weights_are_shares() {
    let mut document = strategy(Strategy::Weighted);
    document.models[0].1.targets[0].weight = 3;
    let mut rig = Rig::new(document);
    let ones = (0..4_000).filter(|_| answered(&mut rig) == "one").count();
    // Three standard deviations of a share of three quarters: 82.
    assert!((2_918..=3_082).contains(&ones), "{ones} of 4000");
}

#[test]
fn a_weight_of_zero_is_the_last_resort() {
    let mut document = strategy(Strategy::Weighted);
    document.models[0].1.targets[0].weight = 0;
    let mut rig = Rig::new(document);
    assert!((0..100).all(|_| answered(&mut rig) == "two"));
    first(&mut rig);
    assert_eq!(dialled(&rig.failed(1, UpstreamFault::Connect))[0].0, "one");
}

#[test]
fn what_sticks_stays_and_little_moves() {
    let sticky = |targets: usize| {
        let mut document = with(|model| {
            let target = model.targets[0].clone();
            model.targets = (0..targets)
                .map(|number| tollgate_config::document::Target {
                    model: format!("m{number}"),
                    ..target.clone()
                })
                .collect();
            model.tiers = vec![Tier {
                strategy: Strategy::Weighted,
                sticky: Some(Sticky::Header("x-session".into())),
                targets,
                ..Tier::default()
            }];
        });
        document.max_body_bytes = 1024;
        Rig::new(document)
    };
    let chosen = |rig: &mut Rig, session: usize| {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\nx-session: s{session}\n"
        );
        rig.request(&head, CHAT.as_bytes());
        rig.exchange.record().upstream_model.map(str::to_owned)
    };
    const SESSIONS: usize = 2_000;
    for targets in [2, 3, 5, 10, 19] {
        let (mut before, mut after) = (sticky(targets), sticky(targets + 1));
        let mut moved = 0;
        for session in 0..SESSIONS {
            let at = chosen(&mut before, session);
            assert_eq!(chosen(&mut before, session), at, "the same target each time");
            moved += usize::from(chosen(&mut after, session) != at);
        }
        // So many have to, to the one that came; no more than that and five percent of all.
        let ideal = SESSIONS / (targets + 1);
        assert!(
            moved <= ideal + SESSIONS / 20,
            "{moved} of {SESSIONS} moved from {targets} targets"
        );
    }
}

#[test]
fn the_quicker_target_gets_the_calls() {
    let mut rig = Rig::new(strategy(Strategy::LeastLatency));
    let calls = 500;
    let slow = (0..calls)
        .filter(|_| answered_after(&mut rig, |provider| if provider == "one" { 400 } else { 40 }) == "one")
        .count();
    assert!(slow * 100 <= calls * 2, "{slow} of {calls} went to the slow target");
    // It is looked at again: when it has become quick, the calls come back.
    let mut back = 0;
    for _ in 0..3_000 {
        back += usize::from(answered_after(&mut rig, |provider| if provider == "one" { 20 } else { 200 }) == "one");
    }
    assert!(back > 2_500, "{back} of 3000");
}

#[test]
fn a_target_that_refuses_quickly_is_not_quick() {
    let mut rig = Rig::new(strategy(Strategy::LeastLatency));
    let mut refused = 0;
    for _ in 0..200 {
        let mut provider = first(&mut rig);
        rig.connected(1);
        if provider == "one" {
            refused += 1;
            provider = dialled(&rig.answer(1, "HTTP/1.1 429 Slow\ncontent-length: 0\n"))[0]
                .0
                .clone();
            rig.connected(2);
        }
        assert_eq!(provider, "two");
        let attempt = if rig.exchange.record().attempts == 2 { 2 } else { 1 };
        rig.now = rig.now.plus_ms(50);
        rig.answer(attempt, FINE);
        rig.body(attempt, "{}");
        rig.end(attempt);
    }
    assert!(
        refused <= 3,
        "{refused} of 200 calls went to a target that answers none"
    );
}

#[test]
fn the_idler_target_gets_the_call() {
    let mut rig = Rig::new(strategy(Strategy::LeastBusy));
    let busy = first(&mut rig);
    // The first call goes on while the next begins: as on another connection of the same shard.
    let mut other = Rig::new(strategy(Strategy::LeastBusy));
    other.pinned = rig.pinned.clone();
    other.local = std::mem::take(&mut rig.local);
    for _ in 0..20 {
        assert_ne!(answered(&mut other), busy);
    }
}

#[test]
fn who_has_most_left_is_asked() {
    let mut rig = Rig::new(strategy(Strategy::Headroom));
    let provider = first(&mut rig);
    rig.connected(1);
    rig.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-length: 2\nx-ratelimit-limit-requests: 100\nx-ratelimit-remaining-requests: 5\n",
    );
    rig.body(1, "{}");
    rig.end(1);
    for _ in 0..10 {
        assert_ne!(answered(&mut rig), provider);
    }
    rig.now = rig.now.plus_ms(61_000);
    let again = (0..40).filter(|_| answered(&mut rig) == provider).count();
    assert!(again > 5, "after a minute the limit is another one: {again} of 40");
}

#[test]
fn tiers_come_one_after_the_other() {
    let mut document = with(|model| {
        model.targets.push(tollgate_config::document::Target {
            provider: "claude".into(),
            model: "c".into(),
            ..Default::default()
        });
        let tier = |strategy, targets| Tier {
            strategy,
            targets,
            ..Tier::default()
        };
        model.tiers = vec![tier(Strategy::Weighted, 2), tier(Strategy::Priority, 1)];
        model.retry.attempts = 3;
    });
    document.models[0].1.retry.budget_percent = 10;
    let mut rig = Rig::new(document);
    let mut seen = [0; 2];
    for _ in 0..200 {
        let answered = answered(&mut rig);
        let place = ["one", "two"].iter().position(|name| *name == answered);
        seen[place.expect("the first tier is well")] += 1;
    }
    assert!(seen[0] > 50 && seen[1] > 50, "{seen:?}");
    assert_eq!(refused(&mut rig).last().map(String::as_str), Some("claude"));
}

#[test]
fn conditions_decide_who_may_be_asked() {
    let document = with(|model| {
        model.targets[0].when = Conditions {
            tags: vec![("app".into(), "batch".into())],
            ..Conditions::default()
        };
        model.targets[1].when = Conditions {
            headers: vec![("x-region".into(), "eu".into())],
            max_body_bytes: Some(100),
            ..Conditions::default()
        };
    });
    let mut rig = Rig::new(document);
    let mut ask = |more: &str, body: &str| {
        let head = format!("POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n{more}");
        rig.request(&head, body.as_bytes())
    };
    assert_eq!(dialled(&ask("x-tollgate-tags: a=b,app=batch\n", CHAT))[0].0, "one");
    assert_eq!(dialled(&ask("X-Region: eu\n", CHAT))[0].0, "two");
    let (status, _, said) = reply(&ask("", CHAT));
    assert_eq!(status, 403);
    assert!(said.contains("'gpt'") && said.contains("`when`"), "{said}");
    let long = format!(r#"{{"model":"gpt","messages":["{}"]}}"#, "x".repeat(100));
    assert_eq!(reply(&ask("x-region: eu\n", &long)).0, 403);
}

#[test]
fn a_dead_target_is_left_alone_and_probed() {
    let mut rig = Rig::new(with(|_| {}));
    let breaker = Breaker::default();
    for _ in 0..breaker.failures {
        assert_eq!(first(&mut rig), "one");
        assert_eq!(dialled(&rig.failed(1, UpstreamFault::Connect))[0].0, "two");
        rig.connected(2);
        rig.answer(2, FINE);
        rig.body(2, "{}");
        rig.end(2);
    }
    for _ in 0..50 {
        assert_eq!(answered(&mut rig), "two", "nobody waits for a dead target");
    }
    rig.now = rig.now.plus_ms(breaker.cooldown_ms);
    assert_eq!(first(&mut rig), "one", "one call finds out");
    assert_eq!(
        dialled(&rig.failed(1, UpstreamFault::Connect))[0].0,
        "two",
        "and is not sacrificed"
    );
    assert_eq!(answered(&mut rig), "two");
    rig.now = rig.now.plus_ms(2 * breaker.cooldown_ms);
    assert_eq!(answered(&mut rig), "one");
    // Slowly it gets its share back.
    let early = (0..100).filter(|_| answered(&mut rig) == "one").count();
    assert!(early < 60, "{early} of 100");
    rig.now = rig.now.plus_ms(breaker.slow_start_ms);
    assert!((0..100).all(|_| answered(&mut rig) == "one"));
}

#[test]
fn when_all_are_dead_the_last_one_is_asked_all_the_same() {
    let mut rig = Rig::new(with(|_| {}));
    for _ in 0..20 {
        refused(&mut rig);
    }
    // Half of two may be left alone: the other is asked, once.
    let calls = 1_000;
    let mut asked = 0;
    for _ in 0..calls {
        rig.now = rig.now.plus_ms(2);
        asked += refused(&mut rig).len();
    }
    assert!(asked >= calls, "every call is tried");
    assert!(
        asked * 100 <= calls * 110,
        "{asked} attempts for {calls} calls: more than a tenth was added"
    );
}

#[test]
fn the_only_target_is_tried_again_after_a_while() {
    let mut document = document();
    document.models[1].1.retry = Retry::default();
    let mut rig = Rig::new(document);
    let chat = r#"{"model":"same","messages":[]}"#;
    rig.chat(chat);
    rig.connected(1);
    let did = rig.answer(1, "HTTP/1.1 503 Busy\ncontent-length: 0\nretry-after: 2\n");
    assert_eq!(did, [Did::Abandon { attempt: 1 }]);
    let began = rig.now;
    assert_eq!(dialled(&rig.expire())[0].0, "one");
    assert!(
        rig.now.ns_since(began) >= 2_000_000_000,
        "as long as the provider asked"
    );
    rig.connected(2);
    rig.answer(2, FINE);
    rig.body(2, "{}");
    rig.end(2);
    assert_eq!((rig.exchange.record().status, rig.exchange.record().attempts), (200, 2));
}

#[test]
fn the_wait_is_bounded_by_max_wait_and_by_the_client() {
    for (retry_after, timeout, waits) in [
        ("9", "", true),
        ("11", "", false),
        ("9", "x-tollgate-timeout: 5s\n", false),
    ] {
        let mut document = document();
        document.models[1].1.retry = Retry::default();
        let mut rig = Rig::new(document);
        let head = format!("POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n{timeout}");
        rig.request(&head, br#"{"model":"same","messages":[]}"#);
        rig.connected(1);
        let answer = format!("HTTP/1.1 429 Slow\ncontent-length: 0\nretry-after: {retry_after}\n");
        let did = rig.answer(1, &answer);
        assert_eq!(
            did == [Did::Abandon { attempt: 1 }],
            waits,
            "{retry_after} {timeout}: {did:?}"
        );
    }
}

#[test]
fn another_credential_takes_the_place_of_one_that_is_refused() {
    let mut document = document();
    document.providers[0].1.credentials.push(rig::env("KEY_more"));
    document.models[1].1.retry = Retry::default();
    let mut rig = Rig::new(document);
    let sent_with = |did: &[Did]| header(&rig::sent(did).0, "authorization").map(str::to_owned);
    let chat = r#"{"model":"same","messages":[]}"#;
    for status in ["401 No", "429 Slow"] {
        rig.chat(chat);
        let first = sent_with(&rig.connected(1));
        let did = rig.answer(1, &format!("HTTP/1.1 {status}\ncontent-length: 0\n"));
        assert_eq!(dialled(&did).len(), 1, "at once: {did:?}");
        let second = sent_with(&rig.connected(2));
        assert_ne!(first, second);
        rig.answer(2, FINE);
        rig.body(2, "{}");
        rig.end(2);
        // Until it has rested nobody goes up with it.
        for _ in 0..4 {
            rig.chat(chat);
            assert_eq!(sent_with(&rig.connected(1)), second);
            rig.answer(1, FINE);
            rig.body(1, "{}");
            rig.end(1);
        }
        rig.now = rig.now.plus_ms(60_000);
    }
}

#[test]
fn a_longer_model_takes_over_a_prompt_that_does_not_fit() {
    let document = with(|model| model.on_context_overflow = Some("sonnet".into()));
    let mut rig = Rig::new(document);
    first(&mut rig);
    rig.connected(1);
    let said = r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","code":"context_length_exceeded"}}"#;
    let head = format!(
        "HTTP/1.1 400 Bad\ncontent-type: application/json\ncontent-length: {}\n",
        said.len()
    );
    assert_eq!(rig.answer(1, &head), []);
    assert_eq!(rig.body(1, said), []);
    assert_eq!(dialled(&rig.end(1))[0].0, "claude");
    assert_eq!(rig.exchange.record().model.map(|(_, name)| name), Some("sonnet"));
    assert_eq!(rig.exchange.record().model_asked, Some("gpt"));

    // Any other error passes as it came.
    let said = r#"{"error":{"message":"no such tool"}}"#;
    first(&mut rig);
    rig.connected(1);
    assert_eq!(rig.answer(1, &head), []);
    let mut did = rig.body(1, said);
    did.extend(rig.end(1));
    let (status, _, body) = reply(&did);
    assert_eq!((status, body.as_str()), (400, said));
    let attempts: Vec<_> = rig.exchange.attempts().collect();
    assert_eq!(attempts, [(0, AttemptOutcome::Status)]);
    // One that breaks off is a failure like any other.
    first(&mut rig);
    rig.connected(1);
    rig.answer(1, &head);
    assert_eq!(dialled(&rig.failed(1, CLOSED))[0].0, "two");
}

/// USD for a million tokens of input, cached input and output.
fn costs(input: u64, cached: u64, output: u64) -> PriceList {
    let price = |class, dollars| (ServiceTier::Standard, class, dollars * 1_000_000);
    price_list(&[
        price(Class::Input, input),
        price(Class::CacheRead, cached),
        price(Class::Output, output),
    ])
}

/// A call with a prompt of so many bytes that begins alike each time, answered with so many tokens; who answered.
fn asked(rig: &mut Rig, prompt_bytes: usize, tokens: u64) -> String {
    let prompt = "a shared beginning, ".repeat(prompt_bytes / 20);
    let did = rig.chat(&format!(
        r#"{{"model":"gpt","messages":[{{"role":"user","content":"{prompt}"}}]}}"#
    ));
    let provider = dialled(&did)[0].0.clone();
    rig.connected(1);
    let body = format!(r#"{{"usage":{{"prompt_tokens":9,"completion_tokens":{tokens}}}}}"#);
    let head = format!(
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
        body.len()
    );
    rig.answer(1, &head);
    rig.body(1, &body);
    rig.end(1);
    provider
}

#[test]
fn the_cheapest_for_this_very_call_is_asked() {
    // The first is cheap to ask and dear to hear, the second the other way round.
    let mut document = strategy(Strategy::LowestCost);
    document.providers[0].1.prices = costs(1, 1, 40);
    document.providers[1].1.prices = costs(8, 8, 4);
    let mut rig = Rig::new(document);
    // 300 tokens of answer are expected at first: 12,000 against 1,200 millionths.
    assert_eq!(asked(&mut rig, 400, 10), "two");
    for _ in 0..60 {
        asked(&mut rig, 400, 10);
    }
    // It has learned that answers are short: 100 tokens in and 10 out are 500 against 840.
    assert_eq!(asked(&mut rig, 400, 10), "one");
    // A call says itself how long its answer may be.
    let bounded = r#"{"model":"gpt","max_tokens":1,"messages":[{"role":"user","content":"a few words"}]}"#;
    assert_eq!(dialled(&rig.chat(bounded))[0].0, "one");
}

#[test]
fn whoever_has_the_prompt_in_its_cache_is_cheaper() {
    let mut document = strategy(Strategy::LowestCost);
    document.providers[0].1.prices = costs(10, 1, 10);
    document.providers[1].1.prices = costs(9, 1, 10);
    let mut rig = Rig::new(document.clone());
    assert_eq!(asked(&mut rig, 20_000, 5), "two");
    // The first got one while the second was ill; now it is worth more than the second's lower price.
    let mut rig = Rig::new(document);
    rig.chat(&format!(
        r#"{{"model":"gpt","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "a shared beginning, ".repeat(1_000)
    ));
    assert_eq!(dialled(&rig.failed(1, UpstreamFault::Connect))[0].0, "one");
    rig.connected(2);
    rig.answer(2, FINE);
    rig.body(2, "{}");
    rig.end(2);
    assert_eq!(asked(&mut rig, 20_000, 5), "one");
    rig.now = rig.now.plus_ms(600_000);
    assert_eq!(asked(&mut rig, 20_000, 5), "two", "caches are not kept for ever");
}

#[test]
fn lowest_cost_needs_prices() {
    let document = strategy(Strategy::LowestCost);
    let problems = tollgate_engine::snapshot::compile(1, document.clone(), &rig::secrets(&document)).expect_err("none");
    assert_eq!(problems.len(), 2);
    assert_eq!(problems[0].pointer, "/models/gpt/targets/0");
    assert!(problems[0].wrong.contains("needs a price"), "{problems:?}");
}

#[test]
fn a_model_that_is_known_to_lack_something_is_not_asked_for_it() {
    let mut document = with(|model| {
        model.targets[0].like = Some("gpt-3.5-turbo".into());
        model.targets[1].like = Some("gpt-4o".into());
    });
    for (_, provider) in &mut document.providers {
        provider.prices = PriceList::of_section(Some("openai"));
    }
    let mut rig = Rig::new(document);
    assert_eq!(first(&mut rig), "one");
    let picture = r#"{"model":"gpt","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]}"#;
    assert_eq!(dialled(&rig.chat(picture))[0].0, "two");
    let long = format!(
        r#"{{"model":"gpt","messages":[{{"role":"user","content":"{}"}}]}}"#,
        "word ".repeat(40_000)
    );
    assert_eq!(dialled(&rig.chat(&long))[0].0, "two", "its context is too small");
}

#[test]
fn an_explanation_runs_the_stages_and_dials_nobody() {
    let rig = Rig::new(strategy(Strategy::Weighted));
    let ask = |key: &str, path: &str, body: &str| {
        let asked = Asked {
            key,
            path,
            body: body.as_bytes(),
            headers: "",
            limits: &[],
        };
        explain(&rig.pinned, &asked, rig::NOW_UNIX_MS)
    };
    let told = ask("all", "/v1/chat/completions", CHAT).expect("a call of a model");
    let route = told.last().expect("route");
    assert_eq!((route.stage, route.candidates.len()), ("route", 2));
    assert_eq!(route.candidates.iter().filter(|candidate| candidate.chosen).count(), 1);
    assert!(
        route.candidates.iter().all(|candidate| candidate.why.contains("lot")),
        "{route:?}"
    );
    // The other dialects' paths as well.
    assert!(
        ask(
            "all",
            "/v1beta/models/gpt:generateContent",
            r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#
        )
        .is_ok()
    );
    for (key, path, body, stage) in [
        (
            "few",
            "/v1/chat/completions",
            r#"{"model":"sonnet","messages":[]}"#,
            "authorize",
        ),
        ("all", "/v1/chat/completions", r#"{"messages":[]}"#, "admit"),
        ("all", "/v1/nowhere", "{}", "match"),
    ] {
        let told = ask(key, path, body).expect("stages");
        let last = told.last().expect("a stage");
        assert_eq!(last.stage, stage, "{told:?}");
        assert!(last.decision.starts_with("refused with 4"), "{last:?}");
    }
    for (key, path) in [
        ("all", "/v1/files"),
        ("all", "/providers/one/x"),
        ("nobody", "/v1/chat/completions"),
        ("all", "no path"),
    ] {
        assert!(ask(key, path, CHAT).is_err(), "{key} {path}");
    }
}
