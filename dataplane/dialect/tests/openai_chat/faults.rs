//! Errors of OpenAI and of servers like it, read and written.

use tollgate_dialect::{
    canonical::fault::{Fault, FaultKind},
    openai_chat::SPEAKS,
    speak::Speaks,
};

use super::corpus::{call, corpus, json};

fn read(name: &str, body: &[u8]) -> Fault {
    let status = name[..3].parse().expect("names begin with a status");
    SPEAKS.read_fault(status, body)
}

#[test]
fn each_error_is_what_it_says() {
    use FaultKind::*;
    let expected = [
        ("400-azure-content-filter", ContentPolicy, Some("content_filter"), None),
        (
            "400-context-length",
            ContextLength,
            Some("context_length_exceeded"),
            None,
        ),
        ("400-context-length-vllm", ContextLength, Some("400"), None),
        ("400-unsupported-value", InvalidRequest, Some("unsupported_value"), None),
        ("401-invalid-key", Authentication, Some("invalid_api_key"), None),
        ("402-openrouter-credits", Quota, Some("402"), None),
        (
            "403-country",
            Permission,
            Some("unsupported_country_region_territory"),
            None,
        ),
        ("404-model", NotFound, Some("model_not_found"), None),
        ("413-too-large", TooLarge, Some("request_too_large"), None),
        ("422-fastapi", InvalidRequest, None, None),
        ("429-azure", RateLimited, Some("429"), Some(12_000)),
        ("429-gemini-list", RateLimited, Some("429"), None),
        ("429-quota", Quota, Some("insufficient_quota"), None),
        ("429-rate-limit", RateLimited, Some("rate_limit_exceeded"), Some(62_500)),
        ("500-server-error", Internal, None, None),
        ("502-html", Internal, None, None),
        ("503-overloaded", Overloaded, None, None),
        ("504-empty", Timeout, None, None),
        ("529-string", Overloaded, None, None),
    ];
    let files = corpus("faults");
    assert_eq!(files.len(), expected.len());
    for ((name, body), (known, kind, code, retry_after_ms)) in files.iter().zip(expected) {
        let fault = read(name, body);
        assert_eq!(name, known);
        assert_eq!((fault.kind, fault.code.as_deref()), (kind, code), "{name}");
        assert_eq!(fault.retry_after_ms, retry_after_ms, "{name}");
    }
}

#[test]
fn messages_and_members_at_fault_are_told() {
    for (name, message, param) in [
        ("400-unsupported-value", "Unsupported value", Some("temperature")),
        ("422-fastapi", "Field required", None),
        ("529-string", "busy", None),
        ("502-html", "the provider answered with status 502", None),
        ("429-gemini-list", "Resource has been exhausted", None),
    ] {
        let body = super::corpus::golden("faults", name);
        let fault = read(name, &body);
        assert!(fault.message.starts_with(message), "{name}: {}", fault.message);
        assert_eq!(fault.param.as_deref(), param, "{name}");
    }
}

#[test]
fn what_was_written_reads_as_what_was_read() {
    for (name, body) in corpus("faults") {
        let fault = read(&name, &body);
        let mut out = Vec::new();
        let status = SPEAKS.write_fault(&fault, &call(), &mut out);
        let again = SPEAKS.read_fault(status, &out);
        assert_eq!((again.kind, &again.message), (fault.kind, &fault.message), "{name}");
        assert_eq!(again.param, fault.param, "{name}");
    }
}

#[test]
fn every_kind_has_its_words_and_its_status() {
    use FaultKind::*;
    for (kind, status, class, code) in [
        (InvalidRequest, 400, "invalid_request_error", Some("odd")),
        (
            ContextLength,
            400,
            "invalid_request_error",
            Some("context_length_exceeded"),
        ),
        (
            ContentPolicy,
            400,
            "invalid_request_error",
            Some("content_policy_violation"),
        ),
        (Authentication, 401, "invalid_request_error", Some("invalid_api_key")),
        (Quota, 429, "insufficient_quota", Some("insufficient_quota")),
        (Permission, 403, "permission_error", Some("odd")),
        (NotFound, 404, "invalid_request_error", Some("model_not_found")),
        (TooLarge, 413, "invalid_request_error", Some("request_too_large")),
        (RateLimited, 429, "requests", Some("rate_limit_exceeded")),
        (Overloaded, 503, "server_error", Some("server_overloaded")),
        (Timeout, 504, "server_error", Some("timeout")),
        (Internal, 500, "server_error", Some("odd")),
    ] {
        // As Anthropic's overload comes: with a status that is no other's.
        let mut fault = Fault::in_stream(kind, "m");
        fault.code = Some("odd".into());
        fault.status = if kind == Overloaded { 529 } else { status };
        let mut out = Vec::new();
        assert_eq!(SPEAKS.write_fault(&fault, &call(), &mut out), status, "{kind:?}");
        let expected = serde_json::json!({"error": {"message": "m", "type": class, "param": null, "code": code}});
        assert_eq!(json(&out), expected, "{kind:?}");
    }
}
