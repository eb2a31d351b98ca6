//! Buffered answers and error answers.

use serde_json::json;
use tollgate_dialect::{
    canonical::{
        answer::Answer,
        event::{Began, Citation, Event, Reason},
        fault::FaultKind,
    },
    cohere::SPEAKS,
    listen::usage_of,
    speak::Speaks as _,
    usage::Usage,
};

use super::{
    case,
    corpus::{call, cases, read_answer, write_answer},
    value,
};

#[test]
fn every_golden_answer_survives_the_writer() {
    for case in cases("cohere", "answers") {
        let answer = read_answer(&SPEAKS, &case.bytes).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let body = write_answer(&SPEAKS, &answer);
        let again = read_answer(&SPEAKS, &body).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(again, answer, "{}", case.name);
    }
}

#[test]
fn golden_answers_are_written_as_they_came() {
    for name in ["01", "03", "04", "05", "10", "11", "12", "16"] {
        let bytes = case("answers", name);
        let answer = read_answer(&SPEAKS, &bytes).expect("an answer");
        let (mut came, written) = (value(&bytes), value(&write_answer(&SPEAKS, &answer)));
        // What was billed is what is told.
        came["usage"]["tokens"] = written["usage"]["tokens"].clone();
        if name == "16" {
            came["message"] = json!({"role": "assistant"});
        }
        assert_eq!(written, came, "{name}");
    }
}

#[test]
fn answers_mean_what_cohere_means() {
    let usage = |input, output, cache_read, reasoning| Usage {
        input: Some(input),
        output: Some(output),
        cache_read,
        reasoning,
        ..Usage::default()
    };
    for (name, reason, used) in [
        ("01", Some(Reason::Stop), Some(usage(11, 14, None, None))),
        ("02", Some(Reason::Stop), Some(usage(176, 9, Some(1_024), None))),
        ("03", Some(Reason::ToolCalls), Some(usage(52, 31, None, None))),
        ("04", Some(Reason::Stop), Some(usage(9, 14, None, Some(44)))),
        ("10", Some(Reason::Length), Some(usage(8, 7, None, None))),
        ("11", Some(Reason::StopSequence(None)), Some(usage(8, 5, None, None))),
        ("13", Some(Reason::Stop), Some(usage(3, 2, None, None))),
        ("14", Some(Reason::Stop), Some(usage(3, 4, Some(64), None))),
        ("15", Some(Reason::Stop), None),
        ("17", Some(Reason::Filtered), Some(usage(5, 1, None, None))),
        ("18", None, Some(usage(5, 1, None, None))),
        (
            "19",
            Some(Reason::Other("USER_CANCEL".into())),
            Some(usage(5, 1, None, None)),
        ),
    ] {
        let answer = read_answer(&SPEAKS, &case("answers", name)).expect("an answer");
        assert_eq!((&answer.choices[0].reason, answer.usage), (&reason, used), "{name}");
        assert_eq!(answer.ended, reason.is_some(), "{name}");
        assert_eq!(answer.fault.is_some(), reason.is_none(), "{name}");
    }
    let cited = read_answer(&SPEAKS, &case("answers", "06")).expect("an answer");
    let citations = &cited.choices[0].parts[0].citations;
    let places: Vec<_> = citations.iter().map(|one| (one.start, one.end, one.document)).collect();
    assert_eq!(
        places,
        [
            (Some(0), Some(11), Some(0)),
            (Some(62), Some(80), Some(2)),
            (Some(62), Some(80), None)
        ]
    );
    assert!(citations[0].title.as_ref().is_some_and(|title| title.is("Herons")));
    assert!(
        citations[2]
            .url
            .as_ref()
            .is_some_and(|url| url.is("https://lake.example.org/survey/7"))
    );
    let plan = read_answer(&SPEAKS, &case("answers", "08")).expect("an answer");
    assert_eq!(plan.choices[0].parts[0].citations.len(), 1);
}

