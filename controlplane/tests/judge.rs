//! `tollgate cache judge`, `tollgate route judge` and `tollgate tune` over the committed pairs and graded prompts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/data").join(name);
    path.display().to_string()
}

fn tollgate(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(arguments).output().expect("tollgate runs")
}

#[track_caller]
fn told(arguments: &[&str]) -> Value {
    let output = tollgate(&[&["--output", "json"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let output = tollgate(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn pairs_are_judged_by_the_verifier_and_not_by_similarity_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("pairs.html").display().to_string();
    let told = told(&["cache", "judge", "--pairs", &data("pairs.jsonl"), "--html", &page]);
    assert_eq!((&told["pairs"], &told["threshold"]), (&2760.into(), &0.5.into()));
    assert_eq!(told["served_different"], 0, "{told}");
    assert!(number(&told["served_same"]) > 0.6 * number(&told["same"]), "{told}");
    assert_eq!(told["by_kind"]["number"]["pairs"], 90, "{told}");
    let alone = &told["curve"][0]["similarity_alone"];
    assert!(number(&alone["served_different"]) > 1_000.0, "{told}");
    let page = fs::read_to_string(page).expect("a page");
    assert!(
        page.contains("<svg") && page.contains("false hits") && !page.contains("<script"),
        "{page}"
    );

    let strict = tollgate(&["cache", "judge", "--pairs", &data("pairs.jsonl"), "--threshold", "0.95"]);
    let said = String::from_utf8_lossy(&strict.stdout).into_owned();
    assert!(said.contains("at 0.95: ") && said.contains("reworded"), "{said}");
}

#[test]
fn a_pair_that_says_how_near_it_is_is_judged_by_that() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pairs.jsonl");
    let pair = |similarity: &str| {
        let (a, b) = (
            "what is the capital of France?",
            "please, what is the capital of France?",
        );
        format!("{{\"a\": \"{a}\", \"b\": \"{b}\", \"same\": true, \"similarity\": {similarity}}}\n")
    };
    fs::write(&file, pair("0.49") + &pair("0.51")).expect("written");
    let pairs = file.display().to_string();
    let told = told(&["cache", "judge", "--pairs", &pairs]);
    assert_eq!((&told["same"], &told["served_same"]), (&2.into(), &1.into()), "{told}");

    fs::write(&file, pair("0.5") + &pair("1.5")).expect("written");
    let said = refused(&["cache", "judge", "--pairs", &pairs]);
    assert!(said.contains("pairs.jsonl:2: `1.5` is no similarity"), "{said}");
}

#[test]
fn graded_prompts_show_what_the_router_is_worth() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("graded.html").display().to_string();
    let told = told(&["route", "judge", "--graded", &data("graded.jsonl"), "--html", &page]);
    let (strong, weak) = (
        number(&told["strong_only"]["quality"]),
        number(&told["weak_only"]["quality"]),
    );
    assert!((strong - 0.820).abs() < 0.001 && (weak - 0.686).abs() < 0.001, "{told}");
    let curve = told["curve"].as_array().expect("a curve");
    assert_eq!(number(&curve[0]["quality"]), weak);
    assert_eq!(number(&curve[curve.len() - 1]["quality"]), strong);
    // Chance recovers half of the gap.
    let at_half = &told["recovered_at_half"];
    assert!(
        number(&at_half["share"]) > 0.65 && number(&at_half["low"]) > 0.55,
        "{at_half}"
    );
    assert!(fs::read_to_string(page).expect("a page").contains("by chance"));
}

#[test]
fn weights_are_made_measured_and_written_only_where_that_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    // Other words than the committed prompts have, all of which are of the part that is held out.
    let renamed = |line: &str| line.replacen("\"prompt\": \"", "\"prompt\": \"Question: ", 1);
    let text = fs::read_to_string(data("graded.jsonl")).expect("data");
    let some: Vec<String> = text.lines().take(300).map(renamed).collect();
    fs::write(path("records.jsonl"), some.join("\n")).expect("written");
    let (from, out) = (
        path("records.jsonl").display().to_string(),
        path("own.json").display().to_string(),
    );
    let told = told(&["tune", "--from", &from, "--out", &out]);
    assert_eq!(number(&told["prompts"]) + number(&told["held_out"]), 300.0, "{told}");
    assert!(
        number(&told["held_out"]) > 30.0 && told["in_use"]["curve"].is_array(),
        "{told}"
    );
    let judged = tollgate(&["route", "judge", "--graded", &from, "--weights", &out]);
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    let said = refused(&["tune", "--from", &data("graded.jsonl")]);
    assert!(
        said.contains("at least 100 prompts"),
        "nothing to learn from is held out: {said}"
    );

    // Weights of other vectors are refused, with what would be right.
    let text = fs::read_to_string(&out).expect("weights");
    let embedding = serde_json::from_str::<Value>(&text).expect("JSON")["embedding"]
        .as_str()
        .expect("a name")
        .to_owned();
    fs::write(&out, text.replace(&embedding, "0123456789abcdef")).expect("written");
    let said = refused(&["route", "judge", "--graded", &from, "--weights", &out]);
    assert!(said.contains("made with another embedding model"), "{said}");
}

#[test]
fn a_wrong_file_is_named_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("graded.jsonl").display().to_string();
    fs::write(
        &file,
        "{\"prompt\":\"a\",\"strong_ok\":true,\"weak_ok\":false}\n{\"prompt\":\"b\"}\n",
    )
    .expect("written");
    let said = refused(&["route", "judge", "--graded", &file]);
    assert!(
        said.contains("graded.jsonl:2: ") && said.contains("strong_ok"),
        "{said}"
    );
    let said = refused(&["tune", "--from", &file]);
    assert!(said.contains("graded.jsonl:2: "), "{said}");
    let said = refused(&["cache", "judge", "--pairs", "/nowhere.jsonl"]);
    assert!(said.contains("/nowhere.jsonl"), "{said}");
    let said = refused(&["cache", "judge", "--pairs", &file, "--embedding", "/nowhere"]);
    assert!(said.contains("a line is {\"a\""), "{said}");
    fs::write(&file, "{\"a\":\"x\",\"b\":\"x\",\"same\":true}\n").expect("written");
    let said = refused(&["cache", "judge", "--pairs", &file, "--embedding", "/nowhere"]);
    assert!(said.contains("/nowhere/model.safetensors"), "{said}");
}

