//! Providers that fail, stall or are not there; clients that are slow or leave.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use crate::harness::{
    Client, Ended, Sandbox, Setup, free_port,
    gateway::{chat, messages, model_line, provider_line, provider_with, with_key},
    http::request,
    probe::{self, Baseline},
    until,
};

fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

#[test]
fn a_provider_that_is_down_is_named_in_a_502() {
    let gateway = Setup::to(nowhere()).start();
    let baseline = Baseline::of(gateway.dataplane_pid());
    for _ in 0..50 {
        let answer = gateway.post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""));
        assert!(matches!(answer.status, 502 | 503), "{answer:?}");
        assert!(answer.text().contains("openai"), "{}", answer.text());
        let answer = gateway.post(
            "/v1/messages",
            &[],
            &messages("anthropic/sandbox-small", r#","stream":true"#),
        );
        assert!(matches!(answer.status, 502 | 503), "{answer:?}");
        assert_eq!(answer.json()["type"], "error");
    }
    baseline.assert_restored(4 * 1024);
}

fn two_providers(first: SocketAddr, second: SocketAddr) -> Setup {
    let mut setup = Setup::to(second);
    setup.providers = [
        provider_line("first", "openai", first),
        provider_line("second", "openai", second),
    ]
    .concat();
    setup.models = model_line("both/*", &["first", "second"]);
    setup
}

#[test]
fn the_next_target_is_tried_when_the_first_is_down() {
    let sandbox = Sandbox::start();
    let gateway = two_providers(nowhere(), sandbox.address).start();
    for more in ["", r#","stream":true"#] {
        let answer = gateway
            .post("/v1/chat/completions", &[], &chat("both/sandbox-small", more))
            .expect(200);
        assert_eq!(answer.header("x-tollgate-provider"), Some("second"));
        assert_eq!(answer.header("x-tollgate-attempts"), Some("2"));
    }
}

