//! What keeps answers apart that say the same words: where a call may go, by which targets it may be answered, what may be
//! kept; and whose call runs for others.

mod rig;

use rig::{
    Did, Rig, body_of, document, header,
    kept::{ANSWER, CHAT, answer_with, answers, assert_hit, cached, call_as, is_miss, node, stats},
    key, model, reply,
    streams::head,
};
use tollgate_config::{
    Document,
    document::{CacheScope, Conditions, Dialect, Team},
};
use tollgate_engine::exchange::UpstreamFault;

const CHUNKS: [&str; 3] = [
    "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"hello\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n",
    "data: [DONE]\n\n",
];

/// A cache of everybody; keys of two teams; a model of two providers, in the USA and in Europe.
fn world(change: impl FnOnce(&mut Document)) -> Document {
    let mut document = cached(document(), |cache| cache.scope = CacheScope::Organization);
    document.providers[0].1.residency = Some("us".into());
    document.providers[1].1.residency = Some("eu".into());
    let mut gpt = model("gpt", &[("one", "gpt-real"), ("two", "gpt-real")]);
    gpt.1.cache = Some("c".into());
    document.models[0] = gpt;
    document.keys = ["red", "blue"]
        .map(|team| {
            let mut key = key(team, &[]);
            key.1.team = Some(team.into());
            key
        })
        .into();
    document.teams = ["red", "blue"].map(|team| (team.into(), Team::default())).into();
    change(&mut document);
    document
}

fn gpt() -> String {
    CHAT.replace("same", "gpt")
}

#[track_caller]
fn keep(rig: &mut Rig, who: &str, more: &str, body: &str) {
    assert!(is_miss(&call_as(rig, who, more, body)));
    answer_with(rig, 200, ANSWER);
}

#[test]
fn an_answer_from_a_region_is_not_given_to_who_may_not_go_there() {
    // The team's list.
    let mut rig = node(world(|document| document.teams[1].1.residency = vec!["eu".into()]), 1).remove(0);
    keep(&mut rig, "red", "", CHAT);
    assert!(!is_miss(&call_as(&mut rig, "red", "", CHAT)));
    let (status, _, said) = reply(&call_as(&mut rig, "blue", "", CHAT));
    assert_eq!(status, 403, "{said}");
    keep(&mut rig, "red", "", &gpt());
    keep(&mut rig, "blue", "", &gpt());
    assert!(!is_miss(&call_as(&mut rig, "blue", "", &gpt())));
    // The key's own list.
    let mut rig = node(world(|document| document.keys[1].1.residency = vec!["eu".into()]), 1).remove(0);
    keep(&mut rig, "red", "", CHAT);
    assert_eq!(reply(&call_as(&mut rig, "blue", "", CHAT)).0, 403);
    // The call's own wish.
    let mut rig = node(world(|_| {}), 1).remove(0);
    keep(&mut rig, "red", "", CHAT);
    assert!(!is_miss(&call_as(&mut rig, "blue", "", CHAT)));
    let eu = "x-tollgate-tags: residency=eu\n";
    assert_eq!(reply(&call_as(&mut rig, "red", eu, CHAT)).0, 403);
    let us = "x-tollgate-tags: residency=us\n";
    keep(&mut rig, "red", us, CHAT);
    assert!(!is_miss(&call_as(&mut rig, "blue", us, CHAT)));
}

#[test]
fn nor_is_one_under_way() {
    let document = world(|document| document.teams[1].1.residency = vec!["eu".into()]);
    let mut node = node(document, 2);
    let [first, second] = &mut node[..] else { panic!() };
    assert!(is_miss(&call_as(first, "red", "", CHAT)));
    assert_eq!(reply(&call_as(second, "blue", "", CHAT)).0, 403);
}

#[test]
fn an_answer_of_a_target_that_is_not_for_a_call_is_not_given_to_it() {
    let when = |change: fn(&mut Conditions)| {
        let document = world(|document| change(&mut document.models[0].1.targets[0].when));
        node(document, 1).remove(0)
    };
    let mut rig = when(|when| when.teams = vec!["red".into()]);
    keep(&mut rig, "red", "", &gpt());
    keep(&mut rig, "blue", "", &gpt());
    let mut rig = when(|when| when.tags = vec![("app".into(), "a".into())]);
    keep(&mut rig, "red", "x-tollgate-tags: app=a\n", &gpt());
    keep(&mut rig, "red", "", &gpt());
    // What no condition reads is nothing.
    assert!(!is_miss(&call_as(&mut rig, "blue", "x-tollgate-tags: app=b\n", &gpt())));
    let mut rig = when(|when| when.headers = vec![("x-plan".into(), "gold".into())]);
    keep(&mut rig, "red", "x-plan: gold\n", &gpt());
    keep(&mut rig, "red", "x-plan: none\n", &gpt());
    assert!(!is_miss(&call_as(&mut rig, "blue", "", &gpt())));
}

/// The same table under another document.
fn under(document: Document, rig: &Rig) -> Rig {
    let mut other = Rig::new(document);
    other.local.answers = rig.local.answers.clone();
    other
}

