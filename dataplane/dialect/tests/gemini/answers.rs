//! Answers, buffered and streamed: the corpus there and back, and what clients of the SDK see.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        answer::Answer,
        event::{Began, Citation, Event, Reason, TokenLogprob},
        fault::{Fault, FaultKind},
    },
    gemini::SPEAKS,
    json::{Node, Text},
    speak::Speaks,
    usage::Usage,
};

use crate::rig::{Heard, answer, call, case, golden, json, responses, rewritten, stream, streamed};

#[test]
fn every_answer_comes_back_as_it_was() {
    for (name, body) in golden("answers") {
        let heard = answer(&body).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        assert!(heard.answer.ended && heard.answer.fault.is_none(), "{name}");
        in_order(&name, &heard);
        let mut out = Vec::new();
        SPEAKS.write_answer(&heard.answer, &call(false), &mut out);
        let again = answer(&out).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        assert_same(&name, &again.answer, &heard.answer);
    }
}

#[test]
fn every_stream_is_the_same_however_it_is_cut() {
    for (name, bytes) in golden("streams") {
        let whole = stream([&bytes[..]]).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        in_order(&name, &whole);
        assert_eq!(stream(bytes.chunks(1)).expect(&name), whole, "{name}: byte by byte");
        for cut in 1..bytes.len() {
            let (one, two) = bytes.split_at(cut);
            assert_eq!(stream([one, two]).expect(&name), whole, "{name}: cut at {cut}");
        }
    }
}

#[test]
fn every_stream_comes_back_as_it_was() {
    for (name, bytes) in golden("streams") {
        let heard = stream([&bytes[..]]).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        for as_array in [false, true] {
            let out = rewritten(&bytes, &call(as_array));
            if as_array {
                assert!(json(&out).is_array(), "{name}");
            } else {
                responses(&out);
            }
            let again = stream([&out[..]]).unwrap_or_else(|bad| panic!("{name}: {bad}"));
            assert_same(&name, &again.answer, &heard.answer);
        }
    }
}

/// All but what is no part of the answer's meaning.
fn assert_same(name: &str, again: &Answer, answer: &Answer) {
    assert_eq!(again.choices, answer.choices, "{name}");
    assert_eq!((&again.fault, again.ended), (&answer.fault, answer.ended), "{name}");
    if answer.fault.is_none() {
        assert_eq!(again.usage, answer.usage, "{name}");
        assert_eq!((&again.id, &again.model), (&answer.id, &answer.model), "{name}");
    }
}

/// The order that every reader promises.
fn in_order(name: &str, heard: &Heard) {
    let events = &heard.events;
    let is = |event: &str, kind: &str| event.starts_with(kind);
    let started = events.iter().filter(|event| is(event, "Started")).count();
    let failed = events.iter().position(|event| is(event, "Failed"));
    if let Some(failed) = failed {
        assert_eq!(failed, events.len() - 1, "{name}: {events:?}");
        return;
    }
    assert!(
        started == 1 && is(&events[0], "Started") && is(&events[events.len() - 1], "Ended"),
        "{name}: {events:?}"
    );
    for (index, choice) in heard.answer.choices.iter().enumerate() {
        let at = |kind: &str, part: Option<usize>| {
            let of = match part {
                Some(part) => format!("{kind} {{ choice: {index}, part: {part}"),
                None => format!("{kind} {{ choice: {index}"),
            };
            let found: Vec<_> = (0..events.len()).filter(|&at| events[at].starts_with(&of)).collect();
            assert_eq!(found.len(), 1, "{name}: {of}: {events:?}");
            found[0]
        };
        let stopped = at("Stopped", None);
        for part in 0..choice.parts.len() {
            let (began, closed) = (at("Began", Some(part)), at("Closed", Some(part)));
            assert!(began < closed && closed < stopped, "{name}: {events:?}");
            let mentions = format!("{{ choice: {index}, part: {part},");
            let about = (0..events.len()).filter(|&at| events[at].contains(&mentions));
            assert!(
                about.into_iter().all(|at| (began..=closed).contains(&at)),
                "{name}: {events:?}"
            );
        }
    }
}

