//! What goes on beside calls: a second target that is asked as well, copies for another model, looks at providers.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::harness::{
    Client, Gateway, Sandbox, Setup,
    gateway::{chat, provider_with, with_key},
    http,
    process::{Signal, signal},
    sandbox, until,
};

const SLOW: &str = r#"{"rules":[{"latency":"20s"}]}"#;
const ILL: &str = r#"{"rules":[{"status":503}]}"#;

/// Two providers, a model for each test, and an access log.
fn gateway(first: &Sandbox, second: &Sandbox, (more, models): (&str, &str)) -> Gateway {
    let mut setup = Setup::to(second.address);
    setup.providers = [
        provider_with("first", "openai", first.address, more),
        provider_with("second", "openai", second.address, more),
    ]
    .concat();
    setup.models = models.to_owned();
    setup.start()
}

#[test]
fn a_slow_provider_is_helped_out_by_another_which_costs_its_clients_the_delay_alone() {
    let (first, second) = (Sandbox::start(), Sandbox::start());
    let model = "  smart: { targets: [ { provider: first, model: sandbox-small }, { provider: second, model: sandbox-large } ], \
                 hedge: { after: 50ms, max_extra: 100% } }\n";
    let gateway = gateway(&first, &second, ("", model));
    let told = gateway.cli(&["explain", "--model", "smart", "--key", "tester"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.contains(
            "second/sandbox-large is asked as well when first/sandbox-small has not begun to answer after 50 ms"
        ),
        "{told}"
    );
    first.plays(SLOW);
    for more in ["", r#","stream":true"#] {
        let answer = gateway
            .post("/v1/chat/completions", &[], &chat("smart", more))
            .expect(200);
        assert_eq!(answer.header("x-tollgate-provider"), Some("second"), "{more}");
        assert_eq!(answer.header("x-tollgate-model"), Some("sandbox-large"), "{more}");
        assert_eq!(answer.header("x-tollgate-attempts"), Some("2"), "{more}");
    }
    // The first is left at once, not after twenty seconds.
    first.await_client_gone(2);
    assert_eq!(second.arrivals().len(), 2);
    let hedges = |outcome: &str| gateway.metric("tollgate_hedges_total", &["model=\"smart\"", outcome]);
    assert_eq!((hedges("outcome=\"won\""), hedges("outcome=\"lost\"")), (2.0, 0.0));
    let lost = gateway.metric(
        "tollgate_upstream_attempts_total",
        &["provider=\"first\"", "outcome=\"hedge_lost\""],
    );
    assert_eq!(lost, 2.0);
    let read = |provider: &str| {
        let provider = format!("provider=\"{provider}\"");
        gateway.metric("tollgate_tokens_total", &["direction=\"input\"", &provider])
    };
    assert!(
        read("first") > 0.0 && read("first") == read("second"),
        "it may bill what it read"
    );

    // The other way round: who was asked second is slow, and the first has become quick enough by then.
    first.plays(r#"{"rules":[{"latency":"2s"}]}"#);
    second.plays(SLOW);
    let answer = gateway
        .post("/v1/chat/completions", &[], &chat("smart", ""))
        .expect(200);
    assert_eq!(answer.header("x-tollgate-provider"), Some("first"));
    second.await_client_gone(1);
    assert_eq!((hedges("outcome=\"won\""), hedges("outcome=\"lost\"")), (2.0, 1.0));
    until("an event tells of them", 30, || {
        gateway
            .process
            .output()
            .contains("model 'smart': 3 calls")
            .then_some(())
    });
}

/// What a client saw, but for what differs from call to call.
fn seen(answer: &http::Response) -> (u16, BTreeMap<String, String>, Value) {
    let names = [
        "content-type",
        "x-tollgate-provider",
        "x-tollgate-model",
        "x-tollgate-attempts",
    ];
    let headers = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), answer.header(name)?.to_owned())));
    let body = answer.json();
    (answer.status, headers.collect(), body["choices"].clone())
}

