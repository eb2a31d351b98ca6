//! Faults and certificates of a whole set.

use std::sync::Arc;

use tollgate_config::{
    Document, Problem,
    document::{BaseUrl, Listener, ListenerTls, Provider, Reference, UpstreamTls},
};
use tollgate_engine::snapshot::{Endpoint, Secrets};

use super::{TlsMaker, TlsSet, server, testing::Authority};

fn file(path: &str) -> Reference {
    Reference::File(path.to_owned())
}

fn listener(tls: ListenerTls) -> Listener {
    let address = "127.0.0.1:0".parse().expect("an address");
    Listener {
        address,
        tls: Some(tls),
        proxy_protocol: false,
        trusted_proxies: Vec::new(),
        cors: None,
    }
}

fn provider(tls: UpstreamTls) -> Provider {
    let dialect = tollgate_config::document::Dialect::OpenAi;
    Provider {
        row: tollgate_config::catalogue::bare(dialect),
        dialect,
        paths: tollgate_config::catalogue::Paths::of(dialect),
        also: Vec::new(),
        base_url: BaseUrl {
            tls: true,
            host: "api.test".into(),
            port: 443,
            prefix: "/v1".into(),
        },
        auth: tollgate_config::document::Auth::None,
        credentials: Vec::new(),
        proxy: None,
        timeouts: Default::default(),
        connections: Default::default(),
        tls,
        may_ask_stream_usage: false,
        headers: Vec::new(),
        prices: Default::default(),
        grants: Vec::new(),
        limits: Vec::new(),
        residency: None,
        check: None,
    }
}

/// Builds for a document of these listeners and providers, an endpoint for each.
fn build(
    maker: &mut TlsMaker,
    listeners: &[(String, Listener)],
    providers: &[(String, Provider)],
    secrets: &Secrets,
) -> Result<TlsSet, Vec<Problem>> {
    let endpoint = |(index, (name, _)): (usize, &(String, Provider))| Endpoint {
        provider: name.clone(),
        fingerprint: 0,
        index,
        proxy_authorization: None,
    };
    let endpoints: Vec<Endpoint> = providers.iter().enumerate().map(endpoint).collect();
    let (listeners, providers) = (listeners.to_vec(), providers.to_vec());
    let document = Document {
        listeners,
        providers,
        ..Document::default()
    };
    maker.build(&document, &endpoints, secrets)
}

fn files(entries: &[(&str, &str)]) -> Secrets {
    entries
        .iter()
        .map(|(path, text)| (file(path), text.as_bytes().to_vec()))
        .collect()
}

#[test]
fn equal_clients_are_shared_and_survive_a_rebuild() {
    let authority = Authority::new();
    let client = authority.issue(&["client.test"]);
    let secrets = files(&[
        ("ca", &authority.pem()),
        ("cert", &client.certificate_pem),
        ("key", &client.key_pem),
    ]);
    let with_ca = UpstreamTls {
        ca: Some(file("ca")),
        ..UpstreamTls::default()
    };
    let identified = UpstreamTls {
        client_certificate: Some((file("cert"), file("key"))),
        ..with_ca.clone()
    };
    let providers = [("a", with_ca.clone()), ("b", with_ca), ("c", identified)];
    let providers = providers.map(|(name, tls)| (name.to_owned(), provider(tls))).to_vec();
    let mut maker = TlsMaker::new().expect("randomness");
    let first = build(&mut maker, &[], &providers, &secrets).expect("good files");
    let second = build(&mut maker, &[], &providers, &secrets).expect("good files");
    let config = |set: &TlsSet, index: usize| Arc::clone(&set.endpoints[index].as_ref().expect("TLS").0);
    assert!(Arc::ptr_eq(&config(&first, 0), &config(&first, 1)));
    assert!(!Arc::ptr_eq(&config(&first, 0), &config(&first, 2)));
    assert!(Arc::ptr_eq(&config(&first, 2), &config(&second, 2)));
}

#[test]
fn all_faults_are_told_with_their_pointers() {
    let authority = Authority::new();
    let (one, other) = (authority.issue(&["one.test"]), authority.issue(&["other.test"]));
    let secrets = files(&[
        ("one", &one.certificate_pem),
        ("other-key", &other.key_pem),
        ("junk", "-----BEGIN CERTIFICATE-----\nno\n"),
        ("empty", ""),
    ]);
    let mismatch = ListenerTls {
        certificate: file("one"),
        key: file("other-key"),
        sni: Vec::new(),
    };
    let junk = ListenerTls {
        certificate: file("junk"),
        key: file("other-key"),
        sni: Vec::new(),
    };
    let missing = ListenerTls {
        certificate: file("one"),
        key: file("absent"),
        sni: Vec::new(),
    };
    let listeners = [("a/b", mismatch), ("junk", junk), ("missing", missing)];
    let listeners = listeners.map(|(name, tls)| (name.to_owned(), listener(tls))).to_vec();
    let empty_ca = provider(UpstreamTls {
        ca: Some(file("empty")),
        ..UpstreamTls::default()
    });
    let mut maker = TlsMaker::new().expect("randomness");
    let problems = build(&mut maker, &listeners, &[("p".to_owned(), empty_ca)], &secrets).expect_err("faults");
    let pointers: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/listeners/a~1b/tls/key",
            "/listeners/junk/tls/certificate",
            "/listeners/missing/tls/key",
            "/providers/p/tls"
        ]
    );
    assert_eq!(problems[0].wrong, "is not the key of the certificate");
}

#[test]
fn an_expired_certificate_is_served_and_told() {
    let issued = Authority::new().issue_until(&["old.test"], 2000);
    let secrets = files(&[("cert", &issued.certificate_pem), ("key", &issued.key_pem)]);
    let tls = ListenerTls {
        certificate: file("cert"),
        key: file("key"),
        sni: Vec::new(),
    };
    let mut maker = TlsMaker::new().expect("randomness");
    let set = build(&mut maker, &[("public".to_owned(), listener(tls))], &[], &secrets).expect("served all the same");
    assert!(set.listeners[0].is_some());
    assert_eq!(set.expiries[0].not_after_unix_s, 946_684_800);
    assert_eq!(set.expiries[0].pointer, "/listeners/public/tls/certificate");
}

#[test]
fn server_names_choose_the_certificate() {
    let authority = Authority::new();
    let certified = |name: &str| {
        let issued = authority.issue(&[name]);
        let key = rustls::pki_types::pem::PemObject::from_pem_slice(issued.key_pem.as_bytes()).expect("PEM");
        server::certified(vec![issued.der().into()], key).expect("a pair")
    };
    let (default, exact, wild) = (certified("d.test"), certified("a.test"), certified("w.test"));
    let mut names = server::Names::new(Arc::clone(&default));
    names.add("A.test", Arc::clone(&exact));
    names.add("*.wild.test", Arc::clone(&wild));
    let cases = [
        ("a.TEST", &exact),
        ("x.wild.test", &wild),
        ("x.y.wild.test", &default),
        ("wild.test", &default),
        ("b.test", &default),
        ("", &default),
    ];
    for (name, expected) in cases {
        assert!(Arc::ptr_eq(names.of(name), expected), "{name}");
    }
}