#[test]
fn usage_is_found_without_reading_the_answer() {
    for case in cases("cohere", "answers") {
        let answer = read_answer(&SPEAKS, &case.bytes).expect("an answer");
        assert_eq!(usage_of(&SPEAKS, &case.bytes), answer.usage, "{}", case.name);
    }
    for (event, used) in [
        (r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#, None),
        (r#"{"type":"message-end","delta":{"usage":null}}"#, None),
        (
            r#"{"type":"message-end","delta":{"usage":{"tokens":{"input_tokens":7.0}}}}"#,
            Some(7),
        ),
        (
            r#"{"delta":{"usage":{"billed_units":{"input_tokens":3},"tokens":{"input_tokens":7}}}}"#,
            Some(3),
        ),
        (r#"{"usage":"#, None),
    ] {
        let usage = usage_of(&SPEAKS, event.as_bytes());
        assert_eq!(usage.is_some(), used.is_some(), "{event}");
        assert_eq!(usage.and_then(|usage| usage.input), used, "{event}");
    }
}

#[test]
fn answers_of_other_dialects_have_all_that_a_client_reads() {
    let mut answer = Answer::default();
    let part = |part, what| Event::Began { choice: 0, part, what };
    let piece = |part, text: &'static str| Event::Piece {
        choice: 0,
        part,
        text: text.into(),
    };
    for event in [
        part(0, Began::Sealed { id: None }),
        part(1, Began::Text),
        piece(1, "It is so."),
        Event::Citation {
            choice: 0,
            part: 1,
            citation: Citation {
                title: Some("A book".into()),
                quoted: Some("so it is".into()),
                ..Citation::default()
            },
        },
        part(2, Began::Refusal),
        piece(2, "No more."),
        part(
            3,
            Began::ToolCall {
                id: None,
                name: "look".into(),
            },
        ),
        Event::Stopped {
            choice: 0,
            reason: Reason::Paused,
        },
    ] {
        answer.take(&event);
    }
    let written = value(&write_answer(&SPEAKS, &answer));
    assert_eq!(
        written,
        json!({
            "id": "00f1c0ffee0b5e55",
            "finish_reason": "PAUSED",
            "message": {
                "role": "assistant",
                "content": [{"type": "text", "text": "It is so."}, {"type": "text", "text": "No more."}],
                "tool_calls": [{"id": "call_00f1c0ffee0b5e55_3", "type": "function",
                                "function": {"name": "look", "arguments": "{}"}}],
                "citations": [{"start": 0, "end": 9, "text": "It is so.", "content_index": 0, "type": "TEXT_CONTENT",
                               "sources": [{"type": "document", "id": "A book",
                                            "document": {"id": "A book", "title": "A book", "snippet": "so it is"}}]}],
            },
        })
    );
}

#[test]
fn bodies_that_are_no_answers_are_refused() {
    for body in [
        "",
        "[]",
        "nonsense",
        r#"{"message":"internal server error"}"#,
        r#"{"id":"a","choices":[]}"#,
        r#"{"message":{"content":[{"type":"text"}]}}"#,
        r#"{"message":{"tool_calls":[{"id":"a"}]}}"#,
    ] {
        assert!(read_answer(&SPEAKS, body.as_bytes()).is_err(), "{body}");
    }
    let calls = vec![r#"{"id":"a","function":{"name":"b"}}"#; 5_000].join(",");
    assert!(
        read_answer(
            &SPEAKS,
            format!(r#"{{"message":{{"tool_calls":[{calls}]}}}}"#).as_bytes()
        )
        .is_err()
    );
}

#[test]
fn golden_faults_are_read_and_written() {
    let mut kinds = Vec::new();
    for case in cases("cohere", "faults") {
        let name = case.name.rsplit('/').next().unwrap_or_default();
        let status: u16 = name[..3].parse().expect("a status");
        let fault = SPEAKS.read_fault(status, &case.bytes);
        assert_eq!(fault.message, value(&case.bytes)["message"], "{name}");
        assert_eq!(fault.status, status);
        let mut out = Vec::new();
        let again = SPEAKS.write_fault(&fault, &call(), &mut out);
        assert_eq!(value(&out)["message"], fault.message.as_str(), "{name}");
        assert_eq!(value(&out)["id"], call().request_id.as_str());
        assert_eq!(SPEAKS.read_fault(again, &out).kind, fault.kind, "{name}");
        kinds.push((name.trim_end_matches(".json").to_owned(), fault.kind));
    }
    let expected = [
        ("400-bad-request", FaultKind::InvalidRequest),
        ("400-context-length", FaultKind::ContextLength),
        ("400-max-tokens", FaultKind::InvalidRequest),
        ("401-invalid-key", FaultKind::Authentication),
        ("402-billing", FaultKind::Quota),
        ("404-model-not-found", FaultKind::NotFound),
        ("422-unprocessable", FaultKind::InvalidRequest),
        ("429-rate-limit", FaultKind::RateLimited),
        ("429-trial-month", FaultKind::Quota),
        ("498-deny-listed", FaultKind::ContentPolicy),
        ("500-internal", FaultKind::Internal),
        ("503-unavailable", FaultKind::Overloaded),
        ("504-timeout", FaultKind::Timeout),
    ];
    assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)));
    for body in ["", "<html>", "[]", "{}", r#"{"message":7}"#] {
        let fault = SPEAKS.read_fault(498, body.as_bytes());
        assert_eq!((fault.kind, fault.status), (FaultKind::ContentPolicy, 498), "{body}");
    }
    let wrapped = SPEAKS.read_fault(502, br#"{"error":{"message":"no healthy upstream"}}"#);
    assert_eq!(
        (wrapped.kind, wrapped.message.as_str()),
        (FaultKind::Internal, "no healthy upstream")
    );
}
