//! What the control thread, the resolver and other shards say to a shard. A message is put in the shard's bounded
//! inbox and its eventfd is written; the shard reads the eventfd on its own ring and never waits for anybody.

use std::{net::IpAddr, net::SocketAddr, os::fd::OwnedFd, sync::Arc};

use crossbeam_channel::Sender;
use tollgate_config::link::ShardRevision;
use tollgate_engine::{Snapshot, identity::KeyTable};

use crate::{metrics::ShardMetrics, tls::TlsSet};

/// A compiled revision with what the shell itself needs to run it.
pub struct Prepared {
    pub snapshot: Arc<Snapshot>,
    pub keys: Arc<KeyTable>,
    pub tls: TlsSet,
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
    Tls(TlsSet, Sender<u16>),
    /// Accept on this socket for the listener of that name; replaces the one it had.
    Listen { name: String, address: SocketAddr, socket: OwnedFd },
    /// Stop accepting for a listener that is no longer configured.
    Unlisten { name: String },
    /// A connection another shard accepted and this one has more room for.
    Connection { socket: OwnedFd, peer: SocketAddr, listener: String },
    Stats(Sender<Box<ShardMetrics>>),
    /// The resolver's answer; empty when the name does not resolve. Fresh until `ttl_ms` from now.
    Resolved { host: String, addresses: Vec<IpAddr>, ttl_ms: u64 },
    /// `/readyz` answers 503 and keep-alive answers carry `Connection: close`; undone by `Resume`.
    NotReady,
    Resume,
    /// Stop accepting; close idle connections; finish what is in flight. Answered with the shard's id when none is left.
    Drain(Sender<u16>),
    /// End the shard now.
    Stop,
}
