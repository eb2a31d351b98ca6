//! A call that finds every target of its model at its limit: it waits its turn, or is told to come back.
//!
//! Room that comes free is promised to the call whose turn it is before anybody else sees it, so nobody gets in front.

use tollgate_config::document::{Overload, Priority};
use tollgate_wire::head::RequestView;

use super::{begin, route_index};
use crate::{
    call::Queued,
    exchange::{Exchange, Io},
    failure::{Failure, Kind, Waited},
    outputs::{Action, ShedChange},
    routing::{
        concurrency::{Asked, Limit},
        latency::Class,
        queue::{self, Left, Waiter},
    },
    snapshot::{Route, Target},
};

/// Statuses that say that a target has too much to do.
const OVERLOADED: [u16; 3] = [429, 503, 529];

/// What a request says of its rank: it can only take itself back behind what its key has.
pub(crate) fn read_priority(request: RequestView<'_>) -> Result<Option<Priority>, Kind> {
    let Some(text) = request.named(b"x-tollgate-priority") else {
        return Ok(None);
    };
    let word = std::str::from_utf8(text).ok().map(str::trim);
    word.and_then(Priority::named).map(Some).ok_or(Kind::Header {
        name: "x-tollgate-priority",
        wrong: "must be high, normal or low",
    })
}

pub(crate) fn class(exchange: &Exchange) -> Priority {
    let pinned = exchange.pin();
    let key = exchange.facts.key.map(|key| pinned.keys.entry(key).priority);
    let key = key.unwrap_or_default();
    exchange.facts.priority_asked.map_or(key, |asked| asked.min(key))
}

/// May the target have a call more?
pub(super) fn has_room(io: &Io<'_>, route: &Route, target: &Target) -> bool {
    match &route.overload {
        None => true,
        Some(bounds) => io.local.routing.look(target).is_none_or(|state| state.has_room(bounds)),
    }
}

/// No target has room: the call waits, as long as its class may and there is room to wait.
pub(super) fn wait_for_turn(exchange: &mut Exchange, io: &mut Io<'_>, route: &Route) {
    let Some(bounds) = &route.overload else { return };
    if exchange.facts.is_detached() {
        // Nobody waits for it, and nobody is told that it was refused.
        let priority = class(exchange);
        let kind = Kind::Overloaded {
            priority,
            retry_after_s: 1,
        };
        return exchange.refuse(Failure::gateway(kind), io);
    }
    let class = class(exchange);
    let targets = exchange.call.order.as_slice()[exchange.call.place..].iter();
    let waiter = Waiter {
        name: exchange.name(),
        // Allocates: whoever waits has the time.
        targets: targets.map(|&index| route.targets[usize::from(index)].slot).collect(),
    };
    let queue = io.local.routing.model(route.slot).queue.get_or_insert_default();
    let Some((place, evicted)) = queue.join(class, waiter, bounds) else {
        return shed(exchange, io, route);
    };
    if let Some(of) = evicted {
        io.out.actions.push(Action::Turn { of });
    }
    let until = io.now.plus_ms(queue::wait_ms(class, bounds));
    exchange.call.queued = Some(Queued { place });
    exchange.call.until_step = Some((until, Waited::Turn));
    exchange.facts.wait_begins(io.now);
}

/// Room was kept for the call, or it was turned away for one of a higher class.
pub(crate) fn turn(exchange: &mut Exchange, io: &mut Io<'_>) {
    let Some(Queued { place }) = exchange.call.queued else {
        return;
    };
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let queue = io.local.routing.model(route.slot).queue.get_or_insert_default();
    if !queue.waits(place) {
        leave_queue(exchange, io, route);
    }
}

/// It has waited long enough.
pub(super) fn waited_too_long(exchange: &mut Exchange, io: &mut Io<'_>) {
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    leave_queue(exchange, io, route);
}

/// Goes on with the call where room was kept for it, and refuses it otherwise.
fn leave_queue(exchange: &mut Exchange, io: &mut Io<'_>, route: &Route) {
    exchange.facts.wait_ends(io.now);
    exchange.call.until_step = None;
    match left(exchange, io, route) {
        Some(Left::Promised(slot)) => {
            begin(exchange, io);
            // It may have gone elsewhere, or nowhere.
            serve(io, route, slot);
        }
        Some(Left::Waiting | Left::Evicted) => shed(exchange, io, route),
        None => {}
    }
}

