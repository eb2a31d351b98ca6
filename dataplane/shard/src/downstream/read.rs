//! Bytes from a client: PROXY preamble, TLS, the head, the body, and what comes ahead of its turn.

use std::rc::Rc;

use tollgate_engine::{Input, Peer, Tick, exchange::ClientFault};
use tollgate_wire::{
    head::{Framing, Known},
    http1::{
        chunked,
        read::{self, Limits, Progress},
    },
};

use super::{Active, HIGH_WATER_BYTES, MAX_AHEAD_BYTES, Phase, fresh};
use crate::{
    proxy_protocol::{self, Preamble},
    shard::{Shard, Timer, slab::Id},
};

/// Bodies up to this are expected whole: the buffer grows once, to the announced length.
const RESERVE_BODY_BYTES: u64 = 1024 * 1024;

impl Shard {
    pub fn down_received(&mut self, id: Id, data: &[u8], armed: bool) {
        let Some(down) = self.downs.get_mut(id) else { return };
        down.receiving = armed;
        if !armed {
            // A stop that came too late finds nothing to stop.
            down.stopping = false;
            self.rearm_down(id);
        }
        let Some(down) = self.downs.get_mut(id) else { return };
        match down.phase {
            Phase::Preamble => self.read_preamble(id, data),
            _ if down.tls.is_some() => self.read_tls(id, data),
            _ => self.read_plain(id, data),
        }
    }

