//! What is known of models: how long a prompt and an answer may be, and what they can do. Data of
//! `config/prices/models.json`.

use std::{collections::HashMap, sync::LazyLock};

use serde::Deserialize;

/// One model at one provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelFacts {
    pub mode: Mode,
    /// Tokens of prompt and answer together, or of the prompt alone, as the provider counts.
    pub context_window: Option<u64>,
    pub max_output_tokens: Option<u64>,
    pub abilities: Abilities,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Chat,
    /// Reached by OpenAI's Responses alone.
    Responses,
    Completion,
    Embedding,
    Rerank,
}

/// What the table says a model can do; what it does not say is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    pub tools: bool,
    pub images: bool,
    pub documents: bool,
    pub audio: bool,
    pub reasoning: bool,
    pub prompt_cache: bool,
    /// A JSON schema for its answer, by some field or other.
    pub schema: bool,
    /// Anthropic's own field for it.
    pub native_schema: bool,
    pub prefill: bool,
}

#[derive(Deserialize)]
struct File {
    models: HashMap<String, HashMap<String, Line>>,
}

/// Mode, context window, most output tokens, abilities.
type Line = (char, u64, u64, String);

type Sections = HashMap<String, HashMap<String, ModelFacts>>;

static MODELS: LazyLock<Sections> = LazyLock::new(|| {
    let text = include_str!("../../prices/models.json");
    let file: File = serde_json::from_str(text).expect("models.json is ours");
    let section = |(name, models): (String, HashMap<String, Line>)| {
        (
            name,
            models.into_iter().map(|(model, row)| (model, facts_of(row))).collect(),
        )
    };
    file.models.into_iter().map(section).collect()
});

/// A model by the name its provider calls it; names that only say where or which edition are the same model.
pub fn facts(section: &str, model: &str) -> Option<&'static ModelFacts> {
    let models = MODELS.get(section)?;
    models.get(model).or_else(|| models.get(without_place(model)))
}

/// Bedrock's inference profiles (`eu.anthropic.…`) and Vertex's editions (`…@default`).
fn without_place(model: &str) -> &str {
    const PLACES: [&str; 8] = ["us.", "eu.", "apac.", "jp.", "au.", "ca.", "global.", "us-gov."];
    let model = PLACES
        .iter()
        .find_map(|place| model.strip_prefix(place))
        .unwrap_or(model);
    model.split_once('@').map_or(model, |(model, _)| model)
}

fn facts_of((mode, context_window, max_output_tokens, letters): Line) -> ModelFacts {
    let can = |letter| letters.contains(letter);
    ModelFacts {
        mode: match mode {
            'c' => Mode::Chat,
            'r' => Mode::Responses,
            'p' => Mode::Completion,
            'e' => Mode::Embedding,
            'k' => Mode::Rerank,
            other => panic!("models.json: mode {other}"),
        },
        context_window: (context_window > 0).then_some(context_window),
        max_output_tokens: (max_output_tokens > 0).then_some(max_output_tokens),
        abilities: Abilities {
            tools: can('t'),
            images: can('v'),
            documents: can('d'),
            audio: can('a'),
            reasoning: can('r'),
            prompt_cache: can('c'),
            schema: can('s'),
            native_schema: can('n'),
            prefill: can('p'),
        },
    }
}
