//! Limits over shards, connections, restarts and kills: exactly as many calls as they say.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use serde_json::Value;

use crate::harness::{Gateway, Sandbox, Setup, gateway::chat};

const CALLS: u64 = 300;

fn limited(provider: &Sandbox, limits: &str) -> Gateway {
    let mut setup = Setup::to(provider.address);
    setup.keys = format!("  tester: {{ secret: env:TOLLGATE_TEST_KEY, limits: [ {limits} ] }}\n");
    setup.start()
}

/// Many connections at once, over both shards, more calls than may pass; how many were answered 200.
fn storm(gateway: &Gateway) -> u64 {
    const CONNECTIONS: u64 = 16;
    let (passed, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                for _ in 0..2 * CALLS / CONNECTIONS {
                    let answer = gateway.post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""));
                    match answer.status {
                        200 => passed.fetch_add(1, Ordering::Relaxed),
                        429 => refused.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other}: {}", answer.text()),
                    };
                }
            });
        }
    });
    let (passed, refused) = (passed.into_inner(), refused.into_inner());
    assert_eq!(passed + refused, CONNECTIONS * (2 * CALLS / CONNECTIONS));
    passed
}

fn balance(gateway: &Gateway) -> Value {
    let told = gateway
        .control("GET", "/v1/limits/key/tester", &[], b"")
        .expect(200)
        .json();
    told["limits"][0].clone()
}

#[test]
fn a_limit_holds_to_the_call_over_shards_connections_kills_and_restarts() {
    let provider = Sandbox::start();
    let gateway = limited(&provider, &format!("{{ requests: {CALLS}, per: year }}"));
    assert_eq!(storm(&gateway), CALLS);
    assert_eq!(provider.report()["requests"], CALLS, "what was refused went nowhere");
    let told = balance(&gateway);
    assert_eq!(
        (&told["used"], &told["remaining"]),
        (&Value::from(CALLS), &Value::from(0)),
        "{told}"
    );
    let metric = gateway.metric(
        "tollgate_limit_remaining",
        &["scope=\"key\"", "name=\"tester\"", "unit=\"requests\""],
    );
    assert_eq!(metric, 0.0);

    gateway.kill_dataplane();
    gateway.await_ready();
    gateway
        .post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""))
        .expect(429);
    assert_eq!(provider.report()["requests"], CALLS, "it knows what was used");

    // Ten more, and what was used stays used.
    let more = (CALLS + 10).to_string();
    gateway
        .control("PUT", "/v1/config/keys/tester/limits/0/requests", &[], more.as_bytes())
        .expect(200);
    assert_eq!(storm(&gateway), 10);
}

#[test]
fn a_refusal_says_when_to_come_back_and_a_spent_month_that_it_is_of_no_use() {
    let provider = Sandbox::start();
    let gateway = limited(&provider, "{ requests: 1, per: 1h }, { requests: 100, per: month }");
    let call = || gateway.post("/v1/chat/completions", &[], &chat("openai/sandbox-small", ""));
    let first = call().expect(200);
    assert_eq!(first.header("x-ratelimit-limit-requests"), Some("1"));
    assert_eq!(first.header("x-ratelimit-remaining-requests"), Some("0"));
    let refused = call().expect(429);
    assert_eq!(refused.json()["error"]["code"], "rate_limit_exceeded");
    let after: u64 = refused
        .header("retry-after")
        .and_then(|text| text.parse().ok())
        .expect("seconds");
    assert!((3_500..=3_600).contains(&after), "{after}");
    assert_eq!(refused.header("x-should-retry"), None);

    let one = b"[{\"requests\":1,\"per\":\"month\"}]";
    gateway
        .control("PUT", "/v1/config/keys/tester/limits", &[], one)
        .expect(200);
    let refused = call().expect(429);
    assert_eq!(refused.json()["error"]["code"], "insufficient_quota");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert_eq!(provider.report()["requests"], 1);
}
