//! limit: does every limit that the call comes under admit it? On the way back `settle` puts what was used in the place of
//! what was reserved here.

use crate::{
    exchange::{Exchange, Io},
    failure::Failure,
    limits,
    stage::Verdict,
};

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    match limits::reserve(exchange, io) {
        Ok(()) => Verdict::Next,
        Err(kind) => Verdict::Refuse(Failure::client(kind)),
    }
}
