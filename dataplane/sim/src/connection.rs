//! One simulated client connection: its exchange, what it asked, what its provider does, what it has received.

use std::rc::Rc;

use tollgate_engine::{
    Action, Exchange, Input, Io, Local, Outputs, Peer, Tick,
    exchange::Pinned,
    outputs::{AttemptId, ReplyFraming},
    record::Outcome,
};
use tollgate_wire::{
    head::{RequestHead, RequestView},
    http1::read::{self, Limits},
};

use crate::{
    answer::{Answer, Last},
    call::Call,
    check::{self, Received, Upstream},
    gateway,
};

/// The largest piece of an answer that is fed at once.
const MAX_PIECE_BYTES: usize = 128 * 1024;

pub(crate) struct Connection {
    pub exchange: Exchange,
    pub call: Call,
    head: RequestHead,
    pub received: Received,
    pub upstream: Option<Upstream>,
    /// The dial under way came with `fresh`.
    pub fresh: bool,
    /// The provider dialled last.
    pub provider: usize,
    pub answer: Option<Box<Answer>>,
    /// Bytes of the answer fed.
    pub passed: usize,
    /// The answer was fed to its end.
    pub whole: bool,
    started: Tick,
    pub body_whole: bool,
    pub left: bool,
    /// The shell reported a bug of its own.
    pub bug: bool,
}

/// What an exchange wants of the world.
pub(crate) enum Want {
    Body,
    Dial {
        attempt: AttemptId,
    },
    Answer {
        attempt: AttemptId,
    },
    /// It is over.
    Over,
}

impl Connection {
    pub fn new(call: Call) -> Connection {
        Connection {
            exchange: Exchange::default(),
            call,
            head: RequestHead::default(),
            received: Received::default(),
            upstream: None,
            fresh: false,
            provider: 0,
            answer: None,
            passed: 0,
            whole: false,
            started: Tick(0),
            body_whole: false,
            left: false,
            bug: false,
        }
    }

    /// Begins the next request on the same exchange.
    pub fn begin(&mut self, call: Call, pinned: Rc<Pinned>, now: Tick) {
        let exchange = std::mem::take(&mut self.exchange);
        *self = Connection {
            exchange,
            started: now,
            ..Connection::new(call)
        };
        read::request(&self.call.head, &Limits::default(), &mut self.head).expect("a valid head");
        let peer = Peer {
            address: [127, 0, 0, 1].into(),
            loopback: true,
            listener: None,
        };
        self.exchange.begin(pinned, peer, now);
    }

    /// Feeds one input and checks all that comes of it.
    pub fn feed(
        &mut self,
        input: Input<'_>,
        now: Tick,
        local: &mut Local,
        out: &mut Outputs,
        pinned: &Pinned,
    ) -> Vec<Want> {
        out.clear();
        let data = match &input {
            Input::UpstreamBody(_, data) => *data,
            _ => &[],
        };
        let mut io = Io {
            now,
            unix_ms: 1_800_000_000_000,
            ready: true,
            request: RequestView {
                head: &self.head,
                buf: &self.call.head,
            },
            body: if self.body_whole { &self.call.body } else { &[] },
            local,
            out,
        };
        self.exchange.feed(input, &mut io);
        let mut wants = Vec::new();
        for action in &out.actions {
            let bytes = |pieces: &_| check::resolve(out, pieces, &self.call.body, data);
            if let Action::SendUp { pieces, .. } = action {
                self.check_sent(&bytes(pieces), pinned);
            }
            check::apply(action, &mut self.received, &mut self.upstream, bytes);
            match action {
                Action::ReadBody { .. } => wants.push(Want::Body),
                Action::Dial {
                    attempt,
                    endpoint,
                    fresh,
                } => {
                    self.fresh = *fresh;
                    self.provider = endpoint.0 as usize;
                    wants.push(Want::Dial { attempt: *attempt });
                }
                Action::SendUp { attempt, .. } => wants.push(Want::Answer { attempt: *attempt }),
                Action::End | Action::Cut => wants.push(Want::Over),
                _ => {}
            }
        }
        self.check_now(now);
        wants
    }

    fn check_sent(&self, body: &[u8], pinned: &Pinned) {
        let document = &pinned.snapshot.document;
        let (name, provider) = &document.providers[self.provider];
        let models = document
            .models
            .iter()
            .flat_map(|(_, model)| &model.targets)
            .filter(|t| t.provider == *name);
        let may_ask = provider.may_ask_stream_usage;
        let fits = models
            .map(|target| self.call.body_upstream(&target.model, may_ask))
            .any(|fit| fit.as_bytes() == body);
        assert!(
            fits,
            "the request was changed on its way up: {}",
            String::from_utf8_lossy(body)
        );
    }

