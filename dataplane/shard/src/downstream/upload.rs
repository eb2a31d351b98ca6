//! Bodies that pass: what comes first is held until the exchange has read what it needs, the rest goes to the provider as
//! it comes, no faster than that takes it.

use std::ops::Range;

use tollgate_engine::{Input, Piece, exchange::ClientFault, outputs::AttemptId};
use tollgate_wire::{
    head::Framing,
    http1::chunked::{self, Step},
};

use super::{Active, HIGH_WATER_BYTES, LOW_WATER_BYTES, Phase, read::BodyRead};
use crate::shard::{Shard, drive::Followup, slab::Id};

/// A body that passes.
#[derive(Default)]
pub struct Upload {
    /// The exchange asked for more, and was not told since.
    wanted: bool,
    /// Bytes of the body that it was told of.
    told: usize,
    /// Where the rest goes.
    up: Option<Id>,
    /// Bytes that are still to come, where the request says how many.
    left: u64,
    /// Bytes that have come, where it does not.
    came: u64,
    /// The client is not read: there is nobody yet to take its bytes, or nobody who takes them as fast.
    pub paused: bool,
}

/// What a piece of a body that passes has next.
enum Next {
    Bytes { start: usize, end: usize, consumed: usize },
    More,
    End { consumed: usize },
    Fault(ClientFault),
}

impl Active {
    /// Where that lies which is held of the body: in `decoded` where it came chunked, else in `input`.
    pub fn lead(&self) -> Range<usize> {
        match self.head.framing {
            Framing::Chunked => 0..self.decoded.len(),
            _ if self.body_whole => self.head.len..self.request_len,
            _ if self.upload.is_some() => self.head.len..self.input.len(),
            _ => 0..0,
        }
    }

    /// Does the rest of the body go to the provider as it comes?
    pub fn passes(&self) -> bool {
        self.upload.as_ref().is_some_and(|upload| upload.up.is_some())
    }

    fn next_of(&mut self, data: &[u8]) -> Next {
        let Some(upload) = self.upload.as_mut() else {
            return Next::More;
        };
        if self.head.framing != Framing::Chunked {
            let take = upload.left.min(data.len() as u64) as usize;
            upload.left -= take as u64;
            return match (take, upload.left) {
                (0, 0) => Next::End { consumed: 0 },
                (0, _) => Next::More,
                _ => Next::Bytes {
                    start: 0,
                    end: take,
                    consumed: take,
                },
            };
        }
        match self.decoder.step(data) {
            Ok(Step::Data { data: span, consumed }) => {
                let range = span.range();
                upload.came += range.len() as u64;
                if upload.came > self.max_body_bytes {
                    return Next::Fault(ClientFault::TooLarge);
                }
                Next::Bytes {
                    start: range.start,
                    end: range.end,
                    consumed,
                }
            }
            Ok(Step::More) => Next::More,
            Ok(Step::End { consumed }) => Next::End { consumed },
            Err(bad) => Next::Fault(ClientFault::BadFraming(bad.0)),
        }
    }
}

impl Shard {
    /// The exchange asked for a part of the body, or for more of it.
    pub fn want_part(&mut self, id: Id, active: &mut Active, max_bytes: u64) {
        if active.upload.is_none() {
            active.upload = Some(Box::default());
            match self.want_body(id, active, max_bytes) {
                BodyRead::Fault(fault) => {
                    active.reply.close = true;
                    self.followups.push_back(Followup::ClientFault(fault));
                    return;
                }
                BodyRead::Whole | BodyRead::More => {}
            }
        }
        let held = active.lead().len();
        let whole = active.body_whole;
        let Some(upload) = active.upload.as_mut() else { return };
        upload.wanted = !whole && held == upload.told;
        if !upload.wanted {
            upload.told = held;
            self.followups
                .push_back(if whole { Followup::Body } else { Followup::Part });
        }
    }

    /// More of the body has come and is held.
    pub fn lead_came(&mut self, id: Id, mut active: Box<Active>) {
        let held = active.lead().len();
        if let Some(upload) = active.upload.as_mut()
            && upload.wanted
            && held > upload.told
        {
            upload.wanted = false;
            upload.told = held;
            return self.drive(id, active, Input::BodyPart);
        }
        self.keep_upload(id, active);
    }

    /// All of it has come before the exchange could send any of it.
    pub fn lead_whole(&mut self, id: Id, mut active: Box<Active>) {
        if active
            .upload
            .as_mut()
            .is_some_and(|upload| std::mem::take(&mut upload.wanted))
        {
            return self.drive(id, active, Input::Body);
        }
        self.keep_upload(id, active);
    }

    fn keep_upload(&mut self, id: Id, active: Box<Active>) {
        let Some(down) = self.downs.get_mut(id) else { return };
        down.active = Some(active);
        self.steer_upload(id);
        self.arm_down(id);
    }

