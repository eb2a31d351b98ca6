//! What stands between clients and the gateway: PROXY protocol, trusted proxies, browsers, and the log of it all.

use std::{fs, path::Path};

use serde_json::Value;

use crate::harness::{
    Client, Sandbox, Setup,
    gateway::{KEY, UPSTREAM_SECRET, chat, messages, with_key},
    http::{call, request},
    process::{Process, program},
    until,
};

fn logged_to(setup: &mut Setup, file: &Path) {
    setup.top = setup
        .top
        .replace("access_log: off", &format!("access_log: \"file:{}\"", file.display()));
}

/// Waits for the log to have that many lines, and answers them.
#[track_caller]
fn lines(file: &Path, count: usize) -> Vec<Value> {
    until("the access log's lines", 10, || {
        let text = fs::read_to_string(file).unwrap_or_default();
        let lines: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        (lines.len() >= count).then_some(lines)
    })
}

/// Whether any string in the line has that value: the names of its members are documented, not promised here.
fn says(line: &Value, text: &str) -> bool {
    line.as_object()
        .is_some_and(|members| members.values().any(|value| value == text))
}

#[test]
fn each_request_has_one_line_in_the_access_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("access.jsonl");
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    logged_to(&mut setup, &file);
    let gateway = setup.start();
    gateway
        .post(
            "/v1/chat/completions",
            &[("x-request-id", "one")],
            &chat("openai/sandbox-tokens-9", ""),
        )
        .expect(200);
    gateway
        .post(
            "/v1/messages",
            &[("x-request-id", "two")],
            &messages("anthropic/sandbox-tokens-8", r#","stream":true"#),
        )
        .expect(200);
    call(
        gateway.address,
        "POST",
        "/v1/chat/completions",
        &[("x-api-key", "wrong"), ("x-request-id", "three")],
        b"{}",
    )
    .expect(401);
    gateway.post(
        "/v1/chat/completions",
        &[("x-request-id", "four")],
        &chat("openai/sandbox-status-503", ""),
    );
    let lines = lines(&file, 4);
    assert_eq!(lines.len(), 4, "{lines:#?}");
    for (id, expected) in [
        ("one", &["openai", "tester", "openai/sandbox-tokens-9"][..]),
        ("two", &["anthropic", "tester"]),
        ("three", &[]),
        ("four", &["openai"]),
    ] {
        let line = lines
            .iter()
            .find(|line| says(line, id))
            .unwrap_or_else(|| panic!("no line for {id}: {lines:#?}"));
        for text in expected {
            assert!(says(line, text), "{text} in {line}");
        }
    }
    let text = fs::read_to_string(&file).expect("the log");
    assert!(
        !text.contains(KEY) && !text.contains(UPSTREAM_SECRET) && !text.contains("Hello there"),
        "{text}"
    );
}

#[test]
fn an_access_log_whose_reader_stopped_stops_no_request() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.top = setup.top.replace("access_log: off", "access_log: stderr");
    // Nobody reads this pipe: it is full after 64 KiB.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("tollgate.yaml");
    let loopback = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let (address, admin) = (
        loopback(crate::harness::free_port()),
        loopback(crate::harness::free_port()),
    );
    fs::write(&config, setup.document(address, admin)).expect("written");
    let socket = folder.path().join("control.sock");
    let mut command = std::process::Command::new(program("tollgate"));
    command
        .arg("up")
        .arg("--config")
        .arg(&config)
        .arg("--state-dir")
        .arg(folder.path().join("state"));
    command
        .arg("--control-socket")
        .arg(&socket)
        .env("TOLLGATE_TEST_KEY", KEY)
        .env("TOLLGATE_TEST_UPSTREAM", UPSTREAM_SECRET);
    let mut process = Process::with_stderr(&mut command, writer.into());
    let _killer = KilledByMarker(folder.path().display().to_string());
    process.ready_line();
    let ask = request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        chat("openai/sandbox-small", "").as_bytes(),
    );
    let mut client = Client::connect(address);
    // More than the gateway queues for a slow reader: 8 MiB.
    for _ in 0..25_000 {
        client.send(&ask).read().expect("an answer").expect(200);
    }
    let metrics = crate::harness::http::call_unix(&socket, "GET", "/v1/metrics", &[], b"")
        .expect("answered")
        .expect(200)
        .text();
    let dropped = metrics
        .lines()
        .find(|line| line.contains("drop") && line.contains("log") && !line.starts_with('#'));
    let dropped = dropped.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    assert!(
        dropped.is_some_and(|count| count > 0.0),
        "the dropped lines are counted: {metrics}"
    );
    // Nor does it stop the control plane, which has a line to say of each change.
    for name in ["one", "two", "three", "four"] {
        let path = format!("/v1/config/teams/{name}");
        let json = [("content-type", "application/json")];
        let told = crate::harness::http::call_unix(&socket, "PUT", &path, &json, b"{}");
        told.expect("answered").expect(200);
    }
    drop(reader);
    // A reader that is gone altogether must not end the gateway either.
    for _ in 0..300 {
        client.send(&ask).read().expect("an answer").expect(200);
    }
}

