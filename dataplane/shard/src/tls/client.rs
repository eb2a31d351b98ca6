//! The providers' side: whom we trust, and who we say we are.

use std::{collections::BTreeMap, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

/// TLS 1.3 tickets and TLS 1.2 sessions kept per configuration, over all server names.
const RESUMABLE_SESSIONS: usize = 256;

/// Whose signatures we accept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    System,
    /// Certificates in PEM.
    Pem(Vec<u8>),
}

/// PEM of a certificate chain and its key.
pub type Identity = (Vec<u8>, Vec<u8>);

/// What is wrong and what would be right.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub wrong: String,
    pub right: &'static str,
}

/// Configurations by what they were made of: equal ones are shared, and their sessions outlive a reload.
#[derive(Default)]
pub struct Cache {
    system: Option<Arc<RootCertStore>>,
    configs: BTreeMap<(Trust, Option<Identity>), (Arc<ClientConfig>, bool)>,
}

impl Cache {
    pub fn config(&mut self, trust: Trust, identity: Option<Identity>) -> Result<Arc<ClientConfig>, Refusal> {
        if let Some((config, used)) = self.configs.get_mut(&(trust.clone(), identity.clone())) {
            *used = true;
            return Ok(Arc::clone(config));
        }
        let roots = match &trust {
            Trust::System => self.system()?,
            Trust::Pem(pem) => Arc::new(from_pem(pem)?),
        };
        let made = Arc::new(config(roots, identity.as_ref())?);
        self.configs.insert((trust, identity), (Arc::clone(&made), true));
        Ok(made)
    }

    /// Drops those that were not asked for since the last call.
    pub fn forget_unused(&mut self) {
        self.configs.retain(|_, (_, used)| std::mem::take(used));
    }

    /// The system's roots, read once.
    fn system(&mut self) -> Result<Arc<RootCertStore>, Refusal> {
        if let Some(roots) = &self.system {
            return Ok(Arc::clone(roots));
        }
        let mut roots = RootCertStore::empty();
        // Some systems carry a root nobody can parse; the others still count.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let wrong = "this system has no trusted certificates".to_owned();
            return Err(Refusal {
                wrong,
                right: "install ca-certificates, or name a file in tls.ca",
            });
        }
        let roots = Arc::new(roots);
        self.system = Some(Arc::clone(&roots));
        Ok(roots)
    }
}

fn from_pem(pem: &[u8]) -> Result<RootCertStore, Refusal> {
    let refusal = |wrong: String| Refusal {
        wrong,
        right: "certificates in PEM",
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| refusal(format!("ca is not PEM: {error}")))?;
        roots
            .add(certificate)
            .map_err(|error| refusal(format!("ca holds a certificate we cannot use: {error}")))?;
    }
    if roots.is_empty() {
        return Err(refusal("ca holds no certificate".to_owned()));
    }
    Ok(roots)
}

pub fn config(roots: Arc<RootCertStore>, identity: Option<&Identity>) -> Result<ClientConfig, Refusal> {
    let refusal = |wrong: String| Refusal {
        wrong,
        right: "a certificate chain and its private key in PEM",
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refusal(error.to_string()))?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
                .collect::<Result<_, _>>()
                .map_err(|error| refusal(format!("the client certificate is not PEM: {error}")))?;
            let key = PrivateKeyDer::from_pem_slice(key)
                .map_err(|error| refusal(format!("the client certificate's key is not PEM: {error}")))?;
            let config = builder.with_client_auth_cert(chain, key);
            config.map_err(|error| refusal(format!("the client certificate cannot be used: {error}")))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(RESUMABLE_SESSIONS);
    Ok(config)
}
