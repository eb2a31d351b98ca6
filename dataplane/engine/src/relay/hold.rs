//! A buffered answer is held back until its cost is known, so that its head can say it: within `cost_header_buffer`, and
//! only where a price is known. The common answer arrives in one read, is sent on in the same turn and not copied.

use super::{Mode, send};
use crate::{
    cost,
    exchange::{Exchange, Io, Phase},
    outputs::{Action, Piece, ReplyFraming},
    reply,
};

/// What a resting connection may keep of a held answer.
const MAX_KEPT_BYTES: usize = 4096;

/// The answer so far, ready to be sent.
#[derive(Debug, Default)]
pub(super) struct Hold {
    on: bool,
    status: u16,
    /// Those header lines that the provider's answer decides.
    lines: Vec<u8>,
    body: Vec<u8>,
}

impl Hold {
    pub fn held_bytes(&self) -> usize {
        self.body.len()
    }

    /// Forgets what is held and keeps the room for it.
    pub fn clear(&mut self) {
        self.on = false;
        self.lines.clear();
        self.body.clear();
    }

    pub fn shrink(&mut self) {
        self.clear();
        self.lines.shrink_to(MAX_KEPT_BYTES);
        self.body.shrink_to(MAX_KEPT_BYTES);
    }
}

/// Holds the head back, whose lines stand in the arena from `start` on; false where it goes out at once.
pub(super) fn begin(exchange: &mut Exchange, io: &mut Io<'_>, status: u16, start: usize) -> bool {
    let may_fit = match exchange.relay.framing {
        Some(ReplyFraming::Stream) => exchange.relay.came_length.is_none_or(|length| fits(exchange, length)),
        Some(ReplyFraming::Length(length)) => length > 0 && fits(exchange, length),
        _ => false,
    };
    let reads = exchange.relay.mode == Mode::Whole && !exchange.relay.is_opened();
    if !may_fit || !reads || !cost::is_known(exchange, io.unix_ms) {
        return false;
    }
    let hold = &mut exchange.relay.hold;
    hold.on = true;
    hold.status = status;
    hold.lines.extend_from_slice(&io.out.arena[start..]);
    io.out.arena.truncate(start);
    // What is waited for now is the provider's time, as before.
    exchange.facts.wait_begins(io.now);
    exchange.set_phase(Phase::Gathering);
    true
}

pub(super) fn fits(exchange: &Exchange, length: u64) -> bool {
    let bound = |pinned: &crate::exchange::Pinned| pinned.snapshot.document.cost_header_buffer_bytes;
    exchange.pinned().is_some_and(|pinned| length <= bound(pinned))
}

/// Sends the pieces from `first` on, of this input, or keeps a copy of them.
pub(super) fn send_or_keep(exchange: &mut Exchange, io: &mut Io<'_>, first: u32, bytes: &[u8]) {
    if !exchange.relay.hold.on {
        return send(exchange, io, first);
    }
    let whole = exchange.relay.came_length == Some(bytes.len() as u64);
    if whole {
        // It has been read: the head goes out before the pieces.
        cost::read_tier(&mut exchange.facts, bytes);
        exchange.facts.cost = cost::of(exchange, io.unix_ms);
        release(exchange, io);
        return send(exchange, io, first);
    }
    let held = &mut exchange.relay.hold.body;
    for piece in io.out.pieces.drain(first as usize..) {
        held.extend_from_slice(match piece {
            Piece::Arena(at) => &io.out.arena[at.start as usize..at.end as usize],
            Piece::Input(at) => &bytes[at.start as usize..at.end as usize],
            // Nothing of a request is in its answer.
            Piece::RequestBody(_) => &[],
        });
    }
    let held = held.len() as u64;
    if !fits(exchange, held) {
        // It is longer than answers with a cost may be: what is known of it by now is not all.
        release(exchange, io);
    }
}

/// The answer is whole and read: what is held goes out.
pub(super) fn end(exchange: &mut Exchange, io: &mut Io<'_>) {
    if exchange.relay.hold.on {
        cost::read_tier(&mut exchange.facts, &exchange.relay.hold.body);
        exchange.facts.cost = cost::of(exchange, io.unix_ms);
        release(exchange, io);
    }
}

/// What is held goes out, with the cost where it is known.
fn release(exchange: &mut Exchange, io: &mut Io<'_>) {
    let mut hold = std::mem::take(&mut exchange.relay.hold);
    exchange.facts.answer_begins(hold.status, io.now);
    let start = io.out.arena.len();
    io.out.arena.extend_from_slice(&hold.lines);
    cost::write_line(&mut io.out.arena, cost::with_declined(&exchange.facts));
    reply::write_common_lines(exchange, io);
    let lines = io.out.written_since(start);
    io.out.actions.push(Action::Head {
        status: hold.status,
        lines,
        framing: exchange.relay.framing.unwrap_or(ReplyFraming::Stream),
    });
    exchange.set_phase(Phase::Relaying);
    if !hold.body.is_empty() {
        let (first, start) = (io.out.pieces.len() as u32, io.out.arena.len());
        io.out.arena.extend_from_slice(&hold.body);
        io.out.push_written(start);
        send(exchange, io, first);
    }
    hold.clear();
    exchange.relay.hold = hold;
}
