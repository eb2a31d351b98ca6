//! What each provider exports beside the ledger: to the token and to the money, with what differs explained, and posted as
//! records of their own.

use std::{fs, path::Path};

use serde_json::{Value, json};
use tollgate_config::{
    money::PicoUsd,
    prices::PriceVersion,
    usage_event::{Kind, UsageEvent},
};

use crate::{
    harness::{Gateway, Sandbox, Setup, until},
    ledger::leave_spool,
};

/// 2026-11-03, nine o'clock.
const AT_MS: u64 = 1_793_664_000_000 + 9 * 3_600_000;
const PROVIDERS: [&str; 5] = ["openai", "anthropic", "bedrock", "vertex", "own"];
const CALL_PICOS: u128 = 5_640_000_000;
/// Input, read from and written to a cache, output. Google's report tells of no writes.
const TOKENS: [u64; 4] = [1_000, 500, 200, 100];

/// Two calls of model `a` and one of `b` at each provider.
fn calls() -> Vec<UsageEvent<'static>> {
    let mut events = Vec::new();
    for provider in PROVIDERS {
        for (model, credential) in [("a", "KEY_ONE"), ("a", "KEY_ONE"), ("b", "KEY_TWO")] {
            let opened = events.len() as u64 + 1;
            let open = UsageEvent {
                boot: 0xfeed,
                sequence: opened,
                opened,
                started_unix_ms: AT_MS,
                team: "research",
                key: "bot",
                model: "smart",
                provider,
                upstream_model: model,
                credential,
                surface: "chat_completions",
                dialect: "openai",
                attempts: 1,
                ..UsageEvent::default()
            };
            let [input, read, written, output] = TOKENS.map(Some);
            let written = written.filter(|_| provider != "vertex");
            let closed = UsageEvent {
                kind: Kind::Close,
                sequence: opened + 1,
                ended_unix_ms: AT_MS + 1_000,
                status: 200,
                tokens: [input, read, written, None, output, None, None, None, None],
                cost: Some((PicoUsd(CALL_PICOS), PriceVersion(0x0a11))),
                list: Some(PicoUsd(CALL_PICOS)),
                ..open
            };
            events.extend([open, closed]);
        }
    }
    events
}

