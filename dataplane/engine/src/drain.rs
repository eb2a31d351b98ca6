//! A client that leaves a call whose model says `on_client_gone: { drain: … }`: the answer is read on for that long, so that the
//! provider says what it used. Nothing of it goes out: that the shell sees to.

use crate::{
    Tick, attempt, exact,
    exchange::{Exchange, Io, Phase},
    outputs::{Action, Rest},
    record::Outcome,
    repeats,
};

/// Between two looks whether others still want an answer whose time is over.
const LOOK_MS: u64 = 1_000;

/// The client is gone, and the call goes on to be counted. Asked a second time it does not.
pub(crate) fn outlives_client(exchange: &mut Exchange, now: Tick) -> bool {
    let answering = matches!(exchange.phase(), Phase::Calling | Phase::Gathering | Phase::Relaying);
    // What its client has not sent, nobody can.
    let waits = exchange.call.queued.is_some() || exchange.admitted.rest != Rest::Nothing;
    if exchange.drains_until.is_some() || !answering || waits {
        return false;
    }
    exchange.drains_until = drain_ms(exchange).map(|drain_ms| now.plus_ms(drain_ms));
    exchange.drains_until.is_some()
}

fn drain_ms(exchange: &Exchange) -> Option<u64> {
    let route = exchange.pinned()?.snapshot.routes.get(attempt::route_index(exchange))?;
    route.streams.drain_ms
}

/// There is time left.
pub(crate) fn runs(exchange: &Exchange, now: Tick) -> bool {
    exchange.drains_until.is_some_and(|until| until > now)
}

/// Ends the call when its time is over and nobody else wants its answer.
pub(crate) fn ends(exchange: &mut Exchange, io: &mut Io<'_>) -> bool {
    if exchange.drains_until.is_none_or(|until| until > io.now) {
        return false;
    }
    if exact::is_wanted(exchange, io.now) || repeats::deadline(exchange).is_some() {
        exchange.drains_until = Some(io.now.plus_ms(LOOK_MS));
        return false;
    }
    attempt::cancel(exchange, io);
    exchange.finish(io, Outcome::ClientGone, Action::Cut);
    true
}
