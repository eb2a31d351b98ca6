//! What is known of models: how long a prompt and an answer may be, what they can do, what they cost. Data of
//! `config/prices/models.json`, read when it is first asked for.

use std::{
    collections::BTreeMap,
    sync::{LazyLock, OnceLock},
};

use serde::Deserialize;

use crate::prices::{self, Prices};

/// One model at one provider.
#[derive(Debug)]
pub struct ModelFacts {
    pub mode: Mode,
    /// Tokens of prompt and answer together, or of the prompt alone, as the provider counts.
    pub context_window: Option<u64>,
    pub max_output_tokens: Option<u64>,
    pub abilities: Abilities,
    /// Where this was read.
    pub source: Option<&'static str>,
    price_text: &'static str,
    prices: OnceLock<Option<Prices>>,
}

impl ModelFacts {
    /// `None`: not known, which is not the same as nothing.
    pub fn prices(&self) -> Option<&Prices> {
        // Most models of the table are never asked for.
        self.prices.get_or_init(|| prices::read(self.price_text)).as_ref()
    }
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
    /// Several calls in one turn.
    pub parallel_tools: bool,
    pub images: bool,
    pub documents: bool,
    pub audio: bool,
    /// It speaks.
    pub audio_output: bool,
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
    about: &'static str,
    date: &'static str,
    sources: Vec<&'static str>,
    models: BTreeMap<&'static str, BTreeMap<&'static str, Line>>,
}

/// Mode, context window, most output tokens, abilities, prices, source.
#[derive(Deserialize)]
struct Line(
    char,
    u64,
    u64,
    &'static str,
    &'static str,
    #[serde(default)] Option<usize>,
);

type Sections = BTreeMap<&'static str, BTreeMap<&'static str, ModelFacts>>;

struct Table {
    about: &'static str,
    date: &'static str,
    sections: Sections,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../../prices/models.json");
    let file: File = serde_json::from_str(text).expect("models.json is ours");
    let section = |(name, models): (_, BTreeMap<_, Line>)| {
        let models = models.into_iter();
        (
            name,
            models
                .map(|(model, row)| (model, facts_of(row, &file.sources)))
                .collect(),
        )
    };
    Table {
        about: file.about,
        date: file.date,
        sections: file.models.into_iter().map(section).collect(),
    }
});

/// Where the table comes from, and of which day it is.
pub fn table_source() -> (&'static str, &'static str) {
    (TABLE.about, TABLE.date)
}

/// The sections of the table: providers, by the names that `prices:` takes.
pub fn sections() -> impl Iterator<Item = &'static str> {
    TABLE.sections.keys().copied()
}

/// The models of a section, by name.
pub fn models(section: &str) -> impl Iterator<Item = (&'static str, &'static ModelFacts)> {
    let models = TABLE.sections.get(section).into_iter().flatten();
    models.map(|(name, facts)| (*name, facts))
}

/// A model by the name its provider calls it; names that only say where or which edition are the same model.
pub fn facts(section: &str, model: &str) -> Option<&'static ModelFacts> {
    let models = TABLE.sections.get(section)?;
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

fn facts_of(
    Line(mode, context_window, max_output_tokens, letters, price_text, source): Line,
    sources: &[&'static str],
) -> ModelFacts {
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
            parallel_tools: can('l'),
            images: can('v'),
            documents: can('d'),
            audio: can('a'),
            audio_output: can('u'),
            reasoning: can('r'),
            prompt_cache: can('c'),
            schema: can('s'),
            native_schema: can('n'),
            prefill: can('p'),
        },
        source: source.and_then(|index| sources.get(index).copied()),
        price_text,
        prices: OnceLock::new(),
    }
}
