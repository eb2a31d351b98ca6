//! Ids of objects that live at a provider: sealed on the way down, opened on the way up, and nobody else's.

mod rig;

use rig::{Did, Rig, body_of, dialled, env, header, key, model, provider, reply, sent};
use serde_json::{Value, json};
use tollgate_config::{Document, document::Dialect};
use tollgate_engine::exchange::UpstreamFault;

/// What the rig makes of the name is long enough to be a secret.
const ID_SECRET: &str = "ID_SECRET_OF_THIRTY_TWO_CHARACTERS";

/// Two providers of responses and one of chats; keys of two teams, a user's, and one alone.
fn document() -> Document {
    let own = |name: &str, team: Option<&str>, user: Option<&str>| {
        let mut own = key(name, &[]);
        own.1.team = team.map(Into::into);
        own.1.user = user.map(Into::into);
        own
    };
    Document {
        max_body_bytes: 1024 * 1024,
        id_secret: Some(env(ID_SECRET)),
        providers: vec![
            provider("claude", Dialect::Anthropic),
            provider("first", Dialect::OpenAiResponses),
            provider("second", Dialect::OpenAiResponses),
            provider("chats", Dialect::OpenAi),
        ],
        models: vec![
            model("gpt", &[("first", "gpt-real"), ("second", "gpt-spare")]),
            model("spare", &[("second", "gpt-spare")]),
            model("sonnet", &[("claude", "claude-sonnet")]),
            model("chat", &[("chats", "chat-real")]),
        ],
        keys: vec![
            key("all", &[]),
            own("mate", Some("research"), None),
            own("rival", Some("sales"), None),
            own("ann", None, Some("research")),
            own("research", None, None),
        ],
        ..Document::default()
    }
}

fn head(line: &str, key: &str) -> String {
    format!("{line} HTTP/1.1\nhost: g\nauthorization: Bearer secret-{key}\ncontent-type: application/json\n")
}

fn respond(rig: &mut Rig, key: &str, body: &Value) -> Vec<Did> {
    rig.request(&head("POST /v1/responses", key), body.to_string().as_bytes())
}

const JSON: &str = "HTTP/1.1 200 OK\ncontent-type: application/json\n";
const EVENTS: &str = "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n";

/// Answers the only attempt with a document, in pieces of this length; what reaches the client.
fn answer(rig: &mut Rig, document: &str, piece: usize) -> String {
    let (_, lines, mut down) = reply(&rig.answer(1, &format!("{JSON}content-length: {}\n", document.len())));
    assert_eq!(header(&lines, "content-length"), None);
    for piece in document.as_bytes().chunks(piece) {
        down += &body_of(&rig.body(1, std::str::from_utf8(piece).expect("ASCII")));
    }
    let did = rig.end(1);
    assert_eq!(did[did.len() - 2..], [Did::Settle, Did::End]);
    down + &body_of(&did)
}

fn tree(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|bad| panic!("{bad}: {text}"))
}

fn id(text: &str) -> String {
    tree(text)["id"].as_str().expect("an id").to_owned()
}

/// The sealed id of a response that this key made at `first`.
fn made(rig: &mut Rig, key: &str, raw: &str) -> String {
    respond(rig, key, &json!({"model": "gpt", "input": "hi"}));
    rig.connected(1);
    id(&answer(
        rig,
        &json!({"id": raw, "object": "response"}).to_string(),
        1000,
    ))
}

fn refused(did: &[Did]) -> (u16, Value) {
    let (status, _, body) = reply(did);
    (status, tree(&body)["error"].take())
}

const RAW: &str = "resp_68a1b2c3d4e5f60718293a4b5c6d7e8f";

