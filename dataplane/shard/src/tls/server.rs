//! The listeners' side: certificates by server name, tickets, ALPN.

use std::{collections::BTreeMap, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Certificates of one listener by SNI, and the one for everybody else.
#[derive(Debug)]
pub struct Names {
    default: Arc<CertifiedKey>,
    /// Lower case.
    exact: BTreeMap<String, Arc<CertifiedKey>>,
    /// What follows the `*` of `*.example.com`, with its dot.
    wildcard: BTreeMap<String, Arc<CertifiedKey>>,
}

impl Names {
    pub fn new(default: Arc<CertifiedKey>) -> Self {
        Self {
            default,
            exact: BTreeMap::new(),
            wildcard: BTreeMap::new(),
        }
    }

    /// `name` may begin with `*.`, which stands for one label.
    pub fn add(&mut self, name: &str, certified: Arc<CertifiedKey>) {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix('*') {
            Some(suffix) => self.wildcard.insert(suffix.to_owned(), certified),
            None => self.exact.insert(name, certified),
        };
    }

    pub fn of(&self, name: &str) -> &Arc<CertifiedKey> {
        let name = name.to_ascii_lowercase();
        let suffix = name.find('.').map_or("", |dot| &name[dot..]);
        self.exact
            .get(&name)
            .or_else(|| self.wildcard.get(suffix))
            .unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            hello.server_name().map_or(&self.default, |name| self.of(name)),
        ))
    }
}

/// Makes and reads session tickets; its keys rotate by themselves. One for the process, so that a session resumes on
/// any shard and after a reload.
pub fn ticketer() -> Result<Arc<dyn ProducesTickets>, String> {
    ring::Ticketer::new().map_err(|error| format!("cannot make keys for TLS tickets: {error}"))
}

/// A chain with its key, proved to belong together. The error says what is wrong.
pub fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, String> {
    match CertifiedKey::from_der(chain, key, &ring::default_provider()) {
        Ok(certified) => Ok(Arc::new(certified)),
        Err(rustls::Error::InconsistentKeys(_)) => Err("is not the key of the certificate".to_owned()),
        Err(error) => Err(format!("cannot be used: {error}")),
    }
}

pub fn config(names: Names, ticketer: Arc<dyn ProducesTickets>) -> Result<ServerConfig, String> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(names));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = ticketer;
    // Tickets carry the state: a store would be a lock that all shards take.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}
