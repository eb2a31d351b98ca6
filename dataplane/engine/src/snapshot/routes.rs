//! Models → routes: targets with what is sent to them, how they are chosen among, and where their state is kept.

use std::sync::Arc;

use hashbrown::HashMap;
use tollgate_config::{
    Document, Problem,
    document::{
        Breaker, Conditions as When, HedgeAfter, Limit, Model, OnUnsupported, Provider, Retry, Strategy, Streams,
        Target as Listed, TokenTimeouts, Unit,
    },
    fnv::Fnv,
    prices::Priced,
};
use tollgate_dialect::quirks::Quirks;
use tollgate_wire::json::edit;

use super::{ModelId, ModelNames, Route, Target, TargetModel, quirks, references::pointer};
use crate::{
    compress,
    exact::{Policy, Second},
    guard,
    limits::{Rules, Scope},
    names::header,
    routing::{
        Slots,
        choose::Tier,
        conditions::Conditions,
        grants::Grants,
        meaning::{Judge, Meaning},
    },
    visible,
};

/// What a route is compiled with beside its model.
pub(crate) struct Places<'a> {
    pub before: &'a Slots,
    pub slots: &'a mut Slots,
    pub models: &'a ModelNames,
    /// Of each provider.
    pub grants: &'a [Option<Arc<Grants>>],
    pub meaning: Option<&'a Meaning>,
    pub guards: &'a guard::Compiled,
    /// Of each cache.
    pub seconds: &'a [Option<Second>],
}

pub(super) fn compile(
    (name, model): (&str, &Model),
    providers: &HashMap<&str, usize>,
    document: &Document,
    places: &mut Places<'_>,
    problems: &mut Vec<Problem>,
) -> Route {
    let mut targets = Vec::with_capacity(model.targets.len());
    for (i, listed) in model.targets.iter().enumerate() {
        let Some(&provider) = providers.get(listed.provider.as_str()) else {
            let at = format!("{}/{i}/provider", pointer(&["models", name, "targets"]));
            let wrong = format!("there is no provider '{}'", listed.provider);
            problems.push(Problem::new(at, wrong, "the name of an entry of 'providers'"));
            continue;
        };
        targets.push(target(
            name,
            (provider, &document.providers[provider].1),
            (listed, model),
            places,
        ));
    }
    let other = |name: &Option<String>| -> Option<ModelId> { Some(places.models.find(name.as_deref()?)?.model) };
    let tiers = tiers(model, targets.len(), places.meaning);
    refuse_unpriced(name, model, &targets, &tiers, problems);
    let has = |strategy| tiers.iter().any(|tier| tier.strategy == strategy);
    let conditions = || targets.iter().filter_map(|target| target.when.as_deref());
    Route {
        measures: has(Strategy::LeastLatency),
        reckons: has(Strategy::LowestCost)
            || conditions().any(Conditions::judges_cost)
            || targets.iter().any(Target::counts_tokens),
        learns: limits_tokens(document),
        limits: Rules::new(Scope::Model, name, &model.limits),
        reads_limits: has(Strategy::Headroom),
        draws: tiers.iter().any(|tier| tier.affinity.is_some()),
        judges_features: conditions().any(Conditions::judges_features),
        reads_meaning: tiers.iter().any(|tier| tier.judge.is_some()),
        tiers,
        targets,
        retry: model.retry.clone(),
        breaker: model.breaker.clone(),
        overload: model.overload.clone(),
        on_unsupported: model.on_unsupported,
        on_context_overflow: other(&model.on_context_overflow),
        on_refusal: other(&model.on_refusal),
        streams: model.streams,
        hedge: model.hedge.clone(),
        learns_answers: matches!(&model.hedge, Some(hedge) if matches!(hedge.after, HedgeAfter::Quantile { .. })),
        shadow: model.shadow.as_ref().and_then(|shadow| {
            let found = places.models.find(&shadow.model)?;
            Some((found.model, shadow.share_percent))
        }),
        cache: cache(model, document, places.seconds),
        guards: places.guards.of(model, document),
        compress: (model.compress.as_ref()).map(|said| Arc::new(compress::Plan::new(said, places.models))),
        slot: places.slots.model(places.before, name),
    }
}

