//! Framing attacks: refused with 400 and a closed connection by the gateway, never passed on; a provider's bad framing
//! becomes 502 and its connection is never used again.

use crate::harness::{
    Client, Sandbox, Setup,
    gateway::{KEY, chat},
};

/// A smuggled second request: if it is ever answered, two readers disagreed about the first one's end.
const SMUGGLED: &str = "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";

fn attack(fields: &str, body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.test\r\nx-api-key: {KEY}\r\n{fields}\r\n\r\n{body}{SMUGGLED}"
    )
}

fn attacks() -> Vec<(&'static str, String)> {
    let body = chat("openai/sandbox-small", "");
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let te = "transfer-encoding: chunked";
    vec![
        (
            "both length and coding",
            attack(&format!("content-length: {length}\r\n{te}"), &chunked),
        ),
        (
            "two lengths",
            attack(
                &format!("content-length: {length}\r\ncontent-length: {}", length + 1),
                &body,
            ),
        ),
        (
            "the same length twice",
            attack(&format!("content-length: {length}\r\ncontent-length: {length}"), &body),
        ),
        (
            "a list of lengths",
            attack(&format!("content-length: {length}, {length}"), &body),
        ),
        ("a signed length", attack(&format!("content-length: +{length}"), &body)),
        ("a length in hexadecimal", attack("content-length: 0x10", &body)),
        (
            "an overflowing length",
            attack("content-length: 18446744073709551617", &body),
        ),
        ("a coding list", attack("transfer-encoding: gzip, chunked", &chunked)),
        ("an unknown coding", attack("transfer-encoding: xchunked", &chunked)),
        (
            "chunked twice",
            attack("transfer-encoding: chunked\r\ntransfer-encoding: chunked", &chunked),
        ),
        (
            "chunked not last",
            attack("transfer-encoding: chunked, identity", &chunked),
        ),
        (
            "a space before a colon",
            attack(&format!("content-length : {length}"), &body),
        ),
        (
            "a folded line",
            attack(&format!("x-a: b\r\n c\r\ncontent-length: {length}"), &body),
        ),
        ("a bare LF", attack(&format!("x-a: b\ncontent-length: {length}"), &body)),
        (
            "a bare CR",
            attack(&format!("x-a: b\rc\r\ncontent-length: {length}"), &body),
        ),
        (
            "a NUL",
            attack(&format!("x-a: b\0c\r\ncontent-length: {length}"), &body),
        ),
        (
            "a control byte in a name",
            attack(&format!("x\x01a: b\r\ncontent-length: {length}"), &body),
        ),
        (
            "a second host",
            attack(&format!("host: other\r\ncontent-length: {length}"), &body),
        ),
        ("no host", format!("GET /healthz HTTP/1.1\r\n\r\n{SMUGGLED}")),
        (
            "another host in the target",
            format!("GET http://other/healthz HTTP/1.1\r\nhost: a\r\n\r\n{SMUGGLED}"),
        ),
        (
            "junk for a chunk size",
            attack(te, &format!("zz\r\n{body}\r\n0\r\n\r\n")),
        ),
        (
            "a chunk size that overflows",
            attack(te, &format!("ffffffffffffffff1\r\n{body}\r\n0\r\n\r\n")),
        ),
        (
            "a signed chunk size",
            attack(te, &format!("+{length:x}\r\n{body}\r\n0\r\n\r\n")),
        ),
        (
            "a chunk longer than its size",
            attack(te, &format!("{:x}\r\n{body}\r\n0\r\n\r\n", length - 1)),
        ),
        (
            "an endless chunk extension",
            attack(
                te,
                &format!("{length:x};{}\r\n{body}\r\n0\r\n\r\n", "e".repeat(100_000)),
            ),
        ),
        (
            "a bare LF after a chunk size",
            attack(te, &format!("{length:x}\n{body}\r\n0\r\n\r\n")),
        ),
        ("no version", "GET /healthz\r\n\r\n".to_owned()),
        ("no HTTP at all", "\x16\x03\x01\x02\0\x01\0\x01\r\n\r\n".to_owned()),
    ]
}

