//! Bytes from a provider: TLS, the head, the body's framing, and the connection's way back to the pool.

use std::os::fd::AsRawFd;

use tollgate_engine::{Input, exchange::UpstreamFault};
use tollgate_wire::{
    head::{Framing, Method, ResponseHead, ResponseView},
    http1::{
        chunked::Step,
        read::{self, Limits, Progress},
    },
};

use super::{Owner, Rest, Stage};
use crate::shard::{Shard, slab::Id};

/// What is left of an answer's framing behind its last event comes at once, or the connection is not worth keeping.
const TRAIL_MS: u64 = 1_000;
const MAX_TRAILING_BYTES: usize = 16 * 1024;

impl Shard {
    pub fn up_received(&mut self, id: Id, data: &[u8], armed: bool) {
        let Some(up) = self.ups.get_mut(id) else { return };
        up.receiving = armed;
        if !armed {
            // A stop that came too late finds nothing to stop.
            up.stopping = false;
            self.rearm_up(id);
        }
        let Some(up) = self.ups.get_mut(id) else { return };
        match up.stage {
            Stage::Tunnelling => self.read_tunnel(id, data),
            _ if up.tls.is_some() => self.read_up_tls(id, data),
            _ => self.read_answer(id, data),
        }
    }

    fn rearm_up(&mut self, id: Id) {
        let Some(up) = self.ups.get_mut(id) else { return };
        if up.receiving || up.stopping || up.paused {
            return;
        }
        if let Some(socket) = &up.socket {
            up.receiving = true;
            self.ring.receive(socket.as_raw_fd(), Self::up_token(id));
        }
    }

    pub fn up_receive_stopped(&mut self, id: Id) {
        let Some(up) = self.ups.get_mut(id) else { return };
        up.receiving = false;
        up.stopping = false;
        self.rearm_up(id);
    }

    /// Stops reading: the client is slow.
    pub fn pause_up(&mut self, id: Id) {
        let Some(up) = self.ups.get_mut(id) else { return };
        if up.paused {
            return;
        }
        up.paused = true;
        if up.receiving && !up.stopping {
            up.stopping = true;
            self.ring.stop_receive(Self::up_token(id));
        }
    }

    /// Reads again. An empty piece of body tells the exchange that the wait between two bytes starts anew.
    pub fn resume_up(&mut self, id: Id) {
        let Some(up) = self.ups.get_mut(id) else { return };
        if !up.paused {
            return;
        }
        up.paused = false;
        let owner = up.owner;
        self.rearm_up(id);
        if let Some(owner) = owner {
            self.drive_owner(owner, Input::UpstreamBody(owner.attempt, &[]));
        }
    }

    fn read_up_tls(&mut self, id: Id, data: &[u8]) {
        let mut plain = self.buffer();
        let Some(up) = self.ups.get_mut(id) else { return };
        let Some(tls) = up.tls.as_mut() else { return };
        let fed = tls.feed(data, &mut plain);
        let opened = matches!(up.stage, Stage::Handshaking) && !tls.handshaking();
        let (handshaking, answered) = (matches!(up.stage, Stage::Handshaking), up.answered);
        self.dirty_up(id);
        match fed {
            Ok(fed) => {
                if opened {
                    self.open(id);
                }
                if !plain.is_empty() {
                    self.read_answer(id, &plain);
                }
                if fed.closed {
                    self.up_closed(id, true);
                }
            }
            Err(fault) => {
                let cut = answered && !handshaking;
                self.fail_up(
                    id,
                    if cut {
                        UpstreamFault::Cut
                    } else {
                        UpstreamFault::Tls(fault.reason)
                    },
                );
            }
        }
        self.keep_buffer(plain);
    }

    fn read_answer(&mut self, id: Id, data: &[u8]) {
        let Some(up) = self.ups.get_mut(id) else { return };
        if matches!(up.stage, Stage::Trailing { .. }) {
            return self.read_rest(id, data);
        }
        let (Stage::Open, Some(owner)) = (&up.stage, up.owner) else {
            // Nobody asked: whatever this is, the next request must not get it.
            return self.drop_up(id);
        };
        if !up.asked {
            // Said before anything was asked: left over from an answer to somebody else.
            let reused = up.reused;
            return self.fail_up(id, UpstreamFault::Closed { reused });
        }
        up.answered = true;
        if up.rest != Rest::Head {
            return self.read_rest(id, data);
        }
        if up.input.is_empty() {
            // The common case: the whole head is in this receive and is parsed where it lies.
            return self.read_head(id, owner, data);
        }
        let mut input = std::mem::take(&mut up.input);
        input.extend_from_slice(data);
        self.read_head(id, owner, &input);
    }

    fn read_head(&mut self, id: Id, owner: Owner, data: &[u8]) {
        let Some(up) = self.ups.get_mut(id) else { return };
        let mut head = std::mem::take(&mut up.head);
        match read::response(data, Method::Post, &Limits::default(), &mut head) {
            Ok(Progress::Incomplete) => {
                up.head = head;
                up.input.extend_from_slice(data);
            }
            Ok(Progress::Complete) => self.begin_answer(id, owner, head, data),
            Err(bad) => {
                up.head = head;
                self.fail_up(id, UpstreamFault::BadAnswer(bad.reason));
            }
        }
    }

