//! route: the model's targets in order of priority, those that speak the dialect that was called.
//!
//! The strategy is fixed (priority); translation between dialects comes later, so other targets are passed over.

use crate::{
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    snapshot::Route,
    stage::Verdict,
};

pub(crate) fn enter(exchange: &mut Exchange, _: &mut Io<'_>) -> Verdict {
    let pinned = exchange.pin();
    let Some(model) = &exchange.facts.model else {
        return Verdict::Refuse(Failure::gateway(Kind::Internal(
            "a route was asked for before the model was known",
        )));
    };
    let route = &pinned.snapshot.routes[model.model.0 as usize];
    if next_target(exchange, route, 0).is_some() {
        return Verdict::Next;
    }
    let kind = if route.targets.is_empty() {
        Kind::NoTarget
    } else {
        Kind::Untranslated
    };
    Verdict::Refuse(Failure::client(kind))
}

/// The first target from `from` on that can be tried.
pub(crate) fn next_target(exchange: &Exchange, route: &Route, from: usize) -> Option<usize> {
    let dialect = exchange.facts.surface.dialect;
    let rest = route.targets.iter().enumerate().skip(from);
    rest.filter(|(_, target)| Some(target.dialect) == dialect)
        .map(|(i, _)| i)
        .next()
}
