//! Routing by what prompts mean, with real processes: whose examples a prompt resembles, how hard it is, what a reload changes,
//! what is told of it, and that calls are answered when the embedding model is missing or broken.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::harness::{Gateway, Sandbox, Setup, gateway::provider_with, process::Signal, until};

const LAW: &str = "Could you please review this clause of our contract?";
const RHYME: &str = "What rhymes with orange?";
const SIMPLE: &str = "What is the capital of France?";
const HARD: &str = "A tank holds 240 liters. A pump fills 18 liters a minute and a leak loses 3 liters a minute. After 7 minutes \
    the leak doubles. How many minutes does it take to fill the tank?";
const MODELS: &str = "  desk: { strategy: semantic, targets: [ \
    { provider: law, model: sandbox-large, examples: [ \"review this contract clause\", \"is this legal\", \
    \"what does the law say about notice periods\" ] }, \
    { provider: talk, model: sandbox-small, default: true } ] }\n  \
  auto: { strategy: complexity, targets: [ { provider: talk, model: sandbox-small, tier: simple }, \
    { provider: law, model: sandbox-large, tier: hard } ] }\n";

fn setup(sandbox: &Sandbox) -> Setup {
    let mut setup = Setup::to(sandbox.address);
    let provider = |name| provider_with(name, "openai", sandbox.address, "");
    setup.providers = [provider("law"), provider("talk")].concat();
    setup.models = MODELS.to_owned();
    setup.keys = "  tester: { secret: env:TOLLGATE_TEST_KEY, explain: true }\n".to_owned();
    setup
}

fn body(model: &str, prompt: &str) -> String {
    json!({ "model": model, "messages": [ { "role": "user", "content": prompt } ] }).to_string()
}

#[track_caller]
fn asked(gateway: &Gateway, model: &str, prompt: &str) -> String {
    let answer = gateway
        .post("/v1/chat/completions", &[], &body(model, prompt))
        .expect(200);
    answer.header("x-tollgate-provider").expect("who answered").to_owned()
}

