//! A configuration compiled for the shards: immutable, shared, looked up by hash.

use std::collections::BTreeMap;

use tollgate_config::{Document, Problem, document::Reference};

/// Index into `Snapshot::endpoints`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointId(pub u16);

/// What `env:` and `file:` references resolved to, read by the shell before compiling.
pub type Secrets = BTreeMap<Reference, Vec<u8>>;

/// A place to dial: one per provider.
#[derive(Clone, Debug)]
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

#[derive(Debug)]
pub struct Snapshot {
    pub revision: u64,
    pub document: Document,
    pub endpoints: Vec<Endpoint>,
}

/// Compiles. `references(document)` says what `secrets` must hold; what is missing is a problem naming the pointer.
pub fn compile(revision: u64, document: Document, secrets: &Secrets) -> Result<Snapshot, Vec<Problem>> {
    let _ = (revision, document, secrets);
    todo!()
}

/// Every reference that compiling, and the shell's TLS, needs, each with the JSON pointer that names it.
pub fn references(document: &Document) -> Vec<(Reference, String)> {
    let _ = document;
    todo!()
}
