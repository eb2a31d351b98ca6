//! route: the model's targets in order of priority.
//!
//! The strategy is fixed (priority). A request that carries what a provider signed goes to that provider alone, where the
//! model has it as a target: nobody else can read it. One that names what lives at a provider goes there or nowhere.

use crate::{
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    snapshot::{Route, Target},
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
    if exchange.call.only_provider.is_none() {
        let issuer = exchange.admitted.issued_by;
        exchange.call.only_provider =
            issuer.filter(|&issuer| route.targets.iter().any(|target| target.provider == issuer));
    }
    match next_target(exchange, route, 0) {
        Some(_) => Verdict::Next,
        None if exchange.call.pinned_by.is_some() => Verdict::Refuse(Failure::client(elsewhere(exchange))),
        None if route.targets.is_empty() => Verdict::Refuse(Failure::client(Kind::NoTarget)),
        None => Verdict::Refuse(Failure::client(Kind::NotOffered)),
    }
}

/// An object lives at a provider that the model does not go to.
fn elsewhere(exchange: &Exchange) -> Kind {
    let pinned = exchange.pin();
    let provider = exchange
        .call
        .only_provider
        .map_or("?", |provider| &*pinned.snapshot.endpoints[provider].provider);
    let model = &exchange.facts.model_asked;
    Kind::Untranslatable {
        field: exchange.call.pinned_by.unwrap_or("id").into(),
        wrong: format!("names what lives at the provider '{provider}', which is no target of the model '{model}'")
            .into(),
        offset: 0,
    }
}

/// The first target from `from` on that can be tried.
pub(crate) fn next_target(exchange: &Exchange, route: &Route, from: usize) -> Option<usize> {
    let pinned = exchange.pin();
    let (surface, only) = (exchange.facts.surface, exchange.call.only_provider);
    let serves = |target: &Target| {
        let (spoken, _) = pinned.snapshot.upstreams[target.provider].spoken(surface.dialect);
        let reaches = exchange.facts.direct.is_some() || surface.operation.reaches(surface.dialect, spoken);
        reaches && only.is_none_or(|only| only == target.provider)
    };
    let mut rest = route.targets.iter().enumerate().skip(from);
    rest.find(|(_, target)| serves(target)).map(|(i, _)| i)
}