/// What keeps the model's answers. Another revision's are this one's where they would come the same way.
fn cache(model: &Model, document: &Document, seconds: &[Option<Second>]) -> Option<Arc<Policy>> {
    let name = model.cache.as_deref()?;
    let at = document.caches.iter().position(|(known, _)| known == name)?;
    let (_, cache) = document.caches.get(at)?;
    let second = seconds.get(at).cloned().flatten();
    let asked = Model {
        limits: Vec::new(),
        hedge: None,
        shadow: None,
        ..model.clone()
    };
    let is_asked = |provider: &str| model.targets.iter().any(|target| target.provider == provider);
    let providers = document.providers.iter().filter(|(name, _)| is_asked(name));
    let places: Vec<_> = providers
        .map(|(name, provider)| {
            let speaks = (provider.dialect, &provider.paths, &provider.also);
            let is = (&provider.row.kind, &provider.residency);
            (name, &provider.base_url, speaks, is, &provider.headers)
        })
        .collect();
    // What may be kept counts as well: what a wider `allow` kept is not given by a narrower one.
    let allow = cache.allow;
    // What a guard would not let pass now, it may have before.
    let guards = document.guards.iter().filter(|(name, _)| model.guards.contains(name));
    let guards: Vec<_> = guards.map(|guard| (guard, &document.embedding.model)).collect();
    let version = Fnv::of(format!("{asked:?}{places:?}{allow:?}{guards:?}").as_bytes());
    Policy::new((name, cache), document, version, second)
}

/// Is anything limited by what answers are long? Keys of the identity store have no such limits of their own.
fn limits_tokens(document: &Document) -> bool {
    let counts = |limits: &[Limit]| {
        limits
            .iter()
            .any(|limit| !matches!(limit.unit, Unit::Requests | Unit::Concurrent))
    };
    counts(&document.organization)
        || document.teams.iter().any(|(_, team)| counts(&team.limits))
        || document.users.iter().any(|(_, user)| counts(&user.limits))
        || document.keys.iter().any(|(_, key)| counts(&key.limits))
        || document.models.iter().any(|(_, model)| counts(&model.limits))
}

/// `lowest_cost`, `max_cost` and `margin` need to know what a target costs.
fn refuse_unpriced(name: &str, model: &Model, targets: &[Target], tiers: &[Tier], problems: &mut Vec<Problem>) {
    for (number, tier) in tiers.iter().enumerate() {
        for index in tier.targets.clone() {
            let (Some(target), Some(listed)) = (targets.get(index), model.targets.get(index)) else {
                continue;
            };
            let asking = match (tier.strategy, listed.when.max_cost, listed.when.margin_percent) {
                (Strategy::LowestCost, ..) => "lowest_cost",
                (_, Some(_), _) => "max_cost",
                (_, None, Some(_)) => "margin",
                (_, None, None) => continue,
            };
            if target.priced.versions().any(|(_, price)| price.is_some()) {
                continue;
            }
            // A model without tiers has one here, and says so in the document otherwise.
            let at = match model.tiers.len() {
                0 | 1 => format!("{}/{index}", pointer(&["models", name, "targets"])),
                _ => format!(
                    "{}/{number}/targets/{}",
                    pointer(&["models", name, "tiers"]),
                    index - tier.targets.start
                ),
            };
            let wrong = format!(
                "`{asking}` needs a price, and none is known of '{}' at '{}'",
                listed.model, listed.provider
            );
            let right =
                "`prices` of the provider, `like` with a model that 'tollgate prices list' has, or none of this";
            problems.push(Problem::new(at, wrong, right));
        }
    }
}

fn target(
    name: &str,
    (index, provider): (usize, &Provider),
    (listed, asked): (&Listed, &Model),
    places: &mut Places<'_>,
) -> Target {
    let model = match listed.model.split_once('*') {
        Some((before, after)) if name.ends_with('*') => TargetModel::Star {
            before: before.into(),
            after: after.into(),
        },
        _ => fixed(&listed.provider, &listed.model),
    };
    let (priced, facts) = match model {
        TargetModel::Fixed { .. } => {
            let facts = provider.prices.facts(listed.known_as());
            (provider.prices.of(&listed.model, listed.known_as()), facts)
        }
        TargetModel::Star { .. } => (Priced::default(), None),
    };
    let own_name = format!("{}\n{}", listed.provider, listed.model);
    let lot = Fnv::of(own_name.as_bytes());
    let (slot, health) = places.slots.target(places.before, format!("{name}\n{own_name}"));
    Target {
        provider: index,
        quirks: quirks::of(provider.row, provider.dialect, listed.known_as()),
        like: listed.like.as_deref().map(Into::into),
        model,
        weight: listed.weight,
        when: Conditions::new(&listed.when, asked.charge.as_ref()),
        region: listed
            .region
            .as_ref()
            .or(provider.residency.as_ref())
            .map(|region| region.as_str().into()),
        grants: places.grants.get(index).cloned().flatten(),
        slot,
        health,
        lot,
        facts,
        priced,
        tokens: asked.streams.timeouts.or(provider.timeouts.tokens),
        difficulty: listed.purpose.difficulty,
    }
}

