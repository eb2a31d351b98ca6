//! Buffered answers, and what they used.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        answer::Answer,
        event::{Began, Event, Reason},
    },
    json::Text,
    listen::usage_of,
    speak::Speaks,
    usage::Usage,
};

use super::{SPEAKS, call, golden, read_answer};

fn write(answer: &Answer) -> Vec<u8> {
    let mut out = Vec::new();
    SPEAKS.write_answer(answer, &call(), &mut out);
    out
}

#[test]
fn what_is_read_is_written_and_read_again() {
    for case in golden("answers") {
        let name = &case.name;
        let read = read_answer(&case.bytes).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        let written = write(&read);
        assert_eq!(
            read_answer(&written).as_ref(),
            Ok(&read),
            "{name}: {}",
            String::from_utf8_lossy(&written)
        );
        assert_eq!(usage_of(&SPEAKS, &case.bytes), read.usage, "{name}");
        assert_eq!(usage_of(&SPEAKS, &written), read.usage, "{name}");
    }
}

#[test]
fn golden_answers_say_what_they_should() {
    let cases = golden("answers");
    let read = |name: &str| {
        let case = cases.iter().find(|case| case.name == name).expect(name);
        read_answer(&case.bytes).expect(name)
    };
    let reason = |name: &str| read(name).choices[0].reason.clone();
    assert_eq!(reason("text"), Some(Reason::Stop));
    assert_eq!(reason("context_window"), Some(Reason::Length));
    assert_eq!(
        reason("stop_sequence"),
        Some(Reason::StopSequence(Some(Text::from("three"))))
    );
    assert_eq!(reason("stop_sequence_untold"), Some(Reason::StopSequence(None)));
    assert_eq!(reason("guardrail"), Some(Reason::Filtered));
    assert_eq!(
        reason("malformed_tool_use"),
        Some(Reason::Other(Text::from("malformed_tool_use")))
    );

    let calls = read("tool_calls").choices.remove(0);
    assert_eq!(calls.reason, Some(Reason::ToolCalls));
    let [_, first, second] = &calls.parts[..] else {
        panic!("three parts")
    };
    let expected = Began::ToolCall {
        id: Some(Text::from("tooluse_kZJMlvQmRJ6eAyJE5GIl7Q")),
        name: Text::from("get_weather"),
    };
    assert_eq!(first.what, expected);
    assert_eq!(second.text(), Text::from("{}"));

    let thought = &read("thinking").choices[0].parts;
    assert!(
        thought[0]
            .signature
            .as_ref()
            .is_some_and(|it| it.is("EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds/wsdDCHHQFYyyl2sZ5+Tz0+w=="))
    );
    assert_eq!(thought[1].what, Began::Sealed { id: None });

    let cited = &read("citations").choices[0].parts;
    let page = &cited[1].citations[0];
    assert_eq!(
        (page.document, page.document_start, page.pages),
        (Some(0), Some(3), true)
    );
    assert_eq!(cited[3].citations[0].url, Some(Text::from("https://example.com/costs")));
    let found = &read("citation_search").choices[0].parts[0].citations[0];
    assert_eq!(found.quoted, Some(Text::from("The Nile is about 6,650 km long.")));

    assert_eq!(read("server_tool").choices[0].parts.len(), 1);
    let usage = Usage {
        input: Some(14),
        cache_read: Some(1_800),
        cache_write_5m: Some(456),
        cache_write_1h: Some(200),
        output: Some(3),
        ..Usage::default()
    };
    assert_eq!(read("cache_usage").usage, Some(usage));
}

/// A whole answer of one choice from its events.
fn gathered(events: &[Event<'_>]) -> Value {
    let mut answer = Answer::default();
    for event in events {
        answer.take(event);
    }
    serde_json::from_slice(&write(&answer)).expect("JSON")
}

#[test]
fn answers_of_other_dialects_are_said() {
    let began = |choice, part, what| Event::Began { choice, part, what };
    let piece = |choice, part, text: &'static str| Event::Piece {
        choice,
        part,
        text: Text::from(text),
    };
    let call = |name: &'static str| Began::ToolCall {
        id: None,
        name: Text::from(name),
    };
    let usage = Usage {
        input: Some(10),
        input_audio: Some(5),
        cache_read: Some(100),
        output: Some(7),
        reasoning: Some(20),
        ..Usage::default()
    };
    let value = gathered(&[
        began(0, 0, Began::Text),
        began(0, 1, Began::Refusal),
        piece(0, 1, "I won't."),
        began(0, 2, call("cut")),
        piece(0, 2, "{\"a\":"),
        began(0, 3, call("empty")),
        began(1, 0, Began::Text),
        piece(1, 0, "another choice"),
        Event::Stopped {
            choice: 0,
            reason: Reason::Refused,
        },
        Event::Usage(usage),
        Event::Ended,
    ]);
    let expected = json!([
        {"text":"I won't."},
        {"toolUse":{"toolUseId":"call_0123456789abcdef_2","name":"cut","input":"{\"a\":"}},
        {"toolUse":{"toolUseId":"call_0123456789abcdef_3","name":"empty","input":{}}},
    ]);
    assert_eq!(
        value["output"]["message"],
        json!({"role":"assistant","content":expected})
    );
    assert_eq!(value["stopReason"], "content_filtered");
    let expected = json!({"inputTokens":15,"outputTokens":27,"totalTokens":142,"cacheReadInputTokens":100});
    assert_eq!(value["usage"], expected);
    assert_eq!(value["metrics"], json!({"latencyMs":0}));

    let value = gathered(&[Event::Stopped {
        choice: 0,
        reason: Reason::Other(Text::from("OTHER")),
    }]);
    assert_eq!(value["stopReason"], "OTHER");
    assert_eq!(
        value["usage"],
        json!({"inputTokens":0,"outputTokens":0,"totalTokens":0})
    );
}

#[test]
fn usage_is_read_class_by_class() {
    let table = [
        (
            r#"{"usage":{"inputTokens":3}}"#,
            Some(Usage {
                input: Some(3),
                ..Usage::default()
            }),
        ),
        (
            r#"{"usage":{"cacheWriteInputTokens":9,"cacheDetails":[{"ttl":"1h","inputTokens":9}]}}"#,
            Some(Usage {
                cache_write_1h: Some(9),
                ..Usage::default()
            }),
        ),
        (
            r#"{"usage":{"cacheWriteInputTokens":9,
                "cacheDetails":[{"ttl":"1h","inputTokens":4},{"ttl":"2d","inputTokens":1}]}}"#,
            Some(Usage {
                cache_write_1h: Some(4),
                cache_write_5m: Some(5),
                ..Usage::default()
            }),
        ),
        (
            r#"{"usage":{"cacheWriteInputTokens":0,"cacheDetails":[]}}"#,
            Some(Usage {
                cache_write_5m: Some(0),
                ..Usage::default()
            }),
        ),
        (
            r#"{"usage":{"inputTokens":-1,"outputTokens":"7","totalTokens":1e400}}"#,
            None,
        ),
        (r#"{"usage":{}}"#, None),
        (r#"{"usage":null}"#, None),
        (r#"{"usage":7}"#, None),
        (r#"{"output":{"usage":{"inputTokens":3}}}"#, None),
        ("no", None),
    ];
    for (body, usage) in table {
        assert_eq!(usage_of(&SPEAKS, body.as_bytes()), usage, "{body}");
    }
}