#[test]
fn an_answers_ids_are_sealed_in_place() {
    let document = format!(
        "{{ \"id\" : \"{RAW}\",\"object\":\"response\", \"previous_response_id\":null,\"metadata\":{{\"file_id\":\"mine\"}},\
         \"conversation\":{{\"id\":\"conv_1\"}},\"output\":[{{\"id\":\"msg_1\",\"content\":[{{\"annotations\":[\
         {{\"file_id\":\"file-9\"}},{{\"file_id\":\"cfile_9\"}}],\"text\":\"\\\"id\\\":\\\"{RAW}\\\"\"}}]}}],\
         \"usage\":{{\"input_tokens\":3,\"output_tokens\":4}}}}"
    );
    let mut expected = String::new();
    for piece in [1, 2, 17, 64, 100_000] {
        let mut rig = Rig::new(self::document());
        respond(&mut rig, "all", &json!({"model": "gpt", "input": "hi"}));
        rig.connected(1);
        let down = answer(&mut rig, &document, piece);
        let sealed = id(&down);
        assert!(sealed.starts_with("resp_tgt1") && !sealed.contains("68a1"), "{sealed}");
        let read = tree(&down);
        let conversation = read["conversation"]["id"].as_str().expect("an id");
        let file = read["output"][0]["content"][0]["annotations"][0]["file_id"]
            .as_str()
            .expect("an id");
        assert!(conversation.starts_with("conv_tgt1") && file.starts_with("file-tgt1"));
        let back = down
            .replacen(&sealed, RAW, 1)
            .replace(conversation, "conv_1")
            .replace(file, "file-9");
        assert_eq!(back, document, "in pieces of {piece}");
        assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.output), Some(4));
        // The same object has the same id, however its answer came.
        assert!(expected.is_empty() || expected == down);
        expected = down;
    }
}

#[test]
fn a_streams_ids_are_sealed_in_every_event() {
    let event = |name: &str, response: &str| {
        format!("event: {name}\ndata: {{\"type\":\"{name}\",\"response\":{{\"id\":\"{RAW}\",{response}}}}}\n\n")
    };
    let delta = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\",\
                 \"delta\":\"{\\\"response\\\":{\"}\n\n";
    let usage = "\"usage\":{\"input_tokens\":3,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":4,\
                 \"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":7},\"status\":\"completed\"";
    let stream =
        event("response.created", "\"previous_response_id\":\"resp_0\"") + delta + &event("response.completed", usage);
    for piece in [1, 50, 100_000] {
        let mut rig = Rig::new(document());
        let sealed = made(&mut rig, "all", RAW);
        let earlier = made(&mut rig, "all", "resp_0");
        respond(&mut rig, "all", &json!({"model": "gpt", "input": "hi", "stream": true}));
        rig.connected(1);
        rig.answer(1, EVENTS);
        let mut down = String::new();
        for piece in stream.as_bytes().chunks(piece) {
            down += &body_of(&rig.body(1, std::str::from_utf8(piece).expect("ASCII")));
        }
        down += &body_of(&rig.end(1));
        assert_eq!(down, stream.replace(RAW, &sealed).replace("resp_0", &earlier));
        assert_eq!(
            rig.exchange.record().usage.and_then(|usage| usage.output),
            Some(4),
            "in pieces of {piece}"
        );
    }
}

#[test]
fn an_event_too_long_to_hold_is_sealed_all_the_same() {
    let mut rig = Rig::new(document());
    let sealed = made(&mut rig, "all", RAW);
    respond(&mut rig, "all", &json!({"model": "gpt", "input": "hi", "stream": true}));
    rig.connected(1);
    rig.answer(1, EVENTS);
    let event = format!(
        "event: response.completed\ndata: {{\"response\":{{\"id\":\"{RAW}\",\"output\":\"{}\",\
         \"previous_response_id\":\"{RAW}\"}}}}\n\n",
        "x".repeat(1_200_000)
    );
    let mut down = String::new();
    for piece in event.as_bytes().chunks(16 * 1024) {
        down += &body_of(&rig.body(1, std::str::from_utf8(piece).expect("ASCII")));
    }
    down += &body_of(&rig.end(1));
    assert!(down == event.replace(RAW, &sealed));
}

#[test]
fn what_a_request_names_is_opened_and_goes_where_it_lives() {
    let mut rig = Rig::new(document());
    // Made at the second provider, as the first could not be reached.
    respond(&mut rig, "all", &json!({"model": "gpt", "input": "hi"}));
    rig.failed(1, UpstreamFault::Connect);
    rig.connected(2);
    rig.answer(2, &format!("{JSON}content-length: 100\n"));
    let mut down = body_of(&rig.body(2, &format!("{{\"id\":\"{RAW}\"}}")));
    down += &body_of(&rig.end(2));
    let sealed = id(&down);

    for body in [
        json!({"model": "gpt", "previous_response_id": sealed, "input": "more"}),
        json!({"model": "gpt", "conversation": sealed, "input": "more"}),
        json!({"model": "gpt", "conversation": {"id": sealed}, "prompt": {"id": sealed}, "previous_response_id": null}),
        json!({"model": "gpt", "input": [{"content": [{"type": "input_file", "file_id": sealed},
            {"annotations": [{"file_id": "cfile_1"}]}]}], "tools": [{"container": {"file_ids": [sealed, sealed]}}],
            "metadata": {"file_id": "file-mine"}}),
    ] {
        let did = respond(&mut rig, "mate", &body);
        assert_eq!(dialled(&did), [("second".to_owned(), false)]);
        let (head, up) = sent(&rig.connected(1));
        let expected = body
            .to_string()
            .replace(&sealed, RAW)
            .replace("\"gpt\"", "\"gpt-spare\"");
        assert_eq!(up, expected);
        assert_eq!(header(&head, "content-length"), Some(&*up.len().to_string()));
    }
    // Where it lives, or nowhere: the error names the provider.
    let body = json!({"model": "gpt", "previous_response_id": sealed, "input": "more"});
    respond(&mut rig, "all", &body);
    assert_eq!(rig.failed(1, UpstreamFault::Connect), []);
    assert_eq!(dialled(&rig.expire()), [("second".to_owned(), false)]);
    let (status, error) = refused(&rig.failed(2, UpstreamFault::Connect));
    assert_eq!(status, 502);
    assert!(
        error["message"].as_str().expect("words").contains("'second'"),
        "{error}"
    );
}

