//! What the gateway may and may not change on the way: bodies, headers, codings.

use std::io::Write as _;

use crate::harness::{
    Client, Gateway, Sandbox, Setup,
    gateway::{UPSTREAM_SECRET, chat, messages, with_key},
    http::{call, request},
    sandbox::header,
};

fn pair() -> (Sandbox, Gateway) {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    (sandbox, gateway)
}

#[track_caller]
fn body_that_arrived(sandbox: &Sandbox) -> String {
    sandbox.last_arrival()["body"].as_str().expect("text").to_owned()
}

#[test]
fn only_the_models_name_is_changed_in_a_request() {
    let (sandbox, gateway) = pair();
    let odd = concat!(
        "{ \"unknown\" : [1.0, 1e3 ,\t-0, {\"model\":\"not this\"}],\r\n \"mod\\u0065l\" :\"openai/sandbox-small\" ,",
        "\"messages\":[{\"role\":\"user\",\"content\":\"caf\u{e9} \\ud83d\\ude00 \\/ \\u0000\"}],\"z\":null  }\n "
    );
    gateway.post("/v1/chat/completions", &[], odd).expect(200);
    assert_eq!(
        body_that_arrived(&sandbox),
        odd.replace("openai/sandbox-small", "sandbox-small")
    );

    let odd = messages(
        "anthropic/sandbox-small",
        r#" , "metadata": {"user_id":"u"},"thinking":{"type":"disabled"}"#,
    );
    gateway.post("/v1/messages", &[], &odd).expect(200);
    assert_eq!(
        body_that_arrived(&sandbox),
        odd.replace("anthropic/sandbox-small", "sandbox-small")
    );
}

#[test]
fn headers_that_are_not_the_providers_business_stay_here() {
    let (sandbox, gateway) = pair();
    let sent = [
        ("cookie", "session=1"),
        ("x-forwarded-for", "10.1.2.3"),
        ("forwarded", "for=10.1.2.3"),
        ("openai-organization", "org-client"),
        ("openai-project", "proj-client"),
        ("x-tollgate-tags", "team=a"),
        ("x-tollgate-anything", "1"),
        ("connection", "x-hop, keep-alive"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic eA=="),
        ("accept-encoding", "gzip, br"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-stainless-lang", "python"),
        ("user-agent", "tester/1"),
    ];
    gateway
        .post("/v1/chat/completions", &sent, &chat("openai/sandbox-small", ""))
        .expect(200);
    let arrival = sandbox.last_arrival();
    for name in [
        "cookie",
        "x-forwarded-for",
        "forwarded",
        "openai-organization",
        "openai-project",
        "x-tollgate-tags",
        "x-tollgate-anything",
        "x-hop",
        "te",
        "proxy-authorization",
        "x-api-key",
    ] {
        assert_eq!(header(&arrival, name), None, "{name} was passed on");
    }
    for (name, value) in [
        ("traceparent", sent[12].1),
        ("x-stainless-lang", "python"),
        ("user-agent", "tester/1"),
    ] {
        assert_eq!(
            header(&arrival, name).as_deref(),
            Some(value),
            "{name} was not passed on"
        );
    }
    assert_eq!(header(&arrival, "accept-encoding").as_deref(), Some("identity"));
    assert_eq!(header(&arrival, "host").as_deref(), Some(&*sandbox.address.to_string()));

    gateway
        .post("/v1/messages", &[], &messages("anthropic/sandbox-small", ""))
        .expect(200);
    let arrival = sandbox.last_arrival();
    assert_eq!(header(&arrival, "x-api-key").as_deref(), Some(UPSTREAM_SECRET));
    assert_eq!(header(&arrival, "anthropic-version").as_deref(), Some("2023-06-01"));
}

#[test]
fn headers_that_are_not_the_clients_business_stay_here() {
    let (_sandbox, gateway) = pair();
    let answer = gateway
        .post(
            "/v1/chat/completions",
            &[("x-sandbox-provider-headers", "1")],
            &chat("openai/sandbox-small", ""),
        )
        .expect(200);
    for name in [
        "set-cookie",
        "x-ratelimit-limit-requests",
        "anthropic-ratelimit-requests-limit",
        "anthropic-ratelimit-tokens-remaining",
    ] {
        assert_eq!(answer.header(name), None, "{name} was passed on: {:?}", answer.headers);
    }
    assert!(!answer.headers.iter().any(|(_, value)| value.contains(UPSTREAM_SECRET)));
}

/// An answer of twenty tokens that comes compressed, though nobody asked for it, is whole and counted.
fn compressed(more: &str) {
    let (_sandbox, gateway) = pair();
    let body = chat("openai/sandbox-tokens-20", more);
    let plain = gateway.post("/v1/chat/completions", &[], &body).expect(200);
    let counted = || gateway.metric("tollgate_tokens_total", &["direction=\"output\""]);
    crate::harness::until("the plain answer's tokens to be counted", 20, || {
        (counted() == 20.0).then_some(())
    });
    let gzipped = [("x-sandbox-gzip", "1"), ("accept-encoding", "gzip")];
    let answer = gateway.post("/v1/chat/completions", &gzipped, &body).expect(200);
    let text = match answer.header("content-encoding") {
        Some("gzip") => gunzipped(&answer.body),
        _ => answer.text(),
    };
    assert_eq!(text, plain.text());
    crate::harness::until("the compressed answer's tokens to be counted", 20, || {
        (counted() == 40.0).then_some(())
    });
}

#[test]
fn a_compressed_answer_is_read_and_reaches_the_client_whole() {
    compressed("");
}

#[test]
fn a_compressed_stream_is_read_and_reaches_the_client_whole() {
    compressed(r#","stream":true,"stream_options":{"include_usage":true}"#);
}

fn gunzipped(bytes: &[u8]) -> String {
    let mut child = std::process::Command::new("gzip")
        .arg("-dc")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("gzip is here");
    child.stdin.take().expect("piped").write_all(bytes).expect("written");
    String::from_utf8(child.wait_with_output().expect("output").stdout).expect("text")
}

#[test]
fn a_compressed_request_is_decoded_and_another_coding_is_refused() {
    let (sandbox, gateway) = pair();
    let body = chat("openai/sandbox-small", "");
    let gzip = gzipped(body.as_bytes());
    let answer = call(
        gateway.address,
        "POST",
        "/v1/chat/completions",
        &with_key(&[("content-encoding", "gzip")]),
        &gzip,
    );
    answer.expect(200);
    assert_eq!(
        body_that_arrived(&sandbox),
        body.replace("openai/sandbox-small", "sandbox-small")
    );
    assert_eq!(header(&sandbox.last_arrival(), "content-encoding"), None);
    let odd = call(
        gateway.address,
        "POST",
        "/v1/chat/completions",
        &with_key(&[("content-encoding", "compress")]),
        &gzip,
    );
    assert_eq!(odd.status, 415, "{}", odd.text());
}

pub fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), bytes).expect("written");
    let output = std::process::Command::new("gzip")
        .arg("-c")
        .arg(file.path())
        .output()
        .expect("gzip is here");
    output.stdout
}

