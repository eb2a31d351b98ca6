//! Planes of different versions: what a newer control plane asks is refused by name, and the connection goes on.

use std::io::Write;

use serde_json::{Value, json};
use tollgate_config::link::{AnswerBody, AskBody};

use crate::{
    frames,
    plane::{Plane, document, free_address, leave_last_good},
};

#[test]
fn an_unknown_ask_is_refused_by_name_and_the_next_one_answered() {
    let state = tempfile::tempdir().expect("a folder");
    let listeners = json!({ "public": { "address": free_address().to_string() } });
    leave_last_good(state.path(), &document(listeners));
    let plane = Plane::start(state.path(), &[]);
    let mut control = plane.control();
    let asks = [
        (71, json!("brew_coffee"), "brew_coffee"),
        (72, json!({"brew_tea": {"cups": 2}}), "brew_tea"),
        // Known, but not so.
        (73, json!({"commit": {"revision": "the last"}}), "commit"),
    ];
    for (id, body, name) in asks {
        let frame = json!({"id": id, "body": body}).to_string();
        control
            .stream
            .write_all(&(frame.len() as u32).to_le_bytes())
            .expect("written");
        control.stream.write_all(frame.as_bytes()).expect("written");
        let frame = frames::read_frame(&control.stream)
            .expect("readable")
            .expect("not closed");
        let said: Value = serde_json::from_slice(&frame).expect("JSON");
        assert_eq!(said["answer"]["id"], id, "{said}");
        let unknown = &said["answer"]["body"]["unknown"];
        assert_eq!(unknown["ask"], name, "{said}");
        assert_eq!(unknown["version"], env!("CARGO_PKG_VERSION"), "{said}");
    }
    let hello = control.ask(AskBody::Hello);
    assert!(matches!(hello, AnswerBody::Hello { protocol: 1, .. }), "{hello:?}");
    // What cannot be told from an ask with descriptors behind it ends the connection, as before.
    let frame = json!({"id": 9, "body": {"listeners": {"name": 1}}}).to_string();
    control
        .stream
        .write_all(&(frame.len() as u32).to_le_bytes())
        .expect("written");
    control.stream.write_all(frame.as_bytes()).expect("written");
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut control.stream, &mut rest).expect("closed");
    assert_eq!(rest, b"");
}
