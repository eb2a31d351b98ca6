//! Revisions and keys: all shards or none, on disk before they are in force.

use std::fs;

use serde_json::json;
use tollgate_config::link::{AnswerBody, AskBody};

use crate::plane::{Plane, document, free_address, get, key, leave_last_good};

/// Of the secret `tg-one`.
const ONE_SHA256: &str = "c5296f57527970abad3553ba278b7382efcdb5353ecdf819af452ac902abf9b5";

#[test]
fn what_runs_survives_sigkill_with_its_keys() {
    let state = tempfile::tempdir().expect("a folder");
    let address = free_address();
    let document = document(json!({ "public": { "address": address.to_string() } }));
    leave_last_good(state.path(), &document);
    let plane = Plane::start(state.path(), &[]);
    let mut control = plane.control();
    assert_eq!(control.revision(), 7);
    assert!(get(address, "/v1/models", "tg-one").starts_with("HTTP/1.1 401"));
    let upsert = vec![key("one", ONE_SHA256), key("gone", &"0".repeat(64))];
    assert!(matches!(
        control.ask(AskBody::Keys {
            upsert,
            remove: Vec::new()
        }),
        AnswerBody::Done
    ));
    let removed = AskBody::Keys {
        upsert: Vec::new(),
        remove: vec!["gone".to_owned()],
    };
    assert!(matches!(control.ask(removed), AnswerBody::Done));
    assert!(get(address, "/v1/models", "tg-one").starts_with("HTTP/1.1 200"));
    assert!(matches!(
        control.apply(8, &document, vec![key("one", ONE_SHA256)]),
        AnswerBody::Committed { revision: 8, .. }
    ));
    plane.kill();

    let plane = Plane::start(state.path(), &[]);
    assert_eq!(plane.control().revision(), 8);
    assert!(get(address, "/v1/models", "tg-one").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_refused_change_changes_nothing() {
    let state = tempfile::tempdir().expect("a folder");
    let good = document(json!({}));
    let plane = Plane::start(state.path(), &["--supervised"]);
    let mut control = plane.control();
    assert!(matches!(
        control.apply(1, &good, Vec::new()),
        AnswerBody::Committed { .. }
    ));

    let mut bad = good.clone();
    bad["providers"]["nowhere"]["credential"] = json!("env:TOLLGATE_TEST_NOT_SET");
    bad["listeners"]["secure"] = json!({
        "address": "127.0.0.1:0",
        "tls": { "certificate": "file:/nonexistent/c.pem", "key": "file:/nonexistent/k.pem" },
    });
    let AnswerBody::Refused { problems } = control.apply(2, &bad, Vec::new()) else {
        panic!("accepted")
    };
    let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    let expected = [
        "/listeners/secure/tls/certificate",
        "/listeners/secure/tls/key",
        "/providers/nowhere/credential",
    ];
    assert_eq!(pointers, expected);
    assert!(matches!(
        control.ask(AskBody::Commit { revision: 2 }),
        AnswerBody::Failed { .. }
    ));

    // In the way of the new file: as good as a full disk.
    fs::create_dir(state.path().join("last-good.json.new")).expect("made");
    let AnswerBody::Failed { reason } = control.apply(2, &good, Vec::new()) else {
        panic!("accepted")
    };
    assert!(reason.contains("nothing has changed"), "{reason}");
    assert_eq!(control.revision(), 1);
    fs::remove_dir(state.path().join("last-good.json.new")).expect("removed");
    assert!(matches!(
        control.apply(2, &good, Vec::new()),
        AnswerBody::Committed { .. }
    ));
    assert_eq!(control.revision(), 2);
}

#[test]
fn a_prepared_revision_does_not_outlive_who_asked_for_it() {
    let state = tempfile::tempdir().expect("a folder");
    let mut plane = Plane::start(state.path(), &["--supervised"]);
    let mut first = plane.control();
    let prepare = AskBody::Prepare {
        revision: 1,
        document: document(json!({})),
        keys: Vec::new(),
    };
    assert!(matches!(first.ask(prepare), AnswerBody::Prepared { .. }));
    drop(first);
    plane.logged("it is dropped");
    assert!(matches!(
        plane.control().ask(AskBody::Commit { revision: 1 }),
        AnswerBody::Failed { .. }
    ));
}

#[test]
fn one_data_plane_to_a_state_directory() {
    let state = tempfile::tempdir().expect("a folder");
    let _first = Plane::start(state.path(), &[]);
    let (log, status) = Plane::spawn(state.path(), &[]).ended();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("another data plane"), "{log}");
}

#[test]
fn metrics_are_told() {
    let state = tempfile::tempdir().expect("a folder");
    let plane = Plane::start(state.path(), &[]);
    let AnswerBody::Metrics { text } = plane.control().ask(AskBody::Metrics) else {
        panic!("no metrics")
    };
    assert!(text.contains("tollgate_config_revision{shard=\"1\"} 0\n"), "{text}");
}
