//! route: the order in which the model's targets are tried.
//!
//! A request that carries what a provider signed goes to that provider alone, where the
//! model has it as a target: nobody else can read it. One that names what lives at a provider goes there or nowhere.

use crate::{
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    routing::{choose, needs},
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
    let obstacle = |target: &Target| obstacle(exchange, io, target);
    let mut order = choose::order(exchange, io, route, |target| obstacle(target).is_none());
    if order.as_slice().len() > 1 {
        let body = exchange.admitted.body(io.body);
        order.retain(|index| needs::lacking(body, route.targets[index].facts).is_none());
    }
    if !order.as_slice().is_empty() {
        exchange.call.order = order;
        return Verdict::Next;
    }
    let by_when = || {
        route
            .targets
            .iter()
            .any(|target| obstacle(target) == Some(Obstacle::When))
    };
    let kind = match (exchange.call.pinned_by, route.targets.is_empty()) {
        (Some(_), _) => elsewhere(exchange),
        (None, true) => Kind::NoTarget,
        (None, false) if by_when() => Kind::NotForThisCall,
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

/// What is in the way of asking a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Its provider does not have what the path asks for.
    Path,
    /// The request is another provider's.
    Elsewhere,
    /// Its `when` does not hold.
    When,
}

impl Obstacle {
    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Path => "its provider does not have what the path asks for",
            Self::Elsewhere => "the request carries what another provider signed or keeps",
            Self::When => "its `when` does not hold for this call",
        }
    }
}

pub(crate) fn obstacle(exchange: &Exchange, io: &Io<'_>, target: &Target) -> Option<Obstacle> {
    let pinned = exchange.pin();
    let upstream = &pinned.snapshot.upstreams[target.provider];
    if !upward::reaches(exchange.facts.surface, upstream) {
        return Some(Obstacle::Path);
    }
    if exchange.call.only_provider.is_some_and(|only| only != target.provider) {
        return Some(Obstacle::Elsewhere);
    }
    let holds = target.when.as_ref().is_none_or(|when| when.hold(exchange, io.request));
    (!holds).then_some(Obstacle::When)
}
