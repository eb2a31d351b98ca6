//! One sum made by hand for each provider that the table of prices has: from its price page (or the list that the table names
//! as the model's source), USD for a million tokens, as of the table's date. None may be without.

use std::collections::BTreeSet;

use tollgate_config::{
    catalogue::{self, facts},
    prices::{Counts, ServiceTier},
};

/// Section, model, tier, tokens (input, read from a cache, sound, output), and dollars.
const EXAMPLES: &[(&str, &str, ServiceTier, [u64; 4], &str)] = {
    use ServiceTier::{Batch, Priority, Standard};
    &[
        // A batch of Claude 4.5 Haiku at 0.50, 0.05 and 2.50: 1000 × 0.50 + 2000 × 0.05 + 100 × 2.50 = 500 + 100 + 250.
        (
            "anthropic",
            "claude-haiku-4-5",
            Batch,
            [1_000, 2_000, 0, 100],
            "0.000850000000",
        ),
        // 3 in, 15 out: 1000 × 3 + 100 × 15.
        ("azure-ai", "grok-3", Standard, [1_000, 0, 0, 100], "0.004500000000"),
        // 2.50 in, 1.25 cached, 10 out: 1000 × 2.50 + 500 × 1.25 + 100 × 10 = 2500 + 625 + 1000.
        (
            "azure-openai",
            "gpt-4o-2024-08-06",
            Standard,
            [1_000, 500, 0, 100],
            "0.004125000000",
        ),
        // Eleven thousand tokens made one thousand, at 8 in and 24 out: 88000 + 24000 millionths.
        (
            "bedrock",
            "anthropic.claude-v2:1",
            Standard,
            [11_000, 0, 0, 1_000],
            "0.112000000000",
        ),
        // 0.35 in, 0.75 out: 350 + 750.
        (
            "cerebras",
            "gpt-oss-120b",
            Standard,
            [1_000, 0, 0, 1_000],
            "0.001100000000",
        ),
        // 2.50 in, 10 out: 1000 × 2.50 + 100 × 10.
        (
            "cohere",
            "command-a-03-2025",
            Standard,
            [1_000, 0, 0, 100],
            "0.003500000000",
        ),
        // Up to 256,000 of Qwen Flash at 0.05 and 0.40: 1000 × 0.05 + 100 × 0.40.
        (
            "dashscope",
            "qwen-flash",
            Standard,
            [1_000, 0, 0, 100],
            "0.000090000000",
        ),
        // 0.02 in, 0.04 out: 20 + 40.
        (
            "deepinfra",
            "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo",
            Standard,
            [1_000, 0, 0, 1_000],
            "0.000060000000",
        ),
        // 0.28 in, 0.028 cached, 0.42 out: 280 + 28 + 42.
        (
            "deepseek",
            "deepseek-chat",
            Standard,
            [1_000, 1_000, 0, 100],
            "0.000350000000",
        ),
        // 0.90 each way: 900 + 90.
        (
            "fireworks",
            "accounts/fireworks/models/code-llama-34b",
            Standard,
            [1_000, 0, 0, 100],
            "0.000990000000",
        ),
        // Text 0.30, cached 0.03, sound 1.00, out 2.50: 30 + 3 + 50 + 250.
        (
            "gemini",
            "gemini-2.5-flash",
            Standard,
            [100, 100, 50, 100],
            "0.000333000000",
        ),
        // 0.15 in, 0.075 cached, 0.60 out: 150 + 75 + 60.
        (
            "groq",
            "openai/gpt-oss-120b",
            Standard,
            [1_000, 1_000, 0, 100],
            "0.000285000000",
        ),
        // 0.05 in: a reranker that counts tokens.
        (
            "jina",
            "jina-reranker-v2-base-multilingual",
            Standard,
            [1_000, 0, 0, 0],
            "0.000050000000",
        ),
        // 0.50 in, 0.05 cached, 1.50 out: 500 + 10 + 150.
        (
            "mistral",
            "mistral-large-latest",
            Standard,
            [1_000, 200, 0, 100],
            "0.000660000000",
        ),
        // 0.60 in, 0.10 cached, 3 out: 600 + 100 + 300.
        (
            "moonshot",
            "kimi-k2.5",
            Standard,
            [1_000, 1_000, 0, 100],
            "0.001000000000",
        ),
        // With priority 5 in, 30 out: 1000 × 5 + 100 × 30.
        ("openai", "gpt-5.4", Priority, [1_000, 0, 0, 100], "0.008000000000"),
        // 2 in, 8 out: 1000 × 2 + 100 × 8.
        (
            "perplexity",
            "sonar-deep-research",
            Standard,
            [1_000, 0, 0, 100],
            "0.002800000000",
        ),
        // 0.63 in, 1.80 out: 630 + 180.
        (
            "sambanova",
            "Llama-4-Maverick-17B-128E-Instruct",
            Standard,
            [1_000, 0, 0, 100],
            "0.000810000000",
        ),
        // 3.50 each way: 3500 + 350.
        (
            "together",
            "meta-llama/Llama-3.1-405B-Instruct",
            Standard,
            [1_000, 0, 0, 100],
            "0.003850000000",
        ),
        // With priority 0.54, sound 1.80, out 4.50: 54 + 90 + 90.
        (
            "vertex",
            "gemini-2.5-flash",
            Priority,
            [100, 0, 50, 20],
            "0.000234000000",
        ),
        // 0.18 in, and nothing comes out.
        ("voyage", "voyage-3-large", Standard, [1_000, 0, 0, 0], "0.000180000000"),
        // A batch at 1.00 and 2.00: 1000 + 200.
        ("xai", "grok-4.3", Batch, [1_000, 0, 0, 100], "0.001200000000"),
    ]
};

#[test]
fn every_provider_of_the_table_has_a_sum_made_by_hand_and_gives_it() {
    let mut without: BTreeSet<&str> = catalogue::sections()
        .filter(|section| {
            let mut prices = catalogue::models(section).filter_map(|(_, facts)| facts.prices());
            prices.any(|prices| prices.bands().next().is_some())
        })
        .collect();
    for (section, model, tier, [input, cache_read, input_audio, output], dollars) in EXAMPLES {
        let prices = facts(section, model).and_then(|facts| facts.prices());
        let prices = prices.unwrap_or_else(|| panic!("{section} {model}"));
        let counts = Counts {
            input: *input,
            cache_read: *cache_read,
            cache_write_5m: 0,
            cache_write_1h: 0,
            output: *output,
            reasoning: 0,
            input_audio: *input_audio,
            output_audio: 0,
            input_image: 0,
            requests: 1,
        };
        assert_eq!(prices.cost(&counts, *tier).to_string(), *dollars, "{section} {model}");
        without.remove(section);
    }
    assert_eq!(without, BTreeSet::new(), "no sum is made of these");
}
