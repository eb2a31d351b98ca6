//! Every way to write the document and its clients' side wrong: what `check` says, and where.

#[allow(dead_code)] // Each test has it said in one of its ways.
mod faults;

use faults::lines;
use tollgate_config::check::check;

/// A document that is right, with one section replaced or added.
fn with(section: &str) -> String {
    format!("version: 1\n{section}\n")
}

/// Each case: text, and the whole of what is said.
#[track_caller]
fn check_table(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(lines(&with(text)), *expected, "\n{text}");
    }
}

#[test]
fn right_documents_have_no_faults() {
    check_table(&[
        ("", ""),
        ("teams:", ""),
        ("teams: { research: }", ""),
        (
            "providers: { p: { dialect: openai, base_url: 'http://[::1]:9000/v2/' } }",
            "",
        ),
        ("shards: 4\naccess_log: file:/var/log/tollgate.log\ndrain_delay: 0s", ""),
    ]);
}

#[test]
fn the_document_itself() {
    for (text, expected) in [
        (
            "",
            "1:1: : the document is empty; version: 1, and then listeners, providers, models and keys",
        ),
        ("{}", "1:1: : `version` is missing; version: 1"),
        (
            "version: 2",
            "1:10: /version: `2` is not a version this program reads; version: 1",
        ),
        (
            "version: '1'",
            "1:10: /version: `1` is not a version this program reads; version: 1",
        ),
        (
            "[1]",
            "1:1: : a list is not a map; a map of version, shards, shutdown_grace, drain_delay, access_log, max_body, cost_header_buffer, max_upload, id_secret, idempotency, usage, database, overload, cluster, client, embedding, listeners, admin, timezone, organization, tags, webhooks, charge_hits, caches, guards, providers, models, teams, users, keys",
        ),
    ] {
        assert_eq!(lines(text), expected, "{text}");
    }
}

#[test]
fn unknown_and_future_keys() {
    check_table(&[
        (
            "listener: {}",
            "2:1: /listener: unknown key `listener`; did you mean `listeners`?",
        ),
        (
            "zzz: 1",
            "2:6: /zzz: unknown key `zzz`; one of version, shards, shutdown_grace, drain_delay, access_log, max_body, cost_header_buffer, max_upload, id_secret, idempotency, usage, database, overload, cluster, client, embedding, listeners, admin, timezone, organization, tags, webhooks, charge_hits, caches, guards, providers, models, teams, users, keys",
        ),
        (
            "log_content: {}\nidentify: {}",
            "2:1: /log_content: `log_content` is not supported yet; remove `log_content`\n3:1: /identify: `identify` is not supported yet; remove `identify`",
        ),
        (
            "log_content: {}",
            "2:1: /log_content: `log_content` is not supported yet; remove `log_content`",
        ),
        (
            "client: { idle_timout: 1s }",
            "2:24: /client/idle_timout: unknown key `idle_timout`; did you mean `idle_timeout`?",
        ),
        (
            "\"a/b~c\": 1",
            "2:10: /a~1b~0c: unknown key `a/b~c`; one of version, shards, shutdown_grace, drain_delay, access_log, max_body, cost_header_buffer, max_upload, id_secret, idempotency, usage, database, overload, cluster, client, embedding, listeners, admin, timezone, organization, tags, webhooks, charge_hits, caches, guards, providers, models, teams, users, keys",
        ),
    ]);
}

