//! shed: is the shard past what it bears? Asked before anything of a body is read, where the configuration has `overload`.

use crate::{
    attempt::overload,
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    stage::Verdict,
};

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    if !io.local.pressure.is_bounded() {
        return Verdict::Next;
    }
    // A header that says nothing sensible is refused where it is read.
    let asked = overload::read_priority(io.request).unwrap_or_default();
    let key = overload::class(exchange);
    let priority = asked.map_or(key, |asked| asked.min(key));
    if let Some(retry_after_s) = io.local.pressure.refuses(io.now, priority) {
        return Verdict::Refuse(Failure::gateway(Kind::Saturated {
            priority,
            retry_after_s,
        }));
    }
    io.local.pressure.begins();
    exchange.facts.is_counted = true;
    Verdict::Next
}