/// What `tollgate explain` says of the route.
#[track_caller]
fn explained(gateway: &Gateway, model: &str, prompt: &str) -> Value {
    let file = gateway.folder().join("body.json");
    fs::write(&file, body(model, prompt)).expect("written");
    let file = file.display().to_string();
    let output = gateway.cli(&[
        "--output", "json", "explain", "--model", model, "--key", "tester", "--file", &file,
    ]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let stages = told["stages"].as_array().expect("stages");
    stages
        .iter()
        .find(|stage| stage["stage"] == "route")
        .expect("a route")
        .clone()
}

#[test]
fn a_prompt_goes_where_its_likes_go_and_new_examples_change_that() {
    let sandbox = Sandbox::start();
    let gateway = setup(&sandbox).start();
    assert_eq!(asked(&gateway, "desk", LAW), "law");
    assert_eq!(asked(&gateway, "desk", RHYME), "talk");
    let seen = sandbox.arrivals()[0]["body"].as_str().unwrap_or_default().to_owned();
    assert!(seen.contains("\"model\":\"sandbox-large\""), "{seen}");
    // Whatever dialect it comes in, and however long the conversation before it.
    let messages = json!({ "model": "desk", "max_tokens": 9, "messages": [
        { "role": "user", "content": RHYME }, { "role": "assistant", "content": "Nothing does." },
        { "role": "user", "content": [ { "type": "text", "text": LAW } ] } ] });
    let answer = gateway.post("/v1/messages", &[], &messages.to_string()).expect(200);
    assert_eq!(answer.header("x-tollgate-provider"), Some("law"));

    let told = explained(&gateway, "desk", LAW);
    assert!(
        told["why"]
            .as_str()
            .is_some_and(|why| why.contains("resembles a target's examples by 0.")),
        "{told}"
    );
    let why = told["candidates"][0]["why"].as_str().unwrap_or_default();
    assert!(
        why.contains("number 1") && why.contains("`review this contract clause`"),
        "{told}"
    );
    let told = explained(&gateway, "desk", RHYME);
    let why = told["candidates"][1]["why"].as_str().unwrap_or_default();
    assert!(
        why.contains("it is the default, and no example is near enough"),
        "{told}"
    );
    let answer = gateway
        .post(
            "/v1/chat/completions",
            &[("x-tollgate-explain", "1")],
            &body("desk", LAW),
        )
        .expect(200);
    let header = answer.header("x-tollgate-explain").expect("reasons");
    assert!(header.contains("resemblance 0."), "{header}");

    let examples = br#"["what rhymes with a fruit", "find a rhyme for me", "write a poem"]"#;
    gateway
        .control("PUT", "/v1/config/models/desk/targets/0/examples", &[], examples)
        .expect(200);
    assert_eq!(asked(&gateway, "desk", LAW), "talk");
    assert_eq!(asked(&gateway, "desk", RHYME), "law");
}

#[test]
fn simple_prompts_go_to_the_cheap_model_and_hard_ones_to_the_other() {
    let sandbox = Sandbox::start();
    let gateway = setup(&sandbox).start();
    assert_eq!(asked(&gateway, "auto", SIMPLE), "talk");
    assert_eq!(asked(&gateway, "auto", HARD), "law");
    let told = explained(&gateway, "auto", HARD);
    assert!(
        told["why"].as_str().is_some_and(|why| why.contains("taken for hard")),
        "{told}"
    );
    for (share, by) in [("0%", "talk"), ("100%", "law")] {
        let value = json!(share).to_string();
        gateway
            .control("PUT", "/v1/config/models/auto/hard_share", &[], value.as_bytes())
            .expect(200);
        for prompt in [SIMPLE, HARD] {
            assert_eq!(asked(&gateway, "auto", prompt), by, "{share}");
        }
    }
}

/// The two files of a model, in a directory of their own.
pub fn copied(shipped: &Path, own: PathBuf) -> PathBuf {
    fs::create_dir(&own).expect("made");
    for name in ["model.safetensors", "tokenizer.json"] {
        fs::copy(shipped.join(name), own.join(name)).expect("copied");
    }
    own
}

#[test]
fn a_model_of_ones_own_is_checked_and_a_broken_one_stops_no_call() {
    let sandbox = Sandbox::start();
    let mut setup = setup(&sandbox);
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dataplane/vector/model");
    let own = copied(&shipped, folder.path().join("own"));
    setup.models = setup
        .models
        .lines()
        .take(1)
        .map(|line| line.to_owned() + "\n")
        .collect();
    setup.top += &format!("embedding: {{ model: \"file:{}\" }}\n", own.display());
    let mut gateway = setup.start();
    assert_eq!(asked(&gateway, "desk", LAW), "law");

    // A directory that is not there is refused, and what runs goes on.
    let missing = json!("file:/nowhere/model").to_string();
    let refused = gateway
        .control("PUT", "/v1/config/embedding/model", &[], missing.as_bytes())
        .expect(422);
    let said = refused.text();
    assert!(
        said.contains("/embedding/model") && said.contains("/nowhere/model/model.safetensors"),
        "{said}"
    );
    let wrong = copied(&shipped, folder.path().join("wrong"));
    fs::write(wrong.join("model.safetensors"), "no weights").expect("written");
    let value = json!(format!("file:{}", wrong.display())).to_string();
    let said = gateway
        .control("PUT", "/v1/config/embedding/model", &[], value.as_bytes())
        .expect(422)
        .text();
    assert!(said.contains("model.safetensors: the header"), "{said}");
    assert_eq!(asked(&gateway, "desk", LAW), "law");

    // It breaks while it is used: what was loaded goes on, until a data plane must load it.
    fs::write(own.join("model.safetensors"), "no weights").expect("written");
    gateway.kill_dataplane();
    gateway.await_ready();
    assert_eq!(
        asked(&gateway, "desk", LAW),
        "talk",
        "the default takes what cannot be judged"
    );
    let told = explained(&gateway, "desk", LAW);
    assert!(
        told["why"]
            .as_str()
            .is_some_and(|why| why.contains("no embedding model")),
        "{told}"
    );

    // So does the whole gateway that starts anew.
    crate::harness::process::signal(gateway.controlplane_pid(), Signal::TERM);
    assert_eq!(gateway.process.wait(20), 0);
    gateway.start_again();
    gateway.await_ready();
    assert_eq!(asked(&gateway, "desk", LAW), "talk");

    fs::copy(shipped.join("model.safetensors"), own.join("model.safetensors.new")).expect("copied");
    fs::rename(own.join("model.safetensors.new"), own.join("model.safetensors")).expect("renamed");
    until("the repaired model to be used", 20, || {
        (asked(&gateway, "desk", LAW) == "law").then_some(())
    });
}
