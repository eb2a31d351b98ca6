//! Limits that hold (`hard`), that end streams (`cut`), that tell (`thresholds`), and those of tags, providers and keys of the
//! API.

mod rig;

use std::{rc::Rc, sync::Arc};

use rig::{
    Did, NOW_UNIX_MS, Rig, dialled, document, price_list, reply, secrets, sent, six,
    streams::{self, ask, feed, read, saying, two, written},
};
use tollgate_config::{
    Document,
    document::{Dialect, Limit, Period, Thresholds, Unit, Window},
    link::StoredKey,
    prices::{Class, ServiceTier},
};
use tollgate_dialect::canonical::event::Reason;
use tollgate_engine::{
    exchange::Pinned,
    identity::KeyTable,
    limits::{LocalLimits, Notice, Report, Scope, report, report_tag},
};

const MONTH: Window = Window::Calendar(Period::Month);

fn hard(unit: Unit, amount: u64) -> Limit {
    Limit {
        hard: true,
        ..Limit::new(unit, amount, MONTH)
    }
}

fn cut(unit: Unit, amount: u64) -> Limit {
    Limit {
        cut: true,
        ..Limit::new(unit, amount, MONTH)
    }
}

fn of_key(mut document: Document, limits: &[Limit]) -> Document {
    document.keys[0].1.limits = limits.to_vec();
    document
}

/// A further call on the same node.
fn next(rig: &Rig) -> Rig {
    let mut other = Rig::sharing(Rc::clone(&rig.pinned));
    other.local.limits = LocalLimits::new(Arc::clone(&rig.local.limits.balances));
    other
}

fn reports(rig: &Rig) -> Vec<Report> {
    let all = (&*rig.pinned.snapshot, &*rig.pinned.keys);
    report(all, &rig.local.limits.balances, NOW_UNIX_MS, |_, _| true)
}

/// Used and debt of the first limit.
fn used(rig: &Rig) -> (u64, u64) {
    let level = reports(rig)[0].level;
    (level.used, level.debt())
}

fn post(rig: &mut Rig, path: &str, body: &str) -> Vec<Did> {
    let head =
        format!("POST {path} HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\ncontent-type: application/json\n");
    rig.request(&head, body.as_bytes())
}

