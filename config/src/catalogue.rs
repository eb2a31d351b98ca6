//! The provider catalogue: what is known of a `kind:`, as rows. A provider that speaks a known dialect needs no more
//! than a row here.

use crate::document::{Auth, Dialect};

/// One kind of provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub kind: &'static str,
    pub dialect: Dialect,
    /// Where it lives; `None`: the operator must say.
    pub base_url: Option<&'static str>,
    pub auth: Auth,
    /// It understands `stream_options.include_usage`.
    pub may_ask_stream_usage: bool,
}

/// Sources: platform.openai.com/docs/api-reference (Authentication, stream_options) and docs.anthropic.com/en/api
/// (x-api-key; a stream's usage always comes). The sandbox is `tollgate-loadtest sandbox`, which speaks both.
pub static ROWS: &[Row] = &[
    Row {
        kind: "openai",
        dialect: Dialect::OpenAi,
        base_url: Some("https://api.openai.com"),
        auth: Auth::Bearer,
        may_ask_stream_usage: true,
    },
    Row {
        kind: "anthropic",
        dialect: Dialect::Anthropic,
        base_url: Some("https://api.anthropic.com"),
        auth: Auth::XApiKey,
        may_ask_stream_usage: false,
    },
    Row {
        kind: "sandbox",
        dialect: Dialect::OpenAi,
        base_url: None,
        auth: Auth::Bearer,
        may_ask_stream_usage: true,
    },
    Row {
        kind: "sandbox-anthropic",
        dialect: Dialect::Anthropic,
        base_url: None,
        auth: Auth::XApiKey,
        may_ask_stream_usage: false,
    },
];

/// The row of a kind.
pub fn row(kind: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.kind == kind)
}

/// What a dialect is by itself, without a row: how its credential is sent. Nothing is known of the server, so it is
/// not asked for more than the client asks.
pub fn bare(dialect: Dialect) -> Row {
    let auth = match dialect {
        Dialect::Anthropic => Auth::XApiKey,
        Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Gemini | Dialect::Cohere | Dialect::Bedrock => {
            Auth::Bearer
        }
    };
    Row {
        kind: "",
        dialect,
        base_url: None,
        auth,
        may_ask_stream_usage: false,
    }
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
