//! The price table that LiteLLM keeps (`model_prices_and_context_window.json`: a map of models, prices in dollars for one
//! token) → our prices. Numbers are read as the text they are, so that nothing is rounded on the way.

use std::collections::BTreeMap;

use serde_json::{Map, Value, value::RawValue};

use super::{Builder, Class, MAX_PICOS, Prices, ServiceTier};
use crate::money::{self, NoNumber};

/// Their names of providers, and our sections.
const SECTIONS: [(&str, &str); 12] = [
    ("azure", "azure-openai"),
    ("azure_text", "azure-openai"),
    ("azure_ai", "azure-ai"),
    ("bedrock_converse", "bedrock"),
    ("bedrock_mantle", "bedrock"),
    ("together_ai", "together"),
    ("fireworks_ai", "fireworks"),
    ("fireworks_ai-embedding-models", "fireworks"),
    ("cohere_chat", "cohere"),
    ("nvidia_nim", "nvidia"),
    ("text-completion-openai", "openai"),
    ("jina_ai", "jina"),
];

const FIELDS: [(&str, Class); 11] = [
    ("input_cost_per_token", Class::Input),
    ("output_cost_per_token", Class::Output),
    ("cache_read_input_token_cost", Class::CacheRead),
    ("cache_creation_input_token_cost", Class::CacheWrite5m),
    ("cache_creation_input_token_cost_above_1hr", Class::CacheWrite1h),
    ("output_cost_per_reasoning_token", Class::Reasoning),
    ("input_cost_per_audio_token", Class::InputAudio),
    ("output_cost_per_audio_token", Class::OutputAudio),
    ("input_cost_per_image_token", Class::InputImage),
    ("input_cost_per_query", Class::Request),
    ("input_cost_per_request", Class::Request),
];

const TIERS: [(&str, ServiceTier); 3] = [
    ("_batches", ServiceTier::Batch),
    ("_flex", ServiceTier::Flex),
    ("_priority", ServiceTier::Priority),
];

/// The entry that tells people what the others may hold.
const EXAMPLE: &str = "sample_spec";

/// A model of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Our section, or else their name of the provider.
    pub section: String,
    /// Without their prefix for the provider.
    pub model: String,
    /// By where the band begins, by tier, by class.
    given: BTreeMap<(u64, ServiceTier), BTreeMap<Class, u64>>,
    /// Fields whose prices are no whole number of pico-dollars: left out.
    pub inexact: Vec<String>,
}

/// Every model of the table that has a price, in its order; or what is wrong with the text.
pub fn read(text: &str) -> Result<Vec<Imported>, String> {
    type Entries<'t> = BTreeMap<String, &'t RawValue>;
    let not = |error| format!("this is not LiteLLM's table of prices, a map of models: {error}");
    let entries: Entries = serde_json::from_str(text).map_err(not)?;
    let mut models = Vec::new();
    for (name, entry) in entries {
        // An entry that is no map says nothing of a model.
        if name != EXAMPLE
            && let Ok(fields) = serde_json::from_str::<Entries>(entry.get())
            && let Some(model) = model(&name, &fields)
        {
            models.push(model);
        }
    }
    Ok(models)
}

fn model(name: &str, fields: &BTreeMap<String, &RawValue>) -> Option<Imported> {
    let provider: String = serde_json::from_str(fields.get("litellm_provider")?.get()).ok()?;
    let own = match name.split_once('/') {
        Some((prefix, rest)) if provider.starts_with(prefix) => rest,
        _ => name,
    };
    let mut model = Imported {
        section: section(&provider).to_owned(),
        model: own.to_owned(),
        given: BTreeMap::new(),
        inexact: Vec::new(),
    };
    for (field, value) in fields {
        model.take(field, value.get(), 0);
    }
    if let Some(steps) = fields.get("tiered_pricing") {
        model.take_steps(steps.get());
    }
    let priced = !model.given.is_empty() || !model.inexact.is_empty();
    priced.then_some(model)
}

