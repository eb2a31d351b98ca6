//! One sum, told by everybody: each answer's head, the balances of budgets, the ledger's calls, and the export for an invoice.
//! And what a re-rating changes of it.

use serde_json::{Value, json};

use crate::harness::{
    Gateway, Sandbox, Setup,
    gateway::{chat, provider_with},
    until,
};

const PRICES: &str = "sandbox-*";

fn setup(provider: &Sandbox) -> Setup {
    let mut setup = Setup::to(provider.address);
    let priced = |input: &str, output: &str| {
        format!(", prices: {{ models: {{ \"{PRICES}\": {{ input: \"{input}\", output: \"{output}\" }} }} }}")
    };
    setup.providers = [
        provider_with("cheap", "openai", provider.address, &priced("1.00", "3.00")),
        provider_with("dear", "openai", provider.address, &priced("7.00", "21.00")),
    ]
    .concat();
    setup.models = "  cheap: { targets: [ { provider: cheap, model: sandbox-tokens-11 } ] }\n  dear: { targets: [ { provider: dear, \
                    model: sandbox-tokens-5 } ] }\n  broken: { targets: [ { provider: dear, model: sandbox-status-500 } ], retry: { \
                    attempts: 1 } }\n"
        .to_owned();
    setup.top += "organization: { limits: [ { budget: \"100 USD\", per: year } ] }\n";
    setup.keys =
        "  tester: { secret: env:TOLLGATE_TEST_KEY, limits: [ { budget: \"100 USD\", per: year } ] }\n".to_owned();
    setup
}

/// Nano-dollars.
fn nanos(usd: &str) -> i128 {
    let (whole, fraction) = usd.split_once('.').expect("digits behind a point");
    let digits = format!("{whole}{}", &fraction[..9]);
    assert!(fraction[9..].bytes().all(|digit| digit == b'0'), "{usd}");
    digits.parse().expect("a number")
}

fn billed(gateway: &Gateway, by: &str) -> i128 {
    let target = format!("/v1/usage?from=2d&by={by}");
    let answer = gateway.control("GET", &target, &[], b"").expect(200).json();
    let rows = answer["rows"].as_array().expect("rows");
    rows.iter()
        .map(|row| nanos(row["cost_usd"].as_str().expect("money")))
        .sum()
}

fn exported(gateway: &Gateway) -> i128 {
    let output = gateway.cli(&["usage", "--from", "2d", "--format", "focus"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines = text.lines();
    assert!(lines.next().is_some_and(|head| head.starts_with("BilledCost,")));
    lines.map(|line| nanos(line.split(',').next().expect("a cost"))).sum()
}

fn used(gateway: &Gateway, scope: &str) -> i128 {
    let told = gateway
        .control("GET", &format!("/v1/limits/{scope}"), &[], b"")
        .expect(200)
        .json();
    nanos(told["limits"][0]["used"].as_str().expect("money"))
}

#[test]
fn heads_balances_the_ledger_and_the_invoice_say_one_sum() {
    let provider = Sandbox::start();
    let gateway = setup(&provider).start();
    let mut told = 0;
    for call in 0..12 {
        let model = ["cheap", "dear"][call % 2];
        let answer = gateway.post("/v1/chat/completions", &[], &chat(model, "")).expect(200);
        told += nanos(answer.header("x-tollgate-cost-usd").expect("its cost"));
    }
    gateway
        .post("/v1/chat/completions", &[], &chat("broken", ""))
        .expect(500);
    until("the calls to be in the ledger", 20, || {
        (billed(&gateway, "") == told).then_some(())
    });
    assert!(told > 0);
    assert_eq!([used(&gateway, "organization"), used(&gateway, "key")], [told, told]);
    assert_eq!(
        billed(&gateway, "team,provider,upstream_model,credential,day,entry"),
        told
    );
    assert_eq!(exported(&gateway), told);

    // Twice as dear, all of it: what was billed and what is to be paid change together, and what was spent does not.
    let mut document = gateway.control("GET", "/v1/config", &[], b"").expect(200).json();
    for (name, input, output) in [("cheap", "2.00", "6.00"), ("dear", "14.00", "42.00")] {
        document["providers"][name]["prices"] = json!({"models": {PRICES: {"input": input, "output": output}}});
    }
    let asked = json!({"from": "2d", "post": true, "document": document}).to_string();
    let rerated: Value = gateway
        .control(
            "POST",
            "/v1/usage/rerate",
            &[("content-type", "application/json")],
            asked.as_bytes(),
        )
        .expect(200)
        .json();
    assert_eq!(
        nanos(rerated["cost_after_usd"].as_str().expect("money")),
        2 * told,
        "{rerated}"
    );
    for by in ["", "provider,entry,day"] {
        assert_eq!(billed(&gateway, by), 2 * told);
    }
    assert_eq!(exported(&gateway), 2 * told);
    assert_eq!(used(&gateway, "organization"), told);
}

/// A spool that cannot be written, from the start: nothing goes to a provider that could not be recorded.
#[test]
fn without_a_spool_calls_are_refused_until_there_is_one() {
    let provider = Sandbox::start();
    let state = tempfile::tempdir().expect("a folder");
    let spool = state.path().join("spool");
    std::fs::write(&spool, "in the way").expect("written");
    let mut setup = setup(&provider);
    setup.state_dir = Some(state.path().to_owned());
    let gateway = setup.start();
    for _ in 0..3 {
        let refused = gateway
            .post("/v1/chat/completions", &[], &chat("cheap", ""))
            .expect(503);
        assert_eq!(refused.error_code(), "usage_spool_full");
    }
    assert_eq!(used(&gateway, "organization"), 0);
    std::fs::remove_file(&spool).expect("removed");
    until("calls to be taken again", 10, || {
        let answer = gateway.post("/v1/chat/completions", &[], &chat("cheap", ""));
        (answer.status == 200).then_some(())
    });
    until("the call to be in the ledger", 20, || {
        (billed(&gateway, "") == used(&gateway, "organization")).then_some(())
    });
}
