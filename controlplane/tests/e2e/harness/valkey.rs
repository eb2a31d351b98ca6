//! A store for limits that nodes share: Debian's `redis-server`, on a port of its own, that keeps nothing on the disk.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    free_port,
    process::{self, Process, Signal},
    until,
};

pub struct Valkey {
    pub port: u16,
    process: Process,
    folder: tempfile::TempDir,
}

impl Valkey {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let mut store = Self {
            port,
            process: begin(port, &folder),
            folder,
        };
        store.await_ready();
        store
    }

    /// As a document names it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// It takes connections, and says nothing.
    pub fn freeze(&self) {
        process::signal(self.process.pid(), Signal::STOP);
    }

    pub fn thaw(&self) {
        process::signal(self.process.pid(), Signal::CONT);
    }

    /// Ended, and begun again with nothing in it.
    pub fn replace(&mut self) {
        self.kill();
        self.restart();
    }

    pub fn flush(&self) {
        assert_eq!(self.ask("FLUSHALL").as_deref(), Some("+OK\r\n"));
    }

    pub fn kill(&mut self) {
        process::signal(self.process.pid(), Signal::KILL);
        self.process.wait(10);
    }

    pub fn restart(&mut self) {
        self.process = begin(self.port, &self.folder);
        self.await_ready();
    }

    /// What a command of `redis-cli` prints.
    pub fn command(&self, parts: &[&str]) -> Vec<u8> {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]).args(parts);
        let output = command.output().expect("redis-cli comes with redis-server");
        assert!(output.status.success(), "{parts:?}: {output:?}");
        output.stdout
    }

    /// The names of all keys that a pattern is true of.
    pub fn keys(&self, pattern: &str) -> Vec<String> {
        let said = self.command(&["KEYS", pattern]);
        let mut keys: Vec<String> = String::from_utf8_lossy(&said).lines().map(str::to_owned).collect();
        keys.retain(|key| !key.is_empty());
        keys.sort();
        keys
    }

    fn await_ready(&mut self) {
        until("redis-server answers", 20, || {
            self.ask("PING").filter(|said| said == "+PONG\r\n")
        });
    }

    fn ask(&self, what: &str) -> Option<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        socket.write_all(format!("{what}\r\n").as_bytes()).ok()?;
        let mut said = [0; 64];
        let count = socket.read(&mut said).ok()?;
        Some(String::from_utf8_lossy(&said[..count]).into_owned())
    }
}

fn begin(port: u16, folder: &tempfile::TempDir) -> Process {
    let mut command = Command::new("redis-server");
    command
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--dir",
        ])
        .arg(folder.path());
    Process::start(&mut command)
}

/// Stands before a store, and gives each of its replies later.
pub struct Late {
    pub port: u16,
    pub delay_ms: Arc<AtomicU64>,
    pub replies: Arc<AtomicU64>,
}

impl Late {
    pub fn before(store: &Valkey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (delay_ms, replies) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (its, counted, store) = (Arc::clone(&delay_ms), Arc::clone(&replies), store.port);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(there) = TcpStream::connect(("127.0.0.1", store)) else {
                    continue;
                };
                let (Ok(up), Ok(down)) = (client.try_clone(), there.try_clone()) else {
                    continue;
                };
                thread::spawn(move || io::copy(&mut &up, &mut &down));
                let (its, counted) = (Arc::clone(&its), Arc::clone(&counted));
                thread::spawn(move || {
                    pass_on(&there, &client, || {
                        thread::sleep(Duration::from_millis(its.load(Ordering::SeqCst)));
                        counted.fetch_add(1, Ordering::SeqCst);
                    })
                });
            }
        });
        Self {
            port,
            delay_ms,
            replies,
        }
    }
}

fn pass_on(mut from: &TcpStream, mut to: &TcpStream, each: impl Fn()) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        each();
        if to.write_all(&bytes[..count]).is_err() {
            return;
        }
    }
}