#[test]
fn the_next_target_is_tried_for_statuses_that_may_pass_and_for_no_other() {
    let (bad, good) = (Sandbox::start(), Sandbox::start());
    let gateway = two_providers(bad.address, good.address).start();
    for status in [400, 401, 403, 404, 422, 429, 500, 502, 503, 504, 529] {
        let rule = format!(r#"{{"rules":[{{"status":{status}}}]}}"#);
        bad.plays(&rule);
        let answer = gateway.post("/v1/chat/completions", &[], &chat("both/sandbox-small", ""));
        let moves_on = matches!(status, 429 | 500 | 502 | 503 | 504 | 529);
        assert_eq!(
            answer.status,
            if moves_on { 200 } else { status },
            "after {status}: {}",
            answer.text()
        );
        let attempts = if moves_on { "2" } else { "1" };
        assert_eq!(answer.header("x-tollgate-attempts"), Some(attempts), "after {status}");
    }
}

#[test]
fn a_connection_closed_before_the_first_byte_is_tried_elsewhere_and_one_closed_later_is_not() {
    let (bad, good) = (Sandbox::start(), Sandbox::start());
    let gateway = two_providers(bad.address, good.address).start();
    for cut in ["0", "0 rst"] {
        bad.plays(&format!(r#"{{"rules":[{{"cut-after":"{cut}"}}]}}"#));
        let answer = gateway
            .post("/v1/chat/completions", &[], &chat("both/sandbox-small", ""))
            .expect(200);
        assert_eq!(answer.header("x-tollgate-provider"), Some("second"), "cut after {cut}");
    }
    good.reset();
    bad.plays(r#"{"rules":[{"cut-after":300}]}"#);
    let answer = gateway.post("/v1/chat/completions", &[], &chat("both/sandbox-small", ""));
    assert!(answer.status == 502 || answer.ended == Ended::Cut, "{answer:?}");
    assert_eq!(good.arrivals().len(), 0, "an answer that had begun was asked for again");
}

#[test]
fn a_connection_that_the_provider_closed_while_idle_is_not_noticed_by_the_client() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    // Answers once more, then the provider is gone and back on the same port: pooled connections are dead.
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
    let address = sandbox.address.to_string();
    drop(sandbox);
    let _again = Sandbox::at(&address, &[]);
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
}

fn with_timeouts(provider: SocketAddr, timeouts: &str) -> Setup {
    let mut setup = Setup::to(provider);
    let more = format!(", timeouts: {{ {timeouts} }}");
    setup.providers = [
        provider_with("openai", "openai", provider, &more),
        provider_with("anthropic", "anthropic", provider, &more),
    ]
    .concat();
    setup
}

#[test]
fn a_stall_before_the_first_byte_is_a_504() {
    let sandbox = Sandbox::start();
    let gateway = with_timeouts(sandbox.address, "first_byte: 200ms").start();
    let baseline = Baseline::of(gateway.dataplane_pid());
    let stalled = gateway.post("/v1/chat/completions", &[], &chat("openai/sandbox-stall-0", ""));
    assert_eq!(
        (stalled.status, stalled.error_code().as_str()),
        (504, "upstream_timeout")
    );
    let stalled = gateway.post(
        "/v1/messages",
        &[],
        &messages("anthropic/sandbox-stall-0", r#","stream":true"#),
    );
    assert_eq!(stalled.status, 504, "{}", stalled.text());
    sandbox.await_client_gone(2);
    baseline.assert_restored(4 * 1024);
}

#[test]
fn a_stall_in_the_middle_ends_the_answer_visibly() {
    let sandbox = Sandbox::start();
    let gateway = with_timeouts(sandbox.address, "between_bytes: 200ms").start();
    let baseline = Baseline::of(gateway.dataplane_pid());
    let buffered = gateway.post("/v1/chat/completions", &[], &chat("openai/sandbox-stall-300", ""));
    assert!(buffered.status == 504 || buffered.ended == Ended::Cut, "{buffered:?}");
    for (path, body) in [
        (
            "/v1/chat/completions",
            chat("openai/sandbox-stall-1000", r#","stream":true"#),
        ),
        (
            "/v1/messages",
            messages("anthropic/sandbox-stall-900", r#","stream":true"#),
        ),
    ] {
        let stream = gateway.post(path, &[], &body);
        assert_eq!(stream.status, 200);
        assert!(
            stream.text().contains("\"error\""),
            "the stream ends with an error event: {}",
            stream.text()
        );
    }
    sandbox.await_client_gone(3);
    baseline.assert_restored(4 * 1024);
}

#[test]
fn a_call_ends_when_its_total_time_is_over_however_busily_it_streams() {
    let sandbox = Sandbox::start();
    let gateway = with_timeouts(sandbox.address, "total: 400ms").start();
    let stream = gateway.post(
        "/v1/chat/completions",
        &[],
        &chat("openai/sandbox-tokens-1000-rate-100", r#","stream":true"#),
    );
    assert!(stream.text().contains("\"error\""), "{}", stream.text());
    sandbox.await_client_gone(1);
}

#[test]
fn a_provider_that_never_accepts_is_a_timeout() {
    let sandbox = Sandbox::with(&["--never-accept"]);
    // Fills the queue, so that connecting itself has to wait. Kept open until the end.
    let mut waiting = Vec::new();
    while let Ok(socket) = std::net::TcpStream::connect_timeout(&sandbox.address, std::time::Duration::from_millis(200))
    {
        waiting.push(socket);
        assert!(waiting.len() < 100, "the queue never fills");
    }
    let gateway = with_timeouts(sandbox.address, "connect: 300ms, first_byte: 300ms").start();
    let baseline = Baseline::of(gateway.dataplane_pid());
    let answer = gateway.post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""));
    assert!(matches!(answer.status, 502 | 504), "{answer:?}");
    baseline.assert_restored(4 * 1024);
}

#[test]
fn a_slow_client_slows_its_provider_and_costs_no_memory() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    let pid = gateway.dataplane_pid();
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-bytes-1000000", ""))
        .expect(200);
    let baseline = Baseline::of(pid);
    let before_kib = probe::rss_kib(pid);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(gateway.address)).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        let more = if index % 2 == 0 { "" } else { r#","stream":true"# };
        let body = chat("openai/sandbox-bytes-10000000", more);
        client.send(&request(
            "POST",
            "/v1/chat/completions",
            &with_key(&[]),
            body.as_bytes(),
        ));
        client.read_more();
    }
    // Every answer has begun and nobody reads on: what the gateway holds now is all it will ever hold.
    let held_kib = settled_rss_kib(pid).saturating_sub(before_kib);
    println!("{held_kib} KiB are held");
    assert!(
        held_kib < 20 * 1792,
        "{held_kib} KiB are held for 20 clients that do not read 200 MB"
    );
    for mut client in clients {
        let answer = client.read().expect("an answer").expect(200);
        assert!(answer.body.len() > 10_000_000);
    }
    baseline.assert_restored(12 * 1024);
}

/// The resident memory once two looks at it in a row are the same.
fn settled_rss_kib(pid: u32) -> u64 {
    let mut last = 0;
    let mut same = 0;
    until("memory to settle", 15, || {
        let now = probe::rss_kib(pid);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        std::thread::sleep(std::time::Duration::from_millis(20));
        (same >= 10).then_some(now)
    })
}

#[test]
fn a_client_that_leaves_cancels_its_call_buffered_or_streaming() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    let baseline = Baseline::of(gateway.dataplane_pid());
    let mut buffered = Client::connect(gateway.address);
    buffered.send(&request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        chat("openai/sandbox-latency-60000", "").as_bytes(),
    ));
    until("the call to arrive", 10, || {
        (sandbox.arrivals().len() == 1).then_some(())
    });
    drop(buffered);
    sandbox.await_client_gone(1);

    let mut streaming = Client::connect(gateway.address);
    let body = messages("anthropic/sandbox-small", r#","stream":true"#);
    let pace = [("x-sandbox-tokens-per-second", "1")];
    streaming.send(&request("POST", "/v1/messages", &with_key(&pace), body.as_bytes()));
    streaming.read_until(b"message_start").expect("the stream begins");
    drop(streaming);
    sandbox.await_client_gone(2);
    let ended = sandbox.last_arrival()["ended_us"].as_u64().expect("a time");
    let began = sandbox.last_arrival()["at_us"].as_u64().expect("a time");
    assert!(ended - began < 15_000_000, "the provider was let go late");
    until("the connections to be closed", 10, || {
        (gateway.connections() == 0).then_some(())
    });
    baseline.assert_restored(4 * 1024);
}

#[test]
fn clients_that_dawdle_over_a_head_or_a_body_are_let_go() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.top += "client: { header_timeout: 300ms, body_timeout: 300ms, idle_timeout: 300ms }\n";
    let gateway = setup.start();
    let baseline = Baseline::of(gateway.dataplane_pid());
    let bytes = request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        chat("openai/sandbox-small", "").as_bytes(),
    );
    for sent in [0, 10, bytes.len() - 10] {
        let mut client = Client::connect(gateway.address);
        client.send(&bytes[..sent]);
        let answer = String::from_utf8_lossy(&client.read_to_close()).into_owned();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "after {sent} bytes: {answer}"
        );
    }
    assert_eq!(
        sandbox
            .arrivals()
            .iter()
            .filter(|arrival| arrival["ending"] == "answered")
            .count(),
        0
    );
    baseline.assert_restored(4 * 1024);
}

