//! Drives one exchange by hand: requests and answers as text, what was asked of the shell as text again.

#![allow(dead_code, reason = "each test file uses its part of the rig")]

pub mod kept;
pub mod near;
pub mod streams;

use std::{rc::Rc, sync::Arc};

use serde_json::{Value, json};
use tollgate_config::{
    Document, catalogue,
    document::{Auth, BaseUrl, Connections, Dialect, Key, KeySecret, Model, Provider, Retry, Target, Timeouts},
    prices::{Builder, Class, Entry, PriceList, ServiceTier},
};
use tollgate_engine::{
    Action, Exchange, Input, Io, Local, Outputs, Peer, Piece, Tick,
    exchange::{Pinned, UpstreamFault},
    identity::KeyTable,
    outputs::{AttemptId, ReplyFraming, Rest},
    snapshot::{self, Secrets},
};
use tollgate_wire::{
    head::{Framing, Method, RequestHead, RequestView, ResponseHead, ResponseView},
    http1::read::{self, Limits, Progress},
};

pub const NOW_UNIX_MS: u64 = 1_800_000_000_000;

pub fn provider(name: &str, dialect: Dialect) -> (String, Provider) {
    let provider = Provider {
        row: catalogue::bare(dialect),
        dialect,
        paths: catalogue::Paths::of(dialect),
        also: Vec::new(),
        base_url: BaseUrl {
            tls: false,
            host: format!("{name}.test"),
            port: 8000,
            prefix: "/v1".into(),
        },
        auth: if dialect == Dialect::Anthropic {
            Auth::XApiKey
        } else {
            Auth::Bearer
        },
        credentials: vec![env(&format!("KEY_{name}"))],
        proxy: None,
        timeouts: Timeouts::default(),
        connections: Connections::default(),
        tls: Default::default(),
        may_ask_stream_usage: dialect == Dialect::OpenAi,
        headers: Vec::new(),
        prices: Default::default(),
        grants: Vec::new(),
        limits: Vec::new(),
        residency: None,
        check: None,
    };
    (name.into(), provider)
}

pub fn env(name: &str) -> tollgate_config::document::Reference {
    tollgate_config::document::Reference::Env(name.into())
}

pub fn model(name: &str, targets: &[(&str, &str)]) -> (String, Model) {
    let target = |(provider, model): &(&str, &str)| Target {
        provider: (*provider).into(),
        model: (*model).into(),
        ..Target::default()
    };
    (
        name.into(),
        Model {
            targets: targets.iter().map(target).collect(),
            // Each target once: tests of further tries say so themselves.
            retry: Retry {
                attempts: targets.len() as u32,
                ..Retry::default()
            },
            ..Model::default()
        },
    )
}

pub fn key(name: &str, models: &[&str]) -> (String, Key) {
    let key = Key {
        secret: KeySecret::Reference(env(&format!("SECRET_{name}"))),
        team: Some("research".into()),
        user: None,
        models: models.iter().map(|model| model.to_string()).collect(),
        expires_unix_s: None,
        loopback_only: false,
        pass_through: false,
        batches: false,
        residency: Vec::new(),
        explain: false,
        limits: Vec::new(),
        priority: Default::default(),
    };
    (name.into(), key)
}

/// Two OpenAI providers, one Anthropic; a key `secret-all` for everything and `secret-few` for `gpt` alone.
pub fn document() -> Document {
    Document {
        max_body_bytes: 1024 * 1024,
        providers: vec![
            provider("one", Dialect::OpenAi),
            provider("two", Dialect::OpenAi),
            provider("claude", Dialect::Anthropic),
        ],
        models: vec![
            model("gpt", &[("one", "gpt-real"), ("two", "gpt-spare")]),
            model("same", &[("one", "same")]),
            model("one/*", &[("one", "*")]),
            model("sonnet", &[("claude", "claude-sonnet")]),
        ],
        keys: vec![key("all", &[]), key("few", &["gpt"])],
        ..Document::default()
    }
}

/// One price for each class of each tier, whatever the model: pico-dollars for each token.
pub fn price_list(prices: &[(ServiceTier, Class, u64)]) -> PriceList {
    let mut builder = Builder::default();
    for &(tier, class, picos) in prices {
        builder.set(0, tier, class, picos);
    }
    let prices = builder.build().expect("input has a price");
    let entry = Entry {
        patterns: vec![("*".into(), Arc::new(prices))],
        ..Entry::default()
    };
    PriceList { entries: vec![entry] }
}

