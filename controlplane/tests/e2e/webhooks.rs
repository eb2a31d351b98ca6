//! An address whose name is taken out of the configuration and comes again.

use std::{sync::OnceLock, time::Duration};

use serde_json::{Value, json};

use crate::{
    budgets::{HOOK_SECRET, receiver},
    harness::{Sandbox, Setup, until},
};

#[test]
fn an_address_that_comes_again_is_told_what_happens_then_and_nothing_of_before_in_between() {
    let provider = Sandbox::start();
    // The first event is never taken, however often it is told.
    let first = OnceLock::new();
    let (hook, notices) = receiver(move |_, body| first.get_or_init(|| id(body)) == &id(body));
    let mut setup = Setup::to(provider.address);
    let webhook =
        json!({"url": format!("http://{hook}/told"), "secret": "env:TEST_HOOK", "events": ["revision_applied"]});
    setup.top += &format!("webhooks: {{ ops: {webhook} }}\n");
    setup.environment.push(("TEST_HOOK".to_owned(), HOOK_SECRET.to_owned()));
    let gateway = setup.start();
    let put = |pointer: &str, value: &Value| {
        let target = format!("/v1/config/{pointer}");
        gateway
            .control("PUT", &target, &[], value.to_string().as_bytes())
            .expect(200);
    };
    let next = || {
        let (_, body) = notices.recv_timeout(Duration::from_secs(20)).expect("a notice");
        id(&body)
    };
    put("shutdown_grace", &json!("29s"));
    // It waits to be told again.
    let refused = next();
    gateway
        .control("DELETE", "/v1/config/webhooks/ops", &[], b"")
        .expect(200);
    put("webhooks/ops", &webhook);
    put("shutdown_grace", &json!("28s"));
    until("what was left to be counted", 10, || {
        let dropped = gateway.metric("tollgate_webhook_notices_total", &["state=\"dropped\""]);
        (dropped >= 1.0).then_some(())
    });
    let mut told = vec![refused];
    while told.iter().filter(|told| **told > refused).count() < 2 {
        told.push(next());
    }
    assert!(told.is_sorted(), "{told:?}");
    // Nothing of before comes behind them.
    put("shutdown_grace", &json!("27s"));
    assert!(next() > told[told.len() - 1], "{told:?}");
}

fn id(body: &str) -> u64 {
    let notice: Value = serde_json::from_str(body).expect("JSON");
    notice["id"].as_u64().expect("a number")
}