fn only(answer: &Answer) -> (Vec<String>, String) {
    let parts = answer.choices[0].parts.iter().map(|part| {
        let what = match &part.what {
            Began::Text => "text".to_owned(),
            Began::Thinking => "thinking".to_owned(),
            Began::Sealed { .. } => "sealed".to_owned(),
            Began::Refusal => "refusal".to_owned(),
            Began::ToolCall { id, name } => {
                let id = id
                    .as_ref()
                    .map_or("–".into(), |id| id.plain().expect("a text").into_owned());
                format!("{}#{id}", name.plain().expect("a text"))
            }
        };
        let signed = if part.signature.is_some() { " signed" } else { "" };
        format!("{what}{signed}: {}", part.text().plain().expect("a text"))
    });
    (
        parts.collect(),
        format!("{:?}", answer.choices[0].reason.as_ref().expect("a reason")),
    )
}

#[test]
fn what_answers_say() {
    for (name, parts, reason) in [
        ("text.json", &["text: Because of Rayleigh scattering."][..], "Stop"),
        ("max_tokens.json", &["text: Once upon a"], "Length"),
        ("max_tokens_in_thought.json", &[], "Length"),
        (
            "tool_call.json",
            &["get_weather#fc_1 signed: {\"city\":\"Paris\",\"unit\":\"celsius\"}"],
            "ToolCalls",
        ),
        (
            "tool_calls_without_ids.json",
            &[
                "text: I will look.",
                "get_weather#–: {\"city\":\"Paris \\\"centre\\\"\"}",
                "get_weather#–: {\"city\":\"Rome\"}",
                "now#–: {}",
            ],
            "ToolCalls",
        ),
        (
            "thoughts.json",
            &[
                "thinking: The user asks about the sky.",
                "text signed: Because of scattering.",
            ],
            "Stop",
        ),
        ("signature_alone.json", &["text: Done.", "text signed: "], "Stop"),
        (
            "thought_signed.json",
            &["thinking signed: Let me see.", "now#fc_9 signed: {}"],
            "ToolCalls",
        ),
        ("safety.json", &[], "Filtered"),
        ("recitation_cut.json", &["text: It was the best of times"], "Filtered"),
        ("prompt_blocked.json", &[], "Filtered"),
        ("malformed_call.json", &[], "Other(Plain(\"MALFORMED_FUNCTION_CALL\"))"),
        ("code_execution.json", &["text: I compute.", "text: It is 1."], "Stop"),
    ] {
        let heard = answer(&case("answers", name)).expect(name);
        let (said, ended) = only(&heard.answer);
        assert_eq!(said, parts, "{name}");
        assert_eq!(ended, reason, "{name}");
    }
}

#[test]
fn what_streams_say() {
    for (name, parts, reason) in [
        (
            "text.sse",
            &["text: Because of Rayleigh scattering. ☃ \"quoted\""][..],
            "Stop",
        ),
        ("finish_in_its_own_event.sse", &["text: Hi"], "Stop"),
        ("stop_in_every_event.sse", &["text: Once upon"], "Length"),
        (
            "tool_call.sse",
            &["get_weather#fc_1 signed: {\"city\": \"Paris\"}"],
            "ToolCalls",
        ),
        (
            "tool_calls_parallel.sse",
            &[
                "text: I will look.",
                "get_weather#– signed: {\"city\": \"Paris\"}",
                "get_weather#–: {\"city\": \"Rome\", \"days\": [1, 2]}",
                "now#–: {}",
            ],
            "ToolCalls",
        ),
        (
            "thoughts.sse",
            &[
                "thinking: **Considering** the sky.",
                "text signed: Because of scattering.",
            ],
            "Stop",
        ),
        (
            "thought_signed.sse",
            &["thinking signed: Let me see.", "now#fc_9 signed: {}"],
            "ToolCalls",
        ),
        ("signature_before_text.sse", &["text signed: ", "text: Done."], "Stop"),
        ("safety.sse", &["text: First, take"], "Filtered"),
        ("prompt_blocked.sse", &[], "Filtered"),
        (
            "array.json",
            &["text: Because of Rayleigh scattering. ☃ \"quoted\""],
            "Stop",
        ),
        (
            "line_ends_and_comments.sse",
            &["text: Because of Rayleigh scattering. ☃ \"quoted\""],
            "Stop",
        ),
    ] {
        let heard = stream([&case("streams", name)[..]]).expect(name);
        let (said, ended) = only(&heard.answer);
        assert_eq!(said, parts, "{name}");
        assert_eq!(ended, reason, "{name}");
    }
}

