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
    /// Anthropic: how the model is told to think.
    pub thinking_form: ThinkingForm,
    /// OpenAI chat: system text has the role `developer`.
    pub developer_role: bool,
    /// `stream_options.include_usage` may be asked for.
    pub stream_usage: bool,
    /// Members never sent, by name at the top level.
    pub drop: Vec<String>,
    /// Members sent under another name.
    pub rename: Vec<(String, String)>,
    /// Members that every request has, with their text.
    pub set: Vec<(String, String)>,
    /// Numbers held within bounds.
    pub clamp: Vec<Clamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Clamp {
    pub name: String,
    pub least: Option<f64>,
    pub most: Option<f64>,
}

impl Quirks {
    /// Must members of a body be edited before it is sent?
    pub fn edits_members(&self) -> bool {
        !(self.drop.is_empty() && self.rename.is_empty() && self.set.is_empty() && self.clamp.is_empty())
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxTokensField {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
}

/// Claude 4.5 and older know budgets alone, 4.6 knows both forms, 5 knows `adaptive` (with an effort) alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThinkingForm {
    /// A budget as a budget, all else as `adaptive`.
    #[default]
    AsAsked,
    Budget,
    Adaptive,
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
            thinking_form: ThinkingForm::default(),
            developer_role: false,
            stream_usage: true,
            drop: Vec::new(),
            rename: Vec::new(),
            set: Vec::new(),
            clamp: Vec::new(),
        }
    }
}