#[test]
fn a_copy_of_each_call_reaches_the_other_model_and_no_client_notices() {
    let (first, second) = (Sandbox::start(), Sandbox::start());
    let log = tempfile::NamedTempFile::new().expect("a file");
    let mut setup = Setup::to(second.address);
    setup.top = setup.top.replace(
        "access_log: off",
        &format!("access_log: \"file:{}\"", log.path().display()),
    );
    setup.providers = [
        provider_with("first", "openai", first.address, ""),
        provider_with("second", "anthropic", second.address, ""),
    ]
    .concat();
    setup.models = "  plain: { targets: [ { provider: first, model: sandbox-small } ] }\n  \
                    smart: { targets: [ { provider: first, model: sandbox-small, arm: a } ], shadow: { model: other, share: 100% } }\n  \
                    other: { targets: [ { provider: second, model: sandbox-large } ], shadow: { model: plain, share: 100% } }\n"
        .to_owned();
    let gateway = setup.start();
    let ask = |model: &str| {
        let answer = gateway
            .post("/v1/chat/completions", &[("x-tollgate-tags", "a=b")], &chat(model, ""))
            .expect(200);
        seen(&answer)
    };
    let copies = |outcome: &str| {
        let outcome = format!("outcome=\"{outcome}\"");
        gateway.metric("tollgate_shadow_requests_total", &["model=\"other\"", &outcome])
    };
    let plain = ask("plain");
    assert_eq!(second.arrivals().len(), 0);
    assert_eq!(ask("smart"), plain);
    until("the copy was answered", 10, || (copies("ok") == 1.0).then_some(()));
    let copy = second.last_arrival();
    assert!(copy["body"].to_string().contains("sandbox-large"), "{copy}");
    assert_eq!(sandbox::header(&copy, "x-tollgate-tags"), None);
    assert_eq!(first.arrivals().len(), 2, "a copy is not copied");

    // It fails, it hangs: nobody notices.
    second.plays(ILL);
    assert_eq!(ask("smart"), plain);
    until("the copy failed", 10, || (copies("failed") == 1.0).then_some(()));
    second.plays(SLOW);
    assert_eq!(ask("smart"), plain);
    signal(second.pid(), Signal::KILL);
    until("the hung copy failed", 10, || (copies("failed") == 2.0).then_some(()));
    assert_eq!(ask("smart"), plain);
    until("the refused copy failed", 10, || {
        (copies("failed") == 3.0).then_some(())
    });

    let requests = |model: &str| gateway.metric("tollgate_requests_total", &[&format!("model=\"{model}\"")]);
    assert_eq!((requests("smart"), requests("other")), (4.0, 0.0));
    let tokens = gateway.metric("tollgate_tokens_total", &["model=\"other\"", "team=\"\""]);
    assert!(tokens > 0.0);
    assert!(gateway.metric("tollgate_shadow_duration_seconds_count", &[]) >= 4.0);
    let lines = until("the access log has all lines", 10, || {
        let text = fs::read_to_string(log.path()).ok()?;
        let lines: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let shadows = lines.iter().filter(|line| line["shadow"] == true).count();
        (shadows == 4).then_some(lines)
    });
    let copy = lines.iter().find(|line| line["shadow"] == true).expect("a copy");
    assert_eq!(
        (&copy["model"], &copy["key"], &copy["tags"]),
        (&"other".into(), &Value::Null, &Value::Null)
    );
    let of_client = |line: &&Value| line["request_id"] == copy["request_id"] && line["shadow"] != true;
    let call = lines.iter().find(of_client).expect("the call that was copied");
    assert_eq!(
        (&call["model"], &call["key"], &call["arm"]),
        (&"smart".into(), &"tester".into(), &"a".into())
    );
    until("the calls' records are in the ledger, with the arm", 10, || {
        let answer = gateway.control("GET", "/v1/usage?by=model,arm", &[], b"").expect(200);
        let rows = answer.json()["rows"].as_array().expect("rows").clone();
        let of_arm = rows.iter().find(|row| row["arm"] == "a")?;
        (of_arm["model"] == "smart" && of_arm["requests"].as_u64() == Some(4)).then_some(())
    });
}