/// Reads one request of known length.
fn read_request(stream: &mut TcpStream) {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece).expect("a request");
        assert!(read > 0, "the gateway closed a connection that it should keep");
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if length.is_some_and(|length| length.parse() == Ok(body.len())) {
            return;
        }
    }
}

#[test]
fn a_translated_answer_ends_with_its_last_event_and_its_connection_serves_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (go_on, waits) = mpsc::channel::<()>();
    let provider = thread::spawn(move || {
        // The only connection: a second one would be accepted by nobody, and its call fail.
        let (mut stream, _) = listener.accept().expect("a connection");
        for _ in 0..2 {
            read_request(&mut stream);
            let events = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n\
                          data: [DONE]\n\n";
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            write!(stream, "{head}{:x}\r\n{events}\r\n", events.len()).expect("sent");
            // The end of the framing comes only when the client has its answer.
            waits.recv().expect("the client's word");
            stream.write_all(b"0\r\n\r\n").expect("sent");
        }
        stream
    });
    let mut setup = Setup::to(address);
    setup.providers = setup.providers.replace("idle_timeout: 1s", "idle_timeout: 60s");
    let gateway = setup.start();
    // One connection, for each shard has a pool of its own.
    let mut client = Client::connect(gateway.address);
    for _ in 0..2 {
        let body = messages("openai/m", r#","stream":true"#);
        client.send(&request("POST", "/v1/messages", &with_key(&[]), body.as_bytes()));
        let answer = client.read().expect("an answer").expect(200);
        assert!(answer.text().contains("message_stop"), "{}", answer.text());
        go_on.send(()).expect("the provider waits");
        until("the connection is idle", 10, || {
            let idle = gateway.metric("tollgate_upstream_connections", &["state=\"idle\""]);
            (idle > 0.0).then_some(())
        });
    }
    drop(provider.join().expect("the provider"));
}
