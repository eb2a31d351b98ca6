//! Whose limits there are: compiled lists by scope, each limit with the number that its balance is found by.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tollgate_config::document::{Limit, Unit, Window};

use super::{Balances, Level, bucket, calendar::Today, owner, tags};
use crate::{Snapshot, identity::KeyTable};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Organization,
    Team,
    User,
    Key,
    Model,
    /// Calls that say the same of a tag: `project=x`.
    Tag,
    Provider,
}

impl Scope {
    pub const ALL: [Self; 7] = [
        Self::Organization,
        Self::Team,
        Self::User,
        Self::Key,
        Self::Model,
        Self::Tag,
        Self::Provider,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Team => "team",
            Self::User => "user",
            Self::Key => "key",
            Self::Model => "model",
            Self::Tag => "tag",
            Self::Provider => "provider",
        }
    }
}

/// The limits of one key, team, ….
#[derive(Debug)]
pub(crate) struct Rules {
    pub scope: Scope,
    pub name: Box<str>,
    pub all: Box<[Rule]>,
    /// Some count what a call says and is told.
    pub counts: bool,
    /// Some are hard.
    pub has_hard: bool,
    /// Some end streams where they end.
    pub cuts: bool,
}

#[derive(Debug)]
pub(crate) struct Rule {
    /// Made from the scope, its name, the unit and the period: it outlives revisions, restarts, and a change of the amount.
    pub id: u64,
    pub limit: Limit,
}

impl Rules {
    /// `None`: nothing is limited.
    pub fn new(scope: Scope, name: &str, limits: &[Limit]) -> Option<Arc<Self>> {
        let rule = |limit: &Limit| Rule {
            id: number(scope, name, limit),
            limit: *limit,
        };
        (!limits.is_empty()).then(|| {
            Arc::new(Self {
                scope,
                name: name.into(),
                all: limits.iter().map(rule).collect(),
                counts: limits.iter().any(|limit| counts(limit.unit)),
                has_hard: limits.iter().any(Limit::is_hard),
                cuts: limits.iter().any(Limit::cuts),
            })
        })
    }
}

fn counts(unit: Unit) -> bool {
    !matches!(unit, Unit::Requests | Unit::Concurrent)
}

/// 63 bits of SHA-256: among a million limits two are alike once in some fifteen million times.
fn number(scope: Scope, name: &str, limit: &Limit) -> u64 {
    let period = match limit.window {
        Window::None => String::new(),
        Window::Refill { per_ms, .. } => format!("{per_ms}ms"),
        Window::Calendar(period) => period.name().to_owned(),
    };
    let text = format!("{}\n{name}\n{}\n{period}", scope.name(), limit.unit.name());
    let digest = Sha256::digest(text);
    let number = digest[..8].iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    owner::number(number)
}

/// A limit and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub scope: Scope,
    pub name: String,
    pub limit: Limit,
    pub level: Level,
}

/// All that there are, but for those of tags.
pub(super) fn all<'s>(snapshot: &'s Snapshot, keys: &'s KeyTable) -> impl Iterator<Item = &'s Rules> {
    let of_models = snapshot.routes.iter().filter_map(|route| route.limits.as_deref());
    let of_providers = snapshot
        .upstreams
        .iter()
        .filter_map(|upstream| upstream.limits.as_deref());
    snapshot
        .organization
        .as_deref()
        .into_iter()
        .chain(keys.rules())
        .chain(of_models)
        .chain(of_providers)
}

/// All limits of a scope, or of one name in it, as they stand now, but for those of tags.
pub fn report(
    (snapshot, keys): (&Snapshot, &KeyTable),
    balances: &Balances,
    unix_ms: u64,
    wanted: impl Fn(Scope, &str) -> bool,
) -> Vec<Report> {
    let wanted = all(snapshot, keys).filter(|rules| wanted(rules.scope, &rules.name));
    wanted
        .flat_map(|rules| told(snapshot, balances, unix_ms, rules))
        .collect()
}

/// Those of one value of a tag: `project=x`.
pub fn report_tag(snapshot: &Snapshot, balances: &Balances, unix_ms: u64, tag: &str) -> Vec<Report> {
    let rules = tags::named(snapshot, tag);
    rules
        .iter()
        .flat_map(|rules| told(snapshot, balances, unix_ms, rules))
        .collect()
}

fn told(snapshot: &Snapshot, balances: &Balances, unix_ms: u64, rules: &Rules) -> Vec<Report> {
    let unix_ms = balances.unix_ms(unix_ms);
    let now = bucket::Moment {
        unix_ms,
        today: Today::at(&snapshot.zone, unix_ms),
    };
    let report = |rule: &Rule| Report {
        scope: rules.scope,
        name: rules.name.to_string(),
        limit: rule.limit,
        level: bucket::level(balances, (rule.id, &rule.limit), &now),
    };
    rules.all.iter().map(report).collect()
}
