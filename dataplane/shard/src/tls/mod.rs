//! TLS configurations of a revision, for both sides: built on the control thread, shared by all shards.

mod client;
mod server;
pub mod session;
#[cfg(test)]
pub mod testing;
mod validity;

use std::sync::Arc;

use rustls::{
    ClientConfig, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::ProducesTickets,
};
use tollgate_config::{
    Document, Problem,
    document::{ListenerTls, Provider, Reference},
};
use tollgate_engine::snapshot::{Endpoint, Secrets};

/// How soon an end of validity is worth a word.
pub const EXPIRES_SOON_S: u64 = 14 * 24 * 3600;

/// What a revision's listeners and endpoints need of TLS. Neither asks for a client's certificate; both speak
/// `http/1.1` only.
#[derive(Debug, Default)]
pub struct TlsSet {
    /// By index into `document.listeners`.
    pub listeners: Vec<Option<Arc<ServerConfig>>>,
    /// By index into `snapshot.endpoints`.
    pub endpoints: Vec<Option<(Arc<ClientConfig>, ServerName<'static>)>>,
    /// When each certificate of ours ends.
    pub expiries: Vec<Expiry>,
}

/// A configured certificate and the end of its validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// JSON pointer of the certificate.
    pub pointer: String,
    pub not_after_unix_s: u64,
}

/// Builds `TlsSet`s, and keeps from one to the next what makes clients' and our own sessions resume.
pub struct TlsMaker {
    ticketer: Arc<dyn ProducesTickets>,
    clients: client::Cache,
}

impl TlsMaker {
    /// Fails when the system gives no randomness.
    pub fn new() -> Result<Self, String> {
        Ok(Self {
            ticketer: server::ticketer()?,
            clients: client::Cache::default(),
        })
    }

