//! The sandbox as a process: what it says when it is ready, and that each fault is on the wire what its name says.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

const BODY: &str = r#"{"model":"sandbox-small","messages":[{"role":"user","content":"Hello there."}]}"#;
const STREAM: &str = r#"{"model":"sandbox-small","messages":[{"role":"user","content":"Hello there."}],"stream":true}"#;

struct Sandbox {
    child: Child,
    address: String,
}

impl Sandbox {
    fn start(arguments: &[&str]) -> Self {
        Self::on_threads("2", arguments)
    }

    fn on_threads(threads: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-loadtest"));
        command
            .args(["sandbox", "--threads", threads])
            .args(arguments)
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("the sandbox starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("a line");
        let address = line
            .strip_prefix("ready ")
            .expect("'ready HOST:PORT'")
            .trim()
            .to_owned();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.address).expect("connected");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        socket
    }

    /// Everything the sandbox sends until it closes, which a request with `connection: close` makes it do.
    fn ask(&self, method: &str, path: &str, fields: &str, body: &str) -> Vec<u8> {
        let mut socket = self.connect();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: a\r\nanthropic-version: 1\r\nconnection: close\r\n{fields}");
        write!(socket, "{head}content-length: {}\r\n\r\n{body}", body.len()).expect("sent");
        let mut answer = Vec::new();
        // A reset ends it, too.
        let _ = socket.read_to_end(&mut answer);
        answer
    }

    fn chat(&self, fields: &str, body: &str) -> String {
        String::from_utf8_lossy(&self.ask("POST", "/v1/chat/completions", fields, body)).into_owned()
    }

