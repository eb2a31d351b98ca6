//! Answers that are kept: whole exchanges, on one shard and on several that share the node's table.

#![allow(clippy::disallowed_types)] // The locks of the table are a shell's, and here the test is that.

mod rig;

use std::sync::{Arc, Mutex};

use rig::{
    Did, Rig, body_of, dialled, document, header, key, model, reply,
    streams::{ask, down, feed, head, read, saying, speaks, two, written},
};
use tollgate_config::{
    Document,
    document::{Allowed, CACHE_PARTS, Cache, CacheScope, Dialect, ExactCache, Limit, Period, Unit, Window},
    link::Purge,
};
use tollgate_dialect::canonical::answer::Answer;
use tollgate_engine::{
    Answers, Input,
    exact::{Filter, Part, Seed, Stats},
    exchange::UpstreamFault,
    repeats::Parts,
};

const CHAT: &str = r#"{"model":"same","messages":[{"role":"user","content":"hi"}]}"#;
const OTHER: &str = r#"{"model":"same","messages":[{"role":"user","content":"bye"}]}"#;
const ANSWER: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
const REFUSED: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":"no"},"finish_reason":"stop"}]}"#;
const TOOLS: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;

#[derive(Debug)]
struct Locked(Vec<Mutex<Part>>);

impl Parts<Part> for Locked {
    fn with(&self, part: usize, work: &mut dyn FnMut(&mut Part)) {
        work(&mut self.0[part].lock().expect("no panic"));
    }
}

fn answers() -> Answers {
    let parts = (0..CACHE_PARTS).map(|_| Mutex::default()).collect();
    Answers::new(Locked(parts), Seed([1, 2]))
}

fn cache(scope: CacheScope) -> Cache {
    Cache {
        scope,
        exact: Some(ExactCache::default()),
        allow: Allowed::default(),
        charge_hits: None,
    }
}

fn cached(mut document: Document, change: impl FnOnce(&mut Cache)) -> Document {
    let mut cache = cache(CacheScope::Team);
    change(&mut cache);
    document.caches = vec![("c".into(), cache)];
    for (_, model) in &mut document.models {
        model.cache = Some("c".into());
    }
    for (_, key) in &mut document.keys {
        key.models.clear();
    }
    document
}

/// So many exchanges, each on a shard of its own, of one node.
fn node(document: Document, shards: usize) -> Vec<Rig> {
    let answers = answers();
    let first = Rig::new(document);
    let pinned = first.pinned.clone();
    let mut all = vec![first];
    all.resize_with(shards, || Rig::sharing(pinned.clone()));
    for rig in &mut all {
        rig.local.answers = Some(answers.clone());
    }
    all
}

fn one(change: impl FnOnce(&mut Cache)) -> Rig {
    node(cached(document(), change), 1).remove(0)
}

fn call_as(rig: &mut Rig, who: &str, more: &str, body: &str) -> Vec<Did> {
    let head = format!("POST /v1/chat/completions HTTP/1.1\nhost: gate\nauthorization: Bearer secret-{who}\n{more}");
    rig.request(&head, body.as_bytes())
}

fn answer_with(rig: &mut Rig, status: u16, body: &str) -> Vec<Did> {
    rig.connected(1);
    let head = format!(
        "HTTP/1.1 {status} X\ncontent-type: application/json\nx-request-id: theirs\ncontent-length: {}\n",
        body.len()
    );
    let mut did = rig.answer(1, &head);
    did.extend(rig.body(1, body));
    did.extend(rig.end(1));
    did
}

fn is_miss(did: &[Did]) -> bool {
    dialled(did).len() == 1
}

#[track_caller]
fn assert_hit(rig: &Rig, did: &[Did], body: &str) {
    let (status, lines, said) = reply(did);
    assert_eq!((status, &*said), (200, body), "{did:?}");
    assert_eq!(header(&lines, "x-tollgate-cache"), Some("hit"));
    assert_eq!(header(&lines, "content-type"), Some("application/json"));
    assert_eq!(lines.matches("content-type").count(), 1, "{lines}");
    assert!(
        header(&lines, "age").is_some() && header(&lines, "x-tollgate-attempts").is_none(),
        "{lines}"
    );
    assert_eq!(header(&lines, "x-tollgate-provider"), Some("one"));
    let record = rig.exchange.record();
    assert_eq!(header(&lines, "x-request-id"), Some(record.request_id));
    assert!(record.usage.is_none() && record.cost.is_none() && record.attempts == 0);
    assert_eq!(record.cache, Some("hit"));
}

fn stats(rig: &Rig) -> Stats {
    let all = rig.local.answers.as_ref().expect("a table").stats();
    all.first().map(|(_, stats)| *stats).unwrap_or_default()
}

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
fn identical_calls_under_way_share_one_and_the_waiting_is_the_providers_time() {
    let mut node = node(cached(document(), |_| {}), 4);
    let [first, others @ ..] = &mut node[..] else { panic!() };
    assert!(is_miss(&first.chat(CHAT)));
    for other in others.iter_mut() {
        assert_eq!(other.chat(CHAT), []);
        for _ in 0..5 {
            assert_eq!(other.expire(), []);
        }
    }
    answer_with(first, 200, ANSWER);
    for other in others.iter_mut() {
        let did = other.expire();
        assert_hit(other, &did, ANSWER);
        assert!(other.exchange.record().gateway_ns < 1_000_000);
    }
}

