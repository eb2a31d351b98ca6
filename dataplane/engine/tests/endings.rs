//! Translated answers end when their dialect says so, not when their connection does; and they may come compressed.

mod rig;

use std::io::Write as _;

use rig::{Did, Rig, body_of, header, reply, six};
use tollgate_config::document::Dialect;
use tollgate_engine::{
    Input,
    exchange::UpstreamFault,
    outputs::AttemptId,
    record::{AttemptOutcome, Outcome},
};
use tollgate_wire::eventstream;

/// A stream of each dialect that says `hi` and ends with the dialect's own last event. Gemini's has none but the end of
/// its array.
fn stream(dialect: Dialect) -> Vec<u8> {
    let text = match dialect {
        Dialect::OpenAi => {
            "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n\
             data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n"
        }
        Dialect::OpenAiResponses => {
            "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n\
             data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,\"delta\":\"hi\"}\n\n\
             data: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\",\"status\":\"completed\",\
             \"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"hi\"}]}],\
             \"usage\":{\"input_tokens\":9,\"output_tokens\":2}}}\n\n"
        }
        Dialect::Anthropic => {
            "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":9}}}\n\n\
             data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"hi\"}}\n\n\
             data: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
             data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n\
             data: {\"type\":\"message_stop\"}\n\n"
        }
        Dialect::Gemini => {
            "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hi\"}]},\"finishReason\":\"STOP\"}],\
             \"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":2}}]"
        }
        Dialect::Cohere => {
            "data: {\"type\":\"content-delta\",\"index\":0,\"delta\":{\"message\":{\"content\":{\"text\":\"hi\"}}}}\n\n\
             data: {\"type\":\"message-end\",\"delta\":{\"finish_reason\":\"COMPLETE\",\
             \"usage\":{\"tokens\":{\"input_tokens\":9,\"output_tokens\":2}}}}\n\n"
        }
        Dialect::Bedrock => {
            let mut bytes = Vec::new();
            for (name, payload) in [
                ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"hi"}}"#),
                ("messageStop", r#"{"stopReason":"end_turn"}"#),
                (
                    "metadata",
                    r#"{"usage":{"inputTokens":9,"outputTokens":2,"totalTokens":11}}"#,
                ),
            ] {
                eventstream::write_event(&mut bytes, name, |out| out.extend_from_slice(payload.as_bytes()));
            }
            return bytes;
        }
    };
    text.as_bytes().to_vec()
}

fn head(dialect: Dialect) -> String {
    let kind = match dialect {
        Dialect::Bedrock => "application/vnd.amazon.eventstream",
        Dialect::Gemini => "application/json",
        _ => "text/event-stream; charset=utf-8",
    };
    format!("HTTP/1.1 200 OK\ncontent-type: {kind}\ntransfer-encoding: chunked\n")
}

/// A call in a dialect that the target does not speak, whose answer's head has come.
fn called(target: Dialect, stream: bool, more: &str) -> Rig {
    let mut rig = Rig::new(six());
    let name = target.name();
    match target {
        Dialect::Anthropic => rig.chat(&format!(
            r#"{{"model":"{name}","stream":{stream},"messages":[{{"role":"user","content":"?"}}]}}"#
        )),
        _ => rig.messages(&format!(
            r#"{{"model":"{name}","max_tokens":9,"stream":{stream},"messages":[{{"role":"user","content":"?"}}]}}"#
        )),
    };
    rig.connected(1);
    rig.answer(1, &(head(target) + more));
    rig
}

fn feed(rig: &mut Rig, bytes: &[u8]) -> Vec<Did> {
    rig.feed(Input::UpstreamBody(AttemptId(1), bytes))
}

const OVER: [Did; 3] = [Did::Leave { attempt: 1 }, Did::Settle, Did::End];

#[test]
fn a_streaming_client_has_its_end_with_the_providers_last_event() {
    for target in Dialect::ALL {
        let bytes = stream(target);
        for slice in [1, 50, bytes.len()] {
            let mut rig = called(target, true, "");
            let (mut down, mut last) = (String::new(), Vec::new());
            for part in bytes.chunks(slice) {
                last = feed(&mut rig, part);
                down += &body_of(&last);
            }
            assert_eq!(last[last.len() - 3..], OVER, "{target:?} by {slice}");
            let end = if target == Dialect::Anthropic {
                "[DONE]"
            } else {
                "message_stop"
            };
            assert!(down.contains("hi") && down.contains(end), "{target:?}: {down}");
            let record = rig.exchange.record();
            assert_eq!((record.outcome, record.status), (Outcome::Complete, 200), "{target:?}");
            let usage = record.usage.unwrap_or_default();
            assert_eq!((usage.input, usage.output), (Some(9), Some(2)), "{target:?}");
            assert_eq!(
                rig.exchange.attempts().last().map(|(_, outcome)| outcome),
                Some(AttemptOutcome::Ok)
            );
            // Whatever becomes of the connection is nobody's affair.
            assert_eq!(rig.failed(1, UpstreamFault::Cut), []);
        }
    }
}

