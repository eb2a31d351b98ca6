//! Error answers. A body is `{"id", "message"}`, sometimes with `error_type`; there is no list of codes, so what the
//! status leaves open is told by how the message begins (Cohere's API reference, "Errors").

use std::borrow::Cow;

use crate::{
    canonical::fault::{Fault, FaultKind},
    json::{Node, Out},
    speak::CallFacts,
};

/// The only `error_type` seen.
const TOO_MANY_TOKENS: &str = "TOO_MANY_TOKENS";
/// Deny-listed words in the prompt or the answer.
const DENY_LISTED: u16 = 498;

pub(super) fn read(status: u16, body: &[u8]) -> Fault {
    match Node::document(body).ok().and_then(|node| said(status, node)) {
        Some(fault) => fault,
        None => Fault {
            kind: kind(status, None, ""),
            ..Fault::of_status(status)
        },
    }
}

/// An error object, wherever it came; `None` where it has no message.
pub(super) fn said(status: u16, object: Node<'_>) -> Option<Fault> {
    // Gateways in front of a private deployment wrap it.
    let paths: [&[&str]; 4] = [&["message"], &["error", "message"], &["error"], &["detail"]];
    let message = paths.iter().find_map(|path| object.at(path).and_then(Node::string))?;
    let code = object.get("error_type").and_then(Node::string);
    Some(Fault {
        kind: kind(status, code.as_deref(), &message),
        status,
        code: code.map(Cow::into_owned),
        message: message.into_owned(),
        param: None,
        retry_after_ms: None,
    })
}

fn kind(status: u16, code: Option<&str>, message: &str) -> FaultKind {
    let begins = |with: &str| {
        message
            .get(..with.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(with))
    };
    let too_many = code == Some(TOO_MANY_TOKENS) || begins("too many tokens");
    match status {
        // `max_tokens` above the model's limit says so with the same words, but a longer context does not help.
        400 | 422 if too_many && !begins("too many tokens: max tokens") => FaultKind::ContextLength,
        400 | 403 | 422 if begins("blocked") => FaultKind::ContentPolicy,
        DENY_LISTED => FaultKind::ContentPolicy,
        499 => FaultKind::Timeout,
        501 => FaultKind::InvalidRequest,
        // A trial key's calls of the month are gone; those of the minute come back.
        429 if message.contains("/ month") || message.contains("per month") => FaultKind::Quota,
        _ => FaultKind::of_status(status),
    }
}

pub(super) fn write(fault: &Fault, call: &CallFacts, out: &mut Vec<u8>) -> u16 {
    let mut json = Out::new(out);
    json.open().key("id").string(&call.request_id);
    json.key("message").string(&fault.message);
    if fault.kind == FaultKind::ContextLength {
        json.key("error_type").string(TOO_MANY_TOKENS);
    }
    json.close();
    match fault.kind {
        FaultKind::Quota => 402,
        FaultKind::ContentPolicy => DENY_LISTED,
        _ => fault.answer_status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_status_leaves_open_the_message_tells() {
        for (status, message, expected) in [
            (
                400,
                "invalid request: temperature must be between 0 and 2.0 inclusive.",
                FaultKind::InvalidRequest,
            ),
            (
                400,
                "too many tokens: size limit exceeded by 11326 tokens.",
                FaultKind::ContextLength,
            ),
            (
                400,
                "too many tokens: max tokens must be less than or equal to 4096",
                FaultKind::InvalidRequest,
            ),
            (
                400,
                "blocked input: a violation of our usage guidelines",
                FaultKind::ContentPolicy,
            ),
            (401, "invalid api token", FaultKind::Authentication),
            (402, "Please add or update your payment method", FaultKind::Quota),
            (404, "model 'xyz' not found", FaultKind::NotFound),
            (422, "unknown field", FaultKind::InvalidRequest),
            (429, "limited to 40 API calls / minute.", FaultKind::RateLimited),
            (429, "limited to 1000 API calls / month.", FaultKind::Quota),
            (498, "", FaultKind::ContentPolicy),
            (499, "request cancelled", FaultKind::Timeout),
            (501, "not implemented", FaultKind::InvalidRequest),
            (503, "", FaultKind::Overloaded),
        ] {
            assert_eq!(kind(status, None, message), expected, "{status} {message}");
        }
    }
}
