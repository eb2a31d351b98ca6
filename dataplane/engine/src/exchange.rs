//! One request's life: fed inputs, yields actions, never waits.

use std::{net::IpAddr, rc::Rc, sync::Arc};

use tollgate_wire::head::{RequestView, ResponseView};
use tollgate_wire::http1::read::BadHead;

use crate::{
    Snapshot, Tick,
    identity::KeyTable,
    outputs::{AttemptId, Outputs},
    record::{AttemptOutcome, Record},
};

/// What a shard pins for the life of an exchange. An `Rc` so that pinning writes no cache line another shard reads.
#[derive(Clone, Debug)]
pub struct Pinned {
    pub snapshot: Arc<Snapshot>,
    pub keys: Arc<KeyTable>,
}

/// Who is at the other end of the downstream connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The client's address, PROXY protocol and trusted `X-Forwarded-For` already applied by the shell.
    pub address: IpAddr,
    /// The TCP peer itself is loopback.
    pub loopback: bool,
    /// Index into `document.listeners` of the pinned snapshot; `None` when that listener is no longer configured.
    pub listener: Option<usize>,
}

/// The shard's own mutable state that exchanges use.
#[derive(Debug)]
pub struct Local {
    /// Request ids are (seed, sequence): seeded once per boot and shard.
    pub seed: u64,
    pub sequence: u64,
}

/// What every feed is given.
pub struct Io<'a> {
    pub now: Tick,
    /// Wall clock, for expiry and dates.
    pub unix_ms: u64,
    /// False while draining or before a snapshot is loaded: `/readyz` answers 503.
    pub ready: bool,
    /// The request's head; valid from `Input::Head` to the end of the exchange.
    pub request: RequestView<'a>,
    /// The decoded request body; whole from `Input::Body` on, empty before.
    pub body: &'a [u8],
    pub local: &'a mut Local,
    pub out: &'a mut Outputs,
}

/// What happened.
pub enum Input<'a> {
    /// The request's head is in `Io::request`.
    Head,
    /// Instead of `Head`: bytes that are no request. `Io::request` means nothing.
    BadHead(BadHead),
    /// The body asked for by `ReadBody` is whole, in `Io::body`.
    Body,
    /// The body asked for could not be read.
    ClientFault(ClientFault),
    /// The connection asked for by `Dial` stands.
    Connected(AttemptId),
    /// A final response's head (its body, if any, follows).
    UpstreamHead(AttemptId, ResponseView<'a>),
    /// Decoded body bytes.
    UpstreamBody(AttemptId, &'a [u8]),
    /// The response is complete by its framing.
    UpstreamEnd(AttemptId),
    /// The attempt failed; no further input for it.
    UpstreamFailed(AttemptId, UpstreamFault),
    /// `Exchange::deadline` has come.
    Timer,
    /// The client closed or reset its connection.
    ClientGone,
    /// The shell could not go on (a panic was caught, buffers ran out): end it.
    Internal(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFault {
    TooLarge,
    BadFraming(&'static str),
    Timeout,
    /// `content-encoding` that does not decode, or decodes to more than allowed.
    BadEncoding(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFault {
    /// The name did not resolve.
    Resolve,
    /// Refused, unreachable, out of descriptors or ports.
    Connect,
    /// TLS to it failed; the reason is for the operator.
    Tls(&'static str),
    /// The HTTP proxy refused CONNECT with this status (0: no sensible answer).
    Proxy(u16),
    /// Closed or reset before the first byte of an answer. `reused`: the connection came from the pool.
    Closed { reused: bool },
    /// Closed, reset or cut after the first byte.
    Cut,
    /// Framing or a head that wire refuses.
    BadAnswer(&'static str),
}

/// One request's life. Kept with its connection and begun again for each request, so that its allocations are reused.
#[derive(Debug, Default)]
pub struct Exchange {}

impl Exchange {
    /// Begins anew. `started` is when the request's first byte arrived.
    pub fn begin(&mut self, pinned: Rc<Pinned>, peer: Peer, started: Tick) {
        let _ = (pinned, peer, started);
        todo!()
    }

    /// Feeds one input; what is to be done is appended to `io.out` (the shell cleared it).
    /// After `End` or `Cut` the exchange takes no input but `begin`.
    pub fn feed(&mut self, input: Input<'_>, io: &mut Io<'_>) {
        let _ = (input, io);
        todo!()
    }

    /// When `Input::Timer` is due; the earliest of all that runs. Read after each feed.
    pub fn deadline(&self) -> Option<Tick> {
        todo!()
    }

    /// What is known; final once `Settle` was yielded.
    pub fn record(&self) -> Record<'_> {
        todo!()
    }

    /// Provider index and outcome of each attempt so far, in order.
    pub fn attempts(&self) -> impl Iterator<Item = (usize, AttemptOutcome)> + '_ {
        std::iter::empty()
    }
}