#[test]
fn attacks_on_framing_are_answered_400_and_the_connection_is_closed() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    let mut failed = Vec::new();
    for (name, bytes) in attacks() {
        let mut client = Client::connect(gateway.address);
        // The gateway may close before it has taken everything.
        let _ = client.socket.write_all(bytes.as_bytes());
        let Some(answer) = client.read() else {
            failed.push(format!("{name}: closed without an answer"));
            continue;
        };
        let rest = client.read_to_close();
        if answer.status != 400 {
            failed.push(format!("{name}: {} {}", answer.status, answer.text()));
        }
        if !rest.is_empty() {
            failed.push(format!(
                "{name}: more came after the refusal: {}",
                String::from_utf8_lossy(&rest)
            ));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(
        sandbox.arrivals().len(),
        0,
        "an attack reached the provider: {:?}",
        sandbox.arrivals()
    );
}

#[test]
fn a_head_without_end_is_refused_with_431() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    let long = format!(
        "GET /healthz HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n",
        "l".repeat(200_000)
    );
    let many = format!("GET /healthz HTTP/1.1\r\nhost: a\r\n{}\r\n", "x-a: b\r\n".repeat(1_000));
    for bytes in [long, many] {
        let mut client = Client::connect(gateway.address);
        let _ = client.socket.write_all(bytes.as_bytes());
        assert_eq!(client.read().expect("an answer").status, 431);
        client.read_to_close();
    }
}

#[test]
fn a_providers_bad_framing_becomes_502_and_its_connection_is_not_used_again() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    let names = [
        "bad-length",
        "both",
        "two-lengths",
        "coding-list",
        "space-colon",
        "obs-fold",
        "bare-lf",
        "nul",
        "huge-head",
    ];
    for name in names {
        let answer = gateway.post(
            "/v1/chat/completions",
            &[],
            &chat(&format!("openai/sandbox-framing-{name}"), ""),
        );
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (502, "upstream_error"),
            "{name}: {}",
            answer.text()
        );
        assert!(
            answer.text().contains("openai"),
            "the provider is named: {}",
            answer.text()
        );
    }
    // The head is right there, so the answer has begun; it must not end as if it were whole.
    let chunk = gateway.post(
        "/v1/chat/completions",
        &[],
        &chat("openai/sandbox-framing-bad-chunk", ""),
    );
    assert!(
        chunk.status == 502 || chunk.ended == crate::harness::Ended::Cut,
        "{chunk:?}"
    );
    let long = gateway.post(
        "/v1/chat/completions",
        &[],
        &chat("openai/sandbox-framing-long-length", ""),
    );
    assert!(
        long.status == 502 || long.ended == crate::harness::Ended::Cut,
        "{long:?}"
    );
}

#[test]
fn bytes_after_an_answer_never_reach_the_next_client() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    for _ in 0..20 {
        let first = gateway.post(
            "/v1/chat/completions",
            &[],
            &chat("openai/sandbox-framing-short-length", ""),
        );
        assert!(!first.text().contains("smuggled"), "{}", first.text());
        let next = gateway
            .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
            .expect(200);
        assert!(next.text().contains("chat.completion"), "{}", next.text());
    }
}

#[test]
fn garbage_from_a_provider_becomes_502() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    for (path, body) in [
        ("/v1/chat/completions", chat("openai/sandbox-garbage", "")),
        (
            "/v1/messages",
            crate::harness::gateway::messages("anthropic/sandbox-garbage", r#","stream":true"#),
        ),
    ] {
        let answer = gateway.post(path, &[], &body);
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(
            !answer.text().contains("garbage\\n"),
            "the garbage is not passed on: {}",
            answer.text()
        );
    }
}
