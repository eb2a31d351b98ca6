//! Errors: `{"type":"error","error":{"type","message"},"request_id"}`, as a body and in a stream.

use crate::{
    canonical::fault::{Fault, FaultKind},
    json::{Node, Out},
    speak::CallFacts,
};

/// A longer first word of a message is no path into a request.
const MAX_PARAM_BYTES: usize = 128;
/// What Anthropic's own clients look for to shorten a conversation.
const TOO_LONG: &str = "prompt is too long";

pub(super) fn read(status: u16, body: &[u8]) -> Fault {
    let error = Node::document(body).ok().and_then(|body| body.get("error"));
    match error.filter(|error| error.is_object()) {
        Some(error) => of_error(error, Some(status)),
        None => Fault::of_status(status),
    }
}

/// From an event, or a body with status 200.
pub(super) fn in_stream(event: Node<'_>) -> Fault {
    match event.get("error").filter(|error| error.is_object()) {
        Some(error) => of_error(error, None),
        None => Fault::in_stream(FaultKind::Internal, "the provider failed and did not say why"),
    }
}

fn of_error(error: Node<'_>, status: Option<u16>) -> Fault {
    let word = |node: Option<Node<'_>>| node.and_then(Node::string).map(|text| text.into_owned());
    let kind_word = word(error.get("type"));
    let message = word(error.get("message"));
    let detail = word(error.at(&["details", "error_code"]));
    let known = kind_word.as_deref().and_then(kind_of_word);
    let fallback = || status.map_or(FaultKind::Internal, FaultKind::of_status);
    // `api_error` is all there is for a failure of the provider's: 503 and 504 say more.
    let known = known.filter(|kind| *kind != FaultKind::Internal || status.is_none_or(|status| status < 503));
    let kind = refine(known.unwrap_or_else(fallback), message.as_deref(), detail.as_deref());
    let status = status.unwrap_or_else(|| kind.status());
    Fault {
        kind,
        status,
        code: detail.or(kind_word),
        param: message.as_deref().and_then(param),
        message: message.unwrap_or_else(|| Fault::of_status(status).message),
        retry_after_ms: None,
    }
}

fn kind_of_word(word: &str) -> Option<FaultKind> {
    Some(match word {
        "invalid_request_error" | "conflict_error" => FaultKind::InvalidRequest,
        "authentication_error" => FaultKind::Authentication,
        "billing_error" => FaultKind::Quota,
        "permission_error" => FaultKind::Permission,
        "not_found_error" => FaultKind::NotFound,
        "request_too_large" => FaultKind::TooLarge,
        "rate_limit_error" => FaultKind::RateLimited,
        "timeout_error" => FaultKind::Timeout,
        "overloaded_error" => FaultKind::Overloaded,
        "api_error" => FaultKind::Internal,
        _ => return None,
    })
}

/// Some faults have only words of their own in the message, or a code beside the type.
fn refine(kind: FaultKind, message: Option<&str>, detail: Option<&str>) -> FaultKind {
    let says = |words: &str| message.is_some_and(|message| message.contains(words));
    match kind {
        FaultKind::InvalidRequest if message.is_some_and(is_too_long) => FaultKind::ContextLength,
        FaultKind::InvalidRequest if says("credit balance is too low") => FaultKind::Quota,
        FaultKind::InvalidRequest if says("content filtering policy") => FaultKind::ContentPolicy,
        FaultKind::RateLimited if detail.is_some_and(|code| code.ends_with("spend_limit_reached")) => FaultKind::Quota,
        kind => kind,
    }
}

fn is_too_long(message: &str) -> bool {
    message.contains(TOO_LONG) || message.contains("exceed context limit")
}

/// The path that a message begins with (`messages.0.content: …`).
fn param(message: &str) -> Option<String> {
    let (path, _) = message.split_once(": ")?;
    let of_path = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-');
    let is_path = !path.is_empty() && path.len() <= MAX_PARAM_BYTES && path.bytes().all(of_path);
    is_path.then(|| path.to_owned())
}

pub(super) fn write(fault: &Fault, call: &CallFacts, out: &mut Vec<u8>) -> u16 {
    let mut json = Out::new(out);
    json.open().key("type").string("error");
    write_object(fault, call, &mut json);
    json.close();
    match fault.kind {
        FaultKind::Overloaded => 529,
        // The SDK asks again after 429: waiting does not bring money.
        FaultKind::Quota => 402,
        _ => fault.answer_status(),
    }
}

/// The members behind the type `error`.
pub(super) fn write_object(fault: &Fault, call: &CallFacts, json: &mut Out<'_>) {
    json.key("error")
        .open()
        .key("type")
        .string(word(fault.kind))
        .key("message");
    match fault.kind {
        FaultKind::ContextLength if !is_too_long(&fault.message) => {
            json.string(&format!("{TOO_LONG}: {}", fault.message))
        }
        _ => json.string(&fault.message),
    };
    json.close().key("request_id").string(&call.request_id);
}

/// An error's type.
pub(super) fn word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::InvalidRequest | FaultKind::ContextLength | FaultKind::ContentPolicy => "invalid_request_error",
        FaultKind::Authentication => "authentication_error",
        FaultKind::Quota => "billing_error",
        FaultKind::Permission => "permission_error",
        FaultKind::NotFound => "not_found_error",
        FaultKind::TooLarge => "request_too_large",
        FaultKind::RateLimited => "rate_limit_error",
        FaultKind::Overloaded => "overloaded_error",
        FaultKind::Timeout => "timeout_error",
        FaultKind::Internal => "api_error",
    }
}