#[test]
fn top_level_values() {
    check_table(&[
        ("idempotency: off", ""),
        ("overload: { max_lag: 50ms }", ""),
        ("overload: { max_calls: 1 }", ""),
        (
            "overload: {}",
            "2:1: /overload: a map is not a bound on anything; max_lag: 50ms, max_calls: 10000, or both",
        ),
        (
            "overload: { max_lag: 11s }",
            "2:22: /overload/max_lag: `11s` is not a time that clients may wait for the loop of a shard; up to 10s, such as 50ms",
        ),
        (
            "overload: { max_calls: 0 }",
            "2:24: /overload/max_calls: `0` is not a number that fits here; a whole number from 1 to 10000000",
        ),
        (
            "idempotency: on",
            "2:14: /idempotency: `on` is not a map or `off`; off, or a map of window, max_bytes, max_answer",
        ),
        (
            "idempotency: { window: 25h }",
            "2:24: /idempotency/window: `25h` is not a time to remember answers; up to 24h, such as 10m",
        ),
        (
            "idempotency: { max_bytes: 8MiB }",
            "2:1: /idempotency: `max_answer` is 1048576 bytes and `max_bytes` 8388608; a `max_bytes` of at least 16 times `max_answer`",
        ),
        (
            "shards: 0",
            "2:9: /shards: `0` is not a number of shards; auto, or 1 to 1024",
        ),
        (
            "shards: many",
            "2:9: /shards: `many` is not a number of shards; auto, or 1 to 1024",
        ),
        (
            "shutdown_grace: 30",
            "2:17: /shutdown_grace: `30` is not a duration: it has no unit; 30s or 30ms",
        ),
        (
            "shutdown_grace: 1w",
            "2:17: /shutdown_grace: `1w` is not a duration; a duration such as 250ms, 2s, 5m, 1h or 30d",
        ),
        (
            "shutdown_grace: 99999d",
            "2:17: /shutdown_grace: `99999d` is not a duration within ten years; a duration such as 250ms, 2s, 5m, 1h or 30d",
        ),
        (
            "access_log: stdout",
            "2:13: /access_log: `stdout` is not a place for the access log; off, stderr or file:PATH",
        ),
        ("max_body: 32MB", "2:11: /max_body: `32MB` is not a size; 32MiB"),
        (
            "max_upload: 65GiB",
            "2:13: /max_upload: `65GiB` is not a size for uploads; 1B to 64GiB, such as 512MiB",
        ),
        (
            "max_body: 33554432",
            "2:11: /max_body: `33554432` is not a size: it has no unit; 33554432B or 33554432KiB",
        ),
        (
            "max_body: 0B",
            "2:11: /max_body: `0B` is not a size for request bodies; 1B to 1GiB, such as 32MiB",
        ),
        (
            "client: { header_timeout: 0s }",
            "2:27: /client/header_timeout: `0s` is not a time to wait; more than zero, such as 10s",
        ),
        (
            "client: { max_connections: 0 }",
            "2:28: /client/max_connections: `0` is not a number that fits here; a whole number from 1 to 10000000",
        ),
        (
            "client: 3",
            "2:9: /client: `3` is not a map; a map of header_timeout, body_timeout, idle_timeout, max_connections",
        ),
        (
            "listeners: [ a ]",
            "2:1: /listeners: a list is not a map; a map of names, each with a map of its own",
        ),
    ]);
}

#[test]
fn listeners_and_admin() {
    check_table(&[
        (
            "listeners: { a: {} }",
            "2:14: /listeners/a: `address` is missing; address: an IP address and a port, such as 127.0.0.1:8080",
        ),
        (
            "listeners: { a: { address: ':8080' } }",
            "2:28: /listeners/a/address: `:8080` is not an address; 0.0.0.0:8080 or [::]:8080",
        ),
        (
            "listeners: { a: { address: 'localhost:80' } }",
            "2:28: /listeners/a/address: `localhost:80` is not an address; 127.0.0.1:80",
        ),
        (
            "listeners: { a: { address: 127.0.0.1 } }",
            "2:28: /listeners/a/address: `127.0.0.1` is not an address; 127.0.0.1:8080, with a port",
        ),
        (
            "listeners: { a: { address: '::1' } }",
            "2:28: /listeners/a/address: `::1` is not an address; [::1]:8080, with a port",
        ),
        (
            "listeners: { a: { address: '1.2.3.4:99999' } }",
            "2:28: /listeners/a/address: `1.2.3.4:99999` is not an address; an IP address and a port, such as 127.0.0.1:8080 or [::1]:8080",
        ),
        (
            "listeners: { a: { address: '127.0.0.1:80' }, b: { address: '127.0.0.1:80' } }",
            "2:60: /listeners/b/address: 127.0.0.1:80 overlaps with 127.0.0.1:80 of listener `a`; an address of its own",
        ),
        (
            "listeners: { a: { address: '127.0.0.1:80' } }\nadmin: { address: '[::]:80' }",
            "3:19: /admin/address: [::]:80 overlaps with 127.0.0.1:80 of listener `a`; an address of its own",
        ),
        (
            "listeners: { a: { address: '127.0.0.1:0' }, b: { address: '127.0.0.1:0' }, c: { address: '127.0.0.2:0' } }",
            "",
        ),
        (
            "listeners: { a: { address: '127.0.0.1:1' }, b: { address: '127.0.0.2:1' } }",
            "",
        ),
        (
            "admin: { address: '127.0.0.1:1', token: hunter2 }",
            "2:41: /admin/token: this text is not a reference to a secret; env:NAME or file:PATH; secrets are never written in the document",
        ),
        (
            "listeners: { 'a b': { address: '127.0.0.1:1' } }",
            "2:14: /listeners/a b: `a b` cannot be a name; 1 to 256 ASCII characters without spaces",
        ),
    ]);
}

