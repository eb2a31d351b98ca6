//! What may be summed up of a conversation, and where it may be cut.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::exact::Seed;

fn known_by() -> SipHasher13 {
    Seed([1, 2]).hasher()
}

fn old(body: &Value, keep_turns: usize) -> Option<Old> {
    Old::of(body.to_string().as_bytes(), keep_turns, known_by())
}

fn said(role: &str, text: &str) -> Value {
    json!({ "role": role, "content": text })
}

/// `users` turns of the user, each with an answer but the last.
fn chat(users: usize) -> Vec<Value> {
    let mut turns = vec![said("system", "Be brief.")];
    for number in 1..=users {
        turns.push(said("user", &format!("question {number}")));
        if number < users {
            turns.push(said("assistant", &format!("answer {number}")));
        }
    }
    turns
}

/// With the longest beginning replaced.
fn replaced(body: &Value, keep_turns: usize, dialect: Dialect) -> Option<Value> {
    let old = old(body, keep_turns)?;
    let last = *old.beginnings.last()?;
    let out = old.replaced(body.to_string().as_bytes(), last, (dialect, "So far."))?;
    Some(serde_json::from_slice(&out).expect("JSON"))
}

#[test]
fn the_last_turns_stay_and_what_went_before_has_beginnings() {
    let body = json!({ "messages": chat(4) });
    let found = old(&body, 2).expect("two turns are old");
    assert_eq!(
        found.record,
        "User: question 1\nAssistant: answer 1\nUser: question 2\nAssistant: answer 2\n"
    );
    assert_eq!(found.beginnings.len(), 2);
    assert_eq!(found.all_bytes(), found.record.len());
    assert!(old(&body, 4).is_none() && old(&body, 3).is_some());
    // A conversation that goes on has the beginnings that it had.
    let later = old(&json!({ "messages": chat(6), "temperature": 0 }), 2).expect("four are old");
    let names = |old: &Old| old.beginnings.iter().map(|one| one.name).collect::<Vec<_>>();
    assert_eq!(names(&later)[..2], names(&found));
    // And another's are others.
    let mut other = chat(4);
    other[1] = said("user", "question 0");
    assert!(
        names(&old(&json!({ "messages": other }), 2).expect("old"))
            .iter()
            .all(|name| !names(&found).contains(name))
    );
}

#[test]
fn a_beginning_is_replaced_in_every_dialect() {
    let long = "It was said at some length that all of this has to be known. ".repeat(9);
    let alternating = |user: &dyn Fn(&str, &str) -> Value| {
        let speakers = ["user", "assistant", "user", "assistant", "user"];
        speakers.map(|role| user(role, &long)).to_vec()
    };
    let text = |role: &str, text: &str| said(role, text);
    let parts = |role: &str, text: &str| {
        let role = if role == "assistant" { "model" } else { role };
        json!({ "role": role, "parts": [{ "text": text }] })
    };
    let blocks = |role: &str, text: &str| json!({ "role": role, "content": [{ "text": text }] });
    for dialect in Dialect::ALL {
        let (name, turns, at) = match dialect {
            Dialect::Gemini => ("contents", alternating(&parts), "/parts/0/text"),
            Dialect::Bedrock => ("messages", alternating(&blocks), "/content/0/text"),
            Dialect::OpenAiResponses => ("input", alternating(&text), "/content"),
            Dialect::OpenAi | Dialect::Anthropic | Dialect::Cohere => ("messages", alternating(&text), "/content"),
        };
        let body = json!({ "system": "kept", name: turns });
        let out = replaced(&body, 1, dialect).expect("shorter");
        let now = out[name].as_array().expect("turns");
        assert_eq!(now.len(), 3, "{dialect:?}: {out}");
        let summary = now[0].pointer(at).and_then(Value::as_str).expect("a text");
        assert_eq!(summary, [LABEL, "So far."].concat());
        let roles: Vec<_> = now.iter().map(|turn| turn["role"].as_str()).collect();
        let answers = if dialect == Dialect::Gemini {
            "model"
        } else {
            "assistant"
        };
        assert_eq!(roles, [Some("user"), Some(answers), Some("user")]);
        assert_eq!((&now[2], &out["system"]), (&turns[4], &body["system"]));
    }
}

