//! What is known of providers, targets and listeners before any request: the bytes that every request to them shares.

use tollgate_config::document::{Dialect, Retry, Timeouts};
use tollgate_dialect::quirks::Quirks;

use crate::{percent, surface::Operation};

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

/// The request lines of calls to a provider, up to the query.
pub(crate) struct CallPath {
    /// `<method> <prefix>` without the method: what every path begins with.
    prefix: Box<[u8]>,
    /// What stands before the model's name in paths that have it.
    model_behind: Option<&'static [u8]>,
    chat: &'static [u8],
    chat_streamed: &'static [u8],
    /// The query that asks for a stream of events, where the request is ours to write.
    pub streamed_query: &'static [u8],
}

impl CallPath {
    pub fn new(dialect: Dialect, prefix: &str) -> CallPath {
        let fixed = |chat: &'static [u8]| CallPath {
            prefix: prefix.as_bytes().into(),
            model_behind: None,
            chat,
            chat_streamed: chat,
            streamed_query: b"",
        };
        match dialect {
            Dialect::OpenAi => fixed(b"/chat/completions"),
            Dialect::OpenAiResponses => fixed(b"/responses"),
            Dialect::Anthropic => fixed(b"/messages"),
            Dialect::Cohere => fixed(b"/chat"),
            Dialect::Gemini => CallPath {
                model_behind: Some(b"/models/"),
                chat_streamed: b":streamGenerateContent",
                streamed_query: b"?alt=sse",
                ..fixed(b":generateContent")
            },
            Dialect::Bedrock => CallPath {
                model_behind: Some(b"/model/"),
                chat_streamed: b"/converse-stream",
                ..fixed(b"/converse")
            },
        }
    }

    /// Appends method and path of a model call.
    pub fn write(&self, out: &mut Vec<u8>, operation: Operation, model: &str, stream: bool) {
        out.extend_from_slice(b"POST ");
        out.extend_from_slice(&self.prefix);
        if let Some(behind) = self.model_behind {
            out.extend_from_slice(behind);
            percent::encode_segment(out, model);
        }
        out.extend_from_slice(match (operation, stream) {
            (Operation::Chat, false) => self.chat,
            (Operation::Chat, true) => self.chat_streamed,
            (Operation::Other(path), _) => path,
        });
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
