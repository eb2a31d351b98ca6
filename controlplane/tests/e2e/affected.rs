//! What a provider that dies, freezes, refuses or crawls costs the calls that meet it, at 500 calls a second of which half are
//! streams that are gone on with: no answer, and a time that is told. `--no-capture` shows it.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::harness::{
    Gateway, Sandbox, Setup,
    gateway::{KEY, provider_with},
    process::{Signal, program, signal},
    until,
};

const RATE: u64 = 500;
const SECONDS: u64 = 4;
/// Streams last long enough for many to be under way, and one that goes on says what the other would have.
const RULES: &str = r#"{"rules":[{"gap":"10ms","continue":1}]}"#;

fn gateway(first: &Sandbox, second: &Sandbox, log: &NamedTempFile) -> Gateway {
    let timeouts = ", timeouts: { connect: 400ms, first_byte: 400ms, between_bytes: 1s }";
    // Twice the load for a moment, on a machine that may be busy: it is not to be taken for ill.
    let patient = ", timeouts: { connect: 8s, first_byte: 8s, between_bytes: 8s }";
    let mut setup = Setup::to(second.address);
    setup.top = setup.top.replace(
        "access_log: off",
        &format!("access_log: \"file:{}\"", log.path().display()),
    );
    setup.providers = [
        provider_with("first", "openai", first.address, timeouts),
        provider_with("second", "openai", second.address, patient),
    ]
    .concat();
    setup.models = "  \"both/*\": { targets: [ { provider: first, model: \"*\" }, { provider: second, model: \"*\" } ], resume: true }\n"
        .to_owned();
    setup.start()
}

/// The report of so much load, in which the first provider comes to harm.
fn under_load(gateway: &Gateway, harm: impl FnOnce()) -> Value {
    let one = |stream: u8| {
        json!({ "weight": 1, "dialect": "openai", "model": "both/sandbox-small-tokens-8", "stream": stream,
            "prompt": { "bytes": 300 }, "max_tokens": 8 })
    };
    let mix = gateway.folder().join("mix.json");
    let document = json!({ "name": "both", "classes": { "whole": one(0), "stream": one(1) } });
    std::fs::write(&mix, document.to_string()).expect("a mix");
    let mut command = Command::new(program("tollgate-loadtest"));
    command
        .args(["run", "--url", &format!("http://{}", gateway.address), "--mix"])
        .arg(&mix)
        .args(["--rate", &RATE.to_string(), "--duration", &format!("{SECONDS}s")])
        .args(["--timeout", "10s", "--output", "json"])
        .env("TOLLGATE_KEY", KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    let child = command.spawn().expect("the load generator starts");
    until("the first provider serves", 10, || {
        let served = gateway.metric("tollgate_requests_total", &["provider=\"first\"", "status=\"200\""]);
        (served > RATE as f64 / 2.0).then_some(())
    });
    harm();
    let output = child.wait_with_output().expect("it ends");
    serde_json::from_slice(&output.stdout).expect("a report")
}

/// Milliseconds of calls that one provider was enough for, and of those that went on to the second.
fn times(log: &NamedTempFile, streamed: bool) -> (Vec<f64>, Vec<f64>) {
    let text = std::fs::read_to_string(log.path()).expect("the access log");
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let (mut plain, mut moved) = (Vec::new(), Vec::new());
    for line in lines.filter(|line| line["model"] == "both/*" && (line["streamed"] == true) == streamed) {
        let ms = line["total_us"].as_u64().expect("a time") as f64 / 1_000.0;
        match line["attempts"].as_u64() {
            Some(1) => plain.push(ms),
            _ => moved.push(ms),
        }
    }
    for all in [&mut plain, &mut moved] {
        all.sort_by(f64::total_cmp);
    }
    (plain, moved)
}

fn quantile(sorted: &[f64], percent: usize) -> f64 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}

/// How many calls ended in which way, of those that did not end well.
fn failures(log: &NamedTempFile) -> String {
    let text = std::fs::read_to_string(log.path()).unwrap_or_default();
    let mut kinds = BTreeMap::<String, u32>::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if line["status"] != 200 || line["outcome"] != "complete" {
            let how = ["status", "outcome", "rejected", "provider", "attempts"].map(|field| line[field].to_string());
            *kinds.entry(how.join(" ")).or_default() += 1;
        }
    }
    format!("{kinds:?}")
}

#[track_caller]
fn report(what: &str, log: &NamedTempFile, load: &Value) {
    for kind in ["status", "connect", "timeout", "content", "cut"] {
        assert_eq!(load["failed"][kind], 0, "{what}: {kind}: {}", failures(log));
    }
    assert!(load["answered"].as_u64() >= Some(RATE), "{what}: {load}");
    let mut affected = 0;
    for (kind, streamed) in [("whole", false), ("streamed", true)] {
        let (plain, moved) = times(log, streamed);
        affected += moved.len();
        if moved.is_empty() {
            println!("{what}: of {} {kind} answers none was affected", plain.len());
            continue;
        }
        let usual = quantile(&plain, 50);
        let added = |percent| quantile(&moved, percent) - usual;
        println!(
            "{what}: of {} {kind} answers {} were affected; added to the median of {usual:.0} ms: {:.0} ms at the median, \
             {:.0} ms at the 99th percentile, {:.0} ms at most",
            plain.len() + moved.len(),
            moved.len(),
            added(50),
            added(99),
            added(100),
        );
    }
    assert!(affected > 0, "{what}: somebody met the provider that failed");
}

/// What comes to the first provider.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Kill,
    Freeze,
    Refuse,
    Crawl,
}

impl Harm {
    fn comes_to(self, provider: &Sandbox) {
        match self {
            Self::Kill => signal(provider.pid(), Signal::KILL),
            Self::Freeze => signal(provider.pid(), Signal::STOP),
            Self::Refuse => provider.plays(r#"{"rules":[{"status":529}]}"#),
            Self::Crawl => provider.plays(r#"{"rules":[{"latency":"5s"}]}"#),
        }
    }
}

#[test]
fn a_provider_that_fails_under_load_costs_no_answer_and_the_time_is_told() {
    for harm in [Harm::Kill, Harm::Freeze, Harm::Refuse, Harm::Crawl] {
        let what = format!("{harm:?}").to_lowercase();
        let (first, second) = (Sandbox::start(), Sandbox::start());
        let log = NamedTempFile::new().expect("a file");
        let gateway = gateway(&first, &second, &log);
        first.plays(RULES);
        second.plays(RULES);
        let load = under_load(&gateway, || harm.comes_to(&first));
        until("every call's access line", 10, || {
            let lines = std::fs::read_to_string(log.path()).ok()?.lines().count() as u64;
            (lines >= load["answered"].as_u64()?).then_some(())
        });
        report(&what, &log, &load);
        signal(first.pid(), Signal::CONT);
    }
}
