//! What the sandbox says when it is asked, and that each fault is on the wire what its name says.

use std::{
    io::{Read, Write},
    time::Duration,
};

use crate::harness::{BODY, STREAM, Sandbox};

#[test]
fn the_same_request_gets_the_same_answer_and_its_tokens_are_counted() {
    let sandbox = Sandbox::start(&[]);
    let body = |answer: String| answer.split_once("\r\n\r\n").expect("a body").1.to_owned();
    let first = body(sandbox.chat("", BODY));
    assert_eq!(first, body(sandbox.chat("", BODY)));
    let json: serde_json::Value = serde_json::from_str(&first).expect("JSON");
    let stream = sandbox.chat("", STREAM);
    let pieces = stream.matches(r#""delta":{"content""#).count();
    assert_eq!(json["usage"]["completion_tokens"], pieces);
    assert_eq!(json["usage"]["prompt_tokens"], 3);
    assert!(stream.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{stream}");
}

#[test]
fn an_answer_is_cut_at_every_byte_asked_for() {
    let sandbox = Sandbox::start(&[]);
    let whole = sandbox.chat("", STREAM);
    for bytes in (0..whole.len()).step_by(97) {
        for kind in ["", " rst"] {
            let cut = sandbox.chat(&format!("x-sandbox-cut-after: {bytes}{kind}\r\n"), STREAM);
            // A reset may destroy what was sent just before it.
            let expected = if kind.is_empty() { bytes } else { cut.len().min(bytes) };
            assert_eq!(cut.len(), expected, "cut after {bytes}{kind}");
        }
    }
    let long = sandbox.chat("x-sandbox-cut-after: 1000000\r\n", STREAM);
    assert_eq!(long.len(), whole.len());
}

#[test]
fn statuses_and_shapes_follow_the_dialect() {
    let sandbox = Sandbox::start(&[]);
    let openai = sandbox.chat("x-sandbox-status: 429\r\nx-sandbox-retry-after: 3\r\n", BODY);
    assert!(
        openai.starts_with("HTTP/1.1 429 ") && openai.contains("\r\nretry-after: 3\r\n"),
        "{openai}"
    );
    assert!(openai.contains(r#""code":"rate_limit_exceeded""#), "{openai}");
    let anthropic = sandbox.ask("POST", "/v1/messages", "x-sandbox-status: 529\r\n", BODY);
    let anthropic = String::from_utf8(anthropic).expect("text");
    assert!(
        anthropic.contains(r#"{"type":"error","error":{"type":"overloaded_error""#),
        "{anthropic}"
    );
    let incomplete = String::from_utf8(sandbox.ask("POST", "/v1/messages", "", BODY)).expect("text");
    assert!(
        incomplete.starts_with("HTTP/1.1 400 ") && incomplete.contains("max_tokens"),
        "{incomplete}"
    );
    let misspelt = sandbox.chat("x-sandbox-statsu: 500\r\n", BODY);
    assert!(
        misspelt.starts_with("HTTP/1.1 400 ") && misspelt.contains("statsu"),
        "{misspelt}"
    );
}

#[test]
fn a_stall_is_noticed_when_the_client_leaves() {
    let sandbox = Sandbox::start(&[]);
    let mut socket = sandbox.connect();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-sandbox-stall-after: 20\r\n";
    write!(socket, "{head}content-length: {}\r\n\r\n{BODY}", BODY.len()).expect("sent");
    let mut part = [0; 20];
    socket.read_exact(&mut part).expect("twenty bytes");
    assert_eq!(sandbox.report()["arrivals"][0]["ending"], "in_flight");
    drop(socket);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while sandbox.report()["arrivals"][0]["ending"] != "client_gone" {
        assert!(std::time::Instant::now() < deadline, "{}", sandbox.report());
    }
}

#[test]
fn bad_framing_is_bad_on_the_wire() {
    let sandbox = Sandbox::start(&[]);
    for (name, sign) in [
        ("bad-length", "abc\r\n"),
        ("bad-chunk", "\r\n\r\nzz\r\n"),
        ("both", "transfer-encoding: chunked\r\n"),
        ("two-lengths", "content-length: "),
        ("coding-list", "transfer-encoding: gzip, chunked\r\n"),
        ("space-colon", "content-length : "),
        ("obs-fold", "a\r\n b\r\n"),
        ("bare-lf", "x-bare: a\ncontent"),
        ("nul", "a\0b"),
        ("short-length", "smuggled"),
    ] {
        let answer = sandbox.chat(&format!("x-sandbox-framing: {name}\r\n"), BODY);
        assert!(answer.contains(sign), "{name}: {answer}");
    }
    assert!(!sandbox.chat("x-sandbox-garbage: 1\r\n", BODY).contains("HTTP/1.1"));
}

#[test]
fn big_answers_have_the_size_asked_for() {
    let sandbox = Sandbox::start(&[]);
    let answer = sandbox.chat("x-sandbox-answer-bytes: 10000000\r\n", BODY);
    assert!(
        answer.len() > 10_000_000 && answer.len() < 10_002_000,
        "{}",
        answer.len()
    );
    assert!(answer.contains(r#""completion_tokens":1250000"#));
}

#[test]
fn a_number_over_its_limit_is_refused_and_the_limit_named() {
    let sandbox = Sandbox::start(&[]);
    for (word, value, limit) in [
        ("tokens", "1000000000", "100000"),
        ("tokens", "100001", "100000"),
        ("tokens", "99999999999999999999999999", "100000"),
        ("answer-bytes", "1000000000000", "67108864"),
        ("latency", "86401s", "a day"),
        ("gap", "lognormal(1ms, 25h)", "a day"),
        ("tokens-per-second", "1000000001", "1000000000"),
        ("retry-after", "31536001", "31536000"),
        ("stall-after", "1073741825", "1073741824"),
        ("cut-after", "1073741825 rst", "1073741824"),
        ("fail-first", "1000001", "1000000"),
        ("status", "600", "599"),
        ("id", &"i".repeat(257), "256"),
    ] {
        let answer = sandbox.chat(&format!("x-sandbox-{word}: {value}\r\n"), BODY);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{word}: {answer}");
        assert!(
            answer.contains(&format!("over the limit of {limit}")),
            "{word}: {answer}"
        );
    }
    let named = sandbox.chat("", &BODY.replace("sandbox-small", "sandbox-tokens-1000000000"));
    assert!(named.contains("over the limit of 100000"), "{named}");
    // At its limit, and with the sandbox still there.
    let most = sandbox.chat("x-sandbox-tokens: 100000\r\n", BODY);
    assert!(most.contains(r#""completion_tokens":100000"#), "{} bytes", most.len());
}

#[test]
fn a_status_without_a_body_has_none() {
    let sandbox = Sandbox::start(&[]);
    for (status, length) in [(204, None), (205, Some("0")), (304, None)] {
        for (body, more) in [(BODY, ""), (STREAM, ""), (BODY, "x-sandbox-gzip: 1\r\n")] {
            let mut socket = sandbox.connect();
            let one = |fields: &str| {
                format!(
                    "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n{fields}content-length: {}\r\n\r\n{body}",
                    body.len()
                )
            };
            let failing = one(&format!("x-sandbox-status: {status}\r\n{more}"));
            write!(socket, "{failing}{}", one("connection: close\r\n")).expect("sent");
            let mut answers = String::new();
            socket.read_to_string(&mut answers).expect("text");
            let (head, next) = answers.split_once("\r\n\r\n").expect("a head");
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answers}");
            let told = head
                .split("\r\n")
                .find_map(|line| line.strip_prefix("content-length: "));
            assert_eq!(told, length, "{head}");
            assert!(
                !head.contains("transfer-encoding") && !head.contains("content-encoding"),
                "{head}"
            );
            assert!(next.starts_with("HTTP/1.1 200 "), "{status}: {answers}");
        }
    }
    let interim = sandbox.chat("x-sandbox-status: 103\r\n", BODY);
    assert!(interim.starts_with("HTTP/1.1 400 "), "{interim}");
}

#[test]
fn a_path_without_a_model_is_refused() {
    let sandbox = Sandbox::start(&[]);
    let body = r#"{"messages":[{"role":"user","content":[{"text":"Hello."}]}]}"#;
    for (path, status) in [
        ("/model//converse", "400"),
        ("/model//converse-stream", "400"),
        ("/model/converse", "404"),
        ("/model/m/converse", "200"),
    ] {
        let answer = String::from_utf8_lossy(&sandbox.ask("POST", path, "", body)).into_owned();
        assert_eq!(&answer[9..12], status, "{path}: {answer}");
    }
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"Hello."}]}]}"#;
    let answer = sandbox.ask("POST", "/v1beta/models/:generateContent", "", body);
    assert!(answer.starts_with(b"HTTP/1.1 400 "));
}

#[test]
fn requests_behind_one_another_are_answered_in_order() {
    let sandbox = Sandbox::start(&[]);
    let mut socket = sandbox.connect();
    let one = |more: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n{more}content-length: {}\r\n\r\n{BODY}",
            BODY.len()
        )
    };
    write!(
        socket,
        "{}{}",
        one("x-sandbox-latency: 20ms\r\nx-sandbox-tokens: 3\r\n"),
        one("connection: close\r\nx-sandbox-tokens: 5\r\n")
    )
    .expect("sent");
    let mut answers = String::new();
    socket.read_to_string(&mut answers).expect("text");
    let (three, five) = (
        answers.find(r#""completion_tokens":3"#),
        answers.find(r#""completion_tokens":5"#),
    );
    assert!(three.is_some() && three < five, "{answers}");
}
