//! `tollgate prices`: the table, a model of it, a configuration's prices, LiteLLM's table compared and imported. No gateway
//! runs.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};
use tollgate_config::{check::check, parse::parse};

struct Said {
    code: Option<i32>,
    text: String,
    errors: String,
}

fn prices(folder: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let output = command.current_dir(folder).arg("prices").args(arguments).output();
    let output = output.expect("tollgate runs");
    Said {
        code: output.status.code(),
        text: String::from_utf8(output.stdout).expect("text"),
        errors: String::from_utf8(output.stderr).expect("text"),
    }
}

fn json_of(folder: &Path, arguments: &[&str]) -> Value {
    let said = prices(folder, &[arguments, &["--output", "json"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.text);
    serde_json::from_str(&said.text).expect("JSON")
}

fn here() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn the_table_is_listed_by_section_and_by_model() {
    let folder = here();
    let sections = json_of(folder.path(), &["list"]);
    assert_eq!(sections["date"], "2026-11-23");
    assert!(sections["sections"]["openai"]["chat"].as_u64() > Some(90));
    assert!(sections["sections"]["cohere"]["rerank"].as_u64() >= Some(3));
    let text = prices(folder.path(), &["list", "anthropic"]).text;
    let line = text.lines().find(|line| line.starts_with("claude-sonnet-4-5 "));
    let words: Vec<&str> = line.expect("a line").split_whitespace().collect();
    assert_eq!(words[..6], ["claude-sonnet-4-5", "3", "0.3", "15", "200000", "64000"]);
    assert!(words.contains(&"vision") && words.contains(&"tools"));
    let models = json_of(folder.path(), &["list", "azure-openai-v1", "--model", "gpt-5.4"]);
    let models = models["models"].as_array().expect("models");
    assert!(!models.is_empty());
    for model in models {
        assert_eq!(model["section"], "azure-openai", "a kind stands for its section");
        assert!(model["model"].as_str().is_some_and(|name| name.contains("gpt-5.4")));
    }
    let said = prices(folder.path(), &["list", "opnai"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.errors
            .starts_with("there are no prices `opnai`; one of anthropic, "),
        "{}",
        said.errors
    );
}

#[test]
fn a_model_is_shown_with_all_its_prices() {
    let folder = here();
    let model = json_of(folder.path(), &["show", "openai", "gpt-5.4"]);
    assert_eq!(model["prices"]["standard"]["cache_read"], "0.25");
    assert_eq!(model["prices"]["priority"]["output"], "30");
    assert_eq!(model["prices"]["above"][0]["tokens"], 272_000);
    assert_eq!(model["prices"]["above"][0]["standard"]["output"], "22.5");
    assert_eq!(model["prices"]["reprices"], "request");
    assert_eq!(model["context_window"], 1_050_000);
    assert!(
        model["source"]
            .as_str()
            .is_some_and(|source| source.starts_with("https://"))
    );
    let text = prices(folder.path(), &["show", "openai", "gpt-5.4"]).text;
    assert!(text.contains("a longer prompt reprices the whole request"), "{text}");
    let output = text.lines().find(|line| line.starts_with("output ")).expect("a line");
    let cells: Vec<&str> = output.split_whitespace().collect();
    assert_eq!(
        cells,
        ["output", "15", "7.5", "7.5", "30", "22.5", "11.25", "11.25", "30"]
    );
    let said = prices(folder.path(), &["show", "openai", "gpt-0"]);
    assert_eq!(said.code, Some(1));
    assert!(said.errors.contains("has no model `gpt-0`"));
}

const CONFIG: &str = r#"version: 1
providers:
  p:
    dialect: openai
    base_url: http://127.0.0.1:1
    prices:
      - row: openai
      - from: 2026-12-01T00:00:00Z
        row: openai
        discount: 15%
        models: { gpt-5.4: { input: "2", output: "10" } }
"#;

#[test]
fn a_configuration_s_prices_are_shown_by_date() {
    let folder = here();
    fs::write(folder.path().join("gate.yaml"), CONFIG).expect("written");
    let shown = json_of(folder.path(), &["show", "p", "gpt-5.4", "--config", "gate.yaml"]);
    let versions = shown["versions"].as_array().expect("versions");
    assert_eq!(versions.len(), 2);
    assert_eq!(
        (&versions[0]["from"], &versions[0]["discount"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(versions[0]["prices"]["standard"]["output"], "15");
    assert_eq!(versions[1]["from"], "2026-12-01T00:00:00Z");
    assert_eq!(versions[1]["discount"], "15%");
    assert_eq!(
        versions[1]["prices"]["standard"]["cache_read"], "2",
        "its own table alone"
    );
    assert_ne!(versions[0]["version"], versions[1]["version"]);
    let text = prices(folder.path(), &["show", "p", "gpt-5.4", "--config", "gate.yaml"]).text;
    assert!(text.contains("from 2026-12-01T00:00:00Z, less 15% (prices "), "{text}");
    let text = prices(folder.path(), &["show", "p", "no-such", "--config", "gate.yaml"]).text;
    assert!(text.contains("from always: no price is known"), "{text}");
    let said = prices(folder.path(), &["show", "q", "gpt-5.4", "--config", "gate.yaml"]);
    assert_eq!(
        (said.code, said.errors.trim()),
        (Some(2), "gate.yaml: there is no provider `q`")
    );
}

/// In the form of LiteLLM's file: two prices that are other than the table's, one model it has not, one that cannot be.
const LITELLM: &str = r#"{
 "claude-sonnet-4-5": {"litellm_provider": "anthropic", "input_cost_per_token": 3.5e-06, "output_cost_per_token": 1.5e-05,
  "cache_read_input_token_cost": 3e-07, "cache_creation_input_token_cost": 3.75e-06,
  "cache_creation_input_token_cost_above_1hr": 6e-06, "input_cost_per_token_batches": 1.5e-06,
  "cache_read_input_token_cost_batches": 1.5e-07, "cache_creation_input_token_cost_batches": 1.875e-06,
  "output_cost_per_token_batches": 8e-06},
 "claude-next": {"litellm_provider": "anthropic", "input_cost_per_token": 1e-06, "output_cost_per_token": 5e-06},
 "claude-odd": {"litellm_provider": "anthropic", "input_cost_per_token": 1e-06, "output_cost_per_token": 5.0000000000001e-06},
 "azure/gpt-5.4": {"litellm_provider": "azure", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}
}"#;

#[test]
fn litellm_s_table_is_compared_with_ours() {
    let folder = here();
    fs::write(folder.path().join("prices.json"), LITELLM).expect("written");
    let changes = json_of(folder.path(), &["diff", "prices.json", "--section", "anthropic"]);
    let changes = changes["changes"].as_array().expect("changes");
    let of = |model: &str| -> Vec<&Value> { changes.iter().filter(|change| change["model"] == model).collect() };
    let sonnet = of("claude-sonnet-4-5");
    assert_eq!(sonnet.len(), 2, "{sonnet:?}");
    assert_eq!(
        *sonnet[0],
        json!({"section": "anthropic", "model": "claude-sonnet-4-5", "what": "input", "old": "3", "new": "3.5"})
    );
    assert_eq!(
        (&sonnet[1]["what"], &sonnet[1]["new"]),
        (&json!("batch output"), &json!("8"))
    );
    assert_eq!(of("claude-next")[0]["new"], "input 1, output 5");
    assert_eq!(of("claude-haiku-4-5")[0]["new"], Value::Null, "not in the file");
    assert!(changes.iter().all(|change| change["section"] == "anthropic"));
    let text = prices(folder.path(), &["diff", "prices.json", "--section", "anthropic"]).text;
    assert!(text.contains("anthropic/claude-sonnet-4-5: input: 3 → 3.5\n"), "{text}");
}

#[test]
fn what_is_imported_goes_into_a_configuration_as_it_is() {
    let folder = here();
    fs::write(folder.path().join("prices.json"), LITELLM).expect("written");
    let said = prices(folder.path(), &["import", "prices.json", "--section", "anthropic"]);
    assert_eq!(said.code, Some(0), "{}", said.errors);
    assert!(said.text.starts_with("# left out: claude-odd: "), "{}", said.text);
    let indented: String = said.text.lines().map(|line| format!("      {line}\n")).collect();
    let document = format!(
        "version: 1\nproviders:\n  p:\n    dialect: anthropic\n    base_url: http://a\n    prices:\n{indented}"
    );
    let document = check(&parse(&document).expect("YAML")).expect("a right document");
    let list = &document.providers[0].1.prices;
    assert!(list.at("claude-next", 0).is_some() && list.at("claude-sonnet-4-5", 0).is_some());
    assert!(list.at("claude-odd", 0).is_none() && list.at("gpt-5.4", 0).is_none());
    let json = json_of(
        folder.path(),
        &["import", "prices.json", "--section", "anthropic", "--model", "next"],
    );
    assert_eq!(json["models"], json!({"claude-next": {"input": "1", "output": "5"}}));

    let said = prices(folder.path(), &["import", "prices.json", "--section", "groq"]);
    assert_eq!(said.code, Some(1), "{}", said.errors);
    fs::write(folder.path().join("prices.json"), "[]").expect("written");
    let said = prices(folder.path(), &["import", "prices.json", "--section", "anthropic"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.errors.starts_with("prices.json: this is not LiteLLM's table"),
        "{}",
        said.errors
    );
}
