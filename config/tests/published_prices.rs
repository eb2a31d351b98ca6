//! The table of prices: published examples against sums made by hand, and that it is large, whole and sourced.

use tollgate_config::{
    catalogue::{self, facts},
    prices::{Counts, ServiceTier},
};

const NONE: Counts = Counts {
    input: 0,
    cache_read: 0,
    cache_write_5m: 0,
    cache_write_1h: 0,
    output: 0,
    reasoning: 0,
    input_audio: 0,
    output_audio: 0,
    input_image: 0,
    requests: 1,
};

/// Section, model, tier, what was used, and dollars. Each sum is made by hand from the provider's price page of the
/// table's date, USD for a million tokens.
const EXAMPLES: &[(&str, &str, ServiceTier, Counts, &str)] = {
    use ServiceTier::{Batch, Flex, Priority, Standard};
    &[
        // 2.50 in, 0.25 cached, 15 out: 1000 × 2.50 + 500 × 0.25 + 200 × 15 = 2500 + 125 + 3000 millionths.
        (
            "openai",
            "gpt-5.4",
            Standard,
            Counts {
                input: 1_000,
                cache_read: 500,
                output: 200,
                ..NONE
            },
            "0.005625000000",
        ),
        // Reasoning is billed as output: 100 × 2.50 + (50 + 950) × 15.
        (
            "openai",
            "gpt-5.4",
            Standard,
            Counts {
                input: 100,
                output: 50,
                reasoning: 950,
                ..NONE
            },
            "0.015250000000",
        ),
        // Half in a batch, and flex costs the same: 1000 × 1.25 + 200 × 7.50.
        (
            "openai",
            "gpt-5.4",
            Batch,
            Counts {
                input: 1_000,
                output: 200,
                ..NONE
            },
            "0.002750000000",
        ),
        (
            "openai",
            "gpt-5.4",
            Flex,
            Counts {
                input: 1_000,
                output: 200,
                ..NONE
            },
            "0.002750000000",
        ),
        // Twice with priority: 1000 × 5 + 200 × 30.
        (
            "openai",
            "gpt-5.4",
            Priority,
            Counts {
                input: 1_000,
                output: 200,
                ..NONE
            },
            "0.011000000000",
        ),
        // Above 272,000 the whole request: 300000 × 5 + 1000 × 22.50.
        (
            "openai",
            "gpt-5.4",
            Standard,
            Counts {
                input: 300_000,
                output: 1_000,
                ..NONE
            },
            "1.522500000000",
        ),
        // Exactly 272,000 is not above: 272000 × 2.50.
        (
            "openai",
            "gpt-5.4",
            Standard,
            Counts { input: 272_000, ..NONE },
            "0.680000000000",
        ),
        // The prompt counts with its cached part: 272001 × 0.50.
        (
            "openai",
            "gpt-5.4",
            Standard,
            Counts {
                cache_read: 272_001,
                ..NONE
            },
            "0.136000500000",
        ),
        // 2.50 in, 40 audio in, 10 out, 80 audio out: 20 × 2.50 + 100 × 40 + 20 × 10 + 70 × 80.
        (
            "openai",
            "gpt-4o-audio-preview-2024-12-17",
            Standard,
            Counts {
                input: 20,
                input_audio: 100,
                output: 20,
                output_audio: 70,
                ..NONE
            },
            "0.009850000000",
        ),
        // The smallest published price: 0.02 × 7.
        (
            "openai",
            "text-embedding-3-small",
            Standard,
            Counts { input: 7, ..NONE },
            "0.000000140000",
        ),
        // 3 in, 0.30 read, 3.75 written for 5 minutes, 6 for an hour, 15 out:
        // 21 × 3 + 1000 × 0.30 + 456 × 3.75 + 100 × 6 + 393 × 15 = 63 + 300 + 1710 + 600 + 5895.
        (
            "anthropic",
            "claude-sonnet-4-5",
            Standard,
            Counts {
                input: 21,
                cache_read: 1_000,
                cache_write_5m: 456,
                cache_write_1h: 100,
                output: 393,
                ..NONE
            },
            "0.008568000000",
        ),
        // A batch halves the caches too: 1000 × 1.50 + 1000 × 0.15 + 1000 × 1.875 + 100 × 7.50.
        (
            "anthropic",
            "claude-sonnet-4-5",
            Batch,
            Counts {
                input: 1_000,
                cache_read: 1_000,
                cache_write_5m: 1_000,
                output: 100,
                ..NONE
            },
            "0.004275000000",
        ),
        // Above 200,000 at Bedrock: 200001 × 6 + 10 × 22.50.
        (
            "bedrock",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            Standard,
            Counts {
                input: 200_001,
                output: 10,
                ..NONE
            },
            "1.200231000000",
        ),
        // An inference profile of the EU costs a tenth more: 1000 × 3.30 + 100 × 16.50.
        (
            "bedrock",
            "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
            Standard,
            Counts {
                input: 1_000,
                output: 100,
                ..NONE
            },
            "0.004950000000",
        ),
        // 1.25 in and 10 out up to 200,000; 2.50 and 15 above: 200000 × 1.25 + 10 × 10.
        (
            "gemini",
            "gemini-2.5-pro",
            Standard,
            Counts {
                input: 200_000,
                output: 10,
                ..NONE
            },
            "0.250100000000",
        ),
        // 150000 × 2.50 + 60000 × 0.25 + 10 × 15.
        (
            "gemini",
            "gemini-2.5-pro",
            Standard,
            Counts {
                input: 150_000,
                cache_read: 60_000,
                output: 10,
                ..NONE
            },
            "0.390150000000",
        ),
        // Thoughts as output, sound dearer than text: 100 × 0.30 + 50 × 1 + (20 + 80) × 2.50.
        (
            "gemini",
            "gemini-2.5-flash",
            Standard,
            Counts {
                input: 100,
                input_audio: 50,
                output: 20,
                reasoning: 80,
                ..NONE
            },
            "0.000330000000",
        ),
        // Reasoning with a price of its own: 10 × 2 + 100 × 8 + 1000 × 3.
        (
            "perplexity",
            "sonar-deep-research",
            Standard,
            Counts {
                input: 10,
                output: 100,
                reasoning: 1_000,
                ..NONE
            },
            "0.003820000000",
        ),
        // Two dollars for a thousand searches, whatever is in them.
        (
            "cohere",
            "rerank-v3.5",
            Standard,
            Counts { input: 5_000, ..NONE },
            "0.002000000000",
        ),
        // 1.25 in, 2.50 out; batches 1.00 and 2.00: 1000 × 1 + 1000 × 2.
        (
            "xai",
            "grok-4.3",
            Batch,
            Counts {
                input: 1_000,
                output: 1_000,
                ..NONE
            },
            "0.003000000000",
        ),
        // 0.28 in, 0.028 cached, 0.42 out.
        (
            "deepseek",
            "deepseek-chat",
            Standard,
            Counts {
                input: 100,
                cache_read: 900,
                output: 100,
                ..NONE
            },
            "0.000095200000",
        ),
        // Longer prompts of Qwen: 256001 × 0.25 + 1 × 2.
        (
            "dashscope",
            "qwen-flash",
            Standard,
            Counts {
                input: 256_001,
                output: 1,
                ..NONE
            },
            "0.064002250000",
        ),
    ]
};

