//! What the catalogue says of a provider, as it shows in what goes up: paths, queries, quirks, signatures.

mod rig;

use rig::{Did, Rig, body_of, dialled, document, env, header, reply, sent};
use serde_json::Value;
use tollgate_config::{Document, document::Auth, parse};
use tollgate_dialect::sign::{credential::Secret, token::AccessToken};

/// A document as an operator writes it: providers and models; keys are the rig's.
fn written(text: &str) -> Document {
    let tree = parse::parse(&format!("{{\"version\": 1, {text}}}")).expect("JSON");
    let mut document = tollgate_config::check::check(&tree).unwrap_or_else(|problems| panic!("{problems:?}"));
    let base = document_keys();
    document.keys = base.keys;
    document
}

fn document_keys() -> Document {
    let mut document = document();
    document.keys.retain(|(name, _)| name == "all");
    document
}

fn chat(rig: &mut Rig, body: &str) -> (String, Value) {
    let did = rig.chat(body);
    assert!(matches!(did[..], [Did::Dial { .. }]), "{did:?}");
    let (head, body) = sent(&rig.connected(1));
    let tree = serde_json::from_str(&body).unwrap_or_else(|bad| panic!("{bad}: {body}"));
    (head, tree)
}

#[test]
fn a_row_says_the_path_the_query_and_the_header() {
    for (provider, model, line, shown) in [
        (
            r#"{"kind": "azure-openai", "resource": "corp", "credential": "env:C"}"#,
            "dep/one",
            "POST /openai/deployments/dep%2Fone/chat/completions?api-version=2024-10-21 HTTP/1.1",
            ("api-key", "credential-C"),
        ),
        (
            r#"{"kind": "gemini", "credential": "env:C"}"#,
            "gemini-3-pro",
            "POST /v1beta/models/gemini-3-pro:generateContent HTTP/1.1",
            ("x-goog-api-key", "credential-C"),
        ),
        (
            r#"{"kind": "anthropic", "credential": "env:C"}"#,
            "claude-haiku-4-5",
            "POST /v1/messages HTTP/1.1",
            ("anthropic-version", "2023-06-01"),
        ),
        (
            r#"{"kind": "groq", "credential": "env:C"}"#,
            "llama",
            "POST /openai/v1/chat/completions HTTP/1.1",
            ("authorization", "Bearer credential-C"),
        ),
    ] {
        let text = format!(
            r#""providers": {{"p": {provider}}}, "models": {{"m": {{"targets": [{{"provider": "p", "model": "{model}"}}]}}}}"#
        );
        let mut rig = Rig::new(written(&text));
        let (head, _) = chat(&mut rig, r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);
        assert!(head.starts_with(line), "{head}");
        assert_eq!(header(&head, shown.0), Some(shown.1), "{head}");
    }
}

#[test]
fn quirks_are_obeyed_where_the_request_is_written_anew() {
    let text = r#""providers": {"p": {"kind": "mistral", "credential": "env:C"}},
        "models": {"m": {"targets": [{"provider": "p", "model": "mistral-large"}]},
                   "strict": {"on_unsupported": "error", "targets": [{"provider": "p", "model": "mistral-large"}]}}"#;
    let mut rig = Rig::new(written(text));
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}],
        "generationConfig":{"seed":7,"temperature":1.9,"maxOutputTokens":9}}"#;
    let call =
        // The version that Google's SDKs ask for unless told otherwise.
        |model: &str| format!("POST /v1/models/{model}:generateContent HTTP/1.1\nhost: g\nx-api-key: secret-all\n");
    rig.request(&call("m"), body.as_bytes());
    let (_, up) = sent(&rig.connected(1));
    let up: Value = serde_json::from_str(&up).expect("JSON");
    assert_eq!((&up["random_seed"], &up["seed"]), (&7.into(), &Value::Null), "{up}");
    assert_eq!(up["temperature"], 1.5);
    // The same call where nothing may be lost names what would be.
    let mut rig = Rig::new(written(text));
    let (status, _, said) = reply(&rig.request(&call("strict"), body.as_bytes()));
    assert_eq!(status, 400);
    assert!(said.contains("temperature"), "{said}");
}

#[test]
fn aws_requests_are_signed_and_a_bearer_token_is_sent_as_it_is() {
    let text = r#""providers": {"p": {"kind": "bedrock", "region": "us-east-1", "credential": "env:C"}},
        "models": {"m": {"targets": [{"provider": "p", "model": "anthropic.claude-haiku-4-5-20251001-v1:0"}]}}"#;
    let document = written(text);
    assert!(matches!(document.providers[0].1.auth, Auth::Aws { .. }));
    let mut rig = Rig::new(document.clone());
    let (head, _) = chat(&mut rig, r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);
    assert_eq!(header(&head, "authorization"), Some("Bearer credential-C"));
    assert_eq!(header(&head, "x-amz-date"), None);

    let mut secrets = rig::secrets(&document);
    secrets.insert(
        env("C"),
        b"AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec(),
    );
    let mut rig = Rig::with_secrets(document, &secrets);
    let (head, _) = chat(&mut rig, r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);
    let line = "POST /model/anthropic.claude-haiku-4-5-20251001-v1";
    assert!(head.starts_with(line), "{head}");
    assert_eq!(header(&head, "x-amz-date"), Some("20270115T080000Z"));
    let signed = header(&head, "authorization").unwrap_or_default();
    let begins = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20270115/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, \
                  Signature=";
    let signature = signed.strip_prefix(begins).unwrap_or_else(|| panic!("{signed}"));
    assert!(
        signature.len() == 64 && signature.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{signed}"
    );
    assert!(!head.contains("wJalr"));
}

