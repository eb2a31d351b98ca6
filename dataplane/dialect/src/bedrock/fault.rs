//! Errors: in a body with a status, and in a stream.
//!
//! An exception's name stands in the header `x-amzn-errortype`, which a sans-IO reader does not see, and with some
//! front doors of AWS in the body (`__type`). Where neither says it, status and message must do.

use crate::{
    canonical::fault::{Fault, FaultKind},
    json::{Node, Out},
};

/// Names, what they mean, and their status. A kind's first row is how it is written.
const EXCEPTIONS: &[(&str, FaultKind, u16)] = &[
    ("ValidationException", FaultKind::InvalidRequest, 400),
    ("ValidationException", FaultKind::ContextLength, 400),
    ("ValidationException", FaultKind::ContentPolicy, 400),
    ("UnrecognizedClientException", FaultKind::Authentication, 403),
    ("AccessDeniedException", FaultKind::Permission, 403),
    ("ResourceNotFoundException", FaultKind::NotFound, 404),
    ("RequestEntityTooLargeException", FaultKind::TooLarge, 413),
    ("ThrottlingException", FaultKind::RateLimited, 429),
    ("ServiceQuotaExceededException", FaultKind::Quota, 400),
    ("ServiceUnavailableException", FaultKind::Overloaded, 503),
    ("ModelTimeoutException", FaultKind::Timeout, 408),
    ("InternalServerException", FaultKind::Internal, 500),
    ("ModelErrorException", FaultKind::Internal, 424),
    ("ModelStreamErrorException", FaultKind::Internal, 424),
    ("ModelNotReadyException", FaultKind::Overloaded, 429),
    ("ExpiredTokenException", FaultKind::Authentication, 403),
    ("InvalidSignatureException", FaultKind::Authentication, 403),
    ("IncompleteSignatureException", FaultKind::Authentication, 403),
    ("MissingAuthenticationTokenException", FaultKind::Authentication, 403),
    ("UnknownOperationException", FaultKind::NotFound, 404),
    ("TooManyRequestsException", FaultKind::RateLimited, 429),
    ("InternalFailure", FaultKind::Internal, 500),
    ("ServiceUnavailable", FaultKind::Overloaded, 503),
];

type Row = (&'static str, FaultKind, u16);

pub(super) fn read(status: u16, body: &[u8]) -> Fault {
    let Ok(root) = Node::document(body) else {
        return Fault {
            kind: of_status(status),
            ..Fault::of_status(status)
        };
    };
    let text = |names: [&str; 2]| names.into_iter().find_map(|name| root.get(name)?.string());
    let name = text(["__type", "code"]).map(|name| bare(&name).to_owned());
    let message = text(["message", "Message"]).map_or_else(|| Fault::of_status(status).message, Into::into);
    let known = name.as_deref().and_then(row_of_name);
    let kind = known.map_or_else(|| of_status(status), |row| row.1);
    Fault {
        kind: refined(kind, &message),
        status,
        code: name,
        message,
        param: None,
        retry_after_ms: None,
    }
}

/// An exception in a stream, or the error of an event stream. `name` begins with a small letter there.
pub(super) fn read_in_stream(name: &str, payload: &[u8], message: Option<&str>) -> Fault {
    let root = Node::document(payload).ok();
    let said = root.and_then(|root| root.get("message").or_else(|| root.get("Message"))?.string());
    let message = match (said, message) {
        (Some(said), _) => said.into_owned(),
        (None, Some(message)) => message.to_owned(),
        (None, None) => format!("the stream ended with {name}"),
    };
    let kind = row_of_name(name).map_or(FaultKind::Internal, |row| row.1);
    let kind = refined(kind, &message);
    Fault {
        code: Some(name.to_owned()),
        ..Fault::in_stream(kind, message)
    }
}

/// `com.amazon.coral#ThrottlingException:http://…` is `ThrottlingException`.
fn bare(name: &str) -> &str {
    let name = name.split(':').next().unwrap_or_default();
    name.rsplit('#').next().unwrap_or_default()
}

fn row_of_name(name: &str) -> Option<&'static Row> {
    EXCEPTIONS.iter().find(|row| row.0.eq_ignore_ascii_case(name))
}