#[test]
fn a_document_is_checked_with_the_weights_it_names_where_they_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let document = |weights: &str| {
        let text = format!(
            "version: 1\nembedding: {{ complexity: \"file:{}\" }}\nproviders:\n  p: {{ kind: openai, credential: env:NOBODY }}\n\
             models:\n  auto: {{ strategy: complexity, targets: [ {{ provider: p, model: a, tier: simple }}, \
             {{ provider: p, model: b, tier: hard }} ] }}\n",
            path(weights)
        );
        fs::write(path("tollgate.yaml"), text).expect("written");
        path("tollgate.yaml")
    };
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dataplane/vector/model/complexity.json");
    let shipped = fs::read_to_string(shipped).expect("the shipped weights");
    fs::write(path("right.json"), &shipped).expect("written");
    fs::write(
        path("old.json"),
        shipped.replace("tollgate-complexity-2", "tollgate-complexity-1"),
    )
    .expect("written");
    for there in ["right.json", "elsewhere.json"] {
        let checked = tollgate(&["check", &document(there)]);
        assert!(
            checked.status.success(),
            "{there}: {}",
            String::from_utf8_lossy(&checked.stderr)
        );
    }
    let said = refused(&["check", &document("old.json")]);
    assert!(
        said.contains("tollgate.yaml:2:") && said.contains("/embedding/complexity"),
        "{said}"
    );
}
