//! Answers that are kept: what is looked up, what is kept, for whom, and what it costs.

mod rig;

use rig::{
    Rig, document, header,
    kept::{ANSWER, CHAT, OTHER, answer_with, answers, assert_hit, cached, call_as, is_miss, node, one, stats},
    key, model, reply,
    streams::{ask, feed, two, whole},
};
use tollgate_config::{
    document::{CacheScope, Dialect, ExactCache, Limit, OnFull, Period, Unit, Window},
    link::Purge,
};
use tollgate_engine::{Input, exact::Filter};

const REFUSED: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":"no"},"finish_reason":"stop"}]}"#;
const TOOLS: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;

#[test]
fn a_call_that_comes_again_on_any_shard_gets_the_answer_it_had() {
    let mut node = node(cached(document(), |_| {}), 2);
    let [first, second] = &mut node[..] else { panic!() };
    assert!(is_miss(&first.chat(CHAT)));
    let (_, lines, said) = reply(&answer_with(first, 200, ANSWER));
    assert_eq!((header(&lines, "x-tollgate-cache"), &*said), (Some("miss"), ANSWER));
    assert_eq!(first.exchange.record().cache, Some("miss"));
    let again = r#"{ "messages":[{"content":"\u0068i","role":"user"}], "user":"u", "model":"same" }"#;
    for body in [CHAT, again] {
        let did = second.chat(body);
        assert_hit(second, &did, ANSWER);
    }
    assert!(is_miss(&second.chat(OTHER)));
    let stats = stats(first);
    assert_eq!((stats.hits, stats.misses, stats.stored, stats.entries), (2, 2, 1, 1));
    assert_eq!(stats.saved_tokens, 14);
    second.now = second.now.plus_ms(5_000);
    let (_, lines, _) = reply(&first.chat(CHAT));
    assert_eq!(header(&lines, "age"), Some("0"));
}

#[test]
fn an_answer_is_kept_for_its_time_and_tells_its_age() {
    let mut rig = one(|cache| {
        cache.exact = Some(ExactCache {
            ttl_ms: 10_000,
            ..ExactCache::default()
        })
    });
    rig.chat(CHAT);
    answer_with(&mut rig, 200, ANSWER);
    rig.now = rig.now.plus_ms(9_999);
    let (_, lines, _) = reply(&rig.chat(CHAT));
    assert_eq!(header(&lines, "age"), Some("9"));
    rig.now = rig.now.plus_ms(1);
    assert!(is_miss(&rig.chat(CHAT)));
}

#[test]
fn without_room_for_its_record_no_kept_answer_is_served() {
    for (on_full, is_refused) in [
        (OnFull::Refuse, true),
        (OnFull::DropOldest, true),
        (OnFull::Block, false),
    ] {
        let mut document = cached(document(), |_| {});
        document.usage.on_full = on_full;
        let mut rig = node(document, 1).remove(0);
        rig.chat(CHAT);
        answer_with(&mut rig, 200, ANSWER);
        rig.local.usage_full = true;
        let did = call_as(&mut rig, "all", "x-tollgate-cache: only\n", CHAT);
        let (status, _, said) = reply(&did);
        assert!(status == 503 && said.contains("usage_spool_full"), "{said}");
        let did = rig.chat(CHAT);
        assert!(!rig.exchange.record().is_kept(), "{on_full:?}");
        match is_refused {
            true => assert_eq!(reply(&did).0, 503, "{on_full:?}"),
            // It waits for room, and none is served from the cache meanwhile.
            false => assert!(did.is_empty(), "{did:?}"),
        }
    }
    let mut rig = one(|_| {});
    rig.chat(CHAT);
    answer_with(&mut rig, 200, ANSWER);
    rig.local.usage_full = true;
    rig.chat(CHAT);
    rig.local.usage_full = false;
    let did = rig.chat(CHAT);
    assert_hit(&rig, &did, ANSWER);
}