/// Each dialect's call, with its cap where one is given; Anthropic's has none without.
fn calls(cap: Option<u64>) -> Vec<(Dialect, &'static str, String)> {
    let required = cap.unwrap_or(900_000);
    let cap = |before: &str, after: &str| cap.map_or(String::new(), |cap| format!("{before}{cap}{after}"));
    let turns = r#""messages":[{"role":"user","content":"Hi there"}]"#;
    vec![
        (
            Dialect::OpenAi,
            "/v1/chat/completions",
            format!(r#"{{"model":"openai",{turns}{}}}"#, cap(r#","max_tokens":"#, "")),
        ),
        (
            Dialect::OpenAiResponses,
            "/v1/responses",
            format!(
                r#"{{"model":"openai-responses","input":"Hi"{}}}"#,
                cap(r#","max_output_tokens":"#, "")
            ),
        ),
        (
            Dialect::Anthropic,
            "/v1/messages",
            format!(r#"{{"model":"anthropic",{turns},"max_tokens":{required}}}"#),
        ),
        (
            Dialect::Gemini,
            "/v1beta/models/gemini:generateContent",
            format!(
                r#"{{"contents":[{{"role":"user","parts":[{{"text":"Hi"}}]}}]{}}}"#,
                cap(r#","generationConfig":{"maxOutputTokens":"#, "}")
            ),
        ),
        (
            Dialect::Cohere,
            "/v2/chat",
            format!(r#"{{"model":"cohere",{turns}{}}}"#, cap(r#","max_tokens":"#, "")),
        ),
        (
            Dialect::Bedrock,
            "/model/bedrock/converse",
            format!(
                r#"{{"messages":[{{"role":"user","content":[{{"text":"Hi"}}]}}]{}}}"#,
                cap(r#","inferenceConfig":{"maxTokens":"#, "}")
            ),
        ),
    ]
}

/// The cap that a body has, in any dialect's words.
fn cap_of(body: &str) -> Option<u64> {
    let at = [
        "max_tokens\":",
        "max_completion_tokens\":",
        "max_output_tokens\":",
        "maxOutputTokens\":",
        "maxTokens\":",
    ];
    let rest = at.iter().find_map(|name| Some(body.split_once(name)?.1))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[test]
fn a_hard_limit_caps_each_answer_at_what_is_left_in_every_dialect() {
    for (asked, left) in [(None, 1_000), (Some(900_000), 1_000), (Some(20), 1_000)] {
        for (dialect, path, body) in calls(asked) {
            let mut rig = Rig::new(of_key(six(), &[hard(Unit::Tokens, left)]));
            let did = post(&mut rig, path, &body);
            assert!(!dialled(&did).is_empty(), "{dialect:?}: {did:?}");
            let (_, up) = sent(&rig.connected(1));
            let cap = cap_of(&up).unwrap_or_else(|| panic!("{dialect:?}: no cap in {up}"));
            // Its bytes, and what a template adds.
            let input = body.len() as u64 + 64;
            match asked {
                Some(20) => {
                    assert_eq!(up.replace("real-model", dialect.name()), body, "{dialect:?}: untouched");
                    assert_eq!(used(&rig).0, input + 20, "{dialect:?}");
                }
                _ => {
                    assert_eq!(cap, left - input, "{dialect:?}: {up}");
                    assert_eq!(used(&rig).0, left, "{dialect:?}: all of it is reserved");
                }
            }
            // What is left does not suffice for the least of answers.
            let mut other = next(&rig);
            let refused = post(&mut other, path, &body.replace("20", "900000"));
            if asked != Some(20) {
                assert_eq!(reply(&refused).0, 429, "{dialect:?}");
                assert_eq!(used(&rig).0, left);
            }
        }
    }
}

#[test]
fn a_cap_goes_into_the_words_of_another_dialect_too() {
    for (client, path, body) in calls(None) {
        for target in Dialect::ALL.into_iter().filter(|target| *target != client) {
            let mut document = of_key(six(), &[hard(Unit::OutputTokens, 77)]);
            for (_, model) in &mut document.models {
                model.targets[0].provider = target.name().into();
            }
            let mut rig = Rig::new(document);
            let did = post(&mut rig, path, &body);
            assert!(!dialled(&did).is_empty(), "{client:?} to {target:?}: {did:?}");
            let (_, up) = sent(&rig.connected(1));
            assert_eq!(cap_of(&up), Some(77), "{client:?} to {target:?}: {up}");
        }
    }
}

const CHAT: &str = r#"{"model":"same","messages":[{"role":"user","content":"hi"}]}"#;

fn answered(rig: &mut Rig, usage: &str) {
    let answer = format!(r#"{{"id":"x","choices":[],"usage":{usage}}}"#);
    let head = format!(
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
        answer.len()
    );
    rig.answer(1, &head);
    rig.body(1, &answer);
    assert!(rig.end(1).contains(&Did::Settle));
}

#[test]
fn several_answers_share_what_is_left_and_too_little_is_refused() {
    let mut rig = Rig::new(of_key(document(), &[hard(Unit::OutputTokens, 250)]));
    rig.chat(&CHAT.replace("\"messages\"", "\"n\":3,\"max_tokens\":100,\"messages\""));
    let (_, up) = sent(&rig.connected(1));
    assert_eq!(cap_of(&up), Some(83), "{up}");
    assert_eq!(used(&rig).0, 249);
    answered(&mut rig, r#"{"prompt_tokens":10,"completion_tokens":240}"#);
    assert_eq!(used(&rig), (240, 0));
    let mut last = next(&rig);
    let (status, _, body) = reply(&last.chat(CHAT));
    assert_eq!(
        status, 429,
        "ten are left, and no answer is capped below sixteen: {body}"
    );
    // Who asks for less than that gets it.
    let mut short = next(&rig);
    short.chat(&CHAT.replace("\"messages\"", "\"max_tokens\":4,\"messages\""));
    assert!(sent(&short.connected(1)).1.contains("\"max_tokens\":4"));
}

#[test]
fn what_no_bound_foresaw_is_debt_that_refuses_the_next_call_and_is_told() {
    let mut rig = Rig::new(of_key(document(), &[hard(Unit::Tokens, 1_000)]));
    rig.chat(CHAT);
    rig.connected(1);
    answered(&mut rig, r#"{"prompt_tokens":5000,"completion_tokens":10}"#);
    assert_eq!(used(&rig), (5_010, 4_010));
    let told: Vec<Notice> = rig.out.crossed.iter().map(|crossed| crossed.notice).collect();
    let all = [50, 80, 95].map(Notice::Threshold).into_iter().chain([Notice::Debt]);
    assert_eq!(told, all.collect::<Vec<_>>());
    assert_eq!(reply(&next(&rig).chat(CHAT)).0, 429);
}

#[test]
fn a_hard_limit_refuses_what_nobody_can_bound_and_says_why() {
    let audio = CHAT.replace(
        "\"hi\"",
        r#"[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]"#,
    );
    let mut rig = Rig::new(of_key(document(), &[hard(Unit::Tokens, 100_000)]));
    let (status, _, body) = reply(&rig.chat(&audio));
    assert_eq!(status, 400, "{body}");
    assert!(
        body.contains("hard limit of the key 'all'") && body.contains("a sound"),
        "{body}"
    );
    assert_eq!(used(&rig).0, 0);
    let mut rig = Rig::new(of_key(six(), &[hard(Unit::Tokens, 100_000)]));
    let stored = r#"{"model":"openai-responses","input":"x","prompt":{"id":"pmpt_1"}}"#;
    let (status, _, body) = reply(&post(&mut rig, "/v1/responses", stored));
    assert!(matches!(status, 400 | 404), "{status}: {body}");
}

#[test]
fn hard_money_is_reserved_as_the_dearest_that_its_tokens_can_be() {
    let mut document = of_key(document(), &[hard(Unit::Budget, 1_000_000)]);
    let tier = ServiceTier::Standard;
    // Pico-dollars a token: what is written to a cache for an hour costs most of a prompt, and thoughts of an answer.
    document.providers[0].1.prices = price_list(&[
        (tier, Class::Input, 1_000_000),
        (tier, Class::CacheWrite1h, 2_000_000),
        (tier, Class::Output, 5_000_000),
        (tier, Class::Reasoning, 6_000_000),
    ]);
    let mut rig = Rig::new(document);
    rig.chat(CHAT);
    let (_, up) = sent(&rig.connected(1));
    let input = CHAT.len() as u64 + 64;
    let cap = (1_000_000 - input * 2_000) / 6_000;
    assert_eq!(cap_of(&up), Some(cap), "{up}");
    assert_eq!(used(&rig).0, input * 2_000 + cap * 6_000);
    answered(&mut rig, r#"{"prompt_tokens":20,"completion_tokens":100}"#);
    assert_eq!(used(&rig).0, 20 * 1_000 + 100 * 5_000);
}

const WORDS: [&str; 40] = ["word "; 40];

/// A stream of forty words under a limit of this key, until it ends; what the client got and what was done last.
fn streamed(rig: &mut Rig, client: Dialect, target: Dialect) -> (Vec<u8>, Vec<Did>) {
    let did = ask(rig, client, true);
    assert_eq!(dialled(&did).len(), 1, "{client:?}: {did:?}");
    rig.connected(1);
    rig.answer(1, &streams::head(target));
    let (mut down, mut last) = (Vec::new(), Vec::new());
    for bytes in written(target, &saying("x", &WORDS)) {
        let (did, more) = feed(rig, 1, &bytes);
        down.extend(more);
        last = did;
        if last.contains(&Did::Settle) {
            break;
        }
    }
    (down, last)
}

#[test]
fn a_stream_ends_at_the_token_where_the_limit_ends_in_every_dialect() {
    for client in Dialect::ALL {
        for target in Dialect::ALL {
            let document = of_key(two(target, |_| {}), &[cut(Unit::OutputTokens, 20)]);
            let mut rig = Rig::new(document);
            let (down, last) = streamed(&mut rig, client, target);
            let named = format!("{client:?} from {target:?}");
            assert!(
                last.contains(&Did::Settle) && last.contains(&Did::End),
                "{named}: {last:?}"
            );
            assert!(
                last.contains(&Did::Abandon { attempt: 1 }),
                "{named}: the provider is told to stop"
            );
            let heard = read(client, &down);
            assert!(
                heard.ended && heard.started == 1,
                "{named}: {}",
                String::from_utf8_lossy(&down)
            );
            assert_eq!(heard.answer.choices[0].reason, Some(Reason::Length), "{named}");
            let words = heard.text().split_whitespace().count();
            // As they are counted here, a word is a token, more or less.
            assert!((15..=25).contains(&words), "{named}: {words} words");
            let noted = String::from_utf8_lossy(&down).contains(": tollgate-cut");
            assert_eq!(noted, !matches!(client, Dialect::Gemini | Dialect::Bedrock), "{named}");
            let record = rig.exchange.record();
            assert_eq!(
                (record.rejected, record.estimated),
                (Some("cut_by_limit"), true),
                "{named}"
            );
            assert_eq!(used(&rig), (record.usage.expect("counted").all_output(), 0), "{named}");
            assert!(used(&rig).0 <= 20, "{named}");
        }
    }
}

#[test]
fn what_passes_before_the_cut_passes_untouched() {
    let mut rig = Rig::new(of_key(two(Dialect::OpenAi, |_| {}), &[cut(Unit::Tokens, 40)]));
    let (down, _) = streamed(&mut rig, Dialect::OpenAi, Dialect::OpenAi);
    let all: Vec<u8> = written(Dialect::OpenAi, &saying("x", &WORDS)).concat();
    let down = String::from_utf8_lossy(&down);
    let (before, after) = down.split_once(": tollgate-cut").expect("a note");
    assert!(String::from_utf8_lossy(&all).starts_with(before), "{before}");
    assert!(
        after.contains("\"finish_reason\":\"length\"") && after.ends_with("data: [DONE]\n\n"),
        "{after}"
    );
}

#[test]
fn a_stream_within_its_limit_is_not_cut_and_gives_back_what_it_did_not_say() {
    let mut rig = Rig::new(of_key(two(Dialect::OpenAi, |_| {}), &[cut(Unit::OutputTokens, 5_000)]));
    let (down, _) = streamed(&mut rig, Dialect::OpenAi, Dialect::OpenAi);
    assert!(rig.end(1).contains(&Did::End) || rig.exchange.record().status == 200);
    assert_eq!(
        read(Dialect::OpenAi, &down).answer.choices[0].reason,
        Some(Reason::Stop)
    );
    assert_eq!(used(&rig).0, 40);
}

#[test]
fn two_streams_share_what_is_left_to_the_token() {
    let document = of_key(two(Dialect::Anthropic, |_| {}), &[cut(Unit::OutputTokens, 50)]);
    let mut first = Rig::new(document);
    let (_, last) = streamed(&mut first, Dialect::OpenAi, Dialect::Anthropic);
    assert!(!last.contains(&Did::Cut));
    let so_far = used(&first).0;
    assert!(so_far <= 50);
    let mut second = next(&first);
    let (_, last) = streamed(&mut second, Dialect::OpenAi, Dialect::Anthropic);
    assert!(last.contains(&Did::Settle), "{last:?}");
    assert!(used(&second).0 <= 50, "{:?}", used(&second));
}

#[test]
fn a_threshold_is_told_once_in_its_period() {
    let limit = Limit {
        thresholds: Thresholds::new(&[40, 100]).expect("they rise"),
        ..Limit::new(Unit::Requests, 5, MONTH)
    };
    let mut rig = Rig::new(of_key(document(), &[limit]));
    let mut told = Vec::new();
    for _ in 0..5 {
        rig.chat(CHAT);
        rig.connected(1);
        answered(&mut rig, r#"{"prompt_tokens":1,"completion_tokens":1}"#);
        told.push(rig.out.crossed.iter().map(|crossed| crossed.notice).collect::<Vec<_>>());
        rig = next(&rig);
    }
    let none = Vec::new();
    assert_eq!(
        told,
        [
            none.clone(),
            vec![Notice::Threshold(40)],
            none.clone(),
            none,
            vec![Notice::Threshold(100)]
        ]
    );
}

#[test]
fn each_value_of_a_tag_has_a_balance_of_its_own() {
    let mut document = document();
    document.tags = vec![("project".into(), vec![Limit::new(Unit::Requests, 2, MONTH)])];
    let mut rig = Rig::new(document);
    let call = |rig: &mut Rig, tags: &str| {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\nx-tollgate-tags: {tags}\n"
        );
        let did = rig.request(&head, CHAT.as_bytes());
        match did.iter().any(|did| matches!(did, Did::Dial { .. })) {
            true => {
                rig.connected(1);
                answered(rig, r#"{"prompt_tokens":1,"completion_tokens":1}"#);
                200
            }
            false => {
                assert!(
                    reply(&did)
                        .2
                        .contains("The tag 'project=x' may use 2 requests per month"),
                    "{did:?}"
                );
                reply(&did).0
            }
        }
    };
    for (tags, status) in [
        ("project=x,run=1", 200),
        ("run=2, project=x", 200),
        ("project=x", 429),
        ("project=y", 200),
        ("run=3", 200),
    ] {
        assert_eq!(call(&mut rig, tags), status, "{tags}");
        rig = next(&rig);
    }
    let told = |tag| report_tag(&rig.pinned.snapshot, &rig.local.limits.balances, NOW_UNIX_MS, tag);
    let used = |tag| told(tag).first().map(|told| (told.scope, told.level.used));
    assert_eq!(
        (used("project=x"), used("project=y")),
        (Some((Scope::Tag, 2)), Some((Scope::Tag, 1)))
    );
    assert_eq!(
        (used("project=z").map(|(_, used)| used), used("team=z")),
        (Some(0), None)
    );
}

#[test]
fn a_target_whose_provider_has_nothing_left_is_passed_over() {
    let mut document = document();
    document.providers[0].1.limits = vec![Limit::new(Unit::Requests, 1, MONTH)];
    document.providers[1].1.limits = vec![Limit::new(Unit::Concurrent, 1, Window::None)];
    let body = CHAT.replace("same", "gpt");
    let mut first = Rig::new(document);
    assert_eq!(dialled(&first.chat(&body))[0].0, "one");
    let mut second = next(&first);
    assert_eq!(dialled(&second.chat(&body))[0].0, "two");
    let mut third = next(&first);
    let (status, _, text) = reply(&third.chat(&body));
    assert_eq!(status, 429, "{text}");
    assert!(
        text.contains("The provider 'one' may use 1 requests per month"),
        "{text}"
    );
    second.connected(1);
    answered(&mut second, r#"{"prompt_tokens":1,"completion_tokens":1}"#);
    let mut fourth = next(&first);
    assert_eq!(dialled(&fourth.chat(&body))[0].0, "two", "it has room again");
    let all = reports(&first);
    let of = |name: &str| {
        all.iter()
            .find(|told| told.name == name)
            .map(|told| (told.scope, told.level.used))
    };
    assert_eq!(
        (of("one"), of("two")),
        (Some((Scope::Provider, 1)), Some((Scope::Provider, 1)))
    );
}

#[test]
fn a_key_of_the_api_has_limits_that_may_change_and_what_was_used_stays() {
    let mut rig = Rig::new(document());
    // SHA-256 of `stored-secret`.
    const STORED: &str = "4117144f3e5063a8a887e58d55cb3a4a9ec5d2efd7113689b17ed776d9ae7982";
    let stored = |requests: u64| StoredKey {
        name: "ops".into(),
        sha256: STORED.into(),
        previous: None,
        team: None,
        user: None,
        models: Vec::new(),
        expires_unix_s: None,
        priority: None,
        limits: serde_json::json!([{ "requests": requests, "per": "month" }]).into(),
    };
    let base = KeyTable::build(&rig.pinned.snapshot.document, &secrets(&document()), &[stored(1)]).expect("keys");
    let pin = |rig: &mut Rig, keys: KeyTable| {
        let snapshot = rig.pinned.snapshot.clone();
        rig.pinned = Rc::new(Pinned {
            snapshot,
            keys: keys.into(),
        });
    };
    let call = |rig: &mut Rig| {
        let head = "POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer stored-secret\n";
        let did = rig.request(head, CHAT.as_bytes());
        !dialled(&did).is_empty()
    };
    pin(&mut rig, base.with_changes(&[], &[]));
    assert!(call(&mut rig) && !call(&mut next(&rig)));
    pin(&mut rig, base.with_changes(&[stored(2)], &[]));
    let mut more = next(&rig);
    assert!(call(&mut more) && !call(&mut next(&more)));
    let told = reports(&more);
    assert_eq!(
        (
            told.len(),
            told[0].name.as_str(),
            told[0].level.used,
            told[0].level.limit
        ),
        (1, "ops", 2, 2)
    );
    let wrong = StoredKey {
        limits: serde_json::json!([{ "requests": "many" }]).into(),
        ..stored(1)
    };
    let problems =
        KeyTable::build(&rig.pinned.snapshot.document, &secrets(&document()), &[wrong]).expect_err("no limit");
    assert_eq!(problems[0].pointer, "/keys/ops/limits/0/requests");
}