/// A report's files, and what `--mapping` says of it. Of model `b` each tells fifty tokens of output more, and costs of half
/// of a thousandth of a dollar beyond ours.
fn report(provider: &str) -> (Vec<(&'static str, String)>, Option<Value>) {
    let usage_types = |region: &str| {
        let kinds = [
            "input-tokens",
            "cache-read-input-token-count",
            "cache-write-input-token-count",
            "output-tokens",
        ];
        let names = ["a", "b"]
            .into_iter()
            .flat_map(|model| kinds.map(|kind| (format!("{region}-{model}-{kind}"), Value::from(model))));
        Value::Object(names.collect())
    };
    match provider {
        "openai" => (
            vec![
                (
                    "usage.csv",
                    "start_time,end_time,start_time_iso,end_time_iso,model,num_model_requests,input_tokens,input_cached_tokens,output_tokens\n\
                     1793664000,1793750400,2026-11-03T00:00:00+00:00,2026-11-04T00:00:00+00:00,a-2026-03-05,2,3400,1000,200\n\
                     1793664000,1793750400,2026-11-03T00:00:00+00:00,2026-11-04T00:00:00+00:00,b,2,1700,500,150\n"
                        .to_owned(),
                ),
                (
                    "costs.json",
                    r#"{"object":"page","data":[{"object":"bucket","start_time":1793664000,"end_time":1793750400,"results":[
                        {"object":"organization.costs.result","amount":{"value":0.009,"currency":"usd"},"line_item":"a-2026-03-05, input"},
                        {"object":"organization.costs.result","amount":{"value":0.00228,"currency":"usd"},"line_item":"a-2026-03-05, output"},
                        {"object":"organization.costs.result","amount":{"value":6.14e-3,"currency":"usd"},"line_item":"b, input"}]}]}"#
                        .to_owned(),
                ),
            ],
            None,
        ),
        "anthropic" => (
            vec![
                (
                    "usage.json",
                    r#"{"data":[{"starting_at":"2026-11-03T00:00:00Z","ending_at":"2026-11-04T00:00:00Z","results":[
                        {"uncached_input_tokens":2000,"cache_creation":{"ephemeral_1h_input_tokens":0,"ephemeral_5m_input_tokens":400},
                         "cache_read_input_tokens":1000,"output_tokens":200,"server_tool_use":{"web_search_requests":0},"model":"a","api_key_id":"apikey_1"},
                        {"uncached_input_tokens":1000,"cache_creation":{"ephemeral_1h_input_tokens":0,"ephemeral_5m_input_tokens":200},
                         "cache_read_input_tokens":500,"output_tokens":150,"server_tool_use":{"web_search_requests":0},"model":"b","api_key_id":"apikey_2"}]}],
                        "has_more":false,"next_page":null}"#
                        .to_owned(),
                ),
                (
                    "costs.json",
                    r#"{"data":[{"starting_at":"2026-11-03T00:00:00Z","ending_at":"2026-11-04T00:00:00Z","results":[
                        {"amount":"1.128","currency":"USD","cost_type":"tokens","model":"a"},
                        {"amount":"0.614","currency":"USD","cost_type":"tokens","model":"b"}]}],"has_more":false}"#
                        .to_owned(),
                ),
            ],
            None,
        ),
        "bedrock" => {
            let row = |usage_type: &str, thousands: &str, cost: &str| {
                format!("2026-11-03T00:00:00.000Z,AmazonBedrock,{usage_type},{thousands},{cost}\n")
            };
            let text = [
                "line_item_usage_start_date,line_item_product_code,line_item_usage_type,line_item_usage_amount,line_item_unblended_cost\n".to_owned(),
                row("USE1-a-input-tokens", "2", "0.0060000000"),
                row("USE1-a-cache-read-input-token-count", "1.0", "0.0003000000"),
                row("USE1-a-cache-write-input-token-count", "0.4", "0.0015000000"),
                row("USE1-a-output-tokens", "0.2", "0.0034800000"),
                row("USE1-b-input-tokens", "1", "0.0030000000"),
                row("USE1-b-cache-read-input-token-count", "0.5", "0.0001500000"),
                row("USE1-b-cache-write-input-token-count", "0.2", "0.0007500000"),
                row("USE1-b-output-tokens", "0.15", "0.0022400000"),
                "2026-11-03T00:00:00.000Z,AmazonS3,Requests-Tier1,9,0.1\n".to_owned(),
            ];
            (vec![("cur.csv", text.concat())], Some(json!({ "models": usage_types("USE1") })))
        }
        "vertex" => {
            let row = |sku: &str, amount: u64, cost: &str| {
                format!(
                    "{{\"service\":{{\"description\":\"Vertex AI\"}},\"sku\":{{\"description\":\"{sku}\"}},\"usage_start_time\":\
                     \"2026-11-03 00:00:00 UTC\",\"usage\":{{\"amount\":{amount},\"unit\":\"count\"}},\"cost\":{cost},\"currency\":\"USD\"}}\n"
                )
            };
            let skus = ["Text Input", "Cached Text Input", "Text Output"];
            let rows = [
                row("A Text Input", 2_000, "0.006"),
                row("A Cached Text Input", 1_000, "0.00048"),
                row("A Text Output", 200, "0.0048"),
                row("B Text Input", 1_000, "0.003"),
                row("B Cached Text Input", 500, "0.00014"),
                row("B Text Output", 150, "0.003"),
            ];
            let models = ["a", "b"].into_iter().flat_map(|model| {
                skus.map(|sku| (format!("{} {sku}", model.to_uppercase()), Value::from(model)))
            });
            let models: serde_json::Map<String, Value> = models.collect();
            (vec![("billing.jsonl", rows.concat())], Some(json!({ "models": models })))
        }
        _ => {
            let mapping = json!({
                "day": ["Tag"], "model": ["Modell"], "key": ["Schlüssel"],
                "counts": {"requests": ["Aufrufe"], "input_tokens": ["Ein", "Gelesen"], "output_tokens": ["Aus"]},
                "cost": ["Betrag"], "cost_digits": 5, "models": {"Modell A": "a", "Modell B": "b"},
                "keys": {"k1": "KEY_ONE", "k2": "KEY_TWO"},
            });
            let text = "Tag,Modell,Schlüssel,Aufrufe,Ein,Gelesen,Aus,Betrag\n\
                        2026-11-03,Modell A,k1,2,2400,1000,200,0.01128\n\
                        2026-11-03,Modell B,k2,2,1200,500,150,0.00614\n";
            (vec![("bill.csv", text.to_owned())], Some(mapping))
        }
    }
}

