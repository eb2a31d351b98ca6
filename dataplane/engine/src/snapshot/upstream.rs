//! What is known of providers, targets and listeners before any request: the bytes that every request to them shares.

use tollgate_config::document::{Dialect, Retry, Timeouts};
use tollgate_dialect::quirks::Quirks;

use crate::percent;

/// A provider, ready to be written to.
pub(crate) struct Upstream {
    pub call_path: CallPath,
    /// Per credential, at least one: the rest of the request line and the header lines that do not depend on the request.
    pub lines: Vec<Box<[u8]>>,
    /// Names of the configured `headers`, lower case: a client's header of that name is not passed.
    pub header_names: Vec<Box<str>>,
    pub timeouts: Timeouts,
    pub may_ask_stream_usage: bool,
}

impl Upstream {
    /// The rest of the request line and the first header lines; `turn` spreads the load over the credentials.
    pub fn credential_lines(&self, turn: u64) -> &[u8] {
        &self.lines[turn as usize % self.lines.len()]
    }
}

/// The request line of a chat call, up to the query.
pub(crate) struct CallPath {
    /// `POST <prefix>/chat/completions`, or up to the model's name where the dialect has that in the path.
    pub before: Box<[u8]>,
    pub model_in_path: bool,
    /// What follows the model's name.
    pub buffered: &'static [u8],
    pub streamed: &'static [u8],
    /// The query that asks for a stream of events, where the request is ours to write.
    pub streamed_query: &'static [u8],
}

impl CallPath {
    pub fn new(dialect: Dialect, prefix: &str) -> CallPath {
        let fixed = |path: &str| CallPath {
            before: format!("POST {prefix}{path}").into_bytes().into(),
            model_in_path: false,
            buffered: b"",
            streamed: b"",
            streamed_query: b"",
        };
        match dialect {
            Dialect::OpenAi => fixed("/chat/completions"),
            Dialect::OpenAiResponses => fixed("/responses"),
            Dialect::Anthropic => fixed("/messages"),
            Dialect::Cohere => fixed("/chat"),
            Dialect::Gemini => CallPath {
                model_in_path: true,
                buffered: b":generateContent",
                streamed: b":streamGenerateContent",
                streamed_query: b"?alt=sse",
                ..fixed("/models/")
            },
            Dialect::Bedrock => CallPath {
                model_in_path: true,
                buffered: b"/converse",
                streamed: b"/converse-stream",
                ..fixed("/model/")
            },
        }
    }

    /// Appends method and path.
    pub fn write(&self, out: &mut Vec<u8>, model: &str, stream: bool) {
        out.extend_from_slice(&self.before);
        if self.model_in_path {
            percent::encode_segment(out, model);
        }
        out.extend_from_slice(if stream { self.streamed } else { self.buffered });
    }
}

/// A model's targets in order of priority.
pub(crate) struct Route {
    pub targets: Vec<Target>,
    pub retry: Retry,
}

pub(crate) struct Target {
    /// Index into `document.providers`.
    pub provider: usize,
    pub dialect: Dialect,
    pub quirks: Quirks,
    pub model: TargetModel,
}

/// The provider's name of the model.
pub(crate) enum TargetModel {
    Fixed {
        name: Box<str>,
        /// As a JSON string, quotes included.
        json: Box<[u8]>,
        /// `x-tollgate-provider` and `x-tollgate-model`.
        answer_lines: Box<[u8]>,
    },
    /// What the star matched goes between the two.
    Star { before: Box<str>, after: Box<str> },
}

/// What a listener with CORS answers to origins it knows.
pub(crate) struct CorsLines {
    /// `None`: any origin.
    pub origins: Option<Vec<Box<[u8]>>>,
    pub max_age_s: u32,
}
