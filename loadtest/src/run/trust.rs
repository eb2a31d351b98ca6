//! Whose certificates a run believes, and the TLS client made of that.

use std::{
    io,
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The system's roots.
    System,
    /// `--ca`: the roots of a PEM file.
    File(PathBuf),
    /// `--insecure`.
    Anyone,
}

/// A client's configuration, HTTP/1.1 only.
pub fn client(trust: &Trust) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|bad| bad.to_string())?;
    let mut config = match trust {
        Trust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Believer(provider)))
            .with_no_client_auth(),
        Trust::File(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
        Trust::System => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("the system has no root certificates; name some with --ca FILE".to_owned());
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let wrong = |why: String| format!("--ca {}: {why}; it takes a PEM file of certificates", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|bad| wrong(bad.to_string()))? {
        let certificate = certificate.map_err(|bad| wrong(bad.to_string()))?;
        roots.add(certificate).map_err(|bad| wrong(bad.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(wrong("no certificate in it".to_owned())),
        false => Ok(roots),
    }
}

/// One handshake, waited for; the error says what to do.
pub fn shake_hands(
    mut socket: TcpStream,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    patience: Duration,
) -> Result<(), String> {
    let timeouts = socket.set_read_timeout(Some(patience));
    timeouts
        .and_then(|()| socket.set_write_timeout(Some(patience)))
        .map_err(|bad| bad.to_string())?;
    let mut client = ClientConnection::new(config, name).map_err(|bad| bad.to_string())?;
    while client.is_handshaking() {
        client.complete_io(&mut socket).map_err(|bad| match bad.kind() {
            io::ErrorKind::InvalidData => format!(
                "{bad}; give the roots that signed its certificate with --ca FILE, or do without with --insecure"
            ),
            io::ErrorKind::WouldBlock => "it does not answer the handshake; does it speak TLS on that port?".to_owned(),
            _ => format!("{bad}; does it speak TLS on that port?"),
        })?;
    }
    Ok(())
}

/// Believes every certificate; signatures are still checked, for their cost is part of what is measured.
#[derive(Debug)]
struct Believer(Arc<CryptoProvider>);

impl ServerCertVerifier for Believer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
