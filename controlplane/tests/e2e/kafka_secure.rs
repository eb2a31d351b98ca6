//! Calls in a topic whose brokers are spoken with over TLS and with a password, in each way that a document may say.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    harness::{
        Gateway, Sandbox, Setup,
        certificates::{Authority, Files, Validity},
        gateway::chat,
        process::Process,
        until,
    },
    sdk,
};

const TOPIC: &str = "tollgate-usage";
/// With what SCRAM must write otherwise.
const USER: &str = "gate,way=1";
const PASSWORD: &str = "kafka-pass=word,0123";

/// `tests/kafka/secure_broker.py`, which knows one mechanism, and where it is.
fn broker(files: &Files, mechanism: &str) -> (Process, String) {
    let mut command = Command::new(sdk::python_with("ssl"));
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/secure_broker.py"))
        .args([&files.certificate, &files.key])
        .args([mechanism, USER, PASSWORD, TOPIC]);
    let mut process = Process::start(&mut command);
    let line = process.ready_line();
    let address = line.strip_prefix("ready ").expect("an address").to_owned();
    (process, address)
}

fn gateway(sandbox: &Sandbox, address: &str, mechanism: &str, (ca, password): (&Path, &Path)) -> Gateway {
    let mut setup = Setup::to(sandbox.address);
    let kafka = json!({
        "brokers": [address], "topic": TOPIC, "tls": { "ca": format!("file:{}", ca.display()) },
        "sasl": { "mechanism": mechanism, "user": USER, "password": format!("file:{}", password.display()) },
    });
    setup.top += &format!("usage: {{ kafka: {kafka} }}\n");
    setup.start()
}

/// Waits until the status says why nothing is sent.
#[track_caller]
fn await_reason(gateway: &Gateway, word: &str) {
    let why = until(&format!("the status to say '{word}'"), 60, || {
        let kafka = gateway.status()["controlplane"]["kafka"].clone();
        let error = kafka["error"].as_str()?.to_owned();
        error.contains(word).then_some(error)
    });
    assert!(!why.contains(PASSWORD), "{why}");
}

#[test]
fn a_broker_is_trusted_by_its_certificate_and_told_the_password_in_each_way() {
    const CALLS: usize = 5;
    let folder = tempfile::tempdir().expect("a folder");
    let right = Authority::new(folder.path(), "right");
    let stranger = Authority::new(folder.path(), "wrong");
    let files = right.issue("broker", &["localhost"], Validity::Current);
    let password = folder.path().join("password");
    let sandbox = Sandbox::start();
    for mechanism in ["plain", "scram-sha-256", "scram-sha-512"] {
        let (broker, address) = broker(&files, &mechanism.to_uppercase());
        fs::write(&password, "another\n").expect("written");
        let gateway = gateway(&sandbox, &address, mechanism, (&stranger.root("wrong"), &password));
        for _ in 0..CALLS {
            gateway
                .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
                .expect(200);
        }
        // Whoever only claims to be the broker hears nothing; the broker lets in who knows the password.
        await_reason(&gateway, "certificate");
        let ca = format!("\"file:{}\"", right.root("right").display());
        gateway
            .control("PUT", "/v1/config/usage/kafka/tls/ca", &[], ca.as_bytes())
            .expect(200);
        await_reason(&gateway, "does not let user `gate,way=1` in: Authentication failed");
        let records = || -> Vec<Value> {
            let lines = broker.stdout.all();
            let records = lines.iter().filter(|line| line.starts_with('{'));
            records
                .map(|line| serde_json::from_str(line).expect("a record"))
                .collect()
        };
        assert!(records().is_empty(), "{mechanism}: nothing came in");
        fs::write(&password, format!("{PASSWORD}\n")).expect("written");
        let records = until("the calls in the topic", 60, || {
            Some(records()).filter(|records| records.len() >= CALLS)
        });
        assert_eq!(records.len(), CALLS, "{mechanism}: each of them once");
        for record in records {
            assert_eq!(record["key"], record["value"]["id"], "{record}");
            assert_eq!(record["value"]["requests"], 1, "{record}");
        }
        until("all of it is sent", 20, || {
            (gateway.status()["controlplane"]["kafka"]["error"] == Value::Null).then_some(())
        });
    }
    // A mechanism that the broker does not take is told with what it takes.
    let (_broker, address) = broker(&files, "SCRAM-SHA-512");
    let gateway = gateway(&sandbox, &address, "scram-sha-256", (&right.root("right"), &password));
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(200);
    await_reason(&gateway, "it takes scram-sha-512");
}
