//! Every golden stream reads the same however it is cut, and survives being written and read again.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        answer::Answer,
        event::{Began, Citation, Event, Reason},
        fault::{Fault, FaultKind},
    },
    openai_chat::SPEAKS,
    speak::{CallFacts, Speaks, WriteStream},
    usage::Usage,
};

use super::corpus::{self, answer, call, corpus, golden, named, stream};

#[test]
fn cuts_do_not_matter() {
    for (name, body) in corpus("streams") {
        let whole = stream([&body[..]]);
        assert_eq!(whole.outcome, Ok(()), "{name}");
        let bytewise = stream(body.chunks(1));
        assert_eq!(bytewise.events, whole.events, "{name}, byte by byte");
        for at in 0..body.len() {
            let (one, two) = body.split_at(at);
            let cut = stream([one, two]);
            assert_eq!(cut.events, whole.events, "{name}, cut at {at}");
        }
    }
}

#[test]
fn a_stream_that_is_cut_short_is_no_answer() {
    for (name, body) in corpus("streams") {
        let whole = stream([&body[..]]).answer;
        let done = String::from_utf8_lossy(&body)
            .find("data: [DONE]")
            .unwrap_or(body.len());
        let Some(cut) = body.get(..done.saturating_sub(1)).filter(|_| whole.fault.is_none()) else {
            continue;
        };
        let told = stream([cut]);
        let reason = told.outcome.expect_err(&name).reason;
        assert_eq!(reason, "it ended before it was complete", "{name}");
    }
}

fn rewritten(body: &[u8], call: &CallFacts) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = SPEAKS.stream_writer(call);
    let mut reader = SPEAKS.stream_reader();
    let sink = &mut |event: &Event<'_>| writer.write(&named(event), &mut out);
    reader.feed(body, sink).expect("a golden stream");
    reader.end(sink).expect("a golden stream");
    out
}

#[test]
fn what_was_written_reads_as_what_was_read() {
    for (name, body) in corpus("streams") {
        let told = stream([&body[..]]).answer;
        let out = rewritten(&body, &call());
        let again = stream([&out[..]]);
        assert_eq!(again.outcome, Ok(()), "{name}");
        match told.fault {
            None => assert_eq!(again.answer, told, "{name}: {}", String::from_utf8_lossy(&out)),
            Some(fault) => assert_eq!(again.answer.fault.expect(&name).kind, fault.kind, "{name}"),
        }
    }
}

/// The buffered answer that a stream's events gather to is read as the same answer.
#[test]
fn a_stream_that_is_gathered_says_the_same() {
    for (name, body) in corpus("streams") {
        let told = stream([&body[..]]).answer;
        // Texts around a call are one text in a buffered answer.
        if told.fault.is_some() || name == "text-after-tool" {
            continue;
        }
        let mut out = Vec::new();
        SPEAKS.write_answer(&told, &call(), &mut out);
        assert_eq!(answer(&out).answer, told, "{name}");
    }
}

