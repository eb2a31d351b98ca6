//! Certificates for tests, made afresh.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{client, server};

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

pub struct Issued {
    pub certificate_pem: String,
    pub key_pem: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        // A name of its own, or two authorities would be taken for one with a bad signature.
        let name = format!("authority {:02x?}", &key.public_key_raw()[..8]);
        params.distinguished_name.push(DnType::CommonName, name);
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).expect("an authority"),
        }
    }

    fn certificate(&self) -> &Certificate {
        self.issuer.as_ref()
    }

    pub fn pem(&self) -> String {
        self.certificate().pem()
    }

    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_until(names, 2090)
    }

    /// Valid until 1 January of `year`.
    pub fn issue_until(&self, names: &[&str], year: i32) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("good names");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    pub fn client_config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate().der().clone()).expect("a root");
        Arc::new(client::config(Arc::new(roots), None).expect("a client configuration"))
    }
}

impl Issued {
    pub fn der(&self) -> Vec<u8> {
        CertificateDer::from_pem_slice(self.certificate_pem.as_bytes())
            .expect("PEM")
            .to_vec()
    }

    pub fn server_config(&self) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_slice(self.certificate_pem.as_bytes()).expect("PEM");
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).expect("PEM");
        let certified = server::certified(vec![certificate], key).expect("a pair");
        let names = server::Names::new(certified);
        Arc::new(server::config(names, server::ticketer().expect("randomness")).expect("a server configuration"))
    }
}
