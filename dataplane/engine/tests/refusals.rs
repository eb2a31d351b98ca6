//! What a client is told of a provider's errors, and of what it used when the provider does not say.

mod rig;

use rig::{Did, Rig, body_of, document, header, model, provider, reply, sent};
use serde_json::{Value, json};
use tollgate_config::{
    Document,
    document::{Dialect, OnUnsupported},
};
use tollgate_engine::{Input, record::Outcome};

fn tree(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|bad| panic!("{bad}: {text}"))
}

const EVENTS: &str = "HTTP/1.1 200 OK\ncontent-type: text/event-stream\ntransfer-encoding: chunked\n";
const ASKS: &str = r#"{"model":"gpt","max_tokens":64,"messages":[{"role":"user","content":"Say hi to all of them"}]}"#;

fn one_target(mut document: Document) -> Document {
    document.models[0].1.targets.truncate(1);
    document
}

fn errs(rig: &mut Rig, status: u16, body: &str) -> (u16, String, String) {
    rig.connected(1);
    let head = format!("HTTP/1.1 {status} No\ncontent-type: application/json\ntransfer-encoding: chunked\n");
    let mut did = rig.answer(1, &head);
    did.extend(rig.body(1, body));
    did.extend(rig.end(1));
    reply(&did)
}

