//! The demand file: what will be asked of the gateway, and of which machines it shall be built. Knows no measurement.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};

use super::{
    bounds, defaults,
    figure::Sources,
    quantity::{Amount, Bytes, Count, Ratio, Seconds, Spread},
};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demand {
    pub calls_per_day: Spanned<Count>,
    /// The busiest minute's rate, divided by the day's mean.
    pub peak_factor: Spanned<Count>,
    #[serde(default)]
    pub growth: Option<Spanned<Growth>>,
    pub classes: Spanned<BTreeMap<String, Spanned<Class>>>,
    #[serde(default)]
    pub tls: Option<Spanned<Tls>>,
    #[serde(default)]
    pub cache: Option<Spanned<Cache>>,
    #[serde(default)]
    pub features: Features,
    /// Of calls whose two ends speak different dialects.
    #[serde(default)]
    pub translated: Option<Spanned<Ratio>>,
    /// Keys in the configuration.
    #[serde(default)]
    pub keys: Option<Spanned<Count>>,
    /// Client connections that wait, at peak, beside those with a call in flight.
    #[serde(default)]
    pub idle_client_connections: Option<Spanned<Count>>,
    /// Different addresses (IP and port) that provider connections go to.
    #[serde(default)]
    pub provider_addresses: Option<Spanned<Count>>,
    #[serde(default)]
    pub spool: Option<Spanned<Spool>>,
    pub node: Spanned<Node>,
    pub redundancy: Redundancy,
    /// Of each resource of a node, at peak, with the redundant nodes lost.
    pub target_utilisation: Spanned<Ratio>,
    /// What many shards give less than one shard's rate times their number, where scale was not measured.
    #[serde(default)]
    pub scale_margin: Option<Spanned<Ratio>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    pub per_year: Ratio,
    pub years: Count,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Buffered,
    Stream,
}

/// Calls that are alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    pub share: Ratio,
    pub kind: Kind,
    /// The request's body.
    pub prompt: Spread<Amount>,
    /// The answer's body; of a stream, its text.
    pub answer: Spread<Amount>,
    /// From the request to the end of the answer, as the provider takes it.
    pub duration: Spread<Seconds>,
    /// Of a stream; without it, one for each token of the answer.
    #[serde(default)]
    pub events: Option<Spread<Count>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Of calls that come over TLS.
    #[serde(default)]
    pub clients: Ratio,
    /// Of calls whose provider is reached over TLS.
    #[serde(default)]
    pub providers: Ratio,
    /// Calls on one client connection before it is closed.
    #[serde(default)]
    pub calls_per_connection: Option<Count>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Of calls answered from it.
    pub hits: Ratio,
    /// On each node.
    pub size: Bytes,
}

/// What is on beside the pass-through (key checked, usage read and recorded).
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Features {
    pub limits: bool,
    pub guards: bool,
    pub cache: bool,
    pub routing: bool,
}

impl Features {
    pub fn any(self) -> bool {
        self.limits || self.guards || self.cache || self.routing
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spool {
    /// Of usage records that a node keeps while nobody takes them.
    pub hours: Count,
    #[serde(default)]
    pub record: Option<Bytes>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub cores: u32,
    /// Cores that run no shard: the control plane's, the kernel's and the operator's.
    #[serde(default)]
    pub reserved_cores: Option<u32>,
    pub memory: Bytes,
    /// In each direction.
    pub network_gbit: Count,
    pub descriptors: Count,
    pub disk: Bytes,
}

/// `N`, `N+1`, `N+2`: nodes that may be lost at peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Redundancy(pub u32);

impl TryFrom<String> for Redundancy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let told = || format!("'{text}' is not N, N+1 or N+2");
        match text.replace(' ', "").as_str() {
            "N" => Ok(Self(0)),
            other => other
                .strip_prefix("N+")
                .and_then(|number| number.parse().ok())
                .filter(|number| *number <= 100)
                .map(Self)
                .ok_or_else(told),
        }
    }
}

impl Demand {
    /// Reads and checks a file; the error names file, line, what is wrong and what would be right.
    pub fn read(path: &Path) -> Result<Self, String> {
        let demand: Self = crate::yaml::read(path)?;
        match demand.fault() {
            None => Ok(demand),
            Some((at, fault)) => Err(format!("{}:{}:{}: {fault}", path.display(), at.line(), at.column())),
        }
    }

    /// Calls a second at peak, with the growth.
    pub fn peak_rate(&self) -> f64 {
        const SECONDS_PER_DAY: f64 = 86_400.0;
        self.grown_calls_per_day() / SECONDS_PER_DAY * self.peak_factor.value.0
    }

    pub fn grown_calls_per_day(&self) -> f64 {
        let growth = self
            .growth
            .as_ref()
            .map_or(1.0, |growth| (1.0 + growth.value.per_year.0).powf(growth.value.years.0));
        self.calls_per_day.value.0 * growth
    }

    /// Of `peak_rate`.
    pub fn rate_sources(&self) -> Sources {
        let keys = if self.growth.is_some() {
            "calls_per_day, peak_factor, growth"
        } else {
            "calls_per_day, peak_factor"
        };
        Sources::demand(keys)
    }

