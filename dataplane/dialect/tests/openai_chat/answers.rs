//! Every golden answer survives being written and read again.

use tollgate_dialect::{
    canonical::{
        answer::Answer,
        event::{Began, Citation, Event, Reason},
        fault::FaultKind,
    },
    openai_chat::SPEAKS,
    speak::Speaks,
    usage::Usage,
};

use super::corpus::{answer, call, corpus, golden, json};

#[test]
fn what_was_written_reads_as_what_was_read() {
    for (name, body) in corpus("answers") {
        let told = answer(&body);
        assert_eq!(told.outcome, Ok(()), "{name}");
        if told.answer.fault.is_some() {
            continue;
        }
        let mut out = Vec::new();
        SPEAKS.write_answer(&told.answer, &call(), &mut out);
        json(&out);
        let again = answer(&out);
        assert_eq!(again.answer, told.answer, "{name}: {}", String::from_utf8_lossy(&out));
    }
}

#[test]
fn answers_say_what_they_said() {
    for (name, parts, reason) in [
        ("text", &["text"][..], Reason::Stop),
        ("tool-calls", &["call", "call"], Reason::ToolCalls),
        ("text-and-tool-call", &["text", "call"], Reason::ToolCalls),
        ("forced-tool-says-stop", &["call"], Reason::ToolCalls),
        ("refusal", &["refusal"], Reason::Refused),
        ("length", &["text"], Reason::Length),
        ("content-filter", &["text"], Reason::Filtered),
        ("reasoning-content", &["thinking", "text"], Reason::Stop),
        (
            "reasoning-details",
            &["thinking", "sealed", "thinking", "text", "call"],
            Reason::ToolCalls,
        ),
        ("reasoning-signature-only", &["thinking", "text"], Reason::Stop),
        ("mistral-thinking", &["thinking", "text"], Reason::Stop),
        ("audio-answer", &["text"], Reason::Stop),
        ("empty-content", &[], Reason::Length),
    ] {
        let told = answer(&golden("answers", name)).answer;
        let kinds: Vec<&str> = told.choices[0].parts.iter().map(|part| kind(&part.what)).collect();
        assert_eq!(kinds, parts, "{name}");
        assert_eq!(told.choices[0].reason, Some(reason), "{name}");
    }
}

fn kind(what: &Began<'_>) -> &'static str {
    match what {
        Began::Text => "text",
        Began::Thinking => "thinking",
        Began::Sealed { .. } => "sealed",
        Began::Refusal => "refusal",
        Began::ToolCall { .. } => "call",
    }
}

#[test]
fn usage_is_disjoint_when_read_and_overlaps_when_written() {
    let told = answer(&golden("answers", "usage-of-every-class")).answer;
    let usage = Usage {
        input: Some(2000 - 1024 - 256 - 100 - 85),
        cache_read: Some(1024),
        cache_write_5m: Some(256),
        cache_write_1h: None,
        output: Some(500 - 200 - 70),
        reasoning: Some(200),
        input_audio: Some(100),
        output_audio: Some(70),
        input_image: Some(85),
    };
    assert_eq!(told.usage, Some(usage));
    let mut out = Vec::new();
    SPEAKS.write_answer(&told, &call(), &mut out);
    let expected = serde_json::json!({
        "prompt_tokens": 2000, "completion_tokens": 500, "total_tokens": 2500,
        "prompt_tokens_details":
            {"cached_tokens": 1024, "cache_write_tokens": 256, "audio_tokens": 100, "image_tokens": 85},
        "completion_tokens_details": {"reasoning_tokens": 200, "audio_tokens": 70},
    });
    assert_eq!(json(&out)["usage"], expected);
}

/// What other dialects say and this one never would.
fn foreign_answer() -> Answer {
    let mut foreign = Answer::default();
    let text = |choice, part, text: &'static str| Event::Piece {
        choice,
        part,
        text: text.into(),
    };
    let began = |part, what| Event::Began { choice: 0, part, what };
    for event in [
        Event::Started {
            id: None,
            model: None,
            created_unix_s: None,
        },
        began(0, Began::Text),
        text(0, 0, "Ein Bär. "),
        Event::Closed { choice: 0, part: 0 },
        began(1, Began::Text),
        text(0, 1, "Zwei."),
        Event::Citation {
            choice: 0,
            part: 1,
            citation: Citation {
                url: Some("https://example.com".into()),
                ..Citation::default()
            },
        },
        Event::Citation {
            choice: 0,
            part: 1,
            citation: Citation {
                document: Some(0),
                ..Citation::default()
            },
        },
        Event::Closed { choice: 0, part: 1 },
        began(
            2,
            Began::ToolCall {
                id: None,
                name: "now".into(),
            },
        ),
        Event::Closed { choice: 0, part: 2 },
        Event::Stopped {
            choice: 0,
            reason: Reason::ToolCalls,
        },
        Event::Usage(Usage {
            input: Some(5),
            cache_write_5m: Some(1),
            cache_write_1h: Some(2),
            output: Some(3),
            ..Usage::default()
        }),
        Event::Ended,
    ] {
        foreign.take(&event);
    }
    foreign
}

#[test]
fn another_dialects_answer_gets_what_clients_rely_on() {
    let foreign = foreign_answer();
    let mut out = Vec::new();
    SPEAKS.write_answer(&foreign, &call(), &mut out);
    let expected = serde_json::json!({
        "id": "chatcmpl-c0ffee", "object": "chat.completion", "created": 1_700_000_000, "model": "asked-for",
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant", "content": "Ein Bär. Zwei.", "refusal": null,
                "annotations": [{"type": "url_citation", "url_citation":
                    {"start_index": 9, "end_index": 14, "title": "https://example.com", "url": "https://example.com"}}],
                "tool_calls": [
                    {"id": "call_c0ffee_2", "type": "function", "function": {"name": "now", "arguments": "{}"}}],
            },
            "logprobs": null,
            "finish_reason": "tool_calls",
        }],
        "usage": {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11,
            "prompt_tokens_details": {"cache_write_tokens": 3}},
    });
    assert_eq!(json(&out), expected);
}

#[test]
fn a_reason_of_another_dialect_becomes_a_word_that_typed_clients_know() {
    for (reason, word) in [
        (Reason::StopSequence(Some("END".into())), "stop"),
        (Reason::Paused, "length"),
        (Reason::Refused, "content_filter"),
        (Reason::Other("MALFORMED_FUNCTION_CALL".into()), "stop"),
    ] {
        let mut foreign = Answer::default();
        foreign.take(&Event::Stopped { choice: 0, reason });
        let mut out = Vec::new();
        SPEAKS.write_answer(&foreign, &call(), &mut out);
        assert_eq!(json(&out)["choices"][0]["finish_reason"], word);
    }
}

#[test]
fn an_error_in_an_answer_is_a_fault() {
    for (name, kind) in [
        ("error-with-status-200", FaultKind::Internal),
        ("broken-off-choice", FaultKind::Internal),
    ] {
        let fault = answer(&golden("answers", name)).answer.fault.expect(name);
        assert_eq!((fault.kind, fault.status), (kind, 502), "{name}");
    }
}
