//! `/providers/{name}/…`: what is passed on unchanged, and to whom.

mod rig;

use rig::{Did, Rig, document, header, key, reply, sent};
use tollgate_config::document::Auth;

fn rig() -> Rig {
    let mut document = document();
    let mut through = key("through", &[]);
    through.1.pass_through = true;
    document.keys.push(through);
    Rig::new(document)
}

const HEAD: &str = "host: g\nauthorization: Bearer secret-through\ncontent-type: text/plain\n";
const ANSWER: &str = r#"{"usage":{"input_tokens":5,"output_tokens":6}}"#;

#[test]
fn anything_goes_to_the_named_provider_as_it_came() {
    let mut rig = rig();
    let did = rig.request(
        &format!("PUT /providers/claude/v1/new%20thing?a=1&key=x HTTP/1.1\n{HEAD}"),
        b"any \xff bytes",
    );
    assert_eq!(rig::dialled(&did), [("claude".to_owned(), false)]);
    let (head, body) = sent(&rig.connected(1));
    assert!(
        head.starts_with("PUT /v1/new%20thing?a=1 HTTP/1.1\r\nhost: claude.test:8000\r\n"),
        "{head}"
    );
    assert_eq!(header(&head, "x-api-key"), Some("credential-KEY_claude"));
    assert_eq!(header(&head, "content-type"), Some("text/plain"));
    assert_eq!(header(&head, "content-length"), Some("11"));
    assert!(!head.contains("secret-through"));
    assert_eq!(body, String::from_utf8_lossy(b"any \xff bytes"));

    let answer = format!(
        "HTTP/1.1 201 Made\ncontent-type: application/json\ncontent-length: {}\n",
        ANSWER.len()
    );
    let (status, lines, _) = reply(&rig.answer(1, &answer));
    assert_eq!((status, header(&lines, "x-tollgate-provider")), (201, Some("claude")));
    assert_eq!(rig.body(1, ANSWER), [Did::Body(ANSWER.into())]);
    assert_eq!(rig.end(1), [Did::Settle, Did::End]);
    let record = rig.exchange.record();
    assert_eq!((record.surface, record.provider), ("provider", Some((2, "claude"))));
    assert_eq!((record.model, record.upstream_model), (None, None));
    // Read in the provider's own dialect.
    assert_eq!(record.usage.and_then(|usage| usage.output), Some(6));
}

#[test]
fn a_request_without_a_body_needs_none() {
    let mut rig = rig();
    rig.request(&format!("GET /providers/one/v1/files HTTP/1.1\n{HEAD}"), b"");
    let (head, body) = sent(&rig.connected(1));
    assert!(head.starts_with("GET /v1/files HTTP/1.1\r\n"), "{head}");
    assert_eq!((header(&head, "content-length"), &*body), (None, ""));
}

#[test]
fn what_a_client_says_of_signatures_is_not_passed_where_requests_are_signed() {
    let mut document = document();
    let mut through = key("through", &[]);
    through.1.pass_through = true;
    document.keys.push(through);
    document.providers[0].1.auth = Auth::Aws {
        region: "us-east-1".into(),
        service: "bedrock".into(),
    };
    let mut secrets = rig::secrets(&document);
    secrets.insert(rig::env("KEY_one"), b"AKIDEXAMPLE:secret".to_vec());
    let more = "X-Amz-Date: 20000101T000000Z\nx-amz-content-sha256: 00\nX-Amzn-Bedrock-GuardrailVersion: 1\n";
    let ask = |rig: &mut Rig, provider: &str| {
        rig.request(&format!("POST /providers/{provider}/x HTTP/1.1\n{HEAD}{more}"), b"{}");
        sent(&rig.connected(1)).0
    };
    let mut rig = Rig::with_secrets(document, &secrets);
    let head = ask(&mut rig, "one");
    let amz: Vec<&str> = head
        .lines()
        .filter(|line| line.to_ascii_lowercase().starts_with("x-amz-"))
        .collect();
    assert_eq!(amz, ["x-amz-date: 20270115T080000Z"]);
    assert!(head.contains("SignedHeaders=host;x-amz-date,"), "{head}");
    assert_eq!(header(&head, "X-Amzn-Bedrock-GuardrailVersion"), Some("1"));
    // Nobody signs for the other: it gets what the client said.
    let head = ask(&mut rig, "two");
    assert_eq!(header(&head, "X-Amz-Date"), Some("20000101T000000Z"));
}

#[test]
fn only_keys_that_may_and_providers_that_are() {
    for (line, secret, status, code) in [
        ("POST /providers/one/x", "secret-all", 403, "pass_through_not_allowed"),
        ("POST /providers/none/x", "secret-through", 404, "not_found"),
        ("POST /providers/one", "secret-through", 404, "not_found"),
        ("HEAD /providers/one/x", "secret-through", 405, "method_not_allowed"),
        ("POST /providers/one/x", "wrong", 401, "invalid_api_key"),
    ] {
        let mut rig = rig();
        let (got, _, text) = reply(&rig.request(&format!("{line} HTTP/1.1\nhost: g\nx-api-key: {secret}\n"), b""));
        assert_eq!(got, status, "{line}");
        // An answer to HEAD has no body.
        assert!(text.contains(code) || line.starts_with("HEAD"), "{line}: {text}");
    }
}
