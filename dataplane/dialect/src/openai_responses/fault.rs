//! Errors: `{"error":{"message","type","param","code"}}` as an answer, the same without its wrapper in a stream, and
//! what a failed response says of itself.

use crate::{
    canonical::fault::{Fault, FaultKind},
    json::{Node, Out},
};

/// A provider's error answer. Azure and compatible servers write it in other ways, too: a string as `error`, `message`
/// or `detail` at the top.
pub(super) fn read(status: u16, body: &[u8]) -> Fault {
    let plain = Fault::of_status(status);
    let Ok(document) = Node::document(body) else {
        return plain;
    };
    let fault = of_node(document, plain.kind);
    Fault {
        status,
        message: match fault.message.is_empty() {
            true => plain.message,
            false => fault.message,
        },
        ..fault
    }
}

/// An `error` event, or a response that failed.
pub(super) fn in_stream(node: Node<'_>) -> Fault {
    let fault = of_node(node, FaultKind::Internal);
    Fault {
        message: match fault.message.is_empty() {
            true => "the provider broke off its answer".to_owned(),
            false => fault.message,
        },
        ..fault
    }
}

fn of_node(node: Node<'_>, usual: FaultKind) -> Fault {
    let error = node.get("error").filter(|error| !error.is_null());
    let inner = error.filter(|error| error.is_object()).unwrap_or(node);
    let word = |name: &str| inner.get(name).and_then(Node::string).map(|word| word.into_owned());
    let message = error
        .and_then(Node::string)
        .map(|message| message.into_owned())
        .or_else(|| word("message"))
        .or_else(|| word("detail"))
        .unwrap_or_default();
    let code = word("code").filter(|code| !code.is_empty());
    let kind = code
        .as_deref()
        .and_then(kind_of)
        .filter(|kind| tells(*kind, usual))
        .or_else(|| {
            word("type")
                .as_deref()
                .and_then(kind_of)
                .filter(|kind| tells(*kind, usual))
        })
        .unwrap_or(usual);
    Fault {
        kind,
        status: kind.status(),
        retry_after_ms: retry_after_ms(&message),
        code,
        message,
        param: word("param"),
    }
}

/// `invalid_request_error` is the type of most errors, `server_error` of all of the provider's own: the status says more,
/// where there is one.
fn tells(kind: FaultKind, usual: FaultKind) -> bool {
    match kind {
        FaultKind::InvalidRequest => usual == FaultKind::Internal,
        FaultKind::Internal => !matches!(usual, FaultKind::Overloaded | FaultKind::Timeout),
        _ => true,
    }
}

/// Kinds by the words of `code` and `type`. What is not here is told by the status.
fn kind_of(word: &str) -> Option<FaultKind> {
    Some(match word {
        "context_length_exceeded" => FaultKind::ContextLength,
        "content_filter"
        | "content_policy_violation"
        | "image_content_policy_violation"
        | "invalid_prompt"
        | "bio_policy"
        | "cyber_policy"
        | "misalignment_policy_violation"
        | "moderation_blocked" => FaultKind::ContentPolicy,
        "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" => FaultKind::Quota,
        "rate_limit_exceeded" | "rate_limit_error" | "requests" | "tokens" | "slow_down" => FaultKind::RateLimited,
        "invalid_api_key" | "authentication_error" | "invalid_authentication" => FaultKind::Authentication,
        "permission_error"
        | "permission_denied"
        | "insufficient_permissions"
        | "unsupported_country_region_territory" => FaultKind::Permission,
        "model_not_found" | "not_found" | "not_found_error" | "DeploymentNotFound" | "previous_response_not_found" => {
            FaultKind::NotFound
        }
        "request_too_large" => FaultKind::TooLarge,
        "server_is_overloaded" | "overloaded" | "overloaded_error" | "engine_overloaded" => FaultKind::Overloaded,
        "timeout" | "request_timeout" | "vector_store_timeout" => FaultKind::Timeout,
        "server_error" | "internal_error" | "api_error" => FaultKind::Internal,
        "invalid_request_error"
        | "image_too_large"
        | "image_file_too_large"
        | "invalid_image"
        | "invalid_image_format"
        | "invalid_base64_image"
        | "invalid_image_url"
        | "image_too_small"
        | "image_parse_error"
        | "unsupported_image_media_type"
        | "empty_image_file"
        | "failed_to_download_image"
        | "image_file_not_found" => FaultKind::InvalidRequest,
        _ => return None,
    })
}

