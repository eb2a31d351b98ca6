//! The life of a request on a connection: composed, sent, answered or not, counted.

use std::{io, sync::atomic::Ordering};

use super::{
    Worker,
    connection::{NEVER, Phase, Request},
};
use crate::{
    mix::{Composed, Kind},
    net::{
        clock::now_ns,
        poll::Ready,
        socket::{Read, Socket},
    },
    run::{
        answer::{Asked, Outcome, Part},
        content::Expect,
        tally::End,
    },
};

/// Closed loop: how long a client keeps away from a target that refused it.
const REFUSED_PAUSE_NS: u64 = 100_000_000;
/// Between two bytes of a client that sends one at a time.
const BYTE_GAP_NS: u64 = 1_000_000;
/// A slow reader reads at most what it may in this part of a second.
const SLOW_READS_A_SECOND: u64 = 20;
/// A slow reader's receive buffer: with the kernel's own size, short answers would wait there instead of at the target.
const SLOW_RECEIVE_BUFFER: usize = 4096;

impl Worker<'_> {
    /// Composes a request for a connection that is idle or vacant, and sends it or connects first.
    pub(super) fn begin(&mut self, slot: usize, start_ns: u64, now: u64) {
        self.out.clear();
        let composed = self.composer.compose(&mut self.out);
        let request = self.request(&composed, start_ns);
        if request.counted {
            self.tally.second.sent += 1;
            let class = &mut self.tally.classes[composed.class];
            class.sent += 1;
            class.streams += u64::from(composed.stream);
        }
        self.in_flight += 1;
        let connection = &mut self.connections[slot];
        connection.answer.begin(request.expect);
        connection.request = Some(request);
        // What a slow reader before it left unread was nothing: its answer was whole.
        connection.unread = false;
        connection.forget_out();
        if connection.socket.is_some() && !request.byte_at_a_time {
            connection.phase = Phase::Busy;
            self.send_composed(slot, now);
        } else {
            connection.keep_out(&self.out, 0);
            match connection.socket.is_some() {
                true => self.start_sending(slot, now),
                false => self.connect(slot, now),
            }
        }
        self.arm(slot);
    }

    fn request(&self, composed: &Composed, start_ns: u64) -> Request {
        let class = &self.spec.mix.classes[composed.class];
        Request {
            class: composed.class,
            expect: match (class.kind, composed.stream) {
                (Kind::Chat, true) => Expect::Stream(composed.dialect),
                (Kind::Chat, false) => Expect::Buffered(composed.dialect),
                _ => Expect::Anything,
            },
            start_ns,
            deadline_ns: start_ns.saturating_add(self.spec.timeout_ns),
            sent_again: false,
            first_byte_ns: None,
            last_text_ns: None,
            received: 0,
            leave_after_bytes: composed.leave_after_bytes,
            think_ns: composed.think_ns,
            counted: start_ns >= self.plan.count_from_ns,
            read_bytes_per_second: class.manners.read_bytes_per_second,
            byte_at_a_time: class.manners.send_byte_at_a_time,
        }
    }

    /// A request that no connection was found for in time. It is composed all the same: it belongs to a class.
    pub(super) fn never_sent(&mut self, due_ns: u64) {
        if let Some(class) = self.sent_or_due(due_ns) {
            self.tally.ended(class, End::Timeout, self.spec.timeout_ns, false);
        }
    }

    /// Counts a request that was due as sent; its class, when it counts.
    pub(super) fn sent_or_due(&mut self, due_ns: u64) -> Option<usize> {
        self.out.clear();
        let class = self.composer.compose(&mut self.out).class;
        if due_ns < self.plan.count_from_ns {
            return None;
        }
        self.tally.second.sent += 1;
        self.tally.classes[class].sent += 1;
        Some(class)
    }

    fn connect(&mut self, slot: usize, now: u64) {
        let connection = &mut self.connections[slot];
        connection.close();
        let opened = Socket::connect(self.spec.target.address).and_then(|socket| match &self.spec.target.tls {
            Some((config, name)) => socket.with_tls_client(config.clone(), name.clone()),
            None => Ok(socket),
        });
        let watched = opened.and_then(|socket| {
            if connection
                .request
                .is_some_and(|request| request.read_bytes_per_second.is_some())
            {
                // Refused, the client reads as slowly, only less of it shows at the target.
                let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SLOW_RECEIVE_BUFFER);
            }
            self.poller.add(&socket, token(slot, connection.generation))?;
            Ok(socket)
        });
        match watched {
            Ok(socket) => {
                connection.socket = Some(socket);
                connection.phase = Phase::Connecting;
                self.connecting += 1;
            }
            Err(_) => self.settle(slot, End::Connect, now),
        }
    }

    /// The connection is made: what waits for it goes out.
    fn start_sending(&mut self, slot: usize, now: u64) {
        let connection = &mut self.connections[slot];
        if connection.phase == Phase::Connecting {
            self.connecting -= 1;
        }
        connection.phase = Phase::Busy;
        if connection.request.is_some_and(|request| request.byte_at_a_time) {
            connection.next_byte_ns = now;
        }
        self.send_rest(slot, now);
    }

    /// Sends what was just composed, from where it lies.
    fn send_composed(&mut self, slot: usize, now: u64) {
        let connection = &mut self.connections[slot];
        let Some(socket) = connection.socket.as_mut() else {
            return;
        };
        match socket.write(&self.out) {
            Ok(sent) => {
                connection.keep_out(&self.out, sent);
                self.count_sent(slot, sent);
            }
            Err(_) => {
                connection.keep_out(&self.out, 0);
                self.send_failed(slot, now);
            }
        }
    }

    /// Sends what is left, or the next byte of it.
    fn send_rest(&mut self, slot: usize, now: u64) {
        let connection = &mut self.connections[slot];
        let Some(socket) = connection.socket.as_mut() else {
            return;
        };
        let byte_at_a_time = connection.request.is_some_and(|request| request.byte_at_a_time);
        let end = match byte_at_a_time {
            true if connection.next_byte_ns > now => connection.out_at,
            true => connection.out.len().min(connection.out_at + 1),
            false => connection.out.len(),
        };
        match socket.write(&connection.out[connection.out_at..end]) {
            Ok(sent) => {
                connection.out_at += sent;
                if byte_at_a_time && connection.next_byte_ns <= now {
                    connection.next_byte_ns = if connection.has_out() { now + BYTE_GAP_NS } else { NEVER };
                }
                self.count_sent(slot, sent);
            }
            Err(_) => self.send_failed(slot, now),
        }
    }

    fn count_sent(&mut self, slot: usize, sent: usize) {
        if let Some(request) = self.connections[slot].request.filter(|request| request.counted) {
            self.tally.classes[request.class].bytes_sent += sent as u64;
        }
    }

    /// The peer takes no more; it may have answered before it closed.
    fn send_failed(&mut self, slot: usize, now: u64) {
        if self.send_again(slot, now) {
            return;
        }
        let connection = &mut self.connections[slot];
        connection.forget_out();
        connection.next_byte_ns = NEVER;
        self.receive(slot, true);
    }

    /// A peer may close a connection between two requests, and whoever is just sending the next one hears of it late
    /// (RFC 9112 section 9.3.1): a request that met such an end and no answer goes out once more, on a new connection.
    fn send_again(&mut self, slot: usize, now: u64) -> bool {
        let connection = &mut self.connections[slot];
        let Some(request) = connection.request.as_mut() else {
            return false;
        };
        let may = connection.reused && connection.whole && request.received == 0 && !request.sent_again;
        if may {
            request.sent_again = true;
            connection.out_at = 0;
            self.connect(slot, now);
        }
        may
    }

    pub(super) fn event(&mut self, ready: Ready) {
        let slot = (ready.token & u64::from(u32::MAX)) as usize;
        let connection = &mut self.connections[slot];
        if u64::from(connection.generation) != ready.token >> 32 {
            return;
        }
        match connection.phase {
            Phase::Vacant => {}
            Phase::Connecting if ready.writable => self.connected(slot, ready),
            Phase::Connecting => {}
            Phase::Busy => self.progress(slot, ready),
            Phase::Idle | Phase::Pausing { .. } if ready.readable => self.disturbed(slot),
            Phase::Idle | Phase::Pausing { .. } => {}
        }
        self.arm(slot);
    }

    fn connected(&mut self, slot: usize, ready: Ready) {
        let now = now_ns();
        let connection = &mut self.connections[slot];
        if connection.socket.as_ref().and_then(Socket::connect_error).is_some() {
            return self.settle(slot, End::Connect, now);
        }
        // A client that keeps its connection has it before it has a request.
        if self.due.is_none()
            && self.spec.keep_alive
            && let Some(request) = connection.request.as_mut()
            && !request.sent_again
        {
            request.start_ns = now;
            request.deadline_ns = now.saturating_add(self.spec.timeout_ns);
        }
        self.start_sending(slot, now);
        if self.connections[slot].phase == Phase::Busy && ready.readable {
            self.receive(slot, ready.hung_up);
        }
    }

    fn progress(&mut self, slot: usize, ready: Ready) {
        let generation = self.connections[slot].generation;
        if ready.writable {
            self.push(slot);
        }
        let connection = &mut self.connections[slot];
        if !ready.readable || connection.generation != generation {
            return;
        }
        if connection
            .request
            .is_some_and(|request| request.read_bytes_per_second.is_some())
        {
            connection.unread = true;
            return self.receive_slowly(slot, now_ns());
        }
        self.receive(slot, ready.hung_up);
        // TLS may take more of the request once it has heard from its peer.
        if self.spec.target.tls.is_some() && self.connections[slot].phase == Phase::Busy {
            self.push(slot);
        }
    }

    /// Sends what waits to be sent, in the request or in TLS.
    fn push(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        if connection.has_out() {
            return self.send_rest(slot, now_ns());
        }
        if let Some(socket) = connection.socket.as_mut()
            && self.spec.target.tls.is_some()
        {
            // What is wrong with the connection, reading tells.
            let _ = socket.flush();
        }
    }

    /// Something comes on a connection that has no request: its end, or what nobody asked for.
    fn disturbed(&mut self, slot: usize) {
        let connection = &mut self.connections[slot];
        self.scratch.clear();
        let read = match connection.socket.as_mut() {
            Some(socket) => socket.read(&mut self.scratch, super::READ_BYTES),
            None => return,
        };
        // TLS sends tickets whenever it likes.
        if matches!(read, Ok(Read::Drained)) && self.scratch.is_empty() {
            return;
        }
        if connection.phase == Phase::Idle {
            self.no_longer_idle(slot);
            self.connections[slot].phase = Phase::Vacant;
            self.vacant.push(slot);
        }
        self.connections[slot].close();
    }

    /// Reads what there is; `to_end` when the peer is known to have sent all it will.
    fn receive(&mut self, slot: usize, to_end: bool) {
        let generation = self.connections[slot].generation;
        loop {
            let mut scratch = std::mem::take(&mut self.scratch);
            scratch.clear();
            let room = self.connections[slot].room_bytes(super::READ_BYTES);
            let read = match self.connections[slot].socket.as_mut() {
                Some(socket) => socket.read(&mut scratch, room),
                None => return self.scratch = scratch,
            };
            let now = now_ns();
            let got = scratch.len();
            self.received(slot, &scratch, &read, to_end, now);
            self.scratch = scratch;
            let goes_on = matches!(read, Ok(Read::More)) || (to_end && got > 0 && read.is_ok());
            let connection = &self.connections[slot];
            if !goes_on || connection.generation != generation {
                return;
            }
            if connection.phase != Phase::Busy {
                return self.disturbed(slot);
            }
        }
    }

    /// Reads as much as a slow reader may, when it may.
    fn receive_slowly(&mut self, slot: usize, now: u64) {
        let connection = &mut self.connections[slot];
        let Some(rate) = connection.request.and_then(|request| request.read_bytes_per_second) else {
            return;
        };
        if !connection.unread || connection.read_from_ns > now {
            return;
        }
        let rate = rate.max(1);
        let mut part = Vec::with_capacity((rate / SLOW_READS_A_SECOND).clamp(1, super::READ_BYTES as u64) as usize);
        let Some(socket) = connection.socket.as_mut() else {
            return;
        };
        let room = part.capacity();
        let read = socket.read(&mut part, room);
        // A short read has emptied the socket, except that the end may stand behind it.
        connection.unread = !part.is_empty();
        connection.read_from_ns = now + part.len() as u64 * 1_000_000_000 / rate;
        self.received(slot, &part, &read, false, now);
    }

    /// Bytes of the answer, and perhaps the connection's end behind them.
    fn received(&mut self, slot: usize, bytes: &[u8], read: &io::Result<Read>, hung_up: bool, now: u64) {
        let Some(request) = self.connections[slot].request else {
            return;
        };
        let asked = Asked {
            statuses: &self.spec.mix.classes[request.class].expect_status,
            verify: self.spec.verify,
        };
        if !bytes.is_empty() {
            let part = self.connections[slot].answer.feed(bytes, &asked, &mut self.shared);
            self.note(slot, bytes.len(), &part, now);
            let received = request.received + bytes.len() as u64;
            if request.leave_after_bytes.is_some_and(|most| received >= most) {
                self.hang_up(slot);
                return self.settle(slot, End::Left, now);
            }
            if let Some(over) = part.over {
                let connection = &self.connections[slot];
                // A client that is still sending cannot send the next request.
                let kept = over.keep_alive && self.spec.keep_alive && !connection.has_out() && !hung_up;
                if !kept {
                    self.hang_up(slot);
                }
                return self.settle(slot, End::Answer(over.outcome), now);
            }
        }
        if matches!(read, Ok(Read::Closed) | Err(_)) && self.send_again(slot, now) {
            return;
        }
        let end = match read {
            Ok(Read::More | Read::Drained) => return,
            Ok(Read::Closed) => self.connections[slot]
                .answer
                .closed(&asked)
                .over
                .map(|over| End::Answer(over.outcome)),
            // What rustls says of a handshake: nothing came over this connection yet.
            Err(bad)
                if bad.kind() == io::ErrorKind::Other && !self.connections[slot].reused && request.received == 0 =>
            {
                Some(End::Connect)
            }
            Err(_) => None,
        };
        self.connections[slot].close();
        self.settle(slot, end.unwrap_or(End::Answer(Outcome::Cut)), now);
    }

    /// The times a part of an answer tells.
    fn note(&mut self, slot: usize, bytes: usize, part: &Part, now: u64) {
        let Some(request) = self.connections[slot].request.as_mut() else {
            return;
        };
        request.first_byte_ns.get_or_insert(now);
        request.received += bytes as u64;
        if !request.counted {
            return;
        }
        let class = &mut self.tally.classes[request.class];
        class.bytes_received += bytes as u64;
        if let Some(gateway_ms) = part.gateway_ms {
            class.times.gateway.saturating_record((gateway_ms * 1e6) as u64);
        }
        class.stream_events += part.texts;
        for _ in 0..part.texts {
            match request.last_text_ns.replace(now) {
                None => class.times.first_token.saturating_record(now - request.start_ns),
                Some(last_ns) => class.times.token_gap.saturating_record(now - last_ns),
            }
        }
    }

    /// Closes the connection from this side, without leaving its port occupied for a minute.
    fn hang_up(&mut self, slot: usize) {
        if let Some(socket) = &self.connections[slot].socket {
            socket.reset_on_close();
        }
        self.connections[slot].close();
    }

    /// A connection's timer went off.
    pub(super) fn wake(&mut self, slot: usize, now: u64) {
        let connection = &mut self.connections[slot];
        match (connection.phase, connection.request) {
            (Phase::Pausing { .. }, _) => {
                match now < self.plan.end_ns {
                    true => self.begin(slot, now, now),
                    false => connection.phase = Phase::Vacant,
                };
            }
            (Phase::Connecting | Phase::Busy, Some(request)) if request.deadline_ns <= now => {
                self.hang_up(slot);
                self.settle(slot, End::Timeout, now);
            }
            (Phase::Busy, Some(_)) => {
                if connection.next_byte_ns <= now {
                    self.send_rest(slot, now);
                }
                self.receive_slowly(slot, now);
            }
            _ => {}
        }
    }

    /// A text that is not the sandbox's is an answer like any other of a target that never gave one that is, and wrong
    /// from a target that did.
    fn told_apart(&mut self, end: End) -> End {
        match end {
            End::Answer(Outcome::Answered { verified: true }) => self.is_sandbox.store(true, Ordering::Relaxed),
            End::Answer(Outcome::Foreign) if !self.is_sandbox.load(Ordering::Relaxed) => {
                return End::Answer(Outcome::Answered { verified: false });
            }
            _ => {}
        }
        end
    }

    /// The request is over. The connection goes on to its next one, or waits for it, or is left.
    fn settle(&mut self, slot: usize, end: End, now: u64) {
        let end = self.told_apart(end);
        let connection = &mut self.connections[slot];
        let Some(request) = connection.request.take() else {
            return;
        };
        self.in_flight -= 1;
        if connection.phase == Phase::Connecting {
            self.connecting -= 1;
            connection.close();
        }
        connection.forget_out();
        connection.reused = true;
        if request.counted {
            let counting_ns = self.plan.end_ns - self.plan.count_from_ns;
            let until_ns = self.rate_until_ns[request.class].get_or_insert(now.saturating_add(counting_ns));
            let in_time = now <= *until_ns;
            if let (End::Answer(Outcome::Answered { .. }), Some(first_byte_ns)) = (end, request.first_byte_ns) {
                let times = &mut self.tally.classes[request.class].times;
                times.first_byte.saturating_record(first_byte_ns - request.start_ns);
            }
            if matches!(end, End::Answer(_)) && request.read_bytes_per_second.is_none() {
                self.tally.late_read.saturating_record(now - self.arrived_ns.min(now));
            }
            self.tally.ended(request.class, end, now - request.start_ns, in_time);
        }
        self.go_on(slot, end, request.think_ns, now);
    }

    fn go_on(&mut self, slot: usize, end: End, think_ns: u64, now: u64) {
        let connection = &mut self.connections[slot];
        if self.due.is_some() {
            match connection.socket.is_some() {
                true => self.now_idle(slot),
                false => self.vacate(slot),
            }
            return;
        }
        if now >= self.plan.end_ns {
            connection.phase = Phase::Pausing { until_ns: NEVER };
            return;
        }
        let pause_ns = if end == End::Connect {
            REFUSED_PAUSE_NS
        } else {
            think_ns
        };
        match pause_ns {
            0 => self.begin(slot, now, now),
            _ => {
                connection.phase = Phase::Pausing {
                    until_ns: now + pause_ns,
                }
            }
        }
    }

    fn vacate(&mut self, slot: usize) {
        self.connections[slot].phase = Phase::Vacant;
        self.vacant.push(slot);
    }
}

fn token(slot: usize, generation: u32) -> u64 {
    slot as u64 | u64::from(generation) << 32
}
