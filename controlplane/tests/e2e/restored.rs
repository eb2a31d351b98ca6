//! Keys in PostgreSQL when the database goes back to an older state, and limits of keys that the cluster's store cannot
//! count.

use serde_json::Value;

use crate::{
    harness::{Gateway, Sandbox, Setup, free_port, postgres::Postgres, until},
    postgres::{SCHEMA, gateway},
};

fn made(gateway: &Gateway, name: &str) -> String {
    let body = format!(r#"{{"name":"{name}"}}"#);
    let made = gateway.control("POST", "/v1/keys", &[], body.as_bytes()).expect(201);
    made.json()["secret"].as_str().expect("a secret").to_owned()
}

#[track_caller]
fn comes_to(gateway: &Gateway, secret: &str, wanted: u16) {
    until(&format!("the key is answered {wanted}"), 15, || {
        (gateway.chat_status(secret) == wanted).then_some(())
    });
}

#[test]
fn keys_that_a_restored_database_has_lost_work_where_they_were_known_until_revoked() {
    let (sandbox, postgres) = (Sandbox::start(), Postgres::start());
    let (first, second) = (gateway(&sandbox, &postgres), gateway(&sandbox, &postgres));
    let (early, gone) = (made(&first, "early"), made(&first, "gone"));
    comes_to(&second, &gone, 200);
    // The copy is made here; then one key comes, and one goes.
    postgres.run(
        SCHEMA,
        "CREATE TABLE copy AS SELECT * FROM keys; CREATE TABLE copy_changes AS SELECT * FROM key_changes",
    );
    let late = made(&first, "late");
    comes_to(&second, &late, 200);
    second.control("DELETE", "/v1/keys/gone", &[], b"").expect(200);
    comes_to(&first, &gone, 401);
    // Both have followed it: only then can either see that it is gone.
    let events = || first.process.output() + &second.process.output();
    postgres.run(
        SCHEMA,
        "BEGIN; LOCK keys, key_changes; DELETE FROM keys; INSERT INTO keys SELECT * FROM copy; DELETE FROM key_changes; \
         INSERT INTO key_changes SELECT * FROM copy_changes; COMMIT",
    );
    until("both see that changes are lost", 15, || {
        (events().matches("keys_lost").count() >= 2).then_some(())
    });
    // What was lost of keys that came is still known; a revocation that was lost is lost, as the docs say.
    for gateway in [&first, &second] {
        comes_to(gateway, &early, 200);
        comes_to(gateway, &late, 200);
        comes_to(gateway, &gone, 200);
    }
    first.control("DELETE", "/v1/keys/gone", &[], b"").expect(200);
    second.control("DELETE", "/v1/keys/late", &[], b"").expect(200);
    for gateway in [&first, &second] {
        comes_to(gateway, &gone, 401);
        comes_to(gateway, &late, 401);
        comes_to(gateway, &early, 200);
    }
}

#[test]
fn a_keys_limit_beyond_what_the_cluster_can_count_is_refused() {
    const MOST: u64 = (1 << 53) - 1;
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    // Nobody is there: what can be counted is known all the same.
    let nobody = free_port();
    setup.top +=
        &format!("cluster: {{ valkey: {{ urls: [ \"redis://127.0.0.1:{nobody}\" ] }}, on_partition: allow }}\n");
    let gateway = setup.start();
    let with = |name: &str, tokens: u64| format!(r#"{{"name":"{name}","limits":[{{"tokens":{tokens},"per":"day"}}]}}"#);
    let refused = gateway.control("POST", "/v1/keys", &[], with("more", MOST + 1).as_bytes());
    let fault: Value = refused.json();
    assert_eq!(refused.status, 422, "{fault}");
    assert!(
        fault.to_string().contains("/limits/0") && fault.to_string().contains(&MOST.to_string()),
        "{fault}"
    );
    gateway
        .control("POST", "/v1/keys", &[], with("most", MOST).as_bytes())
        .expect(201);
    let limits = format!(r#"[{{"requests":5,"per":"1m"}},{{"tokens":{},"per":"day"}}]"#, MOST + 1);
    let refused = gateway.control("PUT", "/v1/keys/most/limits", &[], limits.as_bytes());
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("/limits/1"), "{}", refused.text());
}
