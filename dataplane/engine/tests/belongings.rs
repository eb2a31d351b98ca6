//! What belongs to a provider on its way through the gateway: signatures that come back, files and caches that are named.

mod rig;

use rig::{Did, Rig, model, reply, sent};
use serde_json::{Value, json};
use tollgate_config::Document;
use tollgate_engine::exchange::UpstreamFault;

const JSON_HEAD: &str = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n";

/// A call is dialled and sent; the head and the body that went up.
fn send(rig: &mut Rig, did: &[Did]) -> (String, Value) {
    assert!(matches!(did, [Did::Dial { .. }]), "{did:?}");
    let (head, body) = sent(&rig.connected(1));
    (head, tree(&body))
}

fn tree(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|bad| panic!("{bad}: {text}"))
}

/// The rig's six, and a model that goes to two of them.
fn six() -> Document {
    let mut document = rig::six();
    document
        .models
        .push(model("any", &[("openai", "real-model"), ("gemini", "other-model")]));
    document
}

/// Keys of several teams, and providers whose ids are sealed with one secret.
fn six_with_secret() -> (Document, tollgate_engine::snapshot::Secrets) {
    let mut document = six();
    let (mut other, mut through) = (rig::key("other", &[]), rig::key("through", &[]));
    other.1.team = Some("others".into());
    through.1.pass_through = true;
    document.keys.push(other);
    document.keys.push(through);
    document.id_secret = Some(rig::env("SEALS"));
    let mut secrets = rig::secrets(&document);
    secrets.insert(rig::env("SEALS"), b"0123456789abcdef0123456789abcdef".to_vec());
    (document, secrets)
}

/// A signature as the gateway hands it to the caller: what Gemini signed, on its way through Anthropic's dialect.
fn sealed_for(key: &str) -> String {
    let (document, secrets) = six_with_secret();
    let mut rig = Rig::with_secrets(document, &secrets);
    let head = format!("POST /v1/messages HTTP/1.1\nhost: g\nx-api-key: secret-{key}\n");
    rig.request(
        &head,
        br#"{"model":"gemini","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
    );
    rig.connected(1);
    rig.answer(1, JSON_HEAD);
    rig.body(
        1,
        r#"{"candidates":[{"content":{"parts":[{"text":"Hm.","thought":true,"thoughtSignature":"c2lnbmVk"},{"text":"yes"}]},
            "finishReason":"STOP"}]}"#,
    );
    let (_, _, body) = reply(&rig.end(1));
    let signature = &tree(&body)["content"][0]["signature"];
    signature.as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

fn asks_again(key: &str, signature: &str, said: &str) -> (Rig, Vec<Did>) {
    let (document, secrets) = six_with_secret();
    let mut rig = Rig::with_secrets(document, &secrets);
    let body = json!({"model": "any", "max_tokens": 9, "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": signature}, {"type": "text", "text": "yes"}]},
        {"role": "user", "content": said}]});
    let head = format!("POST /v1/messages HTTP/1.1\nhost: g\nx-api-key: secret-{key}\n");
    let did = rig.request(&head, body.to_string().as_bytes());
    (rig, did)
}

#[test]
fn what_a_provider_signed_goes_back_to_it_and_nowhere_else() {
    let sealed = sealed_for("all");
    let (mut rig, did) = asks_again("all", &sealed, "and?");
    let (head, up) = send(&mut rig, &did);
    assert!(
        head.starts_with("POST /v1/models/other-model:generateContent "),
        "{head}"
    );
    assert_eq!(up["contents"][1]["parts"][0]["thoughtSignature"], "c2lnbmVk", "{up}");
    // The first target was never tried: the second failing is the end.
    // It is tried again there, and its failing is the end.
    assert_eq!(rig.failed(1, UpstreamFault::Connect), []);
    assert!(matches!(&rig.expire()[..], [Did::Dial { provider, .. }] if provider == "gemini"));
    let (status, _, text) = reply(&rig.failed(2, UpstreamFault::Connect));
    assert_eq!(status, 502);
    assert!(text.contains("'gemini'"), "{text}");
}

