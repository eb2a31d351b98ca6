//! Bodies too large to be held: their beginning goes up with the head, and the rest as it comes. What went up is gone, so
//! such a call is tried at one target alone once it began.

pub(crate) mod late;

use tollgate_config::Document;
use tollgate_wire::head::{Framing, Known};

use crate::{
    attempt, decode,
    exchange::{Exchange, Io, Phase},
    failure::{Failure, Kind},
    outputs::{Action, Piece, Rest},
    record::AttemptOutcome,
};

/// A body of a known length up to this is held whole, so that another target can be asked when the first one fails.
const MAX_HELD_BODY_BYTES: u64 = 1024 * 1024;

/// Whether a body may pass without being held whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MayPass {
    Never,
    WhenLarge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The stage is entered again when it, or some of it, is here.
    Body,
    /// The request has none.
    Nothing,
}

/// Asks for the request's body; one that is longer than allowed, and says so, is refused at once.
pub(crate) fn ask_for_body(exchange: &mut Exchange, io: &mut Io<'_>, may_pass: MayPass) -> Result<Asked, Kind> {
    exchange.admitted.passes = may_pass == MayPass::WhenLarge;
    let max_bytes = max_bytes(exchange, &exchange.pin().snapshot.document);
    match io.request.head.framing {
        Framing::None | Framing::Length(0) => return Ok(Asked::Nothing),
        Framing::Length(length) if length > max_bytes => return Err(Kind::TooLarge { max_bytes }),
        Framing::Length(_) | Framing::Chunked | Framing::UntilClose => {}
    }
    io.out
        .actions
        .push(match self::may_pass(exchange, io.request.head.framing) {
            true => Action::ReadPart { max_bytes },
            false => Action::ReadBody { max_bytes },
        });
    Ok(Asked::Body)
}

/// Is it a body that need not be held, and is not known to be short?
pub(crate) fn may_pass(exchange: &Exchange, framing: Framing) -> bool {
    exchange.admitted.passes && !matches!(framing, Framing::Length(length) if length <= MAX_HELD_BODY_BYTES)
}

/// Reads on in a body of which a part is here.
pub(crate) fn ask_for_more(exchange: &Exchange, io: &mut Io<'_>) {
    let max_bytes = max_bytes(exchange, &exchange.pin().snapshot.document);
    io.out.actions.push(Action::ReadPart { max_bytes });
}

/// The longest body that this request may have.
pub(crate) fn max_bytes(exchange: &Exchange, document: &Document) -> u64 {
    match exchange.admitted.passes {
        true => document.max_upload_bytes,
        false => document.max_body_bytes,
    }
}

/// What came of the body while a connection was made: it goes up with the head.
pub(crate) fn read_lead(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<(), Kind> {
    if exchange.admitted.rest == Rest::Nothing {
        return Ok(());
    }
    exchange.facts.request_body_bytes = io.body.len() as u64;
    match &mut exchange.admitted.form {
        Some(form) if form.is_late => late::read_lead(exchange, io),
        Some(form) => form.read_lead(io.body),
        None => Ok(()),
    }
}

/// The next bytes of the body.
pub(crate) fn more(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) {
    exchange.facts.request_body_bytes += bytes.len() as u64;
    let Some(live) = exchange.call.live else { return };
    let first = io.out.pieces.len() as u32;
    let read = match &mut exchange.admitted.form {
        Some(form) if form.is_late => late::more(exchange, io, bytes),
        form => {
            io.out.pieces.push(Piece::Input(0..bytes.len() as u32));
            form.as_mut().map_or(Ok(()), |form| form.read(bytes))
        }
    };
    if let Err(kind) = read {
        return refuse(exchange, io, kind);
    }
    if exchange.phase() == Phase::Calling {
        attempt::wait_for_answer(exchange, io);
    }
    io.out.actions.push(Action::PassUp {
        attempt: live.id,
        pieces: first..io.out.pieces.len() as u32,
    });
}

/// The provider has not seen the end of the request, and never will.
fn refuse(exchange: &mut Exchange, io: &mut Io<'_>, kind: Kind) {
    attempt::give_up(exchange, io, AttemptOutcome::Cancelled);
    exchange.refuse(Failure::client(kind), io);
}

/// The body is complete.
pub(crate) fn over(exchange: &mut Exchange, io: &mut Io<'_>) {
    exchange.admitted.rest = Rest::Nothing;
    let Some(live) = exchange.call.live else { return };
    if let Err(kind) = late::over(exchange) {
        return refuse(exchange, io, kind);
    }
    if exchange.phase() == Phase::Calling {
        attempt::wait_for_answer(exchange, io);
    }
    io.out.actions.push(Action::EndUp { attempt: live.id });
}

/// Does the body come as it is, and not compressed?
pub(crate) fn comes_plain(io: &Io<'_>) -> bool {
    decode::is_plain(io.request.get(Known::ContentEncoding))
}
