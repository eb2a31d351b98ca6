//! Bytes that mean harm, or nothing: no reader panics, loops or holds on to them.

use std::sync::LazyLock;

use proptest::{prelude::*, sample::Index};
use tollgate_dialect::{anthropic::SPEAKS, quirks::Quirks, speak::Speaks};

use super::{call, events, gathered, golden, read, read_answer, streamed, write, written_answer};

/// Everything that reads, and then everything that writes what was read.
fn all(bytes: &[u8]) {
    if let Ok(request) = read(bytes) {
        let _ = write(&request, &Quirks::default());
    }
    if let Ok(events) = read_answer(bytes) {
        written_answer(&gathered(&events));
    }
    let (read, _) = events([bytes]);
    streamed(&read);
    let fault = SPEAKS.read_fault(400, bytes);
    SPEAKS.write_fault(&fault, &call(), &mut Vec::new());
}

#[test]
fn known_tricks_are_refused() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(400), close.repeat(400));
    let message =
        |content: &str| format!(r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":{content}}}]}}"#);
    for body in [
        message(&deep("[", "]")),
        message(&format!(
            r#"[{{"type":"text","text":"a","x":{}}}]"#,
            deep("{\"a\":", "}").replace(":}", ":1}")
        )),
        message(r#""a","content":"b""#),
        message(r#""\ud8""#),
        message("\"\u{1}\""),
        message("nul"),
        message(r#"[{"type":"text","text":1e999999999}]"#),
        message(r#"[{"type":"tool_result","tool_use_id":"\udc00","content":""}]"#),
        r#"{"model":"m","max_tokens":99999999999999999999999999,"messages":[{"role":"user","content":"a"}]}"#
            .to_owned(),
        r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a"}]}x"#.to_owned(),
    ] {
        assert!(read(body.as_bytes()).is_err(), "{body}");
    }
    let bad_utf8 = [&br#"{"model":"m"#[..], b"\xff", br#"","max_tokens":1,"messages":[]}"#].concat();
    assert!(read(&bad_utf8).is_err());
}

#[test]
fn a_depth_bomb_of_the_providers_is_refused() {
    let deep = format!("{}1{}", "{\"a\":".repeat(400), "}".repeat(400));
    let block = format!(r#"{{"type":"tool_use","id":"t","name":"n","input":{deep}}}"#);
    let answer = format!(r#"{{"type":"message","content":[{block}],"stop_reason":"tool_use"}}"#);
    assert_eq!(
        read_answer(answer.as_bytes()).expect_err("too deep").reason,
        "it is not valid JSON"
    );
    let stream = format!("data: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{block}}}\n\n");
    assert_eq!(
        events([stream.as_bytes()]).1.expect_err("too deep").reason,
        "it is not valid JSON"
    );
}

#[test]
fn a_callers_key_is_shown_short_and_without_its_control_characters() {
    let key = format!("x\\r\\nset-cookie: {}", "y".repeat(500));
    let body = format!(r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":"a"}}],"{key}":1}}"#);
    let request = read(body.as_bytes()).expect("a request");
    assert_eq!(request.unread.len(), 1);
    assert!(
        request.unread[0].len() <= 64 && request.unread[0].starts_with("x??set-cookie:?"),
        "{:?}",
        request.unread
    );
}

#[test]
fn names_of_what_is_unread_are_bounded() {
    let members: Vec<String> = (0..5_000).map(|number| format!("\"k{number}\":1")).collect();
    let body = format!(
        r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":"a"}}],{}}}"#,
        members.join(",")
    );
    assert_eq!(read(body.as_bytes()).expect("a request").unread.len(), 1_024);
}

#[test]
fn too_many_tools_are_refused() {
    let tools = vec![r#"{"name":"a","input_schema":{}}"#; 4_097].join(",");
    let body =
        format!(r#"{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":"a"}}],"tools":[{tools}]}}"#);
    let bad = read(body.as_bytes()).expect_err("too many").to_string();
    assert!(bad.starts_with("'tools' has more than 4096 tools"), "{bad}");
}

static CORPUS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    ["requests", "answers", "streams", "faults"]
        .iter()
        .flat_map(|folder| golden(folder))
        .map(|(_, case)| case)
        .collect()
});

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        all(&bytes);
    }

    #[test]
    fn no_near_json_panics(text in r#"[\[\]{}":,\\ud80-9.eE+a-c type-]{0,120}"#) {
        all(text.as_bytes());
        all(format!("event: x\ndata: {text}\n\n").as_bytes());
    }

    #[test]
    fn no_mutation_of_a_golden_case_panics(
        which in any::<Index>(),
        edits in proptest::collection::vec((any::<Index>(), any::<Index>(), any::<u8>(), 0..4u8), 1..6),
    ) {
        let mut bytes = which.get(CORPUS.as_slice()).clone();
        for (at, other, byte, edit) in edits {
            if bytes.is_empty() {
                break;
            }
            let (at, other) = (at.index(bytes.len()), other.index(bytes.len()));
            match edit {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => bytes.swap(at, other),
                // A piece of it again, somewhere else.
                _ => {
                    let piece = bytes[at.min(other)..at.max(other)].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        all(&bytes);
    }

    /// Whatever part of a value is replaced by one of another type, a reader says so or reads it.
    #[test]
    fn no_wrong_type_panics(which in any::<Index>(), at in any::<Index>(), value in 0..7usize) {
        let case: &Vec<u8> = which.get(CORPUS.as_slice());
        let text = String::from_utf8_lossy(case).into_owned();
        let colons: Vec<usize> = text.match_indices("\":").map(|(at, _)| at + 2).collect();
        if !colons.is_empty() {
            let values = [
                "null",
                "7",
                "\"\\ud800\"",
                "[]",
                "{}",
                "true",
                "-1e400",
            ];
            let value = format!("{},\"a\":", values[value]);
            let at = colons[at.index(colons.len())];
            all(format!("{}{value}{}", &text[..at], &text[at..]).as_bytes());
        }
    }
}
