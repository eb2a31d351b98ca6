//! What calls cost: in the answer's head, in the metric, in the access line; and `tollgate prices`.

use crate::harness::{
    Sandbox, Setup,
    gateway::{chat, messages, model_line, provider_with},
    until,
};

/// The sandbox says of "Hello there, gate." that it is five tokens.
fn priced(sandbox: &Sandbox) -> Setup {
    let prices = |input: &str, output: &str| {
        format!(
            ", prices: {{ discount: 50%, models: {{ \"sandbox-*\": {{ input: \"{input}\", output: \"{output}\" }} }} }}"
        )
    };
    let mut setup = Setup::to(sandbox.address);
    setup.providers = [
        provider_with("openai", "openai", sandbox.address, &prices("2.00", "10.00")),
        provider_with("anthropic", "anthropic", sandbox.address, &prices("6.00", "30.00")),
        provider_with("unpriced", "openai", sandbox.address, ""),
    ]
    .concat();
    setup.models += &model_line("unpriced/*", &["unpriced"]);
    setup
}

#[test]
fn a_call_says_what_it_cost_and_the_metric_adds_up() {
    let sandbox = Sandbox::start();
    let gateway = priced(&sandbox).start();
    let cost = |path: &str, body: String| {
        let answer = gateway.post(path, &[], &body).expect(200);
        answer.header("x-tollgate-cost-usd").map(str::to_owned)
    };
    // (5 × 2 + 11 × 10) / 2 millionths.
    let buffered = cost("/v1/chat/completions", chat("openai/sandbox-tokens-11", ""));
    assert_eq!(buffered.as_deref(), Some("0.000060000"));
    // (5 × 6 + 17 × 30) / 2.
    let message = cost("/v1/messages", messages("anthropic/sandbox-tokens-17", ""));
    assert_eq!(message.as_deref(), Some("0.000270000"));
    // Asked for in the other dialect, the same.
    let translated = cost("/v1/messages", messages("openai/sandbox-tokens-11", ""));
    assert_eq!(translated.as_deref(), Some("0.000060000"));
    let asks_usage = r#","stream":true,"stream_options":{"include_usage":true}"#;
    let stream = cost("/v1/chat/completions", chat("openai/sandbox-tokens-13", asks_usage));
    assert_eq!(stream, None, "a stream's head is gone before its cost is known");
    let unpriced = cost("/v1/chat/completions", chat("unpriced/sandbox-tokens-11", ""));
    assert_eq!(unpriced, None, "unknown is not nothing");

    // Twice the first call, and (5 × 2 + 13 × 10) / 2 for the stream.
    until("the costs to be counted", 20, || {
        let openai = gateway.metric("tollgate_cost_usd_total", &["provider=\"openai\""]);
        let anthropic = gateway.metric(
            "tollgate_cost_usd_total",
            &["provider=\"anthropic\"", "model=\"anthropic/*\""],
        );
        let nanos = |usd: f64| (usd * 1e9).round() as u64;
        (nanos(openai) == 190_000 && nanos(anthropic) == 270_000).then_some(())
    });
    assert_eq!(
        gateway.metric("tollgate_cost_usd_total", &["provider=\"unpriced\""]),
        0.0
    );
}

#[test]
fn prices_change_with_the_configuration() {
    let sandbox = Sandbox::start();
    let mut gateway = priced(&sandbox).start();
    let cost = |gateway: &crate::harness::Gateway| {
        let answer = gateway
            .post("/v1/chat/completions", &[], &chat("openai/sandbox-tokens-11", ""))
            .expect(200);
        answer.header("x-tollgate-cost-usd").map(str::to_owned)
    };
    assert_eq!(cost(&gateway).as_deref(), Some("0.000060000"));
    gateway.rewrite(|setup| setup.providers = setup.providers.replace("discount: 50%, ", ""));
    let config = gateway.config.to_string_lossy().into_owned();
    assert!(gateway.cli(&["apply", &config]).status.success());
    assert_eq!(cost(&gateway).as_deref(), Some("0.000120000"));
    gateway.rewrite(|setup| setup.top += "cost_header_buffer: 0B\n");
    assert!(gateway.cli(&["apply", &config]).status.success());
    assert_eq!(cost(&gateway), None);
}

#[test]
fn the_access_line_says_the_cost() {
    let sandbox = Sandbox::start();
    let mut setup = priced(&sandbox);
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    setup.top = setup
        .top
        .replace("access_log: off", &format!("access_log: \"file:{}\"", log.display()));
    let gateway = setup.start();
    gateway
        .post(
            "/v1/messages",
            &[],
            &messages("anthropic/sandbox-tokens-17", r#","stream":true"#),
        )
        .expect(200);
    until("the access line", 20, || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let line = text.lines().find(|line| line.contains("sandbox-tokens-17"))?.to_owned();
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(line["cost_usd"], "0.000270000");
        Some(())
    });
}