#[test]
fn what_is_not_the_callers_is_not_there() {
    let mut rig = Rig::new(document());
    let sealed = made(&mut rig, "all", RAW);
    let mut forged = sealed.clone();
    forged.replace_range(20..21, if &sealed[20..21] == "A" { "B" } else { "A" });
    for (key, id, status) in [
        ("all", &*sealed, 0),
        ("mate", &sealed, 0),
        ("rival", &sealed, 404),
        ("ann", &sealed, 404),
        ("research", &sealed, 404),
        ("all", RAW, 404),
        ("all", &forged, 404),
        ("all", "", 404),
    ] {
        let body = json!({"model": "gpt", "previous_response_id": id, "input": "more"});
        let did = respond(&mut rig, key, &body);
        let deep = json!({"model": "gpt", "input": [{"content": [{"file_id": id}]}]});
        let deep = respond(&mut rig, key, &deep);
        let one = rig.request(&head(&format!("GET /v1/responses/{id}"), key), b"");
        if status == 0 {
            assert!(
                matches!(did[..], [Did::Dial { .. }]) && matches!(deep[..], [Did::Dial { .. }]),
                "{did:?} {deep:?}"
            );
            assert!(matches!(one[..], [Did::Dial { .. }]), "{one:?}");
            continue;
        }
        // However its name is written.
        let hidden = format!(r#"{{"model":"gpt","input":[{{"f\u0069le_id":"{id}"}}],"a":"\u00e9"}}"#);
        let hidden = rig.request(&head("POST /v1/responses", key), hidden.as_bytes());
        assert_eq!(refused(&hidden).1["param"], "file_id");
        for (did, param) in [
            (did, json!("previous_response_id")),
            (deep, json!("file_id")),
            (one, Value::Null),
        ] {
            let (got, error) = refused(&did);
            let code = if param.is_null() && id.is_empty() {
                "not_supported"
            } else {
                "not_found"
            };
            assert_eq!(
                (got, &error["code"]),
                (if code == "not_found" { 404 } else { 501 }, &json!(code)),
                "{key} {id}"
            );
            assert_eq!(error["param"], param);
        }
    }
    // A chat's files as well.
    let body = json!({"model": "chat", "messages": [{"role": "user", "content": [{"file": {"file_id": "file-raw"}}]}]});
    let did = rig.request(&head("POST /v1/chat/completions", "all"), body.to_string().as_bytes());
    assert_eq!(refused(&did).0, 404);
}

#[test]
fn a_model_that_does_not_go_there_is_told_so() {
    let mut rig = Rig::new(document());
    let sealed = made(&mut rig, "all", RAW);
    for model in ["spare", "sonnet"] {
        let body = json!({"model": model, "previous_response_id": sealed, "input": "more"});
        let (status, error) = refused(&respond(&mut rig, "all", &body));
        let words = error["message"].as_str().expect("words");
        assert!(
            status == 400 && words.contains("'first'") && words.contains(model),
            "{error}"
        );
        assert_eq!(error["param"], "previous_response_id");
    }
}

#[test]
fn calls_about_a_response_go_to_it() {
    for (line, up, body) in [
        (
            "GET /v1/responses/{}?include[]=a&key=x",
            "GET /v1/responses/RAW?include[]=a ",
            "",
        ),
        ("GET /openai/v1/responses/{}", "GET /v1/responses/RAW ", ""),
        ("DELETE /v1/responses/{}", "DELETE /v1/responses/RAW ", ""),
        ("POST /v1/responses/{}/cancel", "POST /v1/responses/RAW/cancel ", "{}"),
        (
            "GET /v1/responses/{}/input_items?after=msg_1",
            "GET /v1/responses/RAW/input_items?after=msg_1 ",
            "",
        ),
    ] {
        let mut rig = Rig::new(document());
        let sealed = made(&mut rig, "all", RAW);
        let did = rig.request(&head(&line.replace("{}", &sealed), "mate"), body.as_bytes());
        assert_eq!(dialled(&did), [("first".to_owned(), false)], "{line}");
        let (head, sent_body) = sent(&rig.connected(1));
        assert!(head.starts_with(&up.replace("RAW", RAW)), "{head}");
        assert_eq!(header(&head, "authorization"), Some("Bearer credential-KEY_first"));
        assert_eq!(sent_body, body);
        let came = format!(
            "{{\"id\":\"{RAW}\",\"usage\":{{\"input_tokens\":1,\"output_tokens\":2}},\"data\":[{{\"id\":\"msg_1\"}}]}}"
        );
        assert_eq!(answer(&mut rig, &came, 10), came.replace(RAW, &sealed));
        let record = rig.exchange.record();
        // Used when it was made.
        assert_eq!(
            (record.usage, record.surface, record.provider),
            (None, "responses", Some((1, "first")))
        );
    }
}

#[test]
fn a_response_is_read_as_a_stream() {
    let mut rig = Rig::new(document());
    let sealed = made(&mut rig, "all", RAW);
    rig.request(&head(&format!("GET /v1/responses/{sealed}?stream=true"), "all"), b"");
    rig.connected(1);
    rig.answer(1, EVENTS);
    let event = format!("data: {{\"response\":{{\"id\":\"{RAW}\",\"usage\":{{\"output_tokens\":4}}}}}}\n\n");
    assert_eq!(body_of(&rig.body(1, &event)), event.replace(RAW, &sealed));
    assert_eq!(rig.end(1), [Did::Settle, Did::End]);
    assert_eq!(rig.exchange.record().usage, None);
}

#[test]
fn a_provider_without_a_secret_keeps_its_ids_and_opens_none() {
    let mut document = document();
    document.id_secret = None;
    let mut rig = Rig::new(document.clone());
    respond(&mut rig, "all", &json!({"model": "gpt", "input": "hi"}));
    rig.connected(1);
    rig.answer(1, &format!("{JSON}content-length: 12\n"));
    assert_eq!(
        rig.body(1, "{\"id\":\"resp\"}"),
        [Did::Body("{\"id\":\"resp\"}".into())]
    );

    // A credential as providers hand it out is one.
    let long = "a-provider-whose-credential-is-long-enough";
    document.providers.push(provider(long, Dialect::OpenAiResponses));
    document.models.push(model("long", &[(long, "long")]));
    let mut rig = Rig::new(document);
    respond(&mut rig, "all", &json!({"model": "long", "input": "hi"}));
    rig.connected(1);
    let sealed = id(&answer(&mut rig, &format!("{{\"id\":\"{RAW}\"}}"), 5));
    let did = rig.request(&head(&format!("DELETE /v1/responses/{sealed}"), "all"), b"");
    assert_eq!(dialled(&did), [(long.to_owned(), false)]);
}

#[test]
fn the_credential_that_made_it_is_used_again() {
    let mut document = document();
    document.providers[1].1.credentials = vec![env("KEY_a"), env("KEY_b"), env("KEY_c")];
    let mut rig = Rig::new(document);
    for _ in 0..3 {
        respond(&mut rig, "all", &json!({"model": "gpt", "input": "hi"}));
        let (head_up, _) = sent(&rig.connected(1));
        let used = header(&head_up, "authorization").expect("a credential").to_owned();
        let sealed = id(&answer(&mut rig, &format!("{{\"id\":\"{RAW}\"}}"), 100));
        for _ in 0..2 {
            rig.request(&head(&format!("GET /v1/responses/{sealed}"), "all"), b"");
            let (head_up, _) = sent(&rig.connected(1));
            assert_eq!(header(&head_up, "authorization"), Some(&*used));
        }
    }
}

/// Keys that may make batches, and one that goes to nobody's objects.
fn with_batches() -> Rig {
    let mut document = document();
    for (name, models) in [("maker", &[][..]), ("spare", &["spare"]), ("sonnet", &["sonnet"])] {
        let mut maker = key(name, models);
        maker.1.batches = name != "spare";
        document.keys.push(maker);
    }
    Rig::new(document)
}

const FILE: &str = r#"{"id":"file-68aF","object":"file","purpose":"batch"}"#;

fn upload(rig: &mut Rig, key: &str, more: &str) -> Vec<Did> {
    let head = format!(
        "POST /v1/files HTTP/1.1\nhost: g\nauthorization: Bearer secret-{key}\ncontent-type: multipart/form-data; \
         boundary=b\n{more}"
    );
    rig.request(&head, b"--b\r\n\"file_id\":\"raw\"\xff--b--")
}

#[test]
fn a_file_goes_to_a_provider_of_the_key_and_is_its_owners() {
    for (key, more, place) in [
        ("maker", "", "first"),
        ("maker", "x-tollgate-provider: second\n", "second"),
        ("maker", "X-Tollgate-Provider: chats\n", "chats"),
        ("spare", "", "second"),
    ] {
        let mut rig = with_batches();
        assert_eq!(dialled(&upload(&mut rig, key, more)), [(place.to_owned(), false)]);
        let (head_up, body) = sent(&rig.connected(1));
        assert!(head_up.starts_with("POST /v1/files HTTP/1.1\r\n"), "{head_up}");
        assert_eq!(
            header(&head_up, "content-type"),
            Some("multipart/form-data; boundary=b")
        );
        assert!(!head_up.to_ascii_lowercase().contains("x-tollgate"));
        assert_eq!(body, String::from_utf8_lossy(b"--b\r\n\"file_id\":\"raw\"\xff--b--"));
        let sealed = id(&answer(&mut rig, FILE, 7));
        assert!(sealed.starts_with("file-tgt1"), "{sealed}");

        for (line, up) in [
            ("GET /v1/files/{}", "GET /v1/files/file-68aF "),
            ("DELETE /v1/files/{}", "DELETE /v1/files/file-68aF "),
        ] {
            let did = rig.request(&head(&line.replace("{}", &sealed), "all"), b"");
            assert_eq!(dialled(&did), [(place.to_owned(), false)]);
            assert!(sent(&rig.connected(1)).0.starts_with(up));
            assert_eq!(answer(&mut rig, FILE, 100), FILE.replace("file-68aF", &sealed));
        }
        // What a file holds is nobody's to change.
        rig.request(&head(&format!("GET /v1/files/{sealed}/content"), "all"), b"");
        assert!(
            sent(&rig.connected(1))
                .0
                .starts_with("GET /v1/files/file-68aF/content ")
        );
        rig.answer(1, &format!("{JSON}content-length: {}\n", FILE.len()));
        assert_eq!(rig.body(1, FILE), [Did::Body(FILE.into())]);
        let (status, _) = refused(&rig.request(&head(&format!("GET /v1/files/{sealed}"), "rival"), b""));
        assert_eq!(status, 404);
    }
    for (key, more, status) in [
        ("maker", "x-tollgate-provider: claude\n", 400),
        ("maker", "x-tollgate-provider: nobody\n", 400),
        ("spare", "x-tollgate-provider: first\n", 400),
        ("sonnet", "", 501),
    ] {
        let (got, error) = refused(&upload(&mut with_batches(), key, more));
        assert_eq!(got, status, "{error}");
    }
}

#[test]
fn a_batch_is_made_where_its_file_is() {
    let mut rig = with_batches();
    upload(&mut rig, "maker", "x-tollgate-provider: second\n");
    rig.connected(1);
    let file = id(&answer(&mut rig, FILE, 100));
    let batch = json!({"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"});
    let make = |rig: &mut Rig, key: &str, more: &str, body: &Value| {
        rig.request(&(head("POST /v1/batches", key) + more), body.to_string().as_bytes())
    };
    assert_eq!(
        dialled(&make(&mut rig, "maker", "", &batch)),
        [("second".to_owned(), false)]
    );
    let (head_up, body) = sent(&rig.connected(1));
    assert!(head_up.starts_with("POST /v1/batches HTTP/1.1\r\n"), "{head_up}");
    assert_eq!(body, batch.to_string().replace(&file, "file-68aF"));
    assert_eq!(header(&head_up, "content-length"), Some(&*body.len().to_string()));
    let came = r#"{"id":"batch_1","input_file_id":"file-68aF","output_file_id":"file-2","error_file_id":null,
        "metadata":{"id":"x","input_file_id":"y"}}"#;
    let down = tree(&answer(&mut rig, came, 5));
    assert_eq!(down["input_file_id"], file);
    let text = |name: &str| down[name].as_str().expect("an id");
    assert!(text("id").starts_with("batch_tgt1") && text("output_file_id").starts_with("file-tgt1"));
    assert_eq!(down["metadata"], json!({"id": "x", "input_file_id": "y"}));

    for (line, up) in [
        ("GET /v1/batches/{}", "GET /v1/batches/batch_1 "),
        ("POST /v1/batches/{}/cancel", "POST /v1/batches/batch_1/cancel "),
    ] {
        let body = if line.starts_with("POST") { "{}" } else { "" };
        rig.request(&head(&line.replace("{}", text("id")), "maker"), body.as_bytes());
        let (head_up, sent_body) = sent(&rig.connected(1));
        assert!(head_up.starts_with(up) && sent_body == body, "{head_up}");
        let (status, error) = refused(&rig.request(&head(&line.replace("{}", text("id")), "all"), b""));
        assert_eq!((status, &error["code"]), (403, &json!("batches_not_allowed")));
    }
    for (body, more, status) in [
        (json!({"input_file_id": "file-68aF"}), "", 404),
        (json!({"input_file_id": null}), "", 400),
        (json!({}), "", 400),
        (batch.clone(), "x-tollgate-provider: first\n", 400),
    ] {
        let (got, error) = refused(&make(&mut rig, "maker", more, &body));
        assert_eq!(got, status, "{error}");
    }
}