    /// All faults, not the first: PEM that does not parse, a key that is not the certificate's, no roots to trust.
    /// An expired certificate is no fault; it is in `expiries`.
    pub fn build(
        &mut self,
        document: &Document,
        endpoints: &[Endpoint],
        secrets: &Secrets,
    ) -> Result<TlsSet, Vec<Problem>> {
        let mut set = TlsSet::default();
        let mut problems = Vec::new();
        for (name, listener) in &document.listeners {
            let built = listener.tls.as_ref().map(|tls| {
                let pointer = format!("/listeners/{}/tls", escape(name));
                self.listener(tls, &pointer, secrets, &mut set.expiries)
            });
            set.listeners.push(keep(built, &mut problems));
        }
        for endpoint in endpoints {
            let provider = document.providers.get(endpoint.index);
            let built = provider
                .filter(|(_, provider)| provider.base_url.tls)
                .map(|(name, provider)| {
                    let pointer = format!("/providers/{}", escape(name));
                    self.endpoint(provider, &pointer, secrets, &mut set.expiries)
                });
            set.endpoints.push(keep(built, &mut problems));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        self.clients.forget_unused();
        Ok(set)
    }

    /// What the authority that gives a provider's access tokens is asked with: as the provider is; one that is called in
    /// the clear has an authority that the system trusts.
    pub fn for_authority(&mut self, set: &TlsSet, provider: usize) -> Result<Arc<ClientConfig>, Problem> {
        if let Some(Some((config, _))) = set.endpoints.get(provider) {
            return Ok(Arc::clone(config));
        }
        let config = self.clients.config(client::Trust::System, None);
        config.map_err(|refusal| Problem::new("/providers", refusal.wrong, refusal.right))
    }

    /// What a store is asked with.
    pub fn for_store(
        &mut self,
        ca: Option<&Reference>,
        identity: Option<(&Reference, &Reference)>,
        pointer: &str,
        secrets: &Secrets,
    ) -> Result<Arc<ClientConfig>, Problem> {
        let trust = match ca {
            Some(reference) => client::Trust::Pem(content(reference, &format!("{pointer}/ca"), secrets)?.to_vec()),
            None => client::Trust::System,
        };
        let pem = |reference: &Reference, key: &str| {
            content(reference, &format!("{pointer}/{key}"), secrets).map(<[u8]>::to_vec)
        };
        let identity = match identity {
            Some((certificate, key)) => Some((pem(certificate, "client_certificate")?, pem(key, "client_key")?)),
            None => None,
        };
        let config = self.clients.config(trust, identity);
        config.map_err(|refusal| Problem::new(pointer, refusal.wrong, refusal.right))
    }

    fn listener(
        &self,
        tls: &ListenerTls,
        pointer: &str,
        secrets: &Secrets,
        expiries: &mut Vec<Expiry>,
    ) -> Result<Arc<ServerConfig>, Problem> {
        let mut names = server::Names::new(pair(&tls.certificate, &tls.key, pointer, secrets, expiries)?);
        for (name, certificate, key) in &tls.sni {
            let pointer = format!("{pointer}/sni/{}", escape(name));
            names.add(name, pair(certificate, key, &pointer, secrets, expiries)?);
        }
        let config = server::config(names, Arc::clone(&self.ticketer));
        config
            .map(Arc::new)
            .map_err(|error| Problem::new(pointer, error, "another certificate"))
    }

    fn endpoint(
        &mut self,
        provider: &Provider,
        pointer: &str,
        secrets: &Secrets,
        expiries: &mut Vec<Expiry>,
    ) -> Result<(Arc<ClientConfig>, ServerName<'static>), Problem> {
        let name = provider.tls.server_name.as_ref().unwrap_or(&provider.base_url.host);
        let name = ServerName::try_from(name.clone()).map_err(|_| {
            let wrong = format!("'{name}' is no name a certificate can carry");
            Problem::new(
                format!("{pointer}/tls/server_name"),
                wrong,
                "a DNS name or an IP address",
            )
        })?;
        let tls = &provider.tls;
        let roots = match &tls.ca {
            Some(reference) => client::Trust::Pem(content(reference, &format!("{pointer}/tls/ca"), secrets)?.to_vec()),
            None => client::Trust::System,
        };
        let identity = match &tls.client_certificate {
            Some((certificate, key)) => {
                let pointer = format!("{pointer}/tls/client_certificate");
                // Checked here as a listener's is, so that the faults read the same.
                pair(certificate, key, &pointer, secrets, expiries)?;
                Some((
                    content(certificate, &pointer, secrets)?.to_vec(),
                    content(key, &pointer, secrets)?.to_vec(),
                ))
            }
            None => None,
        };
        let config = self
            .clients
            .config(roots, identity)
            .map_err(|refusal| Problem::new(format!("{pointer}/tls"), refusal.wrong, refusal.right))?;
        Ok((config, name))
    }
}

fn keep<T>(built: Option<Result<T, Problem>>, problems: &mut Vec<Problem>) -> Option<T> {
    match built? {
        Ok(built) => Some(built),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Reads a certificate chain and its key; notes when the first certificate ends.
fn pair(
    certificate: &Reference,
    key: &Reference,
    pointer: &str,
    secrets: &Secrets,
    expiries: &mut Vec<Expiry>,
) -> Result<Arc<rustls::sign::CertifiedKey>, Problem> {
    let certificate_pointer = format!("{pointer}/certificate");
    let chain = chain(content(certificate, &certificate_pointer, secrets)?).map_err(|wrong| {
        Problem::new(
            &certificate_pointer,
            wrong,
            "a certificate chain in PEM, the server's own first",
        )
    })?;
    let key_pointer = format!("{pointer}/key");
    let key = PrivateKeyDer::from_pem_slice(content(key, &key_pointer, secrets)?)
        .map_err(|error| Problem::new(&key_pointer, format!("no private key: {error}"), "a private key in PEM"))?;
    if let Some(not_after_unix_s) = chain.first().and_then(|first| validity::not_after_unix_s(first)) {
        expiries.push(Expiry {
            pointer: certificate_pointer,
            not_after_unix_s,
        });
    }
    server::certified(chain, key)
        .map_err(|wrong| Problem::new(&key_pointer, wrong, "the private key of that certificate"))
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err("holds no certificate".to_owned()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(format!("is not PEM: {error}")),
    }
}

fn content<'a>(reference: &Reference, pointer: &str, secrets: &'a Secrets) -> Result<&'a [u8], Problem> {
    secrets
        .get(reference)
        .map(Vec::as_slice)
        .ok_or_else(|| Problem::new(pointer, "was not read", "a file or variable that can be read"))
}

/// RFC 6901 escaping of one step of a pointer.
fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