#[test]
fn calls_of_tools_are_told_with_what_they_gave() {
    let openai = json!({ "messages": [
        said("user", "look"),
        { "role": "assistant", "content": null, "refusal": null,
          "tool_calls": [{ "id": "1", "type": "function", "function": { "name": "find", "arguments": "{\"q\":1}" } }] },
        { "role": "tool", "tool_call_id": "1", "content": "found it" },
        said("assistant", "there"), said("user", "now") ] });
    let anthropic = json!({ "messages": [
        { "role": "user", "content": [{ "type": "text", "text": "look" }] },
        { "role": "assistant", "content": [
            { "type": "thinking", "thinking": "hm", "signature": "s" },
            { "type": "tool_use", "id": "1", "name": "find", "input": { "q": 1 } }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "1", "content": [{ "type": "text", "text": "found it" }] }] },
        { "role": "assistant", "content": "there" }, said("user", "now") ] });
    let responses = json!({ "input": [
        { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "look" }] },
        { "type": "reasoning", "id": "r", "summary": [] },
        { "type": "function_call", "call_id": "1", "name": "find", "arguments": "{\"q\":1}" },
        { "type": "function_call_output", "call_id": "1", "output": "found it" },
        { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "there", "annotations": [] }] },
        said("user", "now") ] });
    let gemini = json!({ "contents": [
        { "role": "user", "parts": [{ "text": "look" }] },
        { "role": "model", "parts": [{ "text": "hm", "thought": true }, { "functionCall": { "name": "find", "args": { "q": 1 } }, "thoughtSignature": "s" }] },
        { "role": "user", "parts": [{ "functionResponse": { "name": "find", "response": "found it" } }] },
        { "role": "model", "parts": [{ "text": "there" }] }, { "role": "user", "parts": [{ "text": "now" }] } ] });
    let bedrock = json!({ "messages": [
        { "role": "user", "content": [{ "text": "look" }] },
        { "role": "assistant", "content": [{ "toolUse": { "toolUseId": "1", "name": "find", "input": { "q": 1 } } }] },
        { "role": "user", "content": [{ "toolResult": { "toolUseId": "1", "content": [{ "text": "found it" }] } }] },
        { "role": "assistant", "content": [{ "text": "there" }] }, { "role": "user", "content": [{ "text": "now" }] } ] });
    for body in [openai, anthropic, responses, gemini, bedrock] {
        let old = old(&body, 1).unwrap_or_else(|| panic!("{body}"));
        assert_eq!(
            old.record, "User: look\nAssistant called find with {\"q\":1}\nTool: found it\nAssistant: there\n",
            "{body}"
        );
        // What a tool gave is no turn of the user: the conversation is not cut before it.
        assert_eq!(old.beginnings.len(), 1, "{body}");
    }
}

/// A turn of the user's stands between the call of a tool and what that gave: cut there, a provider refuses what is left.
#[test]
fn what_a_tool_gives_late_stays_with_its_call() {
    let call =
        |id: &str, name: &str| json!({ "id": id, "type": "function", "function": { "name": name, "arguments": "{}" } });
    let openai = json!({ "messages": [
        said("user", "look"),
        { "role": "assistant", "content": null, "tool_calls": [call("1", "find"), call("2", "find")] },
        { "role": "tool", "tool_call_id": "2", "content": "second" },
        said("user", "wait"),
        { "role": "tool", "tool_call_id": "1", "content": "first" },
        said("user", "now") ] });
    let responses = json!({ "input": [
        said("user", "look"),
        { "type": "function_call", "id": "fc", "call_id": "1", "name": "find", "arguments": "{}" },
        said("user", "wait"),
        { "type": "function_call_output", "id": "fo", "call_id": "1", "output": "first" },
        said("user", "now") ] });
    let anthropic = json!({ "messages": [
        said("user", "look"),
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "1", "name": "find", "input": {} }] },
        said("user", "wait"),
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "1", "content": "first" }] },
        said("user", "now") ] });
    let cohere = json!({ "messages": [
        said("user", "look"),
        { "role": "assistant", "tool_plan": "I look.", "tool_calls": [call("1", "find")] },
        said("user", "wait"),
        { "role": "tool", "tool_call_id": "1", "content": [{ "type": "text", "text": "first" }] },
        said("user", "now") ] });
    let text = |role: &str, text: &str| json!({ "role": role, "parts": [{ "text": text }] });
    let gemini = json!({ "contents": [
        text("user", "look"),
        { "role": "model", "parts": [{ "functionCall": { "id": "1", "name": "find", "args": {} } }] },
        text("user", "wait"),
        { "role": "user", "parts": [{ "functionResponse": { "name": "find", "response": { "is": "first" } } }] },
        text("user", "now") ] });
    let text = |role: &str, text: &str| json!({ "role": role, "content": [{ "text": text }] });
    let bedrock = json!({ "messages": [
        text("user", "look"),
        { "role": "assistant", "content": [{ "toolUse": { "toolUseId": "1", "name": "find", "input": {} } }] },
        text("user", "wait"),
        { "role": "user", "content": [{ "toolResult": { "toolUseId": "1", "content": [{ "text": "first" }] } }] },
        text("user", "now") ] });
    for (name, body) in [
        ("messages", openai),
        ("input", responses),
        ("messages", anthropic),
        ("messages", cohere),
        ("contents", gemini),
        ("messages", bedrock),
    ] {
        let found = old(&body, 1).unwrap_or_else(|| panic!("{body}"));
        assert!(found.record.contains("first"), "{body}");
        // Before the user's second turn and before that the call is whole; in front of `wait` it is not.
        let ends: Vec<usize> = found.beginnings.iter().map(|one| one.end).collect();
        let text = body.to_string();
        let last = body[name]
            .as_array()
            .and_then(|turns| turns.last())
            .map(Value::to_string);
        assert_eq!(
            ends,
            [text.rfind(&last.unwrap_or_default()).unwrap_or_default()],
            "{body}"
        );
        // What it gives has not come, or belongs to what stays.
        assert!(old(&body, 2).is_none(), "{body}");
    }
}