/// A provider for each dialect, and a model that is named like it; the key for everything.
pub fn six() -> Document {
    let mut document = document();
    document.providers.clear();
    document.models.clear();
    for dialect in Dialect::ALL {
        let name = dialect.name();
        document.providers.push(provider(name, dialect));
        document.models.push(model(name, &[(name, "real-model")]));
    }
    document.keys.retain(|(name, _)| name == "all");
    document
}

pub fn secrets(document: &Document) -> Secrets {
    let named = |(reference, _): (tollgate_config::document::Reference, String)| {
        let tollgate_config::document::Reference::Env(name) = &reference else {
            panic!("the rig has no files")
        };
        let secret = match name.strip_prefix("SECRET_") {
            Some(key) => format!("secret-{key}"),
            None => format!("credential-{name}\n"),
        };
        (reference, secret.into_bytes())
    };
    snapshot::references(document).into_iter().map(named).collect()
}

/// What the shell was asked to do, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    ReadBody,
    ReadPart,
    Dial {
        attempt: u16,
        provider: String,
        fresh: bool,
    },
    SendUp {
        attempt: u16,
        head: String,
        body: String,
        rest: Rest,
    },
    PassUp {
        attempt: u16,
        body: String,
    },
    EndUp {
        attempt: u16,
    },
    Abandon {
        attempt: u16,
    },
    RenewToken {
        id: u64,
    },
    Summarize,
    Compare,
    Shadow {
        model: u32,
    },
    Leave {
        attempt: u16,
    },
    Turn(u64),
    Head {
        status: u16,
        lines: String,
        framing: ReplyFraming,
    },
    Body(String),
    End,
    Cut,
    Settle,
}

pub struct Rig {
    pub exchange: Exchange,
    pub pinned: Rc<Pinned>,
    pub out: Outputs,
    pub local: Local,
    pub now: Tick,
    pub ready: bool,
    pub loopback: bool,
    pub listener: Option<usize>,
    head: RequestHead,
    buf: Vec<u8>,
    body: Vec<u8>,
}

impl Rig {
    pub fn new(document: Document) -> Rig {
        let secrets = secrets(&document);
        Rig::with_secrets(document, &secrets)
    }

    pub fn with_secrets(document: Document, secrets: &Secrets) -> Rig {
        let keys = KeyTable::build(&document, secrets, &[]).expect("keys");
        let snapshot = snapshot::compile(1, document, secrets).expect("a valid document");
        Rig::sharing(Rc::new(Pinned {
            snapshot: Arc::new(snapshot),
            keys: Arc::new(keys),
        }))
    }