    /// Receives again unless enough waits already.
    pub fn rearm_down(&mut self, id: Id) {
        let Some(down) = self.downs.get_mut(id) else { return };
        let waits = down.waiting_bytes();
        if down.receiving || down.stopping || waits > MAX_AHEAD_BYTES || down.upload_paused() {
            return;
        }
        down.receiving = true;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&down.socket);
        down.receiving_once = down.uploads();
        match down.receiving_once {
            true => self.ring.receive_once(fd, Self::down_token(id)),
            false => self.ring.receive(fd, Self::down_token(id)),
        }
    }

    pub fn down_receive_stopped(&mut self, id: Id) {
        let Some(down) = self.downs.get_mut(id) else { return };
        down.receiving = false;
        down.stopping = false;
        self.rearm_down(id);
    }

    fn read_preamble(&mut self, id: Id, data: &[u8]) {
        let mut active = self.activate(id);
        let Some(down) = self.downs.get_mut(id) else { return };
        let buffer = Rc::make_mut(&mut active.input);
        buffer.extend_from_slice(data);
        match proxy_protocol::parse(buffer) {
            Ok(Preamble::Incomplete) => {
                down.active = Some(active);
            }
            Ok(Preamble::Complete { client, len }) => {
                if let Some(client) = client {
                    down.client = client;
                }
                down.phase = Phase::Idle;
                let rest = buffer.split_off(len);
                self.deactivate(active);
                if !rest.is_empty() {
                    self.down_received(id, &rest, true);
                }
            }
            Err(_) => {
                self.deactivate(active);
                self.metrics.bad_preamble();
                self.drop_down(id);
            }
        }
    }

    fn read_tls(&mut self, id: Id, data: &[u8]) {
        let mut plain = self.buffer();
        let Some(down) = self.downs.get_mut(id) else { return };
        let Some(tls) = down.tls.as_mut() else { return };
        let was_handshaking = tls.handshaking();
        let fed = tls.feed(data, &mut plain);
        if was_handshaking && !tls.handshaking() {
            let idle_ms = self
                .running
                .as_ref()
                .map_or(75_000, |running| running.client.idle_timeout_ms);
            down.deadline = Some(self.clock.now().plus_ms(idle_ms));
        }
        // Handshake bytes, alerts and tickets go out whatever came of it.
        self.dirty_down(id);
        match fed {
            Ok(fed) => {
                if !plain.is_empty() {
                    self.read_plain(id, &plain);
                }
                if fed.closed {
                    self.down_closed(id);
                }
            }
            Err(_) => {
                self.metrics.tls_failed();
                self.client_gone(id);
                self.close_when_flushed(id);
            }
        }
        self.keep_buffer(plain);
    }

    fn read_plain(&mut self, id: Id, data: &[u8]) {
        let Some(down) = self.downs.get_mut(id) else { return };
        // A request waits already, for its turn or for a client that does not read: what comes waits behind it.
        let queue = down.phase == Phase::Idle && (down.active.is_some() || down.pending_bytes() > HIGH_WATER_BYTES);
        match down.phase {
            Phase::Body if down.active.as_deref().is_some_and(Active::passes) => return self.pass_body(id, data),
            Phase::Idle | Phase::Head | Phase::Body => {
                let mut active = self.activate(id);
                Rc::make_mut(&mut active.input).extend_from_slice(data);
                if !queue {
                    return self.read_request(id, active);
                }
                if let Some(down) = self.downs.get_mut(id) {
                    down.active = Some(active);
                }
            }
            Phase::Busy => {
                if let Some(active) = down.active.as_mut() {
                    active.ahead.extend_from_slice(data);
                }
            }
            Phase::Closing | Phase::Preamble => return,
        }
        let Some(down) = self.downs.get_mut(id) else { return };
        if down.waiting_bytes() > MAX_AHEAD_BYTES && down.receiving && !down.stopping {
            down.stopping = true;
            self.ring.stop_receive(Self::down_token(id));
        }
    }

    /// The connection's working set, taken out of it; from the pool when it was idle.
    fn activate(&mut self, id: Id) -> Box<Active> {
        let now = self.clock.now();
        let taken = self.downs.get_mut(id).and_then(|down| down.active.take());
        taken.unwrap_or_else(|| {
            let mut active = self.spare_actives.pop().unwrap_or_default();
            active.started = now;
            active
        })
    }

    pub fn deactivate(&mut self, mut active: Box<Active>) {
        const SPARE_ACTIVES: usize = 256;
        if active.is_large() {
            self.trim_soon();
        }
        if self.spare_actives.len() < SPARE_ACTIVES {
            active.reset();
            self.spare_actives.push(active);
        }
    }

    /// Goes on with the request at the start of `active.input`, as far as its bytes reach.
    pub fn read_request(&mut self, id: Id, mut active: Box<Active>) {
        let Some(down) = self.downs.get_mut(id) else { return };
        let Some(running) = self.running.clone() else { return };
        if down.phase != Phase::Body {
            match read::request(&active.input, &Limits::default(), &mut active.head) {
                Ok(Progress::Complete) => self.begin(id, active),
                Ok(Progress::Incomplete) => {
                    if down.phase == Phase::Idle {
                        down.phase = Phase::Head;
                        down.deadline = Some(active.started.plus_ms(running.client.header_timeout_ms));
                    }
                    down.active = Some(active);
                    self.arm_down(id);
                }
                Err(bad) => {
                    self.begin_exchange(id, &mut active);
                    let Some(down) = self.downs.get_mut(id) else { return };
                    down.phase = Phase::Busy;
                    active.reply.close = true;
                    self.drive(id, active, Input::BadHead(bad));
                }
            }
            return;
        }
        let now = self.clock.now();
        down.deadline = Some(now.plus_ms(running.client.body_timeout_ms));
        self.read_body(id, active);
    }

    fn begin(&mut self, id: Id, mut active: Box<Active>) {
        self.begin_exchange(id, &mut active);
        let Some(down) = self.downs.get_mut(id) else { return };
        down.phase = Phase::Busy;
        active.reply.close = !active.head.keep_alive || !self.ready;
        active.body_whole = matches!(active.head.framing, Framing::None | Framing::Length(0));
        if active.body_whole {
            active.request_len = active.head.len;
            active.split_ahead();
        }
        active.decoded_upto = active.head.len;
        self.watch_answer(id);
        self.drive(id, active, Input::Head);
    }

    fn begin_exchange(&mut self, id: Id, active: &mut Active) {
        let (Some(down), Some(running)) = (self.downs.get(id), &self.running) else {
            return;
        };
        let listener = running.listeners.get(down.listener.as_ref()).copied();
        let pinned = running.pin();
        let mut address = down.client.ip();
        if let Some(index) = listener {
            let trusted = &pinned.snapshot.document.listeners[index].1.trusted_proxies;
            // The head is good here, or empty: a bad one names no headers.
            if !trusted.is_empty() {
                let forwarded = active
                    .head
                    .fields
                    .get(Known::XForwardedFor)
                    .map(|f| f.value.of(&active.input));
                address = proxy_protocol::client_address(address, forwarded, trusted);
            }
        }
        let peer = Peer {
            address,
            loopback: down.peer.ip().is_loopback() && address.is_loopback(),
            listener,
        };
        active.client = Some(address);
        active.exchange.set_name(id.number());
        active.exchange.begin(pinned, peer, active.started);
    }

    /// The exchange asked for the body.
    pub fn want_body(&mut self, id: Id, active: &mut Active, max_bytes: u64) -> BodyRead {
        active.max_body_bytes = max_bytes;
        if active.body_whole {
            return BodyRead::Whole;
        }
        if let Framing::Length(length) = active.head.framing {
            if length > max_bytes {
                return BodyRead::Fault(ClientFault::TooLarge);
            }
            if length <= RESERVE_BODY_BYTES {
                let missing = (active.head.len + length as usize).saturating_sub(active.input.len());
                Rc::make_mut(&mut active.input).reserve_exact(missing);
            }
        }
        let read = Self::take_body(active);
        let Some(down) = self.downs.get_mut(id) else {
            return read;
        };
        if read == BodyRead::More {
            down.phase = Phase::Body;
            if active.head.expect_continue && active.input.len() == active.head.len {
                down.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                self.dirty_down(id);
            }
            self.await_body(id);
        }
        read
    }

    fn read_body(&mut self, id: Id, mut active: Box<Active>) {
        let read = Self::take_body(&mut active);
        let Some(down) = self.downs.get_mut(id) else { return };
        match read {
            BodyRead::More if active.upload.is_some() => self.lead_came(id, active),
            BodyRead::More => {
                down.active = Some(active);
                self.arm_down(id);
            }
            BodyRead::Whole => {
                down.phase = Phase::Busy;
                self.watch_answer(id);
                if active.upload.is_some() {
                    return self.lead_whole(id, active);
                }
                self.drive(id, active, Input::Body);
            }
            BodyRead::Fault(fault) => {
                down.phase = Phase::Busy;
                active.reply.close = true;
                self.watch_answer(id);
                self.drive(id, active, Input::ClientFault(fault));
            }
        }
    }

    /// Looks whether the body is whole; decodes what came of a chunked one.
    fn take_body(active: &mut Active) -> BodyRead {
        match active.head.framing {
            Framing::Length(length) => {
                let whole = active.head.len + length as usize;
                if active.input.len() < whole {
                    return BodyRead::More;
                }
                active.request_len = whole;
            }
            Framing::Chunked => match Self::take_chunks(active) {
                BodyRead::Whole => {}
                other => return other,
            },
            Framing::None | Framing::UntilClose => active.request_len = active.head.len,
        }
        active.body_whole = true;
        active.split_ahead();
        BodyRead::Whole
    }

    fn take_chunks(active: &mut Active) -> BodyRead {
        loop {
            let input = &active.input[active.decoded_upto..];
            match active.decoder.step(input) {
                Ok(chunked::Step::Data { data, consumed }) => {
                    if active.decoded.len() as u64 + data.len() as u64 > active.max_body_bytes {
                        return BodyRead::Fault(ClientFault::TooLarge);
                    }
                    Rc::make_mut(&mut active.decoded).extend_from_slice(data.of(input));
                    active.decoded_upto += consumed;
                }
                Ok(chunked::Step::More) => {
                    // Decoded already: what is kept is the head, which the exchange still reads.
                    let head = active.head.len;
                    Rc::make_mut(&mut active.input).truncate(head);
                    active.decoded_upto = head;
                    return BodyRead::More;
                }
                Ok(chunked::Step::End { consumed }) => {
                    active.request_len = active.decoded_upto + consumed;
                    return BodyRead::Whole;
                }
                Err(bad) => return BodyRead::Fault(ClientFault::BadFraming(bad.0)),
            }
        }
    }

    /// The wheel looks at this connection.
    pub fn down_timer(&mut self, id: Id, now: Tick) {
        let Some(down) = self.downs.get_mut(id) else { return };
        if down.armed_at.is_some_and(|armed| armed > now) {
            return; // a newer entry replaced this one
        }
        down.armed_at = None;
        let Some(due) = down.next_deadline() else { return };
        if due > now {
            self.arm_down(id);
            return;
        }
        let own = down.deadline.is_some_and(|deadline| deadline <= now);
        match down.phase {
            Phase::Idle | Phase::Preamble | Phase::Closing => self.drop_down(id),
            // A slow writer of heads gets an answer when it has sent anything at all.
            Phase::Head | Phase::Body if own => self.down_too_slow(id),
            // The client reads nothing of its answer.
            Phase::Busy if own => self.down_unsent(id),
            Phase::Head | Phase::Body | Phase::Busy => self.exchange_timer(id),
        }
    }

    fn down_too_slow(&mut self, id: Id) {
        let Some(down) = self.downs.get_mut(id) else { return };
        let Some(mut active) = down.active.take() else {
            return self.drop_down(id);
        };
        let was_head = down.phase == Phase::Head;
        down.phase = Phase::Busy;
        down.deadline = None;
        active.reply.close = true;
        if was_head {
            active.head = Default::default();
            self.begin_exchange(id, &mut active);
        }
        self.drive(id, active, Input::ClientFault(ClientFault::Timeout));
    }

    fn exchange_timer(&mut self, id: Id) {
        let Some(down) = self.downs.get_mut(id) else { return };
        let Some(active) = down.active.take() else { return };
        self.drive(id, active, Input::Timer);
    }

    /// Makes sure that the wheel looks at the connection no later than its next deadline.
    pub fn arm_down(&mut self, id: Id) {
        let Some(down) = self.downs.get_mut(id) else { return };
        let Some(due) = down.next_deadline() else { return };
        if down.armed_at.is_none_or(|armed| armed > due) {
            down.armed_at = Some(due);
            self.wheel.arm(due, Timer::Down(id));
        }
    }

    /// The client closed its side or is gone.
    pub fn down_closed(&mut self, id: Id) {
        let Some(down) = self.downs.get_mut(id) else { return };
        down.receiving = false;
        if down.is_outlived() {
            // A send that failed has said so already.
            return;
        }
        match down.phase {
            Phase::Busy | Phase::Body => match down.active.take() {
                Some(active) => {
                    down.reset = true;
                    self.drive(id, active, Input::ClientGone);
                    self.send_no_more(id);
                }
                None => self.drop_down(id),
            },
            // It closed after its last answer was queued: what is written may still reach it.
            Phase::Closing if down.pending_bytes() > 0 => {}
            Phase::Idle if down.pending_bytes() > 0 => self.close_when_flushed(id),
            _ => self.drop_down(id),
        }
    }

    /// Starts the next request of a connection whose exchange has ended, when bytes of it have come already.
    pub fn next_request(&mut self, id: Id, mut active: Box<Active>) {
        let Some(down) = self.downs.get_mut(id) else { return };
        let now = self.clock.now();
        let idle_ms = self
            .running
            .as_ref()
            .map_or(75_000, |running| running.client.idle_timeout_ms);
        down.phase = Phase::Idle;
        // What it has not read yet of former answers has a deadline already.
        if down.pending_bytes() == 0 || down.deadline.is_none() {
            down.deadline = Some(now.plus_ms(idle_ms));
        }
        if active.ahead.is_empty() {
            self.deactivate(active);
            self.rearm_down(id);
            self.arm_down(id);
            return;
        }
        let ahead = std::mem::take(&mut active.ahead);
        active.reset();
        active.started = now;
        *fresh(&mut active.input) = ahead;
        down.active = Some(active);
        // Not begun here: a thousand pipelined requests would nest a thousand deep.
        self.pipelined.push(id);
        self.rearm_down(id);
    }

    /// Begins requests that came ahead, one per connection and round, unless its client does not read.
    pub fn begin_pipelined(&mut self) {
        while let Some(id) = self.pipelined.pop() {
            let Some(down) = self.downs.get_mut(id) else { continue };
            if down.phase != Phase::Idle || down.pending_bytes() > HIGH_WATER_BYTES {
                continue; // its next write's end begins it
            }
            if let Some(active) = down.active.take() {
                self.read_request(id, active);
            }
        }
    }
}

/// How far a body has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRead {
    Whole,
    More,
    Fault(ClientFault),
}