    /// The request's head and what is held of its body are on their way to this connection.
    pub fn upload_begins(&mut self, active: &mut Active, up: Id) {
        let held = active.lead().len() as u64;
        let length = match active.head.framing {
            Framing::Length(length) => length,
            _ => 0,
        };
        let whole = active.body_whole;
        let Some(upload) = active.upload.as_mut() else { return };
        upload.up = Some(up);
        upload.left = length.saturating_sub(held);
        upload.came = held;
        if whole {
            self.followups.push_back(Followup::Passed);
        }
    }

    /// Bytes of a body whose beginning went up.
    pub fn pass_body(&mut self, id: Id, mut data: &[u8]) {
        self.watch_body(id);
        loop {
            let Some(down) = self.downs.get_mut(id).filter(|down| down.phase == Phase::Body) else {
                return;
            };
            let Some(mut active) = down.active.take() else { return };
            match active.next_of(data) {
                Next::More => return self.keep_upload(id, active),
                Next::Bytes { start, end, consumed } => {
                    self.drive(id, active, Input::BodyPassing(&data[start..end]));
                    data = &data[consumed..];
                }
                Next::End { consumed } => {
                    active.body_whole = true;
                    active.request_len = active.input.len();
                    active.ahead.extend_from_slice(&data[consumed..]);
                    down.phase = Phase::Busy;
                    self.watch_answer(id);
                    return self.drive(id, active, Input::BodyPassed);
                }
                Next::Fault(fault) => {
                    down.phase = Phase::Busy;
                    active.reply.close = true;
                    self.watch_answer(id);
                    return self.drive(id, active, Input::ClientFault(fault));
                }
            }
        }
    }

    /// A client must send something within `body_timeout`.
    fn watch_body(&mut self, id: Id) {
        self.await_body(id);
        self.arm_down(id);
    }

    /// The same, for who arms the timer later.
    pub fn await_body(&mut self, id: Id) {
        let timeout_ms = self
            .running
            .as_ref()
            .map_or(30_000, |running| running.client.body_timeout_ms);
        let deadline = self.clock.now().plus_ms(timeout_ms);
        if let Some(down) = self.downs.get_mut(id) {
            down.deadline = Some(deadline);
        }
    }

    /// Stops reading the client while its bytes cannot go on, and reads it again when they can.
    pub fn steer_upload(&mut self, id: Id) {
        let upload = |shard: &Shard| {
            let active = shard.downs.get(id)?.active.as_deref()?;
            let upload = active.upload.as_deref().filter(|_| !active.body_whole)?;
            Some((upload.wanted, upload.up, upload.paused))
        };
        let Some((wanted, up, paused)) = upload(self) else {
            return;
        };
        self.read_by_piece(id);
        let waiting_bytes = match up {
            Some(up) => self.ups.get(up).map_or(0, |up| up.out.len()),
            None if wanted => 0,
            None => usize::MAX,
        };
        let pause = waiting_bytes > if paused { LOW_WATER_BYTES } else { HIGH_WATER_BYTES };
        if pause == paused {
            return;
        }
        let Some(down) = self.downs.get_mut(id) else { return };
        if let Some(upload) = down.active.as_mut().and_then(|active| active.upload.as_mut()) {
            upload.paused = pause;
        }
        if !pause {
            self.rearm_down(id);
            return self.watch_body(id);
        }
        // The client is not to blame for the pause. The piece that is being received may still come.
        down.deadline = None;
    }

    /// From the beginning of a body that passes, the client is read a buffer at a time.
    fn read_by_piece(&mut self, id: Id) {
        if let Some(down) = self.downs.get_mut(id)
            && down.receiving
            && !down.receiving_once
            && !down.stopping
        {
            down.stopping = true;
            self.ring.stop_receive(Self::down_token(id));
        }
    }

    /// More of a request's body for the provider.
    pub fn pass_up(&mut self, active: &Active, attempt: AttemptId, pieces: &[Piece], arena: &[u8], input: &[u8]) {
        let Some(&(_, id)) = active.attempts.iter().find(|(known, _)| *known == attempt) else {
            return;
        };
        let Some(up) = self.ups.get_mut(id).filter(|up| !up.refuses) else {
            return;
        };
        let chunked = up.chunks;
        for piece in pieces {
            let bytes = match piece {
                Piece::Arena(range) => &arena[range.start as usize..range.end as usize],
                Piece::Input(range) => &input[range.start as usize..range.end as usize],
                Piece::RequestBody(_) => &[],
            };
            if bytes.is_empty() {
                continue; // A chunk of no bytes would be the last one.
            }
            if chunked {
                chunked::write_chunk_size(&mut up.out, bytes.len());
            }
            up.out.extend_from_slice(bytes);
            if chunked {
                up.out.extend_from_slice(b"\r\n");
            }
        }
        self.dirty_up(id);
    }

    /// The request is complete.
    pub fn end_up(&mut self, active: &Active, attempt: AttemptId) {
        let Some(&(_, id)) = active.attempts.iter().find(|(known, _)| *known == attempt) else {
            return;
        };
        let Some(up) = self.ups.get_mut(id) else { return };
        up.owes = false;
        if up.chunks && !up.refuses {
            up.out.extend_from_slice(chunked::LAST_CHUNK);
            self.dirty_up(id);
        }
    }
}
