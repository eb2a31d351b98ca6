//! Answers found by what was asked: what is served for whose question, what is not and why, shadow, feedback, bounds.

mod rig;

use rig::{
    document, header,
    kept::{cached, call_as},
    near::{Node, ask, by_meaning, finish, question, saying},
    reply,
};
use tollgate_config::{
    Document,
    document::{CacheScope, SemanticCache, SemanticMode},
    link::Purge,
};
use tollgate_engine::{exact::Filter, semantic};

const ASKED: &str = "What is the capital of France?";
const REWORDED: &str = "Please tell me, what's the capital of France?";
const OTHER: &str = "What is the capital of Spain?";

fn world(change: impl FnOnce(&mut SemanticCache)) -> Document {
    let mut semantic = by_meaning(SemanticMode::Serve).expect("one");
    change(&mut semantic);
    cached(document(), |cache| cache.semantic = Some(semantic))
}

#[test]
fn the_same_question_in_other_words_gets_the_answer_on_any_shard() {
    let mut node = Node::new(100);
    let mut shards = node.shards(world(|_| {}), 2);
    let [first, second] = &mut shards[..] else { panic!() };
    assert_eq!(ask(first, &question(ASKED), "Paris").0, "miss");
    assert_eq!(
        ask(second, &question(REWORDED), "Lutetia").0,
        "miss",
        "the writer has not run"
    );
    node.answers.purge(&Filter(Purge::default()));
    assert_eq!(ask(first, &question(ASKED), "Paris").0, "miss");
    node.turn();
    second.now = second.now.plus_ms(7_000);
    let did = second.chat(&question(REWORDED));
    let (_, lines, said) = reply(&did);
    assert_eq!(
        (header(&lines, "x-tollgate-cache"), &*said),
        (Some("semantic-hit"), &*saying("Paris"))
    );
    assert_eq!(header(&lines, "age"), Some("7"));
    let record = second.exchange.record();
    assert!(record.usage.is_none() && record.cost.is_none() && record.attempts == 0);
    assert_eq!(record.cache, Some("semantic-hit"));
    // In the other form as well.
    let streamed = question(REWORDED).replacen('{', r#"{"stream":true,"#, 1);
    let did = second.chat(&streamed);
    let said = rig::body_of(&did);
    assert!(said.contains("Paris") && said.ends_with("data: [DONE]\n\n"), "{said}");
    // One word turns the answer.
    assert_eq!(ask(second, &question(OTHER), "Madrid").0, "miss");
    let stats = node.stats();
    assert_eq!((stats.semantic.hits, stats.hits, stats.saved_tokens), (2, 0, 14));
    assert!(stats.semantic.differing >= 1, "{stats:?}");
    assert_eq!(
        ask(first, &question(ASKED), "").0,
        "hit",
        "the exact answer comes first"
    );
}

#[test]
fn a_stream_that_is_kept_serves_another_question() {
    let mut node = Node::new(100);
    let mut rig = node.shards(world(|_| {}), 1).remove(0);
    let streamed = question(ASKED).replacen('{', r#"{"stream":true,"#, 1);
    rig.chat(&streamed);
    rig.connected(1);
    rig.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n",
    );
    let chunk = |delta: &str, reason: &str| {
        format!(
            "data: {{\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{reason}}}]}}\n\n"
        )
    };
    rig.body(1, &chunk(r#""role":"assistant","content":"Paris""#, "null"));
    rig.body(1, &(chunk("", "\"stop\"") + "data: [DONE]\n\n"));
    rig.end(1);
    node.turn();
    let (mark, said) = ask(&mut rig, &question(REWORDED), "no");
    assert!(mark == "semantic-hit" && said.contains("Paris"), "{mark} {said}");
}

#[test]
fn all_around_the_question_must_be_equal() {
    let mut node = Node::new(100);
    let mut rig = node.shards(world(|_| {}), 1).remove(0);
    ask(&mut rig, &question(ASKED), "Paris");
    node.turn();
    let reworded = question(REWORDED);
    for other in [
        reworded.replace("be kind", "be terse"),
        reworded.replacen('{', r#"{"max_tokens":9,"#, 1),
        reworded.replacen('{', r#"{"tools":[{"type":"function","function":{"name":"f"}}],"#, 1),
        reworded.replace(r#"{"role":"user""#, r#"{"role":"user","content":"hi"},{"role":"user""#),
    ] {
        assert_eq!(ask(&mut rig, &other, "another").0, "miss", "{other}");
        node.turn();
    }
    assert_eq!(ask(&mut rig, &reworded, "no").0, "semantic-hit");
    let order = reworded.replacen('{', r#"{"user":"u","n":1,"#, 1);
    assert_eq!(
        ask(&mut rig, &order, "no").0,
        "semantic-hit",
        "what changes no answer is nothing"
    );
}

#[test]
fn what_a_request_says_about_caching_holds_here_too() {
    let mut node = Node::new(100);
    let mut rig = node.shards(world(|_| {}), 1).remove(0);
    let wish = |rig: &mut rig::Rig, wish: &str| {
        let did = call_as(rig, "all", &format!("x-tollgate-cache: {wish}\n"), &question(REWORDED));
        reply(&did)
    };
    assert_eq!(wish(&mut rig, "only").0, 504);
    let did = call_as(&mut rig, "all", "x-tollgate-cache: refresh\n", &question(ASKED));
    finish(&mut rig, did, "Paris");
    node.turn();
    let (status, lines, _) = wish(&mut rig, "only");
    assert_eq!(
        (status, header(&lines, "x-tollgate-cache")),
        (200, Some("semantic-hit"))
    );
    for bypassed in ["bypass", "refresh"] {
        let did = call_as(
            &mut rig,
            "all",
            &format!("x-tollgate-cache: {bypassed}\n"),
            &question(REWORDED),
        );
        assert_ne!(finish(&mut rig, did, "Lutetia").0, "semantic-hit", "{bypassed}");
    }
}

#[test]
fn an_answer_that_is_gone_is_not_found_and_its_entry_goes() {
    let mut node = Node::new(100);
    let mut rig = node.shards(world(|semantic| semantic.ttl_ms = 10_000), 1).remove(0);
    ask(&mut rig, &question(ASKED), "Paris");
    node.turn();
    rig.now = rig.now.plus_ms(9_999);
    assert_eq!(ask(&mut rig, &question(REWORDED), "no").0, "semantic-hit");
    rig.now = rig.now.plus_ms(1);
    assert_eq!(
        ask(&mut rig, &question("Tell me what's the capital of France?"), "x").0,
        "miss"
    );
    assert_eq!(
        ask(&mut rig, &question(ASKED), "no").0,
        "hit",
        "the same words find it for longer"
    );
    node.turn();
    assert_eq!(node.entries(), 1, "the older entry is gone, the newer there");
    let (answers, _) = node.answers.purge(&Filter(Purge {
        prefix: Some("be kind".to_owned()),
        ..Purge::default()
    }));
    assert_eq!(answers, 2);
    assert_eq!(
        ask(&mut rig, &question(REWORDED), "anew").0,
        "miss",
        "before the writer has run"
    );
    node.turn();
    assert_eq!(node.entries(), 1, "of what was purged nothing is left");
}

#[test]
fn a_tenant_s_oldest_entry_goes_where_there_is_no_room_and_a_full_queue_costs_an_entry() {
    let mut node = Node::new(1);
    let mut rig = node.shards(world(|semantic| semantic.max_entries = 2), 1).remove(0);
    for city in ["Lima", "Oslo", "Rome"] {
        ask(&mut rig, &question(&format!("What is the population of {city}?")), city);
        node.turn();
    }
    assert_eq!(node.entries(), 2);
    let again = |rig: &mut rig::Rig, city: &str| {
        let did = call_as(
            rig,
            "all",
            "x-tollgate-cache: only\n",
            &question(&format!("What's the population of {city}?")),
        );
        reply(&did).0
    };
    assert_eq!(
        ["Lima", "Oslo", "Rome"].map(|city| again(&mut rig, city)),
        [504, 200, 200]
    );
    ask(&mut rig, &question("What is the height of K2?"), "8611 m");
    ask(&mut rig, &question("What is the depth of lake Baikal?"), "1642 m");
    assert_eq!(node.stats().semantic.unindexed, 1);
}

#[test]
fn an_answer_of_a_tenant_that_no_entry_is_left_for_is_counted() {
    let mut document = world(|semantic| semantic.max_entries = 1);
    document.caches[0].1.scope = CacheScope::Key;
    let mut node = Node::new(100);
    let mut rig = node.shards(document, 1).remove(0);
    ask(&mut rig, &question(ASKED), "Paris");
    let did = call_as(&mut rig, "few", "", &question(ASKED));
    finish(&mut rig, did, "Paris");
    node.turn();
    assert_eq!((node.entries(), node.stats().semantic.unindexed), (1, 1));
}

#[test]
fn a_verdict_is_not_lost_where_the_writer_has_no_room() {
    let mut node = Node::new(1);
    let mut rig = node.shards(world(|_| {}), 1).remove(0);
    ask(&mut rig, &question(ASKED), "Lyon");
    node.turn();
    let did = call_as(&mut rig, "all", "x-tollgate-cache: only\n", &question(REWORDED));
    let (_, lines, _) = reply(&did);
    let id = header(&lines, "x-request-id").unwrap_or_default().to_owned();
    ask(&mut rig, &question("What is the height of K2?"), "8611 m");
    assert_eq!(semantic::feedback(&node.answers, &id, true).as_deref(), Some("c"));
    node.turn();
    let did = call_as(&mut rig, "all", "x-tollgate-cache: refresh\n", &question(ASKED));
    finish(&mut rig, did, "Paris");
    node.turn();
    assert_eq!(node.entries(), 2);
    assert_eq!(only(&mut rig, REWORDED).0, 504, "the neighbourhood is tightened");
}

#[test]
fn shadow_serves_nothing_and_tells_whether_the_answers_agree() {
    let mut node = Node::new(100);
    let mut rig = node
        .shards(world(|semantic| semantic.mode = SemanticMode::Shadow), 1)
        .remove(0);
    ask(&mut rig, &question(ASKED), "It is Paris.");
    node.turn();
    assert_eq!(ask(&mut rig, &question(REWORDED), "it is  PARIS.").0, "miss");
    assert_eq!(
        ask(&mut rig, &question("What's France's capital?"), "No idea at all").0,
        "miss"
    );
    let stats = node.stats().semantic;
    assert_eq!((stats.hits, stats.same, stats.alike), (0, 1, 0), "{stats:?}");
    assert_eq!(stats.would_serve, stats.same + stats.other);
    let compared = node.answers.compared();
    assert_eq!(compared.len() as u64, stats.would_serve);
    let first = &compared[0];
    assert_eq!((&*first.cache, &*first.model, first.agreement), ("c", "same", "same"));
    assert!(first.similarity > 0.5 && first.answers == 1.0);
}

#[test]
fn a_hit_that_was_wrong_is_not_served_again_and_around_it_more_is_asked_for() {
    let mut node = Node::new(100);
    let mut rig = node.shards(world(|_| {}), 1).remove(0);
    ask(&mut rig, &question(ASKED), "Lyon");
    node.turn();
    let hit = |rig: &mut rig::Rig, text: &str| {
        let did = call_as(rig, "all", "x-tollgate-cache: only\n", &question(text));
        let (status, lines, _) = reply(&did);
        (status, header(&lines, "x-request-id").unwrap_or_default().to_owned())
    };
    let (status, id) = hit(&mut rig, REWORDED);
    assert_eq!(status, 200);
    assert_eq!(semantic::feedback(&node.answers, "no-such-request", true), None);
    assert_eq!(semantic::feedback(&node.answers, &id, true).as_deref(), Some("c"));
    assert_eq!(semantic::feedback(&node.answers, &id, true), None, "it is judged once");
    assert_eq!(hit(&mut rig, REWORDED).0, 504, "at once");
    node.turn();
    // Another answer to the very question is not near enough any more to serve the same rewording.
    let did = call_as(&mut rig, "all", "x-tollgate-cache: refresh\n", &question(ASKED));
    finish(&mut rig, did, "Paris");
    node.turn();
    assert_eq!(node.entries(), 1);
    assert_eq!(hit(&mut rig, REWORDED).0, 504, "the neighbourhood is tightened");
    assert_eq!(hit(&mut rig, ASKED).0, 200);
    let stats = node.stats().semantic;
    assert_eq!((stats.judged_wrong, stats.judged_right), (1, 0));
}

#[test]
fn without_words_of_the_user_s_nothing_is_looked_up_by_meaning() {
    let mut node = Node::new(100);
    let mut rig = node.shards(world(|_| {}), 1).remove(0);
    let image = r#"{"model":"same","messages":[{"role":"user","content":[{"type":"text","text":"What is it?"},{"type":"image_url","image_url":{"url":"https://a/b"}}]}]}"#;
    assert_eq!(ask(&mut rig, image, "a cat").0, "miss");
    node.turn();
    assert_eq!(node.entries(), 0);
    assert_eq!(ask(&mut rig, image, "").0, "hit");
}

#[test]
fn indexes_are_made_anew_of_the_answers_that_are_kept() {
    let mut node = Node::new(100);
    let mut rig = node.shards(world(|_| {}), 1).remove(0);
    ask(&mut rig, &question(ASKED), "Paris");
    ask(&mut rig, &question("What is the height of K2?"), "8611 m");
    node.turn();
    node.restart(&rig);
    assert_eq!(node.entries(), 2);
    assert_eq!(ask(&mut rig, &question(REWORDED), "no").0, "semantic-hit");
}

/// What is served to a call that no provider is to answer.
fn only(rig: &mut rig::Rig, text: &str) -> (u16, String) {
    let did = call_as(rig, "all", "x-tollgate-cache: only\n", &question(text));
    let (status, lines, _) = reply(&did);
    (status, header(&lines, "x-request-id").unwrap_or_default().to_owned())
}

#[test]
fn a_hit_that_was_wrong_is_not_found_again_after_a_snapshot_and_a_restart() {
    let mut node = Node::new(100);
    let mut rig = node.shards(world(|_| {}), 1).remove(0);
    ask(&mut rig, &question(ASKED), "Lyon");
    ask(&mut rig, &question("What is the height of K2?"), "8611 m");
    node.turn();
    let (status, id) = only(&mut rig, REWORDED);
    assert_eq!(status, 200);
    let changes = |node: &Node, rig: &rig::Rig| {
        let shelf = node.answers.shelf(&rig.pinned.snapshot.document, "c");
        shelf.expect("a cache").changes()
    };
    let before = changes(&node, &rig);
    assert!(semantic::feedback(&node.answers, &id, true).is_some());
    assert!(changes(&node, &rig) > before, "a snapshot is wanted");
    assert_eq!(node.reread(&rig, |_| {}), 2);
    node.restart(&rig);
    assert_eq!(node.entries(), 1);
    assert_eq!(only(&mut rig, REWORDED).0, 504);
    assert_eq!(only(&mut rig, ASKED).0, 200, "its own question gets it");
    assert_eq!(only(&mut rig, "What's the height of K2?").0, 200);
}

#[test]
fn a_place_is_remembered_where_all_entries_have_gone() {
    let mut node = Node::new(100);
    let mut rig = node.shards(world(|_| {}), 1).remove(0);
    ask(&mut rig, &question(ASKED), "Lyon");
    node.turn();
    let (_, id) = only(&mut rig, REWORDED);
    node.answers.purge(&Filter(Purge::default()));
    node.turn();
    assert_eq!(node.entries(), 0);
    assert!(semantic::feedback(&node.answers, &id, true).is_some());
    node.turn();
    ask(&mut rig, &question(ASKED), "Paris");
    node.turn();
    assert_eq!((node.entries(), only(&mut rig, REWORDED).0), (1, 504));
}

#[test]
fn a_bound_that_changes_holds_for_what_is_there() {
    let mut node = Node::new(100);
    let cities = ["Lima", "Oslo", "Rome"].map(|city| (city, format!("What is the population of {city}?")));
    let mut few = node.shards(world(|semantic| semantic.max_entries = 1), 1).remove(0);
    for (city, asks) in &cities {
        ask(&mut few, &question(asks), city);
        node.turn();
        assert_eq!(node.entries(), 1, "{city}: the newest is found");
    }
    let mut more = node.shards(world(|semantic| semantic.max_entries = 9), 1).remove(0);
    for (city, asks) in &cities {
        let did = call_as(&mut more, "all", "x-tollgate-cache: refresh\n", &question(asks));
        finish(&mut more, did, city);
    }
    node.turn();
    assert_eq!(node.entries(), 3);
}

#[test]
fn answers_that_another_model_s_vectors_stood_for_are_found_by_the_same_words_only() {
    let mut node = Node::new(100);
    let mut rig = node.shards(world(|_| {}), 1).remove(0);
    ask(&mut rig, &question(ASKED), "Paris");
    node.turn();
    // The model's fingerprint stands last.
    let other = |bytes: &mut Vec<u8>| *bytes.last_mut().expect("bytes") ^= 1;
    assert_eq!(node.reread(&rig, other), 1);
    node.restart(&rig);
    assert_eq!(node.entries(), 0);
    assert_eq!(only(&mut rig, REWORDED).0, 504);
    assert_eq!(only(&mut rig, ASKED).0, 200);
}