#[test]
fn what_a_request_says_about_caching_is_done() {
    let mut rig = one(|_| {});
    let wish = |rig: &mut Rig, wish: &str| call_as(rig, "all", &format!("x-tollgate-cache: {wish}\n"), CHAT);
    let did = wish(&mut rig, "only");
    let (status, _, said) = reply(&did);
    assert!(status == 504 && said.contains("cache_miss"), "{said}");
    assert!(is_miss(&wish(&mut rig, "bypass")));
    let (_, lines, _) = reply(&answer_with(&mut rig, 200, ANSWER));
    assert_eq!(header(&lines, "x-tollgate-cache"), Some("bypass"));
    assert!(is_miss(&wish(&mut rig, "refresh")), "what was passed by was not kept");
    let (_, lines, _) = reply(&answer_with(&mut rig, 200, ANSWER));
    assert_eq!(header(&lines, "x-tollgate-cache"), Some("miss"));
    let did = wish(&mut rig, "only");
    assert_hit(&rig, &did, ANSWER);
    assert!(is_miss(&wish(&mut rig, "bypass")));
    let newer = ANSWER.replace("hello", "hello again");
    answer_with(&mut rig, 200, &newer);
    let did = rig.chat(CHAT);
    assert_hit(&rig, &did, ANSWER);
    assert!(is_miss(&wish(&mut rig, "refresh")));
    answer_with(&mut rig, 200, &newer);
    let did = rig.chat(CHAT);
    assert_hit(&rig, &did, &newer);
    let (status, _, said) = reply(&wish(&mut rig, "sometimes"));
    assert!(status == 400 && said.contains("x-tollgate-cache"), "{said}");
}

#[test]
fn a_model_without_a_cache_is_as_before() {
    let mut document = cached(document(), |_| {});
    document.models[1].1.cache = None;
    let mut rig = node(document, 1).remove(0);
    for _ in 0..2 {
        assert!(is_miss(&rig.chat(CHAT)));
        let (_, lines, _) = reply(&answer_with(&mut rig, 200, ANSWER));
        assert_eq!(header(&lines, "x-tollgate-cache"), None);
        assert_eq!(rig.exchange.record().cache, None);
    }
}

#[test]
fn only_what_is_complete_and_allowed_is_kept() {
    for (status, body) in [
        (200, REFUSED),
        (200, TOOLS),
        (200, &*ANSWER.replace("\"stop\"", "\"length\"")),
        (200, &*ANSWER.replace("\"stop\"", "\"content_filter\"")),
        (200, "{}"),
        (200, "not json"),
        (201, ANSWER),
        (400, ANSWER),
        (429, ANSWER),
        (500, ANSWER),
    ] {
        let mut rig = one(|_| {});
        rig.chat(CHAT);
        answer_with(&mut rig, status, body);
        assert!(is_miss(&rig.chat(CHAT)), "{status} {body}");
    }
    let mut rig = one(|cache| cache.allow.tool_calls = true);
    rig.chat(CHAT);
    answer_with(&mut rig, 200, TOOLS);
    let did = rig.chat(CHAT);
    assert_hit(&rig, &did, TOOLS);
}

#[test]
fn what_asks_for_chance_or_for_an_object_is_passed_by() {
    let hot = CHAT.replace("\"model\"", "\"temperature\":0.7,\"model\"");
    let kept = CHAT.replace("\"model\"", "\"store\":true,\"model\"");
    for body in [&hot, &kept] {
        let mut rig = one(|_| {});
        for _ in 0..2 {
            assert!(is_miss(&rig.chat(body)));
            let (_, lines, _) = reply(&answer_with(&mut rig, 200, ANSWER));
            assert_eq!(header(&lines, "x-tollgate-cache"), Some("bypass"));
        }
        let did = call_as(&mut rig, "all", "x-tollgate-cache: only\n", body);
        assert_eq!(reply(&did).0, 504);
    }
    let mut rig = one(|cache| cache.allow.temperature = true);
    rig.chat(&hot);
    answer_with(&mut rig, 200, ANSWER);
    let did = rig.chat(&hot);
    assert_hit(&rig, &did, ANSWER);
    assert!(is_miss(&rig.chat(CHAT)), "another temperature is another question");
}

#[test]
fn an_answer_longer_than_allowed_is_not_kept() {
    let mut rig = one(|cache| {
        cache.exact = Some(ExactCache {
            max_answer_bytes: ANSWER.len() as u64 - 1,
            ..ExactCache::default()
        });
    });
    rig.chat(CHAT);
    let (_, _, said) = reply(&answer_with(&mut rig, 200, ANSWER));
    assert_eq!(said, ANSWER);
    assert!(is_miss(&rig.chat(CHAT)));
    assert_eq!(stats(&rig).entries, 0);
}

