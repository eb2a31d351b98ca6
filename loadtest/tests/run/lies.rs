//! Servers that lie: every request is counted once, under the right reason, to the last one.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use super::server::{Asked, Server, chat, counts, event, put, report, run, signed, whole};

/// A hundred requests, each due a hundredth of a second after the one before.
const HUNDRED: [&str; 4] = ["--rate", "100", "--duration", "1s"];

fn against(server: &Server, more: &[&str]) -> serde_json::Value {
    let url = server.url();
    report(&[&["--url", &url], &HUNDRED[..], more].concat())
}

#[test]
fn each_lie_is_counted_under_its_reason() {
    let right = chat(&signed("early mist, quiet rain."));
    let server = Server::start(move |asked, socket| match asked.index % 5 {
        0 => put(socket, &whole(200, &right)),
        1 => put(socket, &whole(200, &right.replace("rain", "lake"))),
        2 => {
            let answer = whole(200, &right);
            put(socket, &answer[..answer.len() - 20]);
            false
        }
        3 => put(socket, &whole(500, &right)),
        _ => true,
    });
    let report = against(&server, &["--timeout", "3s"]);
    assert_eq!(counts(&report), ([100, 20, 20], [20, 0, 20, 20, 20]));
    assert_eq!(report["latency_ms"]["count"], 20, "latencies are those of answers");
    assert_eq!(report["classes"]["chat"]["failed"], report["failed"]);
}

#[test]
fn each_lie_of_a_stream_is_counted_under_its_reason() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let text = signed("early mist, quiet rain.");
    let chunk = |bytes: &str| format!("{:x}\r\n{bytes}\r\n", bytes.len());
    let (first, rest) = text.split_at(10);
    let pieces = [chunk(&event(first)), chunk(&event(rest))].concat();
    let done = chunk("data: [DONE]\n\n");
    let other = chunk(&event(&rest.replace("rain", "lake")));
    let opening = chunk(&event(first));
    let server = Server::start(move |asked, socket| match asked.index % 5 {
        0 => put(socket, &format!("{HEAD}{pieces}{done}0\r\n\r\n")),
        1 => put(socket, &format!("{HEAD}{opening}{other}{done}0\r\n\r\n")),
        2 => put(socket, &format!("{HEAD}{pieces}0\r\n\r\n")),
        3 => {
            put(socket, &format!("{HEAD}{pieces}{done}"));
            false
        }
        // A whole answer, and no stream.
        _ => put(socket, &whole(200, &chat("early"))),
    });
    let report = against(&server, &["--stream"]);
    assert_eq!(counts(&report), ([100, 20, 20], [0, 0, 0, 20, 60]));
    assert_eq!(report["streams"], 100);
    assert_eq!(report["stream_events"], 160, "two in each of eighty");
    assert_eq!(report["first_token_ms"]["count"], 80);
    assert_eq!(report["token_gap_ms"]["count"], 80);
}

#[test]
fn a_target_that_refuses_is_counted_and_not_hammered() {
    // It takes the first connection, by which a run finds out whether anybody is there, and no other: gone by the time that is
    // counted.
    let server = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        thread::spawn(move || drop(listener.accept()));
        url
    };
    let late = ["--warm-up", "500ms"];
    let open = report(&[&["--url", &server()], &HUNDRED[..], &late].concat());
    assert_eq!(counts(&open), ([100, 0, 0], [0, 100, 0, 0, 0]));
    let once = ["--connections", "2", "--duration", "1s"];
    let closed = report(&[&["--url", &server()], &once[..], &late].concat());
    let refused = closed["failed"]["connect"].as_u64().expect("a count");
    assert!((2..=22).contains(&refused), "{refused}");
    assert_eq!(closed["sent"], refused);
}

#[test]
fn a_connection_closed_between_requests_is_nobodys_fault() {
    let right = chat(&signed("early mist, quiet rain."));
    let server = Server::start(move |_, socket| {
        put(socket, &whole(200, &right));
        // Without having said so.
        false
    });
    let open = against(&server, &[]);
    assert_eq!(counts(&open), ([100, 100, 100], [0; 5]));
    for manners in [&[][..], &["--slow-read", "100000"]] {
        let url = server.url();
        let closed = [&["--url", &url, "--connections", "2", "--duration", "1s"], manners].concat();
        let ([sent, answered, _], failed) = counts(&report(&closed));
        assert!(
            sent > 2 && answered == sent && failed == [0; 5],
            "{answered} of {sent}: {failed:?}"
        );
    }
}

#[test]
fn no_keep_alive_is_one_connection_a_request() {
    let right = chat(&signed("early mist, quiet rain."));
    let close = |asked: &Asked| asked.text.contains("connection: close\r\n");
    let server = Server::start(move |asked, socket| {
        assert!(close(asked), "{}", asked.text);
        put(socket, &whole(200, &right))
    });
    let report = against(&server, &["--no-keep-alive"]);
    assert_eq!(counts(&report), ([100, 100, 100], [0; 5]));
    // And the one by which it found out whether anybody is there.
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::Relaxed), 101);
}

#[test]
fn failures_are_an_error_for_whoever_asks() {
    let server = Server::start(|_, socket| put(socket, &whole(503, "{}")));
    let url = server.url();
    let arguments = [&["--url", &url], &HUNDRED[..]].concat();
    assert_ne!(run(&arguments).0, 1);
    let (code, out, _) = run(&[&arguments[..], &["--fail-on-errors"]].concat());
    assert_eq!(code, 1);
    assert!(out.contains("(100 %)") && out.contains("status "), "{out}");
}

#[test]
fn answers_of_others_than_the_sandbox_are_taken_unless_it_answered_too() {
    let other = chat("I have been a good assistant, have I not?");
    let server = Server::start({
        let other = other.clone();
        move |_, socket| put(socket, &whole(200, &other))
    });
    assert_eq!(counts(&against(&server, &[])), ([100, 100, 0], [0; 5]));
    let right = chat(&signed("early mist, quiet rain."));
    let asked = AtomicU64::new(0);
    let server = Server::start(move |_, socket| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        put(socket, &whole(200, if number < 50 { &right } else { &other }))
    });
    assert_eq!(
        counts(&against(&server, &["--connections", "1"])),
        ([100, 50, 50], [0, 0, 0, 0, 50])
    );
    assert_eq!(
        counts(&against(&server, &["--connections", "1", "--no-verify"])),
        ([100, 100, 0], [0; 5])
    );
}
