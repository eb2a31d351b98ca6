//! A configuration compiled for the shards: immutable, shared, looked up by hash.

mod call_path;
mod checked;
mod compile;
mod credentials;
mod ids;
mod names;
mod quirks;
mod references;
mod routes;
mod seconds;
mod upstream;

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::tz::TimeZone;
use tollgate_config::{
    Document, Problem,
    catalogue::ModelFacts,
    document::{self, Reference},
    prices::Price,
};

use tollgate_vector::Embedder;

use crate::{
    Tick,
    limits::Rules,
    routing::{Slots, grants, health::TargetHealth, meaning::Meaning},
    semantic::Remote,
};

pub(crate) use call_path::{CallPath, PathCall};
pub use checked::Found;
pub use compile::{compile, compile_after};
pub(crate) use names::{ModelId, ModelNames, Resolved};
pub(crate) use references::secret_text;
pub use references::{pointer, references};
pub(crate) use routes::{Places, own, write_target_lines};
pub(crate) use upstream::{CorsLines, Credential, Proof, Route, Signing, Target, TargetModel, Upstream};

/// Index into `Snapshot::endpoints`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointId(pub u16);

/// What `env:` and `file:` references resolved to, read by the shell before compiling.
pub type Secrets = BTreeMap<Reference, Vec<u8>>;

/// A place to dial: one per provider.
#[derive(Clone)]
pub struct Endpoint {
    /// The provider's name; pools are kept by it from one snapshot to the next.
    pub provider: String,
    /// Connections made under another fingerprint (address, TLS, proxy, credentials of the proxy) are not reused.
    pub fingerprint: u64,
    /// Its entry in `Snapshot::document.providers`: address, TLS, proxy and timeouts are read there.
    pub index: usize,
    /// `Proxy-Authorization` value for a configured proxy.
    pub proxy_authorization: Option<Vec<u8>>,
}

/// `endpoints[i]` is `document.providers[i]`'s.
pub struct Snapshot {
    pub revision: u64,
    pub document: Document,
    pub endpoints: Vec<Endpoint>,
    pub(crate) models: ModelNames,
    /// Per model of the document, behind those per provider, and last that of `remote`.
    pub(crate) routes: Vec<Route>,
    /// Per provider of the document.
    pub(crate) upstreams: Vec<Upstream>,
    /// Per listener of the document.
    pub(crate) cors: Vec<Option<CorsLines>>,
    /// Limits of all calls together.
    pub(crate) organization: Option<Arc<Rules>>,
    /// What calendar periods are of.
    pub(crate) zone: TimeZone,
    /// Where the state of its targets and models is kept.
    pub slots: Slots,
    /// None: no model goes by it, or it cannot be used.
    pub(crate) meaning: Option<Meaning>,
    /// Why meaning cannot be judged: calls are answered all the same, by default targets and hard tiers.
    pub meaning_faults: Vec<Problem>,
    /// Who makes the vectors of semantic caches, where that is a provider.
    pub(crate) remote: Option<Arc<Remote>>,
}

impl Snapshot {
    /// What calendar periods are of.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Each model's targets in the document's order, with what is known of them by all shards.
    pub fn targets(&self) -> impl Iterator<Item = (&str, &document::Target, &TargetHealth)> {
        let models = self.document.models.iter().zip(&self.routes);
        models.flat_map(|((name, model), route)| {
            let targets = model.targets.iter().zip(&route.targets);
            targets.map(|(listed, target)| (name.as_str(), listed, &*target.health))
        })
    }

    /// What is left of what each provider grants.
    pub fn granted(&self, now: Tick) -> impl Iterator<Item = (&str, grants::Level)> {
        let providers = self.document.providers.iter().enumerate();
        providers.flat_map(move |(index, (name, _))| {
            let route = self.routes.get(self.direct_route(index));
            let grants = route.and_then(|route| route.targets.first()?.grants.as_ref());
            let levels = grants.into_iter().flat_map(move |grants| grants.levels(now));
            levels.map(move |level| (name.as_str(), level))
        })
    }

    /// Behind the models' routes stands one for each provider, which is its only target.
    pub(crate) fn direct_route(&self, provider: usize) -> usize {
        self.document.models.len() + provider
    }

    /// The embedder at a provider, as operators know it, where this is its place among the routes.
    pub fn embedder_at(&self, route: usize) -> Option<&str> {
        let remote = self.remote.as_ref().filter(|remote| remote.route == route)?;
        Some(&remote.name)
    }

    /// What a target's model costs at a moment. Indices are of `document.models` and its targets; `name` is the provider's
    /// name of the model, which counts where a star stands for it.
    pub fn price(&self, model: usize, target: usize, name: &str, unix_s: u64) -> Option<Price<'_>> {
        let target = self.routes.get(model)?.targets.get(target)?;
        match target.model {
            TargetModel::Fixed { .. } => target.priced.at(unix_s),
            TargetModel::Star { .. } => self.document.providers.get(target.provider)?.1.prices.at(name, unix_s),
        }
    }

    /// What the catalogue knows of a target's model: windows, limits, abilities. The same arguments.
    pub fn facts(&self, model: usize, target: usize, name: &str) -> Option<&'static ModelFacts> {
        let target = self.routes.get(model)?.targets.get(target)?;
        match target.model {
            TargetModel::Fixed { .. } => target.facts,
            TargetModel::Star { .. } => self.document.providers.get(target.provider)?.1.prices.facts(name),
        }
    }
}

/// A credential that is exchanged for access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// Index into `document.providers`.
    pub provider: usize,
    /// Index into the provider's credentials.
    pub credential: usize,
    /// Made from all that decides what token comes and how it is got: what is wanted already keeps its token from one
    /// revision to the next.
    pub id: u64,
}

impl Snapshot {
    /// What meaning is judged with, and what tells it from another model.
    pub(crate) fn embedder(&self) -> Option<(&Arc<Embedder>, u64)> {
        self.meaning.as_ref().map(Meaning::embedder)
    }

    pub fn exchanges(&self) -> impl Iterator<Item = Exchanged> + '_ {
        self.credentials()
            .filter_map(|(provider, credential, held)| match held.proof {
                Proof::Exchanged { id } => Some(Exchanged {
                    provider,
                    credential,
                    id,
                }),
                Proof::Shown | Proof::Signed(_) => None,
            })
    }

    /// The ends of keys that were lent for a while: the provider's index, and the second it is over.
    pub fn key_ends(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.credentials().filter_map(|(provider, _, held)| match &held.proof {
            Proof::Signed(signing) => signing.keys.expires_unix_s.map(|end| (provider, end)),
            Proof::Shown | Proof::Exchanged { .. } => None,
        })
    }

    fn credentials(&self) -> impl Iterator<Item = (usize, usize, &Credential)> {
        self.upstreams.iter().enumerate().flat_map(|(provider, upstream)| {
            let all = upstream.credentials.iter().enumerate();
            all.map(move |(credential, held)| (provider, credential, held))
        })
    }
}

// By hand: what is sent upstream holds credentials, which no log may show.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint {
            provider,
            fingerprint,
            index,
            ..
        } = self;
        let mut shown = f.debug_struct("Endpoint");
        shown
            .field("provider", provider)
            .field("fingerprint", fingerprint)
            .field("index", index);
        shown.finish_non_exhaustive()
    }
}
