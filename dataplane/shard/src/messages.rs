//! What the control thread, the resolver and other shards say to a shard. A message is put in the shard's bounded
//! inbox and its eventfd is written; the shard reads the eventfd on its own ring and never waits for anybody.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    sync::{Arc, atomic::AtomicU32},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender};
use tollgate_config::link::ShardRevision;
use tollgate_dialect::sign::token::AccessToken;
use tollgate_engine::{
    Answers, Marks, Repeats, Snapshot, Summaries, identity::KeyTable, limits::Balances, marks::MarkNews,
};

use crate::{
    access_log, cluster, control::Command, metrics::ShardMetrics, resolve, second, spool, tls::TlsSet, tokens,
};

/// Messages that wait in a shard's inbox.
pub const INBOX_CAPACITY: usize = 4096;

/// What a shard is started with. It has no snapshot and no listeners then; both come as messages.
pub struct ShardSetup {
    pub id: u16,
    pub cpu: usize,
    pub inbox: Receiver<ToShard>,
    /// An eventfd, written after each message put in the inbox.
    pub wake: OwnedFd,
    /// All shards by id, this one too.
    pub peers: Arc<[ShardHandle]>,
    /// Connections each shard has, written by it alone.
    pub load: Arc<[AtomicU32]>,
    pub resolver: resolve::Handle,
    pub tokens: tokens::Handle,
    pub access: access_log::Handle,
    /// What is used of limits.
    pub balances: Arc<Balances>,
    /// Woken where what a node holds of a shared limit runs low.
    pub cluster: cluster::Handle,
    /// What the node remembers of objects at providers.
    pub marks: Arc<Marks>,
    /// Takes what is to outlive the process; what does not fit into it is told when a control plane comes next.
    pub marked: Sender<MarkNews>,
    /// Calls that may come again, to whichever shard.
    pub repeats: Repeats,
    /// Answers that are kept.
    pub answers: Answers,
    /// What conversations were summed up to.
    pub summaries: Summaries,
    /// Where usage records go, and the first segments of this shard.
    pub spool: (spool::Handle, Vec<spool::Segment>),
    /// Of the process, as far as descriptors reach.
    pub max_connections: u32,
    /// The control thread's queue; what does not fit into it is not told.
    pub control: Sender<Command>,
}

/// Where to put messages for a shard.
#[derive(Clone)]
pub struct ShardHandle {
    inbox: Sender<ToShard>,
    wake: Arc<OwnedFd>,
}

impl ShardHandle {
    /// `wake`: the eventfd whose other descriptor is in the shard's `ShardSetup`.
    pub fn new(inbox: Sender<ToShard>, wake: Arc<OwnedFd>) -> Self {
        Self { inbox, wake }
    }

    /// Never waits. False, and the message is dropped, when the inbox is full or the shard has ended.
    pub fn send(&self, message: ToShard) -> bool {
        let sent = self.inbox.try_send(message).is_ok();
        self.wake();
        sent
    }

    /// Waits for room; for threads that may.
    pub fn send_within(&self, message: ToShard, patience: Duration) -> bool {
        let sent = self.inbox.send_timeout(message, patience).is_ok();
        self.wake();
        sent
    }

    fn wake(&self) {
        // It can only fail when the counter is full, and then the shard has been woken already.
        let _ = rustix::io::write(&*self.wake, &1u64.to_ne_bytes());
    }
}

/// A compiled revision with what the shell itself needs to run it.
pub struct Prepared {
    pub snapshot: Arc<Snapshot>,
    pub keys: Arc<KeyTable>,
    pub tls: Arc<TlsSet>,
}

pub enum ToShard {
    /// Make ready to run `Prepared`; answer with the shard's id, or why not.
    Prepare(Arc<Prepared>, Sender<Result<u16, String>>),
    /// Run what was prepared, from the next request on.
    Commit(Sender<ShardRevision>),
    Abort,
    /// Replace the key table of the running revision; answered once in force.
    Keys(Arc<KeyTable>, Sender<u16>),
    /// Replace the TLS configurations of the running revision (certificates reloaded).
    Tls(Arc<TlsSet>, Sender<u16>),
    /// Accept on this socket for the listener of that name; replaces the one it had.
    Listen {
        name: String,
        socket: OwnedFd,
    },
    /// Stop accepting for a listener that is no longer configured.
    Unlisten {
        name: String,
    },
    /// A connection another shard accepted and this one has more room for.
    Connection {
        socket: OwnedFd,
        peer: SocketAddr,
        listener: String,
    },
    /// Answered between two turns: what the shard was about has ended.
    Turned(Sender<u16>),
    /// Room for usage records.
    Segment(spool::Segment),
    /// Usage records up to this one are on the disk.
    Synced(u64),
    /// A credential was exchanged: the id of the exchange, and what came.
    Token(u64, Arc<AccessToken>),
    /// The stores that caches share with other nodes, from now on.
    Second(Arc<second::Tiers>),
    /// What one of them said of a call of this exchange is there.
    Found(u64),
    Stats(Sender<Box<ShardMetrics>>),
    /// The resolver's answer; empty when the name does not resolve. Fresh until `ttl_ms` from now.
    Resolved {
        host: String,
        addresses: Vec<IpAddr>,
        ttl_ms: u64,
    },
    /// `/readyz` answers 503 and keep-alive answers carry `Connection: close`; undone by `Resume`.
    NotReady,
    Resume,
    /// Stop accepting; close idle connections; finish what is in flight. Answered with the shard's id when none is left.
    Drain(Sender<u16>),
    /// End the shard now.
    Stop,
}
