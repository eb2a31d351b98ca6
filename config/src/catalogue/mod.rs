//! The provider catalogue: what is known of a `kind:`. The rows are data (`rows.yaml`); a provider that speaks a known
//! dialect needs no more than a row there.

pub(crate) mod glob;
mod models;
pub mod path;
mod quirks;
mod read;

use std::sync::LazyLock;

pub use models::{Abilities, Mode, ModelFacts, facts, models, sections, table_source};
pub use path::{Operation, Paths, Template};
pub use quirks::{Clamp, MaxTokensField, Quirks, StreamEnd, StreamFraming, StreamUsage};

use crate::document::Dialect;

/// One kind of provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Empty in the rows that are a dialect by itself.
    pub kind: String,
    /// For people.
    pub title: String,
    /// Where its facts were read.
    pub source: String,
    /// Spoken when another dialect is called.
    pub dialect: Dialect,
    /// Spoken as well, behind the same address.
    pub also: Vec<Dialect>,
    /// Where it lives, with parameters in braces; `None`: the operator must say.
    pub base_url: Option<String>,
    /// The addresses of regions that do not fit `base_url`.
    pub base_url_of_region: Vec<(String, String)>,
    /// What stands between an address without a path and this row's paths.
    pub prefix: String,
    pub parameters: Vec<Parameter>,
    /// Of `dialect`, with parameters in braces.
    pub paths: Paths,
    pub auth: AuthScheme,
    pub credential_required: bool,
    /// Sent where the client's request has no header of that name.
    pub headers: Vec<(String, String)>,
    /// Its section of `config/prices/models.json`.
    pub prices: Option<String>,
    quirks: Quirks,
    rules: Vec<Rule>,
}

/// What an operator says of an account: `region`, `project`, …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: &'static str,
    /// `None`: it must be given.
    pub default: Option<String>,
}

/// Every parameter a row may have: a key of `providers.*`.
pub const PARAMETERS: [&str; 5] = ["region", "project", "resource", "account", "api_version"];

/// How a credential is shown to the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    Bearer,
    XApiKey,
    Header(String),
    /// AWS Signature Version 4 for this service, or a bearer token.
    Aws(String),
    /// A service account's key becomes an access token.
    Google,
}

/// Quirks of the models that a pattern names.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    models: Vec<String>,
    quirks: Quirks,
}

impl Row {
    /// How this model departs from the dialect: the first rule that names it, else the row itself.
    pub fn quirks(&self, model: &str) -> &Quirks {
        self.variant(self.variant_of(model))
    }

    /// Which of the row's variants a model is; so that they can be compiled before the models are known.
    pub fn variant_of(&self, model: &str) -> usize {
        let names = |rule: &Rule| rule.models.iter().any(|pattern| glob::matches(pattern, model));
        self.rules.iter().position(names).map_or(0, |rule| rule + 1)
    }

    /// All of them; index 0 is the row itself.
    pub fn variants(&self) -> impl Iterator<Item = &Quirks> {
        (0..=self.rules.len()).map(|index| self.variant(index))
    }

    fn variant(&self, index: usize) -> &Quirks {
        index
            .checked_sub(1)
            .map_or(&self.quirks, |rule| &self.rules[rule].quirks)
    }

    /// What the model catalogue knows of a model here.
    pub fn facts(&self, model: &str) -> Option<&'static ModelFacts> {
        facts(self.prices.as_deref()?, model)
    }
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| read::rows(include_str!("rows.yaml")));
static BARE: LazyLock<Vec<Row>> = LazyLock::new(|| Dialect::ALL.into_iter().map(read::bare).collect());

/// Every kind, in the order they are listed.
pub fn rows() -> &'static [Row] {
    &ROWS
}

/// The row of a kind.
pub fn row(kind: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.kind == kind)
}

/// What a dialect is by itself, without a row. Nothing is known of the server, so it is not asked for more than the
/// client asks.
pub fn bare(dialect: Dialect) -> &'static Row {
    BARE.iter()
        .find(|row| row.dialect == dialect)
        .expect("there is one for every dialect")
}

/// The prefix of a dialect's paths, for addresses given without one.
pub fn prefix(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Anthropic => "/v1",
        Dialect::Gemini => "/v1beta",
        Dialect::Cohere => "/v2",
        Dialect::Bedrock => "",
    }
}