fn of_status(status: u16) -> FaultKind {
    match status {
        // The model failed, not the request.
        424 => FaultKind::Internal,
        status => FaultKind::of_status(status),
    }
}

/// What only the message tells apart.
fn refined(kind: FaultKind, message: &str) -> FaultKind {
    let says = |phrases: &[&str]| {
        let message = message.to_ascii_lowercase();
        phrases.iter().any(|phrase| message.contains(phrase))
    };
    match kind {
        FaultKind::InvalidRequest if says(TOO_LONG) => FaultKind::ContextLength,
        FaultKind::InvalidRequest if says(FILTERED) => FaultKind::ContentPolicy,
        FaultKind::Permission if says(UNKNOWN_CALLER) => FaultKind::Authentication,
        kind => kind,
    }
}

const TOO_LONG: &[&str] = &[
    "input is too long",
    "prompt is too long",
    "too many input tokens",
    "context length",
    "context window",
    "maximum tokens you requested exceeds",
];
const FILTERED: &[&str] = &[
    "content filter",
    "content policy",
    "blocked by the guardrail",
    "safety filters",
];
const UNKNOWN_CALLER: &[&str] = &["security token", "signature", "credential", "api key", "bearer token"];

/// How a fault is written: under the name it came with where that fits, else its kind's first.
fn row(fault: &Fault) -> &'static Row {
    let named = |row: &&Row| {
        fault
            .code
            .as_deref()
            .is_some_and(|code| row.0.eq_ignore_ascii_case(code))
    };
    let of_kind = || EXCEPTIONS.iter().filter(|row| row.1 == fault.kind);
    of_kind()
        .find(named)
        .or_else(|| of_kind().next())
        .unwrap_or(&EXCEPTIONS[0])
}

/// The exception's name, which belongs into the header `x-amzn-errortype`: SDKs look there first.
pub fn error_type(fault: &Fault) -> &'static str {
    row(fault).0
}

/// Appends the body and gives the status. The name stands in it too, for who does not see the header.
pub(super) fn write(fault: &Fault, out: &mut Vec<u8>) -> u16 {
    let (name, kind, status) = row(fault);
    let mut json = Out::new(out);
    json.open().key("message").string(&fault.message);
    json.key("__type").string(name).key("code").string(name).close();
    match *status == kind.status() {
        true => fault.answer_status(),
        false => *status,
    }
}

/// The exception of a stream: the one it came as, or its kind's. A stream has five of them.
pub(super) fn exception_in_stream(fault: &Fault) -> &'static str {
    let named = |name: &&str| {
        fault
            .code
            .as_deref()
            .is_some_and(|code| name.eq_ignore_ascii_case(code))
    };
    let of_kind = match fault.kind {
        FaultKind::RateLimited | FaultKind::Quota => "throttlingException",
        FaultKind::Overloaded => "serviceUnavailableException",
        FaultKind::Timeout => "modelStreamErrorException",
        FaultKind::Internal => "internalServerException",
        FaultKind::InvalidRequest
        | FaultKind::ContextLength
        | FaultKind::ContentPolicy
        | FaultKind::Authentication
        | FaultKind::Permission
        | FaultKind::NotFound
        | FaultKind::TooLarge => "validationException",
    };
    IN_STREAMS.into_iter().find(named).unwrap_or(of_kind)
}

const IN_STREAMS: [&str; 5] = [
    "internalServerException",
    "modelStreamErrorException",
    "validationException",
    "throttlingException",
    "serviceUnavailableException",
];

/// The exception's payload.
pub(super) fn write_in_stream(fault: &Fault, out: &mut Vec<u8>) {
    let mut json = Out::new(out);
    json.open().key("message").string(&fault.message);
    if fault.kind == FaultKind::Timeout {
        json.key("originalStatusCode").unsigned(u64::from(fault.status));
        json.key("originalMessage").string(&fault.message);
    }
    json.close();
}
