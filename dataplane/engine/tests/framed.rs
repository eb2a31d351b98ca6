//! Anthropic's models at Bedrock's InvokeModel: what goes up, and streams whose events come in frames of AWS.

mod rig;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rig::{Did, Rig, body_of, document, header, reply, sent};
use serde_json::{Value, json};
use tollgate_config::{Document, check, parse};
use tollgate_engine::{
    Input,
    outputs::{AttemptId, ReplyFraming},
};
use tollgate_wire::eventstream;

fn bedrock() -> Document {
    let text = r#"{"version": 1,
        "providers": {"p": {"kind": "bedrock-anthropic", "region": "us-east-1", "credential": "env:C"}},
        "models": {"m": {"targets": [{"provider": "p", "model": "anthropic.claude-haiku-4-5-20251001-v1:0"}]}}}"#;
    let tree = parse::parse(text).expect("JSON");
    let mut written = check::check(&tree).unwrap_or_else(|problems| panic!("{problems:?}"));
    written.keys = document().keys;
    written.keys[0].1.pass_through = true;
    written
}

const EVENTS: [&str; 6] = [
    r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":11,"cache_read_input_tokens":5,"output_tokens":1}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hé"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":7}}"#,
    r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":11}}"#,
];
const STREAM_HEAD: &str = "HTTP/1.1 200 OK\ncontent-type: application/vnd.amazon.eventstream\n\
                           transfer-encoding: chunked\nx-amzn-requestid: up-1\n";

fn frames(events: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        let payload = json!({ "bytes": STANDARD.encode(event), "p": "abcdef" }).to_string();
        eventstream::write_event(&mut out, "chunk", |out| out.extend_from_slice(payload.as_bytes()));
    }
    out
}

/// The server-sent events that Anthropic itself would have sent.
fn plain(events: &[&str]) -> String {
    let one = |event: &&str| {
        let tree: Value = serde_json::from_str(event).expect("JSON");
        format!("event: {}\ndata: {event}\n\n", tree["type"].as_str().expect("a type"))
    };
    events.iter().map(one).collect()
}

fn ask(rig: &mut Rig, head: &str, body: &Value) -> (String, String) {
    let did = rig.request(head, body.to_string().as_bytes());
    assert!(matches!(did[..], [Did::Dial { .. }]), "{did:?}");
    sent(&rig.connected(1))
}

const MESSAGES: &str = "POST /v1/messages HTTP/1.1\nhost: g\nx-api-key: secret-all\nanthropic-version: 2023-06-01\n\
                        anthropic-beta: one-2025-01-01, two-2025-01-01\n";
const CHAT: &str = "POST /v1/chat/completions HTTP/1.1\nhost: g\nx-api-key: secret-all\n";

fn message(stream: bool) -> Value {
    json!({
        "model": "m", "max_tokens": 64, "stream": stream, "container": "only Anthropic knows it",
        "messages": [ { "role": "user", "content": "hi" } ],
    })
}

/// Feeds bytes in reads of this size; what went down.
fn read(rig: &mut Rig, bytes: &[u8], size: usize) -> Vec<Did> {
    let mut did = Vec::new();
    for piece in bytes.chunks(size) {
        did.extend(rig.feed(Input::UpstreamBody(AttemptId(1), piece)));
    }
    did
}

#[test]
fn a_clients_own_request_gets_the_members_that_bedrock_wants_and_keeps_all_others() {
    let mut rig = Rig::new(bedrock());
    let (head, body) = ask(&mut rig, MESSAGES, &message(false));
    let line = "POST /model/anthropic.claude-haiku-4-5-20251001-v1%3A0/invoke HTTP/1.1\r\n";
    assert!(head.starts_with(line), "{head}");
    assert_eq!(header(&head, "anthropic-version"), None);
    assert_eq!(header(&head, "anthropic-beta"), None);
    let up: Value = serde_json::from_str(&body).expect("JSON");
    let right = json!({
        "max_tokens": 64, "container": "only Anthropic knows it", "messages": [ { "role": "user", "content": "hi" } ],
        "anthropic_version": "bedrock-2023-05-31", "anthropic_beta": [ "one-2025-01-01", "two-2025-01-01" ],
    });
    assert_eq!(up, right);
    // An answer in one piece is Anthropic's own, and passes untouched.
    let answer = r#"{"id":"msg_1","unheard":"of","usage":{"input_tokens":3,"output_tokens":2}}"#;
    let head = format!(
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
        answer.len()
    );
    assert_eq!(rig.answer(1, &head), [], "its head waits for what it cost");
    let (status, lines, body) = reply(&rig.body(1, answer));
    assert_eq!((status, header(&lines, "x-tollgate-dropped")), (200, None));
    assert_eq!(body, answer);
    rig.end(1);
    assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.output), Some(2));
}

