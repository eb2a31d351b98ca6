//! Everything that is answered without a provider: refusals, lists, health, CORS.

mod rig;

use rig::{Did, NOW_UNIX_MS, Rig, document, header, key, reply};
use tollgate_config::document::{Cors, Listener};
use tollgate_engine::{Input, exchange::ClientFault, outputs::ReplyFraming};
use tollgate_wire::http1::read::BadHead;

const AUTH: &str = "authorization: Bearer secret-all\n";

fn refused(did: &[Did]) -> (u16, String) {
    assert_eq!(did[did.len() - 2..], [Did::Settle, Did::End]);
    let (status, lines, body) = reply(did);
    assert!(header(&lines, "x-request-id").is_some());
    let tree: serde_json::Value = serde_json::from_str(&body).expect("an error is JSON");
    (status, tree["error"]["code"].as_str().expect("a code").to_owned())
}

#[test]
fn paths_methods_and_what_is_not_served_yet() {
    for (line, status, code) in [
        ("GET /nowhere HTTP/1.1", 404, "not_found"),
        ("GET /v1/chat/completions HTTP/1.1", 405, "method_not_allowed"),
        ("DELETE /v1/models HTTP/1.1", 405, "method_not_allowed"),
        ("GET /v1/embeddings HTTP/1.1", 405, "method_not_allowed"),
        ("POST /v1/audio/transcriptions HTTP/1.1", 400, "invalid_request"),
        ("GET /v1/images/edits HTTP/1.1", 405, "method_not_allowed"),
        ("POST /v1/audio/voices HTTP/1.1", 501, "not_supported"),
        ("GET /openai/v1/responses HTTP/1.1", 405, "method_not_allowed"),
        ("GET /v1/responses/resp_1 HTTP/1.1", 404, "not_found"),
        ("POST /v1/responses/compact HTTP/1.1", 501, "not_supported"),
        ("PUT /v1/files/file-1 HTTP/1.1", 405, "method_not_allowed"),
        ("GET /x/v1/files/file-1 HTTP/1.1", 404, "not_found"),
        ("GET /v1/files HTTP/1.1", 501, "not_supported"),
        ("POST /v1/batches HTTP/1.1", 403, "batches_not_allowed"),
        ("POST /v1/uploads HTTP/1.1", 501, "not_supported"),
        (
            "GET /openai/deployments/x/images/generations HTTP/1.1",
            405,
            "method_not_allowed",
        ),
        ("POST /openai/deployments/x/images/other HTTP/1.1", 501, "not_supported"),
        ("POST /v1/messages/batches HTTP/1.1", 403, "batches_not_allowed"),
        ("GET /v1/messages/other HTTP/1.1", 501, "not_supported"),
        (
            "GET /openai/deployments/x/chat/completions HTTP/1.1",
            405,
            "method_not_allowed",
        ),
        ("GET /providers/one/x HTTP/1.1", 403, "pass_through_not_allowed"),
        ("GET /providers/one HTTP/1.1", 404, "not_found"),
        ("GET /v1/modelsx HTTP/1.1", 404, "not_found"),
        ("GET /anthropic/v1/chat/completions HTTP/1.1", 404, "not_found"),
        (
            "GET /v1/chat/completions HTTP/1.1\nconnection: upgrade\nupgrade: websocket",
            501,
            "not_supported",
        ),
    ] {
        let mut rig = Rig::new(document());
        let did = rig.request(&format!("{line}\nhost: g\n{AUTH}"), b"");
        assert_eq!(refused(&did), (status, code.to_owned()), "{line}");
    }
}

#[test]
fn what_clouds_call_by_paths_of_their_own_is_told_what_to_call() {
    for (path, instead) in [
        ("/model/anthropic.claude/invoke", "POST /model/{model}/converse"),
        ("/bedrock/model/m/invoke-with-response-stream", "POST /v1/messages"),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/c:rawPredict",
            "POST /v1/messages",
        ),
        (
            "/v1/projects/p/locations/l/publishers/google/models/g:predict",
            "POST /v1beta/models/{model}:generateContent",
        ),
    ] {
        let mut rig = Rig::new(document());
        let (status, _, said) = reply(&rig.request(&format!("POST {path} HTTP/1.1\nhost: g\n{AUTH}"), b"{}"));
        assert_eq!(status, 501, "{path}");
        for words in [path, instead, "pass_through"] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}

