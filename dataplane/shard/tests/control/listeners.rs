//! Listening sockets: handed over, handed back, taken down.

use std::{
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    time::Instant,
};

use serde_json::json;
use tollgate_config::link::{AnswerBody, AskBody};

use crate::{
    frames,
    plane::{PATIENCE, Plane, document, get, leave_last_good},
};

#[test]
fn sockets_are_handed_over_and_back_and_taken_down() {
    let state = tempfile::tempdir().expect("a folder");
    let plane = Plane::start(state.path(), &["--supervised"]);
    let mut control = plane.control();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    let sockets: Vec<OwnedFd> = vec![listener.try_clone().expect("a copy").into(), listener.into()];
    let listed = json!({ "public": { "address": address.to_string() } });
    assert!(matches!(
        control.apply(1, &document(listed), Vec::new()),
        AnswerBody::Committed { .. }
    ));
    let body = |count| AskBody::Listeners {
        name: "public".to_owned(),
        address,
        count,
    };
    assert!(
        matches!(control.ask_with(body(1), &sockets[..1]), AnswerBody::Failed { .. }),
        "one for two shards"
    );
    assert!(matches!(control.ask_with(body(2), &sockets), AnswerBody::Done));
    drop(sockets);
    assert!(get(address, "/healthz", "").starts_with("HTTP/1.1 200"));

    let mut second = plane.control();
    let AnswerBody::Sockets { listeners } = second.ask(AskBody::TakeListeners) else {
        panic!("no sockets")
    };
    assert_eq!(listeners, [("public".to_owned(), address, 2)]);
    let copies = frames::read_descriptors(&second.stream, 2).expect("both");
    let copies: Vec<TcpListener> = copies.into_iter().map(TcpListener::from).collect();
    assert!(
        copies
            .iter()
            .all(|copy| copy.local_addr().is_ok_and(|its| its == address))
    );
    drop(copies);

    assert!(matches!(
        control.apply(2, &document(json!({})), Vec::new()),
        AnswerBody::Committed { .. }
    ));
    // A shard closes its socket a turn after it has said that it runs the new revision.
    assert_eq!(control.revision(), 2);
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "somebody listens still");
    }
}

#[test]
fn a_port_in_use_is_said() {
    let state = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address");
    leave_last_good(
        state.path(),
        &document(json!({ "public": { "address": address.to_string() } })),
    );
    let (log, status) = Plane::spawn(state.path(), &[]).ended();
    assert_eq!(status.code(), Some(1));
    assert!(
        log.contains(&format!("listener 'public': cannot listen on {address}")),
        "{log}"
    );
}
