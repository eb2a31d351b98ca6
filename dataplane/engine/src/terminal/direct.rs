//! `/providers/{name}/…`: whatever comes goes to that provider unchanged, for what no surface knows. The key must allow it.

use crate::{
    attempt,
    exchange::{Exchange, Io, Phase},
    failure::{Failure, Kind},
    limits,
    passing::{self, Asked, MayPass},
    percent,
    stage::Verdict,
    surface, through,
};

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    if exchange.facts.direct.is_some() {
        // Entered again: the body is here.
        exchange.facts.request_body_bytes = io.body.len() as u64;
        through::read(exchange, io);
        return Verdict::Next;
    }
    match find_provider(exchange, io) {
        Ok(provider) => exchange.facts.direct = Some(provider),
        Err(kind) => return Verdict::Refuse(Failure::client(kind)),
    }
    match ask_for_body(exchange, io) {
        Ok(Asked::Body) => Verdict::Pause,
        Ok(Asked::Nothing) => {
            through::read(exchange, io);
            Verdict::Next
        }
        Err(kind) => Verdict::Refuse(Failure::client(kind)),
    }
}

/// Asks for a body of which nothing need be read, unless a signature is made of it.
pub(super) fn ask_for_body(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<Asked, Kind> {
    let signs = exchange
        .facts
        .direct
        .is_some_and(|provider| exchange.pin().snapshot.upstreams[provider].signs());
    // Of a chat that limits are to know, the model must be.
    let path = surface::provider_path(io.request.path()).map_or(&b""[..], |(_, rest)| rest);
    let is_limited = exchange.call.object.is_none() && through::is_chat(path) && limits::are_set(exchange);
    let may_pass = if signs || is_limited {
        MayPass::Never
    } else {
        MayPass::WhenLarge
    };
    passing::ask_for_body(exchange, io, may_pass)
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
pub(crate) fn begin(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    exchange.set_phase(Phase::Calling);
    exchange.call.until_client = exchange.facts.timeout_ms.map(|ms| exchange.facts.started.plus_ms(ms));
    attempt::begin_first(exchange, io);
    Verdict::Taken
}