#[test]
fn a_credential_that_has_its_token_is_taken_and_a_refused_token_is_renewed() {
    let text = r#""providers": {"p": {"kind": "azure-openai", "resource": "r", "credential": ["env:A", "env:B"],
            "auth": {"azure_ad": {"tenant": "t", "client_id": "c"}}}},
        "models": {"m": {"targets": [{"provider": "p", "model": "gpt"}]}}"#;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let mut rig = Rig::new(written(text));
    let (status, _, said) = reply(&rig.chat(body));
    assert_eq!(status, 503);
    assert!(said.contains("'p'") && said.contains("no access token"), "{said}");

    let ids: Vec<u64> = rig.pinned.snapshot.exchanges().map(|exchanged| exchanged.id).collect();
    let token = |text: &str, end: u64| AccessToken {
        token: Secret(text.into()),
        renew_unix_s: end,
        expires_unix_s: end,
    };
    let now = rig::NOW_UNIX_MS / 1000;
    rig.local.tokens.put(ids[0], &token("over", now));
    rig.local.tokens.put(ids[1], &token("good", now + 1));
    // Whosever turn it is: only one of the two has a token that is good.
    let refuse = |rig: &mut Rig, attempt: u16| {
        let did = rig.answer(attempt, "HTTP/1.1 401 No\ncontent-length: 0\n");
        assert!(did.contains(&Did::RenewToken { id: ids[1] }), "{did:?}");
        did
    };
    let (head, _) = chat(&mut rig, body);
    assert_eq!(header(&head, "authorization"), Some("Bearer good"));
    let did = refuse(&mut rig, 1);
    assert!(
        did.contains(&Did::Abandon { attempt: 1 }) && body_of(&did).is_empty(),
        "{did:?}"
    );
    // Nothing has come yet: it is looked for again.
    assert_eq!(rig.expire(), []);
    rig.local.tokens.put(ids[1], &token("better", now + 1));
    assert_eq!(dialled(&rig.expire()).len(), 1);
    let (head, _) = sent(&rig.connected(2));
    assert_eq!(header(&head, "authorization"), Some("Bearer better"));
    // That one is refused too: it is not for want of another, and the next call does not wait either.
    refuse(&mut rig, 2);
    assert_eq!(reply(&rig.end(2)).0, 401);
    chat(&mut rig, body);
    refuse(&mut rig, 1);
    assert_eq!(reply(&rig.end(1)).0, 401);
}

#[test]
fn a_refused_token_that_nobody_renews_is_told_of_in_time_and_one_that_came_meanwhile_is_shown_at_once() {
    let text = r#""providers": {"p": {"kind": "azure-openai", "resource": "r", "credential": "env:A",
            "auth": {"azure_ad": {"tenant": "t", "client_id": "c"}}}},
        "models": {"m": {"targets": [{"provider": "p", "model": "gpt"}]}}"#;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let mut rig = Rig::new(written(text));
    let id = rig
        .pinned
        .snapshot
        .exchanges()
        .map(|exchanged| exchanged.id)
        .next()
        .expect("one");
    let end = rig::NOW_UNIX_MS / 1000 + 100;
    let token = |text: &str| AccessToken {
        token: Secret(text.into()),
        renew_unix_s: end,
        expires_unix_s: end,
    };
    rig.local.tokens.put(id, &token("old"));
    chat(&mut rig, body);
    let began = rig.now;
    rig.answer(1, "HTTP/1.1 401 No\ncontent-length: 0\n");
    let did = loop {
        let did = rig.expire();
        if !did.is_empty() {
            break did;
        }
    };
    let (status, _, said) = reply(&did);
    assert_eq!(status, 503, "{said}");
    assert!(
        said.contains("'p'") && said.contains("refuses its access token"),
        "{said}"
    );
    assert_eq!(rig.now.ns_since(began) / 1_000_000, 3_000);

    chat(&mut rig, body);
    rig.local.tokens.put(id, &token("new"));
    rig.answer(1, "HTTP/1.1 401 No\ncontent-length: 0\n");
    assert_eq!(dialled(&rig.expire()).len(), 1);
    let (head, _) = sent(&rig.connected(2));
    assert_eq!(header(&head, "authorization"), Some("Bearer new"));
}
