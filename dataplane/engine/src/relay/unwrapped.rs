//! A stream whose events come in frames of AWS, for a client that wants them as server-sent events: taken out, and
//! otherwise passed on as they are.

use tollgate_dialect::canonical::bad::BadAnswer;

use super::{events, translated};
use crate::{
    attempt,
    exchange::{Exchange, Io},
    outputs::Action,
    record::{AttemptOutcome, Outcome},
};

pub(super) fn pass(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) {
    let Some(unwrapper) = &mut exchange.relay.unwrapper else {
        return;
    };
    // Events in base64 cannot be passed where they lie.
    let mut unwrapped = Vec::with_capacity(bytes.len());
    let fed = unwrapper.feed(bytes, &mut unwrapped);
    let failed = unwrapper.has_failed();
    events::pass_copied(exchange, io, &unwrapped);
    match fed {
        Err(bad) => translated::unreadable(exchange, io, bad.reason),
        // The provider's own error event is the stream's last.
        Ok(()) if failed => {
            attempt::give_up(exchange, io, AttemptOutcome::Status);
            exchange.finish(io, Outcome::Cut, Action::End);
        }
        Ok(()) => {}
    }
}

/// The stream is complete by its connection's framing.
pub(super) fn finish(exchange: &Exchange) -> Result<(), BadAnswer> {
    exchange
        .relay
        .unwrapper
        .as_ref()
        .map_or(Ok(()), |unwrapper| unwrapper.finish())
}
