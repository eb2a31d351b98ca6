//! cache: is the call's answer there already, or on its way? On the way back a complete answer is kept (`exact`).

use tollgate_wire::head::Known;

use crate::{
    exact::{self, Wish},
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    stage::Verdict,
};

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    let wish = match io.request.get(Known::XTollgateCache) {
        None => Wish::Any,
        Some(b"bypass") => Wish::Bypass,
        Some(b"refresh") => Wish::Refresh,
        Some(b"only") => Wish::Only,
        Some(_) => {
            return Verdict::Refuse(Failure::client(Kind::Header {
                name: "x-tollgate-cache",
                wrong: "must be bypass, refresh or only",
            }));
        }
    };
    let pinned = exchange.pin();
    let route = exchange
        .facts
        .route()
        .and_then(|route| pinned.snapshot.routes.get(route));
    match route.and_then(|route| route.cache.as_ref()) {
        Some(_) if io.local.usage_full => without_room(exchange, io, wish),
        Some(policy) => exact::enter(exchange, io, policy, wish),
        None if wish == Wish::Only => Verdict::Refuse(Failure::client(Kind::CacheMiss)),
        None => Verdict::Next,
    }
}

/// An answer that is kept leaves a record as others do. Where there is no room for one none is looked for: the call is
/// refused, or waits for room, where its provider would be asked (`attempt`).
fn without_room(exchange: &mut Exchange, io: &Io<'_>, wish: Wish) -> Verdict {
    exchange.facts.wait_ends(io.now);
    exchange.exact = None;
    match wish {
        Wish::Only => Verdict::Refuse(Failure::gateway(Kind::UsageSpoolFull)),
        Wish::Any | Wish::Bypass | Wish::Refresh => Verdict::Next,
    }
}