    pub fn reserved_cores(&self) -> u32 {
        self.node.value.reserved_cores.unwrap_or(defaults::RESERVED_CORES)
    }

    pub fn shards_per_node(&self) -> u32 {
        self.node.value.cores - self.reserved_cores()
    }

    pub fn cache_hits(&self) -> f64 {
        self.cache.as_ref().map_or(0.0, |cache| cache.value.hits.0)
    }

    /// Shares of calls over TLS: clients', providers'.
    pub fn tls_shares(&self) -> (f64, f64) {
        self.tls
            .as_ref()
            .map_or((0.0, 0.0), |tls| (tls.value.clients.0, tls.value.providers.0))
    }

    /// The first thing wrong in a file that is well formed, and where.
    fn fault(&self) -> Option<(Location, String)> {
        let classes = &self.classes;
        let wrong_class = classes.value.iter().find_map(|(name, class)| {
            class_fault(&class.value).map(|fault| (class.referenced, format!("class '{name}': {fault}")))
        });
        let shares: f64 = classes.value.values().map(|class| class.value.share.0).sum();
        let told = format!(
            "the shares of the classes sum to {:.4}%; 100% would be right",
            shares * 100.0
        );
        wrong_class
            .or_else(|| ((shares - 1.0).abs() > 0.001).then_some((classes.referenced, told)))
            .or_else(|| self.fault_of_numbers())
            .or_else(|| self.fault_of_node())
            .or_else(|| bounds::fault(self))
    }

    fn fault_of_numbers(&self) -> Option<(Location, String)> {
        let target = &self.target_utilisation;
        first_of([
            (
                &self.calls_per_day,
                self.calls_per_day.value.0 <= 0.0,
                "calls_per_day is 0; a plan needs a call",
            ),
            (
                &self.peak_factor,
                self.peak_factor.value.0 < 1.0,
                "peak_factor is below 1: no peak is below the mean",
            ),
        ])
        .or_else(|| {
            let outside = target.value.0 <= 0.0 || target.value.0 > 1.0;
            first_of([(target, outside, "target_utilisation must be above 0% and at most 100%")])
        })
        .or_else(|| {
            let addresses = self.provider_addresses.as_ref()?;
            first_of([(
                addresses,
                addresses.value.0 < 1.0,
                "provider_addresses must be 1 at least",
            )])
        })
        .or_else(|| {
            let margin = self.scale_margin.as_ref()?;
            first_of([(margin, margin.value.0 >= 1.0, "scale_margin must be below 100%")])
        })
        .or_else(|| {
            let share = self.translated.as_ref()?;
            first_of([(
                share,
                share.value.0 > 1.0,
                "translated is a share of calls: at most 100%",
            )])
        })
        .or_else(|| {
            let cache = self.cache.as_ref()?;
            first_of([(
                cache,
                cache.value.hits.0 > 1.0,
                "cache.hits is a share of calls: at most 100%",
            )])
        })
        .or_else(|| {
            let at = self.tls.as_ref()?;
            let Tls {
                clients,
                providers,
                calls_per_connection: every,
            } = at.value;
            first_of([
                (
                    at,
                    clients.0 > 1.0 || providers.0 > 1.0,
                    "tls: clients and providers are shares: at most 100%",
                ),
                (
                    at,
                    every.is_some_and(|every| every.0 < 1.0),
                    "tls.calls_per_connection must be 1 at least",
                ),
            ])
        })
    }

    fn fault_of_node(&self) -> Option<(Location, String)> {
        let at = &self.node;
        let node = &at.value;
        let reserved = self.reserved_cores();
        let no_shard = format!(
            "node.cores is {}, and {reserved} run no shard (reserved_cores): none is left",
            node.cores
        );
        let nothing = node.network_gbit.0 <= 0.0 || node.descriptors.0 <= 0.0 || node.memory.0 <= 0.0;
        let spools = self.spool.as_ref().is_some_and(|spool| spool.value.hours.0 > 0.0);
        first_of([
            (at, node.cores <= reserved, no_shard.as_str()),
            (
                at,
                nothing,
                "node: memory, network_gbit and descriptors must be above 0",
            ),
            (
                at,
                spools && node.disk.0 <= 0.0,
                "node.disk is 0, and records shall be spooled",
            ),
        ])
    }
}

/// The first of these checks that finds a fault.
fn first_of<T, const N: usize>(checks: [(&Spanned<T>, bool, &str); N]) -> Option<(Location, String)> {
    checks
        .into_iter()
        .find(|(_, wrong, _)| *wrong)
        .map(|(at, _, told)| (at.referenced, told.to_owned()))
}

fn class_fault(class: &Class) -> Option<String> {
    if class.share.0 > 1.0 {
        return Some("its share is above 100%".to_owned());
    }
    match (class.kind, &class.events) {
        (Kind::Buffered, Some(_)) => Some("a buffered answer has no events; only `kind: stream` has".to_owned()),
        (Kind::Stream, Some(events)) if events.0.0 < 1.0 => Some("a stream has 1 event at least".to_owned()),
        (Kind::Stream, None) if matches!(class.answer.0, Amount::Bytes(_)) => {
            Some("a stream whose answer is given in bytes needs `events: NUMBER`".to_owned())
        }
        _ => None,
    }
}