fn reconciled(gateway: &Gateway, folder: &Path, provider: &str, post: bool) -> Value {
    let (files, mapping) = report(provider);
    let mut arguments = ["reconcile", "--provider", provider, "--output", "json"]
        .map(str::to_owned)
        .to_vec();
    for (name, text) in files {
        let path = folder.join(format!("{provider}-{name}"));
        fs::write(&path, text).expect("written");
        arguments.extend(["--file".to_owned(), path.display().to_string()]);
    }
    if let Some(mapping) = mapping {
        let path = folder.join(format!("{provider}-mapping.yaml"));
        fs::write(&path, mapping.to_string()).expect("written");
        arguments.extend(["--mapping".to_owned(), path.display().to_string()]);
    }
    arguments.extend(post.then(|| "--post".to_owned()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = gateway.cli(&arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn rows(gateway: &Gateway, query: &str) -> Vec<Value> {
    gateway.usage(&format!("from=2026-11&to=2026-12&{query}"))
}

#[test]
fn the_report_of_each_provider_is_compared_explained_and_posted_as_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let state_dir = folder.path().join("state");
    leave_spool(&state_dir, &calls());
    let sandbox = Sandbox::start();
    let mut setup = Setup::to(sandbox.address);
    setup.state_dir = Some(state_dir);
    // However late this test runs.
    setup.top += "usage: { retention: { calls: 3600d } }\n";
    let gateway = setup.start();
    let calls_of = |provider: &str| {
        let rows = rows(&gateway, "by=provider,entry");
        let row = rows
            .iter()
            .find(|row| row["provider"] == provider && row["entry"] == "");
        row.map(|row| ["requests", "input_tokens", "output_tokens", "cost_usd"].map(|member| row[member].clone()))
    };
    let recorded = until("the calls to be in the ledger", 10, || {
        calls_of("own").filter(|[requests, ..]| *requests == 3)
    });
    assert_eq!(recorded, [json!(3), json!(5_100), json!(300), json!("0.016920000")]);
    for provider in PROVIDERS {
        let first = reconciled(&gateway, folder.path(), provider, false);
        let differences = first["differences"].as_array().expect("differences");
        assert_eq!(
            (&first["agree"], differences.len()),
            (&json!(1), 1),
            "{provider}: {first}"
        );
        let one = &differences[0];
        assert_eq!(
            (&one["day"], &one["model"]),
            (&json!("2026-11-03"), &json!("b")),
            "{first}"
        );
        assert_eq!(one["counts"]["output_tokens"], 50, "{provider}: {first}");
        assert_eq!(one["cost_usd"], "0.000500000000", "{provider}: {first}");
        assert_eq!(one["causes"][0]["cause"], "bypassed", "{provider}: {first}");
        let tells_requests = matches!(provider, "openai" | "own");
        let requests = one["counts"].get("requests").and_then(Value::as_i64);
        assert_eq!(requests, tells_requests.then_some(1), "{provider}: {first}");
        assert_eq!(
            one["credential"],
            if provider == "own" { "KEY_TWO" } else { "" },
            "{first}"
        );

        let posted = reconciled(&gateway, folder.path(), provider, true);
        assert_eq!(posted["posted"], 1, "{provider}: {posted}");
        let second = reconciled(&gateway, folder.path(), provider, true);
        assert_eq!(
            (&second["agree"], &second["posted"]),
            (&json!(2), &json!(0)),
            "{provider}: {second}"
        );
        assert_eq!(
            second["theirs_cost_usd"], second["ours_cost_usd"],
            "{provider}: {second}"
        );
        // Never an edit: the calls are what they were, and the difference is a record beside them.
        assert_eq!(calls_of(provider).expect("calls")[0], 3, "{provider}");
        assert_eq!(calls_of(provider).expect("calls")[3], "0.016920000", "{provider}");
        let all = rows(&gateway, "by=provider,entry");
        let correction = all
            .iter()
            .find(|row| row["provider"] == provider && row["entry"] == "reconciled");
        let correction = correction.expect("a record of its own");
        assert_eq!(
            [&correction["output_tokens"], &correction["cost_usd"]],
            [&json!(50), &json!("0.000500000")],
            "{provider}"
        );
    }
}
