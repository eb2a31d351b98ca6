//! Errors: what the provider's say, and what is said to a client.

use tollgate_dialect::{
    anthropic::SPEAKS,
    canonical::fault::{Fault, FaultKind},
    speak::Speaks,
};

use super::{call, golden, json};

fn read(name: &str, body: &[u8]) -> Fault {
    let status = name.split('_').next().and_then(|status| status.parse().ok());
    SPEAKS.read_fault(status.expect("a name begins with the status"), body)
}

#[test]
fn golden_errors_are_understood() {
    use FaultKind::{
        Authentication, ContentPolicy, ContextLength, Internal, InvalidRequest, NotFound, Overloaded, Permission,
        Quota, RateLimited, Timeout, TooLarge,
    };
    let expected = [
        ("400_context", ContextLength, None),
        ("400_context_with_cap", ContextLength, None),
        ("400_credit", Quota, None),
        ("400_filter", ContentPolicy, None),
        ("400_param", InvalidRequest, Some("max_tokens")),
        (
            "400_path",
            InvalidRequest,
            Some("messages.0.content.1.image.source.base64"),
        ),
        ("401_key", Authentication, None),
        ("402_billing", Quota, None),
        ("403_permission", Permission, None),
        ("404_model", NotFound, Some("model")),
        ("409_conflict", InvalidRequest, None),
        ("413_large", TooLarge, None),
        ("429_rate", RateLimited, None),
        ("429_spend", Quota, None),
        ("500_internal", Internal, None),
        ("502_html", Internal, None),
        ("504_timeout", Timeout, None),
        ("529_overloaded", Overloaded, None),
    ];
    let cases = golden("faults");
    assert_eq!(cases.len(), expected.len());
    for ((name, body), (known, kind, param)) in cases.iter().zip(expected) {
        assert_eq!(name, known);
        let fault = read(name, body);
        assert_eq!((fault.kind, fault.param.as_deref()), (kind, param), "{name}");
        assert!(name.starts_with(&fault.status.to_string()), "{name}");
        assert!(!fault.message.is_empty(), "{name}");
    }
}

#[test]
fn a_fault_written_is_read_as_the_same() {
    for (name, body) in golden("faults") {
        let before = read(&name, &body);
        let mut out = Vec::new();
        let status = SPEAKS.write_fault(&before, &call(), &mut out);
        let written = json(&out);
        assert_eq!(written["type"], "error", "{name}");
        assert_eq!(written["request_id"], "5f0c", "{name}");
        let after = SPEAKS.read_fault(status, &out);
        let code = after.code.clone();
        let after = Fault {
            status: before.status,
            code: before.code.clone(),
            ..after
        };
        assert_eq!(before, after, "{name}");
        assert_eq!(code.as_deref(), written["error"]["type"].as_str(), "{name}");
    }
}

#[test]
fn each_kind_has_its_status_and_word() {
    for (kind, status, word) in [
        (FaultKind::InvalidRequest, 400, "invalid_request_error"),
        (FaultKind::ContextLength, 400, "invalid_request_error"),
        (FaultKind::ContentPolicy, 400, "invalid_request_error"),
        (FaultKind::Authentication, 401, "authentication_error"),
        (FaultKind::Quota, 402, "billing_error"),
        (FaultKind::Permission, 403, "permission_error"),
        (FaultKind::NotFound, 404, "not_found_error"),
        (FaultKind::TooLarge, 413, "request_too_large"),
        (FaultKind::RateLimited, 429, "rate_limit_error"),
        (FaultKind::Internal, 500, "api_error"),
        (FaultKind::Timeout, 504, "timeout_error"),
        (FaultKind::Overloaded, 529, "overloaded_error"),
    ] {
        let mut out = Vec::new();
        assert_eq!(
            SPEAKS.write_fault(&Fault::in_stream(kind, "\"no\""), &call(), &mut out),
            status
        );
        assert_eq!(json(&out)["error"]["type"], word);
        // Clients shorten a conversation when they read these words.
        let message = if kind == FaultKind::ContextLength {
            "prompt is too long: \"no\""
        } else {
            "\"no\""
        };
        assert_eq!(json(&out)["error"]["message"], message);
    }
}

#[test]
fn a_body_of_another_dialect_gives_what_the_status_says() {
    for body in ["", "{}", "[]", r#"{"error":"no"}"#, r#"{"error":null}"#, "\u{0}"] {
        assert_eq!(SPEAKS.read_fault(429, body.as_bytes()), Fault::of_status(429), "{body}");
    }
    let fault = SPEAKS.read_fault(
        503,
        br#"{"error":{"code":"x","message":"No room","type":"server_error"}}"#,
    );
    assert_eq!((fault.kind, fault.message.as_str()), (FaultKind::Overloaded, "No room"));
}

#[test]
fn a_status_says_more_than_api_error() {
    let body = br#"{"type":"error","error":{"type":"api_error","message":"sorry"}}"#;
    for (status, kind) in [
        (500, FaultKind::Internal),
        (503, FaultKind::Overloaded),
        (504, FaultKind::Timeout),
    ] {
        assert_eq!(SPEAKS.read_fault(status, body).kind, kind, "{status}");
    }
}
