//! Scenarios as a file and put while running: pace that differs, limits, incidents, and what is wrong with one.

use std::io::Write as _;

use crate::harness::{BODY, STREAM, Sandbox, command};

#[test]
fn a_scenario_can_be_given_and_replaced() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), r#"{"rules":[{"model":"sandbox-small","status":503}]}"#).expect("written");
    let sandbox = Sandbox::start(&["--scenario", &file.path().display().to_string()]);
    assert!(sandbox.chat("", BODY).starts_with("HTTP/1.1 503 "));
    sandbox.put_scenario(r#"{"rules":[]}"#);
    assert!(sandbox.chat("", BODY).starts_with("HTTP/1.1 200 "));
    let wrong = sandbox.ask("PUT", "/_sandbox/scenario", "", r#"{"rules":[{"odd":1}]}"#);
    assert!(String::from_utf8_lossy(&wrong).contains("/rules/0"));
}

#[test]
fn a_wrong_file_is_told_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let (scenario, gaps) = (folder.path().join("scenario.yaml"), folder.path().join("gaps.txt"));
    std::fs::write(
        &scenario,
        "seed: 3\nrules:\n  - model: a\n    gap: histogram:gaps.txt\n",
    )
    .expect("written");
    std::fs::write(&gaps, "5ms 10\n6ms ten\n").expect("written");
    let output = command("1", &["--scenario", &scenario.display().to_string()])
        .output()
        .expect("it ran");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    let (scenario, gaps) = (scenario.display(), gaps.display());
    assert!(
        said.contains(&format!("{scenario}:4:10: /rules/0/gap: {gaps}:2: 'ten' is no count")),
        "{said}"
    );
}

#[test]
fn pace_is_drawn_and_the_answer_is_whole() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "1ms 3\n2ms 1").expect("written");
    let sandbox = Sandbox::start(&[]);
    let plain = sandbox.chat("", STREAM);
    let gaps = file.path().display();
    sandbox.put_scenario(&format!(
        "seed: 5\nrules:\n  - latency: lognormal(1ms, 5ms)\n    gap: histogram:{gaps}\n"
    ));
    let text = |answer: &str| answer.split("x-request-id").nth(1).expect("a head")[18..].to_owned();
    assert_eq!(text(&sandbox.chat("", STREAM)), text(&plain));
    // Files are the scenario's to name, not the client's.
    let named = sandbox.chat(&format!("x-sandbox-gap: histogram:{gaps}\r\n"), STREAM);
    assert!(named.starts_with("HTTP/1.1 400 "), "{named}");
}

#[test]
fn limits_refuse_in_the_dialect_and_stand_in_the_head() {
    let sandbox = Sandbox::start(&[]);
    sandbox.put_scenario("limits:\n  - model: sandbox-*\n    requests-per-minute: 2\n");
    let first = sandbox.chat("authorization: Bearer a\r\n", BODY);
    assert!(first.contains("\r\nx-ratelimit-remaining-requests: 1\r\n"), "{first}");
    sandbox.chat("authorization: Bearer a\r\n", STREAM);
    let refused = sandbox.chat("authorization: Bearer a\r\n", STREAM);
    assert!(
        refused.starts_with("HTTP/1.1 429 ") && refused.contains("\r\nretry-after-ms: "),
        "{refused}"
    );
    assert!(
        sandbox
            .chat("authorization: Bearer b\r\n", BODY)
            .starts_with("HTTP/1.1 200 ")
    );
}

#[test]
fn an_incident_strikes_its_share_from_when_it_is_put() {
    let sandbox = Sandbox::start(&[]);
    sandbox.put_scenario(
        r#"{"incidents":[{"at":"0s","for":"1h","share":0.5,"status":529},{"at":"2h","for":"1h","status":500}]}"#,
    );
    let statuses: Vec<_> = (0..8).map(|_| sandbox.chat("", BODY)[9..12].to_owned()).collect();
    assert_eq!(
        statuses.iter().filter(|status| *status == "529").count(),
        4,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| *status == "200").count(),
        4,
        "{statuses:?}"
    );
}