#[test]
fn signatures_are_carried_byte_for_byte() {
    let body = case("answers", "sealed_thinking.json");
    let heard = answer(&body).expect("an answer");
    let sealed = heard.answer.choices[0].parts[0]
        .text()
        .plain()
        .expect("a text")
        .into_owned();
    assert_eq!(
        json(&body)["candidates"][0]["content"]["parts"][0]["thoughtSignature"],
        json!(sealed)
    );
    let bytes = case("streams", "thoughts.sse");
    let heard = stream([&bytes[..]]).expect("a stream");
    let signature = heard.answer.choices[0].parts[1].signature.clone().expect("a signature");
    let sent = responses(&bytes);
    let sent = &sent[4]["candidates"][0]["content"]["parts"][0]["thoughtSignature"];
    assert!(signature.is(sent.as_str().expect("a signature")));
    let out = responses(&rewritten(&bytes, &call(false)));
    let written = out
        .iter()
        .find_map(|response| response.pointer("/candidates/0/content/parts/0/thoughtSignature"));
    assert_eq!(written, Some(sent));
}

#[test]
fn usage_is_in_disjoint_classes() {
    for (name, usage) in [
        (
            "text.json",
            Usage {
                input: Some(12),
                output: Some(7),
                ..Usage::default()
            },
        ),
        (
            "thoughts.json",
            Usage {
                input: Some(86),
                cache_read: Some(1_920),
                output: Some(44),
                reasoning: Some(256),
                ..Usage::default()
            },
        ),
        (
            "audio_usage.json",
            Usage {
                input: Some(50),
                output: Some(5),
                input_audio: Some(32),
                input_image: Some(258),
                ..Usage::default()
            },
        ),
        ("no_usage.json", Usage::default()),
    ] {
        let heard = answer(&case("answers", name)).expect(name);
        assert_eq!(heard.answer.usage.unwrap_or_default(), usage, "{name}");
    }
}

#[test]
fn citations_have_places_in_characters() {
    let cited = |name| {
        let heard = answer(&case("answers", name)).expect(name);
        let part = &heard.answer.choices[0].parts[0];
        let text = part.text().plain().expect("a text").into_owned();
        let places = part.citations.iter().map(|citation| {
            let url = citation
                .url
                .clone()
                .map(|url| url.plain().expect("a text").into_owned());
            let words = citation.start.zip(citation.end).map(|(start, end)| {
                text.chars()
                    .skip(start as usize)
                    .take((end - start) as usize)
                    .collect::<String>()
            });
            (url.unwrap_or_default(), words.unwrap_or_default())
        });
        places.collect::<Vec<_>>()
    };
    let (a, b) = ("https://example.com/a", "https://example.com/b");
    let expected = [
        (a, "Spain won Euro 2024, beating England."),
        (b, "Spain won Euro 2024, beating England."),
        ("gs://b/report.pdf", "It was in Berlin."),
        ("https://example.com/unused", ""),
    ]
    .map(|(url, words)| (url.to_owned(), words.to_owned()));
    assert_eq!(cited("grounded.json"), expected);
    for name in ["recited.json", "recited_vertex.json"] {
        assert_eq!(
            cited(name),
            [(
                "https://example.com/hamlet".to_owned(),
                "To be, or not to be.".to_owned()
            )]
        );
    }
}

