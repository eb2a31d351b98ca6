//! Objects that are made, and bodies that pass, under the same `idempotency-key`: made once, answered as often as asked.

#![allow(clippy::disallowed_types)] // The locks of the table are a shell's, and here the test is that.

mod rig;

use std::sync::{Arc, Mutex};

use rig::{Did, Rig, dialled, document, env, header, model, reply};
use tollgate_config::{
    Document,
    document::{IDEMPOTENCY_PARTS, Limit, LimitMode, Period, Unit, Window},
};
use tollgate_engine::{
    Input, Repeats,
    limits::LocalLimits,
    repeats::{Part, Parts},
};

const FILE: &str = r#"{"id":"file-1","object":"file"}"#;
const LENGTH: usize = 5_000_000;

#[derive(Debug)]
struct Locked(Vec<Mutex<Part>>);

impl Parts for Locked {
    fn with(&self, part: usize, work: &mut dyn FnMut(&mut Part)) {
        work(&mut self.0[part].lock().expect("no panic"));
    }
}

fn world() -> Document {
    let mut document = document();
    document.id_secret = Some(env("ID_SECRET_OF_THIRTY_TWO_CHARACTERS"));
    document.models.push(model("ear", &[("one", "whisper")]));
    document.keys[0].1.batches = true;
    document
}

/// Two exchanges, each on a shard of its own, of one node.
fn node(document: Document) -> (Rig, Rig) {
    let repeats = Repeats::new(Locked((0..IDEMPOTENCY_PARTS).map(|_| Mutex::default()).collect()));
    let mut first = Rig::new(document);
    let mut second = Rig::sharing(first.pinned.clone());
    second.local.limits = LocalLimits::new(Arc::clone(&first.local.limits.balances));
    for rig in [&mut first, &mut second] {
        rig.local.repeats = Some(repeats.clone());
    }
    (first, second)
}

fn head(line: &str, key: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\nidempotency-key: {key}\n{more}")
}

fn answer(rig: &mut Rig, status: u16, body: &str) -> (u16, String, String) {
    let mut did = rig.answer(
        1,
        &format!(
            "HTTP/1.1 {status} X\ncontent-type: application/json\ncontent-length: {}\n",
            body.len()
        ),
    );
    did.extend(rig.body(1, body));
    did.extend(rig.end(1));
    reply(&did)
}

fn form(boundary: &str, file: &str) -> String {
    format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--{boundary}\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{file}\r\n--{boundary}--\r\n"
    )
}

/// A form that is sent to `path`; so much of it as the engine asks for before it waits or dials.
fn upload(rig: &mut Rig, (line, key): (&str, &str), boundary: &str, file: &str, framing: &str) -> Vec<Did> {
    let kind = format!("content-type: multipart/form-data; boundary={boundary}\n{framing}");
    let body = form(boundary, file);
    let begin = &body.as_bytes()[..body.len().min(1_000)];
    rig.begin(&head(line, key, &kind), begin);
    let mut did = rig.feed(Input::Head);
    for so_far in [1_000, 9_000, 20_000] {
        if did != [Did::ReadPart] {
            break;
        }
        rig.set_body(&body.as_bytes()[..body.len().min(so_far)]);
        did = rig.feed(Input::BodyPart);
    }
    did
}

/// The rest of it goes up.
fn pass_on(rig: &mut Rig) {
    rig.connected(1);
    rig.feed(Input::BodyPassing(b"rest"));
    rig.feed(Input::BodyPassed);
}

fn is_replayed(did: &[Did]) -> bool {
    header(&reply(did).1, "x-tollgate-idempotent") == Some("replayed")
}

fn with_length() -> String {
    format!("content-length: {LENGTH}\n")
}