    fn begin_answer(&mut self, id: Id, owner: Owner, head: Box<ResponseHead>, data: &[u8]) {
        let Some(up) = self.ups.get_mut(id) else { return };
        up.rest = match head.framing {
            Framing::None => Rest::Length(0),
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunked,
            Framing::UntilClose => Rest::UntilClose,
        };
        up.decoder = Default::default();
        let view = ResponseView { head: &head, buf: data };
        self.drive_owner(owner, Input::UpstreamHead(owner.attempt, view));
        let body_at = head.len;
        // The exchange may have given this attempt up.
        let Some(up) = self.ups.get_mut(id) else { return };
        up.head = head;
        self.read_rest(id, &data[body_at..]);
    }

    fn read_rest(&mut self, id: Id, mut data: &[u8]) {
        loop {
            let Some(up) = self.ups.get_mut(id) else { return };
            match up.rest {
                Rest::Length(left) => {
                    let take = left.min(data.len() as u64) as usize;
                    up.rest = Rest::Length(left - take as u64);
                    if take > 0 {
                        self.body_came(id, &data[..take]);
                    }
                    if left == take as u64 {
                        self.answer_ended(id, take == data.len());
                    }
                    return;
                }
                Rest::UntilClose => {
                    if !data.is_empty() {
                        self.body_came(id, data);
                    }
                    return;
                }
                Rest::Chunked => match up.decoder.step(data) {
                    Ok(Step::Data { data: span, consumed }) => {
                        self.body_came(id, span.of(data));
                        data = &data[consumed..];
                    }
                    Ok(Step::More) => return,
                    Ok(Step::End { consumed }) => {
                        return self.answer_ended(id, consumed == data.len());
                    }
                    Err(bad) => return self.fail_up(id, UpstreamFault::BadAnswer(bad.0)),
                },
                Rest::Head => return,
            }
        }
    }

    /// Bytes of a body: its exchange's, or what trails behind all that was wanted of it.
    fn body_came(&mut self, id: Id, data: &[u8]) {
        let Some(up) = self.ups.get_mut(id) else { return };
        if let Some(owner) = up.owner {
            return self.drive_owner(owner, Input::UpstreamBody(owner.attempt, data));
        }
        match &mut up.stage {
            Stage::Trailing { left_bytes } if *left_bytes >= data.len() => *left_bytes -= data.len(),
            _ => self.drop_up(id),
        }
    }

    /// Nothing more is wanted of an answer, whose framing has not ended: what is left of it may come for a little while.
    pub fn trail_up(&mut self, id: Id) {
        let deadline = self.clock.now().plus_ms(TRAIL_MS);
        let Some(up) = self.ups.get_mut(id) else { return };
        up.owner = None;
        if up.rest == Rest::UntilClose {
            return self.drop_up(id);
        }
        up.stage = Stage::Trailing {
            left_bytes: MAX_TRAILING_BYTES,
        };
        up.paused = false;
        up.deadline = Some(deadline);
        self.rearm_up(id);
        self.arm_up(id);
    }

    /// The answer is whole: the connection goes back to its pool (`clean`: nothing follows the answer), then the
    /// exchange is told, so that its next request finds it there.
    fn answer_ended(&mut self, id: Id, clean: bool) {
        let now = self.clock.now();
        let Some(up) = self.ups.get_mut(id) else { return };
        let owner = up.owner.take();
        let sent = up.sending.is_none() && up.out.is_empty() && !up.owes;
        let reusable = clean && up.head.keep_alive && sent;
        up.stage = Stage::Idle;
        up.paused = false;
        up.rest = Rest::Head;
        up.deadline = Some(now.plus_ms(up.route.idle_ms));
        let pool = up.route.pool;
        if reusable && self.pools.give(pool, id) {
            self.rearm_up(id);
            self.arm_up(id);
        } else {
            self.drop_up(id);
        }
        let Some(owner) = owner else { return };
        if let Some(active) = self.active_of(owner.whose) {
            active.attempts.retain(|(_, up)| *up != id);
        }
        self.drive_owner(owner, Input::UpstreamEnd(owner.attempt));
    }

    /// TCP ended (`orderly`: with FIN). Under TLS that says nothing: only close_notify ends a body orderly, and it
    /// has been seen before this (RFC 8446 §6.1).
    pub fn up_tcp_closed(&mut self, id: Id, orderly: bool) {
        let Some(up) = self.ups.get_mut(id) else { return };
        up.receiving = false;
        let clean = orderly && up.tls.is_none();
        self.up_closed(id, clean);
    }

    /// The provider closed (`clean`) or reset the connection.
    pub fn up_closed(&mut self, id: Id, clean: bool) {
        let Some(up) = self.ups.get_mut(id) else { return };
        if up.owner.is_none() {
            return self.drop_up(id);
        }
        match up.stage {
            Stage::Tunnelling => self.fail_up(id, UpstreamFault::Proxy(0)),
            Stage::Handshaking => self.fail_up(id, UpstreamFault::Tls("closed during the handshake")),
            Stage::Open if clean && up.rest == Rest::UntilClose => self.answer_ended(id, false),
            Stage::Open if up.answered => self.fail_up(id, UpstreamFault::Cut),
            Stage::Open => {
                let reused = up.reused;
                self.fail_up(id, UpstreamFault::Closed { reused });
            }
            _ => self.fail_up(id, UpstreamFault::Connect),
        }
    }
}