#[test]
fn all_faults_come_at_once_in_the_order_of_the_text() {
    let text = "keys:\n  k: { secret: oops }\nversion: 3\nmodels: { m: { targets: [ { provider: p, model: '*' } ] } }\nshards: x\n";
    let said = lines(text);
    let pointers: Vec<&str> = said.lines().filter_map(|line| line.split(": ").nth(1)).collect();
    let expected = [
        "/keys/k/secret",
        "/version",
        "/models/m/targets/0/provider",
        "/models/m/targets/0/model",
        "/shards",
    ];
    assert_eq!(pointers, expected);
    assert!(
        !said.contains("oops"),
        "a secret in the wrong place is not repeated: {said}"
    );
}

#[test]
fn a_tree_without_text_has_faults_without_positions() {
    let parsed = tollgate_config::parse::Parsed::from_tree(serde_json::json!({ "version": 1, "shards": "x" }));
    let problems = check(&parsed).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].pointer.as_str(), problems[0].position), ("/shards", None));
}

#[test]
fn what_a_listener_may_say() {
    let listener = |rest: &str| format!("listeners: {{ a: {{ address: '127.0.0.1:1', {rest} }} }}");
    for (rest, expected) in [
        (
            "tls: { key: file:k }",
            "/listeners/a/tls: `certificate` is missing; certificate: file:PATH of a certificate chain in PEM",
        ),
        (
            "tls: { key: file:k, certificate: file:c, sni: { 10.0.0.1: { certificate: file:a, key: file:b } } }",
            "/listeners/a/tls/sni/10.0.0.1: `10.0.0.1` is not a server name; a DNS name such as ai.example.com",
        ),
        (
            "proxy_protocol: v2",
            "/listeners/a/proxy_protocol: `v2` is not true or false; true or false",
        ),
        (
            "trusted_proxies: 10.0.0.0/8",
            "/listeners/a/trusted_proxies: `10.0.0.0/8` is not a list of networks; a list such as [ 10.0.0.0/8 ]",
        ),
        (
            "trusted_proxies: [ 10.0.0.1/8 ]",
            "/listeners/a/trusted_proxies/0: `10.0.0.1/8` is not a network: it has bits beyond its prefix; 10.0.0.0/8",
        ),
        (
            "trusted_proxies: [ 10.0.0.0/33 ]",
            "/listeners/a/trusted_proxies/0: `10.0.0.0/33` is not a network; a network such as 10.0.0.0/8 or fd00::/8, or an IP address",
        ),
        (
            "cors: { origins: [] }",
            "/listeners/a/cors/origins: the list of origins is empty; [ \"https://app.example.com\" ], or [ \"*\" ]",
        ),
        (
            "cors: { origins: [ '*', 'https://a' ] }",
            "/listeners/a/cors/origins: `*` stands beside other origins; [ \"*\" ] alone, or the origins",
        ),
        (
            "cors: { origins: [ 'https://a/b' ] }",
            "/listeners/a/cors/origins/0: `https://a/b` is not an origin; an origin such as https://app.example.com, without a path",
        ),
    ] {
        let said = lines(&with(&listener(rest)));
        assert_eq!(said.split_once(": ").map(|(_, said)| said), Some(expected), "{rest}");
    }
}
