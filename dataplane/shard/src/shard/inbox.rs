//! Messages from the control thread, the resolver and other shards.

use std::{rc::Rc, sync::Arc};

use tollgate_config::link::ShardRevision;
use tollgate_engine::{
    exchange::{Input, Pinned},
    routing::load,
};

use super::{Shard, slab::Id};
use crate::{downstream::Phase, messages::ToShard, second::Asker};

impl Shard {
    pub fn read_inbox(&mut self) {
        while let Ok(message) = self.setup.inbox.try_recv() {
            self.take(message);
        }
    }

    fn take(&mut self, message: ToShard) {
        // A reply channel has room for its one answer; whoever asked may have gone, which is no concern of ours.
        match message {
            ToShard::Prepare(prepared, reply) => {
                self.prepared = Some(prepared);
                let _ = reply.try_send(Ok(self.id));
            }
            ToShard::Commit(reply) => {
                if let Some(prepared) = self.prepared.take() {
                    self.adopt(&prepared);
                }
                let revision = self
                    .running
                    .as_ref()
                    .map_or(0, |running| running.pin().snapshot.revision);
                let _ = reply.try_send(ShardRevision { id: self.id, revision });
            }
            ToShard::Abort => self.prepared = None,
            ToShard::Keys(keys, reply) => {
                if let Some(running) = &self.running {
                    let snapshot = Arc::clone(&running.pin().snapshot);
                    *running.pinned.borrow_mut() = Rc::new(Pinned { snapshot, keys });
                }
                let _ = reply.try_send(self.id);
            }
            ToShard::Turned(reply) => {
                let _ = reply.try_send(self.id);
            }
            ToShard::Tls(tls, reply) => {
                if let Some(running) = self.running.clone() {
                    *running.tls.borrow_mut() = tls;
                    self.make_routes(&running);
                }
                let _ = reply.try_send(self.id);
            }
            ToShard::Listen { name, socket, .. } => self.listen(name, socket),
            ToShard::Unlisten { name } => self.unlisten(&name),
            ToShard::Connection { socket, peer, listener } => self.welcome(socket, peer, listener.into()),
            ToShard::Segment(segment) => {
                self.spool.take(segment, self.clock.now());
                self.local.usage_full = self.spool.is_full();
            }
            ToShard::Synced(sequence) => self.usage_synced(sequence),
            ToShard::Token(id, token) => self.local.tokens.put(id, &token),
            ToShard::Second(tiers) => self.local.second = Some(Box::new(Asker { shard: self.id, tiers })),
            ToShard::Found(name) => self.found(Id::numbered(name)),
            ToShard::Stats(reply) => {
                let in_flight = self.downs.iter().filter(|down| down.in_flight()).count();
                let upstream = self.ups.iter().map(|up| (up.route.provider.as_str(), up.is_idle()));
                self.metrics.gauges(self.downs.len(), in_flight, upstream);
                if let Some(running) = &self.running {
                    self.metrics.loads = load::loads(&running.pin().snapshot, &self.local.routing);
                }
                self.metrics.usage_records = self.spool.counts;
                self.metrics.embedding = self.local.asker.counts;
                let _ = reply.try_send(Box::new(self.metrics.clone()));
            }
            ToShard::Resolved {
                host,
                addresses,
                ttl_ms,
            } => self.resolved(host, addresses, ttl_ms),
            ToShard::NotReady => self.ready = false,
            ToShard::Resume => self.ready = true,
            ToShard::Drain(reply) => {
                self.ready = false;
                self.stop_listening();
                self.draining = Some(reply);
                for id in self.downs.ids() {
                    if self
                        .downs
                        .get(id)
                        .is_some_and(|down| matches!(down.phase, Phase::Idle | Phase::Preamble))
                    {
                        self.drop_down(id);
                    }
                }
            }
            ToShard::Stop => self.stopped = true,
        }
    }

    /// The second tier of its cache has answered; the client may have left meanwhile.
    fn found(&mut self, id: Id) {
        if let Some(active) = self.downs.get_mut(id).and_then(|down| down.active.take()) {
            self.drive(id, active, Input::Found);
        }
    }
}
