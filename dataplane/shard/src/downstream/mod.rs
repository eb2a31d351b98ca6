//! Connections from clients: what each is doing and what it holds. An idle one holds no buffer.

pub mod end;
pub mod read;
pub mod upload;
pub mod write;

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    rc::Rc,
};

use tollgate_engine::{Exchange, Tick, outputs::AttemptId};
use tollgate_wire::{
    head::{Framing, RequestHead},
    http1::chunked,
};

use crate::{
    shard::slab::Id,
    spool::Opened,
    sys::{OnSent, SendName},
    tls::session::TlsSession,
};
use upload::Upload;

/// What a client may send ahead of its turn before we stop reading it.
pub const MAX_AHEAD_BYTES: usize = 64 * 1024;
/// What waits for a slow client before its upstream is no longer read.
pub const HIGH_WATER_BYTES: usize = 128 * 1024;
/// Below this the upstream is read again.
pub const LOW_WATER_BYTES: usize = 32 * 1024;

/// Where a connection is between two requests or within one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The PROXY protocol header is awaited.
    Preamble,
    /// Nothing of a request has come.
    Idle,
    Head,
    Body,
    /// The exchange has its request.
    Busy,
    /// The last answer is on its way out or gone; what still comes in is thrown away until the client closes.
    Closing,
}

pub struct Down {
    pub socket: OwnedFd,
    /// The TCP peer.
    pub peer: SocketAddr,
    /// The client, as the PROXY protocol says.
    pub client: SocketAddr,
    pub listener: Rc<str>,
    pub phase: Phase,
    pub tls: Option<Box<TlsSession>>,
    pub active: Option<Box<Active>>,
    /// Bytes for the client, in plaintext, that no send carries yet.
    pub out: Vec<u8>,
    /// The send under way and how many bytes it carries.
    pub sending: Option<(SendName, usize)>,
    pub receiving: bool,
    /// The receive that is armed takes one buffer.
    pub receiving_once: bool,
    /// A receive is being stopped; it may be armed again when that is done.
    pub stopping: bool,
    /// In the list of connections to flush at the end of this turn.
    pub dirty: bool,
    /// When the phase must have moved on; the exchange has deadlines of its own.
    pub deadline: Option<Tick>,
    /// When the wheel will look at it next.
    pub armed_at: Option<Tick>,
    /// Close once everything is written.
    pub close_when_flushed: bool,
    /// What is to go out waits until this record is on the disk.
    pub held_until: Option<u64>,
    /// Close without a proper end, so that the client sees a reset.
    pub reset: bool,
    /// The half-close has been sent.
    pub lingering: bool,
}

/// What a connection holds while it has a request: pooled per shard, given back when it goes idle.
#[derive(Default)]
pub struct Active {
    pub exchange: Exchange,
    pub head: RequestHead,
    /// Head, body and what came after them. Shared with sends of a large body, which is why it is an `Rc`.
    pub input: Rc<Vec<u8>>,
    /// A chunked body, decoded.
    pub decoded: Rc<Vec<u8>>,
    pub decoder: chunked::Decoder,
    /// Bytes of `input` the request takes; known when the body is whole.
    pub request_len: usize,
    /// Bytes of `input` already decoded (chunked bodies).
    pub decoded_upto: usize,
    pub max_body_bytes: u64,
    pub body_whole: bool,
    /// The body passes without being held whole.
    pub upload: Option<Box<Upload>>,
    /// What came for later requests while this one ran.
    pub ahead: Vec<u8>,
    pub attempts: Vec<(AttemptId, Id)>,
    /// It goes to a provider, and its usage is recorded.
    pub opened: Option<Opened>,
    /// Its record, where that must be on the disk before the answer has gone out.
    pub durable_at: Option<u64>,
    /// The provider is not read because the client is slow.
    pub paused: bool,
    pub reply: Reply,
    /// The client's address, as trusted proxies say.
    pub client: Option<IpAddr>,
    pub started: Tick,
}

/// The answer under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub begun: bool,
    pub chunked: bool,
    /// HTTP/1.0 clients get bodies of unknown length until close.
    pub until_close: bool,
    /// Bytes still owed under `content-length`.
    pub owed: Option<u64>,
    pub close: bool,
}

/// Buffers beyond this are not kept for the next request.
const KEEP_CAPACITY_BYTES: usize = 64 * 1024;

