//! The log's reader may stop: the gateway does not.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use rustix::process::Signal;
use serde_json::json;
use tollgate_config::link::{AnswerBody, AskBody};

use crate::plane::{Plane, document, free_address, leave_last_good};

/// Their access lines are several times what a pipe holds.
const REQUESTS: usize = 2_000;

#[test]
fn a_stopped_reader_of_stderr_stops_nobody() {
    let state = tempfile::tempdir().expect("a folder");
    let address = free_address();
    leave_last_good(
        state.path(),
        &document(json!({ "public": { "address": address.to_string() } })),
    );
    let plane = Plane::start(state.path(), &[]);
    let mut stream = TcpStream::connect(address).expect("connected");
    let mut answer = [0; 4096];
    for _ in 0..REQUESTS {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: gateway.test\r\n\r\n")
            .expect("written");
        let read = stream.read(&mut answer).expect("answered");
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    }
    drop(stream);
    let mut control = plane.control();
    assert!(matches!(control.ask(AskBody::ReloadFiles), AnswerBody::Done));
    let AnswerBody::Status(status) = control.ask(AskBody::Status) else {
        panic!("no status")
    };
    assert_eq!(status.requests, REQUESTS as u64);
    plane.signal(Signal::TERM);
    assert_eq!(plane.ended_unread().code(), Some(0));
}
