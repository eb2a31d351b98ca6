//! LiteLLM's table of prices → ours: what each field becomes, and that what is written for the configuration is right and
//! costs the same.

use serde_json::json;
use tollgate_config::{
    check::check,
    parse::parse,
    prices::{
        Class::{self, *},
        ServiceTier::{Batch, Flex, Priority, Standard},
        litellm::{self, Imported},
    },
};

/// Made in the form of LiteLLM's file; the prices are those of its version 1.106.2.
const TABLE: &str = r#"{
 "sample_spec": {"input_cost_per_token": 0.0, "litellm_provider": "one of https://…", "mode": "one of: chat, embedding"},
 "gpt-5.4": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06, "cache_read_input_token_cost": 2.5e-07,
  "output_cost_per_token": 1.5e-05, "input_cost_per_token_batches": 1.25e-06, "output_cost_per_token_batches": 7.5e-06,
  "input_cost_per_token_flex": 1.25e-06, "output_cost_per_token_priority": 3e-05, "input_cost_per_token_above_272k_tokens": 5e-06,
  "output_cost_per_token_above_272k_tokens": 2.25e-05, "input_cost_per_token_above_272k_tokens_batches": 2.5e-06,
  "max_input_tokens": 1050000, "supports_vision": true},
 "vertex_ai/claude-sonnet-4-5": {"litellm_provider": "vertex_ai-anthropic_models", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
  "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
  "cache_creation_input_token_cost_above_200k_tokens": 7.5e-06, "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05},
 "dashscope/qwen-flash": {"litellm_provider": "dashscope", "tiered_pricing": [
  {"range": [0, 256000.0], "input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07},
  {"range": [256000.0, 1000000.0], "input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06}]},
 "cohere/rerank-v3.5": {"litellm_provider": "cohere", "mode": "rerank", "input_cost_per_query": 0.002, "input_cost_per_token": 0.0},
 "gpt-4o-audio": {"litellm_provider": "openai", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05,
  "input_cost_per_audio_token": 4e-05, "output_cost_per_audio_token": 8e-05, "output_cost_per_reasoning_token": null},
 "text-embedding-3-small": {"litellm_provider": "openai", "mode": "embedding", "input_cost_per_token": 2e-08},
 "databricks/gpt-5": {"litellm_provider": "databricks", "input_cost_per_token": 1.25e-06, "output_cost_per_token": 0.000009999990000000002},
 "dall-e-3": {"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image": 0.04},
 "nothing": 3
}"#;

fn imported() -> Vec<Imported> {
    litellm::read(TABLE).expect("a table")
}

fn find(model: &str) -> Imported {
    let mut models = imported().into_iter();
    models
        .find(|imported| imported.model == model)
        .unwrap_or_else(|| panic!("{model}"))
}

#[test]
fn models_have_our_sections_and_their_own_names() {
    let names: Vec<(String, String)> = imported()
        .into_iter()
        .map(|model| (model.section, model.model))
        .collect();
    let expected = [
        ("cohere", "rerank-v3.5"),
        ("dashscope", "qwen-flash"),
        ("databricks", "gpt-5"),
        ("openai", "gpt-4o-audio"),
        ("openai", "gpt-5.4"),
        ("openai", "text-embedding-3-small"),
        ("vertex", "claude-sonnet-4-5"),
    ];
    assert_eq!(
        names,
        expected.map(|(section, model)| (section.to_owned(), model.to_owned()))
    );
}

#[test]
fn every_field_finds_its_place() {
    let picos = |model: &str, above, tier, class: Class| find(model).prices().unwrap().picos(above, tier, class);
    for (model, above, tier, class, expected) in [
        ("gpt-5.4", 0, Standard, Input, 2_500_000),
        ("gpt-5.4", 0, Standard, CacheRead, 250_000),
        ("gpt-5.4", 0, Batch, Output, 7_500_000),
        ("gpt-5.4", 0, Flex, Input, 1_250_000),
        ("gpt-5.4", 0, Priority, Output, 30_000_000),
        ("gpt-5.4", 272_000, Standard, Output, 22_500_000),
        ("gpt-5.4", 272_000, Batch, Input, 2_500_000),
        ("claude-sonnet-4-5", 0, Standard, CacheWrite1h, 6_000_000),
        ("claude-sonnet-4-5", 200_000, Standard, CacheWrite5m, 7_500_000),
        ("claude-sonnet-4-5", 200_000, Standard, CacheWrite1h, 12_000_000),
        ("qwen-flash", 0, Standard, Input, 50_000),
        ("qwen-flash", 256_000, Standard, Output, 2_000_000),
        ("rerank-v3.5", 0, Standard, Request, 2_000_000_000),
        ("gpt-4o-audio", 0, Standard, InputAudio, 40_000_000),
        ("gpt-4o-audio", 0, Standard, OutputAudio, 80_000_000),
        ("text-embedding-3-small", 0, Standard, Input, 20_000),
    ] {
        assert_eq!(
            picos(model, above, tier, class),
            expected,
            "{model} {above} {tier:?} {class:?}"
        );
    }
}

#[test]
fn what_is_not_whole_is_said_and_left_out() {
    let model = find("gpt-5");
    assert_eq!(model.inexact, ["output_cost_per_token: 0.000009999990000000002"]);
}

#[test]
fn what_is_imported_is_right_in_the_configuration_and_costs_the_same() {
    assert_eq!(
        find("gpt-5.4").configured(),
        json!({
            "cache_read": "0.25", "input": "2.5", "output": "15", "batch": {"input": "1.25", "output": "7.5"},
            "flex": {"input": "1.25"}, "priority": {"output": "30"},
            "above": [{"tokens": 272000, "input": "5", "output": "22.5", "batch": {"input": "2.5"}}],
        })
    );
    for model in imported() {
        let document = json!({"version": 1, "providers": {"p": {
            "dialect": "openai", "base_url": "http://a", "prices": {"models": {&*model.model: model.configured()}},
        }}});
        let document = check(&parse(&document.to_string()).unwrap()).unwrap_or_else(|faults| panic!("{faults:?}"));
        let read = document.providers[0]
            .1
            .prices
            .at(&model.model, 0)
            .unwrap()
            .prices
            .clone();
        assert_eq!(Some(read), model.prices(), "{}", model.model);
    }
}

#[test]
fn what_is_no_table_is_refused() {
    for text in ["", "[]", "{", "3", "{\"a\":}"] {
        assert!(
            litellm::read(text)
                .unwrap_err()
                .starts_with("this is not LiteLLM's table"),
            "{text}"
        );
    }
    assert_eq!(litellm::read("{}"), Ok(vec![]));
}
