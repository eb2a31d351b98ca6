//! What decides where a call goes, with real processes: limits that shards count together, regions, reasons that clients are
//! told, and how a provider is found for prompts that begin alike.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{
    Gateway, Sandbox, Setup,
    gateway::{chat, provider_with},
    http,
};

const WARD: &str = "tg-ward-secret";

/// The model `smart` at two providers that are one sandbox; the first is in `eu` and grants 20 calls an hour.
fn gateway(sandbox: &Sandbox) -> Gateway {
    let mut setup = Setup::to(sandbox.address);
    setup.top += "teams: { hospital: { residency: eu } }\n";
    setup.providers = [
        provider_with(
            "near",
            "openai",
            sandbox.address,
            ", residency: eu, limits: [ { requests: 20, per: 1h } ]",
        ),
        provider_with("far", "openai", sandbox.address, ""),
    ]
    .concat();
    setup.models = "  smart: { targets: [ { provider: near, model: sandbox-small }, { provider: far, model: sandbox-small } ] }\n  \
                    alike: { strategy: weighted, affinity: prefix, targets: [ { provider: far, model: sandbox-small }, \
                    { provider: far, model: sandbox-large } ] }\n"
        .to_owned();
    setup.keys = "  tester: { secret: env:TOLLGATE_TEST_KEY, explain: true }\n  \
                  ward: { secret: env:TOLLGATE_TEST_WARD, team: hospital, pass_through: true }\n"
        .to_owned();
    setup.environment = vec![("TOLLGATE_TEST_WARD".to_owned(), WARD.to_owned())];
    setup.start()
}

/// A connection of its own, so that both shards get some.
fn answered_by(gateway: &Gateway, body: &str, header: &str) -> String {
    let answer = gateway.post("/v1/chat/completions", &[], body).expect(200);
    answer.header(header).expect("who answered").to_owned()
}

#[test]
fn what_a_provider_grants_is_counted_by_all_shards_together_and_then_it_is_passed_over() {
    let sandbox = Sandbox::start();
    let gateway = gateway(&sandbox);
    let mut answered: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..30 {
        let by = answered_by(&gateway, &chat("smart", ""), "x-tollgate-provider");
        *answered.entry(by).or_default() += 1;
    }
    assert_eq!(answered, [("near".to_owned(), 20), ("far".to_owned(), 10)].into());
    let granted = |name: &str| gateway.metric(name, &["provider=\"near\"", "unit=\"requests\"", "per=\"3600s\""]);
    assert_eq!(granted("tollgate_provider_limit_remaining"), 0.0);
    assert_eq!(granted("tollgate_provider_limit_refused_total"), 10.0);

    // Whoever must stay near has nobody left: not now, and not elsewhere.
    let of_ward = [("authorization", &*format!("Bearer {WARD}"))];
    let body = chat("smart", "");
    let refused = http::call(
        gateway.address,
        "POST",
        "/v1/chat/completions",
        &of_ward,
        body.as_bytes(),
    );
    let refused = refused.expect(429);
    assert_eq!(refused.json()["error"]["code"], "rate_limit_exceeded");
    let wait_s: u64 = refused.header("retry-after").expect("when").parse().expect("seconds");
    assert!((1..=180).contains(&wait_s), "{wait_s}");
    let direct = http::call(
        gateway.address,
        "POST",
        "/providers/far/v1/chat/completions",
        &of_ward,
        body.as_bytes(),
    );
    direct.expect(403);
    assert_eq!(sandbox.arrivals().len(), 30);
}

#[test]
fn a_client_that_may_ask_is_told_why_its_call_went_where_it_went() {
    let sandbox = Sandbox::start();
    let gateway = gateway(&sandbox);
    let asks = [("x-tollgate-explain", "1")];
    for more in ["", r#","stream":true"#] {
        let answer = gateway
            .post("/v1/chat/completions", &asks, &chat("smart", more))
            .expect(200);
        let told: Value = serde_json::from_str(answer.header("x-tollgate-explain").expect("reasons")).expect("JSON");
        assert_eq!(told["decision"], "near/sandbox-small is asked first", "{told}");
        assert_eq!(told["candidates"].as_array().map(Vec::len), Some(2), "{told}");
    }
    let unasked = gateway
        .post("/v1/chat/completions", &[], &chat("smart", ""))
        .expect(200);
    assert_eq!(unasked.header("x-tollgate-explain"), None);
    // What clients say to the gateway is not passed on.
    let seen = sandbox.arrivals();
    assert!(!format!("{seen:?}").contains("x-tollgate"), "{seen:?}");
}

#[test]
fn prompts_that_begin_alike_go_one_way_whichever_shard_has_them() {
    let sandbox = Sandbox::start();
    let gateway = gateway(&sandbox);
    let mut models = std::collections::BTreeSet::new();
    for topic in 0..8 {
        let long = format!("All there is to know about topic {topic}. ").repeat(60);
        let body = |question: u32| {
            format!(r#"{{"model":"alike","messages":[{{"role":"user","content":"{long}{question}"}}]}}"#)
        };
        let at = answered_by(&gateway, &body(0), "x-tollgate-model");
        for question in 1..6 {
            assert_eq!(
                answered_by(&gateway, &body(question), "x-tollgate-model"),
                at,
                "topic {topic}"
            );
        }
        models.insert(at);
    }
    assert_eq!(models.len(), 2, "each has some of them");
}

#[test]
fn once_most_of_a_budget_is_spent_calls_go_to_the_cheaper_target_and_back_when_it_is_raised() {
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.providers = [
        provider_with("dear", "openai", sandbox.address, ""),
        provider_with("cheap", "openai", sandbox.address, ""),
    ]
    .concat();
    setup.models = "  thrifty: { targets: [ \
                    { provider: dear, model: sandbox-large, when: { spent_share: { below: 80%, of: key, unit: requests, per: year } } }, \
                    { provider: cheap, model: sandbox-small } ] }\n"
        .to_owned();
    setup.keys =
        "  tester: { secret: env:TOLLGATE_TEST_KEY, explain: true, limits: [ { requests: 10, per: year } ] }\n"
            .to_owned();
    let gateway = setup.start();
    let body = chat("thrifty", "");
    let explained = || {
        let output = gateway.cli(&["explain", "--model", "thrifty", "--key", "tester"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(explained().contains("dear/sandbox-large is asked first"));
    for number in 0..10 {
        let expected = if number < 8 { "dear" } else { "cheap" };
        assert_eq!(
            answered_by(&gateway, &body, "x-tollgate-provider"),
            expected,
            "{number}"
        );
    }
    gateway.post("/v1/chat/completions", &[], &body).expect(429);
    assert!(explained().contains("refused with 429"), "{}", explained());
    gateway
        .control(
            "PUT",
            "/v1/config/keys/tester/limits",
            &[],
            br#"[{"requests":100,"per":"year"}]"#,
        )
        .expect(200);
    assert_eq!(answered_by(&gateway, &body, "x-tollgate-provider"), "dear");
}
