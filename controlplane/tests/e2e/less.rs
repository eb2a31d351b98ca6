//! Less to send, with real processes: guards that refuse prompts and do not tell answers, what they count, that no cache goes round
//! them; and prompts that reach the provider shorter than they came.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{
    Gateway, Sandbox, Setup,
    gateway::provider_with,
    http::Response,
    process::{Signal, signal},
    sandbox, until,
};

const LAYOFFS: &str =
    "kind: topics, mode: enforce, deny: { layoffs: [ \"who will be laid off\", \"severance plans\" ] }";
/// What the sandbox speaks of.
const NATURE: &str = "kind: topics, deny: { nature: [ \"rain river forest meadow lake stone valley\", \
    \"amber island shore spring garden maple willow\", \"quiet morning mist ocean harbor winter pine\" ] }, threshold: 0.3, on: [ response ]";

fn setup(sandbox: &Sandbox, guards: &str, model: &str) -> Setup {
    let mut setup = Setup::to(sandbox.address);
    setup.top += &format!("guards: {{ {guards} }}\ncaches: {{ answers: {{ exact: {{}} }} }}\n");
    setup.models += &format!(
        "  guarded: {{ {model} retry: {{ attempts: 1 }}, targets: [ {{ provider: openai, model: sandbox-small-tokens-60 }} ] }}\n"
    );
    setup
}

fn chat(prompt: &str, more: Value) -> String {
    let mut body = json!({ "model": "guarded", "messages": [ { "role": "user", "content": prompt } ] });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body.to_string()
}

fn ask(gateway: &Gateway, prompt: &str, more: Value) -> Response {
    gateway.post("/v1/chat/completions", &[], &chat(prompt, more))
}

fn found(gateway: &Gateway, entity: &str, action: &str) -> f64 {
    let (entity, action) = (format!("entity=\"{entity}\""), format!("action=\"{action}\""));
    gateway.metric("tollgate_guard_findings_total", &["guard=\"hush\"", &entity, &action])
}

