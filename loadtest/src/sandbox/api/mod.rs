//! The providers' APIs: which path is whose, how each asks and answers, and how each refuses.
//!
//! An API is a file (or a folder) and a line in [`APIS`]; within it every path is an [`Operation`]. None knows another,
//! nor sockets, faults or pace.

mod anthropic;
mod bedrock;
mod cohere;
mod gemini;
mod invoke;
mod json;
mod made;
mod openai;
mod vector;

use std::borrow::Cow;

use percent_encoding::percent_decode;
use tollgate_wire::head::{Method, RequestView};

use super::{
    ask::{Ask, Dialect},
    limits::{Exceeded, Standing},
    performance::Performer,
    reply::{Events, Reply},
};

/// All there are, those asked most often first.
const APIS: [&dyn Api; 5] = [
    &openai::OpenAi,
    &anthropic::Anthropic,
    &gemini::Gemini,
    &cohere::Cohere,
    &bedrock::Bedrock,
];

/// What a provider's paths have in common.
pub trait Api: Sync {
    /// What a request line and head are for; any prefix before the API's own path is accepted.
    fn find(&self, view: RequestView) -> Option<&'static dyn Operation>;

    /// The header that carries the answer's id.
    fn request_id_header(&self) -> &'static str;

    /// Why a head is refused, whatever the body says.
    fn refusal(&self, _view: RequestView) -> Option<&'static str> {
        None
    }

    /// Appends the body of a refusal.
    fn error(&self, out: &mut Vec<u8>, failure: &Failure);

    /// Appends header lines that only a refusal has.
    fn error_head(&self, _out: &mut Vec<u8>, _failure: &Failure) {}

    /// Appends header lines that tell a customer where it stands with its limits.
    fn limit_head(&self, _out: &mut Vec<u8>, _standing: &Standing) {}

    /// What the provider says when a limit refuses a call.
    fn limit_message(&self, exceeded: &Exceeded, model: &str) -> String;
}

/// One path of an API.
pub trait Operation: Sync {
    /// Reads a request; the error is the message for a 400.
    fn read<'a>(&self, request: &Request<'a>) -> Result<Ask<'a>, String>;

    /// Appends the body of a whole answer.
    fn write(&self, out: &mut Vec<u8>, request: &Request, reply: &Reply);

    /// Appends header lines that a whole answer has, where its body does not say all.
    fn usage_head(&self, _out: &mut Vec<u8>, _reply: &Reply) {}

    /// Adds the events of a stream, where `read` can find that one is asked for.
    fn stream(&self, _events: Events, _request: &Request, _ask: &Ask, _reply: &Reply) {}

    fn stream_type(&self) -> &'static str {
        "text/event-stream; charset=utf-8"
    }

    /// Who performs where a request wants more than a text.
    fn performer(&self, _model: &str) -> Option<Performer> {
        None
    }

    /// Under which name an answer may be remembered by the request's body alone: the path says nothing the body does not.
    fn remembered_as(&self) -> Option<Dialect> {
        None
    }
}

/// A request, as an operation sees it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub view: RequestView<'a>,
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// What the path has between the last `before` (else its last slash) and the `after` behind it, percent-decoded.
    pub fn named_in_path(&self, before: &[u8], after: &[u8]) -> Cow<'a, str> {
        let path = self.view.path();
        let start = memchr::memmem::rfind(path, before).map(|at| at + before.len());
        let start = start.or(memchr::memrchr(b'/', path).map(|at| at + 1)).unwrap_or(0);
        let end = memchr::memmem::rfind(&path[start..], after).map_or(path.len(), |at| start + at);
        percent_decode(&path[start..end]).decode_utf8_lossy()
    }
}

/// A refusal.
pub struct Failure<'a> {
    pub status: u16,
    pub message: &'a str,
    pub model: &'a str,
    pub request_id: &'a [u8],
    pub retry_after_ns: Option<u64>,
    /// The limit that refuses.
    pub exceeded: Option<Exceeded>,
    /// The request asked for a stream in an array, and gets the error in one.
    pub in_array: bool,
}

impl<'a> Failure<'a> {
    pub fn new(status: u16, message: &'a str) -> Self {
        Self {
            status,
            message,
            model: "",
            request_id: b"",
            retry_after_ns: None,
            exceeded: None,
            in_array: false,
        }
    }

    /// Whole seconds to wait, never too few.
    pub fn retry_after_s(&self) -> Option<u64> {
        Some(self.retry_after_ns?.div_ceil(1_000_000_000))
    }
}

/// Whose a request is, and what it is for.
pub fn find(view: RequestView) -> Option<(&'static dyn Api, &'static dyn Operation)> {
    APIS.iter().find_map(|api| Some((*api, api.find(view)?)))
}

/// The API whose shape errors have that are nobody's.
pub fn plain() -> &'static dyn Api {
    APIS[0]
}

/// The operation whose path the request's ends with.
fn by_suffix(
    view: RequestView,
    method: Method,
    known: &[(&str, &'static dyn Operation)],
) -> Option<&'static dyn Operation> {
    if view.head.method != method {
        return None;
    }
    let path = view.path();
    let found = known.iter().find(|(suffix, _)| path.ends_with(suffix.as_bytes()));
    found.map(|(_, operation)| *operation)
}

/// Whether the request reads; HEAD is GET without the body, which is taken off later.
fn is_get(view: RequestView) -> bool {
    matches!(view.head.method, Method::Get | Method::Head)
}

#[cfg(test)]
pub mod tests {
    use tollgate_wire::{head::RequestHead, http1::read as head};

    use super::*;

    /// Calls `then` with a POST as its operation sees it.
    fn post<T>(path: &str, body: &[u8], then: impl FnOnce(&'static dyn Operation, &Request) -> T) -> T {
        let bytes = format!("POST {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        let mut parsed = RequestHead::default();
        head::request(bytes.as_bytes(), &head::Limits::default(), &mut parsed).expect("a head");
        let view = RequestView {
            head: &parsed,
            buf: bytes.as_bytes(),
        };
        let (_, operation) = find(view).unwrap_or_else(|| panic!("{path} is nobody's"));
        then(operation, &Request { view, body })
    }

    pub fn read(path: &str, body: &[u8], check: impl FnOnce(Ask)) {
        post(path, body, |operation, request| {
            check(operation.read(request).expect(path))
        });
    }

    pub fn refused(path: &str, body: &[u8], named: &str) {
        let reason = post(path, body, |operation, request| {
            operation.read(request).expect_err(path)
        });
        assert!(reason.contains(named), "{path}: {reason}");
    }
}
