//! The answer's bytes: head, framing, backpressure, one send per turn.

use std::os::fd::AsRawFd;

use tollgate_engine::{Piece, exact::MAX_SHARED_BYTES, outputs::ReplyFraming};
use tollgate_wire::http1::{chunked, write};

use super::{Active, HIGH_WATER_BYTES, LOW_WATER_BYTES, Phase};
use crate::{
    shard::{Shard, slab::Id},
    sys::Message,
};

impl Shard {
    pub fn dirty_down(&mut self, id: Id) {
        if let Some(down) = self.downs.get_mut(id)
            && !down.dirty
        {
            down.dirty = true;
            self.dirty_downs.push(id);
        }
    }

    pub fn write_head(&mut self, id: Id, active: &mut Active, status: u16, lines: &[u8], framing: ReplyFraming) {
        let Some(down) = self.downs.get_mut(id) else { return };
        active.pass_body();
        let reply = &mut active.reply;
        reply.begun = true;
        // A request body that was not read would be taken for the next request; not-ready says: go elsewhere.
        reply.close |= !active.body_whole || !self.ready;
        let out = &mut down.out;
        write::status_line(out, status);
        out.extend_from_slice(lines);
        match framing {
            ReplyFraming::Empty(length) => {
                reply.owed = Some(0);
                if let Some(length) = length {
                    write::header_u64(out, b"content-length", length);
                }
            }
            ReplyFraming::Length(length) => {
                reply.owed = Some(length);
                write::header_u64(out, b"content-length", length);
            }
            ReplyFraming::Stream if active.head.http_1_0 => {
                reply.until_close = true;
                reply.close = true;
            }
            ReplyFraming::Stream => {
                reply.chunked = true;
                out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            }
        }
        if reply.close {
            out.extend_from_slice(b"connection: close\r\n");
        } else if active.head.http_1_0 {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
        self.dirty_down(id);
    }

    /// Copies the pieces behind what already waits: the answer's one copy.
    pub fn write_body(&mut self, id: Id, active: &mut Active, pieces: &[Piece], arena: &[u8], input: &[u8]) {
        let request_body = match active.head.framing {
            tollgate_wire::head::Framing::Chunked => active.decoded.as_slice(),
            _ => active
                .input
                .get(active.head.len..active.request_len)
                .unwrap_or_default(),
        };
        let bytes_of = |piece: &Piece| -> &[u8] {
            let (from, range) = match piece {
                Piece::Arena(range) => (arena, range),
                Piece::RequestBody(range) => (request_body, range),
                Piece::Input(range) => (input, range),
            };
            &from[range.start as usize..range.end as usize]
        };
        let len: usize = pieces.iter().map(|piece| bytes_of(piece).len()).sum();
        let Some(down) = self.downs.get_mut(id) else { return };
        if len == 0 {
            return;
        }
        if active.reply.chunked {
            chunked::write_chunk_size(&mut down.out, len);
        }
        for piece in pieces {
            down.out.extend_from_slice(bytes_of(piece));
        }
        if active.reply.chunked {
            down.out.extend_from_slice(b"\r\n");
        } else if let Some(owed) = &mut active.reply.owed {
            *owed = owed.saturating_sub(len as u64);
        }
        let waiting_bytes = down.pending_bytes();
        // Others are sent it as well: they do not wait for a client that reads slowly.
        let full = waiting_bytes > HIGH_WATER_BYTES
            && (waiting_bytes > MAX_SHARED_BYTES || !active.exchange.is_awaited(self.clock.now()));
        self.dirty_down(id);
        if full {
            active.paused = true;
            for (_, up) in &active.attempts {
                self.pause_up(*up);
            }
        }
    }

    /// The answer of an exchange whose code panicked: no dialect can be asked any more.
    pub fn write_plain_error(&mut self, id: Id, active: &mut Active) {
        const BODY: &[u8] = br#"{"error":{"message":"the gateway failed while it served this request; the failure is logged and counted","type":"server_error","code":"internal_error"}}"#;
        let lines = b"content-type: application/json\r\n";
        self.write_head(id, active, 500, lines, ReplyFraming::Length(BODY.len() as u64));
        if let Some(down) = self.downs.get_mut(id) {
            down.out.extend_from_slice(BODY);
            active.reply.owed = Some(0);
        }
    }

    /// Starts the one send a connection may have under way.
    pub fn flush_down(&mut self, id: Id) {
        let Some(down) = self.downs.get_mut(id) else { return };
        down.dirty = false;
        if down.held_until.is_some() && self.is_held(id) {
            return;
        }
        let Some(down) = self.downs.get_mut(id) else { return };
        if down.sending.is_some() {
            // What came up since that send began waits for its end.
            self.ring.await_sends();
            return;
        }
        let spare = self.spare_buffers.pop().unwrap_or_default();
        let mut bytes = std::mem::replace(&mut down.out, spare);
        if let Some(tls) = down.tls.as_mut() {
            let mut cipher = self.spare_buffers.pop().unwrap_or_default();
            if !bytes.is_empty() {
                tls.write(&bytes, &mut cipher);
            }
            tls.drain(&mut cipher);
            bytes.clear();
            std::mem::swap(&mut bytes, &mut cipher);
            self.keep_buffer(cipher);
        }
        let Some(down) = self.downs.get_mut(id) else { return };
        if bytes.is_empty() {
            self.keep_buffer(bytes);
            self.flushed(id);
            return;
        }
        let len = bytes.len();
        let on_sent = down.on_sent();
        let name = self.ring.send(
            down.socket.as_raw_fd(),
            Message::of(bytes),
            Self::down_token(id),
            on_sent,
        );
        down.sending = Some((name, len));
    }

    pub fn down_sent(&mut self, id: Id, sent: bool) {
        let Some(down) = self.downs.get_mut(id) else { return };
        down.sending = None;
        if !sent {
            return self.down_unsent(id);
        }
        if !down.out.is_empty() {
            self.flush_down(id);
        }
        let Some(down) = self.downs.get_mut(id) else { return };
        if down.phase == Phase::Busy {
            down.deadline = None;
        }
        if down.pending_bytes() <= LOW_WATER_BYTES {
            self.resume_ups_of(id);
        }
        let Some(down) = self.downs.get_mut(id) else { return };
        if down.pending_bytes() == 0 {
            self.flushed(id);
        } else {
            self.watch_write(id);
        }
    }

    /// The client is gone; its receive may say so later, or never while it is paused.
    pub(super) fn down_unsent(&mut self, id: Id) {
        if self.downs.get_mut(id).is_some_and(|down| !down.is_outlived()) {
            self.down_closed(id);
        }
        let Some(down) = self.downs.get_mut(id) else { return };
        match down.is_outlived() {
            true => self.send_no_more(id),
            false => self.drop_down(id),
        }
    }

    /// Where the call goes on for others, nothing is sent here any more.
    pub(super) fn send_no_more(&mut self, id: Id) {
        if let Some(down) = self.downs.get_mut(id).filter(|down| down.is_outlived()) {
            down.out.clear();
            down.deadline = None;
            self.resume_ups_of(id);
        }
    }

    /// A request begins: only a client that still owes us reading is watched meanwhile.
    pub fn watch_answer(&mut self, id: Id) {
        let Some(down) = self.downs.get_mut(id) else { return };
        down.deadline = None;
        if down.pending_bytes() > 0 {
            self.watch_write(id);
        }
    }

    /// Part of a send went out: the client reads, if slowly.
    pub fn down_progressed(&mut self, id: Id) {
        self.watch_write(id);
    }

    /// A client must take something within `body_timeout`.
    fn watch_write(&mut self, id: Id) {
        let timeout_ms = self
            .running
            .as_ref()
            .map_or(30_000, |running| running.client.body_timeout_ms);
        let deadline = self.clock.now().plus_ms(timeout_ms);
        if let Some(down) = self.downs.get_mut(id)
            && !down.lingering
            && matches!(down.phase, Phase::Busy | Phase::Idle | Phase::Closing)
        {
            down.deadline = Some(deadline);
            self.arm_down(id);
        }
    }

    fn resume_ups_of(&mut self, id: Id) {
        let Some(active) = self.downs.get_mut(id).and_then(|down| down.active.as_mut()) else {
            return;
        };
        if !std::mem::take(&mut active.paused) {
            return;
        }
        let ups: Vec<Id> = active.attempts.iter().map(|(_, up)| *up).collect();
        for up in ups {
            self.resume_up(up);
        }
        // While it was paused only the firm deadlines ran.
        self.arm_down(id);
    }

    /// Everything has been written.
    fn flushed(&mut self, id: Id) {
        let Some(down) = self.downs.get_mut(id) else { return };
        if down.close_when_flushed {
            self.finish_closing(id);
        } else if down.phase == Phase::Idle && down.active.is_some() {
            self.pipelined.push(id);
        } else if down.out.capacity() > 0 && down.phase == Phase::Idle {
            // An idle connection holds no buffer.
            let buffer = std::mem::take(&mut down.out);
            self.keep_buffer(buffer);
        }
    }
}
