//! TLS to PostgreSQL: the server's certificate and name are verified, always.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Socket,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_rustls::{
    TlsConnector, client,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};
use tollgate_config::document::{Reference, UpstreamTls};

use crate::truth;

#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// `Err`: what is wrong with it.
    pub fn new(tls: &UpstreamTls, host: &str) -> Result<Self, String> {
        let (config, name) = verified(tls, host)?;
        Ok(Self { config, name })
    }
}

/// How a server's certificate is verified, and the name that it must have; `Err`: what is wrong with that.
pub fn verified(tls: &UpstreamTls, host: &str) -> Result<(Arc<ClientConfig>, ServerName<'static>), String> {
    let name = tls.server_name.as_deref().unwrap_or(host).to_owned();
    let name = ServerName::try_from(name).map_err(|_| "its host is no name that TLS knows".to_owned())?;
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        Some(reference) => {
            roots.add_parsable_certificates(certificates(reference, "tls.ca")?);
        }
        // Some systems carry a root nobody can parse; the others still count.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err("there is no certificate to trust: tls.ca, or the package ca-certificates".to_owned());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| "TLS has no versions".to_owned())?
        .with_root_certificates(roots);
    let config = match &tls.client_certificate {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate, "tls.client_certificate")?;
            let pem = content(key, "tls.client_key")?;
            let key = PrivateKeyDer::from_pem_slice(&pem)
                .map_err(|error| format!("tls.client_key is no key in PEM: {error}"))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| format!("tls.client_certificate: {error}"))?
        }
    };
    Ok((Arc::new(config), name))
}

fn content(reference: &Reference, what: &str) -> Result<Vec<u8>, String> {
    truth::read(reference).map_err(|error| format!("{what} cannot be read: {error}"))
}

fn certificates(reference: &Reference, what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = content(reference, what)?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{what} is no certificate in PEM: {error}"))
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Encrypted;
    type TlsConnect = Self;
    type Error = io::Error;

    fn make_tls_connect(&mut self, _host: &str) -> io::Result<Self> {
        Ok(self.clone())
    }
}

impl TlsConnect<Socket> for Tls {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(async move {
            let stream = TlsConnector::from(self.config).connect(self.name, stream).await?;
            Ok(Encrypted(stream))
        })
    }
}

pub struct Encrypted(client::TlsStream<Socket>);

impl TlsStream for Encrypted {
    /// The certificate is verified: whoever could stand between has none.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, to)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
