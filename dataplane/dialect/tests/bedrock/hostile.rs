//! What nobody should send: it is refused by its path, or read, and never a panic.

use proptest::prelude::*;
use tollgate_dialect::{canonical::answer::Answer, json::Node, quirks::Quirks, speak::Speaks};
use tollgate_wire::eventstream::{self, Decoder, Value};

use super::{
    CLAUDE, SPEAKS, call, golden, read_answer, read_request,
    streams::{framed, tell, whole},
    write_request,
};

/// A request with this content in its one message.
fn with(block: &str) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":[{block}]}}]}}"#)
}

/// A request with this beside its one message.
fn beside(member: &str) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":[{{"text":"x"}}]}}],{member}}}"#)
}

/// The body of a request is refused, and why.
fn refused(body: &str, wrong: &str) {
    let shown = body.get(..200).unwrap_or(body);
    let bad = read_request(body.as_bytes()).expect_err(shown);
    assert!(bad.to_string().contains(wrong), "{shown}: {bad}");
}

const BODIES: &[(&str, &str)] = &[
    ("", "document"),
    ("[]", "object"),
    ("{", "early"),
    ("{}x", "byte"),
    ("{}", "'messages' is missing"),
    (r#"{"messages":[]}"#, "'messages' must have a message"),
    (r#"{"messages":{}}"#, "'messages' must be a list"),
    (r#"{"messages":[7]}"#, "'messages[0]' must be an object"),
    (r#"{"messages":[],"messages":[]}"#, "'messages' stands twice"),
    (
        r#"{"messages":[{"content":[{"text":"x"}]}]}"#,
        "'messages[0].role' is missing",
    ),
    (
        r#"{"messages":[{"role":"tool","content":[]}]}"#,
        "'messages[0].role' must be user",
    ),
    (
        r#"{"messages":[{"role":"\ud800","content":[]}]}"#,
        "'messages[0].role' must be user",
    ),
    (
        r#"{"messages":[{"role":"user","role":"user"}]}"#,
        "'messages[0].role' stands twice",
    ),
    (
        r#"{"messages":[{"role":"user","r\u006fle":"user"}]}"#,
        "'messages[0].role' stands twice",
    ),
    (
        r#"{"messages":[{"role":"user","content":"x"}]}"#,
        "'messages[0].content' must be a list",
    ),
    (
        r#"{"messages":[{"role":"user","content":[]}]}"#,
        "'messages[0].content' must have a block",
    ),
];

const BLOCKS: &[(&str, &str)] = &[
    ("7", "'messages[0].content[0]' must be an object"),
    ("{}", "'messages[0].content[0]' must have exactly one of text, image"),
    (r#"{"text":"a","image":{}}"#, "must have exactly one of"),
    (r#"{"text":7}"#, "'messages[0].content[0].text' must be a string"),
    (
        r#"{"text":"a","text":"b"}"#,
        "'messages[0].content[0].text' stands twice",
    ),
    (r#"{"image":{"source":{"bytes":"x"}}}"#, "image.format' is missing"),
    (
        r#"{"image":{"format":"tiff","source":{"bytes":"x"}}}"#,
        "image.format' must be one of png, jpeg, gif, webp",
    ),
    (r#"{"image":{"format":"png"}}"#, "image.source' is missing"),
    (
        r#"{"image":{"format":"png","source":{"bytes":["x"]}}}"#,
        "image.source.bytes' must be a string",
    ),
    (
        r#"{"image":{"format":"png","source":{"s3Location":{}}}}"#,
        "s3Location.uri' is missing",
    ),
    (
        r#"{"document":{"source":{"content":[{"text":"\udc00"},{"text":"b"}]}}}"#,
        "source.content' must be texts",
    ),
    (
        r#"{"document":{"source":{"text":"x"},"citations":{}}}"#,
        "citations.enabled' is missing",
    ),
    (
        r#"{"toolUse":{"name":"n","input":{}}}"#,
        "toolUse.toolUseId' is missing",
    ),
    (
        r#"{"toolUse":{"toolUseId":"a","name":"n","input":"{}"}}"#,
        "toolUse.input' must be an object",
    ),
    (
        r#"{"toolResult":{"toolUseId":"a","content":[],"status":"bad"}}"#,
        "status' must be success or error",
    ),
    (
        r#"{"toolResult":{"toolUseId":"a","content":[{"text":1}]}}"#,
        "toolResult.content[0].text' must be a string",
    ),
    (r#"{"cachePoint":{"type":"other"}}"#, "cachePoint.type' must be default"),
    (
        r#"{"text":"a"},{"cachePoint":{"type":"default","ttl":"1d"}}"#,
        "content[1].cachePoint.ttl' must be 5m or 1h",
    ),
    (
        r#"{"reasoningContent":{"reasoningText":{"signature":"s"}}}"#,
        "reasoningText.text' is missing",
    ),
];

const SETTINGS: &[(&str, &str)] = &[
    (
        r#""inferenceConfig":{"maxTokens":0}"#,
        "'inferenceConfig.maxTokens' must be a whole number above 0",
    ),
    (
        r#""inferenceConfig":{"maxTokens":1e400}"#,
        "'inferenceConfig.maxTokens' must be",
    ),
    (
        r#""inferenceConfig":{"maxTokens":99999999999999999999999}"#,
        "'inferenceConfig.maxTokens' must be",
    ),
    (
        r#""inferenceConfig":{"temperature":"1"}"#,
        "'inferenceConfig.temperature' must be a number",
    ),
    (
        r#""inferenceConfig":{"stopSequences":"x"}"#,
        "'inferenceConfig.stopSequences' must be a list",
    ),
    (r#""system":"x""#, "'system' must be a list"),
    (r#""system":[{"text":null}]"#, "'system[0]' must have exactly one of"),
    (r#""toolConfig":{}"#, "'toolConfig.tools' is missing"),
    (
        r#""toolConfig":{"tools":[{"toolSpec":{"name":"n"}}]}"#,
        "tools[0].toolSpec.inputSchema' is missing",
    ),
    (
        r#""toolConfig":{"tools":[],"toolChoice":{"auto":{},"any":{}}}"#,
        "toolChoice' must have exactly one of",
    ),
    (
        r#""outputConfig":{"effort":"huge"}"#,
        "'outputConfig.effort' must be low",
    ),
    (
        r#""outputConfig":{"textFormat":{"type":"xml"}}"#,
        "'outputConfig.textFormat.type' must be json_schema",
    ),
    (r#""requestMetadata":{"a":1}"#, "'requestMetadata.a' must be a string"),
    (r#""serviceTier":"flex""#, "'serviceTier' must be an object"),
    (
        r#""additionalModelRequestFields":[]"#,
        "'additionalModelRequestFields' must be an object",
    ),
];

const SCHEMAS: &[(&str, &str)] = &[
    ("{}", "jsonSchema.schema' must be a string"),
    (r#""{""#, "jsonSchema.schema' must be the text of a JSON object"),
    (r#""[]""#, "jsonSchema.schema' must be the text of a JSON object"),
    (r#""\ud800""#, "jsonSchema.schema' must be a string of whole"),
];

#[test]
fn wrong_requests_are_refused_by_path() {
    for (body, wrong) in BODIES {
        refused(body, wrong);
    }
    for (block, wrong) in BLOCKS {
        refused(&with(block), wrong);
    }
    for (member, wrong) in SETTINGS {
        refused(&beside(member), wrong);
    }
    for (schema, wrong) in SCHEMAS {
        let structure = format!(r#"{{"jsonSchema":{{"schema":{schema}}}}}"#);
        let format = format!(r#"{{"type":"json_schema","structure":{structure}}}"#);
        refused(&beside(&format!(r#""outputConfig":{{"textFormat":{format}}}"#)), wrong);
    }
}

#[test]
fn requests_beyond_a_bound_are_refused() {
    let call = |input: &str| {
        with(&format!(
            r#"{{"toolUse":{{"toolUseId":"a","name":"n","input":{input}}}}}"#
        ))
    };
    refused(&call(&"[".repeat(200)), "byte");
    refused(
        &call(&format!(r#"{{"a":{}{}}}"#, "[".repeat(200), "]".repeat(200))),
        "byte",
    );
    let many = |one: &str, count: usize| vec![one; count].join(",");
    let tools = many(r#"{"toolSpec":{"name":"n","inputSchema":{"json":{}}}}"#, 4_097);
    refused(
        &beside(&format!(r#""toolConfig":{{"tools":[{tools}]}}"#)),
        "'toolConfig.tools' must have at most 4096",
    );
    let stops = many("\"x\"", 2_501);
    let stops = format!(r#""inferenceConfig":{{"stopSequences":[{stops}]}}"#);
    refused(
        &beside(&stops),
        "'inferenceConfig.stopSequences' must have at most 2500",
    );
    let turns = many(r#"{"role":"user","content":[{"text":"x"}]}"#, 100_001);
    refused(
        &format!(r#"{{"messages":[{turns}]}}"#),
        "'messages' must have at most 100000 messages",
    );
}

#[test]
fn many_unread_members_are_not_all_listed() {
    let members: Vec<String> = (0..5_000).map(|number| format!("\"m{number}\":1")).collect();
    let body = format!(
        r#"{{"messages":[{{"role":"user","content":[{{"text":"x"}}]}}],{}}}"#,
        members.join(",")
    );
    assert_eq!(read_request(body.as_bytes()).expect("read").unread.len(), 1_000);
}

#[test]
fn wrong_answers_are_bad() {
    let deep = format!(r#"{{"output":{{"message":{{"content":{}"#, "[".repeat(200));
    let ok = r#""stopReason":"end_turn""#;
    let table = [
        (String::new(), "JSON"),
        ("<html>".into(), "JSON"),
        ("[]".into(), "JSON"),
        (deep, "JSON"),
        ("{}".into(), "output.message"),
        (format!(r#"{{"output":{{"message":[]}},{ok}}}"#), "output.message"),
        (r#"{"output":{"message":{"content":[]}}}"#.into(), "stopReason"),
        (
            r#"{"output":{"message":{"content":[]}},"stopReason":7}"#.into(),
            "stopReason",
        ),
        (
            format!(r#"{{"output":{{"message":{{"content":[{{"text":7}}]}}}},{ok}}}"#),
            "text block",
        ),
        (
            format!(r#"{{"output":{{"message":{{"content":[{{"toolUse":{{}}}}]}}}},{ok}}}"#),
            "no name",
        ),
    ];
    for (body, wrong) in table {
        let bad = read_answer(body.as_bytes()).expect_err(&body);
        assert!(bad.reason.contains(wrong), "{body}: {bad}");
    }
    let odd = format!(
        r#"{{"output":{{"message":{{"content":[7,null,{{}},{{"text":null}},{{"reasoningContent":{{}}}}]}}}},{ok}}}"#
    );
    assert_eq!(read_answer(odd.as_bytes()).expect("read").choices[0].parts, []);
}

const START: (&str, &str) = ("messageStart", r#"{"role":"assistant"}"#);
const TOOL: (&str, &str) = (
    "contentBlockStart",
    r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"a","name":"n"}}}"#,
);
const STOP: (&str, &str) = ("messageStop", r#"{"stopReason":"end_turn"}"#);

const TEXT: (&str, &str) = ("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"x"}}"#);

/// Events that are no answer, and why.
const BROKEN: &[(&[(&str, &str)], &str)] = &[
    (&[], "ended before"),
    (&[START], "ended before"),
    // A tool call that never ends.
    (&[START, TOOL], "ended before"),
    (&[("contentBlockDelta", "{")], "JSON"),
    (&[("metadata", "[]")], "JSON"),
    (
        &[("contentBlockDelta", r#"{"delta":{"text":"x"}}"#)],
        "contentBlockIndex",
    ),
    (
        &[("contentBlockStop", r#"{"contentBlockIndex":-1}"#)],
        "contentBlockIndex",
    ),
    (
        &[("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":1}}"#)],
        "text delta",
    ),
    (
        &[
            TEXT,
            (
                "contentBlockDelta",
                r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"x"}}}"#,
            ),
        ],
        "toolUse delta",
    ),
    (
        &[("contentBlockStart", r#"{"contentBlockIndex":0,"start":{"toolUse":{}}}"#)],
        "no name",
    ),
    (&[START, ("messageStop", "{}")], "stopReason"),
    (&[START, STOP, STOP], "twice"),
    (&[START, STOP, TEXT], "behind its end"),
];

#[test]
fn broken_streams_are_bad() {
    let bad = |stream: &[u8], wrong: &str| {
        for told in [whole(stream), tell(stream, 0, 7)] {
            let bad = told.outcome.expect_err(wrong);
            assert!(bad.reason.contains(wrong), "{wrong}: {bad}");
            assert!(!told.answer.ended && told.answer.fault.is_none(), "{wrong}");
        }
    };
    for (events, wrong) in BROKEN {
        bad(&framed(events), wrong);
    }
    bad(
        b"event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
        "no AWS event stream",
    );
    bad(br#"{"message":"The request is bad."}"#, "no AWS event stream");
    bad(&framed(&[START, STOP])[..60], "ended before");
    let index = |index: usize| format!(r#"{{"contentBlockIndex":{index},"delta":{{"text":"x"}}}}"#);
    let blocks: Vec<String> = (0..65).map(index).collect();
    let blocks: Vec<(&str, &str)> = blocks.iter().map(|payload| (TEXT.0, &**payload)).collect();
    bad(&framed(&blocks), "too many");
}

#[test]
fn an_event_is_bounded_and_so_is_a_signature() {
    let delta = |text: &str| format!(r#"{{"contentBlockIndex":0,"delta":{{"text":"{text}"}}}}"#);
    let fits = delta(&"x".repeat(1_000_000));
    assert_eq!(
        whole(&framed(&[START, ("contentBlockDelta", &fits), STOP])).outcome,
        Ok(())
    );
    let long = delta(&"x".repeat(1 << 20));
    let told = tell(&framed(&[START, ("contentBlockDelta", &long), STOP]), 0, 4_096);
    assert!(told.outcome.expect_err("too long").reason.contains("too long"));
    let signature = format!(
        r#"{{"contentBlockIndex":0,"delta":{{"reasoningContent":{{"signature":"{}"}}}}}}"#,
        "x".repeat(600_000)
    );
    let told = whole(&framed(&[
        START,
        ("contentBlockDelta", &signature),
        ("contentBlockDelta", &signature),
        STOP,
    ]));
    assert!(told.outcome.expect_err("too long").reason.contains("signature"));
}

#[test]
fn messages_of_no_known_kind() {
    let mut stream = Vec::new();
    eventstream::write(&mut stream, &[], |_| {});
    assert!(
        whole(&stream)
            .outcome
            .expect_err("no type")
            .reason
            .contains("neither event nor exception")
    );
    stream.clear();
    eventstream::write(&mut stream, &[(":message-type", Value::Text("event"))], |_| {});
    assert!(
        whole(&stream)
            .outcome
            .expect_err("no type")
            .reason
            .contains("has no type")
    );
    stream.clear();
    eventstream::write(&mut stream, &[(":message-type", Value::Text("exception"))], |_| {});
    let told = whole(&stream);
    assert_eq!((told.outcome, told.answer.fault.is_some()), (Ok(()), true));
    // What comes behind an exception says nothing, whatever it is.
    stream.extend_from_slice(b"garbage that is no message at all");
    assert_eq!(whole(&stream).outcome, Ok(()));
}

/// Changes, cuts and doublings of bytes.
fn mutated(bytes: &[u8], changes: &[(u8, usize, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (kind, at, byte) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = at % bytes.len();
        match kind % 4 {
            0 => bytes[at] = *byte,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, b"{}[]\",:\\0n"[usize::from(*byte) % 10]),
            _ => {
                let end = (at + usize::from(*byte)).min(bytes.len());
                let doubled = bytes[at..end].to_vec();
                bytes.splice(at..at, doubled);
            }
        }
    }
    bytes
}

/// Reads bytes as everything; what is read is written as JSON.
fn read_as_everything(bytes: &[u8]) {
    if let Ok(request) = read_request(bytes)
        && let Ok((written, _)) = write_request(&request, CLAUDE, &Quirks::default())
    {
        Node::document(&written).expect("JSON is written");
    }
    if let Ok(answer) = read_answer(bytes) {
        written_whole(&answer);
    }
    written_whole(&whole(bytes).answer);
    let fault = SPEAKS.read_fault(400, bytes);
    let mut out = Vec::new();
    SPEAKS.write_fault(&fault, &call(), &mut out);
    Node::document(&out).expect("JSON is written");
}

fn written_whole(answer: &Answer) {
    let mut out = Vec::new();
    SPEAKS.write_answer(answer, &call(), &mut out);
    Node::document(&out).expect("JSON is written");
}

/// A stream whose payloads were tampered with before they were framed.
fn tampered(stream: &[u8], at_message: usize, changes: &[(u8, usize, u8)]) -> Vec<u8> {
    let (mut out, mut number) = (Vec::new(), 0);
    let read = Decoder::new(1 << 20).feed(stream, |message| {
        let headers: Vec<(&str, Value<'_>)> = message.headers().collect();
        let payload = match number == at_message % 8 {
            true => mutated(message.payload, changes),
            false => message.payload.to_vec(),
        };
        number += 1;
        eventstream::write(&mut out, &headers, |out| out.extend_from_slice(&payload));
    });
    read.expect("whole");
    out
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn no_damaged_case_makes_a_reader_panic(
        case in any::<prop::sample::Index>(),
        changes in proptest::collection::vec(any::<(u8, usize, u8)>(), 1..4),
        at_message in any::<usize>(),
    ) {
        for folder in ["requests", "answers", "faults"] {
            let cases = golden(folder);
            read_as_everything(&mutated(&cases[case.index(cases.len())].bytes, &changes));
        }
        let cases = golden("streams");
        let stream = &cases[case.index(cases.len())].bytes;
        read_as_everything(&mutated(stream, &changes));
        let told = whole(&tampered(stream, at_message, &changes));
        written_whole(&told.answer);
        if told.outcome.is_ok() {
            prop_assert_eq!(whole(&told.written).outcome, Ok(()));
        }
    }
}
