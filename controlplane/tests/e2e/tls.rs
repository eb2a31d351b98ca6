//! TLS on both sides: certificates that are wrong, expired, swapped, chosen by name.

use std::path::Path;

use crate::harness::{
    Client, Gateway, Sandbox, Setup,
    certificates::{Authority, Files, Validity, connect, handshake, shown, trusting},
    gateway::{chat, model_line, with_key},
    http::request,
    probe::Baseline,
    process::{self, Signal},
    until,
};

/// A gateway whose listener speaks TLS, and the files of its certificate.
fn tls_gateway(folder: &Path, authority: &Authority, more: &str) -> (Sandbox, Gateway, Files) {
    let files = authority.issue("server", &["gateway.test"], Validity::Current);
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    let secure = std::net::SocketAddr::from(([127, 0, 0, 1], crate::harness::free_port()));
    let tls = format!(
        "certificate: \"file:{}\", key: \"file:{}\"{more}",
        files.certificate.display(),
        files.key.display()
    );
    setup.listeners = format!("  secure: {{ address: \"{secure}\", tls: {{ {tls} }} }}\n");
    let mut gateway = setup.start();
    // The plain listener stays for control; the tests talk to the secure one.
    gateway.address = secure;
    assert!(folder.exists());
    (sandbox, gateway, files)
}

fn ask(client: &mut Client) {
    let body = chat("openai/sandbox-small", "");
    client.send(&request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        body.as_bytes(),
    ));
    client.read().expect("an answer").expect(200);
}

#[test]
fn clients_are_served_over_tls_with_http_1_1_chosen_and_sessions_resumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "root");
    let (_sandbox, gateway, _) = tls_gateway(folder.path(), &authority, "");
    let config = trusting(&authority.root("root"));
    let first = handshake(gateway.address, "gateway.test", &config).expect("shaken hands");
    assert_eq!(first.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(first.conn.handshake_kind(), Some(rustls::HandshakeKind::Full));
    // Tickets come with the first bytes after the handshake.
    first.sock.set_nodelay(true).expect("set");
    ask(&mut Client::over(first));
    let second = handshake(gateway.address, "gateway.test", &config).expect("shaken hands");
    assert_eq!(second.conn.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    let mut client = Client::over(second);
    for _ in 0..10 {
        ask(&mut client);
    }
    let body = chat("openai/sandbox-bytes-3000000", r#","stream":true"#);
    client.send(&request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        body.as_bytes(),
    ));
    assert!(
        client
            .read()
            .expect("an answer")
            .expect(200)
            .text()
            .ends_with("data: [DONE]\n\n")
    );
}

#[test]
fn a_certificate_is_swapped_without_dropping_a_connection_and_a_wrong_one_is_not_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "root");
    let (_sandbox, gateway, files) = tls_gateway(folder.path(), &authority, "");
    let seen =
        || handshake(gateway.address, "gateway.test", &trusting(&authority.root("root"))).map(|socket| shown(&socket));
    let before = seen().expect("shaken hands");
    let config = trusting(&authority.root("root"));
    let mut kept = connect(gateway.address, "gateway.test", &config);
    ask(&mut kept);

    authority.issue("server", &["gateway.test"], Validity::Current);
    process::signal(gateway.controlplane_pid(), Signal::HUP);
    let after = until("the new certificate to be shown", 10, || {
        seen().ok().filter(|shown| *shown != before)
    });
    ask(&mut kept);

    std::fs::write(&files.certificate, "not a certificate").expect("written");
    process::signal(gateway.controlplane_pid(), Signal::HUP);
    for _ in 0..20 {
        assert_eq!(seen().expect("shaken hands"), after, "the last good certificate stays");
    }
    ask(&mut kept);
}

#[test]
fn the_certificate_is_chosen_by_the_name_the_client_asks_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "root");
    let other = authority.issue("other", &["other.test"], Validity::Current);
    let more = format!(
        ", sni: {{ other.test: {{ certificate: \"file:{}\", key: \"file:{}\" }} }}",
        other.certificate.display(),
        other.key.display()
    );
    let (_sandbox, gateway, _) = tls_gateway(folder.path(), &authority, &more);
    let config = trusting(&authority.root("root"));
    for name in ["gateway.test", "other.test"] {
        ask(&mut connect(gateway.address, name, &config));
    }
    assert!(
        handshake(gateway.address, "third.test", &config).is_err(),
        "the default is not for that name"
    );
}

#[test]
fn clients_that_speak_no_tls_or_leave_in_the_handshake_leave_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "root");
    let (_sandbox, gateway, _) = tls_gateway(folder.path(), &authority, "");
    let config = trusting(&authority.root("root"));
    ask(&mut connect(gateway.address, "gateway.test", &config));
    until("the warm-up to be over", 10, || {
        (gateway.connections() == 0).then_some(())
    });
    let baseline = Baseline::of(gateway.dataplane_pid());
    for index in 0..200 {
        let mut client = Client::connect(gateway.address);
        let hello = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03";
        let bytes: &[u8] = if index % 2 == 0 {
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
        } else {
            hello
        };
        client.send(bytes);
    }
    until("all of them to be gone", 15, || {
        (gateway.connections() == 0).then_some(())
    });
    baseline.assert_restored(6 * 1024);
    ask(&mut connect(gateway.address, "gateway.test", &config));
}

