//! Errors, read and written: `{"error":{"message","type","param","code"}}`, and what compatible servers make of it.

use crate::{
    canonical::fault::{Fault, FaultKind},
    json::{Node, Out},
};

/// Bytes of a provider's message that are told.
const MAX_MESSAGE_BYTES: usize = 8 * 1024;

pub(super) fn read(status: u16, body: &[u8]) -> Fault {
    match Node::document(unlisted(body)) {
        Ok(document) => of_document(document, Some(status)),
        Err(_) => Fault::of_status(status),
    }
}

/// Google's compatible endpoint puts its error into a list of one.
fn unlisted(body: &[u8]) -> &[u8] {
    let body = body.trim_ascii();
    let inner = body.strip_prefix(b"[").and_then(|body| body.strip_suffix(b"]"));
    inner.unwrap_or(body)
}

/// What an error object says. Without a status it came in the middle of an answer.
pub(super) fn of_document(document: Node<'_>, status: Option<u16>) -> Fault {
    // OpenAI has it under `error`; Mistral and vLLM at the top; FastAPI's servers say `detail`.
    let error = document
        .get("error")
        .filter(|error| !error.is_null())
        .unwrap_or(document);
    let text = |name: &str| Some(error.get(name)?.string()?.into_owned()).filter(|text| !text.is_empty());
    let code = text("code");
    let number = error.get("code").and_then(Node::unsigned);
    let message = error.string().map(|text| text.into_owned()).or_else(|| text("message"));
    let message = message.or_else(|| text("detail")).or_else(|| detail(error));
    // OpenRouter's code is the status that its provider gave.
    let told = number.and_then(|number| u16::try_from(number).ok());
    let status = status.or(told.filter(|told| (400..600).contains(told)));
    let kind = kind(code.as_deref(), text("type").as_deref(), message.as_deref(), status);
    let status = status.unwrap_or(kind.status());
    let message = shortened(message.unwrap_or_else(|| Fault::of_status(status).message));
    Fault {
        kind,
        status,
        code: code.or_else(|| number.map(|number| number.to_string())),
        retry_after_ms: retry_after_ms(&message),
        message,
        param: text("param"),
    }
}

/// FastAPI's list of what was wrong.
fn detail(error: Node<'_>) -> Option<String> {
    let first = error.get("detail")?.elements().next()?;
    Some(first.get("msg")?.string()?.into_owned())
}

fn shortened(mut message: String) -> String {
    let mut end = MAX_MESSAGE_BYTES.min(message.len());
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message
}

fn kind(code: Option<&str>, class: Option<&str>, message: Option<&str>, status: Option<u16>) -> FaultKind {
    let message = message.unwrap_or_default();
    if message.contains("maximum context length") || message.contains("context window") {
        return FaultKind::ContextLength;
    }
    let by_word = [code, class].into_iter().flatten().find_map(kind_of_word);
    match (by_word, status) {
        (Some(kind), _) => kind,
        (None, Some(status)) => FaultKind::of_status(status),
        (None, None) if class == Some("invalid_request_error") => FaultKind::InvalidRequest,
        (None, None) => FaultKind::Internal,
    }
}

/// Words that say more than a status does.
fn kind_of_word(word: &str) -> Option<FaultKind> {
    Some(match word {
        "context_length_exceeded" | "string_above_max_length" => FaultKind::ContextLength,
        "content_filter" | "content_policy_violation" | "moderation_blocked" | "invalid_prompt" => {
            FaultKind::ContentPolicy
        }
        "invalid_api_key" | "invalid_authentication" | "account_deactivated" | "authentication_error" => {
            FaultKind::Authentication
        }
        "insufficient_quota" | "billing_hard_limit_reached" | "billing_not_active" | "exceeded_current_quota_error" => {
            FaultKind::Quota
        }
        "permission_denied" | "permission_error" | "unsupported_country_region_territory" => FaultKind::Permission,
        "model_not_found" | "not_found" | "not_found_error" | "DeploymentNotFound" => FaultKind::NotFound,
        "request_too_large" => FaultKind::TooLarge,
        "rate_limit_exceeded" | "rate_limit_error" | "requests" | "tokens" => FaultKind::RateLimited,
        "overloaded_error" | "server_overloaded" | "engine_overloaded" | "service_unavailable" | "slow_down" => {
            FaultKind::Overloaded
        }
        "timeout" | "timeout_error" => FaultKind::Timeout,
        _ => return None,
    })
}

/// From the sentence that a rate limit ends with: `Please try again in 6m1.5s.`, and Azure's `retry after 12 seconds`.
fn retry_after_ms(message: &str) -> Option<u64> {
    let told = |phrase| message.split_once(phrase).map(|(_, rest)| rest);
    let mut rest = told("try again in ").or_else(|| told("retry after "))?;
    let mut total_ms = None;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, behind) = rest.split_at(digits.unwrap_or(rest.len()));
        let behind = behind.trim_start();
        let unit = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let factor = match &behind[..unit] {
            "ms" | "milliseconds" => 1.0,
            "s" | "second" | "seconds" => 1_000.0,
            "m" | "minutes" => 60_000.0,
            "h" => 3_600_000.0,
            _ => return total_ms,
        };
        let Ok(number) = number.parse::<f64>() else {
            return total_ms;
        };
        // The cast saturates.
        total_ms = Some(total_ms.unwrap_or(0u64).saturating_add((number * factor).ceil() as u64));
        rest = &behind[unit..];
    }
}

/// Appends the body and gives the status it goes with.
pub(super) fn write(fault: &Fault, out: &mut Vec<u8>) -> u16 {
    let (class, code) = words(fault.kind);
    let mut json = Out::new(out);
    json.open().key("error").open();
    json.key("message").string(&fault.message);
    json.key("type").string(class).key("param");
    match &fault.param {
        Some(param) => json.string(param),
        None => json.null(),
    };
    json.key("code");
    match code.or(fault.code.as_deref()) {
        Some(code) => json.string(code),
        None => json.null(),
    };
    json.close().close();
    let fits = (400..600).contains(&fault.status) && FaultKind::of_status(fault.status) == fault.kind;
    // 529 is Anthropic's alone.
    if fits && fault.status != 529 {
        fault.status
    } else {
        fault.kind.status()
    }
}

/// `type` and, where OpenAI has one for the kind, `code`.
fn words(kind: FaultKind) -> (&'static str, Option<&'static str>) {
    match kind {
        FaultKind::InvalidRequest => ("invalid_request_error", None),
        FaultKind::ContextLength => ("invalid_request_error", Some("context_length_exceeded")),
        FaultKind::ContentPolicy => ("invalid_request_error", Some("content_policy_violation")),
        FaultKind::Authentication => ("invalid_request_error", Some("invalid_api_key")),
        FaultKind::Quota => ("insufficient_quota", Some("insufficient_quota")),
        FaultKind::Permission => ("permission_error", None),
        FaultKind::NotFound => ("invalid_request_error", Some("model_not_found")),
        FaultKind::TooLarge => ("invalid_request_error", Some("request_too_large")),
        FaultKind::RateLimited => ("requests", Some("rate_limit_exceeded")),
        FaultKind::Overloaded => ("server_error", Some("server_overloaded")),
        FaultKind::Timeout => ("server_error", Some("timeout")),
        FaultKind::Internal => ("server_error", None),
    }
}
