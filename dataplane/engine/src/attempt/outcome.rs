//! What an attempt says of its target, written down for the next calls.

use tollgate_wire::head::{Known, ResponseView, number};

use super::{credentials, hedge, overload, route_index};
use crate::{
    exchange::{Exchange, Io},
    outputs::TargetChange,
    routing::{Began, health::Change, latency::Class, prefixes::Prefixes},
    snapshot::{Route, Target},
};

/// A provider that asks for patience is not ill, one that fails is.
const TOO_MANY_REQUESTS: u16 = 429;
/// What a call that got no answer counts as where a strategy goes by latency: a target that refuses quickly is not quick.
const UNANSWERED_NS: u64 = 30_000_000_000;

pub(super) fn answered(exchange: &mut Exchange, io: &mut Io<'_>, answer: ResponseView<'_>) {
    let Some(live) = exchange.call.live else { return };
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let target = &route.targets[live.target];
    let status = answer.head.status;
    let took_ns = io.now.ns_since(exchange.call.sent);
    if credentials::is_at_fault(status) {
        let seconds = answer.get(Known::RetryAfter).and_then(number);
        let retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
        credentials::rest(exchange, io, target, (status, retry_after_ms));
    }
    if route.reads_limits {
        io.local.routing.target(target).headroom.read(io.now, answer);
    }
    if let Some(bounds) = &route.overload {
        overload::answered(exchange, io, (route, target, bounds), status);
    }
    if status >= 500 {
        return failed(exchange, io);
    }
    if status == TOO_MANY_REQUESTS {
        return note_latency(exchange, io, route, target, UNANSWERED_NS);
    }
    let failures = target.health.failures();
    let change = io.local.routing.went_well(io.now, target, &route.breaker, took_ns);
    exchange.call.began = Some(Began::new(failures, change));
    tell(exchange, io, live.target, change);
    if status < 400 {
        io.local.routing.model(route.slot).budget.succeeded(io.now);
        note_latency(exchange, io, route, target, took_ns);
        hedge::note_answer(exchange, io, (route, target), took_ns);
        if route.reckons || route.draws {
            let prefixes = Prefixes::of(exchange.admitted.body(io.body));
            if !prefixes.is_empty() {
                let seen = io.local.routing.target(target).seen.get_or_insert_default();
                seen.note(io.now, &prefixes);
            }
        }
    }
}

/// The attempt under way was answered with success, and the stream says that it has failed.
pub(crate) fn told(exchange: &mut Exchange, io: &mut Io<'_>, status: u16, retry_after_ms: Option<u64>) {
    let Some(live) = exchange.call.live else { return };
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let target = &route.targets[live.target];
    if credentials::is_at_fault(status) {
        credentials::rest(exchange, io, target, (status, retry_after_ms));
    }
    if let Some(bounds) = &route.overload {
        overload::answered(exchange, io, (route, target, bounds), status);
    }
    match status {
        500.. => failed(exchange, io),
        TOO_MANY_REQUESTS => note_latency(exchange, io, route, target, UNANSWERED_NS),
        _ => {}
    }
}

/// The attempt under way failed, by the target's fault.
pub(crate) fn failed(exchange: &mut Exchange, io: &mut Io<'_>) {
    // A stream that says that it fails often breaks off, too: that is one failure.
    let Some(live) = exchange.call.live.filter(|_| !exchange.relay.has_told_fault()) else {
        return;
    };
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let target = &route.targets[live.target];
    note_latency(exchange, io, route, target, UNANSWERED_NS);
    let routing = &mut io.local.routing;
    let change = match exchange.call.began.take() {
        Some(began) => routing.broke(io.now, target, &route.breaker, began),
        None => routing.went_wrong(io.now, target, &route.breaker),
    };
    tell(exchange, io, live.target, change);
}

fn note_latency(exchange: &Exchange, io: &mut Io<'_>, route: &Route, target: &Target, took_ns: u64) {
    if route.measures {
        let class = Class::of(io.body.len(), exchange.facts.stream);
        io.local.routing.note_latency(io.now, target, class, took_ns);
    }
}

fn tell(exchange: &Exchange, io: &mut Io<'_>, target: usize, change: Option<Change>) {
    let Some(change) = change else { return };
    let model = route_index(exchange);
    io.out.changes.push(TargetChange { model, target, change });
}