#[test]
fn streams_say_what_they_said() {
    for (name, texts, reason) in [
        ("text", &["Hello \"world\"\n😀"][..], Reason::Stop),
        ("tools-parallel", &[r#"{"place":"Oslo"}"#, "{}"], Reason::ToolCalls),
        (
            "tools-interleaved",
            &["Looking.", r#"{"a":1}"#, r#"{"b":2}"#],
            Reason::ToolCalls,
        ),
        (
            "tools-without-index",
            &[r#"{"q":"a"}"#, r#"{"q":"b"}"#],
            Reason::ToolCalls,
        ),
        ("tools-of-one-index", &["{}", r#"{"x":1}"#], Reason::ToolCalls),
        ("tools-without-ids", &["{}", r#"{"x":[1,2]}"#], Reason::ToolCalls),
        ("tool-name-late", &[r#"{"a":1}"#], Reason::ToolCalls),
        ("tool-id-repeated", &[r#"{"a":1}"#], Reason::ToolCalls),
        ("legacy-function-call", &[r#"{"place":"Oslo"}"#], Reason::ToolCalls),
        ("refusal", &["I'm sorry, no."], Reason::Refused),
        ("reasoning-content", &["Compare tenths.", "9.8."], Reason::Stop),
        (
            "reasoning-details",
            &["First thought.", "EmwKAhgB", "Second.", "Cold.", r#"{"place":"Oslo"}"#],
            Reason::ToolCalls,
        ),
        ("reasoning-then-list-again", &["A thought.", "Yes."], Reason::Stop),
        ("reasoning-signed-twice", &["One.", "Two.", "Three."], Reason::Stop),
        ("reasoning-text-then-both", &["One two", "Three."], Reason::Stop),
        ("mistral-thinking", &["Let me see.", "42."], Reason::Stop),
        ("no-finish", &["Hi there"], Reason::Stop),
        ("no-finish-of-tool", &[r#"{"a":1}"#], Reason::ToolCalls),
        ("role-repeated-crlf", &["ab"], Reason::Stop),
        ("azure", &["Ok"], Reason::Stop),
        ("length", &["Once upon"], Reason::Length),
        ("content-filter", &["The plan"], Reason::Filtered),
        ("multi-line-data", &["joined"], Reason::Stop),
        ("without-last-blank-line", &["Hi"], Reason::Stop),
        ("finish-empty-until-known", &["Hi you"], Reason::Length),
    ] {
        let told = stream([&golden("streams", name)[..]]).answer;
        let parts = told.choices[0].parts.iter();
        let said: Vec<String> = parts
            .map(|part| part.text().plain().expect(name).into_owned())
            .collect();
        assert_eq!(said, texts, "{name}");
        assert_eq!(told.choices[0].reason, Some(reason), "{name}");
    }
}

#[test]
fn signatures_come_byte_for_byte() {
    for (name, signatures) in [
        ("reasoning-details", &["EqQBCkgIBRABGAIiQL8+/Zk=", "Zm9v"][..]),
        ("reasoning-then-list-again", &["c2ln"]),
        ("reasoning-signed-twice", &["b25l", "dHdv"]),
        ("gemini-signature", &["CtcBAdHtim+8/w=="]),
        ("gemini-text-signature", &["AbC/dEf+=="]),
    ] {
        let told = stream([&golden("streams", name)[..]]).answer;
        let parts = told.choices[0].parts.iter();
        let said: Vec<String> = parts
            .filter_map(|part| part.signature.as_ref()?.plain().map(|text| text.into_owned()))
            .collect();
        assert_eq!(said, signatures, "{name}");
    }
}

#[test]
fn usage_is_found_wherever_it_stands() {
    for (name, input, output) in [
        ("text", 4, 7),
        ("usage-beside-choices", 12, 2),
        ("usage-of-groq", 12, 2),
        ("reasoning-content", 14, 20),
        ("tools-without-index", 4, 7),
    ] {
        let usage = stream([&golden("streams", name)[..]]).answer.usage.expect(name);
        assert_eq!((usage.input, usage.output), (Some(input), Some(output)), "{name}");
    }
}

#[test]
fn errors_within_a_stream_are_faults() {
    for (name, kind, retry_after_ms) in [
        ("error-object", FaultKind::Internal, None),
        ("error-event", FaultKind::RateLimited, Some(3_000)),
        ("error-first", FaultKind::Overloaded, None),
        ("error-in-choice", FaultKind::Internal, None),
        ("error-in-chunk", FaultKind::Internal, None),
        ("finish-error", FaultKind::Internal, None),
        ("finish-overloaded", FaultKind::Overloaded, None),
    ] {
        let fault = stream([&golden("streams", name)[..]]).answer.fault.expect(name);
        assert_eq!((fault.kind, fault.retry_after_ms), (kind, retry_after_ms), "{name}");
    }
}

/// Usage before the end, parts that overlap, a call without arguments, a citation before its text.
fn foreign_events() -> Vec<Event<'static>> {
    let began = |part, what| Event::Began { choice: 0, part, what };
    let piece = |part, text: &'static str| Event::Piece {
        choice: 0,
        part,
        text: text.into(),
    };
    let closed = |part| Event::Closed { choice: 0, part };
    let tool = |id: &'static str, name: &'static str| Began::ToolCall {
        id: Some(id.into()),
        name: name.into(),
    };
    let citation = Citation {
        url: Some("https://a.b".into()),
        title: Some("A".into()),
        ..Citation::default()
    };
    vec![
        Event::Started {
            id: Some("msg_1".into()),
            model: Some("claude".into()),
            created_unix_s: None,
        },
        Event::Usage(Usage {
            input: Some(3),
            ..Usage::default()
        }),
        began(0, Began::Thinking),
        piece(0, "Hm."),
        Event::Signature {
            choice: 0,
            part: 0,
            text: "c2ln".into(),
        },
        closed(0),
        began(1, Began::Text),
        Event::Citation {
            choice: 0,
            part: 1,
            citation,
        },
        piece(1, "Ö"),
        closed(1),
        began(2, tool("t1", "one")),
        began(3, tool("t2", "two")),
        piece(3, "{\"x\":1}"),
        closed(3),
        closed(2),
        Event::Stopped {
            choice: 0,
            reason: Reason::ToolCalls,
        },
        Event::Usage(Usage {
            output: Some(9),
            ..Usage::default()
        }),
        Event::Ended,
    ]
}

fn chunks(call: &CallFacts, events: &[Event<'_>]) -> (Vec<Value>, bool) {
    let mut out = Vec::new();
    let mut writer: Box<dyn WriteStream> = SPEAKS.stream_writer(call);
    events.iter().for_each(|event| writer.write(event, &mut out));
    let text = String::from_utf8(out).expect("UTF-8");
    let mut events: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(events.pop(), Some(""), "the last event is complete");
    let done = events.last() == Some(&"data: [DONE]");
    let chunks = events.iter().filter(|event| **event != "data: [DONE]");
    let data = chunks.map(|event| corpus::json(event.strip_prefix("data: ").expect("one data line").as_bytes()));
    (data.collect(), done)
}

#[test]
fn chunks_are_those_that_the_sdk_joins() {
    let (chunks, done) = chunks(&call(), &foreign_events());
    assert!(done);
    let (last, choices) = chunks.split_last().expect("chunks");
    let deltas: Vec<_> = choices
        .iter()
        .map(|chunk| chunk["choices"][0]["delta"].clone())
        .collect();
    let call = |index: u32, rest: Value| {
        let mut call = json!({ "index": index });
        call.as_object_mut()
            .expect("object")
            .extend(rest.as_object().expect("object").clone());
        json!({ "tool_calls": [call] })
    };
    let thought = |rest: Value| {
        let mut detail = json!({ "type": "reasoning.text", "index": 0 });
        detail
            .as_object_mut()
            .expect("object")
            .extend(rest.as_object().expect("object").clone());
        json!([detail])
    };
    let begun =
        |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": ""}});
    let expected = [
        json!({"role": "assistant", "content": "", "refusal": null}),
        json!({"reasoning_content": "Hm.", "reasoning_details": thought(json!({"text": "Hm."}))}),
        json!({"reasoning_details": thought(json!({"signature": "c2ln"}))}),
        json!({"content": "Ö"}),
        json!({"annotations": [{"index": 0, "type": "url_citation", "url_citation":
            {"start_index": 0, "end_index": 1, "title": "A", "url": "https://a.b"}}]}),
        call(0, begun("t1", "one")),
        call(1, begun("t2", "two")),
        call(1, json!({"function": {"arguments": "{\"x\":1}"}})),
        call(0, json!({"function": {"arguments": "{}"}})),
        json!({}),
    ];
    assert_eq!(deltas, expected);
    for chunk in choices {
        assert_eq!(chunk["usage"], Value::Null);
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!((&chunk["id"], &chunk["model"]), (&"msg_1".into(), &"claude".into()));
        assert_eq!(chunk["created"], 1_700_000_000);
    }
    assert_eq!(choices[9]["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(last["choices"], json!([]));
    assert_eq!(
        last["usage"],
        json!({"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12})
    );
}

#[test]
fn a_client_that_did_not_ask_for_usage_sees_none() {
    let call = CallFacts {
        stream_usage: false,
        ..call()
    };
    let (chunks, done) = chunks(&call, &foreign_events());
    assert!(done && !chunks.is_empty());
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[test]
fn choices_are_begun_in_order() {
    let started = Event::Started {
        id: None,
        model: None,
        created_unix_s: None,
    };
    let began = Event::Began {
        choice: 2,
        part: 0,
        what: Began::Text,
    };
    let (chunks, done) = chunks(&call(), &[started, began]);
    let begun: Vec<_> = chunks
        .iter()
        .map(|chunk| chunk["choices"][0]["index"].clone())
        .collect();
    assert_eq!(begun, [0, 1, 2]);
    assert!(!done);
}

#[test]
fn a_failure_is_told_and_nothing_follows() {
    let fault = Fault::in_stream(FaultKind::Overloaded, "busy \"now\"");
    let (chunks, done) = chunks(&call(), &[Event::Failed(fault)]);
    assert!(!done);
    let expected = json!({"error":
        {"message": "busy \"now\"", "type": "server_error", "param": null, "code": "server_overloaded"}});
    assert_eq!(chunks, [expected]);
}

#[test]
fn a_surrogate_pair_in_two_deltas_is_one_character_in_the_end() {
    let delta =
        |text: &str| format!("data: {{\"id\":\"x\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let body = [delta("\\ud83d"), delta("\\ude00"), "data: [DONE]\n\n".into()].concat();
    let told: Answer = stream([body.as_bytes()]).answer;
    assert_eq!(told.choices[0].parts[0].text().plain().as_deref(), Some("😀"));
}
