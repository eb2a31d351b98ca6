//! Calls whose target speaks another dialect than the client: what goes up, what comes down, and what goes wrong.

mod rig;

use rig::{Did, Rig, body_of, document, header, model, reply, sent};
use serde_json::{Value, json};
use tollgate_config::{Document, document::Dialect};
use tollgate_engine::{
    exchange::UpstreamFault,
    outputs::ReplyFraming,
    record::{AttemptOutcome, Outcome},
};

const JSON_HEAD: &str = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\nx-request-id: up-1\n\
                         openai-version: 1\n";
const STREAM_HEAD: &str = "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n";
const CHAT_ANSWER: &str = r#"{"id":"c-1","object":"chat.completion","created":1,"model":"gpt-real","choices":[{"index":0,
    "message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":3}}}"#;
const ASKS: &str = r#"{"model":"gpt","max_tokens":64,"system":"Be brief.","top_k":5,
    "messages":[{"role":"user","content":"Say \"hi\""}]}"#;

/// A call is dialled and sent; the head and the body that went up.
fn send(rig: &mut Rig, did: &[Did]) -> (String, Value) {
    assert!(matches!(did, [Did::Dial { .. }]), "{did:?}");
    let (head, body) = sent(&rig.connected(1));
    assert_eq!(header(&head, "content-length"), Some(&*body.len().to_string()));
    let tree = serde_json::from_str(&body).unwrap_or_else(|bad| panic!("{bad}: {body}"));
    (head, tree)
}

fn tree(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|bad| panic!("{bad}: {text}"))
}

#[test]
fn a_buffered_call_is_said_in_the_targets_words_and_its_answer_in_the_clients() {
    let mut rig = Rig::new(document());
    let did = rig.messages(ASKS);
    let (head, up) = send(&mut rig, &did);
    assert!(
        head.starts_with("POST /v1/chat/completions HTTP/1.1\r\nhost: one.test:8000\r\n"),
        "{head}"
    );
    assert_eq!(header(&head, "authorization"), Some("Bearer credential-KEY_one"));
    assert_eq!(header(&head, "anthropic-version"), None);
    assert!(!head.contains("secret-all"));
    assert_eq!(up["model"], "gpt-real");
    assert_eq!(up["messages"][0]["content"], "Be brief.");
    assert_eq!(up["messages"][1], json!({"role": "user", "content": "Say \"hi\""}));

    // Nothing goes out before the whole answer is known.
    assert_eq!(rig.answer(1, JSON_HEAD), []);
    let (first, rest) = CHAT_ANSWER.split_at(40);
    assert_eq!(rig.body(1, first), []);
    assert_eq!(rig.body(1, rest), []);
    let did = rig.end(1);
    let (status, lines, body) = reply(&did);
    assert_eq!(status, 200);
    assert_eq!(header(&lines, "content-type"), Some("application/json"));
    assert_eq!(header(&lines, "x-tollgate-provider"), Some("one"));
    assert_eq!(header(&lines, "x-tollgate-upstream-request-id"), Some("up-1"));
    assert_eq!(header(&lines, "openai-version"), None);
    assert_eq!(header(&lines, "x-tollgate-dropped"), Some("top_k"));
    let down = tree(&body);
    assert_eq!(down["content"], json!([{"type": "text", "text": "Hello."}]));
    assert_eq!(down["stop_reason"], "end_turn");
    assert_eq!(down["usage"]["input_tokens"], 7);
    assert_eq!(down["usage"]["cache_read_input_tokens"], 3);
    assert_eq!(did[did.len() - 2..], [Did::Settle, Did::End]);
    let record = rig.exchange.record();
    assert_eq!((record.outcome, record.status), (Outcome::Complete, 200));
    assert_eq!(record.usage.and_then(|usage| usage.output), Some(4));
    assert_eq!(rig.exchange.attempts().collect::<Vec<_>>(), [(0, AttemptOutcome::Ok)]);
}