#[test]
fn a_batch_is_made_once() {
    let (mut first, mut second) = node(world());
    let file = {
        let kind = "content-type: multipart/form-data; boundary=b\n";
        let did = first.request(&head("POST /v1/files", "file", kind), form("b", "x").as_bytes());
        assert_eq!(dialled(&did).len(), 1, "{did:?}");
        first.connected(1);
        let (_, _, body) = answer(&mut first, 200, FILE);
        serde_json::from_str::<serde_json::Value>(&body).expect("JSON")["id"].clone()
    };
    let body = format!(r#"{{"input_file_id":{file},"endpoint":"/v1/chat/completions"}}"#);
    let make = |rig: &mut Rig, body: &str| rig.request(&head("POST /v1/batches", "a", ""), body.as_bytes());
    assert_eq!(dialled(&make(&mut first, &body)).len(), 1);
    assert_eq!(make(&mut second, &body), [], "it waits");
    first.connected(1);
    let (_, _, made) = answer(&mut first, 200, r#"{"id":"batch_1","object":"batch"}"#);
    assert!(made.contains("batch_tgt1"), "the client's own id: {made}");
    let did = second.expire();
    assert!(is_replayed(&did), "{did:?}");
    assert_eq!(reply(&did).2, made, "with the same id");
    let (status, _, said) = reply(&make(&mut second, &body.replace("chat/completions", "embeddings")));
    assert_eq!(status, 422, "{said}");
    assert!(said.contains("idempotency_key_reused"), "{said}");
}

#[test]
fn what_only_asks_is_asked_each_time() {
    let (mut rig, _) = node(world());
    let path = head("GET /v1/files", "a", "");
    for _ in 0..2 {
        assert_eq!(dialled(&rig.request(&path, b"")).len(), 1);
        rig.connected(1);
        answer(&mut rig, 200, r#"{"object":"list","data":[]}"#);
    }
}

#[test]
fn a_form_that_is_held_is_the_same_under_another_boundary() {
    let (mut rig, _) = node(world());
    let send = |rig: &mut Rig, boundary: &str, file: &str| {
        let kind = format!("content-type: multipart/form-data; boundary={boundary}\n");
        rig.request(&head("POST /v1/files", "a", &kind), form(boundary, file).as_bytes())
    };
    assert_eq!(dialled(&send(&mut rig, "aaa", "text")).len(), 1);
    rig.connected(1);
    answer(&mut rig, 200, FILE);
    assert!(is_replayed(&send(&mut rig, "bbb", "text")));
    assert_eq!(reply(&send(&mut rig, "ccc", "other")).0, 422);
}

#[test]
fn a_file_that_passes_is_sent_once_and_known_again_by_its_length_and_its_beginning() {
    let file = "x".repeat(30_000);
    for (line, framing) in [
        ("POST /v1/files", with_length()),
        ("POST /v1/files", "transfer-encoding: chunked\n".to_owned()),
    ] {
        let (mut first, mut second) = node(world());
        let did = upload(&mut first, (line, "a"), "aaa", &file, &framing);
        assert_eq!(dialled(&did).len(), 1, "{did:?}");
        let did = upload(&mut second, (line, "a"), "bbb", &file, &framing);
        assert_eq!(did, [], "it waits, and its file is not read: {framing}");
        pass_on(&mut first);
        let (_, _, made) = answer(&mut first, 200, FILE);
        let did = second.expire();
        assert!(is_replayed(&did), "{did:?}");
        assert_eq!(reply(&did).2, made);
        let did = upload(&mut second, (line, "a"), "ccc", &"y".repeat(30_000), &framing);
        assert_eq!(reply(&did).0, 422, "another file");
        let did = upload(&mut second, (line, "b"), "ddd", &file, &framing);
        assert_eq!(dialled(&did).len(), 1, "another key");
    }
    let (mut rig, _) = node(world());
    upload(&mut rig, ("POST /v1/files", "a"), "aaa", &file, &with_length());
    pass_on(&mut rig);
    answer(&mut rig, 200, FILE);
    let longer = format!("content-length: {}\n", LENGTH + 1);
    let did = upload(&mut rig, ("POST /v1/files", "a"), "aaa", &file, &longer);
    assert_eq!(reply(&did).0, 422, "another length");
}

#[test]
fn a_chunked_body_is_the_same_however_much_of_it_has_come() {
    let file = "x".repeat(30_000);
    let (mut rig, _) = node(world());
    let framing = "transfer-encoding: chunked\n";
    upload(&mut rig, ("POST /v1/files", "a"), "aaa", &file, framing);
    pass_on(&mut rig);
    answer(&mut rig, 200, FILE);
    // All of it at once.
    let kind = format!("content-type: multipart/form-data; boundary=bbb\n{framing}");
    rig.begin(&head("POST /v1/files", "a", &kind), form("bbb", &file).as_bytes());
    assert_eq!(rig.feed(Input::Head), [Did::ReadPart]);
    assert!(is_replayed(&rig.feed(Input::Body)));
}

#[test]
fn a_transcription_of_a_long_recording_is_made_once() {
    let (mut first, mut second) = node(world());
    let recording = format!(
        "\r\n--BOUNDARY\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n{}",
        "x".repeat(30_000)
    );
    let send = |rig: &mut Rig, boundary: &str| {
        let kind = format!(
            "content-type: multipart/form-data; boundary={boundary}\n{}",
            with_length()
        );
        let body = format!("--BOUNDARY\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\near{recording}");
        rig.begin(&head("POST /v1/audio/transcriptions", "a", &kind), b"");
        assert_eq!(rig.feed(Input::Head), [Did::ReadPart]);
        rig.set_body(body.replace("BOUNDARY", boundary).as_bytes());
        rig.feed(Input::BodyPart)
    };
    assert_eq!(dialled(&send(&mut first, "aaa")).len(), 1);
    assert_eq!(send(&mut second, "bbb"), []);
    pass_on(&mut first);
    answer(&mut first, 200, r#"{"text":"hello"}"#);
    let did = second.expire();
    assert!(is_replayed(&did) && reply(&did).2 == r#"{"text":"hello"}"#, "{did:?}");
}

#[test]
fn what_failed_is_sent_by_who_waited_and_counts_against_one_limit_only() {
    let mut document = world();
    document.keys[0].1.limits = vec![Limit {
        unit: Unit::Requests,
        amount: 2,
        window: Window::Calendar(Period::Month),
        mode: LimitMode::Enforce,
        hard: false,
        cut: false,
        thresholds: Default::default(),
    }];
    let file = "x".repeat(30_000);
    let (mut first, mut second) = node(document);
    upload(&mut first, ("POST /v1/files", "a"), "aaa", &file, &with_length());
    assert_eq!(
        upload(&mut second, ("POST /v1/files", "a"), "bbb", &file, &with_length()),
        []
    );
    pass_on(&mut first);
    answer(&mut first, 500, "{}");
    assert_eq!(dialled(&second.expire()).len(), 1);
    pass_on(&mut second);
    answer(&mut second, 200, FILE);
    for _ in 0..3 {
        assert!(is_replayed(&upload(
            &mut first,
            ("POST /v1/files", "a"),
            "ccc",
            &file,
            &with_length()
        )));
    }
    let did = upload(&mut first, ("POST /v1/files", "b"), "ddd", &file, &with_length());
    assert_eq!(reply(&did).0, 429, "two were sent");
}

#[test]
fn a_client_that_leaves_while_it_sends_is_gone_at_once() {
    let (mut first, mut second) = node(world());
    let file = "x".repeat(30_000);
    upload(&mut first, ("POST /v1/files", "a"), "aaa", &file, &with_length());
    first.connected(1);
    assert!(
        first.feed(Input::ClientGone).contains(&Did::Cut),
        "nobody can send the rest"
    );
    let did = upload(&mut second, ("POST /v1/files", "a"), "bbb", &file, &with_length());
    assert_eq!(dialled(&did).len(), 1);
}

#[test]
fn a_batch_of_anthropics_is_made_once_too() {
    let (mut rig, _) = node(world());
    let send = |rig: &mut Rig| {
        let line = head("POST /v1/messages/batches", "a", "anthropic-version: 2023-06-01\n");
        rig.request(&line, br#"{"requests":[]}"#)
    };
    assert_eq!(dialled(&send(&mut rig)).len(), 1);
    rig.connected(1);
    answer(&mut rig, 200, r#"{"id":"msgbatch_1","type":"message_batch"}"#);
    assert!(is_replayed(&send(&mut rig)));
}