#[test]
fn who_said_it_and_what_failed_is_told_and_what_was_cited_stays() {
    let named = |role: &str, name: &str, text: &str| json!({ "role": role, "name": name, "content": text });
    let body = json!({ "messages": [
        named("user", "alice", "I earn 5."), named("assistant", "bot", "Noted."), said("user", "now") ] });
    let found = old(&body, 1).expect("it is old");
    assert_eq!(found.record, "User (alice): I earn 5.\nAssistant (bot): Noted.\n");
    let anthropic = |content: &str, is_error: bool| {
        json!({ "messages": [
            said("user", "look"),
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "1", "name": "f", "input": {} }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "1", "is_error": is_error, "content": content }] },
            said("user", "now") ] })
    };
    let bedrock = json!({ "messages": [
        { "role": "user", "content": [{ "text": "look" }] },
        { "role": "assistant", "content": [{ "toolUse": { "toolUseId": "1", "name": "f", "input": {} } }] },
        { "role": "user", "content": [{ "toolResult": { "toolUseId": "1", "status": "error", "content": [{ "text": "boom" }] } }] },
        { "role": "user", "content": [{ "text": "now" }] } ] });
    for (body, told) in [
        (anthropic("boom", true), "Tool (failed): boom"),
        (anthropic("", true), "Tool (failed): nothing was given"),
        (anthropic("boom", false), "Tool: boom"),
        (bedrock, "Tool (failed): boom"),
    ] {
        let found = old(&body, 1).expect("it is old");
        assert_eq!(
            found.record,
            format!("User: look\nAssistant called f with {{}}\n{told}\n"),
            "{body}"
        );
    }
    for (annotations, stays) in [
        (json!([{ "type": "url_citation", "url": "https://a.example" }]), true),
        (json!([]), false),
        (Value::Null, false),
    ] {
        let said_so = json!({ "role": "assistant", "content": "see", "annotations": annotations });
        let block = json!([{ "type": "output_text", "text": "see", "annotations": annotations }]);
        let in_block = json!({ "type": "message", "role": "assistant", "content": block });
        for (name, cited) in [("messages", said_so), ("input", in_block)] {
            let body = json!({ name: [said("user", "look"), cited, said("user", "now")] });
            assert_eq!(old(&body, 1).is_none(), stays, "{body}");
        }
    }
}

#[test]
fn what_cannot_be_told_stays_and_so_does_all_behind_it() {
    let picture = json!({ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:" } }] });
    let marked = json!({ "role": "user", "content": [{ "type": "text", "text": "b", "cache_control": { "type": "ephemeral" } }] });
    let file = json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "1", "content": [{ "type": "image", "source": {} }] }] });
    let sound = json!({ "role": "assistant", "content": null, "audio": { "id": "a" } });
    let late = json!({ "role": "developer", "content": "From now on in French." });
    for odd in [picture, marked, file, sound, late] {
        let before = [
            said("user", "a"),
            said("assistant", "b"),
            said("user", "c"),
            said("assistant", "d"),
        ];
        let behind = [said("user", "e"), said("assistant", "f"), said("user", "g")];
        let turns = [&before[..], std::slice::from_ref(&odd), &behind].concat();
        let found = old(&json!({ "messages": turns }), 1).expect("something is old");
        assert!(!found.record.contains(": e"), "{odd}: {}", found.record);
        let turns = [std::slice::from_ref(&odd), &before, &behind].concat();
        let first = old(&json!({ "messages": turns }), 1);
        // Told at the beginning it is part of what the model is told to be.
        assert_eq!(first.is_some(), odd["role"] == "developer", "{odd}");
    }
}

