//! What a call must be like for a target to be tried.

use tollgate_config::document;

use crate::{exchange::Exchange, patterns::Patterns};
use tollgate_wire::head::RequestView;

/// All of them hold, or the target is not for this call.
#[derive(Debug)]
pub(crate) struct Conditions {
    keys: Patterns,
    teams: Patterns,
    users: Patterns,
    tags: Vec<(Box<str>, Box<str>)>,
    headers: Vec<(Box<str>, Box<str>)>,
    body_bytes: std::ops::RangeInclusive<u64>,
}

impl Conditions {
    /// None where nothing is asked for.
    pub fn new(when: &document::Conditions) -> Option<Box<Self>> {
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
            })
        })
    }

    pub fn hold(&self, exchange: &Exchange, request: RequestView<'_>) -> bool {
        let pinned = exchange.pin();
        let key = exchange.facts.key.map(|key| pinned.keys.entry(key));
        // Whoever is in no team is not in one that a pattern names.
        let named = |patterns: &Patterns, name: Option<&str>| patterns.admit(name.unwrap_or_default());
        let has_tag = |(name, value): &(Box<str>, Box<str>)| {
            let mut tags = exchange.facts.tags.split(',').filter_map(|tag| tag.split_once('='));
            tags.any(|(own_name, own_value)| own_name.trim() == &**name && own_value.trim() == &**value)
        };
        let has_header = |(name, value): &(Box<str>, Box<str>)| {
            request
                .named(name.as_bytes())
                .is_some_and(|own| own.trim_ascii() == value.as_bytes())
        };
        self.body_bytes.contains(&exchange.facts.request_body_bytes)
            && named(&self.keys, key.map(|key| &*key.name))
            && named(&self.teams, key.and_then(|key| key.team.as_deref()))
            && named(&self.users, key.and_then(|key| key.user.as_deref()))
            && self.tags.iter().all(has_tag)
            && self.headers.iter().all(has_header)
    }
}