#[test]
fn copies_that_pile_up_are_dropped_and_counted() {
    /// Of one shard, as docs/src/routing.md says.
    const MOST: usize = 128;
    const MORE: usize = 12;
    let (first, second) = (Sandbox::start(), Sandbox::start());
    second.plays(SLOW);
    let models = "  smart: { targets: [ { provider: first, model: sandbox-small } ], shadow: { model: other, share: 100% } }\n  \
                  other: { targets: [ { provider: second, model: sandbox-small } ] }\n";
    let gateway = gateway(&first, &second, ("", models));
    // One connection is one shard's.
    let mut client = Client::connect(gateway.address);
    let call = http::request(
        "POST",
        "/v1/chat/completions",
        &with_key(&[]),
        chat("smart", "").as_bytes(),
    );
    for _ in 0..MOST + MORE {
        client.send(&call);
        client.read().expect("an answer").expect(200);
    }
    let dropped = gateway.metric(
        "tollgate_shadow_requests_total",
        &["model=\"other\"", "outcome=\"dropped\""],
    );
    assert_eq!(dropped, MORE as f64);
    until("the others are under way", 10, || {
        (second.arrivals().len() == MOST).then_some(())
    });
}

#[test]
fn a_provider_that_dies_is_left_alone_before_a_call_finds_out() {
    let (first, second) = (Sandbox::start(), Sandbox::start());
    // Who is dead refuses at once; a look that is only late, on a machine that is busy, is not to be taken for that.
    let check = ", check: { path: /v1/models, every: 1s, timeout: 1s, healthy: 2, unhealthy: 2 }";
    let model = "  smart: { targets: [ { provider: first, model: sandbox-small }, { provider: second, model: sandbox-small } ], \
                 breaker: { cooldown: 60s, slow_start: 0s } }\n";
    let gateway = gateway(&first, &second, (check, model));
    let found = |outcome: &str| {
        let outcome = format!("outcome=\"{outcome}\"");
        gateway.metric("tollgate_provider_checks_total", &["provider=\"first\"", &outcome])
    };
    until("it is looked at", 10, || (found("well") >= 2.0).then_some(()));
    let look = first.last_arrival();
    assert_eq!(
        (&look["method"], &look["target"]),
        (&"GET".into(), &"/v1/models".into()),
        "{look}"
    );
    assert!(
        sandbox::header(&look, "authorization").is_some(),
        "with its credential: {look}"
    );
    let address = first.address.to_string();
    let answered_by = || {
        let answer = gateway
            .post("/v1/chat/completions", &[], &chat("smart", ""))
            .expect(200);
        (
            answer.header("x-tollgate-provider").map(str::to_owned),
            answer.header("x-tollgate-attempts").map(str::to_owned),
        )
    };
    signal(first.pid(), Signal::KILL);
    drop(first);
    let ejected = || gateway.metric("tollgate_target_ejected", &["provider=\"first\""]);
    until("it is left alone", 10, || (ejected() == 1.0).then_some(()));
    assert_eq!(
        gateway.metric("tollgate_requests_total", &["model=\"smart\""]),
        0.0,
        "without a call"
    );
    assert_eq!(answered_by(), (Some("second".to_owned()), Some("1".to_owned())));
    // It comes back long before its cooldown is over.
    let _again = Sandbox::at(&address, &[]);
    until("it is well again", 10, || (ejected() == 0.0).then_some(()));
    assert_eq!(answered_by(), (Some("first".to_owned()), Some("1".to_owned())));
}