    fn report(&self) -> serde_json::Value {
        let answer = String::from_utf8(self.ask("GET", "/_sandbox/arrivals", "", "")).expect("text");
        serde_json::from_str(answer.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_same_request_gets_the_same_answer_and_its_tokens_are_counted() {
    let sandbox = Sandbox::start(&[]);
    let body = |answer: String| answer.split_once("\r\n\r\n").expect("a body").1.to_owned();
    let first = body(sandbox.chat("", BODY));
    assert_eq!(first, body(sandbox.chat("", BODY)));
    let json: serde_json::Value = serde_json::from_str(&first).expect("JSON");
    let stream = sandbox.chat("", STREAM);
    let pieces = stream.matches(r#""delta":{"content""#).count();
    assert_eq!(json["usage"]["completion_tokens"], pieces);
    assert_eq!(json["usage"]["prompt_tokens"], 3);
    assert!(stream.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{stream}");
}

#[test]
fn an_answer_is_cut_at_every_byte_asked_for() {
    let sandbox = Sandbox::start(&[]);
    let whole = sandbox.chat("", STREAM);
    for bytes in (0..whole.len()).step_by(97) {
        for kind in ["", " rst"] {
            let cut = sandbox.chat(&format!("x-sandbox-cut-after: {bytes}{kind}\r\n"), STREAM);
            // A reset may destroy what was sent just before it.
            let expected = if kind.is_empty() { bytes } else { cut.len().min(bytes) };
            assert_eq!(cut.len(), expected, "cut after {bytes}{kind}");
        }
    }
    let long = sandbox.chat("x-sandbox-cut-after: 1000000\r\n", STREAM);
    assert_eq!(long.len(), whole.len());
}

#[test]
fn statuses_and_shapes_follow_the_dialect() {
    let sandbox = Sandbox::start(&[]);
    let openai = sandbox.chat("x-sandbox-status: 429\r\nx-sandbox-retry-after: 3\r\n", BODY);
    assert!(
        openai.starts_with("HTTP/1.1 429 ") && openai.contains("\r\nretry-after: 3\r\n"),
        "{openai}"
    );
    assert!(openai.contains(r#""code":"rate_limit_exceeded""#), "{openai}");
    let anthropic = sandbox.ask("POST", "/v1/messages", "x-sandbox-status: 529\r\n", BODY);
    let anthropic = String::from_utf8(anthropic).expect("text");
    assert!(
        anthropic.contains(r#"{"type":"error","error":{"type":"overloaded_error""#),
        "{anthropic}"
    );
    let incomplete = String::from_utf8(sandbox.ask("POST", "/v1/messages", "", BODY)).expect("text");
    assert!(
        incomplete.starts_with("HTTP/1.1 400 ") && incomplete.contains("max_tokens"),
        "{incomplete}"
    );
    let misspelt = sandbox.chat("x-sandbox-statsu: 500\r\n", BODY);
    assert!(
        misspelt.starts_with("HTTP/1.1 400 ") && misspelt.contains("statsu"),
        "{misspelt}"
    );
}

#[test]
fn a_stall_is_noticed_when_the_client_leaves() {
    let sandbox = Sandbox::start(&[]);
    let mut socket = sandbox.connect();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-sandbox-stall-after: 20\r\n";
    write!(socket, "{head}content-length: {}\r\n\r\n{BODY}", BODY.len()).expect("sent");
    let mut part = [0; 20];
    socket.read_exact(&mut part).expect("twenty bytes");
    assert_eq!(sandbox.report()["arrivals"][0]["ending"], "in_flight");
    drop(socket);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while sandbox.report()["arrivals"][0]["ending"] != "client_gone" {
        assert!(std::time::Instant::now() < deadline, "{}", sandbox.report());
    }
}

#[test]
fn bad_framing_is_bad_on_the_wire() {
    let sandbox = Sandbox::start(&[]);
    for (name, sign) in [
        ("bad-length", "abc\r\n"),
        ("bad-chunk", "\r\n\r\nzz\r\n"),
        ("both", "transfer-encoding: chunked\r\n"),
        ("two-lengths", "content-length: "),
        ("coding-list", "transfer-encoding: gzip, chunked\r\n"),
        ("space-colon", "content-length : "),
        ("obs-fold", "a\r\n b\r\n"),
        ("bare-lf", "x-bare: a\ncontent"),
        ("nul", "a\0b"),
        ("short-length", "smuggled"),
    ] {
        let answer = sandbox.chat(&format!("x-sandbox-framing: {name}\r\n"), BODY);
        assert!(answer.contains(sign), "{name}: {answer}");
    }
    assert!(!sandbox.chat("x-sandbox-garbage: 1\r\n", BODY).contains("HTTP/1.1"));
}

#[test]
fn big_answers_have_the_size_asked_for() {
    let sandbox = Sandbox::start(&[]);
    let answer = sandbox.chat("x-sandbox-answer-bytes: 10000000\r\n", BODY);
    assert!(
        answer.len() > 10_000_000 && answer.len() < 10_002_000,
        "{}",
        answer.len()
    );
    assert!(answer.contains(r#""completion_tokens":1250000"#));
}

#[test]
fn a_scenario_can_be_given_and_replaced() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), r#"{"rules":[{"model":"sandbox-small","status":503}]}"#).expect("written");
    let sandbox = Sandbox::start(&["--scenario", &file.path().display().to_string()]);
    assert!(sandbox.chat("", BODY).starts_with("HTTP/1.1 503 "));
    sandbox.ask("PUT", "/_sandbox/scenario", "", r#"{"rules":[]}"#);
    assert!(sandbox.chat("", BODY).starts_with("HTTP/1.1 200 "));
    let wrong = sandbox.ask("PUT", "/_sandbox/scenario", "", r#"{"rules":[{"odd":1}]}"#);
    assert!(String::from_utf8_lossy(&wrong).contains("/rules/0"));
}

#[test]
fn requests_behind_one_another_are_answered_in_order() {
    let sandbox = Sandbox::start(&[]);
    let mut socket = sandbox.connect();
    let one = |more: &str| {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n{more}content-length: {}\r\n\r\n{BODY}",
            BODY.len()
        )
    };
    write!(
        socket,
        "{}{}",
        one("x-sandbox-latency: 20ms\r\nx-sandbox-tokens: 3\r\n"),
        one("connection: close\r\nx-sandbox-tokens: 5\r\n")
    )
    .expect("sent");
    let mut answers = String::new();
    socket.read_to_string(&mut answers).expect("text");
    let (three, five) = (
        answers.find(r#""completion_tokens":3"#),
        answers.find(r#""completion_tokens":5"#),
    );
    assert!(three.is_some() && three < five, "{answers}");
}

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
    assert!(each < 1024, "{each} bytes a connection");
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