/// A provider behind TLS and a gateway that is told about it with `tls` (written as `, tls: {…}`).
fn tls_provider(files: &Files, arguments: &[&str], tls: &str) -> (Sandbox, Gateway) {
    let (certificate, key) = (files.certificate.display().to_string(), files.key.display().to_string());
    let mut all = vec!["--tls-cert", &certificate, "--tls-key", &key];
    all.extend_from_slice(arguments);
    let sandbox = Sandbox::with(&all);
    let gateway = to_tls(sandbox.address.port(), tls).start();
    (sandbox, gateway)
}

fn to_tls(port: u16, tls: &str) -> Setup {
    let mut setup = Setup::to(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    setup.providers = format!(
        "  openai: {{ dialect: openai, base_url: \"https://localhost:{port}\", credential: env:TOLLGATE_TEST_UPSTREAM{tls} }}\n"
    );
    setup.models = model_line("openai/*", &["openai"]);
    setup
}

#[test]
fn a_provider_with_a_good_certificate_is_called_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "root");
    let files = authority.issue("provider", &["localhost"], Validity::Current);
    let tls = format!(", tls: {{ ca: \"file:{}\" }}", authority.root("root").display());
    let (_sandbox, gateway) = tls_provider(&files, &[], &tls);
    for more in ["", r#","stream":true"#] {
        for _ in 0..5 {
            gateway
                .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", more))
                .expect(200);
        }
    }
    let large = gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-bytes-5000000", ""))
        .expect(200);
    assert!(large.body.len() > 5_000_000);
    // A close without goodbye in TLS is a cut.
    let cut = gateway.post("/v1/chat/completions", &[], &chat("openai/sandbox-rst-300", ""));
    assert!(cut.status == 502 || cut.ended == crate::harness::Ended::Cut, "{cut:?}");
}

#[test]
fn a_provider_whose_certificate_is_wrong_is_not_called() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "root");
    let stranger = Authority::new(folder.path(), "stranger");
    let tls = format!(", tls: {{ ca: \"file:{}\" }}", authority.root("root").display());
    let cases = [
        ("expired", authority.issue("expired", &["localhost"], Validity::Expired)),
        (
            "for another name",
            authority.issue("misnamed", &["elsewhere.test"], Validity::Current),
        ),
        (
            "signed by a stranger",
            stranger.issue("strange", &["localhost"], Validity::Current),
        ),
    ];
    for (name, files) in cases {
        let (_sandbox, gateway) = tls_provider(&files, &[], &tls);
        let baseline = Baseline::of(gateway.dataplane_pid());
        for _ in 0..10 {
            let answer = gateway.post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""));
            assert!(matches!(answer.status, 502 | 503), "{name}: {answer:?}");
            assert!(answer.text().contains("openai"), "{name}: {}", answer.text());
        }
        baseline.assert_restored(6 * 1024);
    }
    // Without a configured authority the system's roots hold, and they do not know ours.
    let files = authority.issue("unknown", &["localhost"], Validity::Current);
    let (_sandbox, gateway) = tls_provider(&files, &[], "");
    assert!(matches!(
        gateway
            .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
            .status,
        502 | 503
    ));
}

#[test]
fn a_provider_that_swaps_its_certificate_is_still_trusted_or_not_any_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "root");
    let files = authority.issue("provider", &["localhost"], Validity::Current);
    let tls = format!(", tls: {{ ca: \"file:{}\" }}", authority.root("root").display());
    let (sandbox, gateway) = tls_provider(&files, &[], &tls);
    let port = sandbox.address;
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
    drop(sandbox);
    for (validity, status) in [(Validity::Expired, 502), (Validity::Current, 200)] {
        let files = authority.issue("provider", &["localhost"], validity);
        let (certificate, key) = (files.certificate.display().to_string(), files.key.display().to_string());
        let _swapped = Sandbox::at(&port.to_string(), &["--tls-cert", &certificate, "--tls-key", &key]);
        let answer = gateway.post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""));
        assert_eq!(answer.status, status, "{validity:?}: {}", answer.text());
    }
}

#[test]
fn a_provider_that_wants_a_certificate_of_us_gets_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "root");
    let provider = authority.issue("provider", &["localhost"], Validity::Current);
    let own = authority.issue("own", &["tollgate.test"], Validity::Current);
    let root = authority.root("root").display().to_string();
    let with_own = format!(
        ", tls: {{ ca: \"file:{root}\", client_certificate: \"file:{}\", client_key: \"file:{}\" }}",
        own.certificate.display(),
        own.key.display()
    );
    let (_sandbox, gateway) = tls_provider(&provider, &["--tls-client-ca", &root], &with_own);
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
    let (_sandbox, gateway) = tls_provider(
        &provider,
        &["--tls-client-ca", &root],
        &format!(", tls: {{ ca: \"file:{root}\" }}"),
    );
    assert!(matches!(
        gateway
            .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
            .status,
        502 | 503
    ));
}
