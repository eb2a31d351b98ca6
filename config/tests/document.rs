//! Right documents → the types they become.

use std::net::IpAddr;

use tollgate_config::{
    Document,
    check::check,
    document::{
        AccessLog, Auth, BaseUrl, Cidr, Dialect, KeySecret, NoProxy, Provider, Reference, Retry, Shards, Streams,
        Timeouts, TokenTimeouts,
    },
    parse::{Parsed, parse},
    quickstart, quickstart as quick,
};

fn document(text: &str) -> Document {
    let parsed = parse(text).unwrap_or_else(|problems| panic!("{problems:?}"));
    check(&parsed).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn provider(rest: &str) -> Provider {
    let mut document = document(&format!("version: 1\nproviders: {{ p: {{ {rest} }} }}"));
    document.providers.remove(0).1
}

#[test]
fn an_empty_document_has_the_defaults() {
    let document = document("version: 1");
    assert_eq!(document, Document::default());
    assert_eq!(
        (document.shutdown_grace_ms, document.max_body_bytes),
        (30_000, 33_554_432)
    );
    assert_eq!(
        (document.shards, document.access_log),
        (Shards::Auto, AccessLog::Stderr)
    );
}

#[test]
fn a_secret_for_ids_is_a_reference() {
    assert_eq!(
        document("version: 1\nid_secret: file:ids").id_secret,
        Some(Reference::File("ids".into()))
    );
}

#[test]
fn base_urls() {
    for (given, tls, host, port, prefix, shown) in [
        (
            "https://api.example.com",
            true,
            "api.example.com",
            443,
            "/v1",
            "https://api.example.com/v1",
        ),
        (
            "HTTPS://API.Example.com/",
            true,
            "api.example.com",
            443,
            "/v1",
            "https://api.example.com/v1",
        ),
        (
            "http://10.0.0.1:8000",
            false,
            "10.0.0.1",
            8000,
            "/v1",
            "http://10.0.0.1:8000/v1",
        ),
        (
            "http://a/openai/deployments/x/",
            false,
            "a",
            80,
            "/openai/deployments/x",
            "http://a/openai/deployments/x",
        ),
        ("http://[::1]:9", false, "::1", 9, "/v1", "http://[::1]:9/v1"),
        (
            "https://[2001:DB8::1]/x",
            true,
            "2001:db8::1",
            443,
            "/x",
            "https://[2001:db8::1]/x",
        ),
        (
            "https://a_b.svc:443/v2",
            true,
            "a_b.svc",
            443,
            "/v2",
            "https://a_b.svc/v2",
        ),
    ] {
        let url = provider(&format!("kind: openai, base_url: '{given}'")).base_url;
        assert_eq!(url.to_string(), shown);
        assert_eq!(
            url,
            BaseUrl {
                tls,
                host: host.into(),
                port,
                prefix: prefix.into()
            },
            "{given}"
        );
    }
}

#[test]
fn the_catalogue_says_what_a_kind_is() {
    for (rest, dialect, auth, url, may_ask) in [
        (
            "kind: openai, credential: env:A",
            Dialect::OpenAi,
            Auth::Bearer,
            "https://api.openai.com/v1",
            true,
        ),
        (
            "kind: anthropic, credential: env:A",
            Dialect::Anthropic,
            Auth::XApiKey,
            "https://api.anthropic.com/v1",
            false,
        ),
        (
            "kind: sandbox, base_url: 'http://a'",
            Dialect::OpenAi,
            Auth::None,
            "http://a/v1",
            true,
        ),
        (
            "dialect: openai, base_url: 'http://a', credential: env:A",
            Dialect::OpenAi,
            Auth::Bearer,
            "http://a/v1",
            false,
        ),
        (
            "dialect: anthropic, base_url: 'http://a', credential: env:A",
            Dialect::Anthropic,
            Auth::XApiKey,
            "http://a/v1",
            false,
        ),
    ] {
        let provider = provider(rest);
        assert_eq!(
            (provider.dialect, provider.auth, provider.may_ask_stream_usage),
            (dialect, auth, may_ask),
            "{rest}"
        );
        assert_eq!(provider.base_url.to_string(), url);
    }
}

#[test]
fn everything_a_provider_may_say() {
    let provider = provider(
        "kind: openai, credential: [ env:A, file:b ], \
         proxy: { url: 'http://Proxy.corp:3128', credential: env:P, no_proxy: [ 10.0.0.0/8, '::1', LocalHost, .Corp.example ] }, \
         timeouts: { connect: 250ms, total: 1h }, connections: { max_idle: 0, idle_timeout: 5m }, \
         tls: { ca: file:ca.pem, client_certificate: file:c, client_key: file:k, server_name: API.example.com }, \
         headers: { OpenAI-Organization: org-1 }",
    );
    assert_eq!(
        provider.credentials,
        [Reference::Env("A".into()), Reference::File("b".into())]
    );
    let proxy = provider.proxy.unwrap();
    assert_eq!(
        (proxy.host.as_str(), proxy.port, proxy.credential.clone()),
        ("proxy.corp", 3128, Some(Reference::Env("P".into())))
    );
    let network = |address: &str, prefix| {
        NoProxy::Cidr(Cidr {
            address: address.parse().unwrap(),
            prefix,
        })
    };
    let expected = [
        network("10.0.0.0", 8),
        network("::1", 128),
        NoProxy::Host("localhost".into()),
        NoProxy::Suffix(".corp.example".into()),
    ];
    assert_eq!(proxy.no_proxy, expected);
    for (host, through) in [
        ("api.openai.com", true),
        ("localhost", false),
        ("10.1.2.3", false),
        ("11.1.2.3", true),
        ("a.CORP.example", false),
        ("corp.example", true),
    ] {
        assert_eq!(proxy.takes(host), through, "{host}");
    }
    assert_eq!(
        provider.timeouts,
        Timeouts {
            connect_ms: 250,
            total_ms: 3_600_000,
            ..Timeouts::default()
        }
    );
    assert_eq!(
        (provider.connections.max_idle, provider.connections.idle_timeout_ms),
        (0, 300_000)
    );
    assert_eq!(
        provider.tls.client_certificate,
        Some((Reference::File("c".into()), Reference::File("k".into())))
    );
    assert_eq!(provider.tls.server_name.as_deref(), Some("api.example.com"));
    assert_eq!(
        provider.headers,
        [("openai-organization".to_string(), "org-1".to_string())]
    );
}

#[test]
fn retries() {
    let model = |retry: &str| {
        let text = format!(
            "version: 1\nproviders: {{ p: {{ kind: sandbox, base_url: 'http://a' }} }}\n\
             models: {{ m: {{ targets: [ {{ provider: p, model: x }} ]{retry} }} }}"
        );
        document(&text).models.remove(0).1.retry
    };
    let none = Retry {
        on_connect: false,
        on_disconnect: false,
        on_timeout: false,
        on_status: vec![],
        ..Retry::default()
    };
    for (text, expected) in [
        ("", Retry::default()),
        (", retry: {}", Retry::default()),
        (
            ", retry: { attempts: 1 }",
            Retry {
                attempts: 1,
                ..Retry::default()
            },
        ),
        (", retry: { on: [] }", none.clone()),
        (
            ", retry: { on: [timeout, 500, 500, 408] }",
            Retry {
                on_timeout: true,
                on_status: vec![500, 408],
                ..none
            },
        ),
    ] {
        assert_eq!(model(text), expected, "{text}");
    }
}

#[test]
fn streams() {
    let text = |model: &str| {
        format!(
            "version: 1\nproviders: {{ p: {{ kind: sandbox, base_url: 'http://a', timeouts: {{ first_token: 20s }} }} }}\n\
             models: {{ m: {{ targets: [ {{ provider: p, model: x }} ]{model} }} }}"
        )
    };
    let streams = |model: &str| document(&text(model)).models.remove(0).1.streams;
    assert_eq!(streams(""), Streams::default());
    assert_eq!(
        streams(", timeouts: { first_token: 10s, between_tokens: 5s }, keep_alive: off, resume: true"),
        Streams {
            timeouts: TokenTimeouts {
                first_token_ms: Some(10_000),
                between_tokens_ms: Some(5_000),
            },
            keep_alive_ms: None,
            resume: true,
            drain_ms: None,
        }
    );
    assert_eq!(streams(", keep_alive: 20s").keep_alive_ms, Some(20_000));
    assert_eq!(streams(", on_client_gone: cancel").drain_ms, None);
    assert_eq!(streams(", on_client_gone: { drain: 5s }").drain_ms, Some(5_000));
    let provider = document(&text("")).providers.remove(0).1.timeouts;
    assert_eq!(provider.tokens.first_token_ms, Some(20_000));
    // What a model does not say is its provider's.
    let model = TokenTimeouts {
        first_token_ms: None,
        between_tokens_ms: Some(1),
    };
    assert_eq!(
        model.or(provider.tokens),
        TokenTimeouts {
            first_token_ms: Some(20_000),
            between_tokens_ms: Some(1),
        }
    );
}

#[test]
fn listeners_with_everything() {
    let document = document(
        "version: 1\nlisteners: { a: { address: '[::1]:8443', proxy_protocol: true, trusted_proxies: [ 10.0.0.0/8 ], \
         cors: { origins: [ 'https://App.example.com' ], max_age: 1h }, \
         tls: { certificate: file:c, key: env:K, sni: { B.example.com: { certificate: file:d, key: file:e } } } } }\n\
         admin: { address: '127.0.0.1:9080', token: env:T }",
    );
    let listener = &document.listeners[0].1;
    assert!(listener.proxy_protocol && listener.address.is_ipv6());
    let cors = listener.cors.as_ref().unwrap();
    assert_eq!(
        (cors.origins[0].as_str(), cors.max_age_s),
        ("https://app.example.com", 3_600)
    );
    let tls = listener.tls.as_ref().unwrap();
    assert_eq!(tls.key, Reference::Env("K".into()));
    assert_eq!(
        tls.sni,
        [(
            "b.example.com".to_string(),
            Reference::File("d".into()),
            Reference::File("e".into())
        )]
    );
    assert_eq!(document.admin.unwrap().token, Some(Reference::Env("T".into())));
}

#[test]
fn networks_contain_their_addresses() {
    for (network, prefix, ip, expected) in [
        ("10.0.0.0", 8, "10.255.0.1", true),
        ("10.0.0.0", 8, "11.0.0.0", false),
        ("10.0.0.0", 8, "::ffff:10.1.2.3", true),
        ("0.0.0.0", 0, "255.255.255.255", true),
        ("0.0.0.0", 0, "::1", false),
        ("127.0.0.1", 32, "127.0.0.1", true),
        ("127.0.0.1", 32, "127.0.0.2", false),
        ("fd00::", 8, "fdff::1", true),
        ("fd00::", 8, "fe00::1", false),
        ("::", 0, "2001:db8::1", true),
        ("::1", 128, "::1", true),
    ] {
        let cidr = Cidr {
            address: network.parse().unwrap(),
            prefix,
        };
        let ip: IpAddr = ip.parse().unwrap();
        assert_eq!(cidr.contains(ip), expected, "{network}/{prefix} {ip}");
    }
}

#[test]
fn the_quick_start_is_right() {
    let tree = quickstart("127.0.0.1:4321".parse().unwrap());
    let document = check(&Parsed::from_tree(tree)).unwrap();
    assert_eq!(document.listeners[0].1.address.to_string(), quick::LISTENER_ADDRESS);
    assert_eq!(document.admin.unwrap().address.to_string(), quick::ADMIN_ADDRESS);
    let bases: Vec<String> = document
        .providers
        .iter()
        .map(|(_, provider)| provider.base_url.to_string())
        .collect();
    assert_eq!(bases, ["http://127.0.0.1:4321/v1"; 2]);
    let dialects: Vec<Dialect> = document
        .providers
        .iter()
        .map(|(_, provider)| provider.dialect)
        .collect();
    assert_eq!(dialects, [Dialect::OpenAi, Dialect::Anthropic]);
    let models: Vec<&str> = document.models.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(models, ["sandbox-small", "sandbox-large"]);
    assert!(document.models.iter().all(|(_, model)| model.targets.len() == 2));
    let key = &document.keys[0].1;
    assert!(key.loopback_only && key.models.is_empty());
    let digest: [u8; 32] = sha2::Digest::finalize(sha2::Digest::chain_update(
        <sha2::Sha256 as sha2::Digest>::new(),
        quick::KEY,
    ))
    .into();
    assert_eq!(key.secret, KeySecret::Sha256(digest));
}