#[test]
fn published_prices_give_the_sums_made_by_hand() {
    for (section, model, tier, counts, dollars) in EXAMPLES {
        let prices = facts(section, model).and_then(|facts| facts.prices());
        let prices = prices.unwrap_or_else(|| panic!("{section} {model}"));
        assert_eq!(
            prices.cost(counts, *tier).to_string(),
            *dollars,
            "{section} {model} {} {counts:?}",
            tier.name()
        );
    }
}

/// The table is what the issue of it says: enough models, each with its window, its abilities and its source somewhere.
#[test]
fn the_table_is_large_and_every_price_of_it_is_whole() {
    let (mut chats, mut embeddings, mut rerankers, mut tools, mut sourced) = (0, 0, 0, 0, 0);
    for section in catalogue::sections() {
        for (model, facts) in catalogue::models(section) {
            // Reading asserts that every number is one.
            let Some(prices) = facts.prices() else { continue };
            assert!(prices.bands().next() == Some(0), "{section} {model}");
            match facts.mode {
                catalogue::Mode::Embedding => embeddings += 1,
                catalogue::Mode::Rerank => rerankers += 1,
                _ => chats += 1,
            }
            tools += usize::from(facts.abilities.tools);
            sourced += usize::from(facts.source.is_some());
        }
    }
    assert!(
        chats >= 1_500 && embeddings >= 70 && rerankers >= 25,
        "{chats} {embeddings} {rerankers}"
    );
    assert!(tools > 1_000 && sourced > 1_000, "{tools} {sourced}");
    let (about, date) = catalogue::table_source();
    assert!(about.contains("litellm") && date == "2026-11-23");
}