#[test]
fn a_refusal_and_a_text_of_another_dialect_are_text() {
    let events = [
        Event::Started {
            id: None,
            model: None,
            created_unix_s: None,
        },
        began(0, Began::Refusal),
        piece(0, "I cannot "),
        piece(0, "help."),
        closed(0),
        stopped(Reason::Refused),
        Event::Ended,
    ];
    let mut whole = Answer::default();
    events.iter().for_each(|event| whole.take(event));
    let mut out = Vec::new();
    SPEAKS.write_answer(&whole, &call(false), &mut out);
    let expected = json!({
        "candidates": [{
            "content": { "parts": [{ "text": "I cannot help." }], "role": "model" },
            "finishReason": "SAFETY",
            "index": 0,
        }],
        "modelVersion": "asked-for",
        "responseId": "0123456789abcdef",
    });
    assert_eq!(json(&out), expected);
    let last = responses(&streamed(&events, false)).pop().expect("a last response");
    assert_eq!(last["candidates"][0], json!({ "finishReason": "SAFETY", "index": 0 }));
}

#[test]
fn reasons_are_said_in_its_words() {
    for (reason, word) in [
        (Reason::Stop, "STOP"),
        (Reason::StopSequence(Some(Text::from("END"))), "STOP"),
        (Reason::ToolCalls, "STOP"),
        (Reason::Length, "MAX_TOKENS"),
        (Reason::Filtered, "SAFETY"),
        (Reason::Refused, "SAFETY"),
        (Reason::Paused, "CONTINUATION"),
        (
            Reason::Other(Text::from("UNEXPECTED_TOOL_CALL")),
            "UNEXPECTED_TOOL_CALL",
        ),
        (Reason::Other(Text::from("eos_token")), "OTHER"),
    ] {
        let out = streamed(&[started(), stopped(reason.clone()), Event::Ended], false);
        assert_eq!(
            responses(&out)[0]["candidates"][0]["finishReason"],
            json!(word),
            "{reason:?}"
        );
    }
}

