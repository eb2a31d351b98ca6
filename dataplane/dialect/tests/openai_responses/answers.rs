//! Buffered answers, usage and faults.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        answer::Answer,
        event::{Began, Citation, Event, Reason},
        fault::{Fault, FaultKind},
    },
    openai_responses::OpenAiResponses,
    speak::Speaks as _,
    usage::Usage,
};

use super::golden::{Order, call, case, cases, gathered, read_answer, read_stream, rewritten, without_sealed_ids};

fn written(answer: &Answer) -> Vec<u8> {
    let mut out = Vec::new();
    OpenAiResponses.write_answer(answer, &call(), &mut out);
    out
}

#[test]
fn every_answer_means_the_same_once_written() {
    for (name, body) in cases("answers") {
        let mut order = Order::default();
        read_answer(&body, &mut |event| order.see(event)).expect(&name);
        assert!(order.is_over(), "{name}: it did not end");
        let first = gathered(|seen| read_answer(&body, seen));
        let again = written(&first);
        let second = gathered(|seen| read_answer(&again, seen));
        assert_eq!(first, second, "{name}: {}", String::from_utf8_lossy(&again));
    }
}

#[test]
fn every_answer_means_the_same_as_a_stream() {
    for (name, body) in cases("answers") {
        let buffered = gathered(|seen| read_answer(&body, seen));
        let stream = rewritten(|seen| read_answer(&body, seen));
        let streamed = gathered(|seen| read_stream([&stream[..]], seen));
        assert_eq!(
            without_sealed_ids(buffered),
            without_sealed_ids(streamed),
            "{name}: {}",
            String::from_utf8_lossy(&stream)
        );
    }
}

fn read(name: &str) -> Answer {
    let body = case("answers", name);
    gathered(|seen| read_answer(&body, seen))
}

#[test]
fn answers_say_how_they_ended() {
    for (name, reason) in [
        ("text", Reason::Stop),
        ("cut_by_limit", Reason::Length),
        ("filtered", Reason::Filtered),
        ("incomplete_otherwise", Reason::Other("max_messages".into())),
        ("parallel_calls", Reason::ToolCalls),
        ("refusal", Reason::Refused),
    ] {
        assert_eq!(read(name).choices[0].reason, Some(reason), "{name}");
    }
}

#[test]
fn parts_are_read_as_what_they_are() {
    let reasoned = read("reasoned");
    let parts = &reasoned.choices[0].parts;
    let kinds: Vec<&Began<'_>> = parts.iter().map(|part| &part.what).collect();
    let sealed = Began::Sealed {
        id: Some("rs_1".into()),
    };
    assert_eq!(kinds, [&Began::Thinking, &Began::Thinking, &sealed, &Began::Text]);
    assert!(
        parts[2]
            .text()
            .is("gAAAAABpJkQx8Zk3m0yVb1N7Qw2uT-5hXcP9_rL6sE4aD0jKfWqGzYtB==")
    );
    let signed = read("signed");
    let signatures: Vec<_> = signed.choices[0]
        .parts
        .iter()
        .map(|part| part.signature.clone())
        .collect();
    let expected = ["EqoBCkgIARABGAIiQL+/8w==", "c2Vjb25k", "CiQBjz1rX+/w=="];
    assert_eq!(signatures, expected.map(|text| Some(text.into())));
    let cited = read("citations");
    let expected = [
        Citation {
            url: Some("https://example.com/a?b=c".into()),
            title: Some("The \"A\" page".into()),
            start: Some(4),
            end: Some(11),
            ..Citation::default()
        },
        Citation {
            title: Some("report.pdf".into()),
            document: Some(1),
            ..Citation::default()
        },
    ];
    assert_eq!(cited.choices[0].parts[0].citations, expected);
}

/// A response has every member that its type demands.
#[test]
fn a_written_response_is_whole() {
    let mut answer = Answer::default();
    for event in [
        Event::Started {
            id: None,
            model: None,
            created_unix_s: None,
        },
        Event::Began {
            choice: 0,
            part: 0,
            what: Began::ToolCall {
                id: None,
                name: "f".into(),
            },
        },
        Event::Stopped {
            choice: 0,
            reason: Reason::ToolCalls,
        },
        Event::Usage(Usage {
            input: Some(3),
            output: Some(4),
            ..Usage::default()
        }),
        Event::Ended,
    ] {
        answer.take(&event);
    }
    let out = written(&answer);
    let response: Value = serde_json::from_slice(&out).expect("JSON");
    let expected = json!({
        "id": "resp_00c0ffee", "object": "response", "created_at": 1767225700, "status": "completed",
        "background": false, "completed_at": 1767225700, "error": null, "incomplete_details": null,
        "instructions": null, "max_output_tokens": null, "model": "asked-for",
        "output": [{"id": "fc_00c0ffee_0", "type": "function_call", "status": "completed",
            "call_id": "call_00c0ffee_0", "name": "f", "arguments": "{}"}],
        "parallel_tool_calls": true, "previous_response_id": null, "reasoning": {"effort": null, "summary": null},
        "store": false, "temperature": null, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
        "top_p": null, "truncation": "disabled",
        "usage": {"input_tokens": 3, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 7},
        "user": null, "metadata": {}});
    assert_eq!(response, expected);
}

