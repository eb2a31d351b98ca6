//! Providers die, freeze, refuse and crawl under load: their clients get answers all the same.

use std::{
    process::{Command, Output, Stdio},
    thread,
};

use serde_json::Value;

use crate::harness::{
    Client, Gateway, Sandbox, Setup,
    gateway::{KEY, chat, provider_with},
    http::request,
    process::{Signal, program, signal},
    until,
};

const RATE: u64 = 500;
const SECONDS: u64 = 4;

/// Two providers of the same model, the first preferred, with time-outs that a test can wait for.
fn gateway(first: &Sandbox, second: &Sandbox) -> Gateway {
    let timeouts = ", timeouts: { connect: 200ms, first_byte: 400ms, between_bytes: 2s }";
    // Twice the load for a moment, on a machine that may be busy: it is not to be taken for ill.
    let patient = ", timeouts: { connect: 8s, first_byte: 8s, between_bytes: 8s }";
    let mut setup = Setup::to(second.address);
    setup.providers = [
        provider_with("first", "openai", first.address, timeouts),
        provider_with("second", "openai", second.address, patient),
    ]
    .concat();
    setup.models =
        "  \"both/*\": { targets: [ { provider: first, model: \"*\" }, { provider: second, model: \"*\" } ], \
                    breaker: { cooldown: 1s, slow_start: 1s } }\n"
            .to_owned();
    setup.start()
}