/// What `tollgate explain` says of a stage.
#[track_caller]
fn explained(gateway: &Gateway, body: &str, stage: &str) -> Value {
    let file = gateway.folder().join("body.json");
    fs::write(&file, body).expect("written");
    let file = file.display().to_string();
    let output = gateway.cli(&[
        "--output", "json", "explain", "--model", "guarded", "--key", "tester", "--file", &file,
    ]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let stages = told["stages"].as_array().expect("stages");
    let found = stages.iter().find(|known| known["stage"] == stage);
    found.unwrap_or_else(|| panic!("{told}")).clone()
}

#[test]
fn a_prompt_on_a_denied_topic_reaches_no_provider() {
    let sandbox = Sandbox::start();
    let gateway = setup(
        &sandbox,
        &format!("hush: {{ {LAYOFFS}, on: [ request ] }}"),
        "guards: [ hush ],",
    )
    .start();
    const PROMPT: &str = "It was a fine week. Who is going to be laid off next? Thank you.";
    let refused = ask(&gateway, PROMPT, json!({})).expect(403);
    assert_eq!(refused.error_code(), "blocked_by_guard");
    let said = refused.text();
    assert!(
        said.contains("'hush'") && said.contains("layoffs") && !said.contains("next"),
        "{said}"
    );
    let messages = chat(PROMPT, json!({ "max_tokens": 9, "stream": true }));
    let refused = gateway.post("/v1/messages", &[], &messages).expect(403);
    assert!(refused.text().contains("permission_error"), "{}", refused.text());
    assert!(sandbox.arrivals().is_empty());
    assert_eq!(found(&gateway, "layoffs", "block"), 2.0);
    let rejected = ["reason=\"blocked_by_guard\""];
    assert_eq!(gateway.metric("tollgate_rejected_requests_total", &rejected), 2.0);

    ask(&gateway, "A recipe for pancakes, please.", json!({})).expect(200);
    assert_eq!(sandbox.arrivals().len(), 1);
    let told = explained(&gateway, &chat(PROMPT, json!({})), "guard");
    assert!(
        told["decision"].as_str().is_some_and(|said| said.contains("403")),
        "{told}"
    );
    let told = explained(&gateway, &chat("A recipe, please.", json!({})), "guard");
    assert!(
        told["why"]
            .as_str()
            .is_some_and(|why| why.contains("the nearest topic is 'layoffs'")),
        "{told}"
    );

    // From the next call on it only counts.
    gateway
        .control("PUT", "/v1/config/guards/hush/mode", &[], br#""shadow""#)
        .expect(200);
    ask(&gateway, PROMPT, json!({})).expect(200);
    assert_eq!(found(&gateway, "layoffs", "shadow"), 1.0);
    let told = explained(&gateway, &chat(PROMPT, json!({})), "guard");
    assert!(
        told["why"]
            .as_str()
            .is_some_and(|why| why.contains("finds the denied topic 'layoffs'")),
        "{told}"
    );
}

#[test]
fn an_answer_on_a_denied_topic_is_not_told_whole_nor_to_its_end() {
    let sandbox = Sandbox::start();
    let model = "cache: answers, guards: [],";
    let gateway = setup(&sandbox, &format!("hush: {{ {NATURE} }}"), model).start();
    let stream = || json!({ "stream": true });
    let whole = ask(&gateway, "Hello there.", json!({})).expect(200);
    let streamed = ask(&gateway, "Good day.", stream()).expect(200).text();
    let full = streamed.matches("\"content\":").count();
    assert!(full > 20, "{streamed}");
    let again = ask(&gateway, "Hello there.", json!({})).expect(200);
    assert_eq!(again.header("x-tollgate-cache"), Some("hit"));
    assert_eq!(again.text(), whole.text());

    // With the guard nothing that was kept before is given.
    gateway
        .control("PUT", "/v1/config/models/guarded/guards", &[], br#"["hush"]"#)
        .expect(200);
    for _ in 0..2 {
        let refused = ask(&gateway, "Hello there.", json!({})).expect(403);
        assert_eq!(refused.error_code(), "blocked_by_guard");
        assert!(refused.text().contains("nature"), "{}", refused.text());
    }
    assert_eq!(sandbox.arrivals().len(), 4, "and nothing that was not told is kept");
    for _ in 0..2 {
        let cut = ask(&gateway, "Good day.", stream()).expect(200).text();
        assert!(cut.matches("\"content\":").count() < full, "{cut}");
        assert!(cut.contains("\"finish_reason\":\"content_filter\""), "{cut}");
        assert!(
            cut.contains(": tollgate-guard: 'hush' ended this answer: nature"),
            "{cut}"
        );
        assert!(cut.ends_with("data: [DONE]\n\n"), "{cut}");
    }
    let messages = chat("Good day.", json!({ "max_tokens": 60, "stream": true }));
    let cut = gateway.post("/v1/messages", &[], &messages).expect(200).text();
    assert!(
        cut.contains("\"stop_reason\":\"refusal\"") && cut.contains("event: message_stop"),
        "{cut}"
    );
    assert_eq!(found(&gateway, "nature", "block"), 5.0);
}

#[test]
fn a_prompt_reaches_its_provider_shorter_and_in_shadow_as_it_came() {
    let sandbox = Sandbox::start();
    let compress = "compress: { mode: shadow, whitespace: true, json: true, duplicates: true },";
    let gateway = setup(&sandbox, &format!("hush: {{ {LAYOFFS} }}"), compress).start();
    let passage =
        "Each pump has a valve, and each valve has a number that is written on its lid in white paint. ".repeat(3);
    let prompt = format!(
        "Look   at   this:\n\n\n\n{{ \"pumps\" : [ 1, 2, 3 ],\n    \"valves\" : [ 4, 5, 6 ] }}\n\n{passage}\n\n{passage}"
    );
    let sent = |dialect: &str| {
        ask_in(&gateway, dialect, &prompt);
        let arrival = sandbox.last_arrival();
        let body: Value = serde_json::from_str(arrival["body"].as_str().expect("a body")).expect("JSON");
        assert_eq!(
            sandbox::header(&arrival, "content-length"),
            Some(arrival["body"].as_str().map_or(0, str::len).to_string())
        );
        body["messages"][0]["content"].as_str().expect("a text").to_owned()
    };
    assert_eq!(sent("openai"), prompt);
    let tokens = |mode: &str, tokens: &str| {
        let (mode, tokens) = (format!("mode=\"{mode}\""), format!("tokens=\"{tokens}\""));
        gateway.metric(
            "tollgate_compressed_tokens_total",
            &["model=\"guarded\"", &mode, &tokens],
        )
    };
    let saved = tokens("shadow", "saved");
    assert!(saved > 20.0 && tokens("shadow", "kept") > 20.0);
    let told = explained(&gateway, &chat(&prompt, json!({})), "compress");
    assert!(
        told["decision"].as_str().is_some_and(|said| said.contains("would be")),
        "{told}"
    );

    gateway
        .control("PUT", "/v1/config/models/guarded/compress/mode", &[], br#""on""#)
        .expect(200);
    for dialect in ["openai", "anthropic"] {
        let sent = sent(dialect);
        assert!(
            sent.starts_with("Look at this:\n\n{\"pumps\":[1,2,3],\"valves\":[4,5,6]}\n\nEach pump"),
            "{sent}"
        );
        assert!(
            sent.trim_end()
                .ends_with("[Repeated from above: Each pump has a valve, and each valve ha …]"),
            "{sent}"
        );
    }
    assert_eq!(tokens("on", "saved"), 2.0 * saved);
    let told = explained(&gateway, &chat(&prompt, json!({})), "compress");
    assert!(
        told["why"]
            .as_str()
            .is_some_and(|why| why.contains("whitespace, duplicates, json")),
        "{told}"
    );
}

/// So many turns of the user with as many answers before the last, of some 2 KiB each.
fn conversation(turns: usize) -> Value {
    let mut all = Vec::new();
    for number in 1..=turns {
        let text = format!("Question {number} is about a pump with a valve on it. ").repeat(40);
        all.push(json!({ "role": "user", "content": text }));
        if number < turns {
            all.push(json!({ "role": "assistant", "content": format!("Answer {number}.") }));
        }
    }
    Value::Array(all)
}

#[test]
fn a_long_conversation_is_summed_up_once_at_its_caller_s_charge() {
    let (sandbox, cheap) = (Sandbox::start(), Sandbox::start());
    let compress = "compress: { summarize: { model: cheap, after: 4KiB, keep_turns: 1 } },";
    let mut setup = setup(&sandbox, &format!("hush: {{ {LAYOFFS} }}"), compress);
    setup.providers += &provider_with("cheap", "anthropic", cheap.address, "");
    setup.models += "  cheap: { targets: [ { provider: cheap, model: sandbox-small-tokens-12 } ] }\n";
    let gateway = setup.start();
    let say = |turns: usize| {
        let body = json!({ "model": "guarded", "messages": conversation(turns) });
        gateway.post("/v1/chat/completions", &[], &body.to_string()).expect(200);
        let arrival = sandbox.last_arrival();
        let body: Value = serde_json::from_str(arrival["body"].as_str().expect("a body")).expect("JSON");
        body["messages"].as_array().expect("turns").clone()
    };
    assert_eq!(say(2).len(), 3, "what is old is little");
    let sent = say(4);
    let summary = sent[0]["content"].as_str().expect("a text");
    assert!(
        summary.starts_with("[What was said so far") && sent.len() == 3,
        "{sent:?}"
    );
    assert_eq!(sent[2], conversation(4)[6]);
    // Another connection, perhaps another shard: it is there, and what came since stays as it is.
    let again = say(5);
    assert_eq!((again.len(), &again[0]), (5, &sent[0]));
    assert_eq!(cheap.arrivals().len(), 1);
    let asked = cheap.last_arrival();
    assert!(asked["body"].to_string().contains("Question 3") && !asked["body"].to_string().contains("Question 4"));

    // It never comes: the call goes on.
    signal(cheap.pid(), Signal::KILL);
    assert_eq!(say(9).len(), again.len() + 8);
    let summaries = |model: &str, outcome: &str| {
        let (model, outcome) = (format!("model=\"{model}\""), format!("outcome=\"{outcome}\""));
        gateway.metric("tollgate_summaries_total", &[&model, &outcome])
    };
    assert_eq!((summaries("guarded", "used"), summaries("cheap", "made")), (3.0, 1.0));
    until("its failure is counted", 10, || {
        (summaries("cheap", "failed") == 1.0).then_some(())
    });
    // The failure is no client's refusal, and a summary no client's request.
    let counted = |name: &str, label: &str| gateway.metric(name, &[label]);
    assert_eq!(counted("tollgate_requests_total", "model=\"cheap\""), 0.0);
    assert_eq!(counted("tollgate_rejected_requests_total", ""), 0.0);
    let body = json!({ "model": "guarded", "messages": conversation(9) }).to_string();
    let told = explained(&gateway, &body, "compress");
    let decision = told["decision"].as_str().unwrap_or_default();
    assert!(decision.starts_with("summaries are not looked for here"), "{told}");
    // As the conversation goes on nobody is asked again so soon.
    assert_eq!(say(10).len(), again.len() + 10);
    assert_eq!(
        (summaries("cheap", "failed"), summaries("guarded", "missed")),
        (1.0, 0.0)
    );
    until("the summary is in the ledger, at the caller's charge", 10, || {
        let answer = gateway
            .control("GET", "/v1/usage?by=surface,model,key", &[], b"")
            .expect(200);
        let rows = answer.json()["rows"].as_array().expect("rows").clone();
        let row = rows
            .iter()
            .find(|row| row["surface"] == "summary" && row["model"] == "cheap")?;
        (row["key"] == "tester" && row["requests"].as_u64() == Some(1) && row["output_tokens"].as_u64() > Some(0))
            .then_some(())
    });
}

#[test]
fn answers_to_the_shorter_prompt_are_compared_and_no_client_waits() {
    let sandbox = Sandbox::start();
    let compress = "compress: { mode: shadow, whitespace: true, compare: 100% },";
    let gateway = setup(&sandbox, &format!("hush: {{ {LAYOFFS} }}"), compress).start();
    for stream in [false, true] {
        ask(&gateway, "Look   at   this   pump.", json!({ "stream": stream })).expect(200);
    }
    let compared = || {
        ["same", "alike", "other"]
            .map(|agreement| {
                let agreement = format!("agreement=\"{agreement}\"");
                gateway.metric("tollgate_compared_answers_total", &["model=\"guarded\"", &agreement])
            })
            .iter()
            .sum::<f64>()
    };
    until("both were compared", 10, || (compared() == 2.0).then_some(()));
    let prompts: Vec<String> = sandbox
        .arrivals()
        .iter()
        .map(|arrival| arrival["body"].to_string())
        .collect();
    let short = prompts.iter().filter(|body| body.contains("Look at this pump."));
    assert_eq!((prompts.len(), short.count()), (4, 2), "{prompts:?}");
    // Not the client's: two calls are two requests.
    assert_eq!(gateway.metric("tollgate_requests_total", &["model=\"guarded\""]), 2.0);
}

/// Says it in one of two dialects, the second of which the provider does not speak.
fn ask_in(gateway: &Gateway, dialect: &str, prompt: &str) {
    let path = match dialect {
        "openai" => "/v1/chat/completions",
        _ => "/v1/messages",
    };
    gateway
        .post(path, &[], &chat(prompt, json!({ "max_tokens": 9 })))
        .expect(200);
}
