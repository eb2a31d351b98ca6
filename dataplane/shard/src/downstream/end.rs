//! Ends: of a request, and of a connection.

use rustix::net::sockopt;
use tollgate_engine::Input;

use super::{Active, Phase};
use crate::{
    shard::{Shard, slab::Id},
    sys::{UnderWay, socket},
};
use tollgate_wire::http1::chunked::LAST_CHUNK;

/// After our last byte a client has this long to close its side before we do: closing at once while its bytes still
/// come in would reset the connection and could destroy the answer (RFC 9112 §9.6).
const LINGER_MS: u64 = 2_000;

impl Shard {
    /// The answer is complete.
    pub fn request_ended(&mut self, id: Id, mut active: Box<Active>) {
        self.drop_attempts(&mut active);
        let Some(down) = self.downs.get_mut(id) else {
            return self.deactivate(active);
        };
        if down.reset {
            self.deactivate(active);
            self.drop_down(id);
            return;
        }
        if active.reply.chunked {
            down.out.extend_from_slice(LAST_CHUNK);
        }
        // An answer shorter than it said cannot be ended in any other way.
        let broken = active.reply.owed.is_some_and(|owed| owed > 0);
        self.dirty_down(id);
        if active.reply.close || broken {
            self.deactivate(active);
            self.close_when_flushed(id);
            // The rest of a body that was paused is read, and thrown away: closing on it would reset the connection.
            self.rearm_down(id);
        } else {
            self.next_request(id, active);
        }
    }

    /// The answer cannot be completed: the client must notice.
    pub fn request_cut(&mut self, id: Id, mut active: Box<Active>) {
        self.drop_attempts(&mut active);
        let unframed = active.reply.until_close;
        self.deactivate(active);
        let Some(down) = self.downs.get_mut(id) else { return };
        if unframed {
            down.reset = true;
        }
        if down.reset {
            self.drop_down(id);
            return;
        }
        self.dirty_down(id);
        self.close_when_flushed(id);
    }

    pub fn drop_attempts(&mut self, active: &mut Active) {
        self.drop_usage(active);
        for (_, up) in std::mem::take(&mut active.attempts) {
            self.drop_up(up);
        }
    }

    pub fn close_when_flushed(&mut self, id: Id) {
        let deadline = self.clock.now().plus_ms(LINGER_MS.max(30_000));
        let Some(down) = self.downs.get_mut(id) else { return };
        down.phase = Phase::Closing;
        down.close_when_flushed = true;
        down.deadline = Some(deadline);
        self.dirty_down(id);
        self.arm_down(id);
    }

    /// Everything is written: half-close, then wait a little for the client to close.
    pub fn finish_closing(&mut self, id: Id) {
        let deadline = self.clock.now().plus_ms(LINGER_MS);
        let Some(down) = self.downs.get_mut(id) else { return };
        if down.lingering {
            return;
        }
        down.lingering = true;
        if let Some(tls) = down.tls.as_mut() {
            let mut farewell = Vec::new();
            tls.close(&mut farewell);
            // Best effort: the half-close behind it says the same to a client that does not read it.
            let _ = rustix::net::send(
                &down.socket,
                &farewell,
                rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL,
            );
        }
        if !down.receiving {
            self.drop_down(id);
            return;
        }
        down.deadline = Some(deadline);
        socket::shutdown_write(&down.socket);
        self.arm_down(id);
    }

    /// Tells the exchange, if one runs, that nobody waits for its answer.
    pub fn client_gone(&mut self, id: Id) {
        let Some(down) = self.downs.get_mut(id) else { return };
        if let Some(active) = down.active.take() {
            down.phase = Phase::Closing;
            self.drive(id, active, Input::ClientGone);
            // A call that may come again outlives its client, but not its connection.
            let still = self.downs.get_mut(id).and_then(|down| down.active.take());
            if let Some(active) = still {
                self.drive(id, active, Input::ClientGone);
            }
        }
    }

    /// Closes a connection now, whatever it was doing.
    pub fn drop_down(&mut self, id: Id) {
        let Some(down) = self.downs.get_mut(id) else { return };
        // An exchange that runs learns that its client is gone, so that it settles and its upstream is cancelled.
        if down.in_flight() {
            down.reset = true;
        }
        self.client_gone(id);
        let Some(down) = self.downs.remove(id) else { return };
        if down.reset {
            let _ = sockopt::set_socket_linger(&down.socket, Some(std::time::Duration::ZERO));
        }
        let send = down.sending.map(|(name, _)| name);
        let under_way = UnderWay {
            receive: down.receiving,
            send,
            ..UnderWay::default()
        };
        self.ring.close(down.socket, Self::down_token(id), under_way);
        self.uncount_connection();
    }
}
