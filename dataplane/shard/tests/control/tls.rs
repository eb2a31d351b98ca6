//! Certificates swapped under a running data plane.

use std::{fs, net::TcpStream, path::Path, sync::Arc};

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring, pki_types::ServerName};
use serde_json::json;
use tollgate_config::link::{AnswerBody, AskBody};

use crate::plane::{Plane, document, free_address, leave_last_good, request};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// Writes a new pair as tools do: beside, then renamed over.
fn issue(authority: &Authority, folder: &Path) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["gateway.test".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    for (name, text) in [("key.pem", key.serialize_pem()), ("cert.pem", certificate.pem())] {
        fs::write(folder.join("new"), text).expect("written");
        fs::rename(folder.join("new"), folder.join(name)).expect("renamed");
    }
}

fn connect(authority: &Authority, address: std::net::SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    let root: &rcgen::Certificate = authority.as_ref();
    roots.add(root.der().clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("gateway.test").expect("a name");
    let mut session = ClientConnection::new(Arc::new(config), name).expect("a session");
    let mut stream = TcpStream::connect(address).expect("connected");
    session.complete_io(&mut stream).expect("a handshake");
    StreamOwned::new(session, stream)
}

fn leaf(stream: &StreamOwned<ClientConnection, TcpStream>) -> Vec<u8> {
    stream.conn.peer_certificates().expect("certificates")[0].to_vec()
}

#[test]
fn a_swapped_certificate_is_noticed_and_no_connection_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = authority();
    issue(&authority, folder.path());
    let address = free_address();
    let file = |name: &str| format!("file:{}", folder.path().join(name).display());
    let tls = json!({ "certificate": file("cert.pem"), "key": file("key.pem") });
    let state = folder.path().join("state");
    fs::create_dir(&state).expect("made");
    leave_last_good(
        &state,
        &document(json!({ "secure": { "address": address.to_string(), "tls": tls } })),
    );
    let plane = Plane::start(&state, &[]);
    let mut control = plane.control();
    assert!(matches!(control.ask(AskBody::Hello), AnswerBody::Hello { .. }));
    let mut before = connect(&authority, address);

    // A key that is not the certificate's: what runs goes on.
    let good_key = fs::read(folder.path().join("key.pem")).expect("there");
    fs::write(
        folder.path().join("key.pem"),
        KeyPair::generate().expect("a key").serialize_pem(),
    )
    .expect("written");
    assert!(matches!(control.ask(AskBody::ReloadFiles), AnswerBody::Done));
    assert!(
        control
            .event("reload_failed")
            .text
            .contains("is not the key of the certificate")
    );
    assert_eq!(leaf(&connect(&authority, address)), leaf(&before));
    fs::write(folder.path().join("key.pem"), good_key).expect("written");

    issue(&authority, folder.path());
    // Noticed by itself.
    control.event("certificate_reloaded");
    let mut after = connect(&authority, address);
    assert_ne!(leaf(&after), leaf(&before));
    for stream in [&mut before, &mut after] {
        assert!(request(stream, "/healthz", "").starts_with("HTTP/1.1 200"));
    }
}
