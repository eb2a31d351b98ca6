//! How a provider, or a model of it, departs from its dialect: data of the catalogue's rows.

#[derive(Clone, Debug, PartialEq)]
pub struct Quirks {
    /// OpenAI chat: the name of the output cap.
    pub max_tokens_field: MaxTokensField,
    /// Anthropic demands `max_tokens`: what is sent where the caller named none.
    pub default_max_tokens: u64,
    /// The most it takes; more is clamped. `None`: unknown.
    pub most_max_tokens: Option<u64>,
    /// The target takes a JSON schema for its answer natively; else a forced tool stands for it (`translate`).
    pub native_schema: bool,
    /// An assistant turn may come last, to be continued.
    pub prefill: bool,
    /// The model takes sampling parameters (reasoning models refuse them).
    pub sampling: bool,
    /// OpenAI chat: system text has the role `developer`.
    pub developer_role: bool,
    /// `stream_options.include_usage` may be asked for.
    pub stream_usage: bool,
    /// Members never sent, by name at the top level.
    pub drop: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxTokensField {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
}

impl Default for Quirks {
    fn default() -> Self {
        Quirks {
            max_tokens_field: MaxTokensField::default(),
            default_max_tokens: 4_096,
            most_max_tokens: None,
            native_schema: true,
            prefill: true,
            sampling: true,
            developer_role: false,
            stream_usage: true,
            drop: Vec::new(),
        }
    }
}
