//! route: the order in which the model's targets are tried.
//!
//! A request that carries what a provider signed goes to that provider alone, where the
//! model has it as a target: nobody else can read it. One that names what lives at a provider goes there or nowhere.

use std::borrow::Cow;

use tollgate_config::document::Features;

use crate::{
    exchange::{Exchange, Io},
    explain,
    failure::{Failure, Kind},
    routing::{choose, conditions, meaning, reckoning::Reckoning, residency::Regions},
    snapshot::{Route, Target},
    stage::Verdict,
    upward,
};

pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
    let verdict = decide(exchange, io);
    if explain::is_asked_for(exchange, io) {
        explain::note(exchange, io, &verdict);
    }
    verdict
}

fn decide(exchange: &mut Exchange, io: &mut Io<'_>) -> Verdict {
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
    let bound = exchange.admitted.bound;
    exchange.call.reckoning = route.reckons.then(|| Reckoning::new(exchange, io, route, bound));
    if route.reads_meaning {
        meaning::judge(exchange, io, route);
    }
    let asked = Asked::by(exchange, io, route);
    let obstacle = |target: &Target| obstacle(exchange, io, &asked, target);
    let order = choose::order(exchange, io, route, |target| obstacle(target).is_none());
    if !order.as_slice().is_empty() {
        exchange.call.order = order;
        return Verdict::Next;
    }
    let is_by = |is: fn(&Obstacle) -> bool| {
        route
            .targets
            .iter()
            .any(|target| obstacle(target).is_some_and(|by| is(&by)))
    };
    let kind = match (exchange.call.pinned_by, route.targets.is_empty()) {
        (Some(_), _) => elsewhere(exchange),
        (None, true) => Kind::NoTarget,
        (None, false) if is_by(|by| matches!(by, Obstacle::When(_))) => Kind::NotForThisCall,
        (None, false) if is_by(|by| *by == Obstacle::Region) => Kind::OutsideRegion,
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
    /// It is in no region that the call may go to.
    Region,
    /// This of its `when` does not hold.
    When(&'static str),
}

impl Obstacle {
    /// For people.
    pub fn words(self) -> Cow<'static, str> {
        match self {
            Self::Path => "its provider does not have what the path asks for".into(),
            Self::Elsewhere => "the request carries what another provider signed or keeps".into(),
            Self::Region => "it is in no region that the call may go to".into(),
            Self::When(what) => format!("its `when` does not hold for this call: {what}").into(),
        }
    }
}

/// What is asked of all targets alike.
pub(crate) struct Asked<'a> {
    features: Features,
    regions: Regions<'a>,
}

impl<'a> Asked<'a> {
    pub fn by(exchange: &'a Exchange, io: &Io<'_>, route: &Route) -> Self {
        Self {
            features: conditions::features(exchange, io, route),
            regions: Regions::of(exchange),
        }
    }
}

pub(crate) fn obstacle(exchange: &Exchange, io: &Io<'_>, asked: &Asked<'_>, target: &Target) -> Option<Obstacle> {
    let pinned = exchange.pin();
    let upstream = &pinned.snapshot.upstreams[target.provider];
    if !upward::reaches(exchange.facts.surface, upstream) {
        return Some(Obstacle::Path);
    }
    if exchange.call.only_provider.is_some_and(|only| only != target.provider) {
        return Some(Obstacle::Elsewhere);
    }
    if !asked.regions.admit(target.region.as_deref()) {
        return Some(Obstacle::Region);
    }
    let when = target.when.as_ref()?;
    when.failing(exchange, io, asked.features, target).map(Obstacle::When)
}
