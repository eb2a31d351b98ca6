//! A data plane process and a control connection to it. Nothing is left running when a test ends.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::Path,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tollgate_config::link::{AnswerBody, Ask, AskBody, Event, Say, StoredKey};

use crate::{frames, ports::free_port};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Plane {
    child: Child,
    stderr: BufReader<ChildStderr>,
    state: std::path::PathBuf,
}

impl Plane {
    /// Starts one, and returns once it serves its control socket.
    pub fn start(state: &Path, arguments: &[&str]) -> Self {
        let mut plane = Self::spawn(state, arguments);
        plane.logged(r#""event":"dataplane_started""#);
        plane
    }

    pub fn spawn(state: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate-dataplane"))
            .arg("--state-dir")
            .arg(state)
            .args(["--shards", "2"])
            .args(arguments)
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("started");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        Self {
            child,
            stderr,
            state: state.to_owned(),
        }
    }

    /// Reads the log up to a line that holds `text`.
    pub fn logged(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).expect("readable");
            assert!(read > 0, "the data plane ended; its log:\n{seen}");
            if line.contains(text) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    pub fn control(&self) -> Control {
        let stream = UnixStream::connect(self.state.join("dataplane.sock")).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        Control {
            stream,
            next_id: 1,
            events: Vec::new(),
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("signalled");
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
    }

    /// How it ended, its log left unread.
    pub fn ended_unread(mut self) -> ExitStatus {
        self.child.wait().expect("waited for")
    }

    /// The rest of its log, and how it ended.
    pub fn ended(mut self) -> (String, ExitStatus) {
        let mut log = String::new();
        self.stderr.read_to_string(&mut log).expect("readable");
        (log, self.child.wait().expect("waited for"))
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Control {
    pub stream: UnixStream,
    next_id: u64,
    events: Vec<Event>,
}

impl Control {
    pub fn ask(&mut self, body: AskBody) -> AnswerBody {
        self.ask_with(body, &[])
    }

    pub fn ask_with(&mut self, body: AskBody, sockets: &[OwnedFd]) -> AnswerBody {
        let id = self.next_id;
        self.next_id += 1;
        let json = serde_json::to_vec(&Ask { id, body }).expect("JSON");
        frames::write_frame(&self.stream, &json).expect("written");
        frames::write_descriptors(&self.stream, sockets).expect("written");
        loop {
            match self.read() {
                Say::Answer { id: answered, body } => {
                    assert_eq!(answered, id);
                    return body;
                }
                Say::Event(event) => self.events.push(event),
                Say::MarksNoted => {}
            }
        }
    }

    pub fn event(&mut self, kind: &str) -> Event {
        loop {
            if let Some(at) = self.events.iter().position(|event| event.kind == kind) {
                return self.events.remove(at);
            }
            match self.read() {
                Say::Event(event) => self.events.push(event),
                Say::MarksNoted => {}
                Say::Answer { .. } => panic!("nothing was asked"),
            }
        }
    }

    fn read(&mut self) -> Say {
        let frame = frames::read_frame(&self.stream).expect("readable").expect("not closed");
        serde_json::from_slice(&frame).expect("JSON")
    }

    pub fn apply(&mut self, revision: u64, document: &Value, keys: Vec<StoredKey>) -> AnswerBody {
        match self.ask(AskBody::Prepare {
            revision,
            document: document.clone(),
            keys,
        }) {
            AnswerBody::Prepared { .. } => self.ask(AskBody::Commit { revision }),
            refused => refused,
        }
    }

    /// The revisions the shards run; all answer the same.
    pub fn revision(&mut self) -> u64 {
        let AnswerBody::Status(status) = self.ask(AskBody::Status) else {
            panic!("no status")
        };
        assert_eq!(status.shards.len(), 2);
        assert!(status.shards.iter().all(|shard| shard.revision == status.revision));
        status.revision
    }
}

/// An address nobody listens on just now.
pub fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

pub fn document(listeners: Value) -> Value {
    json!({
        "version": 1,
        "drain_delay": "0s",
        "listeners": listeners,
        "providers": { "nowhere": { "dialect": "openai", "base_url": "http://127.0.0.1:9" } },
        "models": { "small": { "targets": [ { "provider": "nowhere", "model": "m" } ] } },
    })
}

/// Writes what a data plane that starts alone will run.
pub fn leave_last_good(state: &Path, document: &Value) {
    let text = json!({ "revision": 7, "document": document, "keys": [] }).to_string();
    fs::write(state.join("last-good.json"), text).expect("written");
}

pub fn key(name: &str, secret_sha256: &str) -> StoredKey {
    StoredKey {
        name: name.to_owned(),
        sha256: secret_sha256.to_owned(),
        previous: None,
        team: None,
        user: None,
        models: Vec::new(),
        expires_unix_s: None,
        priority: None,
        limits: Default::default(),
    }
}

/// One request on a connection of its own; the whole answer.
pub fn get(address: SocketAddr, path: &str, key: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    request(&mut stream, path, key)
}

/// One request after which the connection closes.
pub fn request(stream: &mut (impl Read + Write), path: &str, key: &str) -> String {
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: gateway.test\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    answer
}