#[test]
fn a_stream_goes_on_event_by_event() {
    let mut rig = Rig::new(document());
    // Of a model with one target, whose streams are not held.
    let did = rig.messages(&ASKS.replacen('{', r#"{"stream":true,"#, 1).replace("gpt", "same"));
    let (_, up) = send(&mut rig, &did);
    assert_eq!(up["stream_options"]["include_usage"], true);
    let did = rig.answer(1, STREAM_HEAD);
    let [
        Did::Head {
            status: 200,
            lines,
            framing: ReplyFraming::Stream,
        },
    ] = &did[..]
    else {
        panic!("{did:?}")
    };
    assert_eq!(header(lines, "content-type"), Some("text/event-stream"));
    assert_eq!(header(lines, "x-tollgate-dropped"), Some("top_k"));
    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-real",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let mut down = body_of(&rig.body(1, &chunk(json!({"role": "assistant", "content": ""}), Value::Null)));
    let said = chunk(json!({"content": "Hel"}), Value::Null);
    // Half an event says nothing; its other half says all of it at once.
    let (half, other) = said.split_at(30);
    assert_eq!(rig.body(1, half), []);
    let text = body_of(&rig.body(1, other));
    assert!(text.contains(r#""text":"Hel""#), "{text}");
    down += &text;
    down += &body_of(&rig.body(1, &chunk(json!({}), json!("stop"))));
    let usage = r#"data: {"id":"c-1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":4}}"#;
    let did = rig.body(1, &format!("{usage}\n\ndata: [DONE]\n\n"));
    down += &body_of(&did);
    let names: Vec<_> = down.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names[0], "message_start");
    assert_eq!(names[names.len() - 2..], ["message_delta", "message_stop"]);
    assert!(down.contains(r#""output_tokens":4"#), "{down}");
    assert_eq!(did[did.len() - 2..], [Did::Settle, Did::End]);
    assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.input), Some(10));
}

#[test]
fn a_providers_error_comes_in_the_clients_words_with_its_status() {
    let mut rig = Rig::new(document());
    let did = rig.messages(&ASKS.replace("gpt", "same"));
    send(&mut rig, &did);
    let head = "HTTP/1.1 429 Too Many\ncontent-type: application/json\ncontent-length: 99\nretry-after: 7\n";
    assert_eq!(rig.answer(1, head), []);
    rig.body(
        1,
        r#"{"error":{"message":"Rate limit reached.","type":"requests","code":"rate_limit_exceeded"}}"#,
    );
    let (status, lines, body) = reply(&rig.end(1));
    assert_eq!(status, 429);
    assert_eq!(header(&lines, "retry-after"), Some("7"));
    assert_eq!(header(&lines, "x-tollgate-provider"), Some("one"));
    let down = tree(&body);
    assert_eq!(
        (&down["type"], &down["error"]["type"]),
        (&json!("error"), &json!("rate_limit_error"))
    );
    assert!(
        down["error"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("Rate limit reached.")),
        "{body}"
    );
}

#[test]
fn a_stream_that_breaks_ends_with_the_clients_own_error_event() {
    let mut rig = Rig::new(document());
    let did = rig.messages(&ASKS.replacen('{', r#"{"stream":true,"#, 1));
    send(&mut rig, &did);
    rig.answer(1, STREAM_HEAD);
    rig.body(
        1,
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"cho",
    );
    let did = rig.failed(1, UpstreamFault::Cut);
    assert!(body_of(&did).contains("event: error\n"), "{did:?}");
    assert_eq!(did[did.len() - 2..], [Did::Settle, Did::End]);
    assert_eq!(rig.exchange.record().outcome, Outcome::Cut);
}

#[test]
fn an_answer_in_no_dialect_is_a_502_that_says_so() {
    for (stream, head, body) in [
        (false, JSON_HEAD, "<html>"),
        (false, JSON_HEAD, r#"{"type":"message"}"#),
        (false, JSON_HEAD, ""),
    ] {
        let mut rig = Rig::new(document());
        let did = rig.messages(&ASKS.replacen('{', &format!(r#"{{"stream":{stream},"#), 1));
        send(&mut rig, &did);
        rig.answer(1, head);
        rig.body(1, body);
        let (status, _, text) = reply(&rig.end(1));
        assert_eq!(status, 502, "{body}");
        assert!(text.contains("cannot be read"), "{text}");
    }
}

#[test]
fn what_is_wrong_in_the_clients_dialect_costs_no_connection() {
    for (body, says) in [
        (r#"{"model":"gpt","max_tokens":1,"messages":3}"#, "messages"),
        (
            r#"{"model":"gpt","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":7}]}]}"#,
            "text",
        ),
    ] {
        let mut rig = Rig::new(document());
        let did = rig.messages(body);
        let (status, _, text) = reply(&did);
        assert_eq!(status, 400, "{text}");
        assert!(text.contains(says) && text.contains("invalid_request"), "{text}");
        assert!(!did.iter().any(|did| matches!(did, Did::Dial { .. })), "{did:?}");
    }
}

/// The rig's six, and a model that goes to two of them.
fn six() -> Document {
    let mut document = rig::six();
    document
        .models
        .push(model("any", &[("openai", "real-model"), ("gemini", "other-model")]));
    document
}

/// How each dialect is called: path, body.
fn calls(model: &str) -> [(Dialect, String, String); 6] {
    let path = |text: &str| text.replace("{model}", model);
    let body = |text: &str| text.replace("MODEL", model);
    [
        (
            Dialect::OpenAi,
            path("/v1/chat/completions"),
            body(r#"{"model":"MODEL","messages":[{"role":"user","content":"hi"}]}"#),
        ),
        (
            Dialect::OpenAiResponses,
            path("/v1/responses"),
            body(r#"{"model":"MODEL","input":"hi"}"#),
        ),
        (
            Dialect::Anthropic,
            path("/v1/messages"),
            body(r#"{"model":"MODEL","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#),
        ),
        (
            Dialect::Gemini,
            path("/v1beta/models/{model}:generateContent"),
            body(r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#),
        ),
        (
            Dialect::Cohere,
            path("/v2/chat"),
            body(r#"{"model":"MODEL","messages":[{"role":"user","content":"hi"}]}"#),
        ),
        (
            Dialect::Bedrock,
            path("/model/{model}/converse"),
            body(r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#),
        ),
    ]
}

#[test]
fn every_dialect_reaches_every_target_at_its_own_path() {
    for target in Dialect::ALL {
        let to = match target {
            Dialect::OpenAi => "POST /v1/chat/completions ",
            Dialect::OpenAiResponses => "POST /v1/responses ",
            Dialect::Anthropic => "POST /v1/messages ",
            Dialect::Gemini => "POST /v1/models/real-model:generateContent ",
            Dialect::Cohere => "POST /v1/chat ",
            Dialect::Bedrock => "POST /v1/model/real-model/converse ",
        };
        for (client, path, body) in calls(target.name()) {
            let mut rig = Rig::new(six());
            let head = format!("POST {path} HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n");
            let did = rig.request(&head, body.as_bytes());
            let (head, up) = send(&mut rig, &did);
            assert!(head.starts_with(to), "{client:?} to {target:?}: {head}");
            assert!(up.to_string().contains("\"hi\""), "{client:?} to {target:?}: {up}");
            if client != target && target == Dialect::Anthropic {
                assert_eq!(header(&head, "anthropic-version"), Some("2023-06-01"));
            }
        }
    }
}

#[test]
fn a_text_that_looks_sealed_is_text() {
    let sealed = tollgate_dialect::canonical::seal::seal(None, "openai", "c2lnbmVk");
    let body =
        format!(r#"{{"model":"openai","weird": 1,"messages":[{{"role":"user","content":"what is {sealed}?"}}]}}"#);
    let mut rig = Rig::new(six());
    rig.chat(&body);
    let (_, up) = sent(&rig.connected(1));
    assert_eq!(up, body.replace(r#""model":"openai""#, r#""model":"real-model""#));
}

#[test]
fn a_redirection_is_no_answer() {
    let mut rig = Rig::new(document());
    let did = rig.messages(ASKS);
    send(&mut rig, &did);
    let (status, _, text) = reply(&rig.answer(1, "HTTP/1.1 302 Found\nlocation: http://x/\ncontent-length: 0\n"));
    assert_eq!(status, 502, "{text}");
    assert!(text.contains("302"), "{text}");
}