#[test]
fn a_failure_is_not_shared_the_next_leads_and_none_waits_twice() {
    for status in [429, 500] {
        let mut node = node(cached(document(), |_| {}), 4);
        let [first, second, third, fourth] = &mut node[..] else {
            panic!()
        };
        first.chat(CHAT);
        for other in [&mut *second, &mut *third] {
            assert_eq!(other.chat(CHAT), []);
        }
        answer_with(first, status, "{}");
        assert!(is_miss(&second.expire()), "the next leads");
        assert!(is_miss(&third.expire()), "who has waited once goes by itself");
        assert_eq!(fourth.chat(CHAT), [], "who comes new waits for the one that leads");
        answer_with(second, 200, ANSWER);
        let did = fourth.expire();
        assert_hit(fourth, &did, ANSWER);
        let (code, ..) = reply(&answer_with(third, 200, ANSWER));
        assert_eq!(code, 200);
    }
    // And where nobody answered at all, or the code failed.
    for how in 0..2 {
        let mut node = node(cached(document(), |_| {}), 2);
        let [first, second] = &mut node[..] else { panic!() };
        first.chat(CHAT);
        assert_eq!(second.chat(CHAT), []);
        match how {
            0 => _ = first.failed(1, UpstreamFault::Connect),
            _ => _ = first.panic(),
        }
        assert!(is_miss(&second.expire()));
    }
}

#[test]
fn the_call_goes_on_for_others_when_its_client_has_left() {
    let mut node = node(cached(document(), |_| {}), 2);
    let [first, second] = &mut node[..] else { panic!() };
    first.chat(CHAT);
    assert_eq!(second.chat(CHAT), []);
    assert_eq!(first.feed(Input::ClientGone), []);
    let did = answer_with(first, 200, ANSWER);
    assert!(
        did.iter().all(|did| !matches!(did, Did::Head { .. } | Did::Body(_))),
        "{did:?}"
    );
    let did = second.expire();
    assert_hit(second, &did, ANSWER);
    // Without others it ends.
    first.chat(OTHER);
    let did = first.feed(Input::ClientGone);
    assert_eq!(did, [Did::Abandon { attempt: 1 }, Did::Settle, Did::Cut]);
    // And so it does when they have left as well.
    first.chat(OTHER);
    second.chat(OTHER);
    assert_eq!(first.feed(Input::ClientGone), []);
    second.feed(Input::ClientGone);
    first.now = first.now.plus_ms(1_500);
    let did = first.feed(Input::Timer);
    assert_eq!(did, [Did::Abandon { attempt: 1 }, Did::Settle, Did::Cut]);
}

const CHUNKS: [&str; 4] = [
    "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"hel\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
];

fn streaming(body: &str) -> String {
    body.replace("\"model\"", "\"stream\":true,\"model\"")
}

fn begin_stream(rig: &mut Rig) {
    assert!(is_miss(&rig.chat(&streaming(CHAT))));
    rig.connected(1);
    rig.answer(1, &head(Dialect::OpenAi));
}

#[test]
fn a_stream_is_sent_to_all_who_ask_as_it_comes() {
    let mut node = node(cached(document(), |_| {}), 3);
    let [first, second, third] = &mut node[..] else {
        panic!()
    };
    begin_stream(first);
    first.body(1, CHUNKS[0]);
    let did = second.chat(&streaming(CHAT));
    let (_, lines, said) = reply(&did);
    assert_eq!((header(&lines, "x-tollgate-cache"), &*said), (Some("hit"), CHUNKS[0]));
    assert_eq!(header(&lines, "content-type"), Some("text/event-stream"));
    assert_eq!(second.expire(), []);
    first.body(1, CHUNKS[1]);
    assert_eq!(body_of(&second.expire()), CHUNKS[1]);
    assert_eq!(
        body_of(&third.chat(&streaming(CHAT))),
        format!("{}{}", CHUNKS[0], CHUNKS[1])
    );
    // Its own client leaves: it goes on for them.
    let gone = first.feed(Input::ClientGone);
    assert_eq!(gone, []);
    first.body(1, CHUNKS[2]);
    first.body(1, CHUNKS[3]);
    first.end(1);
    for other in [second, third] {
        let did = other.expire();
        assert!(
            body_of(&did).ends_with(CHUNKS[3]) && did.ends_with(&[Did::Settle, Did::End]),
            "{did:?}"
        );
        assert_eq!(other.exchange.record().cache, Some("hit"));
        // And it is kept.
        let did = other.chat(&streaming(CHAT));
        assert_eq!(body_of(&did), CHUNKS.concat());
    }
}