#[test]
fn nothing_is_made_where_it_could_not_be_told_apart() {
    let mut document = document();
    document.id_secret = None;
    let (status, error) = refused(&upload(&mut Rig::new(document), "all", ""));
    assert_eq!(status, 501);
    assert!(
        error["message"].as_str().expect("words").contains("id_secret"),
        "{error}"
    );
}

#[test]
fn a_conversation_is_made_where_its_files_are() {
    let mut rig = with_batches();
    upload(&mut rig, "maker", "x-tollgate-provider: second\n");
    rig.connected(1);
    let file = id(&answer(&mut rig, FILE, 100));
    let with_file = json!({"items": [{"content": [{"type": "input_file", "file_id": file}]}], "metadata": {"a": "b"}});
    let make = |rig: &mut Rig, path: &str, more: &str, body: &str| {
        rig.request(
            &(head(&format!("POST /v1/conversations{path}"), "all") + more),
            body.as_bytes(),
        )
    };
    for (more, body, place) in [
        ("", String::new(), "first"),
        ("", "{}".to_owned(), "first"),
        ("x-tollgate-provider: second\n", "{}".to_owned(), "second"),
        ("", with_file.to_string(), "second"),
    ] {
        assert_eq!(
            dialled(&make(&mut rig, "", more, &body)),
            [(place.to_owned(), false)],
            "{body}"
        );
        let (head_up, up) = sent(&rig.connected(1));
        assert!(head_up.starts_with("POST /v1/conversations HTTP/1.1\r\n"), "{head_up}");
        assert_eq!(up, body.replace(&file, "file-68aF"));
        let sealed = id(&answer(&mut rig, r#"{"id":"conv_1","object":"conversation"}"#, 9));
        assert!(sealed.starts_with("conv_tgt1"), "{sealed}");

        let did = respond(
            &mut rig,
            "all",
            &json!({"model": "gpt", "conversation": sealed, "input": "hi"}),
        );
        assert_eq!(dialled(&did), [(place.to_owned(), false)]);
        let did = make(&mut rig, &format!("/{sealed}/items"), "", &with_file.to_string());
        match place {
            "second" => {
                let (head_up, up) = sent(&rig.connected(1));
                assert!(head_up.starts_with("POST /v1/conversations/conv_1/items "), "{head_up}");
                assert!(up.contains("file-68aF"), "{up}");
            }
            _ => assert_eq!(refused(&did).0, 400),
        }
        assert_eq!(
            refused(&rig.request(&head(&format!("DELETE /v1/conversations/{sealed}"), "ann"), b"")).0,
            404
        );
    }
    // Providers of chats alone have none.
    let (status, _) = refused(&make(&mut rig, "", "x-tollgate-provider: chats\n", "{}"));
    assert_eq!(status, 400);
    let (status, _) = refused(&make(&mut rig, "", "", "{"));
    assert_eq!(status, 400);
    let (status, _) = refused(&rig.request(&head("GET /v1/conversations/conv_1/items/msg_1", "all"), b""));
    assert_eq!(status, 404);
}
