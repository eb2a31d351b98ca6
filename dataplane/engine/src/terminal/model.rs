//! The terminal of a model call: hands the request to the first target.

use crate::{
    attempt,
    exchange::{Exchange, Io, Phase},
    stage::Verdict,
};

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    exchange.set_phase(Phase::Calling);
    exchange.call.until_client = exchange.facts.timeout_ms.map(|ms| exchange.facts.started.plus_ms(ms));
    attempt::begin_first(exchange, io);
    Verdict::Taken
}