/// The exchange ends while it waits.
pub(crate) fn leave(exchange: &mut Exchange, io: &mut Io<'_>) {
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    if let Some(Left::Promised(slot)) = left(exchange, io, route) {
        serve(io, route, slot);
    }
}

fn left(exchange: &mut Exchange, io: &mut Io<'_>, route: &Route) -> Option<Left> {
    let Queued { place } = exchange.call.queued.take()?;
    let left = io.local.routing.model(route.slot).queue.as_mut()?.leave(place);
    if let Left::Promised(slot) = left {
        give_back(io, slot);
    }
    Some(left)
}

/// Room that was kept is free again.
fn give_back(io: &mut Io<'_>, slot: u32) {
    let state = io.local.routing.target_at(slot);
    state.promised = state.promised.saturating_sub(1);
}

/// Keeps the room that a target has for those whose turn it is.
fn serve(io: &mut Io<'_>, route: &Route, slot: u32) {
    let Some(bounds) = &route.overload else { return };
    loop {
        let Some(queue) = io.local.routing.model(route.slot).queue.as_mut() else {
            return;
        };
        if let Some(lost) = queue.lost(io.now) {
            give_back(io, lost);
            continue;
        }
        if !io.local.routing.target_at(slot).has_room(bounds) {
            return;
        }
        let queue = io.local.routing.model(route.slot).queue.as_mut();
        let Some(of) = queue.and_then(|queue| queue.promise(io.now, slot)) else {
            return;
        };
        io.local.routing.target_at(slot).promised += 1;
        io.out.actions.push(Action::Turn { of });
    }
}

/// An attempt at the target ended.
pub(super) fn ended(exchange: &Exchange, io: &mut Io<'_>, route: &Route, target: &Target) {
    let Some(queue) = io.local.routing.model(route.slot).queue.as_mut() else {
        return;
    };
    if let Some(refused) = queue.ended(io.now) {
        tell(exchange, io, Some(refused));
    }
    serve(io, route, target.slot);
}

/// The attempt under way was answered.
pub(super) fn answered(
    exchange: &Exchange,
    io: &mut Io<'_>,
    (route, target, bounds): (&Route, &Target, &Overload),
    status: u16,
) {
    let asked = asked(exchange, io, target);
    let (now, took_ns) = (io.now, io.now.ns_since(asked.sent));
    let limit = limit(io, target, bounds);
    match status {
        _ if OVERLOADED.contains(&status) => return limit.lost(now, &asked, bounds),
        // An error is soon said.
        400.. => return,
        _ => limit.answered(&asked, took_ns, bounds),
    }
    serve(io, route, target.slot);
}

/// It was not answered in time.
pub(super) fn timed_out(exchange: &Exchange, io: &mut Io<'_>) {
    let Some(live) = exchange.call.live else { return };
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let Some(bounds) = &route.overload else { return };
    let target = &route.targets[live.target];
    let asked = asked(exchange, io, target);
    let now = io.now;
    limit(io, target, bounds).lost(now, &asked, bounds);
}

fn asked(exchange: &Exchange, io: &Io<'_>, target: &Target) -> Asked {
    Asked {
        class: Class::of(io.body.len(), exchange.facts.stream),
        // Where no connection came about it is that which took too long.
        sent: exchange.call.sent.max(exchange.call.dialled),
        found_busy: exchange.call.found_busy,
        busy: io.local.routing.look(target).map_or(0, |state| state.busy),
    }
}

fn limit<'a>(io: &'a mut Io<'_>, target: &Target, bounds: &Overload) -> &'a mut Limit {
    let limit = &mut io.local.routing.target(target).limit;
    limit.get_or_insert_with(|| Box::new(Limit::new(bounds)))
}

/// Refuses the call before anything of it is translated.
fn shed(exchange: &mut Exchange, io: &mut Io<'_>, route: &Route) {
    let queue = io.local.routing.model(route.slot).queue.get_or_insert_default();
    let retry_after_s = queue.drained_in_s();
    if queue.refuses(io.now) {
        tell(exchange, io, None);
    }
    let priority = class(exchange);
    exchange.refuse(
        Failure::gateway(Kind::Overloaded {
            priority,
            retry_after_s,
        }),
        io,
    );
}

fn tell(exchange: &Exchange, io: &mut Io<'_>, ended: Option<u64>) {
    let model = route_index(exchange);
    io.out.sheds.push(ShedChange { model, ended });
}
