//! Keys through the socket and the command line: in force, or out of force, when the command returns.

use crate::harness::{Gateway, Sandbox, Setup, gateway::KEY};

fn pair() -> (Sandbox, Gateway) {
    let sandbox = Sandbox::start();
    let gateway = Setup::to(sandbox.address).start();
    (sandbox, gateway)
}

/// The status of a call with that key, from new connections often enough to have met every shard.
#[track_caller]
fn everywhere(gateway: &Gateway, secret: &str) -> u16 {
    let statuses: Vec<u16> = (0..8).map(|_| gateway.chat_status(secret)).collect();
    assert!(
        statuses.iter().all(|&status| status == statuses[0]),
        "the shards disagree: {statuses:?}"
    );
    statuses[0]
}

#[track_caller]
fn secret_of(gateway: &Gateway, body: &str) -> String {
    let created = gateway.control("POST", "/v1/keys", &[], body.as_bytes());
    assert!(matches!(created.status, 200 | 201), "{}", created.text());
    created.json()["secret"]
        .as_str()
        .unwrap_or_else(|| panic!("no secret in {}", created.text()))
        .to_owned()
}

#[test]
fn a_key_is_in_force_when_its_creation_returns_and_out_when_its_revocation_does() {
    let (_sandbox, gateway) = pair();
    for round in 0..10 {
        let secret = secret_of(&gateway, &format!(r#"{{"name":"k{round}"}}"#));
        assert_eq!(everywhere(&gateway, &secret), 200, "created in round {round}");
        let revoked = gateway.control("DELETE", &format!("/v1/keys/k{round}"), &[], b"");
        assert!(matches!(revoked.status, 200 | 204), "{revoked:?}");
        assert_eq!(everywhere(&gateway, &secret), 401, "revoked in round {round}");
    }
}

#[test]
fn a_secret_is_shown_once_and_stored_nowhere() {
    let (_sandbox, gateway) = pair();
    let secret = secret_of(&gateway, r#"{"name":"once"}"#);
    assert!(secret.starts_with("tg-") && secret.len() >= 40, "{secret}");
    let list = gateway.control("GET", "/v1/keys", &[], b"").expect(200).text();
    assert!(list.contains("once") && !list.contains(&secret), "{list}");
    for entry in std::fs::read_dir(&gateway.state_dir).expect("the state").flatten() {
        let Ok(bytes) = std::fs::read(entry.path()) else {
            continue;
        };
        for hidden in [secret.as_str(), KEY, crate::harness::gateway::UPSTREAM_SECRET] {
            let found = bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes());
            assert!(!found, "a secret lies in {}", entry.path().display());
        }
    }
}

#[test]
fn a_key_with_models_may_use_those_and_no_other() {
    let (_sandbox, gateway) = pair();
    let secret = secret_of(&gateway, r#"{"name":"narrow","models":["anthropic/*"]}"#);
    assert_eq!(everywhere(&gateway, &secret), 403);
}

#[test]
fn an_expired_key_is_refused() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.keys += "  late: { secret: env:TOLLGATE_TEST_LATE, expires: 2020-01-01T00:00:00Z }\n";
    setup
        .environment
        .push(("TOLLGATE_TEST_LATE".to_owned(), "tg-late".to_owned()));
    let gateway = setup.start();
    assert_eq!(everywhere(&gateway, "tg-late"), 401);
}

#[test]
fn keys_outlive_a_change_of_the_document_and_a_restart() {
    let (_sandbox, mut gateway) = pair();
    let secret = secret_of(&gateway, r#"{"name":"lasting"}"#);
    let model = br#"{"targets":[{"provider":"openai","model":"sandbox-small"}]}"#;
    gateway.control("PUT", "/v1/config/models/m", &[], model).expect(200);
    assert_eq!(everywhere(&gateway, &secret), 200);
    crate::harness::process::signal(gateway.controlplane_pid(), crate::harness::process::Signal::TERM);
    assert_eq!(gateway.process.wait(15), 0);
    gateway.start_again();
    assert_eq!(everywhere(&gateway, &secret), 200);
}

#[test]
fn a_rotated_key_has_a_new_secret() {
    let (_sandbox, gateway) = pair();
    let old = secret_of(&gateway, r#"{"name":"turning"}"#);
    let rotated = gateway
        .control("POST", "/v1/keys/turning/rotate", &[], b"")
        .expect(200)
        .json();
    let new = rotated["secret"].as_str().expect("a secret").to_owned();
    assert_ne!(new, old);
    assert_eq!(everywhere(&gateway, &new), 200);
}

#[test]
fn the_command_line_makes_lists_and_revokes_keys() {
    let (_sandbox, gateway) = pair();
    let wrong = gateway.cli(&["keys", "create", "by-hand", "--priority", "urgent"]);
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("priority urgent: high, normal or low"),
        "{wrong:?}"
    );
    let output = gateway.cli(&["keys", "create", "by-hand", "--priority", "high", "--output", "json"]);
    assert!(output.status.success(), "{output:?}");
    let created: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let secret = created["secret"].as_str().expect("a secret").to_owned();
    assert_eq!(everywhere(&gateway, &secret), 200);
    let list = String::from_utf8_lossy(&gateway.cli(&["keys", "list"]).stdout).into_owned();
    assert!(list.contains("by-hand") && list.contains("tester"), "{list}");
    let line = |name: &str| {
        list.lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    };
    assert!(
        line("by-hand").ends_with("high") && line("tester").ends_with("normal"),
        "{list}"
    );
    assert!(gateway.cli(&["keys", "revoke", "by-hand"]).status.success());
    assert_eq!(everywhere(&gateway, &secret), 401);
    assert!(
        !gateway.cli(&["keys", "revoke", "by-hand"]).status.success(),
        "there is no such key any more"
    );
}