fn section(provider: &str) -> &str {
    if provider.starts_with("vertex_ai") {
        return "vertex";
    }
    let known = SECTIONS.iter().find(|(theirs, _)| *theirs == provider);
    known.map_or(provider, |(_, ours)| ours)
}

impl Imported {
    /// `from_tokens`: where the band begins, unless the field says so itself.
    fn take(&mut self, field: &str, number: &str, from_tokens: u64) {
        let (name, tier) = without_tier(field);
        let (name, above) = without_length(name);
        let Some((_, class)) = FIELDS.iter().find(|(known, _)| *known == name) else {
            return;
        };
        match money::per_token(number, 0) {
            Ok(picos) => {
                let band = self.given.entry((above.unwrap_or(from_tokens), tier)).or_default();
                band.insert(*class, picos.min(MAX_PICOS));
            }
            Err(NoNumber::Inexact | NoNumber::TooLarge) => self.inexact.push(format!("{field}: {number}")),
            // `null`, and whatever else is no number.
            Err(NoNumber::Malformed) => {}
        }
    }

    /// `[ { "range": [0, 256000.0], "input_cost_per_token": … }, … ]`
    fn take_steps(&mut self, text: &str) {
        let steps: Vec<BTreeMap<String, &RawValue>> = serde_json::from_str(text).unwrap_or_default();
        for step in steps {
            let range: Vec<&RawValue> = step
                .get("range")
                .and_then(|range| serde_json::from_str(range.get()).ok())
                .unwrap_or_default();
            let from = range.first().map_or("0", |from| from.get());
            let whole = from.strip_suffix(".0").unwrap_or(from);
            let Ok(from_tokens) = whole.parse() else { continue };
            for (field, value) in &step {
                self.take(field, value.get(), from_tokens);
            }
        }
    }

    /// `None` where neither input nor the request has a price.
    pub fn prices(&self) -> Option<Prices> {
        let mut builder = Builder::default();
        for ((above, tier), classes) in &self.given {
            for (class, picos) in classes {
                builder.set(*above, *tier, *class, *picos);
            }
        }
        builder.build()
    }

    /// As an entry of `providers.*.prices.models`.
    pub fn configured(&self) -> Value {
        let mut model = Map::new();
        let starts = self.given.keys().map(|(above, _)| *above).filter(|above| *above > 0);
        let mut above: Vec<u64> = starts.collect();
        above.dedup();
        self.write_band(0, &mut model);
        if !model.contains_key("request") {
            for class in [Class::Input, Class::Output] {
                // Their table leaves out what costs nothing.
                model.entry(class.name()).or_insert_with(|| "0".into());
            }
        }
        let band = |above: &u64| {
            let mut band = Map::new();
            band.insert("tokens".into(), (*above).into());
            self.write_band(*above, &mut band);
            Value::Object(band)
        };
        if !above.is_empty() {
            model.insert("above".into(), above.iter().map(band).collect());
        }
        Value::Object(model)
    }

    fn write_band(&self, above: u64, out: &mut Map<String, Value>) {
        for tier in ServiceTier::ALL {
            let Some(classes) = self.given.get(&(above, tier)) else {
                continue;
            };
            let prices = classes.iter().map(|(class, picos)| {
                let dollars = money::dollars(*picos, class.unit_log10());
                (class.name().to_owned(), Value::from(dollars))
            });
            match tier {
                ServiceTier::Standard => out.extend(prices),
                tier => drop(out.insert(tier.name().into(), prices.collect())),
            }
        }
    }
}

fn without_tier(field: &str) -> (&str, ServiceTier) {
    let mut tiers = TIERS.iter();
    let found = tiers.find_map(|(suffix, tier)| Some((field.strip_suffix(suffix)?, *tier)));
    found.unwrap_or((field, ServiceTier::Standard))
}

/// `…_above_200k_tokens`
fn without_length(field: &str) -> (&str, Option<u64>) {
    let split = || {
        let (name, length) = field.strip_suffix("k_tokens")?.rsplit_once("_above_")?;
        let thousands: u64 = length.parse().ok()?;
        Some((name, Some(thousands.checked_mul(1_000)?)))
    };
    split().unwrap_or((field, None))
}
