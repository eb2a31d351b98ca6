//! Changes of keys that several gateways share: made at two of them at once, and made by a database that answers too late.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    harness::{Gateway, Response, Sandbox, postgres::Postgres, until},
    postgres::{SCHEMA, gateway},
};

/// Limits that the database takes its time for.
const SLOW: u64 = 777;

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
    if late.status == 409 {
        assert_eq!(listed(first, "both"), Some(60), "whoever looks again sees it");
    }
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

/// With its keys where others are, or by itself.
fn share(gateway: &mut Gateway, postgres: Option<&Postgres>) {
    let value = postgres.map(|postgres| format!(r#"{{"postgres":{}}}"#, postgres.settings(SCHEMA)));
    match value {
        Some(value) => gateway.control("PUT", "/v1/config/database", &[], value.as_bytes()),
        None => gateway.control("DELETE", "/v1/config/database", &[], b""),
    }
    .expect(200);
}

#[test]
fn keys_that_were_changed_while_they_were_not_shared_are_changed_where_all_are() {
    let (sandbox, postgres) = (Sandbox::start(), Postgres::start());
    let mut gateways = [gateway(&sandbox, &postgres), gateway(&sandbox, &postgres)];
    for name in ["limited", "rotated", "revoked", "other"] {
        make(&gateways[0], name, 50).expect(201);
        comes_to(&gateways, name, Some(50));
    }
    share(&mut gateways[0], None);
    let first = &gateways[0];
    let secret = |made: Response| made.json()["secret"].as_str().expect("a secret").to_owned();
    limit(first, "limited", 60).expect(200);
    let rotated = secret(first.control("POST", "/v1/keys/rotated/rotate", &[], b"{}").expect(200));
    first.control("DELETE", "/v1/keys/revoked", &[], b"").expect(200);
    let made = secret(make(first, "made", 70).expect(201));
    make(first, "taken", 71).expect(201);
    limit(first, "other", 61).expect(200);
    // Meanwhile at the other.
    make(&gateways[1], "taken", 81).expect(201);
    limit(&gateways[1], "other", 82).expect(200);
    share(&mut gateways[0], Some(&postgres));
    // Asked at once, and it does not lose what was changed before.
    let at_once = limit(&gateways[0], "limited", 62);
    assert_eq!(at_once.status, 200, "{}", at_once.text());
    for (name, counts) in [
        ("limited", Some(62)),
        ("revoked", None),
        ("made", Some(70)),
        ("taken", Some(81)),
        ("other", Some(82)),
    ] {
        comes_to(&gateways, name, counts);
    }
    for gateway in &gateways {
        for secret in [&rotated, &made] {
            until("the key to be known", 20, || {
                (gateway.chat_status(secret) == 200).then_some(())
            });
        }
    }
    for (gateway, name, counts) in [(0, "rotated", 90), (0, "made", 91), (1, "other", 92), (0, "taken", 93)] {
        limit(&gateways[gateway], name, counts).expect(200);
        comes_to(&gateways, name, Some(counts));
    }
}

#[test]
fn a_key_that_is_another_one_in_the_database_is_taken_over_when_it_is_to_be_changed() {
    let (sandbox, postgres) = (Sandbox::start(), Postgres::start());
    let gateways = [gateway(&sandbox, &postgres)];
    let [first] = &gateways;
    for name in ["changed", "gone"] {
        make(first, name, 50).expect(201);
    }
    until("both to be followed", 20, || {
        let store = Connection::open(first.state_dir.join("tollgate.db")).ok()?;
        let sql = "SELECT value FROM settings WHERE name = 'keys_followed'";
        let followed: String = store.query_row(sql, [], |row| row.get(0)).ok()?;
        followed.starts_with("2 ").then_some(())
    });
    // Their numbers are no news.
    postgres.run(
        SCHEMA,
        "UPDATE keys SET content = replace(content, '\"requests\":50', '\"requests\":60') WHERE name = 'changed'; \
         UPDATE keys SET content = NULL WHERE name = 'gone'",
    );
    for (name, counts) in [("changed", Some(60)), ("gone", None)] {
        let refused = limit(first, name, 70);
        assert_eq!(refused.status, 409, "{}", refused.text());
        assert_eq!(listed(first, name), counts, "{}", refused.text());
    }
    limit(first, "changed", 70).expect(200);
    make(first, "gone", 80).expect(201);
}