#[test]
fn calls_that_overlap_come_whole_and_apart() {
    let events = [
        started(),
        Event::Usage(Usage {
            input: Some(3),
            ..Usage::default()
        }),
        began(0, Began::Text),
        piece(0, "Look: "),
        began(1, tool("a", "f")),
        piece(1, "{\"x\":"),
        began(2, tool("b", "g")),
        piece(2, ""),
        piece(1, "\"\\"),
        piece(0, "now"),
        piece(1, "u00e9\"}"),
        closed(2),
        Event::Signature {
            choice: 0,
            part: 1,
            text: Text::from("c2ln"),
        },
        closed(1),
        closed(0),
        stopped(Reason::ToolCalls),
        Event::Usage(Usage {
            output: Some(4),
            ..Usage::default()
        }),
        Event::Ended,
    ];
    for as_array in [false, true] {
        let out = streamed(&events, as_array);
        let responses = match as_array {
            false => responses(&out),
            true => json(&out).as_array().expect("an array").clone(),
        };
        let part = |index: usize| responses[index]["candidates"][0]["content"]["parts"][0].clone();
        assert_eq!(
            [part(0), part(1), part(2), part(3)],
            [
                json!({ "text": "Look: " }),
                json!({ "text": "now" }),
                json!({ "functionCall": { "id": "b", "name": "g", "args": {} } }),
                json!({ "functionCall": { "id": "a", "name": "f", "args": { "x": "é" } }, "thoughtSignature": "c2ln" }),
            ]
        );
        let expected = json!({
            "candidates": [{
                "content": { "parts": [{ "text": "" }], "role": "model" },
                "finishReason": "STOP",
                "index": 0,
            }],
            "usageMetadata": { "promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7 },
            "modelVersion": "m",
            "responseId": "r",
        });
        assert_eq!(responses[4..], [expected]);
    }
}

#[test]
fn arguments_that_are_no_object_are_a_malformed_call() {
    for arguments in ["{\"a\":", "[1]", "\"text\""] {
        let events = [
            started(),
            began(0, tool("a", "f")),
            piece(0, arguments),
            closed(0),
            stopped(Reason::ToolCalls),
            Event::Ended,
        ];
        let last = responses(&streamed(&events, false)).pop().expect("a last response");
        assert_eq!(
            last["candidates"][0]["finishReason"], "MALFORMED_FUNCTION_CALL",
            "{arguments}"
        );
        let mut whole = Answer::default();
        events.iter().for_each(|event| whole.take(event));
        let mut out = Vec::new();
        SPEAKS.write_answer(&whole, &call(false), &mut out);
        assert_eq!(
            json(&out)["candidates"][0]["finishReason"],
            "MALFORMED_FUNCTION_CALL",
            "{arguments}"
        );
    }
}

#[test]
fn a_failure_ends_the_stream_in_its_own_shape() {
    let fault = || Event::Failed(Fault::in_stream(FaultKind::Overloaded, "busy"));
    let error = json!({ "error": { "code": 503, "message": "busy", "status": "UNAVAILABLE" } });
    let events = [started(), began(0, Began::Text), piece(0, "Hi"), fault()];
    let out = streamed(&events, false);
    assert_eq!(responses(&out)[1], error);
    // The SDK looks at how the event begins.
    assert!(String::from_utf8_lossy(&out).contains("data: {\"error\":{"));
    assert_eq!(json(&streamed(&events, true))[1], error);
    assert_eq!(json(&streamed(&[fault()], true)), json!([error]));
    assert_eq!(responses(&streamed(&[fault()], false)), [error]);
}

#[test]
fn citations_and_logprobs_are_written() {
    let body = br#"{"n":-0.5}"#;
    let logprob = Node::document(body)
        .ok()
        .and_then(|node| node.get("n")?.number())
        .expect("a number");
    let token = |token: &'static str, top| TokenLogprob {
        token: Text::from(token),
        logprob,
        bytes: None,
        top,
    };
    let citation = |url: &'static str, start, end| Event::Citation {
        choice: 0,
        part: 0,
        citation: Citation {
            url: Some(Text::from(url)),
            start,
            end,
            ..Citation::default()
        },
    };
    let events = [
        started(),
        began(0, Began::Text),
        piece(0, "é1"),
        Event::Logprobs {
            choice: 0,
            part: 0,
            tokens: vec![token("é", vec![token("a", vec![])])],
        },
        citation("https://a", Some(1), Some(2)),
        citation("https://b", None, None),
        citation("https://a", Some(0), Some(1)),
        closed(0),
        stopped(Reason::Stop),
        Event::Ended,
    ];
    let responses = responses(&streamed(&events, false));
    assert_eq!(
        responses[1]["candidates"][0]["logprobsResult"],
        json!({
            "chosenCandidates": [{ "token": "é", "logProbability": -0.5 }],
            "topCandidates": [{ "candidates": [{ "token": "a", "logProbability": -0.5 }] }],
        })
    );
    let support = |start: u64, end: u64| {
        let segment = json!({ "startIndex": start, "endIndex": end });
        json!({ "segment": segment, "groundingChunkIndices": [0] })
    };
    let expected: Value = json!({
        "groundingChunks": [{ "web": { "uri": "https://a" } }, { "web": { "uri": "https://b" } }],
        "groundingSupports": [support(2, 3), support(0, 2)],
    });
    assert_eq!(responses[2]["candidates"][0]["groundingMetadata"], expected);
}

fn started() -> Event<'static> {
    Event::Started {
        id: Some(Text::from("r")),
        model: Some(Text::from("m")),
        created_unix_s: None,
    }
}

fn began(part: u32, what: Began<'static>) -> Event<'static> {
    Event::Began { choice: 0, part, what }
}

fn tool(id: &'static str, name: &'static str) -> Began<'static> {
    Began::ToolCall {
        id: Some(Text::from(id)),
        name: Text::from(name),
    }
}

fn piece(part: u32, text: &'static str) -> Event<'static> {
    let text = Text::from(text);
    Event::Piece { choice: 0, part, text }
}

fn closed(part: u32) -> Event<'static> {
    Event::Closed { choice: 0, part }
}

fn stopped(reason: Reason<'static>) -> Event<'static> {
    Event::Stopped { choice: 0, reason }
}
