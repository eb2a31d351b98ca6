//! A server that does what a test says, one thread a connection, and the generator run against it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use serde_json::Value;

#[allow(dead_code)]
#[path = "../../src/signed_text.rs"]
mod signed_text;

/// A request as it arrived.
pub struct Asked {
    /// In order of arrival, from 0.
    pub index: u64,
    pub text: String,
    /// How many reads it took.
    pub reads: u64,
}

pub struct Server {
    pub address: SocketAddr,
    pub connections: Arc<AtomicU64>,
    pub requests: Arc<AtomicU64>,
}

impl Server {
    /// Answers with what `answer` writes; false closes the connection.
    pub fn start(answer: impl Fn(&Asked, &mut TcpStream) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Self {
            address: listener.local_addr().expect("bound"),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let answer = Arc::new(answer);
        let (connections, requests) = (server.connections.clone(), server.requests.clone());
        thread::spawn(move || {
            for socket in listener.incoming() {
                let socket = socket.expect("accepted");
                connections.fetch_add(1, Ordering::Relaxed);
                let (answer, requests) = (answer.clone(), requests.clone());
                thread::spawn(move || converse(socket, &requests, &*answer));
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// One request after another. A client that goes away ends it.
fn converse(mut socket: TcpStream, requests: &AtomicU64, answer: &dyn Fn(&Asked, &mut TcpStream) -> bool) {
    socket.set_nodelay(true).expect("set");
    let (mut bytes, mut reads) = (Vec::new(), 0);
    let mut part = [0; 8192];
    loop {
        if let Some(end) = end_of_request(&bytes) {
            let rest = bytes.split_off(end);
            let asked = Asked {
                index: requests.fetch_add(1, Ordering::Relaxed),
                text: String::from_utf8(std::mem::replace(&mut bytes, rest)).expect("text"),
                reads,
            };
            reads = 0;
            if !answer(&asked, &mut socket) {
                return;
            }
            continue;
        }
        match socket.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
        }
        reads += 1;
    }
}

fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).expect("text");
    let head = text.find("\r\n\r\n")? + 4;
    let length = text[..head]
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let end = head + length.map_or(0, |length| length.parse::<usize>().expect("a length"));
    (end <= bytes.len()).then_some(end)
}

pub fn signed(text: &str) -> String {
    format!(
        "{text} {}",
        signed_text::check_words(crc32fast::hash(text.as_bytes())).join(" ")
    )
}

/// A chat answer with this text.
pub fn chat(text: &str) -> String {
    format!(r#"{{"id":"a","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}}}}]}}"#)
}

/// A stream's event with this text.
pub fn event(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
}

pub fn whole(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nserver-timing: gw;dur=0.125\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Writes; a client that has gone is no matter.
pub fn put(socket: &mut TcpStream, bytes: &str) -> bool {
    socket.write_all(bytes.as_bytes()).is_ok()
}

pub fn generator(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-loadtest"));
    command.arg("run").args(arguments).env_remove("TOLLGATE_KEY");
    command
}

/// Runs it to its end; exit code, standard output and error.
pub fn run(arguments: &[&str]) -> (i32, String, String) {
    said(generator(arguments).output().expect("it runs"))
}

pub fn spawn(arguments: &[&str]) -> Child {
    let mut command = generator(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it runs")
}

pub fn said(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (
        output.status.code().expect("not killed"),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Runs it with `--output json`; the report. On a busy machine the generator may have been late and says so (4): that
/// falsifies times, not counts.
pub fn report(arguments: &[&str]) -> Value {
    let (code, out, err) = run(&[arguments, &["--output", "json"]].concat());
    assert!([0, 4].contains(&code), "{code}: {err}\n{out}");
    serde_json::from_str(&out).expect("JSON")
}

/// Counts of a report: sent, answered, verified, and failed by status, connect, timeout, cut, content.
pub fn counts(report: &Value) -> ([u64; 3], [u64; 5]) {
    let at = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64).expect(pointer);
    (
        ["/sent", "/answered", "/verified"].map(at),
        [
            "/failed/status",
            "/failed/connect",
            "/failed/timeout",
            "/failed/cut",
            "/failed/content",
        ]
        .map(at),
    )
}
