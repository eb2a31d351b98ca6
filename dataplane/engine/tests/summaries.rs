//! Conversations that are summed up, through whole exchanges: who asks, who waits, who pays, what is remembered for whom, and
//! that a call goes on whatever becomes of it.

#![allow(clippy::disallowed_types)] // The locks of the table are a shell's, and here the test is that.

mod rig;

use std::sync::{Arc, Mutex};

use rig::{Did, Rig, chat_answer, dialled, document, sent, sent_messages};
use serde_json::{Value, json};
use tollgate_config::{
    Document,
    document::{Compress, CompressMode, Limit, Period, Summarize, Unit, Window},
};
use tollgate_engine::{
    Input, Summaries,
    compress::summary::{PARTS, Part},
    exact::Seed,
    limits::LocalLimits,
    record::Summary,
    repeats::Parts,
};

const HEAD: &str = "POST /v1/chat/completions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n";
/// What the shell asks by.
const ASK: &str = "POST /v1/chat/completions HTTP/1.1\nhost: summary\ncontent-type: application/json\n";
const SUMMARY: &str = "They spoke of pumps and valves.";

#[derive(Debug)]
struct Locked(Vec<Mutex<Part>>);

impl Parts<Part> for Locked {
    fn with(&self, part: usize, work: &mut dyn FnMut(&mut Part)) {
        work(&mut self.0[part].lock().expect("no panic"));
    }
}

fn summarize() -> Summarize {
    Summarize {
        model: "same".into(),
        after_bytes: 1024,
        keep_turns: 1,
        max_tokens: 300,
        timeout_ms: 5_000,
        waits: true,
    }
}

/// `gpt` and `sonnet` are summed up as this says.
fn summing(summarize: Summarize, mode: CompressMode) -> Document {
    let mut document = document();
    for (name, model) in &mut document.models {
        if name != &summarize.model {
            model.compress = Some(Compress {
                mode,
                summarize: Some(summarize.clone()),
                ..Compress::default()
            });
        }
    }
    document
}

fn node(document: Document) -> Rig {
    let mut rig = Rig::new(document);
    let parts = (0..PARTS).map(|_| Mutex::default()).collect();
    rig.local.summaries = Some(Summaries::new(Locked(parts), Seed([1, 2])));
    rig.exchange.set_name(77);
    rig
}

/// Another shard of the node.
fn beside(rig: &Rig) -> Rig {
    let mut other = Rig::sharing(rig.pinned.clone());
    other.local.summaries.clone_from(&rig.local.summaries);
    other.now = rig.now;
    other
}

/// So many turns of the user, each old one with more than 2 KiB beside its answer.
fn turns(users: usize) -> Vec<Value> {
    let mut turns = Vec::new();
    for number in 1..=users {
        let text = format!("Question {number} is about a pump with a valve. ").repeat(50);
        turns.push(json!({ "role": "user", "content": text }));
        if number < users {
            turns.push(json!({ "role": "assistant", "content": format!("Answer {number}.") }));
        }
    }
    turns
}

fn chat(users: usize) -> String {
    json!({ "model": "gpt", "messages": turns(users) }).to_string()
}

/// The exchange that makes what the call wants; it has dialled.
fn begun(call: &mut Rig) -> Rig {
    let mut makes = beside(call);
    makes.begin(ASK, b"");
    assert!(makes.exchange.begin_summary(&mut call.exchange, makes.now));
    assert!(
        !beside(call).exchange.begin_summary(&mut call.exchange, call.now),
        "once"
    );
    makes
}

fn make(call: &mut Rig, status: u16, body: &str) -> (Rig, Vec<Did>) {
    let mut makes = begun(call);
    assert_eq!(dialled(&makes.feed(Input::Body)), [("one".to_owned(), false)]);
    makes.connected(1);
    let did = makes.whole_answer(status, body);
    (makes, did)
}

