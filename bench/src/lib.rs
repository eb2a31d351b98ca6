//! One whole call inside the engine, without I/O: what `benches/exchange` times and `instructions` counts.
//! Knows the engine's seam, and no clock.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;

use tollgate_config::{check, document::Document, parse};
use tollgate_engine::{
    Action, Exchange, Input, Io, Local, Outputs, Peer, Tick,
    exchange::Pinned,
    identity::KeyTable,
    outputs::AttemptId,
    snapshot::{Secrets, compile},
};
use tollgate_wire::{
    head::{Method, RequestHead, RequestView, ResponseHead, ResponseView},
    http1::read,
};

const DOCUMENT: &str = r#"{
  "version": 1,
  "listeners": { "public": { "address": "127.0.0.1:8080" } },
  "providers": { "mock": { "dialect": "openai", "base_url": "http://127.0.0.1:9" } },
  "models": { "smart": { "targets": [ { "provider": "mock", "model": "gpt-5.4-mini" } ] } },
  "keys": { "bench": { "hash": "sha256:HASH", "models": [ "smart" ] } }
}"#;
/// SHA-256 of `tg-bench`.
const KEY_SHA256: &str = "a07615e0ddc0c6015f2ac02ef896fdd41e6081527494826f599ef212e74d6098";

fn document_of_one_key() -> Document {
    let parsed = parse::parse(&DOCUMENT.replace("HASH", KEY_SHA256)).expect("the document is JSON");
    check::check(&parsed).expect("the document is right")
}

fn pinned() -> Rc<Pinned> {
    let secrets = Secrets::new();
    let document = document_of_one_key();
    let keys = Arc::new(KeyTable::build(&document, &secrets, &[]).expect("one good key"));
    let snapshot = Arc::new(compile(1, document, &secrets).expect("the document compiles"));
    Rc::new(Pinned { snapshot, keys })
}

/// One call as bytes: what the client sends, what the provider answers, in the reads that bring it.
pub struct Call {
    head: Vec<u8>,
    body: Vec<u8>,
    answer_head: Vec<u8>,
    answer_body: Vec<Vec<u8>>,
}

fn request(stream: bool) -> (Vec<u8>, Vec<u8>) {
    let (before, after) = if stream {
        (
            &br#"{"model":"smart","stream":true,"stream_options":{"include_usage":true},"messages":["#[..],
            &b"]}"[..],
        )
    } else {
        (&br#"{"model":"smart","temperature":0.2,"messages":["#[..], &b"]}"[..])
    };
    let message = br#"{"role":"user","content":"What does a gateway do between a program and a model, in one line?"},"#;
    let mut body = before.to_vec();
    (0..11).for_each(|_| body.extend_from_slice(message));
    body.pop();
    body.extend_from_slice(after);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.example\r\nAuthorization: Bearer tg-bench\r\n\
         Accept: application/json\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 2.1.0\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    (head.into_bytes(), body)
}

/// A 1.2 KB question and an answer in one read.
pub fn buffered() -> Call {
    let (head, body) = request(false);
    let answer = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1767225600,"model":"gpt-5.4-mini","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":231,"completion_tokens":84,"total_tokens":315,"prompt_tokens_details":{{"cached_tokens":128}}}}}}"#,
        "It checks, forwards and counts. ".repeat(18)
    );
    let answer_head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        answer.len()
    );
    Call {
        head,
        body,
        answer_head: answer_head.into_bytes(),
        answer_body: vec![answer.into_bytes()],
    }
}

/// The same question, answered by 100 events, each in a read of its own, and usage.
pub fn streamed() -> Call {
    let (head, body) = request(true);
    let event = |rest: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"gpt-5.4-mini\",{rest}}}\n\n"
        )
    };
    let word = event(r#""choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}],"usage":null"#);
    let last = event(r#""choices":[],"usage":{"prompt_tokens":231,"completion_tokens":100,"total_tokens":331}"#);
    let mut answer_body = vec![word.into_bytes(); 100];
    answer_body.push((last + "data: [DONE]\n\n").into_bytes());
    let answer_head =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    Call {
        head,
        body,
        answer_head,
        answer_body,
    }
}

/// What a shard keeps between calls of one connection.
pub struct Shard {
    pinned: Rc<Pinned>,
    exchange: Exchange,
    local: Local,
    out: Outputs,
    request: RequestHead,
    response: ResponseHead,
}

impl Shard {
    #[allow(clippy::new_without_default)] // compiles a snapshot: not what `default` promises
    pub fn new() -> Self {
        Self {
            pinned: pinned(),
            exchange: Exchange::default(),
            local: Local { seed: 7, sequence: 0 },
            out: Outputs::default(),
            request: RequestHead::default(),
            response: ResponseHead::default(),
        }
    }

    /// The whole call; panics unless it ended with the answer delivered and usage read.
    pub fn run(&mut self, call: &Call) {
        let limits = read::Limits::default();
        read::request(&call.head, &limits, &mut self.request).expect("a good head");
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        self.exchange.begin(
            self.pinned.clone(),
            Peer {
                address: loopback,
                loopback: true,
                listener: Some(0),
            },
            Tick(1),
        );
        self.feed(call, Input::Head, b"");
        self.feed(call, Input::Body, &call.body);
        let attempt = self.out.actions.iter().find_map(|action| match action {
            Action::Dial { attempt, .. } => Some(*attempt),
            _ => None,
        });
        let attempt: AttemptId = attempt.expect("the call is sent up");
        self.feed(call, Input::Connected(attempt), &call.body);
        let mut response = std::mem::take(&mut self.response);
        read::response(&call.answer_head, Method::Post, &limits, &mut response).expect("a good head");
        let view = ResponseView {
            head: &response,
            buf: &call.answer_head,
        };
        self.feed(call, Input::UpstreamHead(attempt, view), &call.body);
        self.response = response;
        for bytes in &call.answer_body {
            self.feed(call, Input::UpstreamBody(attempt, bytes), &call.body);
        }
        self.feed(call, Input::UpstreamEnd(attempt), &call.body);
        assert!(self.out.actions.contains(&Action::End), "{:?}", self.out.actions);
        assert!(self.exchange.record().usage.is_some());
    }

    fn feed(&mut self, call: &Call, input: Input<'_>, body: &[u8]) {
        self.out.clear();
        let request = RequestView {
            head: &self.request,
            buf: &call.head,
        };
        let (now, unix_ms, ready) = (Tick(2), 1_767_225_600_000, true);
        let mut io = Io {
            now,
            unix_ms,
            ready,
            request,
            body,
            local: &mut self.local,
            out: &mut self.out,
        };
        self.exchange.feed(black_box(input), &mut io);
    }
}