fn tiers(model: &Model, targets: usize, meaning: Option<&Meaning>) -> Vec<Tier> {
    if model.tiers.is_empty() {
        return vec![Tier {
            strategy: Strategy::Priority,
            sticky: None,
            affinity: None,
            judge: None,
            targets: 0..targets,
        }];
    }
    let mut from = 0;
    let mut tiers = Vec::with_capacity(model.tiers.len());
    for tier in &model.tiers {
        tiers.push(Tier {
            strategy: tier.strategy,
            sticky: tier.sticky.clone(),
            affinity: tier.affinity,
            judge: Judge::new(tier, from, model, meaning),
            targets: from..from + tier.targets,
        });
        from += tier.targets;
    }
    tiers
}

/// A provider as its own only target.
pub(super) fn direct((index, name): (usize, &str), places: &mut Places<'_>) -> Route {
    let mut answer_lines = Vec::new();
    visible::header(&mut answer_lines, header::PROVIDER, name.as_bytes());
    let model = TargetModel::Fixed {
        name: "".into(),
        json: Box::default(),
        answer_lines: answer_lines.into(),
    };
    // No model's name has a line break.
    only(index, format!("\n{name}"), model, places)
}

/// A model at a provider that the gateway itself asks.
pub(crate) fn own(
    (index, (name, provider)): (usize, &(String, Provider)),
    model: &str,
    places: &mut Places<'_>,
) -> Route {
    let mut route = only(index, format!("\n{name}\n{model}"), fixed(name, model), places);
    for target in &mut route.targets {
        target.quirks = quirks::of(provider.row, provider.dialect, model);
        target.priced = provider.prices.of(model, model);
        target.facts = provider.prices.facts(model);
    }
    // Whoever asks judges by more than the attempt whether it is well.
    route.breaker = Breaker {
        failures: 0,
        min_calls: u32::MAX,
        ..Breaker::default()
    };
    route
}

/// The only target of its route, asked once for each call.
fn only(index: usize, own_name: String, model: TargetModel, places: &mut Places<'_>) -> Route {
    let (slot, health) = places.slots.target(places.before, own_name.clone());
    let target = Target {
        provider: index,
        quirks: Quirks::default(),
        like: None,
        model,
        weight: 1,
        when: Conditions::new(&When::default(), None),
        region: None,
        grants: places.grants.get(index).cloned().flatten(),
        slot,
        health,
        lot: 0,
        facts: None,
        priced: Priced::default(),
        tokens: TokenTimeouts::default(),
        difficulty: None,
    };
    Route {
        targets: vec![target],
        tiers: Vec::new(),
        measures: false,
        reckons: false,
        learns: false,
        limits: None,
        reads_limits: false,
        draws: false,
        judges_features: false,
        reads_meaning: false,
        retry: Retry {
            // What is sent may not bear being sent twice.
            attempts: 1,
            ..Retry::default()
        },
        breaker: Breaker::default(),
        overload: None,
        on_unsupported: OnUnsupported::default(),
        on_context_overflow: None,
        on_refusal: None,
        // What passes unchanged has nothing added to it.
        streams: Streams {
            keep_alive_ms: None,
            ..Streams::default()
        },
        hedge: None,
        learns_answers: false,
        shadow: None,
        cache: None,
        guards: None,
        compress: None,
        slot: places.slots.model(places.before, &own_name),
    }
}

fn fixed(provider: &str, model: &str) -> TargetModel {
    let mut json = Vec::new();
    edit::write_string(&mut json, model);
    let mut answer_lines = Vec::new();
    write_target_lines(&mut answer_lines, provider, model);
    TargetModel::Fixed {
        name: model.into(),
        json: json.into(),
        answer_lines: answer_lines.into(),
    }
}

/// Appends the header lines that tell the client which target answered.
pub(crate) fn write_target_lines(out: &mut Vec<u8>, provider: &str, model: &str) {
    visible::header(out, header::PROVIDER, provider.as_bytes());
    visible::header(out, header::MODEL, model.as_bytes());
}
