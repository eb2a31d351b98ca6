//! Error answers.

use serde_json::Value;
use tollgate_dialect::{
    bedrock::error_type,
    canonical::fault::{Fault, FaultKind},
    speak::Speaks,
};

use super::{SPEAKS, call, golden};

/// The status stands behind the last dot of a case's name.
fn read(name: &str, bytes: &[u8]) -> Fault {
    let status = name.rsplit_once('.').and_then(|(_, status)| status.parse().ok());
    SPEAKS.read_fault(status.expect("a status"), bytes)
}

fn write(fault: &Fault) -> (u16, Vec<u8>) {
    let mut out = Vec::new();
    let status = SPEAKS.write_fault(fault, &call(), &mut out);
    (status, out)
}

#[test]
fn golden_faults_are_what_they_should_be_and_survive() {
    let expected = [
        ("context_length.400", FaultKind::ContextLength),
        ("denied.403", FaultKind::Permission),
        ("filtered.400", FaultKind::ContentPolicy),
        ("internal.500", FaultKind::Internal),
        ("model_error.424", FaultKind::Internal),
        ("no_json.502", FaultKind::Internal),
        ("not_found.404", FaultKind::NotFound),
        ("not_ready.429", FaultKind::Overloaded),
        ("quota.400", FaultKind::Quota),
        ("throttled.429", FaultKind::RateLimited),
        ("timeout.408", FaultKind::Timeout),
        ("token_expired.403", FaultKind::Authentication),
        ("token_invalid.403", FaultKind::Authentication),
        ("too_long.400", FaultKind::ContextLength),
        ("unavailable.503", FaultKind::Overloaded),
        ("validation.400", FaultKind::InvalidRequest),
    ];
    let cases = golden("faults");
    assert!(cases.iter().map(|case| &*case.name).eq(expected.map(|row| row.0)));
    for (case, (name, kind)) in cases.iter().zip(expected) {
        let fault = read(&case.name, &case.bytes);
        assert_eq!(fault.kind, kind, "{name}");
        let (status, written) = write(&fault);
        let again = SPEAKS.read_fault(status, &written);
        assert_eq!((again.kind, again.message), (kind, fault.message.clone()), "{name}");
        if let Some(code) = &fault.code {
            assert_eq!((Some(code), status), (again.code.as_ref(), fault.status), "{name}");
        }
    }
}

#[test]
fn each_kind_has_a_name_and_a_status() {
    let table = [
        (FaultKind::InvalidRequest, "ValidationException", 400),
        (FaultKind::ContextLength, "ValidationException", 400),
        (FaultKind::ContentPolicy, "ValidationException", 400),
        (FaultKind::Authentication, "UnrecognizedClientException", 403),
        (FaultKind::Quota, "ServiceQuotaExceededException", 400),
        (FaultKind::Permission, "AccessDeniedException", 403),
        (FaultKind::NotFound, "ResourceNotFoundException", 404),
        (FaultKind::TooLarge, "RequestEntityTooLargeException", 413),
        (FaultKind::RateLimited, "ThrottlingException", 429),
        (FaultKind::Overloaded, "ServiceUnavailableException", 503),
        (FaultKind::Timeout, "ModelTimeoutException", 408),
        (FaultKind::Internal, "InternalServerException", 500),
    ];
    for (kind, name, expected) in table {
        let fault = Fault {
            code: Some("rate_limit_exceeded".to_owned()),
            ..Fault::in_stream(kind, "a \"word\"\n")
        };
        let (status, written) = write(&fault);
        let value: Value = serde_json::from_slice(&written).expect("JSON");
        assert_eq!(
            (status, &value["__type"], error_type(&fault)),
            (expected, &Value::from(name), name)
        );
        assert_eq!(value["message"], "a \"word\"\n");
    }
}

#[test]
fn names_are_found_wherever_they_stand() {
    let table = [
        (
            r#"{"__type":"com.amazon.coral.service#ThrottlingException","Message":"m"}"#,
            FaultKind::RateLimited,
            "m",
        ),
        (
            r#"{"code":"AccessDeniedException:http://internal.amazon.com/","message":"m"}"#,
            FaultKind::Permission,
            "m",
        ),
        (
            r#"{"__type":7,"message":["m"]}"#,
            FaultKind::InvalidRequest,
            "the provider answered with status 400",
        ),
        (
            r#"{"__type":"NobodyKnowsException"}"#,
            FaultKind::InvalidRequest,
            "the provider answered with status 400",
        ),
        ("[]", FaultKind::InvalidRequest, "the provider answered with status 400"),
        ("", FaultKind::InvalidRequest, "the provider answered with status 400"),
    ];
    for (body, kind, message) in table {
        let fault = SPEAKS.read_fault(400, body.as_bytes());
        assert_eq!((fault.kind, &*fault.message), (kind, message), "{body}");
    }
}