#[test]
fn what_is_no_list_of_turns_has_nothing_old() {
    for body in [
        json!([]),
        json!({ "messages": "a" }),
        json!({ "messages": [] }),
        json!({ "input": "a" }),
        json!({ "prompt": "a" }),
        json!({ "messages": chat(9), "input": chat(9) }),
        json!({ "messages": [said("user", "a"), said("assistant", "b")] }),
    ] {
        assert!(old(&body, 1).is_none(), "{body}");
    }
    let long =
        json!({ "messages": [said("user", &"a".repeat(MAX_BODY_BYTES)), said("assistant", "b"), said("user", "c")] });
    assert!(old(&long, 1).is_none());
}

#[test]
fn a_long_record_is_summed_up_from_its_beginning() {
    let mut turns = Vec::new();
    for _ in 0..9 {
        turns.extend([said("user", &"word ".repeat(8 << 10)), said("assistant", "yes")]);
    }
    turns.push(said("user", "now"));
    let old = old(&json!({ "messages": turns }), 1).expect("it is old");
    let first = old.next(0).expect("some of it fits");
    assert!(first.bytes <= MAX_RECORD_BYTES && first.bytes > MAX_RECORD_BYTES / 2);
    let second = old.next(first.bytes).expect("the rest fits");
    assert_eq!(second.bytes, old.all_bytes());
    assert_eq!(old.next(second.bytes), None);
}

#[derive(Clone, Debug)]
enum Kind {
    User,
    Picture,
    Answer,
    /// A call of a tool and what that gave.
    Pair,
    /// The same with the user's words between the two.
    Parted,
    Told,
}

fn turn(kind: &Kind, number: usize) -> Vec<Value> {
    let long = format!("number {number}, which is told at some length. ").repeat(6);
    match kind {
        Kind::User => vec![said("user", &long)],
        Kind::Picture => {
            vec![json!({ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": long } }] })]
        }
        Kind::Answer => vec![said("assistant", &long)],
        Kind::Told => vec![said("system", &long)],
        Kind::Pair => vec![
            json!({ "role": "assistant", "tool_calls": [{ "id": number, "type": "function", "function": { "name": "f", "arguments": long } }] }),
            json!({ "role": "tool", "tool_call_id": number, "content": long }),
        ],
        Kind::Parted => {
            let mut turns = turn(&Kind::Pair, number);
            turns.insert(1, said("user", &long));
            turns
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_said_the_end_stays_word_for_word_and_no_pair_is_parted(
        kinds in prop::collection::vec(
            prop_oneof![4 => Just(Kind::User), 4 => Just(Kind::Answer), 3 => Just(Kind::Pair), 2 => Just(Kind::Parted), 1 => Just(Kind::Picture), 1 => Just(Kind::Told)],
            0..40,
        ),
        keep_turns in 1usize..5,
    ) {
        let turns: Vec<Value> = kinds.iter().enumerate().flat_map(|(number, kind)| turn(kind, number)).collect();
        let body = json!({ "model": "m", "messages": turns, "stream": true });
        let text = body.to_string();
        let Some(old) = old(&body, keep_turns) else { return Ok(()) };
        for beginning in &old.beginnings {
            let Some(out) = old.replaced(text.as_bytes(), *beginning, (Dialect::OpenAi, "So far.")) else { continue };
            let out: Value = serde_json::from_slice(&out).expect("JSON");
            prop_assert_eq!((&out["model"], &out["stream"]), (&body["model"], &body["stream"]));
            let now = out["messages"].as_array().expect("turns");
            let told = turns.iter().take_while(|turn| turn["role"] == "system").count();
            prop_assert_eq!(&now[..told], &turns[..told]);
            let tail = &now[told + 2..];
            prop_assert!(tail.len() < turns.len() && turns.ends_with(tail));
            prop_assert_eq!(&tail[0]["role"], "user");
            let users = tail.iter().filter(|turn| turn["role"] == "user").count();
            prop_assert!(users >= keep_turns);
            for given in tail.iter().filter(|turn| turn["role"] == "tool") {
                let id = &given["tool_call_id"];
                prop_assert!(tail.iter().any(|turn| turn["tool_calls"][0]["id"] == *id));
            }
            // What went is all text and calls of tools.
            let gone = &turns[told..turns.len() - tail.len()];
            prop_assert!(gone.iter().all(|turn| turn["role"] != "system" && !turn.to_string().contains("image_url")));
        }
    }
}