/// The call has dialled; what it sends.
fn goes_on(rig: &mut Rig, did: &[Did]) -> Vec<Value> {
    assert_eq!(dialled(did).len(), 1, "{did:?}");
    sent_messages(&rig.connected(1))
}

fn is_summed_up(turns: &[Value]) -> bool {
    turns[0]["content"].as_str().is_some_and(|text| text.ends_with(SUMMARY)) && turns[1]["content"] == "Noted."
}

#[test]
fn a_call_waits_for_its_summary_and_the_next_ones_have_it() {
    let mut call = node(summing(summarize(), CompressMode::On));
    assert_eq!(call.request(HEAD, chat(3).as_bytes()), [Did::Summarize]);
    let mut makes = begun(&mut call);
    makes.feed(Input::Body);
    let (head, body) = sent(&makes.connected(1));
    assert!(
        head.starts_with("POST /v1/chat/completions ") && !head.contains("secret-all"),
        "{head}"
    );
    let asked: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((&asked["model"], &asked["max_tokens"]), (&"same".into(), &300.into()));
    let record = asked["messages"][1]["content"].as_str().expect("a text");
    assert!(
        record.contains("User: Question 2 is") && record.contains("Assistant: Answer 2."),
        "{record}"
    );
    assert!(!record.contains("Question 3"), "the last turn stays");
    let did = makes.whole_answer(200, &chat_answer(SUMMARY, "stop"));
    assert_eq!(did.last(), Some(&Did::Turn(77)), "{did:?}");

    let did = call.feed(Input::Turn);
    let now = goes_on(&mut call, &did);
    assert!(is_summed_up(&now), "{now:?}");
    assert_eq!(now[2..], turns(3)[4..]);
    let record = call.exchange.record();
    assert_eq!(record.summary, Some(Summary::Used));
    assert!(
        record
            .compressed
            .is_some_and(|shorter| shorter.is_sent && shorter.tokens_saved() > 500)
    );

    // The caller's own call, with what it used.
    let record = makes.exchange.record();
    assert_eq!(
        (record.surface, record.key, record.team),
        ("summary", Some("all"), Some("research"))
    );
    assert_eq!(
        (record.model.map(|(_, name)| name), record.shadow),
        (Some("same"), false)
    );
    assert_eq!(record.usage.and_then(|usage| usage.input), Some(900));
    assert_eq!(
        (record.summary, record.request_id),
        (Some(Summary::Made), call.exchange.record().request_id)
    );

    // On another shard, without a further question: what is behind it is little.
    let mut next = beside(&call);
    let did = next.request(HEAD, chat(3).as_bytes());
    assert!(is_summed_up(&goes_on(&mut next, &did)));
    // The conversation goes on: only what is new is asked for, with what was summed up before.
    let mut later = beside(&call);
    assert_eq!(later.request(HEAD, chat(5).as_bytes()), [Did::Summarize]);
    let mut makes = begun(&mut later);
    makes.feed(Input::Body);
    let (_, body) = sent(&makes.connected(1));
    assert!(
        body.contains(SUMMARY) && body.contains("Question 4") && !body.contains("Question 2"),
        "{body}"
    );
    makes.whole_answer(200, &chat_answer("Pumps, valves, and more of them.", "stop"));
    let did = later.feed(Input::Turn);
    let now = goes_on(&mut later, &did);
    assert_eq!(now.len(), 3);
}

