//! How a provider, or a model of it, departs from its dialect.

use serde::Deserialize;

#[derive(Clone, Debug, PartialEq)]
pub struct Quirks {
    /// OpenAI chat: the name of the output cap.
    pub max_tokens_field: MaxTokensField,
    /// Anthropic demands `max_tokens`: what is sent where the caller named none. What the model catalogue knows as its
    /// most is sent where that is less.
    pub default_max_tokens: u64,
    /// It takes a JSON schema for its answer natively; else a forced tool stands for it.
    pub native_schema: bool,
    /// An assistant turn may come last, to be continued.
    pub prefill: bool,
    /// It takes sampling parameters.
    pub sampling: bool,
    /// OpenAI chat: system text has the role `developer`.
    pub developer_role: bool,
    pub stream_usage: StreamUsage,
    pub stream_end: StreamEnd,
    pub stream_framing: StreamFraming,
    /// Members never sent, by name at the top level.
    pub drop: Vec<String>,
    /// Members sent under another name.
    pub rename: Vec<(String, String)>,
    /// Members that every request has, with their text.
    pub set: Vec<(String, String)>,
    /// Numbers held within bounds.
    pub clamp: Vec<Clamp>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    #[default]
    MaxTokens,
    MaxCompletionTokens,
}

/// When a stream says what it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamUsage {
    /// When asked by `stream_options.include_usage`.
    Ask,
    /// Unasked.
    Always,
    /// Never, and the question is refused.
    Never,
    /// Nothing is known: an untouched request passes on the client's own wish; a translated one asks, as OpenAI's API has
    /// it.
    Unknown,
}

/// How a stream of OpenAI's chat ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamEnd {
    /// With `[DONE]`.
    #[default]
    Marked,
    /// Perhaps with the chunk that names a finish reason and nothing behind it.
    Finish,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamFraming {
    /// Server-sent events.
    #[default]
    Events,
    /// `application/vnd.amazon.eventstream`. In Anthropic's dialect each frame is `{"bytes":"<base64 of an event>"}`.
    AwsEventStream,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Clamp {
    pub name: String,
    pub least: Option<f64>,
    pub most: Option<f64>,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            max_tokens_field: MaxTokensField::default(),
            default_max_tokens: 4_096,
            native_schema: true,
            prefill: true,
            sampling: true,
            developer_role: false,
            stream_usage: StreamUsage::Unknown,
            stream_end: StreamEnd::default(),
            stream_framing: StreamFraming::default(),
            drop: Vec::new(),
            rename: Vec::new(),
            set: Vec::new(),
            clamp: Vec::new(),
        }
    }
}

impl Quirks {
    /// `stream_options.include_usage` may be added to what passes untouched.
    pub fn may_ask_stream_usage(&self) -> bool {
        self.stream_usage == StreamUsage::Ask
    }

    /// A request that the gateway writes itself asks for it.
    pub fn asks_stream_usage(&self) -> bool {
        matches!(self.stream_usage, StreamUsage::Ask | StreamUsage::Unknown)
    }
}
