//! Certificates made on the spot, and a TLS client over a plain socket.

use std::{fs, net::SocketAddr, net::TcpStream, path::Path, path::PathBuf, sync::Arc, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use super::Client;

/// When a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    Current,
    Expired,
}

/// An authority whose files lie in a folder of the test's.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A chain and its key, as files.
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let authority = Self {
            issuer,
            folder: folder.to_owned(),
        };
        fs::write(authority.root(name), authority.issuer.pem()).expect("written");
        authority
    }

    /// Where the authority's own certificate lies.
    pub fn root(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.ca.pem"))
    }

    /// Writes a certificate for these names to `FILE.pem` and its key to `FILE.key`, replacing what was there.
    pub fn issue(&self, file: &str, names: &[&str], validity: Validity) -> Files {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        if validity == Validity::Expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let files = Files {
            certificate: self.folder.join(format!("{file}.pem")),
            key: self.folder.join(format!("{file}.key")),
        };
        fs::write(&files.key, key.serialize_pem()).expect("written");
        fs::write(&files.certificate, certificate.pem()).expect("written");
        files
    }
}

/// A TLS client's configuration that trusts one root; kept by a test that wants sessions resumed.
pub fn trusting(root: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(root).expect("a root"))
        .expect("added");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

pub type TlsSocket = StreamOwned<ClientConnection, TcpStream>;

/// Connects and shakes hands; the error says why the handshake failed.
pub fn handshake(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> std::io::Result<TlsSocket> {
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let connection = ClientConnection::new(config.clone(), name).map_err(std::io::Error::other)?;
    let mut socket = StreamOwned::new(connection, socket);
    while socket.conn.is_handshaking() {
        socket.conn.complete_io(&mut socket.sock)?;
    }
    Ok(socket)
}

/// The certificate the server showed, DER.
pub fn shown(socket: &TlsSocket) -> Vec<u8> {
    socket.conn.peer_certificates().expect("shown")[0].to_vec()
}

#[track_caller]
pub fn connect(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Client {
    let socket =
        handshake(address, name, config).unwrap_or_else(|bad| panic!("the handshake with {name} failed: {bad}"));
    Client::over(socket)
}
