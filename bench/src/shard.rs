//! What a shard does with a call between its sockets: the engine fed as the data plane feeds it, and nothing sent.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use tollgate_engine::{
    Action, Answers, Exchange, Input, Io, Local, Outputs, Peer, Tick, exchange::Pinned, outputs::AttemptId,
};
use tollgate_wire::{
    head::{Method, RequestHead, RequestView, ResponseHead, ResponseView},
    http1::read,
};

use crate::{
    call::{Answer, Call},
    gateway::Gateway,
    kept::answers,
    latency::Latency,
};

/// What a shard keeps between calls of one connection.
pub struct Shard {
    pinned: Rc<Pinned>,
    exchange: Exchange,
    local: Local,
    out: Outputs,
    request: RequestHead,
    response: ResponseHead,
    total: Latency,
    gateway: Latency,
}

impl Shard {
    pub fn new(gateway: &Gateway) -> Self {
        Self {
            pinned: Rc::new(gateway.pinned()),
            exchange: Exchange::default(),
            local: Local {
                seed: 7,
                answers: Some(answers()),
                ..Local::default()
            },
            out: Outputs::default(),
            request: RequestHead::default(),
            response: ResponseHead::default(),
            total: Latency::default(),
            gateway: Latency::default(),
        }
    }

    /// With answers of its own choosing.
    pub(crate) fn keeping(gateway: &Gateway, answers: Answers) -> Self {
        let mut shard = Self::new(gateway);
        shard.local.answers = Some(answers);
        shard
    }

    /// The whole call, timed into the shard's histograms; panics unless it ended as it should.
    pub fn run(&mut self, call: &Call) {
        let limits = read::Limits::default();
        read::request(&call.head, &limits, &mut self.request).expect("a good head");
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let peer = Peer {
            address: loopback,
            loopback: true,
            listener: Some(0),
        };
        self.exchange.begin(self.pinned.clone(), peer, Tick(1));
        self.feed(call, Input::Head, b"");
        if !call.body.is_empty() {
            self.feed(call, Input::Body, &call.body);
        }
        if let Some(answer) = &call.answer {
            self.answered(call, answer, &limits);
        }
        assert!(self.out.actions.contains(&Action::End), "{:?}", self.out.actions);
        let record = self.exchange.record();
        assert_eq!(
            (record.status, record.usage.is_some()),
            (call.status, call.answer.is_some())
        );
        self.total.record(record.total_ns);
        self.gateway.record(record.gateway_ns);
    }

    fn answered(&mut self, call: &Call, answer: &Answer, limits: &read::Limits) {
        let attempt = self.out.actions.iter().find_map(|action| match action {
            Action::Dial { attempt, .. } => Some(*attempt),
            _ => None,
        });
        let attempt: AttemptId = attempt.expect("the call is sent up");
        self.feed(call, Input::Connected(attempt), &call.body);
        let mut response = std::mem::take(&mut self.response);
        read::response(&answer.head, Method::Post, limits, &mut response).expect("a good head");
        let view = ResponseView {
            head: &response,
            buf: &answer.head,
        };
        self.feed(call, Input::UpstreamHead(attempt, view), &call.body);
        self.response = response;
        for bytes in &answer.reads {
            self.feed(call, Input::UpstreamBody(attempt, bytes), &call.body);
        }
        if self.out.actions.contains(&Action::End) {
            // A translated stream ends with the provider's last event, whatever its framing still says.
            return;
        }
        self.feed(call, Input::UpstreamEnd(attempt), &call.body);
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
