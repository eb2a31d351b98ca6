//! Connections that are many, slow, half-closed or inside TLS, and descriptors that run out.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::harness::{BODY, Sandbox};

fn request(fields: &str) -> String {
    let length = BODY.len();
    format!("POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n{fields}content-length: {length}\r\n\r\n{BODY}")
}

/// Reads one whole answer that has a content-length, from a connection that goes on.
fn read_answer(socket: &mut impl Read) -> String {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).expect("a head");
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer).expect("text");
    let length = head.split_once("content-length: ").expect("a length").1;
    let length = length.split("\r\n").next().and_then(|digits| digits.parse().ok());
    let mut body = vec![0; length.expect("a number")];
    socket.read_exact(&mut body).expect("a body");
    head + &String::from_utf8(body).expect("text")
}

fn limit_descriptors(process: u32, most: u64) {
    let process = rustix::process::Pid::from_raw(process as i32);
    let limit = rustix::process::Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    rustix::process::prlimit(process, rustix::process::Resource::Nofile, limit).expect("limited");
}

/// User and system time the process has used, in ticks of 10 ms.
fn cpu_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("a process");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

fn resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    line.split_whitespace()
        .nth(1)
        .expect("kB")
        .parse::<u64>()
        .expect("a number")
        * 1024
}

#[test]
fn without_descriptors_connections_wait_their_turn() {
    let sandbox = Sandbox::on_threads("1", &[]);
    limit_descriptors(sandbox.child.id(), 30);
    let mut clients: Vec<TcpStream> = (0..60).map(|_| sandbox.connect()).collect();
    for client in &mut clients {
        client.write_all(request("").as_bytes()).expect("sent");
    }
    // The first is served all the while; the wait costs next to nothing, where a loop that is woken at once burns a core.
    let first = &mut clients[0];
    read_answer(first);
    let before = cpu_ticks(sandbox.child.id());
    first
        .write_all(request("x-sandbox-latency: 1s\r\n").as_bytes())
        .expect("sent");
    read_answer(first);
    assert!(cpu_ticks(sandbox.child.id()) - before < 30, "it spins");
    let mut open = usize::MAX;
    for (index, mut client) in clients.into_iter().enumerate() {
        if index > 0 {
            read_answer(&mut client);
        }
        if index == 0 {
            write!(client, "GET /_sandbox/arrivals HTTP/1.1\r\nhost: a\r\n\r\n").expect("sent");
            let report = read_answer(&mut client);
            let report: serde_json::Value =
                serde_json::from_str(report.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
            open = report["connections"]["open"].as_u64().expect("a number") as usize;
        }
    }
    assert!(open < 30, "{open} were open at once");
}

#[test]
fn a_slow_reader_keeps_nobody_waiting_and_gets_everything() {
    let sandbox = Sandbox::on_threads("1", &[]);
    let mut slow = sandbox.connect();
    let big = request("x-sandbox-answer-bytes: 20000000\r\nconnection: close\r\n");
    slow.write_all(big.as_bytes()).expect("sent");
    slow.peek(&mut [0]).expect("the answer has begun");
    for _ in 0..10 {
        assert!(sandbox.chat("", BODY).starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(sandbox.report()["arrivals"][0]["ending"], "in_flight");
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).expect("read");
    assert!(answer.len() > 20_000_000 && answer.ends_with(b"}"), "{}", answer.len());
    assert_eq!(sandbox.report()["arrivals"][0]["ending"], "answered");
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answer() {
    let sandbox = Sandbox::start(&[]);
    for _ in 0..50 {
        let mut socket = sandbox.connect();
        socket
            .write_all(request("x-sandbox-answer-bytes: 1000000\r\n").as_bytes())
            .expect("sent");
        socket.shutdown(std::net::Shutdown::Write).expect("half closed");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).expect("an answer, and then the end");
        assert!(answer.len() > 1_000_000, "{}", answer.len());
    }
}

#[test]
fn idle_connections_cost_little_and_are_still_served() {
    const CONNECTIONS: u64 = 4000;
    let descriptors = rustix::process::Resource::Nofile;
    let mut limit = rustix::process::getrlimit(descriptors);
    limit.current = limit.maximum;
    rustix::process::setrlimit(descriptors, limit).expect("raised");
    let sandbox = Sandbox::on_threads("1", &[]);
    let ask = |client: &mut TcpStream| {
        client.write_all(request("").as_bytes()).expect("sent");
        read_answer(client)
    };
    for _ in 0..2500 {
        // The record of arrivals grows to its bound before anything is measured.
        ask(&mut sandbox.connect());
    }
    let before = resident_bytes(sandbox.child.id());
    let mut clients: Vec<TcpStream> = (0..CONNECTIONS).map(|_| sandbox.connect()).collect();
    let first = ask(&mut clients[0]);
    let body = |answer: &str| answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    for client in &mut clients {
        assert_eq!(body(&ask(client)), body(&first));
    }
    let each = resident_bytes(sandbox.child.id()).saturating_sub(before) / CONNECTIONS;
    // About 900 in all; pages that are touched for the first time meanwhile, and what the allocator holds back, come to
    // 150 more on a busy machine.
    assert!(each < 1280, "{each} bytes a connection");
    assert_eq!(sandbox.report()["connections"]["open"], CONNECTIONS + 1);
}

#[test]
fn tls_sends_everything_and_says_goodbye() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let paths = [certificate.display().to_string(), key.display().to_string()];
    let sandbox = Sandbox::on_threads("1", &["--tls-cert", &paths[0], "--tls-key", &paths[1]]);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = std::sync::Arc::new(config);
    let connect = || {
        let name = "localhost".try_into().expect("a name");
        let session = rustls::ClientConnection::new(config.clone(), name).expect("a session");
        rustls::StreamOwned::new(session, sandbox.connect())
    };
    let mut slow = connect();
    slow.write_all(request("x-sandbox-answer-bytes: 10000000\r\nconnection: close\r\n").as_bytes())
        .expect("sent");
    let mut quick = connect();
    for _ in 0..3 {
        quick.write_all(request("").as_bytes()).expect("sent");
        assert!(read_answer(&mut quick).starts_with("HTTP/1.1 200 "));
    }
    let mut answer = Vec::new();
    // Without a goodbye in TLS this is an error.
    slow.read_to_end(&mut answer).expect("the answer and its end");
    assert!(answer.len() > 10_000_000 && answer.ends_with(b"}"), "{}", answer.len());
}
