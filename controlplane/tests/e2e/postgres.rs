//! Several gateways that share keys and one ledger in PostgreSQL, and what they do while it is away.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::Value;

use crate::budgets::size;
use crate::harness::{
    Gateway, Sandbox, Setup,
    certificates::{Authority, Validity},
    free_port,
    gateway::chat,
    postgres::{DATABASE, PASSWORD, Postgres, USER},
    process::{Signal, signal},
    until,
};

/// Of gateways that share keys and a ledger.
pub const SCHEMA: &str = "gates";

pub fn gateway(sandbox: &Sandbox, postgres: &Postgres) -> Gateway {
    let mut setup = Setup::to(sandbox.address);
    setup.top += &format!("database: {{ \"postgres\": {} }}\n", postgres.settings(SCHEMA));
    let gateway = setup.start();
    until("the ledger is in PostgreSQL", 30, || {
        (ledger(&gateway)["kind"] == "postgres").then_some(())
    });
    gateway
}

fn ledger(gateway: &Gateway) -> Value {
    gateway.status()["controlplane"]["ledger"].clone()
}

#[track_caller]
fn calls(gateway: &Gateway, count: usize) {
    for _ in 0..count {
        gateway
            .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
            .expect(200);
    }
}

/// Of all gateways, as this one tells it.
fn told(gateway: &Gateway) -> u64 {
    let answer = gateway.control("GET", "/v1/usage?from=2020-01-01", &[], b"");
    let rows = answer.json()["rows"].as_array().cloned().unwrap_or_default();
    rows.iter().filter_map(|row| row["requests"].as_u64()).sum()
}

#[track_caller]
fn comes_to(gateway: &Gateway, count: u64) {
    until(&format!("{count} calls in the ledger"), 30, || {
        (told(gateway) >= count).then_some(())
    });
    assert_eq!(told(gateway), count);
}