#[test]
fn a_call_goes_on_as_it_came_whatever_becomes_of_its_summary() {
    let long = "x".repeat(8 << 10);
    for (status, body) in [
        (500, "{}".to_owned()),
        (200, "{}".to_owned()),
        (200, chat_answer(SUMMARY, "length")),
        (200, chat_answer(SUMMARY, "content_filter")),
        (200, chat_answer("  ", "stop")),
        (200, chat_answer(&long, "stop")),
    ] {
        let mut call = node(summing(summarize(), CompressMode::On));
        assert_eq!(call.request(HEAD, chat(3).as_bytes()), [Did::Summarize]);
        let (makes, did) = make(&mut call, status, &body);
        assert_eq!(did.last(), Some(&Did::Turn(77)), "{status} {body}");
        assert_eq!(makes.exchange.record().summary, Some(Summary::Failed));
        let did = call.feed(Input::Turn);
        assert_eq!(goes_on(&mut call, &did), turns(3));
        assert_eq!(call.exchange.record().summary, Some(Summary::Missed));
        // It is not asked for again at once, and then it is.
        let mut next = beside(&call);
        let did = next.request(HEAD, chat(3).as_bytes());
        assert_eq!(goes_on(&mut next, &did), turns(3));
        let mut later = beside(&call);
        later.now = later.now.plus_ms(61_000);
        assert_eq!(later.request(HEAD, chat(3).as_bytes()), [Did::Summarize]);
    }
}

#[test]
fn a_call_waits_no_longer_than_it_may() {
    let mut call = node(summing(summarize(), CompressMode::On));
    call.request(HEAD, chat(3).as_bytes());
    let mut makes = begun(&mut call);
    makes.feed(Input::Body);
    makes.connected(1);
    let began = call.now;
    let did = call.expire();
    assert_eq!(call.now, began.plus_ms(5_000));
    assert_eq!(goes_on(&mut call, &did), turns(3));
    call.whole_answer(200, &chat_answer("It is a pump.", "stop"));
    assert!(
        call.exchange.record().gateway_ns < 1_000_000_000,
        "who waits for a model is not the gateway"
    );
    // So does the question itself.
    let did = makes.expire();
    assert_eq!(did.last(), Some(&Did::Turn(77)), "{did:?}");
    assert_eq!(call.feed(Input::Turn), [], "too late");
    // Where the shell cannot begin it, the call is told at once, and somebody else may try.
    let mut call = node(summing(summarize(), CompressMode::On));
    call.request(HEAD, chat(3).as_bytes());
    let did = call.feed(Input::Turn);
    assert_eq!(goes_on(&mut call, &did), turns(3));
    assert_eq!(beside(&call).request(HEAD, chat(3).as_bytes()), [Did::Summarize]);
}

#[test]
fn who_does_not_wait_is_answered_and_the_next_call_has_it() {
    let hurried = format!("{HEAD}x-tollgate-timeout: 9s\n");
    let told_not_to = Summarize {
        waits: false,
        ..summarize()
    };
    for (rules, mode, head) in [
        (told_not_to, CompressMode::On, HEAD),
        (summarize(), CompressMode::On, &*hurried),
        (summarize(), CompressMode::Shadow, HEAD),
    ] {
        let mut call = node(summing(rules, mode));
        let did = call.request(head, chat(3).as_bytes());
        assert_eq!(did[0], Did::Summarize);
        assert_eq!(goes_on(&mut call, &did[1..]), turns(3));
        let (_, did) = make(&mut call, 200, &chat_answer(SUMMARY, "stop"));
        assert_eq!(did.last(), Some(&Did::End), "nobody waits: {did:?}");
        let mut next = beside(&call);
        let did = next.request(head, chat(3).as_bytes());
        let now = goes_on(&mut next, &did);
        let record = next.exchange.record();
        assert!(record.compressed.is_some_and(|shorter| shorter.tokens_saved() > 500));
        assert_eq!(
            (is_summed_up(&now), record.summary),
            (mode == CompressMode::On, Some(Summary::Used))
        );
    }
}

#[test]
fn nobody_gets_what_was_summed_up_for_another_key() {
    let mut call = node(summing(summarize(), CompressMode::On));
    call.request(HEAD, chat(3).as_bytes());
    make(&mut call, 200, &chat_answer(SUMMARY, "stop"));
    let mut other = beside(&call);
    let head = HEAD.replace("secret-all", "secret-few");
    assert_eq!(other.request(&head, chat(3).as_bytes()), [Did::Summarize]);
    // Nor what was summed up for calls that may go elsewhere.
    let mut elsewhere = beside(&call);
    let head = format!("{HEAD}x-tollgate-tags: residency=eu\n");
    assert_eq!(elsewhere.request(&head, chat(3).as_bytes()), [Did::Summarize]);
}