#[test]
fn limits_count_a_hit_as_a_request_that_used_nothing() {
    let mut document = cached(document(), |_| {});
    let limit = |unit, most| Limit::new(unit, most, Window::Calendar(Period::Year));
    document.keys[0].1.limits = vec![limit(Unit::Requests, 3), limit(Unit::Tokens, 10_000)];
    let mut rig = node(document, 1).remove(0);
    rig.chat(CHAT);
    answer_with(&mut rig, 200, ANSWER);
    let mut tokens = Vec::new();
    for left in [1, 0] {
        let (_, lines, _) = reply(&rig.chat(CHAT));
        assert_eq!(
            header(&lines, "x-ratelimit-remaining-requests"),
            Some(&*left.to_string())
        );
        tokens.push(header(&lines, "x-ratelimit-remaining-tokens").map(str::to_owned));
    }
    assert_eq!(tokens[0], tokens[1], "the first used none");
    assert_eq!(reply(&rig.chat(CHAT)).0, 429);
}

#[test]
fn a_hit_is_charged_where_the_document_says_so() {
    let mut rig = one(|cache| cache.charge_hits = Some(true));
    rig.chat(CHAT);
    answer_with(&mut rig, 200, ANSWER);
    rig.chat(CHAT);
    let record = rig.exchange.record();
    assert_eq!(
        record.usage.map(|usage| (usage.all_input(), usage.all_output())),
        Some((3, 4))
    );
    assert_eq!((record.cache, record.attempts), (Some("hit"), 0));
}

fn three_tenants(scope: CacheScope) -> Vec<Rig> {
    let mut document = cached(document(), |cache| cache.scope = scope);
    let mut keys = vec![key("a1", &[]), key("a2", &[]), key("b", &[]), key("lone", &[])];
    for (at, team) in [Some("a"), Some("a"), Some("b"), None].into_iter().enumerate() {
        keys[at].1.team = team.map(str::to_owned);
    }
    document.keys = keys;
    node(document, 1)
}

#[test]
fn who_may_share_an_answer_is_as_the_scope_says() {
    let shared = |scope, one: &str, other: &str| {
        let mut rig = three_tenants(scope).remove(0);
        call_as(&mut rig, one, "", CHAT);
        answer_with(&mut rig, 200, ANSWER);
        !is_miss(&call_as(&mut rig, other, "", CHAT))
    };
    for (scope, one, other, may) in [
        (CacheScope::Key, "a1", "a1", true),
        (CacheScope::Key, "a1", "a2", false),
        (CacheScope::Team, "a1", "a2", true),
        (CacheScope::Team, "a1", "b", false),
        (CacheScope::Team, "lone", "lone", true),
        (CacheScope::Team, "a1", "lone", false),
        (CacheScope::Team, "lone", "b", false),
        (CacheScope::Organization, "a1", "b", true),
        (CacheScope::Organization, "lone", "a2", true),
    ] {
        assert_eq!(shared(scope, one, other), may, "{scope:?} {one} {other}");
    }
}

#[test]
fn another_model_path_header_or_policy_is_another_question() {
    let mut document = cached(document(), |_| {});
    document.models.push(model("twin", &[("one", "same")]));
    document.models.last_mut().expect("it").1.cache = Some("c".into());
    let answers = answers();
    let mut rig = Rig::new(document.clone());
    rig.local.answers = Some(answers.clone());
    rig.chat(CHAT);
    answer_with(&mut rig, 200, ANSWER);
    assert!(is_miss(&rig.chat(&CHAT.replace("same", "twin"))));
    answer_with(&mut rig, 500, "{}");
    assert!(is_miss(&call_as(&mut rig, "all", "openai-beta: assistants=v2\n", CHAT)));
    answer_with(&mut rig, 500, "{}");
    assert!(!is_miss(&call_as(&mut rig, "all", "x-trace: 1\n", CHAT)));
    // Limits change no answer; a target does.
    document.models[1].1.limits = vec![Limit::new(Unit::Requests, 9, Window::Calendar(Period::Day))];
    let mut same = Rig::new(document.clone());
    same.local.answers = Some(answers.clone());
    assert!(!is_miss(&same.chat(CHAT)));
    document.models[1].1.targets[0].model = "newer".into();
    let mut newer = Rig::new(document);
    newer.local.answers = Some(answers);
    assert!(is_miss(&newer.chat(CHAT)));
}

