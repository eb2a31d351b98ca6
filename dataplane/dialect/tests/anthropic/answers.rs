//! Golden answers: read, gathered, written to a client, and read again.

use tollgate_dialect::{
    canonical::{
        answer::Answer,
        event::{Began, Event, Reason},
    },
    json::Text,
    usage::Usage,
};

use super::{check_order, expected, gathered, golden, json, read_answer, written_answer};

#[test]
fn what_is_written_says_what_was_read() {
    for (name, case) in golden("answers") {
        let events = read_answer(&case).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        check_order(&name, &events);
        let before = gathered(&events);
        assert!(before.ended && before.usage.is_some(), "{name}");
        let written = written_answer(&before);
        assert_eq!(json(&written), expected("answers_written", &name, &case), "{name}");
        let mut after = gathered(&read_answer(&written).unwrap_or_else(|bad| panic!("{name}: {bad}")));
        if name == "stop_reason_from_later" {
            assert_eq!(before.choices[0].reason, Some(Reason::Other("compaction".into())));
            after.choices[0].reason = before.choices[0].reason.clone();
        }
        assert_eq!(before, after, "{name}");
    }
}

#[test]
fn usage_is_read_in_disjoint_classes() {
    let classes = |name: &str| {
        let case = golden("answers").into_iter().find(|(known, _)| known == name);
        let events = read_answer(&case.expect("the case").1).expect("an answer");
        gathered(&events).usage.expect("usage")
    };
    assert_eq!(
        classes("thinking_and_tool"),
        Usage {
            input: Some(310),
            output: Some(70),
            reasoning: Some(120),
            ..Usage::default()
        }
    );
    assert_eq!(
        classes("usage_of_caches"),
        Usage {
            input: Some(21),
            cache_read: Some(1_800),
            cache_write_5m: Some(456),
            cache_write_1h: Some(100),
            output: Some(503),
            ..Usage::default()
        }
    );
}

/// What other dialects report inside their totals is written inside Anthropic's.
#[test]
fn classes_without_a_member_of_their_own_are_counted_in_the_totals() {
    let mut answer = Answer::default();
    answer.take(&Event::Usage(Usage {
        input: Some(10),
        input_audio: Some(20),
        input_image: Some(30),
        cache_read: Some(5),
        output: Some(1),
        reasoning: Some(2),
        output_audio: Some(4),
        ..Usage::default()
    }));
    let usage = serde_json::json!({"input_tokens": 60, "cache_read_input_tokens": 5, "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 2}});
    assert_eq!(json(&written_answer(&answer))["usage"], usage);
}

#[test]
fn what_a_provider_did_not_say_is_made_up_from_the_call() {
    let mut answer = Answer::default();
    answer.take(&Event::Began {
        choice: 0,
        part: 0,
        what: Began::ToolCall {
            id: None,
            name: "look".into(),
        },
    });
    let written = json(&written_answer(&answer));
    assert_eq!(written["id"], "msg_5f0c");
    assert_eq!(written["model"], "the-alias");
    assert_eq!(written["content"][0]["id"], "call_5f0c_0");
    assert_eq!(written["content"][0]["input"], serde_json::json!({}));
    assert_eq!(
        written["usage"],
        serde_json::json!({"input_tokens": 0, "output_tokens": 0})
    );
}

#[test]
fn every_reason_has_a_word() {
    let reasons = [
        (Reason::Stop, "end_turn"),
        (Reason::StopSequence(None), "stop_sequence"),
        (Reason::Length, "max_tokens"),
        (Reason::ToolCalls, "tool_use"),
        (Reason::Filtered, "refusal"),
        (Reason::Refused, "refusal"),
        (Reason::Paused, "pause_turn"),
        (Reason::Other("MALFORMED_FUNCTION_CALL".into()), "end_turn"),
    ];
    for (reason, word) in reasons {
        let mut answer = Answer::default();
        answer.take(&Event::Stopped { choice: 0, reason });
        assert_eq!(json(&written_answer(&answer))["stop_reason"], word);
    }
}

/// A model that declined in words (OpenAI's `refusal`) refused.
#[test]
fn a_refusal_in_words_explains_the_stop() {
    let (choice, part) = (0, 0);
    let text = Text::from("I cannot \"help\".");
    let mut answer = Answer::default();
    for event in [
        Event::Began {
            choice,
            part,
            what: Began::Refusal,
        },
        Event::Piece { choice, part, text },
        Event::Closed { choice, part },
        Event::Stopped {
            choice,
            reason: Reason::Stop,
        },
    ] {
        answer.take(&event);
    }
    let written = json(&written_answer(&answer));
    assert_eq!(written["stop_reason"], "refusal");
    assert_eq!(written["stop_details"]["explanation"], "I cannot \"help\".");
    assert_eq!(written["content"], serde_json::json!([]));
}

#[test]
fn an_error_with_status_200_fails() {
    let events = read_answer(br#"{"type":"error","error":{"type":"overloaded_error","message":"Busy"}}"#);
    let answer = gathered(&events.expect("events"));
    assert_eq!(answer.fault.expect("a fault").message, "Busy");
    assert!(!answer.ended);
}

#[test]
fn what_is_no_answer_is_refused() {
    for (body, reason) in [
        ("", "it is not valid JSON"),
        ("[]", "it is not valid JSON"),
        ("{}", "it has no type"),
        (r#"{"type":"completion"}"#, "it is no message"),
        (r#"{"type":"message"}"#, "its content is no list"),
        (
            r#"{"type":"message","content":[]}"#,
            "it names no reason why it stopped",
        ),
        (
            r#"{"type":"message","content":[],"stop_reason":null}"#,
            "it names no reason why it stopped",
        ),
        (
            r#"{"type":"message","content":[],"stop_reason":4}"#,
            "its stop_reason is no string",
        ),
        (
            r#"{"type":"message","content":[4],"stop_reason":"end_turn"}"#,
            "a block has no type",
        ),
        (
            r#"{"type":"message","content":[{"type":"text"}],"stop_reason":"end_turn"}"#,
            "a block lacks its content",
        ),
        (
            r#"{"type":"message","content":[{"type":"tool_use"}],"stop_reason":"tool_use"}"#,
            "a tool call has no name",
        ),
        (r#"{"choices":[{"message":{"content":"hi"}}]}"#, "it has no type"),
    ] {
        let bad = read_answer(body.as_bytes()).expect_err(body);
        assert_eq!(bad.reason, reason, "{body}");
    }
}