#[test]
fn a_stream_is_taken_out_of_its_frames_wherever_reads_cut_it() {
    let bytes = frames(&EVENTS);
    for size in [1, 7, 100, bytes.len()] {
        let mut rig = Rig::new(bedrock());
        let (head, body) = ask(&mut rig, MESSAGES, &message(true));
        assert!(head.contains("/invoke-with-response-stream HTTP/1.1"), "{head}");
        assert_eq!(header(&head, "accept"), Some("application/vnd.amazon.eventstream"));
        assert!(!body.contains("\"stream\""), "{body}");
        let did = rig.answer(1, STREAM_HEAD);
        let Some(Did::Head { lines, framing, .. }) = did.first() else {
            panic!("{did:?}")
        };
        assert_eq!(header(lines, "content-type"), Some("text/event-stream; charset=utf-8"));
        assert_eq!(lines.matches("content-type").count(), 1, "{lines}");
        assert_eq!(*framing, ReplyFraming::Stream);
        assert_eq!(
            body_of(&read(&mut rig, &bytes, size)),
            plain(&EVENTS),
            "reads of {size}"
        );
        assert_eq!(rig.end(1), [Did::Settle, Did::End]);
        let usage = rig.exchange.record().usage.expect("it was read");
        assert_eq!(
            (usage.input, usage.cache_read, usage.output),
            (Some(11), Some(5), Some(7))
        );
    }
}

#[test]
fn the_same_stream_in_another_dialect() {
    let mut rig = Rig::new(bedrock());
    let body = json!({ "model": "m", "stream": true, "messages": [ { "role": "user", "content": "hi" } ] });
    let (_, up) = ask(&mut rig, CHAT, &body);
    assert!(
        up.contains(r#""anthropic_version":"bedrock-2023-05-31""#) && !up.contains("\"model\""),
        "{up}"
    );
    rig.answer(1, STREAM_HEAD);
    let down = body_of(&read(&mut rig, &frames(&EVENTS), 50));
    assert!(
        down.contains(r#""content":"Hé""#) && down.contains(r#""finish_reason":"stop""#),
        "{down}"
    );
    assert!(
        body_of(&rig.end(1)).is_empty() && down.ends_with("data: [DONE]\n\n"),
        "{down}"
    );
    assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.output), Some(7));
}

#[test]
fn errors_are_told_in_the_clients_words() {
    for (head, ask_body, told) in [
        (
            MESSAGES,
            message(true),
            r#""error":{"type":"rate_limit_error","message":"Too many tokens"}"#,
        ),
        (
            CHAT,
            json!({ "model": "m", "stream": true, "messages": [ { "role": "user", "content": "hi" } ] }),
            "Too many tokens",
        ),
    ] {
        let mut rig = Rig::new(bedrock());
        ask(&mut rig, head, &ask_body);
        rig.answer(1, STREAM_HEAD);
        let mut bytes = frames(&EVENTS[..2]);
        eventstream::write_exception(&mut bytes, "throttlingException", |out| {
            out.extend_from_slice(br#"{"message":"Too many tokens"}"#);
        });
        bytes.extend(frames(&EVENTS[2..3]));
        let did = read(&mut rig, &bytes, bytes.len());
        let down = body_of(&did);
        assert!(down.contains(told) && !down.contains("Hé"), "{down}");
        assert_eq!(did.last(), Some(&Did::End));

        let mut rig = Rig::new(bedrock());
        ask(&mut rig, head, &ask_body);
        rig.answer(1, STREAM_HEAD);
        let did = read(&mut rig, b"event: message_start\ndata: {}\n\n", 100);
        assert!(body_of(&did).contains("it is no AWS event stream"), "{did:?}");
        assert_eq!(did.last(), Some(&Did::End));
    }
    // Before a stream began there is a status, and Bedrock's own shape.
    let mut rig = Rig::new(bedrock());
    ask(&mut rig, MESSAGES, &message(true));
    let said = r#"{"message":"Input is too long for requested model."}"#;
    let head = format!(
        "HTTP/1.1 400 No\ncontent-type: application/json\ncontent-length: {}\n",
        said.len()
    );
    rig.answer(1, &head);
    rig.body(1, said);
    let (status, _, body) = reply(&rig.end(1));
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (status, &body["error"]["type"]),
        (400, &json!("invalid_request_error")),
        "{body}"
    );
    assert!(
        body["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("prompt is too long")),
        "{body}"
    );
}

#[test]
fn a_stream_that_is_asked_for_at_the_providers_own_path_passes_in_its_frames_and_is_metered() {
    let mut rig = Rig::new(bedrock());
    let head = "POST /providers/p/model/x/invoke-with-response-stream HTTP/1.1\nhost: g\nx-api-key: secret-all\n";
    ask(&mut rig, head, &json!({}));
    rig.answer(1, STREAM_HEAD);
    let bytes = frames(&EVENTS);
    let did = read(&mut rig, &bytes, bytes.len());
    assert_eq!(did, [Did::Body(String::from_utf8_lossy(&bytes).into())]);
    rig.end(1);
    assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.output), Some(7));
}
