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
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("scenario.yaml");
    std::fs::write(folder.path().join("gaps.txt"), "1ms 3\n2ms 1\n").expect("written");
    std::fs::write(
        &scenario,
        "seed: 5\nrules:\n  - latency: lognormal(1ms, 5ms)\n    gap: histogram:gaps.txt\n",
    )
    .expect("written");
    let sandbox = Sandbox::start(&["--scenario", &scenario.display().to_string()]);
    let paced = sandbox.chat("", STREAM);
    sandbox.put_scenario("{}");
    let plain = sandbox.chat("", STREAM);
    let text = |answer: &str| answer.split("x-request-id").nth(1).expect("a head")[18..].to_owned();
    assert_eq!(text(&paced), text(&plain));
}

#[test]
fn whoever_reaches_the_sandbox_reads_no_file_of_its_machine() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "secret of the machine").expect("written");
    let sandbox = Sandbox::start(&[]);
    let path = file.path().display().to_string();
    for name in [&path, "../Cargo.toml", "Cargo.toml", "/dev/zero"] {
        for word in ["gap", "latency"] {
            let put = format!("rules:\n  - {word}: histogram:{name}\n");
            let put = String::from_utf8_lossy(&sandbox.ask("PUT", "/_sandbox/scenario", "", &put)).into_owned();
            let named = sandbox.chat(&format!("x-sandbox-{word}: histogram:{name}\r\n"), STREAM);
            for answer in [put, named] {
                assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
                assert!(answer.contains("only in a scenario that --scenario gives"), "{answer}");
                assert!(!answer.contains("secret"), "{answer}");
            }
        }
    }
}

#[test]
fn a_histogram_is_bounded_and_little_of_it_is_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (scenario, gaps) = (folder.path().join("scenario.yaml"), folder.path().join("gaps.txt"));
    std::fs::write(&scenario, "rules:\n  - gap: histogram:gaps.txt\n").expect("written");
    for (text, said, unsaid) in [
        (
            "password is hunter-two\n".to_owned(),
            "gaps.txt:1: 'password is hunt…'",
            "hunter",
        ),
        (
            "5ms verylongandsecretcount\n".to_owned(),
            "gaps.txt:1: 'verylongandsecre…'",
            "secret",
        ),
        (
            "verylongandsecretvalue 5\n".to_owned(),
            "gaps.txt:1: 'verylongandsecre…'",
            "secret",
        ),
        ("5ms 1\n".repeat(700_000), "larger than 4194304 bytes", "5ms"),
    ] {
        std::fs::write(&gaps, text).expect("written");
        let output = command("1", &["--scenario", &scenario.display().to_string()])
            .output()
            .expect("it ran");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(told.contains(said) && !told.contains(unsaid), "{told}");
    }
}

#[test]
fn a_number_over_its_limit_and_an_incident_of_no_length_are_told_with_their_place() {
    let sandbox = Sandbox::start(&[]);
    for (document, said) in [
        (
            "rules:\n  - tokens: 1000000000\n",
            "2:13: /rules/0/tokens: '1000000000' is over the limit of 100000",
        ),
        (
            "rules:\n  - latency: 25h\n",
            "2:14: /rules/0/latency: '25h' is over the limit of a day",
        ),
        (
            "incidents:\n  - at: 0s\n    for: 0s\n    status: 500\n",
            "3:10: /incidents/0/for: an incident lasts longer",
        ),
        (
            "incidents:\n  - at: 0s\n    for: 25h\n",
            "3:10: /incidents/0/for: '25h' is over the limit of a day",
        ),
        (
            "incidents:\n  - at: soon\n    for: 1s\n",
            "2:9: /incidents/0/at: 'soon' is not like 30s",
        ),
    ] {
        let answer = String::from_utf8_lossy(&sandbox.ask("PUT", "/_sandbox/scenario", "", document)).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(said), "{answer}");
    }
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

#[test]
fn an_answer_that_has_begun_is_gone_on_with() {
    let sandbox = Sandbox::start(&[]);
    sandbox.put_scenario(r#"{"rules":[{"tokens":40,"continue":1}]}"#);
    let text = |turns: &str| {
        let body = format!(r#"{{"model":"sandbox-small","messages":[{turns}]}}"#);
        let answer = sandbox.chat("", &body);
        let json = answer.split_once("\r\n\r\n").expect("a body").1;
        let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
        json["choices"][0]["message"]["content"]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    let asked = r#"{"role":"user","content":"Hello there."}"#;
    let whole = text(asked);
    for said in [7, whole.len() / 2, whole.len() - 3] {
        let (said, rest) = whole.split_at(said);
        let begun = format!(r#"{asked},{{"role":"assistant","content":"{said}"}}"#);
        assert_eq!(text(&begun), rest);
        assert_eq!(text(&format!(r#"{begun},{{"role":"user","content":"Go on."}}"#)), rest);
        let body = format!(r#"{{"model":"sandbox-small","stream":true,"messages":[{begun}]}}"#);
        let streamed: String = sandbox
            .chat("", &body)
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line.strip_prefix("data: ")?).ok())
            .filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned()))
            .collect();
        assert_eq!(streamed, rest);
    }
    // What is not its beginning is a conversation like any other.
    let other = format!(r#"{asked},{{"role":"assistant","content":"No such thing"}}"#);
    assert!(!whole.ends_with(&text(&other)));
}
