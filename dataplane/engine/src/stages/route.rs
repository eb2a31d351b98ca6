//! route: the order in which the model's targets are tried.
//!
//! A request that carries what a provider signed goes to that provider alone, where the
//! model has it as a target: nobody else can read it. One that names what lives at a provider goes there or nowhere.

use crate::{
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    routing::{choose, needs::Needs},
    snapshot::Target,
    stage::Verdict,
    upward,
};

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    if exchange.facts.direct.is_some() {
        // The model is not known yet, and whose it is is.
        return Verdict::Next;
    }
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
    let mut order = choose::order(exchange, io, route, |target| reaches(exchange, io, target));
    if order.as_slice().len() > 1 && route.targets.iter().any(|target| target.facts.is_some()) {
        let needs = Needs::of(exchange.admitted.body(io.body));
        order.retain(|index| needs.lacking(route.targets[index].facts).is_none());
    }
    exchange.call.order = order;
    if !order.as_slice().is_empty() {
        return Verdict::Next;
    }
    let kind = match (exchange.call.pinned_by, route.targets.is_empty()) {
        (Some(_), _) => elsewhere(exchange),
        (None, true) => Kind::NoTarget,
        (None, false) if route.targets.iter().any(|target| serves(exchange, target)) => Kind::NotForThisCall,
        (None, false) => Kind::NotOffered,
    };
    Verdict::Refuse(Failure::client(kind))
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

/// Can the target be asked for this, and is it meant for calls like this one?
fn reaches(exchange: &Exchange, io: &Io<'_>, target: &Target) -> bool {
    serves(exchange, target) && target.when.as_ref().is_none_or(|when| when.hold(exchange, io.request))
}

/// Why a target is not in a call's order.
pub(crate) fn obstacle(exchange: &Exchange, io: &Io<'_>, target: &Target) -> &'static str {
    let pinned = exchange.pin();
    let upstream = &pinned.snapshot.upstreams[target.provider];
    if !upward::reaches(exchange.facts.surface, upstream) {
        return "its provider does not have what the path asks for";
    }
    if exchange.call.only_provider.is_some_and(|only| only != target.provider) {
        return "the request carries what another provider signed or keeps";
    }
    if target
        .when
        .as_ref()
        .is_some_and(|when| !when.hold(exchange, io.request))
    {
        return "its `when` does not hold for this call";
    }
    let needs = Needs::of(exchange.admitted.body(io.body));
    needs.lacking(target.facts).unwrap_or("it is not asked for this call")
}

/// Can the target be asked for what the path is for, and may it be?
fn serves(exchange: &Exchange, target: &Target) -> bool {
    let pinned = exchange.pin();
    let (surface, only) = (exchange.facts.surface, exchange.call.only_provider);
    let upstream = &pinned.snapshot.upstreams[target.provider];
    let reaches = exchange.facts.direct.is_some() || upward::reaches(surface, upstream);
    reaches && only.is_none_or(|only| only == target.provider)
}
