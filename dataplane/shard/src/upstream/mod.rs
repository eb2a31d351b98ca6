//! Connections to providers: dialling, CONNECT, TLS, the answer's framing, and the pool.

pub mod dial;
pub mod names;
pub mod pool;
pub mod read;
pub mod send;

use std::{net::IpAddr, os::fd::OwnedFd, rc::Rc, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tollgate_engine::{Tick, outputs::AttemptId};
use tollgate_wire::{head::ResponseHead, http1::chunked};

use crate::{
    shard::slab::Id,
    sys::{SendName, UnderWay},
    tls::session::TlsSession,
};

/// Where and how to reach one endpoint of the running snapshot.
pub struct Route {
    pub provider: String,
    pub pool: usize,
    pub host: String,
    pub port: u16,
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub proxy: Option<Proxy>,
    pub connect_ms: u64,
    pub idle_ms: u64,
}

/// An HTTP proxy on the way; it resolves the provider's name itself.
pub struct Proxy {
    pub host: String,
    pub port: u16,
    pub authorization: Option<Vec<u8>>,
}

impl Route {
    /// Whom to connect to first.
    pub fn hop(&self) -> (&str, u16) {
        self.proxy
            .as_ref()
            .map_or((&self.host, self.port), |proxy| (&proxy.host, proxy.port))
    }
}

pub enum Stage {
    /// Waiting for addresses.
    Resolving,
    Connecting {
        untried: Vec<IpAddr>,
    },
    /// CONNECT has been sent to the proxy.
    Tunnelling,
    Handshaking,
    /// A request may be sent, or has been.
    Open,
    /// The answer said all it had to; what is left of its framing is awaited.
    Trailing {
        left_bytes: usize,
    },
    Idle,
}

/// Where an exchange is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Client(Id),
    /// It has no client.
    Detached(Id),
}

/// Whose attempt a connection serves.
#[derive(Clone, Copy)]
pub struct Owner {
    pub whose: Whose,
    pub attempt: AttemptId,
}

/// What is left of an answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The head has not been read.
    Head,
    Length(u64),
    Chunked,
    UntilClose,
}

pub struct Up {
    pub socket: Option<OwnedFd>,
    pub route: Rc<Route>,
    pub stage: Stage,
    pub owner: Option<Owner>,
    /// It came from the pool for the request it serves.
    pub reused: bool,
    pub tls: Option<Box<TlsSession>>,
    /// Bytes of a head that has not come whole.
    pub input: Vec<u8>,
    pub head: Box<ResponseHead>,
    pub rest: Rest,
    pub decoder: chunked::Decoder,
    /// Plaintext or CONNECT bytes to send when the send under way has ended.
    pub out: Vec<u8>,
    pub sending: Option<SendName>,
    pub receiving: bool,
    pub stopping: bool,
    /// Not read because the client is slow.
    pub paused: bool,
    /// Something of the request has been sent.
    pub asked: bool,
    /// More of the request's body is to be sent.
    pub owes: bool,
    /// It goes in chunks.
    pub chunks: bool,
    /// It takes nothing more: a send failed.
    pub refuses: bool,
    /// A byte of the answer has come.
    pub answered: bool,
    pub deadline: Option<Tick>,
    pub armed_at: Option<Tick>,
}

impl Up {
    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    /// What a close must end.
    pub fn under_way(&self) -> UnderWay {
        let connect = matches!(self.stage, Stage::Connecting { .. });
        UnderWay {
            connect,
            receive: self.receiving,
            send: self.sending,
            ..UnderWay::default()
        }
    }

    pub fn new(route: Rc<Route>, owner: Owner) -> Self {
        Self {
            socket: None,
            route,
            stage: Stage::Resolving,
            owner: Some(owner),
            reused: false,
            tls: None,
            input: Vec::new(),
            head: Box::default(),
            rest: Rest::Head,
            decoder: chunked::Decoder::default(),
            out: Vec::new(),
            sending: None,
            receiving: false,
            stopping: false,
            paused: false,
            asked: false,
            owes: false,
            chunks: false,
            refuses: false,
            answered: false,
            deadline: None,
            armed_at: None,
        }
    }
}
