//! What no friend would send: readers answer it with an error, in bounded room and without a panic.

use proptest::prelude::*;
use tollgate_dialect::{
    canonical::{bad::BadRequest, feature::Drops},
    json::Node,
    openai_chat::SPEAKS,
    quirks::Quirks,
    speak::{PathFacts, Speaks, TargetFacts},
};

use super::corpus::{answer, corpus, read, stream};

fn refused(body: &str) -> BadRequest {
    match SPEAKS.read_request(body.as_bytes(), PathFacts::default()) {
        Err(bad) => bad,
        Ok(request) => panic!("{body} was read as {request:?}"),
    }
}

/// A body, the path that is named, and what is said of it.
const WRONG_DOCUMENTS: [(&str, &str, &str); 8] = [
    (r#"{"messages":[{"role":"user","content":"x"}]}"#, "model", "is missing"),
    (
        r#"{"model":"","messages":[{"role":"user","content":"x"}]}"#,
        "model",
        "is missing",
    ),
    (r#"{"model":7,"messages":[]}"#, "model", "must be a string"),
    (r#"{"model":"\ud800","messages":[]}"#, "model", "whole characters"),
    (r#"{"model":"m"}"#, "messages", "is missing"),
    (r#"{"model":"m","messages":[]}"#, "messages", "at least one"),
    (r#"{"model":"m","messages":{}}"#, "messages", "must be an array"),
    (r#"{"model":"m","messages":[7]}"#, "messages[0]", "must be an object"),
];

/// The second message.
const WRONG_MESSAGES: [(&str, &str, &str); 15] = [
    (r#"{"content":"x"}"#, "messages[1].role", "must be one of"),
    (r#"{"role":"user"}"#, "messages[1].content", "is missing"),
    (
        r#"{"role":"user","content":7}"#,
        "messages[1].content",
        "must be a string or an array",
    ),
    (
        r#"{"role":"user","content":[]}"#,
        "messages[1].content",
        "at least one part",
    ),
    (
        r#"{"role":"user","content":["x"]}"#,
        "messages[1].content[0]",
        "must be an object",
    ),
    (
        r#"{"role":"user","content":[{"text":"x"}]}"#,
        "messages[1].content[0].type",
        "must be a string",
    ),
    (
        r#"{"role":"user","content":[{"type":"text"}]}"#,
        "messages[1].content[0].text",
        "is missing",
    ),
    (
        r#"{"role":"user","content":"x","content":"y"}"#,
        "messages[1].content",
        "stands twice",
    ),
    (
        r#"{"role":"user","content":"x","content":null}"#,
        "messages[1].content",
        "stands twice",
    ),
    (
        r#"{"role":"assistant","content":null}"#,
        "messages[1]",
        "neither content nor tool calls",
    ),
    (
        r#"{"role":"assistant","tool_calls":[{"id":"a"}]}"#,
        "messages[1].tool_calls[0].function",
        "is missing",
    ),
    (
        r#"{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":7}}]}"#,
        "messages[1].tool_calls[0].function.arguments",
        "must be a string",
    ),
    (
        r#"{"role":"tool","content":"x"}"#,
        "messages[1].tool_call_id",
        "is missing",
    ),
    (
        r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png,abc"}}]}"#,
        "messages[1].content[0].image_url.url",
        "base64",
    ),
    (
        r#"{"role":"user","content":[{"type":"file","file":{}}]}"#,
        "messages[1].content[0].file",
        "must have file_data or file_id",
    ),
];

/// Members beside a sound conversation.
const WRONG_MEMBERS: [(&str, &str, &str); 20] = [
    (r#""temperature":"hot""#, "temperature", "must be a number"),
    (r#""max_tokens":-1"#, "max_tokens", "must be a whole number"),
    (r#""max_tokens":1.5"#, "max_tokens", "must be a whole number"),
    (r#""max_tokens":1e400"#, "max_tokens", "must be a whole number"),
    (
        r#""max_tokens":99999999999999999999"#,
        "max_tokens",
        "must be a whole number",
    ),
    (r#""n":0"#, "n", "must be 1 to 128"),
    (r#""n":129"#, "n", "must be 1 to 128"),
    (r#""stream":"yes""#, "stream", "must be true or false"),
    (r#""stream":true,"stream":false"#, "stream", "stands twice"),
    (r#""stream":true,"\u0073tream":false"#, "stream", "stands twice"),
    (r#""stop":[1]"#, "stop[0]", "must be a string"),
    (r#""stop":{}"#, "stop", "must be a string or an array"),
    (r#""tools":{}"#, "tools", "must be an array"),
    (r#""tools":[{"type":"function"}]"#, "tools[0].function", "is missing"),
    (
        r#""tools":[{"type":"function","function":{"name":"f","parameters":[]}}]"#,
        "tools[0].function.parameters",
        "must be an object",
    ),
    (
        r#""tool_choice":"maybe""#,
        "tool_choice",
        "must be none, auto, required",
    ),
    (r#""reasoning_effort":"heroic""#, "reasoning_effort", "must be one of"),
    (
        r#""response_format":{"type":"xml"}"#,
        "response_format.type",
        "must be one of",
    ),
    (r#""response_format":"json""#, "response_format", "must be an object"),
    (r#""logit_bias":[]"#, "logit_bias", "must be an object"),
];

#[test]
fn wrong_requests_are_told_where_and_what() {
    const SOUND: &str = r#"{"role":"user","content":"x"}"#;
    for (body, field, wrong) in WRONG_DOCUMENTS {
        tells(body, field, wrong);
    }
    for (message, field, wrong) in WRONG_MESSAGES {
        tells(
            &format!(r#"{{"model":"m","messages":[{SOUND},{message}]}}"#),
            field,
            wrong,
        );
    }
    for (members, field, wrong) in WRONG_MEMBERS {
        tells(
            &format!(r#"{{"model":"m","messages":[{SOUND}],{members}}}"#),
            field,
            wrong,
        );
    }
}

fn tells(body: &str, field: &str, wrong: &str) {
    match refused(body) {
        BadRequest::Field {
            field: at, wrong: what, ..
        } => {
            assert_eq!(at, field, "{body}");
            assert!(what.contains(wrong), "{body}: {what}");
        }
        BadRequest::Json(bad) => panic!("{body}: {bad}"),
    }
}

#[test]
fn a_member_with_a_hostile_name_is_listed_harmlessly() {
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"a\r\nb: c":1,"{}":2}}"#,
        "k".repeat(1_000)
    );
    assert_eq!(read(body.as_bytes()).unread, ["a??b:?c".to_owned(), "k".repeat(64)]);
}

#[test]
fn everything_has_a_limit() {
    let list = |element: &str, times: usize| vec![element; times].join(",");
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for body in [
        format!(
            r#"{{"model":"m","messages":[{}]}}"#,
            list(r#"{"role":"user","content":"x"}"#, 100_001)
        ),
        format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{}]}}]}}"#,
            list(r#"{"type":"text","text":"x"}"#, 10_001)
        ),
        format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"tools":[{}]}}"#,
            list(r#"{"type":"function","function":{"name":"f"}}"#, 4_097)
        ),
        format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"stop":[{}]}}"#,
            list(r#""a""#, 65)
        ),
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"metadata":{{"a":{deep}}}}}"#),
    ] {
        refused(&body);
    }
    let unknown: Vec<String> = (0..10_000).map(|number| format!(r#""u{number}":1"#)).collect();
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{}}}"#,
        unknown.join(",")
    );
    assert_eq!(read(body.as_bytes()).unread.len(), 64);
}

#[test]
fn half_a_surrogate_pair_in_a_text_is_the_callers_matter() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"\ud800"}]}"#;
    let request = read(body);
    let (out, _) = super::corpus::written(&request, &Quirks::default());
    assert_eq!(out, br#"{"model":"m","messages":[{"role":"user","content":"\ud800"}]}"#);
}

#[test]
fn answers_that_are_none_are_told_so() {
    let deep = format!(r#"{{"choices":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let index = r#"{"choices":[{"index":128,"message":{"content":"x"},"finish_reason":"stop"}]}"#;
    let nameless = r#"{"choices":[{"message":{"tool_calls":[{"id":"a"}]},"finish_reason":"stop"}]}"#;
    let calls = vec![r#"{"id":"","function":{"name":"f","arguments":"{}"}}"#; 1_025].join(",");
    let many = format!(r#"{{"choices":[{{"message":{{"tool_calls":[{calls}]}},"finish_reason":"stop"}}]}}"#);
    for (body, reason) in [
        ("", "not valid JSON"),
        ("[]", "not valid JSON"),
        ("<html>", "not valid JSON"),
        ("{}", "no choices"),
        (r#"{"choices":[]}"#, "no choices"),
        (r#"{"choices":"none"}"#, "no choices"),
        (r#"{"type":"message","content":[]}"#, "no choices"),
        (&deep, "not valid JSON"),
        (index, "more choices"),
        (nameless, "without a name"),
        (&many, "more tool calls"),
    ] {
        let outcome = answer(body.as_bytes()).outcome;
        assert!(outcome.is_err_and(|bad| bad.reason.contains(reason)), "{body:.80}");
    }
}

#[test]
fn members_of_wrong_types_are_passed_over_in_answers() {
    for body in [
        r#"{"id":7,"model":[],"created":"now","choices":[{"message":{"content":7,"tool_calls":{},"refusal":[]},
            "finish_reason":7}],"usage":[]}"#,
        r#"{"choices":[7,null,{"index":-1,"message":"x","logprobs":7,"finish_reason":null}]}"#,
        r#"{"choices":[{"message":{"reasoning_details":[7,{"type":7},{"type":"reasoning.encrypted"}],
            "annotations":[7,{}],"audio":[]}}]}"#,
    ] {
        let told = answer(body.as_bytes());
        assert_eq!(told.outcome, Ok(()), "{body}");
        assert!(told.answer.choices[0].parts.is_empty(), "{body}");
    }
}

#[test]
fn streams_that_are_none_are_told_so() {
    let long = format!("data: {{\"a\":\"{}\"}}\n\n", "x".repeat(1 << 20));
    let call = |call: &str| format!("data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{{call}}}]}}}}]}}\n\n");
    let endless = call(r#""index":0,"id":"a","function":{"name":"f","arguments":"["}"#);
    let more = call(r#""index":0,"function":{"arguments":"["}"#);
    let never = format!("{endless}{}", more.repeat(1_000));
    let numbered = |index: usize| call(&format!(r#""index":{index},"id":"a{index}","function":{{"name":"f"}}"#));
    let many: String = (0..=1_024).map(numbered).collect();
    let held = "y".repeat(40_000);
    let nameless = call(&format!(r#""index":0,"function":{{"arguments":"{held}"}}"#)).repeat(7);
    for (body, reason) in [
        ("", "ended before"),
        ("data: [DONE]\n\n", "no choices"),
        ("{\"choices\":[]}", "ended before"),
        ("data: nonsense\n\n", "not valid JSON"),
        ("data: [1]\n\n", "not valid JSON"),
        (
            "event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
            "ended before",
        ),
        (&long, "longer than"),
        (&never, "ended before"),
        (&many, "more tool calls"),
        (&nameless, "without a name"),
        (
            "data: {\"choices\":[{\"index\":4294967296,\"delta\":{}}]}\n\n",
            "more choices",
        ),
    ] {
        let outcome = stream([body.as_bytes()]).outcome;
        assert!(
            outcome.is_err_and(|bad| bad.reason.contains(reason)),
            "{body:.80}: {outcome:?}"
        );
        let outcome = stream(body.as_bytes().chunks(4_093)).outcome;
        assert!(
            outcome.is_err_and(|bad| bad.reason.contains(reason)),
            "{body:.80}, in pieces: {outcome:?}"
        );
    }
}

#[test]
fn nothing_counts_behind_the_end() {
    let chunk = |text: &str, finish: &str| {
        let delta = format!(r#"{{"delta":{{"content":"{text}"}},"finish_reason":"{finish}"}}"#);
        format!("data: {{\"id\":\"x\",\"choices\":[{delta}]}}\n\n")
    };
    let done = "data: [DONE]\n\n";
    let end = format!("{}{done}", chunk("a", "stop"));
    let more = format!("{end}data: nonsense\n\ndata: [DONE]\n\n");
    let told = stream([more.as_bytes()]);
    assert_eq!(told.outcome, Ok(()));
    assert_eq!(told.events, stream([end.as_bytes()]).events);
    // And nothing of a choice behind its own.
    let late = format!("{}{}{done}", chunk("a", "stop"), chunk("b", "length"));
    assert_eq!(stream([late.as_bytes()]).events, told.events);
}

/// Every reader on these bytes; what is read is also written, and that is JSON.
fn read_all(bytes: &[u8], cut: usize) {
    if let Ok(mut request) = SPEAKS.read_request(bytes, PathFacts::default()) {
        request.name_calls();
        let (mut drops, mut out) = (Drops::default(), Vec::new());
        let to = TargetFacts {
            model: "m",
            quirks: &Quirks::default(),
        };
        if SPEAKS.write_request(&request, &to, &mut drops, &mut out).is_ok() {
            Node::document(&out).expect("what is written is JSON");
        }
    }
    let told = answer(bytes);
    let mut out = Vec::new();
    SPEAKS.write_answer(&told.answer, &super::corpus::call(), &mut out);
    Node::document(&out).expect("what is written is JSON");
    SPEAKS.read_fault(400, bytes);
    let (one, two) = bytes.split_at(cut.min(bytes.len()));
    assert_eq!(stream([one, two]).events, stream([bytes]).events);
}

fn golden_bytes() -> impl Strategy<Value = Vec<u8>> {
    let all: Vec<Vec<u8>> = ["requests", "answers", "streams", "faults"]
        .into_iter()
        .flat_map(corpus)
        .map(|(_, body)| body)
        .collect();
    proptest::sample::select(all)
}

/// Bytes that JSON and event streams are made of, more often than others.
fn spice() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..4),
        proptest::sample::select(vec![
            "null",
            "{}",
            "[]",
            "\"\"",
            "7",
            "-1",
            "1e999",
            "true",
            ",",
            ":",
            "{",
            "}",
            "[",
            "]",
            "\"",
            "\\",
            "\n\n",
            "data: ",
            "\\ud800",
            "\"index\":0,",
            "\"id\":\"\",",
            "[DONE]",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0..300usize) {
        read_all(&bytes, cut);
    }

    #[test]
    fn no_change_of_a_golden_file_makes_a_reader_panic(
        mut bytes in golden_bytes(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0..12usize, spice()), 1..4),
        cut in 0..4_000usize,
    ) {
        for (at, removed, added) in changes {
            let at = at.index(bytes.len() + 1);
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, added);
        }
        read_all(&bytes, cut);
    }
}
