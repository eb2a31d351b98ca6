//! What a call must be like for a target to be tried.

use std::ops::RangeInclusive;

use tollgate_config::{
    document::{self, Charge, Features, Hours, SpentShare, leaves_margin},
    money::{NanoUsd, PicoUsd},
    prices::ServiceTier,
};

use super::{needs, reckoning::BYTES_A_TOKEN};
use crate::{
    exchange::{Exchange, Io},
    limits::spent,
    patterns::Patterns,
    snapshot::{Route, Target},
};

/// All of them hold, or the target is not for this call.
#[derive(Debug)]
pub(crate) struct Conditions {
    keys: Patterns,
    teams: Patterns,
    users: Patterns,
    tags: Vec<(Box<str>, Box<str>)>,
    headers: Vec<(Box<str>, Box<str>)>,
    body_bytes: RangeInclusive<u64>,
    features: Features,
    without: Features,
    tokens: RangeInclusive<u64>,
    hours: Option<Hours>,
    max_cost: Option<PicoUsd>,
    /// What must be left of what callers are charged, in percent.
    margin: Option<(u32, Charge)>,
    spent_share: Option<SpentShare>,
}

/// What the call asks for, where a condition of the route goes by it.
pub(crate) fn features(exchange: &Exchange, io: &Io<'_>, route: &Route) -> Features {
    match route.judges_features {
        true => needs::asked_for(exchange.admitted.body(io.body), exchange.facts.stream),
        false => Features::NONE,
    }
}

impl Conditions {
    /// None where nothing is asked for.
    pub fn new(when: &document::Conditions, charge: Option<&Charge>) -> Option<Box<Self>> {
        let pairs = |pairs: &[(String, String)]| {
            let boxed = |(name, value): &(String, String)| (name.as_str().into(), value.as_str().into());
            pairs.iter().map(boxed).collect()
        };
        (*when != document::Conditions::default()).then(|| {
            Box::new(Self {
                keys: Patterns::new(&when.keys),
                teams: Patterns::new(&when.teams),
                users: Patterns::new(&when.users),
                tags: pairs(&when.tags),
                headers: pairs(&when.headers),
                body_bytes: when.min_body_bytes.unwrap_or(0)..=when.max_body_bytes.unwrap_or(u64::MAX),
                features: when.features,
                without: when.without,
                tokens: when.min_tokens.unwrap_or(0)..=when.max_tokens.unwrap_or(u64::MAX),
                hours: when.hours.clone(),
                max_cost: when.max_cost.map(NanoUsd::to_picos),
                margin: when.margin_percent.zip(charge.cloned()),
                spent_share: when.spent_share,
            })
        })
    }

    /// It goes by what a call asks for.
    pub fn judges_features(&self) -> bool {
        !(self.features.is_empty() && self.without.is_empty())
    }

    /// It goes by what a call is expected to cost.
    pub fn judges_cost(&self) -> bool {
        self.max_cost.is_some() || self.margin.is_some()
    }

    /// The first that does not hold, by its name in the document.
    pub fn failing(&self, exchange: &Exchange, io: &Io<'_>, asked: Features, target: &Target) -> Option<&'static str> {
        let pinned = exchange.pin();
        let key = exchange.facts.key.map(|key| pinned.keys.entry(key));
        // Whoever is in no team is not in one that a pattern names.
        let named = |patterns: &Patterns, name: Option<&str>| patterns.admit(name.unwrap_or_default());
        let has_tag = |(name, value): &(Box<str>, Box<str>)| {
            let mut tags = exchange.facts.tags.split(',').filter_map(|tag| tag.split_once('='));
            tags.any(|(own_name, own_value)| own_name.trim() == &**name && own_value.trim() == &**value)
        };
        let has_header = |(name, value): &(Box<str>, Box<str>)| {
            let own = io.request.named(name.as_bytes());
            own.is_some_and(|own| own.trim_ascii() == value.as_bytes())
        };
        let tokens = || (exchange.admitted.body(io.body).len() / BYTES_A_TOKEN) as u64;
        let checks: [(&'static str, &dyn Fn() -> bool); 13] = [
            ("min_body or max_body", &|| {
                self.body_bytes.contains(&exchange.facts.request_body_bytes)
            }),
            ("keys", &|| named(&self.keys, key.map(|key| &*key.name))),
            ("teams", &|| named(&self.teams, key.and_then(|key| key.team.as_deref()))),
            ("users", &|| named(&self.users, key.and_then(|key| key.user.as_deref()))),
            ("tags", &|| self.tags.iter().all(has_tag)),
            ("headers", &|| self.headers.iter().all(has_header)),
            ("features", &|| asked.has_all(self.features)),
            ("without", &|| !asked.has_any(self.without)),
            ("min_tokens or max_tokens", &|| self.tokens.contains(&tokens())),
            ("hours and days", &|| {
                self.hours.as_ref().is_none_or(|hours| hours.holds(io.unix_ms / 1_000))
            }),
            ("max_cost", &|| self.is_cheap_enough(exchange, io, target)),
            ("margin", &|| self.leaves_enough(exchange, io, target)),
            ("spent_share", &|| {
                let share = self.spent_share.as_ref();
                share.is_none_or(|share| spent::holds(exchange, io, share))
            }),
        ];
        checks.iter().find(|(_, holds)| !holds()).map(|(name, _)| *name)
    }

    /// What has no price is not known to be cheap enough.
    fn is_cheap_enough(&self, exchange: &Exchange, io: &Io<'_>, target: &Target) -> bool {
        let (Some(most), Some(reckoning)) = (self.max_cost, &exchange.call.reckoning) else {
            return true;
        };
        let expected = reckoning.cost(target, &io.local.routing, (io.now, io.unix_ms));
        expected.is_some_and(|cost| cost <= most)
    }

    /// The same of what is charged. What was expected to be read from a provider's cache is charged as that, too.
    fn leaves_enough(&self, exchange: &Exchange, io: &Io<'_>, target: &Target) -> bool {
        let (Some((percent, Charge(charge))), Some(reckoning)) = (&self.margin, &exchange.call.reckoning) else {
            return true;
        };
        let now = (io.now, io.unix_ms);
        let charged = charge.cost(
            &reckoning.counts(target, &io.local.routing, io.now),
            ServiceTier::Standard,
        );
        let cost = reckoning.cost(target, &io.local.routing, now);
        cost.is_some_and(|cost| leaves_margin(charged, cost, *percent))
    }
}
