//! What is known of providers, targets and listeners before any request: the bytes that every request to them shares.

use tollgate_config::document::{Dialect, Retry, Timeouts};

/// A provider, ready to be written to.
pub(crate) struct Upstream {
    /// `POST <prefix>/chat/completions`: the request line up to the query.
    pub request_line: Box<[u8]>,
    /// Per credential, at least one: the rest of the request line and the header lines that do not depend on the request.
    pub lines: Vec<Box<[u8]>>,
    /// Names of the configured `headers`, lower case: a client's header of that name is not passed.
    pub header_names: Vec<Box<str>>,
    pub timeouts: Timeouts,
    pub may_ask_stream_usage: bool,
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
    pub model: TargetModel,
}

/// The provider's name of the model.
pub(crate) enum TargetModel {
    Fixed {
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