/// `Please try again in 1.5s`, `in 20ms`, `in 6m0s`, `retry after 6 seconds`: the body says it only in words.
fn retry_after_ms(message: &str) -> Option<u64> {
    let (_, rest) = message
        .split_once("try again in ")
        .or_else(|| message.split_once("retry after "))?;
    let (mut total, mut rest) = (None, rest);
    loop {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        // A full stop that ends the sentence is no fraction.
        let Ok(number) = rest[..digits].trim_end_matches('.').parse::<f64>() else {
            return total;
        };
        rest = rest[digits..].trim_start();
        let (unit_ms, unit) = UNITS.iter().find(|(_, unit)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        let ms = (number * unit_ms).ceil();
        if !(0.0..MAX_RETRY_AFTER_MS).contains(&ms) {
            return None;
        }
        total = Some(total.unwrap_or(0) + ms as u64);
        if !rest.starts_with(|c: char| c.is_ascii_digit()) {
            return total;
        }
    }
}

/// Longer ones first.
const UNITS: [(f64, &str); 5] = [
    (1.0, "ms"),
    (1_000.0, "second"),
    (60_000.0, "minute"),
    (1_000.0, "s"),
    (60_000.0, "m"),
];
/// A day: what says more means something else.
const MAX_RETRY_AFTER_MS: f64 = 86_400_000.0;

/// `type` and `code` of each kind.
fn words(kind: FaultKind) -> (&'static str, Option<&'static str>) {
    match kind {
        FaultKind::InvalidRequest => ("invalid_request_error", None),
        FaultKind::ContextLength => ("invalid_request_error", Some("context_length_exceeded")),
        FaultKind::ContentPolicy => ("invalid_request_error", Some("content_policy_violation")),
        FaultKind::Authentication => ("invalid_request_error", Some("invalid_api_key")),
        FaultKind::Quota => ("insufficient_quota", Some("insufficient_quota")),
        FaultKind::Permission => ("invalid_request_error", Some("permission_denied")),
        FaultKind::NotFound => ("invalid_request_error", Some("model_not_found")),
        FaultKind::TooLarge => ("invalid_request_error", Some("request_too_large")),
        FaultKind::RateLimited => ("rate_limit_error", Some("rate_limit_exceeded")),
        FaultKind::Overloaded => ("server_error", Some("server_is_overloaded")),
        FaultKind::Timeout => ("server_error", Some("timeout")),
        FaultKind::Internal => ("server_error", Some("server_error")),
    }
}

/// The provider's own word, where it is one that clients of this dialect know for this kind.
fn code(fault: &Fault) -> Option<&str> {
    let word = words(fault.kind).1;
    match &fault.code {
        Some(code) if word.is_none() || kind_of(code) == Some(fault.kind) => Some(code),
        _ => word,
    }
}

pub(super) fn write(fault: &Fault, out: &mut Vec<u8>) -> u16 {
    let mut json = Out::new(out);
    json.open().key("error").open();
    json.key("message").string(&fault.message);
    json.key("type").string(words(fault.kind).0);
    details(fault, code(fault), &mut json);
    json.close().close();
    fault.answer_status()
}

/// In a stream no status tells the kind, so there is always a code.
const UNNAMED: &str = "invalid_request_error";

/// The members of an `error` event.
pub(super) fn write_event(fault: &Fault, json: &mut Out<'_>) {
    json.key("message").string(&fault.message);
    details(fault, Some(code(fault).unwrap_or(UNNAMED)), json);
}

fn details(fault: &Fault, code: Option<&str>, json: &mut Out<'_>) {
    let optional = |json: &mut Out<'_>, name: &str, word: Option<&str>| {
        json.key(name);
        match word {
            Some(word) => json.string(word),
            None => json.null(),
        };
    };
    optional(json, "param", fault.param.as_deref());
    optional(json, "code", code);
}

/// The `error` of a response that failed; its code is never absent.
pub(super) fn write_response_error(fault: &Fault, json: &mut Out<'_>) {
    json.open().key("code").string(code(fault).unwrap_or(UNNAMED));
    json.key("message").string(&fault.message);
    if let Some(param) = &fault.param {
        json.key("param").string(param);
    }
    json.close();
}