#[test]
fn endings_of_other_dialects_are_told() {
    for (reason, status, why) in [
        (Reason::StopSequence(Some("END".into())), "completed", None),
        (Reason::Refused, "incomplete", Some("content_filter")),
        (Reason::Paused, "incomplete", Some("paused")),
        (Reason::Other("RECITATION".into()), "incomplete", Some("RECITATION")),
    ] {
        let mut answer = Answer::default();
        answer.take(&Event::Stopped { choice: 0, reason });
        let response: Value = serde_json::from_slice(&written(&answer)).expect("JSON");
        assert_eq!(response["status"], status);
        assert_eq!(response["incomplete_details"]["reason"].as_str(), why);
    }
}

#[test]
fn usage_is_read_in_disjoint_classes() {
    let table = [
        (
            r#"{"input_tokens":10,"output_tokens":5}"#,
            (Some(10), None, None, None, Some(5), None),
        ),
        (
            r#"{"input_tokens":81,"input_tokens_details":{"cached_tokens":64},"output_tokens":1035,
                "output_tokens_details":{"reasoning_tokens":832},"total_tokens":1116}"#,
            (Some(17), Some(64), None, None, Some(203), Some(832)),
        ),
        (
            r#"{"input_tokens":5000,"input_tokens_details":{"cached_tokens":1000,"cache_write_tokens":3000},
                "output_tokens":0}"#,
            (Some(1000), Some(1000), Some(3000), None, Some(0), None),
        ),
        (
            r#"{"input_tokens":5000,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":3000,
                "cache_write_tokens_details":{"ttl_30m_tokens":1000,"ttl_12h_tokens":2000}},"output_tokens":1}"#,
            (Some(2000), Some(0), Some(1000), Some(2000), Some(1), None),
        ),
        // More inside than in all: never a wrapped number.
        (
            r#"{"input_tokens":1,"input_tokens_details":{"cached_tokens":9},"output_tokens":0}"#,
            (Some(0), Some(9), None, None, Some(0), None),
        ),
    ];
    for (said, (input, cache_read, cache_write_5m, cache_write_1h, output, reasoning)) in table {
        let expected = Usage {
            input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            output,
            reasoning,
            ..Usage::default()
        };
        let answer = format!(r#"{{"object":"response","output":[],"usage":{said}}}"#);
        let read = gathered(|seen| read_answer(answer.as_bytes(), seen)).usage;
        assert_eq!(read, Some(expected), "{said}");
    }
    for said in ["null", "{}", "[]", r#"{"input_tokens":-1}"#] {
        let answer = format!(r#"{{"object":"response","output":[],"usage":{said}}}"#);
        assert_eq!(
            gathered(|seen| read_answer(answer.as_bytes(), seen)).usage,
            None,
            "{said}"
        );
    }
}

#[test]
fn sounds_and_pictures_are_counted_once() {
    let usage = Usage {
        input: Some(1),
        cache_read: Some(2),
        cache_write_5m: Some(4),
        cache_write_1h: Some(8),
        output: Some(16),
        reasoning: Some(32),
        input_audio: Some(64),
        output_audio: Some(128),
        input_image: Some(256),
    };
    let mut answer = Answer::default();
    answer.take(&Event::Usage(usage));
    let out = written(&answer);
    let value: Value = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(value["usage"]["input_tokens"], 1 + 2 + 4 + 8 + 64 + 256);
    assert_eq!(value["usage"]["output_tokens"], 16 + 32 + 128);
    assert_eq!(gathered(|seen| read_answer(&out, seen)).usage, Some(usage));
}

#[test]
fn faults_are_read_by_what_they_say() {
    let found = cases("faults");
    assert_eq!(found.len(), FAULTS.len());
    for ((name, body), (expected, kind, code, retry_after_ms)) in found.into_iter().zip(FAULTS.iter().copied()) {
        assert_eq!(name, expected);
        let status = name[..3].parse().expect("a status");
        let fault = OpenAiResponses.read_fault(status, &body);
        assert_eq!((fault.kind, fault.code.as_deref()), (kind, code), "{name}");
        assert_eq!((fault.status, fault.retry_after_ms), (status, retry_after_ms), "{name}");
        assert!(!fault.message.is_empty(), "{name}");
        let mut out = Vec::new();
        let status = OpenAiResponses.write_fault(&fault, &call(), &mut out);
        let again = OpenAiResponses.read_fault(status, &out);
        assert_eq!(
            (again.kind, again.message, again.param),
            (fault.kind, fault.message, fault.param),
            "{name}"
        );
    }
}

type Told = (&'static str, FaultKind, Option<&'static str>, Option<u64>);

/// Case, kind, code and milliseconds to wait.
const FAULTS: &[Told] = &[
    (
        "400_azure_filter",
        FaultKind::ContentPolicy,
        Some("content_filter"),
        None,
    ),
    (
        "400_context_length",
        FaultKind::ContextLength,
        Some("context_length_exceeded"),
        None,
    ),
    (
        "400_invalid_prompt",
        FaultKind::ContentPolicy,
        Some("invalid_prompt"),
        None,
    ),
    ("400_text", FaultKind::InvalidRequest, None, None),
    (
        "400_unknown_parameter",
        FaultKind::InvalidRequest,
        Some("unknown_parameter"),
        None,
    ),
    ("401_key", FaultKind::Authentication, Some("invalid_api_key"), None),
    (
        "403_region",
        FaultKind::Permission,
        Some("unsupported_country_region_territory"),
        None,
    ),
    ("404_model", FaultKind::NotFound, Some("model_not_found"), None),
    ("422_detail", FaultKind::InvalidRequest, None, None),
    ("429_azure", FaultKind::RateLimited, Some("429"), Some(6_000)),
    ("429_quota", FaultKind::Quota, Some("insufficient_quota"), None),
    (
        "429_rate",
        FaultKind::RateLimited,
        Some("rate_limit_exceeded"),
        Some(1_400),
    ),
    ("500_server", FaultKind::Internal, None, None),
    ("502_html", FaultKind::Internal, None, None),
    (
        "503_overloaded",
        FaultKind::Overloaded,
        Some("server_is_overloaded"),
        None,
    ),
];

#[test]
fn a_fault_of_each_kind_is_read_as_that_kind() {
    for kind in [
        FaultKind::InvalidRequest,
        FaultKind::ContextLength,
        FaultKind::ContentPolicy,
        FaultKind::Authentication,
        FaultKind::Quota,
        FaultKind::Permission,
        FaultKind::NotFound,
        FaultKind::TooLarge,
        FaultKind::RateLimited,
        FaultKind::Overloaded,
        FaultKind::Timeout,
        FaultKind::Internal,
    ] {
        let fault = Fault {
            // A word of another dialect must not reach a client of this one.
            code: (kind != FaultKind::InvalidRequest).then(|| "RESOURCE_EXHAUSTED".to_owned()),
            ..Fault::in_stream(kind, "no \"luck\"\n")
        };
        let mut out = Vec::new();
        assert_eq!(OpenAiResponses.write_fault(&fault, &call(), &mut out), kind.status());
        assert!(!String::from_utf8_lossy(&out).contains("EXHAUSTED"));
        assert_eq!(OpenAiResponses.read_fault(kind.status(), &out).kind, kind, "{kind:?}");
        for started in [true, false] {
            let mut writer = OpenAiResponses.stream_writer(&call());
            let mut out = Vec::new();
            if started {
                let started = Event::Started {
                    id: None,
                    model: None,
                    created_unix_s: None,
                };
                writer.write(&started, &mut out);
            }
            writer.write(&Event::Failed(fault.clone()), &mut out);
            let read = gathered(|seen| read_stream([&out[..]], seen)).fault.expect("a fault");
            assert_eq!(
                (read.kind, read.message),
                (kind, fault.message.clone()),
                "{kind:?} {started}"
            );
        }
    }
}

#[test]
fn a_fault_says_when_to_try_again() {
    for (message, expected) in [
        ("Please try again in 20ms.", Some(20)),
        ("Please try again in 1.5s. Visit", Some(1_500)),
        ("try again in 6m0s.", Some(360_000)),
        ("retry after 30 seconds.", Some(30_000)),
        ("Please retry after 1 minute", Some(60_000)),
        ("try again in a while", None),
        ("try again in 5 fortnights", None),
        ("try again in 99999999999s", None),
        ("try again in 1", None),
        ("", None),
    ] {
        let body = json!({"error": {"message": message}}).to_string();
        assert_eq!(
            OpenAiResponses.read_fault(429, body.as_bytes()).retry_after_ms,
            expected,
            "{message}"
        );
    }
}

#[test]
fn a_status_says_more_than_server_error() {
    let body = br#"{"error":{"type":"server_error","code":null,"message":"sorry","param":null}}"#;
    for (status, kind) in [
        (500, FaultKind::Internal),
        (503, FaultKind::Overloaded),
        (504, FaultKind::Timeout),
    ] {
        assert_eq!(OpenAiResponses.read_fault(status, body).kind, kind, "{status}");
    }
}
