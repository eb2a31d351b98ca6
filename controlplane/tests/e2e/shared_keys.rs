//! Changes of keys that several gateways share: made at two of them at once, and made by a database that answers too late.

use serde_json::{Value, json};

use crate::harness::{Gateway, Response, Sandbox, Setup, postgres::Postgres, until};

const SCHEMA: &str = "gates";
/// Limits that the database takes its time for.
const SLOW: u64 = 777;

fn gateway(sandbox: &Sandbox, postgres: &Postgres) -> Gateway {
    let mut setup = Setup::to(sandbox.address);
    setup.top += &format!("database: {{ \"postgres\": {} }}\n", postgres.settings(SCHEMA));
    let gateway = setup.start();
    until("the ledger is in PostgreSQL", 30, || {
        (gateway.status()["controlplane"]["ledger"]["kind"] == "postgres").then_some(())
    });
    gateway
}

fn limits(requests: u64) -> Value {
    json!([{ "requests": requests, "per": "1m" }])
}

fn make(gateway: &Gateway, name: &str, requests: u64) -> Response {
    let body = json!({ "name": name, "limits": limits(requests) }).to_string();
    gateway.control("POST", "/v1/keys", &[], body.as_bytes())
}

fn limit(gateway: &Gateway, name: &str, requests: u64) -> Response {
    let body = limits(requests).to_string();
    gateway.control("PUT", &format!("/v1/keys/{name}/limits"), &[], body.as_bytes())
}

/// Of the key that a gateway lists: its limit.
fn listed(gateway: &Gateway, name: &str) -> Option<u64> {
    let keys = gateway.control("GET", "/v1/keys", &[], b"").expect(200).json();
    let found = keys["keys"].as_array()?.iter().find(|key| key["name"] == name)?;
    found["limits"][0]["requests"].as_u64()
}

#[track_caller]
fn comes_to(gateways: &[Gateway], name: &str, wanted: Option<u64>) {
    until(&format!("all gateways to list {name} with {wanted:?}"), 20, || {
        gateways
            .iter()
            .all(|gateway| listed(gateway, name) == wanted)
            .then_some(())
    });
}

#[test]
fn a_key_that_was_changed_elsewhere_is_not_changed_back() {
    let (sandbox, postgres) = (Sandbox::start(), Postgres::start());
    let gateways = [gateway(&sandbox, &postgres), gateway(&sandbox, &postgres)];
    let [first, second] = &gateways;
    let secret = make(first, "both", 50).expect(201).json()["secret"].clone();
    let secret = secret.as_str().expect("a secret");
    comes_to(&gateways, "both", Some(50));
    // The first hears of it within a second, and is asked before.
    limit(second, "both", 60).expect(200);
    let late = limit(first, "both", 70);
    assert!(matches!(late.status, 200 | 409), "{}", late.text());
    let counts = if late.status == 200 { 70 } else { 60 };
    comes_to(&gateways, "both", Some(counts));
    second.control("DELETE", "/v1/keys/both", &[], b"").expect(200);
    let late = limit(first, "both", 80);
    assert!(matches!(late.status, 404 | 409), "{}", late.text());
    comes_to(&gateways, "both", None);
    for gateway in &gateways {
        until("the key to be refused", 10, || {
            (gateway.chat_status(secret) == 401).then_some(())
        });
    }
    make(first, "both", 90).expect(201);
    comes_to(&gateways, "both", Some(90));
}

#[test]
fn a_change_that_was_answered_as_failed_is_taken_back_when_the_database_has_made_it() {
    let (sandbox, postgres) = (Sandbox::start(), Postgres::start());
    let gateways = [gateway(&sandbox, &postgres), gateway(&sandbox, &postgres)];
    let [first, second] = &gateways;
    make(first, "there", 50).expect(201);
    comes_to(&gateways, "there", Some(50));
    // Three seconds for the change, and as many for its end: longer than anybody waits, and shorter than a statement may take.
    postgres.run(
        SCHEMA,
        &format!(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NEW.content LIKE '%\"requests\":{SLOW}%' THEN PERFORM pg_sleep(3); END IF; RETURN NEW; END $$;
             CREATE TRIGGER slow BEFORE INSERT ON keys FOR EACH ROW EXECUTE FUNCTION slow();
             CREATE CONSTRAINT TRIGGER slow_end AFTER INSERT OR UPDATE ON keys DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION slow()"
        ),
    );
    let taken_back = |count: usize| {
        until("the change to be taken back", 30, || {
            (first.process.output().matches("key_change_taken_back").count() == count).then_some(())
        })
    };
    let refused = make(first, "late", SLOW);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("taken back"), "{}", refused.text());
    taken_back(1);
    comes_to(&gateways, "late", None);
    let refused = limit(first, "there", SLOW);
    assert_eq!(refused.status, 503, "{}", refused.text());
    taken_back(2);
    comes_to(&gateways, "there", Some(50));
    // The names and the keys are as free as they were.
    make(second, "late", 40).expect(201);
    comes_to(&gateways, "late", Some(40));
    limit(first, "there", 60).expect(200);
    comes_to(&gateways, "there", Some(60));
}