#[test]
fn a_document_that_allows_less_or_asks_otherwise_gives_nothing_of_the_former_one() {
    const TOOLS: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    let wide = world(|document| document.caches[0].1.allow.tool_calls = true);
    let mut rig = Rig::new(wide.clone());
    rig.local.answers = Some(answers());
    call_as(&mut rig, "red", "", CHAT);
    answer_with(&mut rig, 200, TOOLS);
    let did = call_as(&mut under(wide.clone(), &rig), "red", "", CHAT);
    assert!(!is_miss(&did), "nothing has changed");
    let changes: [fn(&mut Document); 4] = [
        |document| document.caches[0].1.allow.tool_calls = false,
        |document| document.providers[0].1.headers = vec![("openai-project".into(), "p".into())],
        |document| document.providers[0].1.residency = Some("ch".into()),
        |document| document.providers[0].1.also = vec![(Dialect::Anthropic, Default::default())],
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut other = wide.clone();
        change(&mut other);
        let did = call_as(&mut under(other, &rig), "red", "", CHAT);
        assert!(is_miss(&did), "{at}: {did:?}");
    }
}

#[test]
fn a_call_that_its_own_client_may_end_is_run_for_nobody_else() {
    let streaming = CHAT.replace("\"model\"", "\"stream\":true,\"model\"");
    let mut node = node(world(|_| {}), 3);
    let [first, second, third] = &mut node[..] else {
        panic!()
    };
    assert!(is_miss(&call_as(first, "red", "x-tollgate-timeout: 5s\n", &streaming)));
    first.connected(1);
    first.answer(1, &head(Dialect::OpenAi));
    first.body(1, CHUNKS[0]);
    assert!(is_miss(&call_as(second, "red", "", &streaming)), "nobody joins it");
    assert_eq!(
        call_as(third, "red", "", CHAT),
        [],
        "who comes next waits for the second"
    );
    first.failed(1, UpstreamFault::Cut);
    // A whole one is kept all the same.
    second.failed(1, UpstreamFault::Cut);
    third.feed(tollgate_engine::Input::ClientGone);
    keep(first, "red", "x-tollgate-timeout: 5s\n", CHAT);
    let did = call_as(second, "blue", "", CHAT);
    assert_hit(second, &did, ANSWER);
}

#[test]
fn who_asks_anew_sets_nobody_loose_and_the_newest_answer_stays() {
    let mut node = node(world(|_| {}), 4);
    let [first, second, third, fourth] = &mut node[..] else {
        panic!()
    };
    let newer = ANSWER.replace("hello", "newer");
    assert!(is_miss(&call_as(first, "red", "", CHAT)));
    assert_eq!(call_as(second, "red", "", CHAT), []);
    assert!(is_miss(&call_as(third, "red", "x-tollgate-cache: refresh\n", CHAT)));
    assert_eq!(second.expire(), [], "it waits on");
    assert_eq!(call_as(fourth, "red", "", CHAT), [], "for the first");
    answer_with(third, 200, &newer);
    let did = second.expire();
    assert_hit(second, &did, &newer);
    answer_with(first, 200, ANSWER);
    let did = fourth.expire();
    assert_hit(fourth, &did, &newer);
}

#[test]
fn a_stream_that_came_for_another_is_charged_where_hits_are_and_counts_as_saved() {
    let streaming = CHAT.replace("\"model\"", "\"stream\":true,\"model\"");
    for charged in [false, true] {
        let document = world(|document| document.caches[0].1.charge_hits = Some(charged));
        let mut node = node(document, 2);
        let [first, second] = &mut node[..] else { panic!() };
        assert!(is_miss(&call_as(first, "red", "", &streaming)));
        first.connected(1);
        first.answer(1, &head(Dialect::OpenAi));
        first.body(1, CHUNKS[0]);
        let (_, lines, _) = reply(&call_as(second, "blue", "", &streaming));
        assert_eq!(
            (header(&lines, "x-tollgate-cache"), header(&lines, "age")),
            (Some("hit"), None)
        );
        first.body(1, CHUNKS[1]);
        first.body(1, CHUNKS[2]);
        first.end(1);
        let did = second.expire();
        assert!(body_of(&did).ends_with(CHUNKS[2]) && did.contains(&Did::Settle));
        let usage = second.exchange.record().usage;
        let used = usage.map(|usage| (usage.all_input(), usage.all_output()));
        assert_eq!(used, charged.then_some((3, 4)));
        let stats = stats(first);
        assert_eq!((stats.joined, stats.saved_tokens), (1, 7));
    }
}

#[test]
fn what_was_true_of_one_call_alone_is_not_said_again() {
    let mut rig = node(world(|_| {}), 1).remove(0);
    call_as(&mut rig, "red", "", CHAT);
    rig.connected(1);
    let head = format!(
        "HTTP/1.1 200 OK\ncontent-type: application/json\ndate: then\nserver: theirs\nretry-after: \
         1\nopenai-organization: o\nopenai-version: 1\ncontent-length: {}\n",
        ANSWER.len()
    );
    rig.answer(1, &head);
    rig.body(1, ANSWER);
    rig.end(1);
    let did = call_as(&mut rig, "red", "", CHAT);
    assert_hit(&rig, &did, ANSWER);
    let (_, lines, _) = reply(&did);
    for gone in ["server", "retry-after", "openai-organization"] {
        assert_eq!(header(&lines, gone), None, "{lines}");
    }
    assert!(!lines.contains("then"), "{lines}");
    assert_eq!(header(&lines, "openai-version"), Some("1"));
}
