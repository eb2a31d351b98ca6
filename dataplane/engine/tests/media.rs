//! What counts beside tokens: pictures, seconds of sound, and requests, which are what went to a provider.

mod rig;

use std::{rc::Rc, sync::Arc};

use rig::{NOW_UNIX_MS, Rig, document, model, six};
use serde_json::json;
use tollgate_config::{
    Document,
    document::{Limit, Period, Unit, Window},
};
use tollgate_engine::{
    Input,
    exchange::UpstreamFault,
    limits::{LocalLimits, report},
    record::Media,
};

const TITAN: &str = "amazon.titan-embed-text-v2:0";

fn post(rig: &mut Rig, path: &str, body: &str) {
    let head =
        format!("POST {path} HTTP/1.1\nhost: gate\nauthorization: Bearer secret-all\ncontent-type: application/json\n");
    rig.request(&head, body.as_bytes());
}

fn head(kind: &str) -> String {
    format!("HTTP/1.1 200 OK\ncontent-type: {kind}\ntransfer-encoding: chunked\n")
}

/// Of an answer that came in these pieces.
fn media(path: &str, kind: &str, pieces: &[&str]) -> Media {
    let mut rig = Rig::new(document());
    post(&mut rig, path, r#"{"model":"same","prompt":"a lake","n":2}"#);
    rig.connected(1);
    rig.answer(1, &head(kind));
    for piece in pieces {
        rig.body(1, piece);
    }
    rig.end(1);
    rig.exchange.record().media
}

#[test]
fn a_record_has_the_pictures_that_were_answered_and_the_seconds_that_were_heard() {
    let images = |images| Media {
        images: Some(images),
        audio_ms: None,
    };
    let long = format!(
        r#"{{"created":1,"data":[{{"b64_json":"{}"}},{{"b64_js"#,
        "A".repeat(1_500_000)
    );
    let whole = media("/v1/images/generations", "application/json", &[&long, r#"on":"BB"}]}"#]);
    assert_eq!(whole, images(2), "however long they are");
    let events = "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AA\"}\n\n\
                  event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"AA\",\"usage\":\
                  {\"total_tokens\":1}}\n\n";
    assert_eq!(
        media(
            "/v1/images/generations",
            "text/event-stream",
            &[&events[..100], &events[100..]]
        ),
        images(1)
    );
    assert_eq!(
        media(
            "/openai/deployments/same/images/generations?api-version=2025-04-01-preview",
            "application/json",
            &[r#"{"data":[{}]}"#]
        ),
        images(1)
    );
    // Speech tells nobody how long it is, and a chat has neither.
    assert_eq!(media("/v1/audio/speech", "audio/mpeg", &["ID3"]), Media::default());
    assert_eq!(
        media(
            "/v1/chat/completions",
            "application/json",
            &[r#"{"data":[{}],"duration":3}"#]
        ),
        Media::default()
    );
}

#[test]
fn a_transcription_tells_how_long_its_sound_was() {
    let part = |name: &str, content: &str| {
        format!("--xYz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    };
    let form = part("model", "same") + &part("file", "RIFF") + "--xYz--\r\n";
    for (answer, audio_ms) in [
        (
            r#"{"text":"hello","usage":{"type":"duration","seconds":9}}"#,
            Some(9_000),
        ),
        (
            r#"{"task":"transcribe","duration":8.47,"text":"hello","segments":[]}"#,
            Some(8_470),
        ),
        (
            r#"{"text":"hello","usage":{"type":"tokens","input_tokens":14,"output_tokens":4}}"#,
            None,
        ),
    ] {
        let mut rig = Rig::new(document());
        let head_up = "POST /v1/audio/transcriptions HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\ncontent-type: \
                       multipart/form-data; boundary=xYz\n";
        rig.begin(head_up, form.as_bytes());
        rig.feed(Input::Head);
        rig.feed(Input::Body);
        rig.connected(1);
        rig.answer(1, &head("application/json"));
        rig.body(1, answer);
        rig.end(1);
        assert_eq!(
            rig.exchange.record().media,
            Media { images: None, audio_ms },
            "{answer}"
        );
    }
}

/// An answer that breaks off: what has come was made, and is paid.
#[test]
fn pictures_that_came_before_an_answer_broke_are_in_its_record() {
    let mut rig = Rig::new(document());
    post(
        &mut rig,
        "/v1/images/generations",
        r#"{"model":"same","prompt":"a lake"}"#,
    );
    rig.connected(1);
    rig.answer(1, &head("application/json"));
    rig.body(1, r#"{"data":[{"b64_json":"AA"},{"b64_"#);
    rig.failed(1, UpstreamFault::Cut);
    assert_eq!(rig.exchange.record().media.images, Some(2));
}

fn a_day(requests: u64) -> Limit {
    Limit::new(Unit::Requests, requests, Window::Calendar(Period::Day))
}

/// By scope.
fn used(rig: &Rig) -> Vec<(&'static str, u64)> {
    let of = (&*rig.pinned.snapshot, &*rig.pinned.keys);
    let all = report(of, &rig.local.limits.balances, NOW_UNIX_MS, |_, _| true);
    all.into_iter()
        .map(|told| (told.scope.name(), told.level.used))
        .collect()
}

fn limited(mut document: Document, provider: &str, most: u64) -> Rig {
    document.keys[0].1.limits = vec![a_day(100)];
    let named = document.providers.iter_mut().find(|(name, _)| name == provider);
    named.expect("it is there").1.limits = vec![a_day(most)];
    Rig::new(document)
}

#[test]
fn a_connection_that_was_refused_took_no_request() {
    let mut document = document();
    document.models[1].1.retry.attempts = 1;
    let provider = document.models[1].1.targets[0].provider.clone();
    let mut rig = limited(document, &provider, 100);
    let body = r#"{"model":"same","messages":[{"role":"user","content":"hi"}]}"#;
    rig.chat(body);
    rig.failed(1, UpstreamFault::Connect);
    assert_eq!(rig.exchange.record().attempts, 1);
    assert_eq!(used(&rig), [("key", 0), ("provider", 0)]);
    // One that went up and was not answered did.
    let mut second = Rig::sharing(Rc::clone(&rig.pinned));
    second.local.limits = LocalLimits::new(Arc::clone(&rig.local.limits.balances));
    second.chat(body);
    second.connected(1);
    second.failed(1, UpstreamFault::Closed { reused: false });
    assert_eq!(used(&second), [("key", 1), ("provider", 1)]);
}

#[test]
fn each_part_of_a_call_is_a_request_of_its_provider_and_the_call_one_of_its_caller() {
    let with_titan = || {
        let mut document = six();
        document.models.push(model("titan", &[("bedrock", TITAN)]));
        document
    };
    let mut rig = limited(with_titan(), "bedrock", 100);
    let ask = json!({"model": "titan", "input": ["a", "b", "c"], "encoding_format": "float"}).to_string();
    post(&mut rig, "/v1/embeddings", &ask);
    for attempt in 1..=3 {
        rig.connected(attempt);
        rig.answer(attempt, &head("application/json"));
        rig.body(attempt, r#"{"embedding":[1],"inputTextTokenCount":2}"#);
        rig.end(attempt);
    }
    assert_eq!(rig.exchange.record().status, 200);
    assert_eq!(used(&rig), [("key", 1), ("provider", 3)]);
    // The second part finds nobody: the first was a request all the same, and it was none.
    let mut rig = limited(with_titan(), "bedrock", 100);
    post(&mut rig, "/v1/embeddings", &ask);
    rig.connected(1);
    rig.answer(1, &head("application/json"));
    rig.body(1, r#"{"embedding":[1],"inputTextTokenCount":2}"#);
    rig.end(1);
    rig.failed(2, UpstreamFault::Connect);
    assert_eq!(used(&rig), [("key", 1), ("provider", 1)]);
}