#[test]
fn a_stream_that_breaks_ends_for_all_with_an_error_and_is_not_kept() {
    let mut node = node(cached(document(), |_| {}), 3);
    let [first, second, third] = &mut node[..] else {
        panic!()
    };
    begin_stream(first);
    first.body(1, CHUNKS[0]);
    second.chat(&streaming(CHAT));
    // Another form waits for the whole of it.
    assert_eq!(third.chat(CHAT), []);
    first.failed(1, UpstreamFault::Cut);
    let did = second.expire();
    let said = body_of(&did);
    assert!(
        said.starts_with("data: {\"error\"") && did.ends_with(&[Did::Settle, Did::End]),
        "{did:?}"
    );
    assert!(is_miss(&third.expire()));
}

#[test]
fn a_follower_that_leaves_costs_nobody_anything() {
    let mut node = node(cached(document(), |_| {}), 2);
    let [first, second] = &mut node[..] else { panic!() };
    begin_stream(first);
    first.body(1, CHUNKS[0]);
    second.chat(&streaming(CHAT));
    assert_eq!(second.feed(Input::ClientGone), [Did::Settle, Did::Cut]);
    assert!(second.exchange.record().usage.is_none());
    for chunk in &CHUNKS[1..] {
        first.body(1, chunk);
    }
    first.end(1);
    assert_eq!(body_of(&second.chat(&streaming(CHAT))), CHUNKS.concat());
}

/// An answer of the provider's dialect, whole.
fn whole(dialect: Dialect) -> Vec<u8> {
    let mut answer = Answer::default();
    for event in saying("id-1", &["good", " day"]) {
        answer.take(&event);
    }
    let mut out = Vec::new();
    speaks(dialect).write_answer(&answer, &rig::streams::facts(), &mut out);
    out
}

fn text_of(client: Dialect, stream: bool, bytes: &[u8]) -> String {
    if stream {
        let read = read(client, bytes);
        assert!(
            read.ended && !read.failed,
            "{client:?}: {}",
            String::from_utf8_lossy(bytes)
        );
        return read.text();
    }
    let mut answer = Answer::default();
    speaks(client)
        .read_answer(bytes, &mut |event| answer.take(event))
        .unwrap_or_else(|bad| panic!("{client:?}: {bad:?}: {}", String::from_utf8_lossy(bytes)));
    let parts = answer.choices.iter().flat_map(|choice| &choice.parts);
    parts
        .map(|part| part.text().plain().unwrap_or_default().into_owned())
        .collect()
}

#[test]
fn every_dialect_in_either_form_gets_what_was_kept_in_either() {
    for client in Dialect::ALL {
        for target in [client, Dialect::OpenAi, Dialect::Anthropic] {
            for kept_as in [false, true] {
                let document = cached(two(target, |_| {}), |_| {});
                let mut rig = node(document, 1).remove(0);
                assert!(is_miss(&ask(&mut rig, client, kept_as)), "{client:?}");
                rig.connected(1);
                let body = match kept_as {
                    true => {
                        rig.answer(1, &head(target));
                        written(target, &saying("id-1", &["good", " day"])).concat()
                    }
                    false => {
                        let body = whole(target);
                        rig.answer(
                            1,
                            &format!(
                                "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
                                body.len()
                            ),
                        );
                        body
                    }
                };
                let (did, mut first) = feed(&mut rig, 1, &body);
                if !did.contains(&Did::Settle) {
                    rig.end(1);
                    first.extend(down(&rig, &[]));
                }
                for asked in [kept_as, !kept_as] {
                    let did = ask(&mut rig, client, asked);
                    let case = format!("{client:?} of {target:?}, kept streamed: {kept_as}, asked streamed: {asked}");
                    assert!(!is_miss(&did), "{case}: {did:?}");
                    let bytes = down(&rig, &[]);
                    assert_eq!(text_of(client, asked, &bytes), "good day", "{case}");
                    if asked == kept_as {
                        assert_eq!(bytes, first, "{case}: the same bytes");
                    }
                    let (_, lines, _) = reply(&did);
                    let kind = header(&lines, "content-type").unwrap_or_default();
                    let streams = kind.contains("event-stream") || kind.contains("eventstream");
                    assert_eq!(streams, asked, "{case}: {kind}");
                }
            }
        }
    }
}

#[test]
fn a_stream_with_usage_is_no_stream_without() {
    let mut rig = one(|_| {});
    begin_stream(&mut rig);
    for chunk in CHUNKS {
        rig.body(1, chunk);
    }
    rig.end(1);
    let with_usage = streaming(CHAT).replace("\"model\"", "\"stream_options\":{\"include_usage\":true},\"model\"");
    let did = rig.chat(&with_usage);
    assert!(!is_miss(&did));
    assert_eq!(text_of(Dialect::OpenAi, true, body_of(&did).as_bytes()), "hello");
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
    let answers = Arc::new(rig.local.answers.clone().expect("a table"));
    for _ in 0..3 {
        rig.chat(OTHER);
        rig.feed(Input::ClientGone);
    }
    assert!(is_miss(&rig.chat(OTHER)), "no call is thought to be under way");
    assert_eq!(answers.stats()[0].1.entries, 0);
}