/// Load in the background, half of it streams; its report.
fn load(gateway: &Gateway, duration: u64) -> impl FnOnce() -> Value + use<> {
    let mix = gateway.folder().join("mix.json");
    let one = |stream: u8| {
        serde_json::json!({ "weight": 1, "dialect": "openai", "model": "both/sandbox-small-tokens-8", "stream": stream,
            "prompt": { "bytes": 300 }, "max_tokens": 16 })
    };
    let document = serde_json::json!({ "name": "both", "classes": { "whole": one(0), "stream": one(1) } });
    std::fs::write(&mix, document.to_string()).expect("a mix");
    let mut command = Command::new(program("tollgate-loadtest"));
    command
        .args(["run", "--url", &format!("http://{}", gateway.address), "--mix"])
        .arg(&mix)
        .args(["--rate", &RATE.to_string(), "--duration", &format!("{duration}s")])
        .args(["--timeout", "10s", "--output", "json"])
        .env("TOLLGATE_KEY", KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("the load generator starts");
    move || {
        let Output { stdout, stderr, .. } = child.wait_with_output().expect("it ends");
        serde_json::from_slice(&stdout).unwrap_or_else(|bad| panic!("{bad}: {}", String::from_utf8_lossy(&stderr)))
    }
}

/// Nothing failed but streams that had begun when their provider went.
#[track_caller]
fn assert_unharmed(report: &Value, begun_at_most: u64) {
    let failed = &report["failed"];
    for kind in ["status", "connect", "timeout", "content"] {
        assert_eq!(failed[kind], 0, "{kind}: {report}");
    }
    assert!(
        failed["cut"].as_u64().is_some_and(|cut| cut <= begun_at_most),
        "{report}"
    );
    assert!(
        report["answered"].as_u64().is_some_and(|answered| answered >= RATE),
        "{report}"
    );
}

fn served(gateway: &Gateway, provider: &str) -> f64 {
    gateway.metric(
        "tollgate_requests_total",
        &[&format!("provider=\"{provider}\""), "status=\"200\""],
    )
}

#[test]
fn a_provider_that_is_killed_or_frozen_under_load_costs_its_clients_nothing() {
    for how in [Signal::KILL, Signal::STOP] {
        let (first, second) = (Sandbox::start(), Sandbox::start());
        let gateway = gateway(&first, &second);
        let report = load(&gateway, SECONDS);
        until("the first provider serves", 10, || {
            (served(&gateway, "first") > 200.0).then_some(())
        });
        signal(first.pid(), how);
        let report = report();
        // A stream lasts some milliseconds: few are under way at any moment.
        assert_unharmed(&report, if how == Signal::KILL { 20 } else { 0 });
        assert!(served(&gateway, "second") > 500.0, "{how:?}: {report}");
        let ejected = gateway.metric("tollgate_target_ejected", &["provider=\"first\""]);
        assert_eq!(ejected, 1.0, "{how:?}");
        signal(first.pid(), Signal::CONT);
    }
}

#[test]
fn a_provider_that_is_overloaded_or_slow_is_left_alone_until_it_is_well() {
    let (first, second) = (Sandbox::start(), Sandbox::start());
    let gateway = gateway(&first, &second);
    for rule in [r#"{"rules":[{"status":529}]}"#, r#"{"rules":[{"latency":"5s"}]}"#] {
        first.plays(rule);
        let before = first.report()["requests"].as_u64().expect("a count");
        assert_unharmed(&load(&gateway, SECONDS)(), 0);
        let asked = first.report()["requests"].as_u64().expect("a count") - before;
        println!("{rule}: {asked} calls went to the provider that was ill");
        // Some until the breaker opened; then a probe now and then.
        assert!(
            asked < RATE * SECONDS / 5,
            "{rule}: {asked} calls went to a provider that was ill"
        );
        first.plays("{\"rules\":[]}");
        until("the first provider is well again", 20, || {
            let answer = gateway
                .post("/v1/chat/completions", &[], &chat("both/sandbox-small", ""))
                .expect(200);
            thread::yield_now();
            (answer.header("x-tollgate-provider") == Some("first")).then_some(())
        });
    }
}

#[test]
fn an_operator_is_told_of_targets_that_are_left_alone() {
    let (first, second) = (Sandbox::start(), Sandbox::start());
    let gateway = gateway(&first, &second);
    let socket = std::os::unix::net::UnixStream::connect(&gateway.socket).expect("the control socket");
    let mut events = Client::over(socket);
    events.send(&request("GET", "/v1/events", &[], b""));
    events.read_until(b"\r\n\r\n").expect("a head");
    first.plays(r#"{"rules":[{"status":500}]}"#);
    for _ in 0..6 {
        gateway
            .post("/v1/chat/completions", &[], &chat("both/sandbox-small", ""))
            .expect(200);
    }
    events.read_until(b"target_ejected").expect("an event");
    let told = String::from_utf8_lossy(&events.read_until(b"\n\n").expect("its end")).into_owned();
    assert!(told.contains("both/*") && told.contains("first/*"), "{told}");
    events.read_until(b"\"failover\"").expect("an event");
    let told = String::from_utf8_lossy(&events.read_until(b"\n\n").expect("its end")).into_owned();
    assert!(
        told.contains("model 'both/*': 5 calls") && told.contains("5 were answered"),
        "{told}"
    );
    let moved = gateway.metric(
        "tollgate_failovers_total",
        &["model=\"both/*\"", "outcome=\"answered\""],
    );
    assert_eq!(moved, 5.0);
}

#[test]
fn explain_says_what_would_become_of_a_call_and_sends_nothing() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.providers = [
        provider_with("dear", "openai", sandbox.address, ", prices: openai"),
        provider_with("cheap", "openai", sandbox.address, ", prices: openai"),
        provider_with("picky", "openai", sandbox.address, ", prices: openai"),
    ]
    .concat();
    setup.models = "  smart: { strategy: lowest_cost, targets: [ { provider: dear, model: gpt-4o }, \
                    { provider: cheap, model: gpt-4o-mini }, \
                    { provider: picky, model: gpt-4o-mini, when: { tags: { app: reports } } } ] }\n  \
                    other: { targets: [ { provider: dear, model: gpt-4o } ] }\n"
        .to_owned();
    setup.keys =
        "  tester: { secret: env:TOLLGATE_TEST_KEY }\n  few: { secret: env:TOLLGATE_TEST_FEW, models: [ other ] }\n"
            .to_owned();
    setup.environment = vec![("TOLLGATE_TEST_FEW".to_owned(), "tg-few-secret".to_owned())];
    let gateway = setup.start();
    let body = gateway.folder().join("body.json");
    std::fs::write(&body, r#"{"messages":[{"role":"user","content":"hello there"}]}"#).expect("a body");
    let file = body.display().to_string();
    let ask = |more: &[&str]| {
        let mut arguments = vec!["explain", "--model", "smart", "--file", &file, "--output", "json"];
        arguments.extend(more);
        let output = gateway.cli(&arguments);
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.code(), told)
    };
    let (code, told) = ask(&["--key", "tester"]);
    assert_eq!(code, Some(0), "{told}");
    let stages = told["stages"].as_array().expect("stages");
    let names: Vec<&str> = stages.iter().filter_map(|stage| stage["stage"].as_str()).collect();
    assert_eq!(
        names,
        [
            "match",
            "identify",
            "admit",
            "authorize",
            "open",
            "limit",
            "guard",
            "cache",
            "route"
        ]
    );
    let route = &stages[8];
    assert_eq!(route["decision"], "cheap/gpt-4o-mini is asked first", "{route}");
    let candidates = route["candidates"].as_array().expect("candidates");
    let of = |name: &str| {
        candidates
            .iter()
            .find(|one| one["provider"] == name)
            .expect("a candidate")
    };
    assert_eq!(
        (&of("cheap")["chosen"], &of("dear")["chosen"]),
        (&true.into(), &false.into())
    );
    let usd = |name: &str| {
        of(name)["expected_cost_usd"]
            .as_str()
            .and_then(|text| text.parse::<f64>().ok())
    };
    assert!(usd("cheap") > Some(0.0) && usd("dear") > usd("cheap"), "{candidates:?}");
    assert!(
        of("picky")["why"].as_str().is_some_and(|why| why.contains("`when`")),
        "{candidates:?}"
    );

    let (code, told) = ask(&["--key", "tester", "--header", "x-tollgate-tags: app=reports"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.to_string().contains("picky"), "{told}");
    let (_, told) = ask(&["--key", "few"]);
    let last = told["stages"]
        .as_array()
        .and_then(|stages| stages.last())
        .expect("a stage");
    assert_eq!(
        (&last["stage"], &last["decision"]),
        (&"authorize".into(), &"refused with 403, code model_not_allowed".into())
    );
    let (code, told) = ask(&["--key", "nobody"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.to_string().contains("there is no key 'nobody'"), "{told}");
    assert_eq!(sandbox.arrivals().len(), 0, "nothing is sent");
}
