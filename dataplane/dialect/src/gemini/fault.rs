//! Errors: `google.rpc.Status` as JSON, with its details. In a stream without `alt=sse` it stands in an array.

use crate::{
    canonical::fault::{Fault, FaultKind},
    json::{Node, Out},
    speak::CallFacts,
};

pub(super) fn read(status: u16, body: &[u8]) -> Fault {
    let body = body.trim_ascii();
    let body = match body.strip_prefix(b"[").and_then(|list| list.strip_suffix(b"]")) {
        Some(list) => list,
        None => body,
    };
    let error = Node::document(body).ok().and_then(|document| document.get("error"));
    match error {
        Some(error) if error.is_object() => read_error(error, Some(status)),
        _ => Fault::of_status(status),
    }
}

/// Reads the value of `error`. `status`: of the answer, where it is one.
pub(super) fn read_error(error: Node<'_>, status: Option<u16>) -> Fault {
    let (mut code, mut word, mut message, mut details) = (None, None, None, Details::default());
    for (name, value) in error.members() {
        match &*name {
            "code" => code = value.unsigned().and_then(|code| u16::try_from(code).ok()),
            "status" => word = value.string().map(|word| word.into_owned()),
            "message" => message = value.string().map(|message| message.into_owned()),
            "details" => value.elements().for_each(|detail| details.read(detail)),
            _ => {}
        }
    }
    let status = status.or(code.filter(|code| (400..600).contains(code)));
    let message = message.unwrap_or_default();
    let kind = details
        .kind(&message)
        .or_else(|| word.as_deref().and_then(kind_of_word))
        .unwrap_or_else(|| FaultKind::of_status(status.unwrap_or(500)));
    let status = status.unwrap_or(kind.status());
    Fault {
        kind,
        status,
        code: word,
        message: if message.is_empty() {
            Fault::of_status(status).message
        } else {
            message
        },
        param: details.field,
        retry_after_ms: details.retry_after_ms,
    }
}

fn kind_of_word(word: &str) -> Option<FaultKind> {
    Some(match word {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => FaultKind::InvalidRequest,
        "UNAUTHENTICATED" => FaultKind::Authentication,
        "PERMISSION_DENIED" => FaultKind::Permission,
        "NOT_FOUND" => FaultKind::NotFound,
        "RESOURCE_EXHAUSTED" => FaultKind::RateLimited,
        "UNAVAILABLE" => FaultKind::Overloaded,
        "DEADLINE_EXCEEDED" => FaultKind::Timeout,
        "INTERNAL" | "UNKNOWN" | "DATA_LOSS" | "UNIMPLEMENTED" => FaultKind::Internal,
        _ => return None,
    })
}

/// What the details say (`google.rpc` error details).
#[derive(Default)]
struct Details {
    reason: Option<String>,
    field: Option<String>,
    retry_after_ms: Option<u64>,
    /// A quota of nothing: waiting does not make it more.
    has_no_quota: bool,
}

impl Details {
    fn read(&mut self, detail: Node<'_>) {
        let string = |node: Node<'_>, name| Some(node.get(name)?.string()?.into_owned());
        let violations = |list| detail.get(list).into_iter().flat_map(Node::elements);
        let kind = string(detail, "@type").unwrap_or_default();
        match kind.rsplit('.').next() {
            Some("ErrorInfo") => self.reason = string(detail, "reason"),
            Some("RetryInfo") => {
                self.retry_after_ms = string(detail, "retryDelay").and_then(|delay| milliseconds(&delay));
            }
            Some("BadRequest") => {
                self.field = violations("fieldViolations").find_map(|violation| string(violation, "field"));
            }
            Some("QuotaFailure") => {
                self.has_no_quota |= violations("violations").any(|violation| {
                    let value = string(violation, "quotaValue");
                    value.as_deref() == Some("0")
                });
            }
            _ => {}
        }
    }

