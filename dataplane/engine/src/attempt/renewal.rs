//! An access token that its provider does not take, though it is not over: it was revoked. Another is got, and the call is
//! made once more with it before its client hears of that.

use super::{credentials, give_up, hedge, route_index};
use crate::{
    Tick,
    access::Lack,
    exchange::{Exchange, Io},
    failure::{Failure, Kind, Waited},
    outputs::Action,
    record::AttemptOutcome,
    snapshot::Proof,
};

/// The token is looked for so often …
const LOOK_MS: u64 = 20;
/// … for so long: an authority answers within a second.
const MAX_WAIT_MS: u64 = 3_000;
/// A token that came lately, and is refused too, is refused for another reason.
const LEAST_BETWEEN_MS: u64 = 10_000;

/// A call has this once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Renewal {
    id: u64,
    /// The token that was refused.
    shown: u64,
    until: Tick,
    is_over: bool,
}

/// The provider answers 401: the token is to be renewed, as soon as may be. True where the call goes on with that.
pub(super) fn begins(exchange: &mut Exchange, io: &mut Io<'_>) -> bool {
    let pinned = exchange.pin();
    let upstream = exchange
        .call
        .provider
        .map(|provider| &pinned.snapshot.upstreams[provider]);
    let credential = upstream.and_then(|upstream| upstream.credentials.get(exchange.call.credential));
    let Some(Proof::Exchanged { id }) = credential.map(|credential| &credential.proof) else {
        return false;
    };
    io.out.actions.push(Action::RenewToken { id: *id });
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let another = exchange
        .call
        .live
        .is_some_and(|live| credentials::has_another(exchange, io, &route.targets[live.target]));
    let may = !exchange.call.committed
        && !exchange.facts.is_detached()
        && !exchange.relay.is_broken()
        && !another
        && !hedge::is_under_way(exchange);
    if !may || exchange.call.renewal.is_some() {
        return false;
    }
    let shown = exchange.call.shown_token;
    let Some(until) = io
        .local
        .tokens
        .until_another((*id, shown), io.now, (MAX_WAIT_MS, LEAST_BETWEEN_MS))
    else {
        return false;
    };
    exchange.call.renewal = Some(Renewal {
        id: *id,
        shown,
        until,
        is_over: false,
    });
    give_up(exchange, io, AttemptOutcome::Status);
    exchange.facts.wait_begins(io.now);
    exchange.call.until_step = Some((
        io.now.plus_ms(if until == io.now { 0 } else { LOOK_MS }),
        Waited::Backoff,
    ));
    true
}

/// The moment to look for it has come. True where the call waits on, or has ended.
pub(super) fn goes_on(exchange: &mut Exchange, io: &mut Io<'_>) -> bool {
    let Some(renewal) = exchange.call.renewal.filter(|renewal| !renewal.is_over) else {
        return false;
    };
    let has_come = io.local.tokens.serial(renewal.id) != renewal.shown;
    if !has_come && io.now < renewal.until {
        exchange.facts.wait_begins(io.now);
        exchange.call.until_step = Some((io.now.plus_ms(LOOK_MS), Waited::Backoff));
        return true;
    }
    exchange.call.renewal = Some(Renewal {
        is_over: true,
        ..renewal
    });
    if has_come {
        return false;
    }
    let name = |provider: usize| exchange.pin().snapshot.endpoints[provider].provider.as_str().into();
    let provider = exchange.call.provider.map(name).unwrap_or_default();
    let why = Lack::RefusedToken;
    exchange.refuse(Failure::gateway(Kind::NoCredential { provider, why }), io);
    true
}
