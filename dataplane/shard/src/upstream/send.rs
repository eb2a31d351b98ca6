//! Requests on their way to a provider.

use std::{os::fd::AsRawFd, rc::Rc};

use tollgate_engine::{
    Piece,
    outputs::{AttemptId, Rest},
};
use tollgate_wire::{head::Framing, http1::chunked};

use super::{Up, Whose};
use crate::{
    downstream::Active,
    shard::{Shard, slab::Id},
    sys::{Message, OnSent, Shared},
};

/// Smaller pieces are copied behind the head: that costs less than another vector in the kernel.
const SHARE_FROM_BYTES: usize = 4 * 1024;

impl Shard {
    pub fn dirty_up(&mut self, id: Id) {
        self.dirty_ups.push(id);
    }

    /// Sends a whole request: head and small pieces copied together, large pieces of the body as they lie.
    pub fn send_up(
        &mut self,
        active: &mut Active,
        (attempt, rest): (AttemptId, Rest),
        lines: &[u8],
        pieces: &[Piece],
        arena: &[u8],
    ) {
        let Some(&(_, id)) = active.attempts.iter().find(|(known, _)| *known == attempt) else {
            return;
        };
        let mut own = self.buffer();
        own.extend_from_slice(lines);
        if rest != Rest::Nothing {
            self.upload_begins(active, id);
        }
        let (body, offset) = match active.head.framing {
            Framing::Chunked => (&active.decoded, 0),
            _ => (&active.input, active.head.len),
        };
        let Some(up) = self.ups.get_mut(id) else { return };
        up.owes = rest != Rest::Nothing;
        up.chunks = rest == Rest::FollowsInChunks;
        let chunked = up.chunks;
        let body_bytes: u32 = pieces.iter().map(length).sum();
        if chunked && body_bytes > 0 {
            chunked::write_chunk_size(&mut own, body_bytes as usize);
        }
        // A send under way (rare: an answer came before its request had gone) or TLS takes bytes, not slices.
        let may_share = up.tls.is_none() && up.sending.is_none();
        let mut cuts = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Arena(range) => own.extend_from_slice(&arena[range.start as usize..range.end as usize]),
                Piece::RequestBody(range) => {
                    let range = range.start as usize + offset..range.end as usize + offset;
                    if may_share && range.len() >= SHARE_FROM_BYTES {
                        cuts.push((own.len(), range));
                    } else {
                        own.extend_from_slice(&body[range]);
                    }
                }
                Piece::Input(_) => {}
            }
        }
        if chunked && body_bytes > 0 {
            own.extend_from_slice(b"\r\n");
        }
        if cuts.is_empty() && may_share && up.out.is_empty() {
            std::mem::swap(&mut up.out, &mut own);
            self.keep_buffer(own);
            self.dirty_up(id);
            return;
        }
        if !may_share {
            up.out.extend_from_slice(&own);
            self.keep_buffer(own);
            self.dirty_up(id);
            return;
        }
        let Some(socket) = &up.socket else { return };
        let shared = Some(Shared {
            body: Rc::clone(body),
            cuts,
        });
        up.sending = Some(self.ring.send(
            socket.as_raw_fd(),
            Message { own, shared },
            Self::up_token(id),
            on_sent(up),
        ));
    }

    pub fn flush_up(&mut self, id: Id) {
        let Some(up) = self.ups.get_mut(id) else { return };
        if up.sending.is_some() {
            self.ring.await_sends();
            return;
        }
        if up.socket.is_none() {
            return;
        }
        // A body that passes fills one buffer after the other: those that were sent are used again.
        let next = if up.owes { self.spare_buffers.pop() } else { None };
        let mut bytes = std::mem::replace(&mut up.out, next.unwrap_or_default());
        if let Some(tls) = up.tls.as_mut() {
            let mut cipher = self.spare_buffers.pop().unwrap_or_default();
            if !bytes.is_empty() {
                tls.write(&bytes, &mut cipher);
            }
            tls.drain(&mut cipher);
            std::mem::swap(&mut bytes, &mut cipher);
            self.keep_buffer(cipher);
        }
        let Some(up) = self.ups.get_mut(id) else { return };
        let Some(socket) = up.socket.as_ref().filter(|_| !bytes.is_empty()) else {
            return;
        };
        up.sending = Some(
            self.ring
                .send(socket.as_raw_fd(), Message::of(bytes), Self::up_token(id), on_sent(up)),
        );
    }

    /// Part of a request is on its way.
    pub fn up_progressed(&mut self, id: Id) {
        if let Some(up) = self.ups.get_mut(id) {
            up.asked = true;
        }
    }

    pub fn up_sent(&mut self, id: Id, sent: bool) {
        let Some(up) = self.ups.get_mut(id) else { return };
        up.sending = None;
        up.asked = true;
        if !sent {
            // The receive reports the end, behind whatever the provider still said (an early refusal, say).
            up.refuses = true;
            up.out = Vec::new();
        }
        let uploads = up.owner.filter(|_| up.owes);
        if sent {
            self.flush_up(id);
        }
        if let Some(Whose::Client(id)) = uploads.map(|owner| owner.whose) {
            self.steer_upload(id);
        }
    }
}

/// A client may wait for what is sent here.
fn on_sent(up: &Up) -> OnSent {
    if up.owes { OnSent::Act } else { OnSent::Nothing }
}

fn length(piece: &Piece) -> u32 {
    let (Piece::Arena(range) | Piece::RequestBody(range) | Piece::Input(range)) = piece;
    range.end - range.start
}