/// Ends what a test started without a `Gateway` around it.
struct KilledByMarker(String);

impl Drop for KilledByMarker {
    fn drop(&mut self) {
        for pid in crate::harness::process::naming(&self.0) {
            crate::harness::process::signal(pid, crate::harness::process::Signal::KILL);
        }
    }
}

#[test]
fn a_proxy_tells_the_clients_address_by_the_proxy_protocol() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("access.jsonl");
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.listener = ", proxy_protocol: true".to_owned();
    logged_to(&mut setup, &file);
    let gateway = setup.start();
    let ask = request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        chat("openai/sandbox-small", "").as_bytes(),
    );
    let mut version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    version_2.extend_from_slice(&[203, 0, 113, 8, 127, 0, 0, 1, 0xc0, 0, 0x1f, 0x90]);
    for header in [b"PROXY TCP4 203.0.113.7 127.0.0.1 49152 8080\r\n".to_vec(), version_2] {
        let mut client = Client::connect(gateway.address);
        // Cut in two: the header may come in pieces.
        client.send(&header[..9]);
        client.send(&[&header[9..], &ask[..]].concat());
        client.read().expect("an answer").expect(200);
        client.send(&ask).read().expect("a second answer").expect(200);
    }
    let text = lines(&file, 4).iter().map(Value::to_string).collect::<String>();
    assert!(text.contains("203.0.113.7") && text.contains("203.0.113.8"), "{text}");

    let before = sandbox.arrivals().len();
    let long = format!("PROXY TCP4 {}\r\n", "1".repeat(200));
    for bad in [
        b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
        b"PROXY TCP4 x y z\r\n".to_vec(),
        long.into_bytes(),
    ] {
        let mut client = Client::connect(gateway.address);
        let _ = client.socket.write_all(&[&bad[..], &ask[..]].concat());
        let answer = client.read_to_close();
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(sandbox.arrivals().len(), before);
}

#[test]
fn a_forwarded_address_is_believed_from_trusted_proxies_only() {
    for (trusted, believed) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("access.jsonl");
        let sandbox = Sandbox::start();
        let mut setup = Setup::to(sandbox.address);
        setup.listener = format!(", trusted_proxies: [ \"{trusted}\" ]");
        logged_to(&mut setup, &file);
        let gateway = setup.start();
        let headers = [("x-forwarded-for", "198.51.100.1, 203.0.113.9")];
        gateway
            .post("/v1/chat/completions", &headers, &chat("openai/sandbox-small", ""))
            .expect(200);
        let line = lines(&file, 1)[0].to_string();
        // The last address is the one the trusted proxy saw; those before it are the client's own claim.
        assert_eq!(line.contains("203.0.113.9"), believed, "{line}");
        assert!(!line.contains("198.51.100.1"), "{line}");
    }
}

#[test]
fn a_browser_may_call_from_configured_origins_only() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.listener = ", cors: { origins: [ \"https://app.test\" ] }".to_owned();
    let gateway = setup.start();
    let preflight = |origin| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        call(gateway.address, "OPTIONS", "/v1/chat/completions", &headers, b"")
    };
    let allowed = preflight("https://app.test");
    assert!(matches!(allowed.status, 200 | 204), "{allowed:?}");
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.test"));
    assert!(
        allowed
            .header("access-control-allow-headers")
            .is_some_and(|names| names.contains("authorization"))
    );
    assert_eq!(
        preflight("https://evil.test").header("access-control-allow-origin"),
        None
    );

    let answer = gateway
        .post(
            "/v1/chat/completions",
            &[("origin", "https://app.test")],
            &chat("openai/sandbox-small", ""),
        )
        .expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.test"));
    let answer = gateway.post(
        "/v1/chat/completions",
        &[("origin", "https://evil.test")],
        &chat("openai/sandbox-small", ""),
    );
    assert_eq!(answer.header("access-control-allow-origin"), None);
    // A refusal must be readable for the page, too.
    let refused = call(
        gateway.address,
        "POST",
        "/v1/chat/completions",
        &[("origin", "https://app.test")],
        b"{}",
    )
    .expect(401);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://app.test"));
}

#[test]
fn an_upgrade_is_refused_and_the_connection_stays_usable_or_closes() {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
    ];
    let answer = call(gateway.address, "GET", "/v1/realtime", &with_key(&headers), b"");
    assert!(matches!(answer.status, 404 | 501), "{answer:?}");
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
}
