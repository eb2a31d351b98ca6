//! Attempts of an exchange whose code failed: they end here as far as anybody else is concerned.

use super::{grants, hedge, makes_room, note_end, overload, route_index};
use crate::{
    Tick,
    call::Live,
    exchange::{Exchange, Io},
    limits::provider,
    record::AttemptOutcome,
    snapshot::Route,
};

/// Its targets have one call less, and whoever waits for them goes on. True where a provider has its request.
pub(crate) fn attempts(exchange: &mut Exchange, io: &mut Io<'_>) -> bool {
    let rival = hedge::take_rival(exchange, io);
    let live = exchange.call.live.take();
    let queued = exchange.call.queued.is_some();
    if exchange.facts.model.is_none() && exchange.facts.direct.is_none() {
        return false;
    }
    let pinned = exchange.pin();
    let Some(route) = pinned.snapshot.routes.get(route_index(exchange)) else {
        return false;
    };
    if let Some((live, tried)) = rival {
        end(exchange, io, route, live);
        exchange.call.log.extend(tried);
    }
    if let Some(live) = live {
        end(exchange, io, route, live);
        note_end(exchange, io.now, AttemptOutcome::Cancelled);
    }
    if queued {
        overload::leave(exchange, io);
    }
    live.is_some() && exchange.call.sent != Tick(0)
}

fn end(exchange: &mut Exchange, io: &mut Io<'_>, route: &Route, live: Live) {
    if let Some(target) = route.targets.get(live.target) {
        makes_room(exchange, io, (route, target));
    }
}

/// What of its provider's limits the attempt took: nothing where its request had not gone up.
pub(crate) fn grants(exchange: &mut Exchange, io: &mut Io<'_>) {
    if exchange.call.sent == Tick(0) {
        grants::give_back(exchange, io);
    }
    grants::settle(exchange, io);
    provider::settle(exchange, io);
}