#[test]
fn a_caller_who_cannot_afford_it_is_answered_without() {
    let mut document = summing(summarize(), CompressMode::On);
    let (_, same) = &mut document.models[1];
    same.limits = vec![Limit::new(Unit::Tokens, 10, Window::Calendar(Period::Month))];
    let mut call = node(document);
    call.request(HEAD, chat(3).as_bytes());
    let mut makes = begun(&mut call);
    let did = makes.feed(Input::Body);
    assert!(dialled(&did).is_empty(), "nobody is asked: {did:?}");
    assert_eq!(did.last(), Some(&Did::Turn(77)), "{did:?}");
    assert_eq!(makes.exchange.record().status, 429);
    let did = call.feed(Input::Turn);
    assert_eq!(goes_on(&mut call, &did), turns(3));
    // However often that is: it is no fault of the model's.
    for number in 0..6 {
        let mut next = beside(&call);
        let body = chat(3).replace("Question", &format!("In talk {number} question"));
        assert_eq!(next.request(HEAD, body.as_bytes()), [Did::Summarize]);
        let mut makes = begun(&mut next);
        makes.feed(Input::Body);
        assert_eq!(makes.exchange.record().summary, Some(Summary::Failed));
    }
}

/// Each call of a conversation that goes on has another longest beginning.
#[test]
fn a_conversation_that_grows_is_asked_for_once_while_a_summary_is_made_and_not_soon_after_it_failed() {
    let mut call = node(summing(summarize(), CompressMode::On));
    assert_eq!(call.request(HEAD, chat(3).as_bytes()), [Did::Summarize]);
    let asks = |after_ms: u64, users: usize| {
        let mut next = beside(&call);
        next.now = next.now.plus_ms(after_ms);
        let did = next.request(HEAD, chat(users).as_bytes());
        if did == [Did::Summarize] {
            return Some(next);
        }
        assert_eq!(goes_on(&mut next, &did), turns(users));
        None
    };
    assert!(asks(0, 4).is_none(), "one is on its way");
    // Nobody hears of that one any more; the next is given back when it is over.
    assert!(asks(6_000, 4).is_some());
    let mut failed = asks(6_000, 4).expect("it was given back");
    make(&mut failed, 200, &chat_answer(SUMMARY, "length"));
    for (after_ms, users, is_asked) in [(7_000, 5, false), (65_000, 6, false), (67_000, 7, true)] {
        let next = asks(after_ms, users);
        assert_eq!(next.is_some(), is_asked, "{users}");
        if let Some(mut next) = next {
            make(&mut next, 200, &chat_answer(SUMMARY, "length"));
        }
    }
    // Twice as long after the second.
    for (after_ms, users, is_asked) in [(135_000, 8, false), (190_000, 9, true)] {
        assert_eq!(asks(after_ms, users).is_some(), is_asked, "{users}");
    }
}

#[test]
fn a_model_that_fails_again_and_again_is_left_alone_and_then_asked_once() {
    let mut call = node(summing(summarize(), CompressMode::On));
    let body = |number: usize| chat(3).replace("Question", &format!("In talk {number} question"));
    let ask = |rig: &Rig, number: usize, after_ms: u64| {
        let mut next = beside(rig);
        next.now = next.now.plus_ms(after_ms);
        let did = next.request(HEAD, body(number).as_bytes());
        (did == [Did::Summarize]).then_some(next)
    };
    assert_eq!(call.request(HEAD, body(0).as_bytes()), [Did::Summarize]);
    make(&mut call, 500, "{}");
    for number in 1..5 {
        let mut next = ask(&call, number, 0).expect("others try");
        make(&mut next, 500, "{}");
    }
    assert!(ask(&call, 5, 0).is_none() && ask(&call, 6, 59_000).is_none());
    let mut tries = ask(&call, 7, 61_000).expect("one tries");
    assert!(ask(&call, 8, 61_000).is_none(), "and others wait for it");
    make(&mut tries, 200, &chat_answer(SUMMARY, "stop"));
    assert!(ask(&call, 8, 61_000).is_some(), "it is well");
}