    /// Holds after every step.
    fn check_now(&self, now: Tick) {
        let limit = Exchange::max_held_bytes(gateway::MAX_BODY_BYTES, MAX_PIECE_BYTES);
        assert!(self.exchange.held_bytes() <= limit, "more held than allowed");
        let record = self.exchange.record();
        assert!(
            u32::from(record.attempts) <= gateway::ATTEMPTS,
            "more attempts than allowed"
        );
        if self.received.last.is_none() {
            let waits_for_body = !self.body_whole && self.upstream.is_none();
            let deadline = self.exchange.deadline();
            assert!(
                waits_for_body || deadline.is_some(),
                "it waits, and nothing will wake it"
            );
            self.check_relayed();
        } else {
            assert!(self.exchange.deadline().is_none(), "a deadline after the end");
            self.check_end(now);
        }
    }

    /// While an answer passes: exactly its whole events, or its bytes, have come out.
    fn check_relayed(&self) {
        let (Some(answer), Some(_)) = (&self.answer, self.received.status) else {
            return;
        };
        let visible = answer.visible_after(self.passed);
        assert!(
            self.received.body == answer.visible[..visible],
            "bytes changed, late or lost on their way down"
        );
    }

    fn check_end(&self, now: Tick) {
        let record = self.exchange.record();
        let ended = self.received.last == Some(Action::End);
        assert_eq!(record.total_ns, now.ns_since(self.started));
        assert!(record.gateway_ns <= record.total_ns);
        assert_eq!(record.response_body_bytes, self.received.body.len() as u64);
        assert_eq!(record.status, self.received.status.unwrap_or(499));
        assert_eq!(record.outcome == Outcome::ClientGone, self.left);
        let logged = self.exchange.attempts().count();
        assert!(logged <= 2 * gateway::ATTEMPTS as usize && logged >= usize::from(record.attempts > 0));
        if let Some(status) = self.call.refused_with {
            // 408: its body never came. 500: the simulated bug.
            assert!(self.left || [status, 408, 500].contains(&record.status));
        }
        match (
            &self.answer,
            self.received.status.is_some() && record.rejected.is_none(),
        ) {
            (Some(answer), true) => self.check_answer(answer, ended),
            _ if ended => assert!(record.rejected.is_some(), "an answer from nowhere"),
            _ => assert!(self.left, "cut without a reason"),
        }
    }

    /// The answer of a provider was passed on, to its end or not.
    fn check_answer(&self, answer: &Answer, ended: bool) {
        let record = self.exchange.record();
        assert_eq!(record.status, answer.status);
        if self.whole && !self.left {
            assert!(ended && record.outcome == Outcome::Complete);
            assert!(self.received.body == answer.visible, "an untouched answer was touched");
            let reported = record.usage.filter(|_| !record.estimated);
            assert_eq!(reported.and_then(|usage| usage.output), answer.tokens);
            return;
        }
        let visible = answer.visible_after(self.passed);
        let (passed, rest) = self.received.body.split_at(visible);
        assert!(passed == &answer.visible[..visible], "bytes changed before the break");
        if self.left {
            assert!(rest.is_empty() && !ended);
        } else if answer.is_events && self.received.framing == Some(ReplyFraming::Stream) {
            let word: &[u8] = if self.call.anthropic {
                b"event: error\ndata: {"
            } else {
                b"data: {\"error\":"
            };
            assert!(
                rest.starts_with(word) && rest.ends_with(b"}\n\n") && ended,
                "a broken stream must say so"
            );
        } else {
            assert!(rest.is_empty() && !ended, "a broken answer must be cut");
        }
        assert!(self.left || record.outcome == Outcome::Cut);
        assert!(
            self.left || self.may_break(answer),
            "an answer was given up without a reason"
        );
    }

    /// Is there a reason for this answer to end early?
    fn may_break(&self, answer: &Answer) -> bool {
        let longest_wait_ms = answer.pieces.iter().map(|(delay_ms, _)| *delay_ms).max().unwrap_or(0);
        let took_ms = self.exchange.record().total_ns / 1_000_000;
        answer.last != Last::Whole
            || longest_wait_ms >= gateway::TIMEOUTS.between_bytes_ms
            || took_ms >= gateway::TIMEOUTS.total_ms
            || self.call.hurries
            || self.bug
    }
}