#[test]
fn what_is_purged_is_asked_for_again() {
    let mut rig = one(|_| {});
    let purge = |rig: &Rig, filter: Purge| rig.local.answers.as_ref().expect("a table").purge(&Filter(filter)).0;
    call_as(&mut rig, "all", "x-tollgate-tags: app=a,run=1\n", CHAT);
    answer_with(&mut rig, 200, ANSWER);
    let some = |text: &str| Some(text.to_owned());
    for other in [
        Purge {
            model: some("gpt"),
            ..Purge::default()
        },
        Purge {
            key: some("few"),
            ..Purge::default()
        },
        Purge {
            tag: some("run=2"),
            ..Purge::default()
        },
        Purge {
            prefix: some("bye"),
            ..Purge::default()
        },
    ] {
        assert_eq!(purge(&rig, other), 0);
    }
    let own = Purge {
        cache: some("c"),
        key: some("all"),
        team: some("research"),
        model: some("same"),
        tag: some("app=a"),
        prefix: some("h"),
    };
    assert_eq!(purge(&rig, own), 1);
    assert!(is_miss(&rig.chat(CHAT)));
}

#[test]
fn explain_says_what_becomes_of_a_call_at_the_cache() {
    use tollgate_engine::explain::{Asked, explain};
    let rig = one(|_| {});
    let told = |body: &str, headers: &str| {
        let asked = Asked {
            key: "all",
            path: "/v1/chat/completions",
            body: body.as_bytes(),
            headers,
            limits: &[],
        };
        let stages = explain(&rig.pinned, &asked, rig::NOW_UNIX_MS).expect("a call");
        let cache = stages
            .into_iter()
            .find(|stage| stage.stage == "cache")
            .expect("the stage");
        format!("{}: {}", cache.decision, cache.why)
    };
    assert!(told(CHAT, "").starts_with("looked up in 'c': "), "{}", told(CHAT, ""));
    let hot = CHAT.replace("\"model\"", "\"temperature\":1,\"model\"");
    assert!(told(&hot, "").contains("'c' is passed by: the request has a `temperature` above 0"));
    for unclear in [r#"[{"a":1,"a":2}]"#, r#"{"\ud83d":1}"#] {
        let told = told(&CHAT.replacen('{', &format!("{{\"x\":{unclear},"), 1), "");
        assert!(
            told.contains("a key stands twice in the request's body, or is no text"),
            "{told}"
        );
    }
    assert!(told(CHAT, "x-tollgate-cache: bypass\r\n").contains("says `x-tollgate-cache: bypass`"));
}

#[test]
fn a_call_with_an_idempotency_key_may_be_kept_as_well() {
    let mut rig = one(|_| {});
    assert!(is_miss(&call_as(&mut rig, "all", "idempotency-key: a\n", CHAT)));
    answer_with(&mut rig, 200, ANSWER);
    let did = call_as(&mut rig, "all", "idempotency-key: b\n", CHAT);
    assert_hit(&rig, &did, ANSWER);
}

#[test]
fn ids_that_open_for_one_owner_are_given_to_no_other() {
    let mut document = cached(two(Dialect::OpenAiResponses, |_| {}), |cache| {
        cache.scope = CacheScope::Organization
    });
    let mut other = key("other", &[]);
    other.1.team = Some("another".into());
    document.keys.push(other);
    let mut rig = node(document, 1).remove(0);
    assert!(is_miss(&ask(&mut rig, Dialect::OpenAiResponses, false)));
    rig.connected(1);
    let body = whole(Dialect::OpenAiResponses);
    rig.answer(
        1,
        &format!(
            "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
            body.len()
        ),
    );
    feed(&mut rig, 1, &body);
    rig.end(1);
    assert!(!is_miss(&ask(&mut rig, Dialect::OpenAiResponses, false)));
    let head = "POST /v1/responses HTTP/1.1\nhost: g\nauthorization: Bearer secret-other\n";
    assert!(is_miss(&rig.request(head, br#"{"model":"m","input":"?"}"#)));
}

/// The table is held by whoever asks.
#[test]
fn nothing_is_left_of_calls_that_ended() {
    let mut rig = one(|_| {});
    let answers = rig.local.answers.clone().expect("a table");
    for _ in 0..3 {
        rig.chat(OTHER);
        rig.feed(Input::ClientGone);
    }
    assert!(is_miss(&rig.chat(OTHER)), "no call is thought to be under way");
    assert_eq!(answers.stats()[0].1.entries, 0);
}
