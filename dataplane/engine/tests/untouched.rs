//! The whole corpus of every dialect through a target of the same: every byte of requests, answers and streams passes as it
//! came, however its parts arrive.

#![allow(clippy::disallowed_methods, reason = "the corpus is files")]

mod rig;

use std::{fs, path::PathBuf};

use rig::{Did, Rig, key, model, provider, sent};
use tollgate_config::{Document, document::Dialect};
use tollgate_engine::{Action, Input, Piece, outputs::AttemptId};

/// The dialects by the names of their folders, and the paths of a call, a stream last.
const DIALECTS: [(&str, Dialect, [&str; 2]); 6] = [
    ("openai_chat", Dialect::OpenAi, ["/v1/chat/completions"; 2]),
    ("openai_responses", Dialect::OpenAiResponses, ["/v1/responses"; 2]),
    ("anthropic", Dialect::Anthropic, ["/v1/messages"; 2]),
    (
        "gemini",
        Dialect::Gemini,
        [
            "/v1beta/models/m:generateContent",
            "/v1beta/models/m:streamGenerateContent",
        ],
    ),
    ("cohere", Dialect::Cohere, ["/v2/chat"; 2]),
    (
        "bedrock",
        Dialect::Bedrock,
        ["/model/m/converse", "/model/m/converse-stream"],
    ),
];

/// What names objects at a provider is another test's: raw ids open nothing.
const OBJECTS: [&str; 5] = [
    "\"previous_response_id\"",
    "\"conversation\"",
    "\"prompt\"",
    "\"file_id\"",
    "file_id",
];

fn cases(folder: &str, kind: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../dialect/golden")
        .join(folder)
        .join(kind);
    let entries = fs::read_dir(folder).expect("a corpus");
    let mut cases: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.display().to_string(), fs::read(path).expect("a case")))
        .collect();
    cases.sort();
    cases
}

/// Whatever a call names is asked for by that name.
fn rig(dialect: Dialect) -> Rig {
    let mut same = provider("same", dialect);
    same.1.may_ask_stream_usage = false;
    let mut all = key("all", &[]);
    all.1.pass_through = true;
    Rig::new(Document {
        max_body_bytes: 64 * 1024 * 1024,
        providers: vec![same],
        models: vec![model("*", &[("same", "*")])],
        keys: vec![all],
        ..Document::default()
    })
}

fn ask(rig: &mut Rig, path: &str, body: &[u8]) -> Vec<Did> {
    let head =
        format!("POST {path} HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\ncontent-type: application/json\n");
    rig.request(&head, body)
}

#[test]
fn requests_go_up_as_they_came() {
    let mut passed = 0;
    for (folder, dialect, [path, _]) in DIALECTS {
        for (name, body) in cases(folder, "requests") {
            let mut rig = rig(dialect);
            let did = ask(&mut rig, path, &body);
            if !matches!(did.last(), Some(Did::Dial { .. })) {
                let text = String::from_utf8_lossy(&body);
                assert!(OBJECTS.iter().any(|names| text.contains(names)), "{name}: {did:?}");
                continue;
            }
            passed += 1;
            assert_eq!(sent(&rig.connected(1)).1, String::from_utf8_lossy(&body), "{name}");
        }
    }
    assert!(passed > 150, "{passed} of the corpus went up");
}

/// The bytes of the answer that a feed sends down.
fn down(rig: &mut Rig, input: Input<'_>) -> Vec<u8> {
    let data = match &input {
        Input::UpstreamBody(_, data) => data.to_vec(),
        _ => Vec::new(),
    };
    rig.feed(input);
    let mut bytes = Vec::new();
    for action in &rig.out.actions {
        let Action::Body { pieces } = action else { continue };
        for piece in &rig.out.pieces[pieces.start as usize..pieces.end as usize] {
            match piece {
                Piece::Arena(at) => bytes.extend_from_slice(&rig.out.arena[at.start as usize..at.end as usize]),
                Piece::Input(at) => bytes.extend_from_slice(&data[at.start as usize..at.end as usize]),
                Piece::RequestBody(_) => panic!("a request is no answer"),
            }
        }
    }
    bytes
}

fn comes_down(dialect: Dialect, path: &str, streams: bool, (name, answer): &(String, Vec<u8>)) {
    let kind = match dialect {
        Dialect::Bedrock if streams => "application/vnd.amazon.eventstream",
        _ if streams && !answer.starts_with(b"[") => "text/event-stream",
        _ => "application/json",
    };
    for piece in [1, 7, 1000, usize::MAX] {
        let mut rig = rig(dialect);
        let body = format!(r#"{{"model":"m","stream":{streams},"messages":[]}}"#);
        ask(&mut rig, path, body.as_bytes());
        rig.connected(1);
        rig.answer(
            1,
            &format!("HTTP/1.1 200 OK\ncontent-type: {kind}\ntransfer-encoding: chunked\n"),
        );
        let mut came = Vec::new();
        for piece in answer.chunks(piece.min(answer.len().max(1))) {
            came.extend(down(&mut rig, Input::UpstreamBody(AttemptId(1), piece)));
        }
        came.extend(down(&mut rig, Input::UpstreamEnd(AttemptId(1))));
        assert!(came == *answer, "{name} in pieces of {piece}");
    }
}

#[test]
fn answers_and_streams_come_down_as_they_came() {
    let mut passed = 0;
    for (folder, dialect, [whole, stream]) in DIALECTS {
        for (kind, path, streams) in [("answers", whole, false), ("streams", stream, true)] {
            for case in cases(folder, kind) {
                comes_down(dialect, path, streams, &case);
                passed += 1;
            }
        }
    }
    assert!(passed > 200, "{passed} of the corpus came down");
}
