//! One notice to one address: HTTP/1.1, with TLS where the address says so.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use http_body_util::Full;
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};
use tollgate_config::document::Webhook;

use super::sign::signature;
use crate::{events::Numbered, truth};

/// For all of it: an address that says nothing holds up only its own queue.
const TIMEOUT: Duration = Duration::from_secs(10);

/// `Err`: why it was not told, for the log; no secret is in it.
pub async fn send(webhook: &Webhook, unix_s: u64, event: &Numbered) -> Result<(), String> {
    let secret = truth::read(&webhook.secret).map_err(|error| format!("its secret cannot be read: {error}"))?;
    let body = json!({
        "id": event.id, "unix_ms": event.event.unix_ms, "kind": event.event.kind, "text": event.event.text,
        "facts": event.event.facts,
    });
    let body = body.to_string();
    let signature = signature(&secret, unix_s, body.as_bytes());
    let url = &webhook.url;
    let path = if url.prefix.is_empty() { "/" } else { &url.prefix };
    let request = Request::post(path)
        .header("host", url.authority())
        .header("content-type", "application/json")
        .header("user-agent", concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .header("x-tollgate-event", &event.event.kind)
        .header("x-tollgate-timestamp", unix_s)
        .header("x-tollgate-signature", format!("sha256={signature}"))
        .body(Full::new(Bytes::from(body)));
    let request = request.map_err(|error| format!("it cannot be asked: {error}"))?;
    match tokio::time::timeout(TIMEOUT, to(webhook, request)).await {
        Ok(told) => told,
        Err(_) => Err(format!("no answer in {} s", TIMEOUT.as_secs())),
    }
}

async fn to(webhook: &Webhook, request: Request<Full<Bytes>>) -> Result<(), String> {
    let url = &webhook.url;
    let stream = TcpStream::connect((&*url.host, url.port)).await;
    let stream = stream.map_err(|error| format!("no connection: {error}"))?;
    if !url.tls {
        return over(stream, request).await;
    }
    let name = ServerName::try_from(url.host.clone()).map_err(|_| "its host is no name that TLS knows".to_owned())?;
    let config = CONFIG.clone().map_err(str::to_owned)?;
    let stream = TlsConnector::from(config).connect(name, stream).await;
    over(stream.map_err(|error| format!("TLS failed: {error}"))?, request).await
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(), String> {
    let broken = |error: hyper::Error| format!("the connection failed: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(broken);
    let told = match answer {
        // Whatever it says.
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("it answered with status {}", answer.status().as_u16())),
        Err(why) => Err(why),
    };
    connection.abort();
    told
}

/// Trusts the system's roots, read once.
static CONFIG: LazyLock<Result<Arc<ClientConfig>, &'static str>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    // Some systems carry a root nobody can parse; the others still count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this system has no trusted certificates: install ca-certificates");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|_| "TLS has no versions")?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
});
