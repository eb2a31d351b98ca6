//! `/providers/{name}/…`: whatever comes goes to that provider unchanged, for what no surface knows. The key must allow it.

use tollgate_wire::head::Framing;

use crate::{
    attempt,
    exchange::{Exchange, Io, Phase},
    failure::{Failure, Kind},
    outputs::Action,
    percent,
    stage::Verdict,
    surface,
};

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    if exchange.facts.direct.is_some() {
        // Entered again: the body is here.
        exchange.facts.request_body_bytes = io.body.len() as u64;
        return begin(exchange, io);
    }
    match find_provider(exchange, io) {
        Ok(provider) => exchange.facts.direct = Some(provider),
        Err(kind) => return Verdict::Refuse(Failure::client(kind)),
    }
    let max_bytes = exchange.pin().snapshot.document.max_body_bytes;
    match io.request.head.framing {
        Framing::Length(length) if length > max_bytes => Verdict::Refuse(Failure::client(Kind::TooLarge { max_bytes })),
        Framing::None | Framing::Length(0) => begin(exchange, io),
        _ => {
            io.out.actions.push(Action::ReadBody { max_bytes });
            Verdict::Pause
        }
    }
}

fn find_provider(exchange: &mut Exchange, io: &Io<'_>) -> Result<usize, Kind> {
    let pinned = exchange.pin();
    let key = exchange.facts.key.ok_or(Kind::NoKey)?;
    if !pinned.keys.entry(key).pass_through {
        return Err(Kind::PassThroughNotAllowed);
    }
    let (name, _) = surface::provider_path(io.request.path()).ok_or(Kind::NoSuchPath)?;
    let name = percent::decode(name);
    let found = pinned
        .snapshot
        .endpoints
        .iter()
        .position(|endpoint| endpoint.provider.as_bytes() == &*name);
    found.ok_or(Kind::NoSuchProvider)
}

/// Hands the request to the provider of `Facts::direct`.
pub(super) fn begin(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    exchange.set_phase(Phase::Calling);
    exchange.call.until_client = exchange.facts.timeout_ms.map(|ms| exchange.facts.started.plus_ms(ms));
    attempt::begin_first(exchange, io);
    Verdict::Taken
}
