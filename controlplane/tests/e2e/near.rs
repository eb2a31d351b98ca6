//! Answers found by what was asked, as clients and operators meet them: over shards, dialects, purges, feedback, restarts and
//! shadow mode.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    harness::{
        Gateway, Sandbox, Setup,
        gateway::{provider_line, provider_with},
        http::Response,
        until,
    },
    meaning::copied,
};

const PATH: &str = "/v1/chat/completions";
const MODEL: &str = "kept/sandbox-small-tokens-8";
const ASKED: &str = "What is the capital of France?";
const REWORDED: &str = "Please tell me, what's the capital of France?";
const OTHER: &str = "What is the capital of Spain?";
/// What is kept only so that there is something to write.
const UNASKED: &str = "Which bird sings first in the morning?";

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
fn the_ledger_tells_answers_found_by_meaning_from_those_of_the_same_call() {
    let sandbox = Sandbox::start();
    let gateway = setup(&sandbox, "threshold: 0.5").start();
    assert_eq!(mark(&ask(&gateway, &[], ASKED).expect(200)), "miss");
    assert_eq!(mark(&ask(&gateway, &[], ASKED).expect(200)), "hit");
    let by_meaning = until("the answer is found by meaning", 10, || {
        let answer = only(&gateway, REWORDED);
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(mark(&by_meaning), "semantic-hit");
    let rows = until("all calls to be in the ledger", 10, || {
        let usage = gateway
            .control("GET", "/v1/usage?by=cache", &[], b"")
            .expect(200)
            .json();
        let rows = usage["rows"].as_array().cloned().unwrap_or_default();
        (rows.len() == 3).then_some(rows)
    });
    let told: Vec<_> = rows
        .iter()
        .map(|row| ["cache", "requests", "replayed", "output_tokens"].map(|name| row[name].clone()))
        .collect();
    let none_used = json!(0);
    assert_eq!(told[0], [json!(""), json!(1), json!(0), json!(8)]);
    assert_eq!(told[1], [json!("hit"), json!(1), json!(1), none_used.clone()]);
    assert_eq!(told[2], [json!("semantic-hit"), json!(1), json!(1), none_used]);
    let said = |format: &str| {
        let output = gateway.cli(&["usage", "--by", "cache,model", "--from", "1h", "--format", format]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let csv = said("csv");
    assert!(csv.starts_with("cache,model,requests,"), "{csv}");
    assert!(
        csv.contains("\nhit,kept/*,1,") && csv.contains("\nsemantic-hit,kept/*,1,"),
        "{csv}"
    );
    let focus = said("focus");
    assert!(focus.contains("semantic-hit"), "{focus}");
}

#[test]
fn a_rewording_is_answered_by_every_shard_until_it_is_judged_wrong_or_purged() {
    let sandbox = Sandbox::start();
    let mut setup = setup(&sandbox, "threshold: 0.5");
    let prices = ", prices: { models: { \"sandbox-*\": { input: \"2.00\", output: \"10.00\" } } }";
    setup.providers = provider_with("openai", "openai", sandbox.address, prices)
        + &provider_line("anthropic", "anthropic", sandbox.address);
    let gateway = setup.start();
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
    for name in ["saved_tokens", "saved_nano_usd", "saved_ms", "rejected_different"] {
        assert!(cache[name].as_u64() > Some(0), "{name}: {told}");
    }
    for name in ["tokens", "usd", "seconds"] {
        let saved = gateway.metric(&format!("tollgate_cache_saved_{name}_total"), &["cache=\"answers\""]);
        assert!(saved > 0.0, "{name}");
    }

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
    until("the other is found by meaning", 20, || {
        (only(&gateway, spain).status == 200).then_some(())
    });
    assert!(gateway.cli(&["cache", "purge", "--cache", "answers"]).status.success());
    only(&gateway, spain).expect(504);
    until("nothing is indexed", 20, || {
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
    until("it is indexed", 20, || {
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

/// A path and a body that ask this, whole or streamed.
fn in_dialect(dialect: &str, stream: bool, text: &str) -> (String, String) {
    let model = format!("kept-{dialect}");
    let turn = json!([{"role": "user", "content": text}]);
    let (path, mut body) = match dialect {
        "gemini" => {
            let verb = if stream {
                "streamGenerateContent?alt=sse"
            } else {
                "generateContent"
            };
            let body = json!({"contents": [{"role": "user", "parts": [{"text": text}]}]});
            return (format!("/v1beta/models/{model}:{verb}"), body.to_string());
        }
        "bedrock" => {
            let verb = if stream { "converse-stream" } else { "converse" };
            let body = json!({"messages": [{"role": "user", "content": [{"text": text}]}]});
            return (format!("/model/{model}/{verb}"), body.to_string());
        }
        "anthropic" => ("/v1/messages", json!({"max_tokens": 99, "messages": turn})),
        "openai-responses" => ("/v1/responses", json!({"input": turn})),
        "cohere" => ("/v2/chat", json!({"messages": turn})),
        _ => (PATH, json!({"messages": turn})),
    };
    body["model"] = json!(model);
    body["stream"] = json!(stream);
    (path.to_owned(), body.to_string())
}

#[test]
fn a_rewording_is_answered_in_every_dialect_whole_and_streamed() {
    const DIALECTS: [&str; 6] = ["openai", "openai-responses", "anthropic", "gemini", "cohere", "bedrock"];
    let sandbox = Sandbox::start();
    let mut setup = setup(&sandbox, "threshold: 0.5");
    for dialect in DIALECTS {
        if !["openai", "anthropic"].contains(&dialect) {
            setup.providers += &provider_line(dialect, dialect, sandbox.address);
        }
        setup.models += &format!(
            "  kept-{dialect}: {{ cache: answers, targets: [ {{ provider: {dialect}, model: sandbox-tokens-12 }} ] }}\n"
        );
    }
    let gateway = setup.start();
    for (number, dialect) in DIALECTS.into_iter().enumerate() {
        let post = |wish: &str, stream: bool, text: &str| {
            let (path, body) = in_dialect(dialect, stream, text);
            gateway.post(&path, &[("x-tollgate-cache", wish)], &body)
        };
        let first = post("refresh", false, ASKED).expect(200);
        until("the answer is found by meaning", 10, || {
            (post("only", false, REWORDED).status == 200).then_some(())
        });
        let again = post("only", false, REWORDED).expect(200);
        assert_eq!(
            (mark(&again), again.text()),
            ("semantic-hit", first.text()),
            "{dialect}"
        );
        let streamed = post("only", true, REWORDED).expect(200);
        assert_eq!(mark(&streamed), "semantic-hit", "{dialect}");
        assert_ne!(
            streamed.header("content-type"),
            first.header("content-type"),
            "{dialect}"
        );
        assert!(streamed.body.len() > first.body.len() / 4, "{dialect}");
        // No dialect's answer is another's, though the words are the same.
        assert_eq!(sandbox.arrivals().len(), number + 1, "{dialect}");
    }
}

#[test]
fn a_rewording_is_answered_after_a_kill_where_the_cache_has_a_snapshot_unless_it_was_judged_wrong() {
    let sandbox = Sandbox::start();
    let mut setup = setup(&sandbox, "threshold: 0.5");
    setup.top = setup.top.replace("exact: {}", "exact: {}, snapshot: { every: 1s }");
    let gateway = setup.start();
    let written = || gateway.metric("tollgate_cache_snapshots_total", &["result=\"written\""]);
    let killed = |times: usize, judged_wrong: f64| {
        // Of two that end from now on, the second has all that is kept by now; none is written where nothing came since.
        for _ in 0..2 {
            let before = written();
            ask(&gateway, &[("x-tollgate-cache", "refresh")], UNASKED).expect(200);
            until("a snapshot", 20, || (written() > before).then_some(()));
        }
        gateway.kill_dataplane();
        gateway.await_ready();
        let answers = until("the snapshot is read", 20, || {
            let said = gateway.process.output();
            let told = said.lines().filter(|line| line.contains("cache_loaded")).nth(times)?;
            let (_, rest) = told.split_once("begins with ")?;
            rest.split(' ').next()?.parse::<f64>().ok()
        });
        until("it is indexed", 20, || {
            let indexed = gateway.metric("tollgate_cache_semantic_entries", &[]);
            (indexed == answers - judged_wrong).then_some(())
        });
    };
    ask(&gateway, &[], ASKED).expect(200);
    killed(0, 0.0);
    let again = only(&gateway, REWORDED).expect(200);
    assert_eq!(mark(&again), "semantic-hit");
    let id = again.header("x-request-id").expect("an id");
    let spain = "Please tell me, what's the capital of Spain?";
    feedback(&gateway, id, "wrong").expect(200);
    ask(&gateway, &[], OTHER).expect(200);
    killed(1, 1.0);
    only(&gateway, REWORDED).expect(504);
    assert_eq!(mark(&only(&gateway, ASKED).expect(200)), "hit");
    assert_eq!(mark(&only(&gateway, spain).expect(200)), "semantic-hit");
    let asked = sandbox.arrivals();
    let unasked = |arrival: &&Value| arrival["body"].as_str().is_some_and(|body| body.contains(UNASKED));
    assert_eq!((asked.len(), asked.iter().filter(unasked).count()), (2 + 4, 4));
}

#[test]
fn without_a_model_calls_are_answered_and_what_is_kept_is_found_by_its_own_words() {
    let sandbox = Sandbox::start();
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dataplane/vector/model");
    let own = copied(&shipped, folder.path().join("own"));
    let mut setup = setup(&sandbox, "threshold: 0.5");
    setup.top += &format!("embedding: {{ model: \"file:{}\" }}\n", own.display());
    let gateway = setup.start();
    ask(&gateway, &[], ASKED).expect(200);
    until("the answer is found by meaning", 20, || {
        (only(&gateway, REWORDED).status == 200).then_some(())
    });
    fs::remove_file(own.join("tokenizer.json")).expect("removed");
    gateway.kill_dataplane();
    gateway.await_ready();
    assert!(gateway.process.output().contains("meaning_unavailable"));
    assert_eq!(mark(&ask(&gateway, &[], ASKED).expect(200)), "miss");
    assert_eq!(mark(&ask(&gateway, &[], ASKED).expect(200)), "hit");
    assert_eq!(only(&gateway, REWORDED).expect(504).error_code(), "cache_miss");
    assert_eq!(mark(&ask(&gateway, &[], REWORDED).expect(200)), "miss");
    fs::copy(shipped.join("tokenizer.json"), own.join("tokenizer.json.new")).expect("copied");
    fs::rename(own.join("tokenizer.json.new"), own.join("tokenizer.json")).expect("renamed");
    until("the repaired model to be used", 20, || {
        ask(&gateway, &[("x-tollgate-cache", "refresh")], ASKED).expect(200);
        let reworded = "Could you tell me what the capital of France is?";
        (only(&gateway, reworded).status == 200).then_some(())
    });
}

fn converse(gateway: &Gateway, headers: &[(&str, &str)], asked: &str, last: &str) -> Response {
    let body = json!({"model": MODEL, "messages": [
        {"role": "system", "content": "You mend bicycles."},
        {"role": "user", "content": asked},
        {"role": "assistant", "content": "With a patch, two levers and a pump."},
        {"role": "user", "content": last},
    ]});
    gateway.post(PATH, headers, &body.to_string())
}

#[test]
fn a_history_in_other_words_is_answered_and_one_with_another_number_is_not() {
    const MENDS: &str = "How do I mend a flat tyre in 20 minutes?";
    const MENDS_REWORDED: &str = "How do I mend a flat tyre in twenty minutes?";
    const ELSE: &str = "How do I mend a flat tyre in 30 minutes?";
    const TOOLS: &str = "Which tools do I need?";
    let sandbox = Sandbox::start();
    let mut setup = setup(&sandbox, "history: similar, history_threshold: 0.5");
    setup.keys = "  tester: { secret: env:TOLLGATE_TEST_KEY, explain: true }\n".to_owned();
    let gateway = setup.start();
    let only = [("x-tollgate-cache", "only")];
    let first = converse(&gateway, &[], MENDS, TOOLS).expect(200);
    assert_eq!(mark(&first), "miss");
    until("the answer is found by meaning", 10, || {
        (converse(&gateway, &only, MENDS_REWORDED, TOOLS).status == 200).then_some(())
    });
    let again = converse(&gateway, &only, MENDS_REWORDED, "please, which tools do I need").expect(200);
    assert_eq!((mark(&again), again.text()), ("semantic-hit", first.text()));
    converse(&gateway, &only, ELSE, TOOLS).expect(504);
    assert_eq!(sandbox.arrivals().len(), 1);
    let other = converse(&gateway, &[("x-tollgate-explain", "1")], ELSE, TOOLS).expect(200);
    let told = other.header("x-tollgate-explain").unwrap_or_default();
    assert!(
        told.contains("a history that differs in number, in text 1 of it"),
        "{told}"
    );
}
