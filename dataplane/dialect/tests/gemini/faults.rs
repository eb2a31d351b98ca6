//! Errors, there and back.

use serde_json::json;
use tollgate_dialect::{
    canonical::fault::{Fault, FaultKind},
    gemini::SPEAKS,
    speak::Speaks,
};

use crate::rig::{call, case, golden, json};

fn read(name: &str, status: u16) -> Fault {
    SPEAKS.read_fault(status, &case("faults", name))
}

#[test]
fn what_errors_mean() {
    for (name, status, kind) in [
        ("invalid_argument.json", 400, FaultKind::InvalidRequest),
        ("api_key_invalid.json", 400, FaultKind::Authentication),
        ("context_length.json", 400, FaultKind::ContextLength),
        ("too_large.json", 400, FaultKind::TooLarge),
        ("unauthenticated.json", 401, FaultKind::Authentication),
        ("permission_denied.json", 403, FaultKind::Permission),
        ("billing_disabled.json", 403, FaultKind::Quota),
        ("not_found.json", 404, FaultKind::NotFound),
        ("rate_limited.json", 429, FaultKind::RateLimited),
        ("no_quota.json", 429, FaultKind::Quota),
        ("internal.json", 500, FaultKind::Internal),
        ("overloaded.json", 503, FaultKind::Overloaded),
        ("deadline.json", 504, FaultKind::Timeout),
        ("in_an_array.json", 503, FaultKind::Overloaded),
    ] {
        let fault = read(name, status);
        assert_eq!((fault.kind, fault.status), (kind, status), "{name}");
    }
    assert_eq!(read("rate_limited.json", 429).retry_after_ms, Some(39_500));
    assert_eq!(
        read("rate_limited.json", 429).code.as_deref(),
        Some("RESOURCE_EXHAUSTED")
    );
    let invalid = read("invalid_argument.json", 400);
    assert_eq!(invalid.param.as_deref(), Some("generation_config.temperature"));
    assert!(invalid.message.starts_with("Invalid value at 'generation_config"));
}

#[test]
fn every_error_comes_back_as_it_was() {
    for (name, body) in golden("faults") {
        for as_array in [false, true] {
            let fault = SPEAKS.read_fault(500, &body);
            let mut out = Vec::new();
            let status = SPEAKS.write_fault(&fault, &call(as_array), &mut out);
            assert_eq!(json(&out).is_array(), as_array);
            let again = SPEAKS.read_fault(status, &out);
            assert_eq!(
                (&again.code, &again.message, &again.param, again.retry_after_ms),
                (&fault.code, &fault.message, &fault.param, fault.retry_after_ms),
                "{name}"
            );
            assert_eq!(SPEAKS.read_fault(500, &out).status, 500);
        }
    }
}

#[test]
fn bodies_of_nobody_are_told_by_their_status() {
    for body in [
        &b""[..],
        b"<html>502 Bad Gateway</html>",
        b"{\"error\":\"text\"}",
        b"[]",
        b"{\"error\":null}",
    ] {
        assert_eq!(SPEAKS.read_fault(502, body), Fault::of_status(502));
    }
}

#[test]
fn each_kind_has_a_word() {
    for (kind, status, word) in [
        (FaultKind::InvalidRequest, 400, "INVALID_ARGUMENT"),
        (FaultKind::ContextLength, 400, "INVALID_ARGUMENT"),
        (FaultKind::ContentPolicy, 400, "INVALID_ARGUMENT"),
        (FaultKind::Authentication, 401, "UNAUTHENTICATED"),
        (FaultKind::Quota, 429, "RESOURCE_EXHAUSTED"),
        (FaultKind::Permission, 403, "PERMISSION_DENIED"),
        (FaultKind::NotFound, 404, "NOT_FOUND"),
        (FaultKind::TooLarge, 400, "INVALID_ARGUMENT"),
        (FaultKind::RateLimited, 429, "RESOURCE_EXHAUSTED"),
        (FaultKind::Overloaded, 503, "UNAVAILABLE"),
        (FaultKind::Timeout, 504, "DEADLINE_EXCEEDED"),
        (FaultKind::Internal, 500, "INTERNAL"),
    ] {
        let mut fault = Fault::in_stream(kind, "say \"why\"");
        fault.retry_after_ms = Some(1_000);
        let mut out = Vec::new();
        assert_eq!(SPEAKS.write_fault(&fault, &call(false), &mut out), status, "{kind:?}");
        let details = json!([{ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s" }]);
        let error = json!({ "code": status, "message": "say \"why\"", "status": word, "details": details });
        assert_eq!(json(&out), json!({ "error": error }), "{kind:?}");
    }
}