#[test]
fn a_405_says_what_is_allowed() {
    let mut rig = Rig::new(document());
    let (_, lines, _) = reply(&rig.get("/v1/messages", AUTH));
    assert_eq!(header(&lines, "allow"), Some("POST"));
    assert!(header(&lines, "request-id").is_some());
}

#[test]
fn keys_are_looked_for_in_order_and_checked() {
    let mut document = document();
    let mut late = key("late", &[]);
    late.1.expires_unix_s = Some(NOW_UNIX_MS / 1000);
    let mut near = key("near", &[]);
    near.1.loopback_only = true;
    document.keys.extend([late, near]);
    let mut rig = Rig::new(document);
    rig.loopback = false;
    for (path, headers, status) in [
        ("/v1/models", "", 401),
        ("/v1/models", "authorization: Bearer wrong\n", 401),
        ("/v1/models", "authorization: bearer secret-all\n", 200),
        ("/v1/models", "authorization: Basic secret-all\n", 401),
        ("/v1/models", "x-api-key: secret-all\n", 200),
        ("/v1/models", "x-goog-api-key: secret-all\n", 200),
        ("/v1/models", "api-key: secret-all\n", 200),
        ("/v1/models?key=secret%2Dall", "", 200),
        ("/v1/models?key=secret-all", "authorization: Bearer wrong\n", 401),
        (
            "/v1/models",
            "authorization: Bearer wrong\nx-api-key: secret-all\n",
            401,
        ),
        ("/v1/models", "api-key: secret-all\nx-api-key: wrong\n", 401),
        ("/v1/models", "x-api-key: secret-late\n", 401),
        ("/v1/models", "x-api-key: secret-near\n", 401),
    ] {
        let (got, lines, _) = reply(&rig.get(path, headers));
        assert_eq!(got, status, "{path} {headers}");
        assert_eq!(header(&lines, "www-authenticate").is_some(), status == 401);
    }
    rig.loopback = true;
    assert_eq!(reply(&rig.get("/v1/models", "x-api-key: secret-near\n")).0, 200);
}