#[test]
fn gateways_share_a_ledger_and_keys_and_a_database_that_is_away_loses_nothing() {
    let sandbox = Sandbox::start();
    let mut postgres = Postgres::start();
    let (mut first, second) = (gateway(&sandbox, &postgres), gateway(&sandbox, &postgres));
    calls(&first, 3);
    calls(&second, 4);
    comes_to(&first, 7);
    comes_to(&second, 7);

    // A key that is made here is good there, and gone there when it is revoked.
    let made = first
        .control("POST", "/v1/keys", &[], br#"{"name":"shared"}"#)
        .expect(201);
    let secret = made.json()["secret"].as_str().expect("a secret").to_owned();
    let mut answered = 7;
    let mut is = |gateway: &Gateway, wanted: u16| {
        let status = gateway.chat_status(&secret);
        answered += u64::from(status == 200);
        (status == wanted).then_some(())
    };
    until("the other gateway knows the key", 10, || is(&second, 200));
    let taken = second.control("POST", "/v1/keys", &[], br#"{"name":"shared"}"#);
    assert_eq!(taken.status, 409, "{}", taken.text());
    second.control("DELETE", "/v1/keys/shared", &[], b"").expect(200);
    until("the first gateway knows that it is gone", 10, || is(&first, 401));
    comes_to(&first, answered);

    // Away: calls go on, questions and changes of keys are refused, and both planes say why.
    postgres.stop();
    calls(&first, 5);
    calls(&second, 6);
    let away = until("the status says that it is away", 30, || {
        Some(ledger(&first)).filter(|ledger| ledger["up"] == false)
    });
    assert!(
        away["error"].as_str().is_some_and(|why| why.contains("PostgreSQL")),
        "{away}"
    );
    assert_eq!(first.metric("tollgate_ledger_up", &[]), 0.0);
    let refused = first.control("GET", "/v1/usage", &[], b"");
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(first.control("POST", "/v1/keys", &[], br#"{"name":"x"}"#).status, 503);
    // For as long as is asked for: `TOLLGATE_TEST_DATABASE_AWAY_S=180`.
    let away = Duration::from_secs(size("TOLLGATE_TEST_DATABASE_AWAY_S", 0));
    let began = Instant::now();
    let mut meanwhile = 0;
    while began.elapsed() < away {
        calls(&first, 1);
        calls(&second, 1);
        meanwhile += 2;
    }
    // A control plane that is killed meanwhile, and one that starts.
    signal(first.controlplane_pid(), Signal::KILL);
    first.process.wait(20);
    first.start_again();
    calls(&first, 2);

    postgres.start_again();
    comes_to(&first, answered + 5 + 6 + meanwhile + 2);
    until("the ledger is up", 10, || (ledger(&first)["up"] == true).then_some(()));
    assert_eq!(first.metric("tollgate_usage_records_total", &["missing"]), 0.0);
    until("keys are followed again", 10, || {
        (first.status()["controlplane"]["keys_followed"] == true).then_some(())
    });
}

#[test]
fn a_server_is_trusted_by_its_certificate_and_records_wait_until_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "right");
    let stranger = Authority::new(folder.path(), "wrong");
    let port = free_port();
    let _postgres = Postgres::start_with(|of_server| {
        let files = authority.issue("server", &["localhost"], Validity::Current);
        let copy = |from: &std::path::Path, name: &str| {
            let to = of_server.join(name);
            std::fs::copy(from, &to).expect("copied");
            to.display().to_string()
        };
        vec![
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", copy(&files.certificate, "server.pem")),
            format!("ssl_key_file={}", copy(&files.key, "server.key")),
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
        ]
    });
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.top += &format!(
        "database: {{ postgres: {{ host: localhost, port: {port}, user: {USER}, name: {DATABASE}, \
         password: env:TOLLGATE_TEST_DB_PASSWORD, tls: {{ ca: file:{} }} }} }}\n",
        stranger.root("wrong").display()
    );
    let password = ("TOLLGATE_TEST_DB_PASSWORD".to_owned(), PASSWORD.to_owned());
    setup.environment.push(password);
    let gateway = setup.start();
    calls(&gateway, 2);
    let refused = until("the status says why", 30, || {
        Some(ledger(&gateway)).filter(|ledger| ledger["up"] == false)
    });
    let why = refused["error"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("certificate") && !why.contains(PASSWORD), "{why}");
    assert_eq!(refused["kind"], "sqlite", "{refused}");
    assert_eq!(told(&gateway), 0, "records wait in the spool");
    let unset = gateway.control(
        "PUT",
        "/v1/config/database/postgres/password",
        &[],
        b"\"env:TOLLGATE_TEST_UNSET\"",
    );
    assert_eq!(unset.status, 422, "{}", unset.text());
    assert!(unset.text().contains("/database/postgres/password"), "{}", unset.text());
    let right = format!("\"file:{}\"", authority.root("right").display());
    let target = "/v1/config/database/postgres/tls/ca";
    gateway.control("PUT", target, &[], right.as_bytes()).expect(200);
    until("the ledger is in PostgreSQL", 30, || {
        let ledger = ledger(&gateway);
        (ledger["kind"] == "postgres" && ledger["up"] == true).then_some(())
    });
    comes_to(&gateway, 2);
}

/// A control plane that starts knows how long calls are kept before it forgets any.
#[test]
fn calls_that_are_kept_longer_than_usual_outlive_a_restart() {
    const HUNDRED_DAYS_MS: i64 = 100 * 86_400_000;
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.top += "usage: { retention: { calls: 400d } }\n";
    let mut gateway = setup.start();
    calls(&gateway, 1);
    comes_to(&gateway, 1);
    signal(gateway.controlplane_pid(), Signal::KILL);
    gateway.process.wait(20);
    let path = gateway.state_dir.join("usage.db");
    let open = || Connection::open(&path).expect("the ledger");
    let aged = open().execute("UPDATE call_rows SET ended_ms = ended_ms - ?1", [HUNDRED_DAYS_MS]);
    assert_eq!(aged.expect("it is older now"), 1);
    gateway.start_again();
    calls(&gateway, 1);
    // What came later is there: it has looked at what is too old.
    until("the second call is in the ledger", 20, || {
        (gateway.metric("tollgate_usage_records_total", &["ingested"]) >= 2.0).then_some(())
    });
    let kept: i64 = open()
        .query_row("SELECT COUNT(*) FROM calls", [], |row| row.get(0))
        .expect("a count");
    assert_eq!(kept, 2);
}
