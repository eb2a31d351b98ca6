//! A configuration compiled for the shards: immutable, shared, looked up by hash.

mod call_path;
mod compile;
mod credentials;
mod ids;
mod names;
mod quirks;
mod references;
mod upstream;

use std::{collections::BTreeMap, fmt};

use tollgate_config::{Document, document::Reference};

pub(crate) use call_path::{CallPath, PathCall};
pub use compile::compile;
pub(crate) use compile::write_target_lines;
pub(crate) use names::{ModelNames, Resolved};
pub use references::references;
pub(crate) use references::{pointer, secret_text};
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
    /// Per model of the document, and behind those per provider.
    pub(crate) routes: Vec<Route>,
    /// Per provider of the document.
    pub(crate) upstreams: Vec<Upstream>,
    /// Per listener of the document.
    pub(crate) cors: Vec<Option<CorsLines>>,
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