    /// A further exchange under the same snapshot.
    pub fn sharing(pinned: Rc<Pinned>) -> Rig {
        Rig {
            exchange: Exchange::default(),
            pinned,
            out: Outputs::default(),
            local: Local {
                seed: 7,
                ..Local::default()
            },
            now: Tick(1_000_000),
            ready: true,
            loopback: true,
            listener: None,
            head: RequestHead::default(),
            buf: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Begins with a whole request and feeds its body when asked.
    pub fn request(&mut self, head: &str, body: &[u8]) -> Vec<Did> {
        self.begin(head, body);
        let mut did = self.feed(Input::Head);
        if did == [Did::ReadBody] {
            did = self.feed(Input::Body);
        }
        did
    }

    pub fn begin(&mut self, head: &str, body: &[u8]) {
        let length = format!("content-length: {}\r\n", body.len());
        let length = if body.is_empty() || head.contains("content-length") || head.contains("transfer-encoding") {
            ""
        } else {
            &length
        };
        let mut text = head.replace('\n', "\r\n");
        text += length;
        text += "\r\n";
        self.buf = text.into_bytes();
        self.body = body.to_vec();
        let progress = read::request(&self.buf, &Limits::default(), &mut self.head).expect("a valid head");
        assert_eq!(progress, Progress::Complete);
        let peer = Peer {
            address: [192, 0, 2, 1].into(),
            loopback: self.loopback,
            listener: self.listener,
        };
        self.exchange.begin(self.pinned.clone(), peer, self.now);
    }

    /// What of the body is there by now.
    pub fn set_body(&mut self, body: &[u8]) {
        self.body = body.to_vec();
    }

    /// A chat call with the key for everything.
    pub fn chat(&mut self, body: &str) -> Vec<Did> {
        let head = "POST /v1/chat/completions HTTP/1.1\nhost: gate\nauthorization: Bearer secret-all\ncontent-type: \
                    application/json\n";
        self.request(head, body.as_bytes())
    }

    pub fn messages(&mut self, body: &str) -> Vec<Did> {
        let head = "POST /v1/messages HTTP/1.1\nhost: gate\nx-api-key: secret-all\nanthropic-version: 2023-06-01\n";
        self.request(head, body.as_bytes())
    }

    pub fn get(&mut self, path: &str, more: &str) -> Vec<Did> {
        self.request(&format!("GET {path} HTTP/1.1\nhost: gate\n{more}"), b"")
    }

    pub fn connected(&mut self, attempt: u16) -> Vec<Did> {
        self.feed(Input::Connected(AttemptId(attempt)))
    }

    pub fn failed(&mut self, attempt: u16, fault: UpstreamFault) -> Vec<Did> {
        self.feed(Input::UpstreamFailed(AttemptId(attempt), fault))
    }

    /// An answer's head, given as text without the empty line.
    pub fn answer(&mut self, attempt: u16, head: &str) -> Vec<Did> {
        let text = head.replace('\n', "\r\n") + "\r\n";
        let mut head = ResponseHead::default();
        read::response(text.as_bytes(), Method::Post, &Limits::default(), &mut head).expect("a valid head");
        if head.framing == Framing::UntilClose {
            head.keep_alive = false;
        }
        let view = ResponseView {
            head: &head,
            buf: text.as_bytes(),
        };
        self.feed(Input::UpstreamHead(AttemptId(attempt), view))
    }

    pub fn body(&mut self, attempt: u16, bytes: &str) -> Vec<Did> {
        self.feed(Input::UpstreamBody(AttemptId(attempt), bytes.as_bytes()))
    }

    pub fn end(&mut self, attempt: u16) -> Vec<Did> {
        self.feed(Input::UpstreamEnd(AttemptId(attempt)))
    }

    /// A whole answer in JSON of the first attempt, which is connected.
    pub fn whole_answer(&mut self, status: u16, body: &str) -> Vec<Did> {
        let head = format!(
            "HTTP/1.1 {status} X\ncontent-type: application/json\nx-request-id: theirs\ncontent-length: {}\n",
            body.len()
        );
        let mut did = self.answer(1, &head);
        did.extend(self.body(1, body));
        did.extend(self.end(1));
        did
    }

    /// Lets time pass until the deadline and fires it.
    pub fn expire(&mut self) -> Vec<Did> {
        self.now = self.exchange.deadline().expect("something is waited for");
        self.feed(Input::Timer)
    }

    pub fn feed(&mut self, input: Input<'_>) -> Vec<Did> {
        let data = match &input {
            Input::UpstreamBody(_, data) | Input::BodyPassing(data) => data.to_vec(),
            _ => Vec::new(),
        };
        let has_body = !matches!(input, Input::Head);
        self.with(&data, has_body, |exchange, io| exchange.feed(input, io))
    }

    /// The exchange's code fails with the next input, and the shell gives it up.
    pub fn panic(&mut self) -> Vec<Did> {
        // Nobody asked for a body.
        let fed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.feed(Input::Body)));
        assert!(fed.is_err(), "it did not panic");
        self.abandon()
    }

    pub fn abandon(&mut self) -> Vec<Did> {
        self.with(&[], true, Exchange::abandon)
    }

