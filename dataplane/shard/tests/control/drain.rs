//! Ending: readiness first, then accepting, then what is in flight.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use rustix::process::Signal;
use serde_json::json;
use tollgate_config::link::{AnswerBody, AskBody};

use crate::plane::{Plane, document, free_address, get, leave_last_good, request};

#[test]
fn drains_in_the_contract_s_order_and_resumes() {
    let state = tempfile::tempdir().expect("a folder");
    let address = free_address();
    let mut document = document(json!({ "public": { "address": address.to_string() } }));
    document["drain_delay"] = json!("1h");
    leave_last_good(state.path(), &document);
    let plane = Plane::start(state.path(), &[]);
    let mut control = plane.control();
    assert!(matches!(control.ask(AskBody::Hello), AnswerBody::Hello { .. }));
    assert!(get(address, "/readyz", "").starts_with("HTTP/1.1 200"));
    assert!(matches!(control.ask(AskBody::Drain), AnswerBody::Done));
    control.event("draining");
    control.revision(); // The shards have been there since.
    assert!(get(address, "/readyz", "").starts_with("HTTP/1.1 503"));
    assert!(get(address, "/healthz", "").starts_with("HTTP/1.1 200"));
    assert!(matches!(control.ask(AskBody::Resume), AnswerBody::Done));
    control.revision();
    assert!(get(address, "/readyz", "").starts_with("HTTP/1.1 200"));
}

#[test]
fn sigterm_finishes_what_is_in_flight() {
    let state = tempfile::tempdir().expect("a folder");
    let address = free_address();
    leave_last_good(
        state.path(),
        &document(json!({ "public": { "address": address.to_string() } })),
    );
    let mut plane = Plane::start(state.path(), &[]);
    // Half a request: it is in flight until the client sends the rest.
    let mut late = TcpStream::connect(address).expect("connected");
    late.write_all(b"GET /healthz HTTP/1.1\r\n").expect("written");
    // An answer on a connection made after it: what came before has been read when both are on one shard, and is
    // accepted by the kernel in any case.
    for _ in 0..8 {
        assert!(get(address, "/healthz", "").starts_with("HTTP/1.1 200"));
    }
    plane.signal(Signal::TERM);
    plane.logged(r#""event":"draining""#);
    late.write_all(b"host: gateway.test\r\n\r\n").expect("written");
    let mut answer = String::new();
    late.read_to_string(&mut answer).expect("closed after the answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (log, status) = plane.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(TcpStream::connect(address).is_err());
    assert!(!state.path().join("dataplane.sock").exists());
}

#[test]
fn an_idle_data_plane_that_never_served_ends_at_once() {
    let state = tempfile::tempdir().expect("a folder");
    let plane = Plane::start(state.path(), &[]);
    plane.signal(Signal::INT);
    assert_eq!(plane.ended().1.code(), Some(0));
}

#[test]
fn connections_kept_open_do_not_keep_it_alive() {
    let state = tempfile::tempdir().expect("a folder");
    let address = free_address();
    leave_last_good(
        state.path(),
        &document(json!({ "public": { "address": address.to_string() } })),
    );
    let plane = Plane::start(state.path(), &[]);
    let mut used = TcpStream::connect(address).expect("connected");
    let idle = TcpStream::connect(address).expect("connected");
    assert!(request(&mut used, "/healthz", "").starts_with("HTTP/1.1 200"));
    plane.signal(Signal::TERM);
    assert_eq!(plane.ended().1.code(), Some(0));
    drop(idle);
}