/// A buffer nobody else reads, emptied; a new one when a send still holds it or it has grown large.
pub fn fresh(buffer: &mut Rc<Vec<u8>>) -> &mut Vec<u8> {
    let keep = Rc::get_mut(buffer).is_some_and(|bytes| {
        bytes.clear();
        bytes.capacity() <= KEEP_CAPACITY_BYTES
    });
    if !keep {
        *buffer = Rc::default();
    }
    Rc::make_mut(buffer)
}

impl Active {
    /// Sets aside what follows the request: it belongs to the next one.
    pub fn split_ahead(&mut self) {
        if self.input.len() > self.request_len {
            self.ahead = Rc::make_mut(&mut self.input).split_off(self.request_len);
        }
    }

    /// Answered before anybody asked for the body: one that has come already is passed over, and the connection goes on behind
    /// it.
    pub fn pass_body(&mut self) {
        let Framing::Length(length) = self.head.framing else {
            return;
        };
        let whole = usize::try_from(length).map_or(usize::MAX, |length| self.head.len.saturating_add(length));
        if !self.body_whole && self.upload.is_none() && self.input.len() >= whole {
            (self.request_len, self.body_whole) = (whole, true);
            self.split_ahead();
        }
    }

    /// It grew for a request beyond what is kept.
    pub fn is_large(&self) -> bool {
        self.input.capacity().max(self.decoded.capacity()) > KEEP_CAPACITY_BYTES
    }

    /// Ready for another request; allocations stay.
    pub fn reset(&mut self) {
        fresh(&mut self.input);
        fresh(&mut self.decoded);
        self.exchange.rest();
        self.decoder = chunked::Decoder::default();
        self.request_len = 0;
        self.decoded_upto = 0;
        self.max_body_bytes = 0;
        self.body_whole = false;
        self.upload = None;
        self.ahead.clear();
        self.attempts.clear();
        self.durable_at = None;
        self.paused = false;
        self.reply = Reply::default();
    }
}

impl Down {
    pub fn new(socket: OwnedFd, peer: SocketAddr, listener: Rc<str>) -> Self {
        Self {
            socket,
            peer,
            client: peer,
            listener,
            phase: Phase::Idle,
            tls: None,
            active: None,
            out: Vec::new(),
            sending: None,
            receiving: false,
            receiving_once: false,
            stopping: false,
            dirty: false,
            deadline: None,
            armed_at: None,
            close_when_flushed: false,
            held_until: None,
            reset: false,
            lingering: false,
        }
    }

    /// The client is gone, and its call goes on for others.
    pub fn is_outlived(&self) -> bool {
        self.reset && self.phase == Phase::Busy && self.active.is_some()
    }

    /// Bytes that came ahead of their turn.
    pub fn waiting_bytes(&self) -> usize {
        let queued = |active: &Active| match self.phase {
            Phase::Idle => active.input.len(),
            _ => active.ahead.len(),
        };
        self.active.as_deref().map_or(0, queued)
    }

    /// A body passes, and its end has not come.
    pub fn uploads(&self) -> bool {
        self.active
            .as_deref()
            .is_some_and(|active| active.upload.is_some() && !active.body_whole)
    }

    /// Its client is to wait with the rest of a body.
    pub fn upload_paused(&self) -> bool {
        let upload = self.active.as_deref().and_then(|active| active.upload.as_deref());
        upload.is_some_and(|upload| upload.paused)
    }

    /// A request is being read or answered.
    pub fn in_flight(&self) -> bool {
        matches!(self.phase, Phase::Head | Phase::Body | Phase::Busy)
    }

    /// Bytes that wait for the client.
    pub fn pending_bytes(&self) -> usize {
        self.out.len() + self.sending.map_or(0, |(_, bytes)| bytes)
    }

    /// What the end of a send begun now leads to.
    pub fn on_sent(&self) -> OnSent {
        let pipelined = self.phase == Phase::Idle && self.active.is_some();
        let paused = self.active.as_deref().is_some_and(|active| active.paused);
        match self.close_when_flushed || pipelined || paused {
            true => OnSent::Act,
            false => OnSent::Nothing,
        }
    }

    /// The earliest of the phase's and the exchange's deadlines.
    pub fn next_deadline(&self) -> Option<Tick> {
        let active = self.active.as_deref().filter(|_| self.in_flight());
        let exchange = active.and_then(|active| match active.paused {
            // The provider is not to blame for a pause.
            true => active.exchange.firm_deadline(),
            false => active.exchange.deadline(),
        });
        [self.deadline, exchange].into_iter().flatten().min()
    }
}