#[test]
fn what_a_provider_says_of_our_credential_is_for_the_operator_alone() {
    let body = r#"{"error":{"message":"Incorrect API key provided: sk-live-abcd***wxyz.","code":"invalid_api_key"}}"#;
    for status in [401, 403] {
        for translated in [true, false] {
            let mut rig = Rig::new(one_target(document()));
            match translated {
                true => rig.messages(ASKS),
                false => rig.chat(ASKS),
            };
            let (got, _, text) = errs(&mut rig, status, body);
            // Said anew in its own dialect it keeps its status; in another the code tells more than that.
            assert_eq!(got, if translated { 401 } else { status }, "{text}");
            assert!(
                !text.contains("abcd") && text.contains("'one' refused the gateway's credential"),
                "{text}"
            );
            let said = rig.exchange.record().refusal.expect("for the log");
            assert!(said.contains("sk-live-abcd"), "{said}");
        }
    }
    // Not so where it is about something else.
    let mut rig = Rig::new(one_target(document()));
    rig.messages(ASKS);
    let (_, _, text) = errs(&mut rig, 400, r#"{"error":{"message":"bad temperature"}}"#);
    assert!(text.contains("bad temperature"));
    assert_eq!(rig.exchange.record().refusal, None);
}

#[test]
fn a_stream_that_refuses_our_credential_does_not_quote_it() {
    let mut rig = Rig::new(one_target(document()));
    rig.messages(&ASKS.replacen('{', r#"{"stream":true,"#, 1));
    rig.connected(1);
    rig.answer(1, EVENTS);
    let did = rig.body(
        1,
        "data: {\"error\":{\"message\":\"key sk-x is bad\",\"code\":\"invalid_api_key\"}}\n\n",
    );
    let text = body_of(&did);
    assert!(
        text.contains("refused the gateway's credential") && !text.contains("sk-x"),
        "{text}"
    );
    assert_eq!(rig.exchange.record().refusal, Some("key sk-x is bad"));
}

#[test]
fn a_provider_that_fails_with_502_is_a_502_in_every_dialect() {
    let mut document = document();
    let target = [("claude", "claude-sonnet")];
    document.models = vec![model("m", &target)];
    document.models[0].1.retry.attempts = 1;
    let openai = [("one", "x")];
    document.models.push(model("o", &openai));
    document.models[1].1.retry.attempts = 1;
    for (path, model) in [
        ("/v1/messages", "o"),
        ("/v1/chat/completions", "m"),
        ("/v1/responses", "m"),
        ("/v1beta/models/m:generateContent", "m"),
        ("/v2/chat", "m"),
        ("/model/m/converse", "m"),
    ] {
        let mut rig = Rig::new(document.clone());
        let body = match path {
            "/v1/responses" => json!({"model": model, "input": "hi"}),
            "/v1beta/models/m:generateContent" => json!({"contents": [{"parts": [{"text": "hi"}]}]}),
            "/model/m/converse" => json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]}),
            _ => json!({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}),
        };
        let head = format!("POST {path} HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n");
        rig.request(&head, body.to_string().as_bytes());
        let (status, _, text) = errs(&mut rig, 502, r#"{"error":{"message":"upstream is gone"}}"#);
        assert_eq!(status, 502, "{path}: {text}");
        if path.contains("generateContent") {
            assert_eq!(tree(&text)["error"]["code"], 502);
        }
    }
}

#[test]
fn the_code_in_a_gemini_error_is_its_status() {
    let mut document = document();
    document.models = vec![model("m", &[("one", "x")])];
    for (method, path, status) in [
        ("POST", "/v1beta/models/m:countTokens", 400),
        ("GET", "/v1beta/models/m:generateContent", 405),
        ("POST", "/v1beta/models/nobody:generateContent", 404),
    ] {
        let mut rig = Rig::new(document.clone());
        let head = format!("{method} {path} HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n");
        let body: &[u8] = if method == "POST" { br#"{"contents":[]}"# } else { b"" };
        let (got, _, text) = reply(&rig.request(&head, body));
        assert_eq!(
            (got, tree(&text)["error"]["code"].as_u64()),
            (status, Some(u64::from(status))),
            "{text}"
        );
    }
}

#[test]
fn a_provider_of_which_nothing_is_known_is_asked_for_the_usage_of_what_we_write() {
    let mut document = document();
    document.providers[0].1.may_ask_stream_usage = false;
    let mut rig = Rig::new(document.clone());
    rig.messages(&ASKS.replacen('{', r#"{"stream":true,"#, 1));
    let (_, up) = sent(&rig.connected(1));
    assert_eq!(tree(&up)["stream_options"]["include_usage"], true, "{up}");
    // What passes untouched is the client's own.
    let mut rig = Rig::new(document);
    rig.chat(r#"{"stream":true,"model":"same","messages":[]}"#);
    let (_, up) = sent(&rig.connected(1));
    assert_eq!(up, r#"{"stream":true,"model":"same","messages":[]}"#);
}

const CHUNK: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello to all of you, whoever you are.\"}}]}\n\n";
const LAST: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

fn is_estimated(rig: &Rig) {
    let record = rig.exchange.record();
    let usage = record.usage.expect("an estimate");
    assert!(record.estimated);
    assert!((5..40).contains(&usage.input.unwrap_or(0)), "{usage:?}");
    assert!((5..20).contains(&usage.output.unwrap_or(0)), "{usage:?}");
}

#[test]
fn an_answer_without_usage_is_estimated_and_marked() {
    // Translated, as a stream.
    let mut rig = Rig::new(document());
    rig.messages(&ASKS.replacen('{', r#"{"stream":true,"#, 1));
    rig.connected(1);
    rig.answer(1, EVENTS);
    rig.body(1, CHUNK);
    rig.body(1, LAST);
    is_estimated(&rig);

    // Untouched, from a provider that may not be asked.
    let mut document = document();
    document.providers[0].1.may_ask_stream_usage = false;
    let mut rig = Rig::new(document.clone());
    rig.chat(&ASKS.replacen('{', r#"{"stream":true,"#, 1));
    rig.connected(1);
    rig.answer(1, EVENTS);
    assert_eq!(body_of(&rig.body(1, CHUNK)), CHUNK);
    rig.body(1, LAST);
    rig.end(1);
    is_estimated(&rig);

    // Whole, either way.
    let answer =
        r#"{"choices":[{"message":{"content":"Hello to all of you, whoever you are."},"finish_reason":"stop"}]}"#;
    for translated in [true, false] {
        let mut rig = Rig::new(document.clone());
        match translated {
            true => rig.messages(ASKS),
            false => rig.chat(ASKS),
        };
        rig.connected(1);
        rig.answer(
            1,
            "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n",
        );
        rig.body(1, answer);
        rig.end(1);
        is_estimated(&rig);
    }
}

#[test]
fn a_client_that_leaves_early_has_used_what_it_saw() {
    let mut rig = Rig::new(document());
    rig.messages(&ASKS.replacen('{', r#"{"stream":true,"#, 1));
    rig.connected(1);
    rig.answer(1, EVENTS);
    rig.body(1, CHUNK);
    let did = rig.feed(Input::ClientGone);
    assert_eq!(did[0], Did::Abandon { attempt: 1 });
    assert_eq!(rig.exchange.record().outcome, Outcome::ClientGone);
    is_estimated(&rig);
}

#[test]
fn usage_that_was_reported_is_never_an_estimate_and_failures_use_nothing() {
    let mut rig = Rig::new(document());
    rig.messages(ASKS);
    rig.connected(1);
    rig.answer(
        1,
        "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n",
    );
    rig.body(
        1,
        r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000}}"#,
    );
    rig.end(1);
    let record = rig.exchange.record();
    assert_eq!(
        (record.usage.and_then(|usage| usage.input), record.estimated),
        (Some(1000), false)
    );
    let mut rig = Rig::new(one_target(document()));
    rig.messages(ASKS);
    errs(&mut rig, 400, "{}");
    assert_eq!(rig.exchange.record().usage, None);
}

#[test]
fn a_refusal_names_fields_as_the_caller_spells_them() {
    let mut document = document();
    document.providers.push(provider("g", Dialect::Gemini));
    document.models = vec![model("m", &[("g", "gemini-x")])];
    document.models[0].1.on_unsupported = OnUnsupported::Error;
    let mut rig = Rig::new(document);
    let did = rig.chat(r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"logit_bias":{"1":2}}"#);
    let (status, lines, text) = reply(&did);
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("logit_bias"), "{text}");
    assert_eq!(header(&lines, "x-tollgate-dropped"), None);
}

#[test]
fn a_provider_that_speaks_of_an_id_is_understood_by_who_sent_it() {
    let mut document = document();
    document.providers.push(provider("r", Dialect::OpenAiResponses));
    document.models = vec![model("r", &[("r", "real")])];
    document.models[0].1.retry.attempts = 1;
    document.id_secret = Some(rig::env("SEALS"));
    let mut secrets = rig::secrets(&document);
    secrets.insert(rig::env("SEALS"), b"0123456789abcdef0123456789abcdef".to_vec());
    let head = "POST /v1/responses HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n";
    let first = || {
        let mut rig = Rig::with_secrets(document.clone(), &secrets);
        rig.request(head, br#"{"model":"r","input":"hi"}"#);
        rig.connected(1);
        rig.answer(
            1,
            "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n",
        );
        let down = body_of(&rig.body(1, r#"{"id":"resp_raw1","output":[]}"#));
        tree(&down)["id"].as_str().expect("an id").to_owned()
    };
    let sealed = first();
    let again = |stream: bool| {
        let mut rig = Rig::with_secrets(document.clone(), &secrets);
        let body = json!({"model": "r", "input": "more", "previous_response_id": sealed, "stream": stream});
        rig.request(head, body.to_string().as_bytes());
        rig.connected(1);
        rig
    };
    let says = r#"{"error":{"message":"Previous response with id 'resp_raw1' not found; resp_raw12 is another.","param":"previous_response_id","code":"previous_response_not_found"}}"#;
    let mut rig = again(false);
    let answer = "HTTP/1.1 400 No\ncontent-type: application/json\ntransfer-encoding: chunked\n";
    let mut did = rig.answer(1, answer);
    did.extend(rig.body(1, says));
    did.extend(rig.end(1));
    let (status, _, text) = reply(&did);
    assert_eq!(status, 400, "{text}");
    assert!(text.contains(&format!("'{sealed}' not found")), "{text}");
    // In the middle of a stream, too; every other byte as it came.
    let mut rig = again(true);
    rig.answer(1, EVENTS);
    let event = format!(
        "event: error\ndata: {}\n\n",
        says.replacen('{', r#"{"type":"error","#, 1)
    );
    let down = body_of(&rig.body(1, &event));
    assert_eq!(down, event.replace("'resp_raw1'", &format!("'{sealed}'")));
}

#[test]
fn of_a_long_stream_the_beginning_is_read_and_the_rest_taken_to_be_alike() {
    let mut document = document();
    document.providers[0].1.may_ask_stream_usage = false;
    let mut rig = Rig::new(document);
    rig.chat(&ASKS.replacen('{', r#"{"stream":true,"#, 1));
    rig.connected(1);
    rig.answer(1, EVENTS);
    for _ in 0..100 {
        assert_eq!(body_of(&rig.body(1, &CHUNK.repeat(100))).len(), 100 * CHUNK.len());
    }
    rig.body(1, LAST);
    rig.end(1);
    let record = rig.exchange.record();
    let output = record.usage.and_then(|usage| usage.output).unwrap_or(0);
    assert!(record.estimated && (50_000..200_000).contains(&output), "{output}");
}