#[test]
fn the_query_key_does_not_reach_the_provider() {
    let mut rig = Rig::new(document());
    let head = "POST /v1/messages?beta=true&key=secret-all HTTP/1.1\nhost: g\n";
    rig.request(head, br#"{"model":"sonnet"}"#);
    let (sent, _) = rig::sent(&rig.connected(1));
    assert!(sent.starts_with("POST /v1/messages?beta=true HTTP/1.1\r\n"), "{sent}");
    assert!(!sent.contains("secret-all"));
}

#[test]
fn bodies_are_refused_with_the_field_and_the_offset() {
    for (body, status, code, says) in [
        (
            r#"{"model":3}"#,
            400,
            "invalid_request",
            "'model' must be a string (byte 9",
        ),
        (r#"{"messages":[]}"#, 400, "invalid_request", "'model' is missing"),
        (r#"{"model":""}"#, 400, "invalid_request", "'model' is empty"),
        (
            r#"{"model":"gpt","stream":"yes"}"#,
            400,
            "invalid_request",
            "'stream' must be true or false (byte 24",
        ),
        (r#"{"model":"gpt""#, 400, "invalid_request", "byte 14"),
        (r#"{"model":"gpt","model":"same"}"#, 400, "invalid_request", "twice"),
        (r#"[]"#, 400, "invalid_request", "not an object"),
        (r#"{"model":"gpd"}"#, 404, "model_not_found", "did you mean 'gpt'?"),
        (r#"{"model":"sonnet"}"#, 400, "invalid_request", "'messages' is missing"),
    ] {
        let mut rig = Rig::new(document());
        let did = rig.chat(body);
        assert_eq!(refused(&did), (status, code.to_owned()), "{body}");
        assert!(reply(&did).2.contains(says), "{body}: {}", reply(&did).2);
    }
}

#[test]
fn a_key_may_use_only_its_models() {
    let mut rig = Rig::new(document());
    let head = "POST /v1/chat/completions HTTP/1.1\nhost: g\nx-api-key: secret-few\n";
    let did = rig.request(head, br#"{"model":"same"}"#);
    assert_eq!(refused(&did), (403, "model_not_allowed".into()));
    assert!(reply(&did).2.contains("'same'"));
    let did = rig.request(head, br#"{"model":"sam"}"#);
    assert!(
        !reply(&did).2.contains("same"),
        "names it may not use are not suggested"
    );
    assert_eq!(rig::dialled(&rig.request(head, br#"{"model":"gpt"}"#)).len(), 1);
}

#[test]
fn headers_that_decide_are_checked() {
    for (line, status, code) in [
        ("x-tollgate-timeout: soon", 400, "invalid_request"),
        ("x-tollgate-tags: loose", 400, "invalid_request"),
        ("x-tollgate-cache: always", 400, "invalid_request"),
        ("x-tollgate-cache: only", 504, "cache_miss"),
        ("content-length: 2000000", 413, "request_too_large"),
        ("content-encoding: compress", 415, "unsupported_encoding"),
        ("content-encoding: gzip", 400, "invalid_request"),
    ] {
        let mut rig = Rig::new(document());
        let head = format!("POST /v1/chat/completions HTTP/1.1\nhost: g\n{AUTH}{line}\n");
        assert_eq!(
            refused(&rig.request(&head, br#"{"model":"gpt"}"#)),
            (status, code.to_owned()),
            "{line}"
        );
    }
}

#[test]
fn request_ids_and_tags_are_kept() {
    let mut rig = Rig::new(document());
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\nhost: g\n{AUTH}x-request-id: mine-1\nx-tollgate-tags: run=7,a=b\n"
    );
    rig.request(&head, br#"{"model":"gpt"}"#);
    let record = rig.exchange.record();
    assert_eq!((record.request_id, record.tags), ("mine-1", Some("run=7,a=b")));
    for bad in ["with space", &"x".repeat(129)] {
        let (_, lines, _) = reply(&rig.get("/healthz", &format!("x-request-id: {bad}\n")));
        assert_eq!(header(&lines, "x-request-id").map(str::len), Some(32));
    }
}

#[test]
fn models_are_listed_in_the_dialect_asked_and_only_those_the_key_may_use() {
    let mut rig = Rig::new(document());
    let ids = |did: &[Did]| -> Vec<String> {
        let tree: serde_json::Value = serde_json::from_str(&reply(did).2).expect("JSON");
        let data = tree["data"].as_array().expect("a list");
        data.iter()
            .map(|model| model["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    assert_eq!(ids(&rig.get("/v1/models", AUTH)), ["gpt", "same", "one/*", "sonnet"]);
    assert_eq!(ids(&rig.get("/openai/v1/models", "api-key: secret-few\n")), ["gpt"]);
    let did = rig.get("/v1/models", "x-api-key: secret-few\nanthropic-version: 2023-06-01\n");
    let tree: serde_json::Value = serde_json::from_str(&reply(&did).2).expect("JSON");
    assert_eq!(
        (&tree["data"][0]["type"], &tree["first_id"], &tree["has_more"]),
        (&"model".into(), &"gpt".into(), &false.into())
    );
    let one = |path: &str, rig: &mut Rig| reply(&rig.get(path, AUTH));
    assert_eq!(one("/v1/models/gpt", &mut rig).0, 200);
    assert!(one("/v1/models/one%2Fany", &mut rig).2.contains(r#""id":"one/any""#));
    assert_eq!(one("/v1/models/none", &mut rig).0, 404);
    assert_eq!(reply(&rig.get("/v1/models/same", "api-key: secret-few\n")).0, 404);
}

#[test]
fn health_is_open_and_follows_the_shell() {
    let mut rig = Rig::new(document());
    assert_eq!(reply(&rig.get("/healthz", "")).0, 200);
    assert_eq!(reply(&rig.get("/readyz", "")).0, 200);
    rig.ready = false;
    assert_eq!(reply(&rig.get("/readyz", "")).0, 503);
    assert_eq!(reply(&rig.get("/healthz", "")).0, 200);
    let did = rig.request("HEAD /healthz HTTP/1.1\nhost: g\n", b"");
    assert!(matches!(
        did[0],
        Did::Head {
            status: 200,
            framing: ReplyFraming::Empty(Some(3)),
            ..
        }
    ));
    assert_eq!(did[1..], [Did::Settle, Did::End]);
}

#[test]
fn what_is_no_request_gets_an_answer_too() {
    let mut rig = Rig::new(document());
    rig.begin("GET / HTTP/1.1\nhost: g\n", b"");
    let did = rig.feed(Input::BadHead(BadHead {
        status: 431,
        reason: "too many headers",
        offset: 9,
    }));
    assert_eq!(refused(&did), (431, "invalid_request".into()));
    for (fault, status) in [
        (ClientFault::TooLarge, 413),
        (ClientFault::Timeout, 408),
        (ClientFault::BadFraming("a chunk's size is no number"), 400),
    ] {
        rig.begin(&format!("POST /v1/messages HTTP/1.1\nhost: g\n{AUTH}"), b"{}");
        assert_eq!(rig.feed(Input::Head), [Did::ReadBody]);
        let did = rig.feed(Input::ClientFault(fault));
        assert_eq!(reply(&did).0, status);
        assert!(reply(&did).2.starts_with(r#"{"type":"error""#));
    }
}

#[test]
fn cors_answers_the_origins_it_knows() {
    let mut document = document();
    let cors = Cors {
        origins: vec!["https://app.test".into()],
        max_age_s: 600,
    };
    let listener = Listener {
        address: "127.0.0.1:0".parse().expect("an address"),
        tls: None,
        proxy_protocol: false,
        trusted_proxies: Vec::new(),
        cors: Some(cors),
    };
    document.listeners = vec![("public".into(), listener)];
    let mut rig = Rig::new(document);
    rig.listener = Some(0);
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /v1/chat/completions HTTP/1.1\nhost: g\norigin: {origin}\naccess-control-request-method: \
             POST\naccess-control-request-headers: authorization\n"
        )
    };
    let (status, lines, _) = reply(&rig.request(&preflight("https://app.test"), b""));
    assert_eq!(
        (status, header(&lines, "access-control-allow-origin")),
        (204, Some("https://app.test"))
    );
    assert_eq!(header(&lines, "access-control-allow-headers"), Some("authorization"));
    assert_eq!(header(&lines, "access-control-max-age"), Some("600"));
    let (_, lines, _) = reply(&rig.request(&preflight("https://evil.test"), b""));
    assert_eq!(header(&lines, "access-control-allow-origin"), None);
    let (_, lines, _) = reply(&rig.get("/healthz", "origin: https://app.test\n"));
    assert_eq!(header(&lines, "access-control-allow-origin"), Some("https://app.test"));
    rig.listener = None;
    assert_eq!(reply(&rig.request(&preflight("https://app.test"), b"")).0, 405);
}

#[test]
fn a_list_has_the_shape_of_the_dialect_that_asks() {
    for (path, headers, member) in [
        ("/v1/models", AUTH, "\"object\":\"list\""),
        ("/v1/models", "x-goog-api-key: secret-all\n", "\"models\":["),
        ("/gemini/v1/models", AUTH, "\"models\":["),
        ("/v1beta/models", AUTH, "\"models\":["),
        (
            "/v1/models",
            "x-api-key: secret-all\nanthropic-version: 2023-06-01\n",
            "\"has_more\":false",
        ),
    ] {
        let mut rig = Rig::new(document());
        let (status, _, body) = reply(&rig.get(path, headers));
        assert_eq!(status, 200, "{path}");
        assert!(body.contains(member), "{path}: {body}");
    }
}

#[test]
fn a_prompt_without_turns_for_a_chat_model_says_what_to_call() {
    let mut rig = Rig::new(document());
    let head = format!("POST /v1/completions HTTP/1.1\nhost: g\n{AUTH}");
    let (status, _, text) = reply(&rig.request(&head, br#"{"model":"sonnet","prompt":"hi"}"#));
    assert_eq!(status, 501);
    for said in ["'sonnet'", "/completions", "POST /v1/chat/completions", "'messages'"] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn texts_to_be_judged_go_to_the_model_named_or_to_the_usual_one() {
    let mut document = document();
    document
        .models
        .push(rig::model("omni-moderation-latest", &[("one", "judge")]));
    for (body, up) in [
        (
            r#"{"model":"gpt","input":"hi"}"#,
            r#"{"model":"gpt-real","input":"hi"}"#,
        ),
        (r#"{"input":["hi"]}"#, r#"{"model":"judge","input":["hi"]}"#),
    ] {
        let mut rig = Rig::new(document.clone());
        rig.request(
            &format!("POST /v1/moderations HTTP/1.1\nhost: g\n{AUTH}"),
            body.as_bytes(),
        );
        let (head, sent) = rig::sent(&rig.connected(1));
        assert!(head.starts_with("POST /v1/moderations HTTP/1.1\r\n"), "{head}");
        assert_eq!(sent, up);
    }
}
