//! Starts the sandbox and speaks HTTP to it, byte by byte.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

pub const BODY: &str = r#"{"model":"sandbox-small","messages":[{"role":"user","content":"Hello there."}]}"#;
pub const STREAM: &str =
    r#"{"model":"sandbox-small","messages":[{"role":"user","content":"Hello there."}],"stream":true}"#;

pub struct Sandbox {
    pub child: Child,
    pub address: String,
}

impl Sandbox {
    /// On two threads.
    pub fn start(arguments: &[&str]) -> Self {
        Self::on_threads("2", arguments)
    }

    pub fn on_threads(threads: &str, arguments: &[&str]) -> Self {
        let mut child = command(threads, arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sandbox starts");
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

    pub fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.address).expect("connected");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        socket
    }

    /// Everything the sandbox sends until it closes, with the header that Anthropic's API requires.
    pub fn ask(&self, method: &str, path: &str, fields: &str, body: &str) -> Vec<u8> {
        self.ask_plainly(method, path, &format!("anthropic-version: 1\r\n{fields}"), body)
    }

    /// Everything the sandbox sends until it closes, which a request with `connection: close` makes it do.
    pub fn ask_plainly(&self, method: &str, path: &str, fields: &str, body: &str) -> Vec<u8> {
        let mut socket = self.connect();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{fields}");
        write!(socket, "{head}content-length: {}\r\n\r\n{body}", body.len()).expect("sent");
        let mut answer = Vec::new();
        // A reset ends it, too.
        let _ = socket.read_to_end(&mut answer);
        answer
    }

    pub fn chat(&self, fields: &str, body: &str) -> String {
        String::from_utf8_lossy(&self.ask("POST", "/v1/chat/completions", fields, body)).into_owned()
    }

    /// Puts a scenario into force.
    pub fn put_scenario(&self, document: &str) {
        let answer = String::from_utf8(self.ask("PUT", "/_sandbox/scenario", "", document)).expect("text");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    pub fn report(&self) -> serde_json::Value {
        let answer = String::from_utf8(self.ask("GET", "/_sandbox/arrivals", "", "")).expect("text");
        serde_json::from_str(answer.split_once("\r\n\r\n").expect("a body").1).expect("JSON")
    }
}

pub fn command(threads: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate-loadtest"));
    command.args(["sandbox", "--threads", threads]).args(arguments);
    command
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