#[test]
fn a_caller_of_one_call_at_once_has_its_summary() {
    let mut document = summing(summarize(), CompressMode::On);
    for (_, key) in &mut document.keys {
        key.limits = vec![Limit::new(Unit::Concurrent, 1, Window::None)];
    }
    let mut call = node(document);
    assert_eq!(call.request(HEAD, chat(3).as_bytes()), [Did::Summarize]);
    let mut makes = beside(&call);
    makes.local.limits = LocalLimits::new(Arc::clone(&call.local.limits.balances));
    makes.begin(ASK, b"");
    assert!(makes.exchange.begin_summary(&mut call.exchange, makes.now));
    assert_eq!(dialled(&makes.feed(Input::Body)).len(), 1);
    makes.connected(1);
    makes.whole_answer(200, &chat_answer(SUMMARY, "stop"));
    // The call has its own place, and nobody else has one.
    let mut other = beside(&call);
    other.local.limits = LocalLimits::new(Arc::clone(&call.local.limits.balances));
    assert!(dialled(&other.request(HEAD, chat(1).as_bytes())).is_empty());
    assert_eq!(other.exchange.record().status, 429);
    let did = call.feed(Input::Turn);
    assert!(is_summed_up(&goes_on(&mut call, &did)));
}

#[test]
fn short_conversations_and_other_models_ask_nobody() {
    let mut call = node(summing(summarize(), CompressMode::On));
    let did = call.request(HEAD, chat(1).as_bytes());
    assert_eq!(goes_on(&mut call, &did), turns(1));
    let body = chat(4).replace("\"gpt\"", "\"same\"");
    let mut other = beside(&call);
    let did = other.request(HEAD, body.as_bytes());
    assert_eq!(goes_on(&mut other, &did).len(), 7);
    assert_eq!(other.exchange.record().summary, None);
}

#[test]
fn what_a_tool_gives_behind_the_user_s_next_words_reaches_the_provider_with_its_call() {
    let long = "It was told at some length. ".repeat(60);
    let call_of = json!({ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } });
    let turns = json!([
        { "role": "user", "content": long },
        { "role": "assistant", "content": null, "tool_calls": [call_of] },
        { "role": "user", "content": "wait" },
        { "role": "tool", "tool_call_id": "c", "content": "found" },
    ]);
    let mut call = node(summing(summarize(), CompressMode::On));
    let did = call.request(
        HEAD,
        json!({ "model": "gpt", "messages": turns }).to_string().as_bytes(),
    );
    assert_eq!(Value::Array(goes_on(&mut call, &did)), turns);
}

#[test]
fn a_model_of_another_dialect_sums_up_what_another_answers() {
    let document = summing(
        Summarize {
            model: "sonnet".into(),
            ..summarize()
        },
        CompressMode::On,
    );
    let mut call = node(document);
    let body = json!({ "model": "gpt", "max_tokens": 9, "messages": turns(3) });
    assert_eq!(call.messages(&body.to_string()), [Did::Summarize]);
    let mut makes = begun(&mut call);
    makes.feed(Input::Body);
    let (head, body) = sent(&makes.connected(1));
    assert!(
        head.starts_with("POST /v1/messages ") && body.contains("\"max_tokens\":300"),
        "{head}{body}"
    );
    let said = json!({ "id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
        "content": [{ "type": "text", "text": SUMMARY }], "usage": { "input_tokens": 9, "output_tokens": 2 } });
    makes.whole_answer(200, &said.to_string());
    let did = call.feed(Input::Turn);
    let now = goes_on(&mut call, &did);
    assert!(is_summed_up(&now), "{now:?}");
}