#[test]
fn a_chunked_request_is_taken_with_its_trailers_dropped() {
    let (sandbox, gateway) = pair();
    let body = chat("openai/sandbox-small", "");
    let (first, second) = body.split_at(40);
    let mut bytes = request("POST", "/v1/chat/completions", &with_key(&[]), b"");
    let head = String::from_utf8(std::mem::take(&mut bytes)).expect("text");
    let head = head.replace("content-length: 0", "transfer-encoding: chunked");
    let chunks = format!(
        "{:x};ext=1\r\n{first}\r\n{:X}\r\n{second}\r\n0\r\nx-trailer: 1\r\n\r\n",
        first.len(),
        second.len()
    );
    let mut client = Client::connect(gateway.address);
    client.send(head.as_bytes()).send(chunks.as_bytes());
    client.read().expect("an answer").expect(200);
    assert_eq!(
        body_that_arrived(&sandbox),
        body.replace("openai/sandbox-small", "sandbox-small")
    );
    assert_eq!(header(&sandbox.last_arrival(), "x-trailer"), None);
}

#[test]
fn a_client_that_waits_for_leave_to_send_is_told_to_go_on() {
    let (_sandbox, gateway) = pair();
    let body = chat("openai/sandbox-small", "");
    let bytes = request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[("expect", "100-continue")]),
        body.as_bytes(),
    );
    let head_length = bytes.len() - body.len();
    let mut client = Client::connect(gateway.address);
    client.send(&bytes[..head_length]);
    let leave = client.read_until(b"\r\n\r\n").expect("an interim answer");
    assert!(
        leave.starts_with(b"HTTP/1.1 100 "),
        "{}",
        String::from_utf8_lossy(&leave)
    );
    client.send(&bytes[head_length..]);
    client.read().expect("an answer").expect(200);
}

#[test]
fn long_prompts_and_long_answers_pass_whole() {
    let (sandbox, gateway) = pair();
    let prompt = "a long prompt, ".repeat(200_000);
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{prompt}"}}],"model":"openai/sandbox-small"}}"#);
    gateway.post("/v1/chat/completions", &[], &body).expect(200);
    assert_eq!(sandbox.last_arrival()["body_bytes"], body.len() - "openai/".len());
    let answer = gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-bytes-10000000", ""))
        .expect(200);
    assert!(answer.body.len() > 10_000_000);
    let stream = gateway
        .post(
            "/v1/chat/completions",
            &[],
            &chat("openai/sandbox-bytes-4000000", r#","stream":true"#),
        )
        .expect(200);
    assert!(stream.body.len() > 4_000_000 && stream.text().ends_with("data: [DONE]\n\n"));
}

#[test]
fn a_body_over_the_bound_is_refused_before_it_is_sent() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.top += "max_body: 64KiB\n";
    let gateway = setup.start();
    let mut client = Client::connect(gateway.address);
    let head = request("POST", "/v1/chat/completions", &with_key(&[]), b"");
    let head = String::from_utf8(head)
        .expect("text")
        .replace("content-length: 0", "content-length: 70000");
    client.send(head.as_bytes());
    let answer = client.read().expect("an answer before the body");
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (413, "request_too_large")
    );
    assert_eq!(sandbox.arrivals().len(), 0);
}

#[test]
fn an_old_client_gets_its_answer_and_a_closed_connection() {
    let (_sandbox, gateway) = pair();
    for more in ["", r#","stream":true"#] {
        let bytes = request(
            "POST",
            "/v1/chat/completions",
            &with_key(&[]),
            chat("openai/sandbox-small", more).as_bytes(),
        );
        let bytes = String::from_utf8(bytes).expect("text").replace("HTTP/1.1", "HTTP/1.0");
        let mut client = Client::connect(gateway.address);
        client.send(bytes.as_bytes());
        let answer = client.read().expect("an answer").expect(200);
        assert_eq!(answer.header("transfer-encoding"), None, "HTTP/1.0 knows no chunks");
        assert!(answer.text().contains("sandbox-small"));
        assert!(client.read_to_close().is_empty());
    }
}