    /// What the details, or Google's sentences where it has no word, say better than the status.
    fn kind(&self, message: &str) -> Option<FaultKind> {
        let says = |words: &str| message.contains(words);
        match self.reason.as_deref() {
            Some("API_KEY_INVALID") => return Some(FaultKind::Authentication),
            Some("BILLING_DISABLED") => return Some(FaultKind::Quota),
            _ if self.has_no_quota => return Some(FaultKind::Quota),
            _ => {}
        }
        if says("exceeds the maximum number of tokens") || says("input token count exceeds") {
            return Some(FaultKind::ContextLength);
        }
        if says("payload size exceeds") {
            return Some(FaultKind::TooLarge);
        }
        says("API key not valid").then_some(FaultKind::Authentication)
    }
}

/// A duration as JSON has it: `39s`, `1.5s`.
fn milliseconds(delay: &str) -> Option<u64> {
    let (seconds, fraction) = match delay.strip_suffix('s')?.split_once('.') {
        Some((seconds, fraction)) => (seconds, fraction),
        None => (delay.strip_suffix('s')?, ""),
    };
    let thousandths = fraction.bytes().chain(*b"000").take(3).try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
    })?;
    seconds
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000)?
        .checked_add(thousandths)
}

pub(super) fn write(fault: &Fault, call: &CallFacts, out: &mut Vec<u8>) -> u16 {
    if call.as_array {
        out.push(b'[');
    }
    let mut json = Out::new(out);
    json.open();
    write_error(fault, &mut json);
    json.close();
    if call.as_array {
        out.push(b']');
    }
    http_status(fault)
}

/// The status that Google's own answers have; what is of no status of theirs keeps its own.
fn http_status(fault: &Fault) -> u16 {
    match (fault.kind, fault.status) {
        (FaultKind::TooLarge, _) => 400,
        // Of the gateway's own: a method, a coding that is not taken.
        (FaultKind::InvalidRequest, 405 | 415) => fault.status,
        _ => fault.answer_status(),
    }
}

/// Appends the member `error`. The SDK knows an error in a stream by its being the first.
pub(super) fn write_error(fault: &Fault, json: &mut Out<'_>) {
    let own = fault.code.as_deref().filter(|code| kind_of_word(code).is_some());
    let word = own.unwrap_or(match fault.kind {
        FaultKind::InvalidRequest | FaultKind::ContextLength | FaultKind::ContentPolicy | FaultKind::TooLarge => {
            "INVALID_ARGUMENT"
        }
        FaultKind::Authentication => "UNAUTHENTICATED",
        FaultKind::Quota | FaultKind::RateLimited => "RESOURCE_EXHAUSTED",
        FaultKind::Permission => "PERMISSION_DENIED",
        FaultKind::NotFound => "NOT_FOUND",
        FaultKind::Overloaded => "UNAVAILABLE",
        FaultKind::Timeout => "DEADLINE_EXCEEDED",
        FaultKind::Internal if fault.status == 501 => "UNIMPLEMENTED",
        FaultKind::Internal => "INTERNAL",
    });
    json.key("error").open();
    json.key("code").unsigned(u64::from(http_status(fault)));
    json.key("message").string(&fault.message).key("status").string(word);
    if fault.param.is_some() || fault.retry_after_ms.is_some() {
        json.key("details").open_list();
        if let Some(param) = &fault.param {
            json.open()
                .key("@type")
                .string("type.googleapis.com/google.rpc.BadRequest");
            json.key("fieldViolations")
                .open_list()
                .open()
                .key("field")
                .string(param);
            json.key("description")
                .string(&fault.message)
                .close()
                .close_list()
                .close();
        }
        if let Some(wait_ms) = fault.retry_after_ms {
            let (seconds, rest_ms) = (wait_ms / 1_000, wait_ms % 1_000);
            let delay = match rest_ms {
                0 => format!("{seconds}s"),
                _ => format!("{seconds}.{rest_ms:03}s"),
            };
            json.open()
                .key("@type")
                .string("type.googleapis.com/google.rpc.RetryInfo");
            json.key("retryDelay").string(&delay).close();
        }
        json.close_list();
    }
    json.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (delay, read) in [
            ("39s", Some(39_000)),
            ("1.5s", Some(1_500)),
            ("0.123456789s", Some(123)),
            ("s", None),
            ("-1s", None),
            ("1.xs", None),
            ("18446744073709551615s", None),
            ("39", None),
        ] {
            assert_eq!(milliseconds(delay), read, "{delay}");
        }
    }
}