#[test]
fn only_what_the_gateway_sealed_for_the_caller_decides_where_a_call_goes() {
    let forged = tollgate_dialect::canonical::seal::seal(None, "gemini", "c2lnbmVk");
    let of_others = sealed_for("other");
    for (key, signature, said) in [
        ("all", "own", &*format!("what is {forged}?")),
        ("all", "own", &*format!("what is {of_others}?")),
        ("all", &*forged, "and?"),
        ("all", &*of_others, "and?"),
    ] {
        let (_, did) = asks_again(key, signature, said);
        let provider = rig::dialled(&did).first().map(|(provider, _)| provider.clone());
        assert_eq!(provider.as_deref(), Some("openai"), "{signature} {said}");
    }
    // Pasted behind the real one it does not hide it.
    let sealed = sealed_for("all");
    let (_, did) = asks_again("all", &sealed, &format!("what is {forged}?"));
    assert_eq!(rig::dialled(&did)[0].0, "gemini");
}

#[test]
fn files_of_a_provider_are_named_by_who_may_see_them_all() {
    let anthropic = |block: Value| {
        let body = json!({"model": "anthropic", "max_tokens": 9, "messages": [{"role": "user", "content": [block]}]});
        ("/v1/messages".to_owned(), body)
    };
    let gemini = |uri: &str| {
        let body = json!({"contents": [{"parts": [{"fileData": {"fileUri": uri}}]}]});
        ("/v1beta/models/gemini:generateContent".to_owned(), body)
    };
    let file = json!({"type": "file", "file_id": "file_011raw"});
    let stored = "https://generativelanguage.googleapis.com/v1beta/files/abc";
    for ((path, body), named) in [
        (anthropic(json!({"type": "document", "source": file})), true),
        (
            anthropic(json!({"type": "container_upload", "file_id": "file_011raw"})),
            true,
        ),
        (
            anthropic(
                json!({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": file}]}),
            ),
            true,
        ),
        (
            anthropic(json!({"type": "tool_use", "id": "t", "name": "f", "input": {"source": file}})),
            false,
        ),
        (gemini(stored), true),
        (gemini("files/abc"), true),
        (gemini("https://www.youtube.com/watch?v=1"), false),
    ] {
        for (key, may) in [("all", !named), ("through", true)] {
            let (document, secrets) = six_with_secret();
            let mut rig = Rig::with_secrets(document, &secrets);
            let head = format!("POST {path} HTTP/1.1\nhost: g\nx-api-key: secret-{key}\n");
            let did = rig.request(&head, body.to_string().as_bytes());
            if may {
                assert_eq!(rig::dialled(&did).len(), 1, "{key} {body}: {did:?}");
                let (_, up) = sent(&rig.connected(1));
                assert!(up.contains("011raw") || up.contains("fileUri"), "{up}");
            } else {
                let (status, _, text) = reply(&did);
                assert_eq!(status, 404, "{key} {body}: {text}");
            }
        }
    }
}

#[test]
fn what_lives_at_a_provider_goes_past_targets_of_other_dialects() {
    let (document, secrets) = six_with_secret();
    let head = "POST /v1beta/models/any:generateContent HTTP/1.1\nhost: g\nx-api-key: secret-all\n";
    let body = r#"{"cachedContent":"cachedContents/abc","contents":[{"parts":[{"text":"hi"}]}]}"#;
    let mut rig = Rig::with_secrets(document.clone(), &secrets);
    let did = rig.request(head, body.as_bytes());
    assert_eq!(rig::dialled(&did)[0].0, "gemini");
    assert_eq!(sent(&rig.connected(1)).1, body);
    // Where there is none, the call is refused.
    let mut rig = Rig::with_secrets(document, &secrets);
    let (status, _, text) = reply(&rig.request(&head.replace("any", "cohere"), body.as_bytes()));
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("cachedContent"), "{text}");
}