#[test]
fn a_client_that_wants_it_whole_has_it_with_the_last_event_too() {
    // Gemini's events have no last one.
    for target in Dialect::ALL.into_iter().filter(|target| *target != Dialect::Gemini) {
        let mut rig = called(target, false, "");
        let did = feed(&mut rig, &stream(target));
        let (status, lines, body) = reply(&did);
        assert_eq!(status, 200, "{target:?}: {body}");
        assert_eq!(header(&lines, "x-tollgate-provider"), Some(target.name()));
        assert!(body.contains("\"hi\""), "{target:?}: {body}");
        assert_eq!(did[did.len() - 3..], OVER, "{target:?}");
    }
}

#[test]
fn an_error_event_answers_a_client_that_wants_it_whole_at_once() {
    for (target, event, status) in [
        (
            Dialect::OpenAi,
            "data: {\"error\":{\"message\":\"slow down\",\"type\":\"rate_limit_error\",\"code\":\"rate_limit_exceeded\"}}\n\n",
            429,
        ),
        (
            Dialect::Anthropic,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"slow down\"}}\n\n",
            503,
        ),
        (
            Dialect::Cohere,
            "data: {\"type\":\"error\",\"status_code\":429,\"message\":\"slow down\"}\n\n",
            429,
        ),
        (
            Dialect::OpenAiResponses,
            "data: {\"type\":\"error\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"slow down\"}}\n\n",
            429,
        ),
    ] {
        let mut rig = called(target, false, "");
        let did = feed(&mut rig, event.as_bytes());
        let (got, _, body) = reply(&did);
        assert_eq!(got, status, "{target:?}: {body}");
        assert!(body.contains("slow down"), "{target:?}: {body}");
        assert_eq!(did[did.len() - 3..], OVER, "{target:?}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

#[test]
fn what_comes_compressed_is_translated_all_the_same() {
    let stream = gzip(&stream(Dialect::OpenAi));
    for slice in [1, 9, stream.len()] {
        let mut rig = called(Dialect::OpenAi, true, "content-encoding: gzip\n");
        let down: String = stream
            .chunks(slice)
            .map(|part| body_of(&feed(&mut rig, part)))
            .collect();
        assert!(down.contains("hi") && down.contains("message_stop"), "{down}");
    }
    let json = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\ncontent-encoding: br\n";
    // {"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}
    let brotli = b"\x03\x20\x80{\"choices\":[{\"message\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\x03";
    let mut rig = Rig::new(six());
    rig.messages(r#"{"model":"openai","max_tokens":9,"messages":[{"role":"user","content":"?"}]}"#);
    rig.connected(1);
    rig.answer(1, json);
    feed(&mut rig, brotli);
    let (status, lines, body) = reply(&rig.end(1));
    assert_eq!(status, 200, "{body}");
    assert_eq!(header(&lines, "content-encoding"), None);
    assert!(body.contains("\"hi\""), "{body}");
}

#[test]
fn an_error_answer_may_come_compressed() {
    let mut rig = Rig::new(six());
    rig.messages(r#"{"model":"openai","max_tokens":9,"messages":[{"role":"user","content":"?"}]}"#);
    rig.connected(1);
    rig.answer(
        1,
        "HTTP/1.1 400 Bad\ncontent-encoding: gzip\ntransfer-encoding: chunked\n",
    );
    feed(
        &mut rig,
        &gzip(br#"{"error":{"message":"too warm","param":"temperature"}}"#),
    );
    let (status, _, body) = reply(&rig.end(1));
    assert_eq!(status, 400);
    assert!(body.contains("too warm"), "{body}");
}

#[test]
fn what_cannot_be_decoded_is_a_502_that_says_why() {
    for (coding, bytes, says) in [
        (
            "gzip",
            b"{\"choices\":[{\"message\":{}}]}".to_vec(),
            "not what its content-encoding says",
        ),
        ("gzip", gzip(&[b' '; 3_000_000]), "hides more than 256 KiB"),
        ("rot13", Vec::new(), "none of gzip, deflate, br and zstd"),
    ] {
        let mut rig = Rig::new(six());
        rig.messages(r#"{"model":"openai","max_tokens":9,"messages":[{"role":"user","content":"?"}]}"#);
        rig.connected(1);
        let head = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\ncontent-encoding: ";
        let mut did = rig.answer(1, &format!("{head}{coding}\n"));
        if did.is_empty() {
            did = feed(&mut rig, &bytes);
        }
        let (status, _, body) = reply(&did);
        assert_eq!(status, 502, "{coding}");
        assert!(body.contains(says), "{body}");
    }
}
