//! Answers found by what was asked, as clients and operators meet them: over shards, purges, feedback and shadow mode.

use serde_json::{Value, json};

use crate::harness::{Gateway, Sandbox, Setup, http::Response, until};

const PATH: &str = "/v1/chat/completions";
const MODEL: &str = "kept/sandbox-small-tokens-8";
const ASKED: &str = "What is the capital of France?";
const REWORDED: &str = "Please tell me, what's the capital of France?";
const OTHER: &str = "What is the capital of Spain?";

fn setup(sandbox: &Sandbox, semantic: &str) -> Setup {
    let mut setup = Setup::to(sandbox.address);
    setup.top += &format!("caches: {{ answers: {{ exact: {{}}, semantic: {{ {semantic} }} }} }}\n");
    setup.models +=
        "  \"kept/*\": { cache: answers, targets: [ { provider: openai, model: \"*\" } ], retry: { attempts: 1 } }\n";
    setup
}

fn ask(gateway: &Gateway, headers: &[(&str, &str)], text: &str) -> Response {
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": text}]});
    gateway.post(PATH, headers, &body.to_string())
}

fn mark(answer: &Response) -> &str {
    answer.header("x-tollgate-cache").unwrap_or_default()
}

/// Whatever the cache has, and nothing asked of a provider.
fn only(gateway: &Gateway, text: &str) -> Response {
    ask(gateway, &[("x-tollgate-cache", "only")], text)
}

fn feedback(gateway: &Gateway, request_id: &str, verdict: &str) -> Response {
    let body = json!({"request_id": request_id, "verdict": verdict}).to_string();
    gateway.control("POST", "/v1/feedback", &[], body.as_bytes())
}

fn stats(gateway: &Gateway) -> Value {
    let told = gateway.cli(&["cache", "stats", "--output", "json"]);
    assert!(told.status.success());
    serde_json::from_slice(&told.stdout).expect("JSON")
}

#[test]
fn a_rewording_is_answered_by_every_shard_until_it_is_judged_wrong_or_purged() {
    let sandbox = Sandbox::start();
    let gateway = setup(&sandbox, "threshold: 0.5").start();
    let first = ask(&gateway, &[], ASKED).expect(200);
    assert_eq!(mark(&first), "miss");
    // The writer is no part of the call.
    until("the answer is found by meaning", 10, || {
        (only(&gateway, REWORDED).status == 200).then_some(())
    });
    // Each on a connection of its own: more than there are shards.
    for _ in 0..12 {
        let again = only(&gateway, REWORDED).expect(200);
        assert_eq!((mark(&again), again.text()), ("semantic-hit", first.text()));
        assert!(again.header("age").is_some());
    }
    assert_eq!(only(&gateway, OTHER).expect(504).error_code(), "cache_miss");
    assert_eq!(sandbox.arrivals().len(), 1);
    let lookups = gateway.metric("tollgate_cache_lookups_total", &["result=\"semantic-hit\""]);
    assert!(lookups >= 13.0, "{lookups}");
    assert_eq!(
        gateway.metric("tollgate_requests_total", &["cache=\"semantic-hit\""]),
        lookups
    );
    // Each is a request in the ledger, beside the one that was asked of the provider.
    until("all calls to be in the ledger", 10, || {
        let usage = gateway
            .control("GET", "/v1/usage?by=model", &[], b"")
            .expect(200)
            .json();
        let rows = usage["rows"].as_array()?;
        let row = rows.iter().find(|row| row["replayed"] == lookups as u64)?;
        (row["requests"] == lookups as u64 + 1).then_some(())
    });
    let told = stats(&gateway);
    let cache = &told["caches"][0];
    assert_eq!(
        (cache["semantic_hits"].as_f64(), &cache["semantic_entries"]),
        (Some(lookups), &json!(1)),
        "{told}"
    );
    assert!(cache["saved_tokens"].as_u64() > Some(0) && cache["rejected_different"].as_u64() > Some(0));

    let id = only(&gateway, REWORDED)
        .header("x-request-id")
        .expect("an id")
        .to_owned();
    assert!(
        feedback(&gateway, "nobody", "wrong")
            .expect(404)
            .text()
            .contains("no request 'nobody'")
    );
    feedback(&gateway, &id, "maybe").expect(400);
    assert_eq!(feedback(&gateway, &id, "wrong").expect(200).json()["cache"], "answers");
    only(&gateway, REWORDED).expect(504);
    assert_eq!(mark(&only(&gateway, ASKED)), "hit", "to its own question it is right");

    // It is asked anew, and what is kept then is purged.
    assert_eq!(mark(&ask(&gateway, &[], OTHER).expect(200)), "miss");
    let spain = "Please tell me, what's the capital of Spain?";
    until("the other is found by meaning", 5, || {
        (only(&gateway, spain).status == 200).then_some(())
    });
    assert!(gateway.cli(&["cache", "purge", "--cache", "answers"]).status.success());
    only(&gateway, spain).expect(504);
    until("nothing is indexed", 5, || {
        (gateway.metric("tollgate_cache_semantic_entries", &[]) == 0.0).then_some(())
    });
    let explain = json!({"key": "tester", "model": MODEL, "body": {"messages": [{"role": "user", "content": ASKED}]}});
    let told = gateway
        .control("POST", "/v1/explain", &[], explain.to_string().as_bytes())
        .expect(200)
        .text();
    assert!(told.contains("by meaning"), "{told}");
}

#[test]
fn shadow_mode_serves_nothing_and_tells_what_it_would_have_served() {
    let sandbox = Sandbox::start();
    let gateway = setup(&sandbox, "mode: shadow").start();
    assert_eq!(mark(&ask(&gateway, &[], ASKED).expect(200)), "miss");
    until("it is indexed", 5, || {
        (gateway.metric("tollgate_cache_semantic_entries", &[]) == 1.0).then_some(())
    });
    let compared = ask(&gateway, &[], REWORDED).expect(200);
    assert_eq!(mark(&compared), "miss");
    assert_eq!(sandbox.arrivals().len(), 2);
    let told = stats(&gateway);
    let cache = &told["caches"][0];
    let agreed = ["shadow_same", "shadow_alike", "shadow_other"].map(|name| cache[name].as_u64().unwrap_or(0));
    assert_eq!(
        (&cache["shadow_hits"], agreed.iter().sum::<u64>()),
        (&json!(1), 1),
        "{told}"
    );
    let record = &told["compared"][0];
    assert_eq!(record["request_id"].as_str(), compared.header("x-request-id"));
    assert_eq!(
        (&record["cache"], &record["model"]),
        (&json!("answers"), &json!(MODEL)),
        "{record}"
    );
    assert_eq!(
        gateway.metric("tollgate_cache_semantic_total", &["what=\"shadow_hit\""]),
        1.0
    );
}