    fn with(&mut self, data: &[u8], has_body: bool, work: impl FnOnce(&mut Exchange, &mut Io<'_>)) -> Vec<Did> {
        self.out.clear();
        let body = if has_body { &self.body[..] } else { &[] };
        let mut io = Io {
            now: self.now,
            unix_ms: NOW_UNIX_MS,
            ready: self.ready,
            request: RequestView {
                head: &self.head,
                buf: &self.buf,
            },
            body,
            local: &mut self.local,
            out: &mut self.out,
        };
        work(&mut self.exchange, &mut io);
        self.out.actions.iter().map(|action| self.did(action, data)).collect()
    }

    fn did(&self, action: &Action, data: &[u8]) -> Did {
        let text = |range: &std::ops::Range<u32>| {
            String::from_utf8_lossy(&self.out.arena[range.start as usize..range.end as usize]).into_owned()
        };
        let pieces = |range: &std::ops::Range<u32>| {
            let mut all = Vec::new();
            for piece in &self.out.pieces[range.start as usize..range.end as usize] {
                all.extend_from_slice(match piece {
                    Piece::Arena(r) => &self.out.arena[r.start as usize..r.end as usize],
                    Piece::RequestBody(r) => &self.body[r.start as usize..r.end as usize],
                    Piece::Input(r) => &data[r.start as usize..r.end as usize],
                });
            }
            String::from_utf8_lossy(&all).into_owned()
        };
        match action {
            Action::ReadBody { .. } => Did::ReadBody,
            Action::ReadPart { .. } => Did::ReadPart,
            Action::Dial {
                attempt,
                endpoint,
                fresh,
            } => {
                let provider = self.pinned.snapshot.endpoints[endpoint.0 as usize].provider.clone();
                Did::Dial {
                    attempt: attempt.0,
                    provider,
                    fresh: *fresh,
                }
            }
            Action::SendUp {
                attempt,
                lines,
                pieces: body,
                rest,
            } => Did::SendUp {
                attempt: attempt.0,
                head: text(lines),
                body: pieces(body),
                rest: *rest,
            },
            Action::PassUp { attempt, pieces: body } => Did::PassUp {
                attempt: attempt.0,
                body: pieces(body),
            },
            Action::EndUp { attempt } => Did::EndUp { attempt: attempt.0 },
            Action::Abandon { attempt } => Did::Abandon { attempt: attempt.0 },
            Action::RenewToken { id } => Did::RenewToken { id: *id },
            Action::Shadow { model } => Did::Shadow { model: *model },
            Action::Compare => Did::Compare,
            Action::Summarize => Did::Summarize,
            Action::Leave { attempt } => Did::Leave { attempt: attempt.0 },
            Action::Turn { of } => Did::Turn(*of),
            Action::Head { status, lines, framing } => Did::Head {
                status: *status,
                lines: text(lines),
                framing: *framing,
            },
            Action::Body { pieces: body } => Did::Body(pieces(body)),
            Action::End => Did::End,
            Action::Cut => Did::Cut,
            Action::Settle => Did::Settle,
        }
    }
}

/// The only `Head`'s status and lines, and all body bytes.
pub fn reply(did: &[Did]) -> (u16, String, String) {
    let head = did.iter().find_map(|did| match did {
        Did::Head { status, lines, .. } => Some((*status, lines.clone())),
        _ => None,
    });
    let (status, lines) = head.unwrap_or_else(|| panic!("no head in {did:?}"));
    (status, lines, body_of(did))
}

pub fn body_of(did: &[Did]) -> String {
    let bodies = did.iter().filter_map(|did| match did {
        Did::Body(text) => Some(text.as_str()),
        _ => None,
    });
    bodies.collect()
}

/// The request that went up: head and body.
pub fn sent(did: &[Did]) -> (String, String) {
    did.iter()
        .find_map(|did| match did {
            Did::SendUp { head, body, .. } => Some((head.clone(), body.clone())),
            _ => None,
        })
        .unwrap_or_else(|| panic!("nothing sent in {did:?}"))
}

/// The turns of a chat that was sent to OpenAI.
pub fn sent_messages(did: &[Did]) -> Vec<Value> {
    let (_, body) = sent(did);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    body["messages"].as_array().expect("turns").clone()
}

/// As OpenAI answers a chat.
pub fn chat_answer(text: &str, reason: &str) -> String {
    json!({ "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": reason }],
        "usage": { "prompt_tokens": 900, "completion_tokens": 30, "total_tokens": 930 } })
    .to_string()
}

/// The value of a header in lines.
pub fn header<'a>(lines: &'a str, name: &str) -> Option<&'a str> {
    lines
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

pub fn dialled(did: &[Did]) -> Vec<(String, bool)> {
    let dials = did.iter().filter_map(|did| match did {
        Did::Dial { provider, fresh, .. } => Some((provider.clone(), *fresh)),
        _ => None,
    });
    dials.collect()
}
