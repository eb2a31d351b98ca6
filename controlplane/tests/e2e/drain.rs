//! Ending in order: readiness first, then accepting, then what is in flight.

use crate::harness::{
    Client, Sandbox, Setup,
    gateway::{chat, with_key},
    http::request,
    process::{self, Signal, is_running},
    until,
};

#[test]
fn a_drain_says_not_ready_then_stops_accepting_then_finishes_what_is_in_flight() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.top = setup.top.replace("drain_delay: 0s", "drain_delay: 2s");
    let mut gateway = setup.start();
    let dataplane = gateway.dataplane_pid();
    let mut stream = Client::connect(gateway.address);
    let body = chat("openai/sandbox-tokens-60-rate-10", r#","stream":true"#);
    stream.send(&request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        body.as_bytes(),
    ));
    let begun = stream.read_until(b"delta").expect("the stream begins");
    let mut kept = Client::connect(gateway.address);
    kept.send(&request("GET", "/readyz", &[], b""));
    assert_eq!(kept.read_answer("GET").expect("an answer").status, 200);

    process::signal(gateway.controlplane_pid(), Signal::TERM);
    // Readiness first, while new clients are still taken.
    until("/readyz to answer 503", 20, || {
        let mut probe = Client::connect(gateway.address);
        probe.send(&request("GET", "/readyz", &[], b""));
        (probe.read_answer("GET")?.status == 503).then_some(())
    });
    let answer = gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
    assert_eq!(
        answer.header("connection").map(str::to_lowercase).as_deref(),
        Some("close")
    );
    // Then accepting stops.
    until("connections to be refused", 10, || {
        Client::try_connect(gateway.address).err().map(|_| ())
    });
    assert!(gateway.process.exited().is_none(), "a stream is still in flight");
    let mut rest = begun;
    stream
        .read_until(b"data: [DONE]")
        .map(|bytes| rest.extend(bytes))
        .expect("the stream ends as it should");
    drop(kept);
    assert_eq!(gateway.process.wait(10), 0);
    until("the data plane to be gone", 20, || {
        (!is_running(dataplane)).then_some(())
    });
}

#[test]
fn a_drain_ends_when_its_grace_is_over() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.top = setup.top.replace("shutdown_grace: 10s", "shutdown_grace: 1s");
    let mut gateway = setup.start();
    let mut stream = Client::connect(gateway.address);
    let body = chat("openai/sandbox-tokens-1000-rate-5", r#","stream":true"#);
    stream.send(&request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        body.as_bytes(),
    ));
    stream.read_until(b"delta").expect("the stream begins");
    process::signal(gateway.controlplane_pid(), Signal::TERM);
    assert_eq!(gateway.process.wait(10), 0);
    let rest = String::from_utf8_lossy(&stream.read_to_close()).into_owned();
    assert!(!rest.contains("[DONE]"), "a cut stream does not say that it is whole");
}

#[test]
fn a_drain_through_the_socket_can_be_taken_back() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.top = setup.top.replace("drain_delay: 0s", "drain_delay: 1h");
    let gateway = setup.start();
    let drained = gateway.control("POST", "/v1/drain", &[], b"");
    assert!(matches!(drained.status, 200 | 202 | 204), "{drained:?}");
    until("/readyz to answer 503", 20, || {
        (gateway.get("/readyz").status == 503).then_some(())
    });
    let resumed = gateway.control("POST", "/v1/resume", &[], b"");
    assert!(matches!(resumed.status, 200 | 202 | 204), "{resumed:?}");
    gateway.await_ready();
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
}
