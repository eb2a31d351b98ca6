//! Usage is found beside an answer's bytes as the readers find it in the whole, however the bytes are cut and however
//! long an answer, or an event of it, is.

mod corpus;

use corpus::{cases, read_answer, read_stream};
use proptest::prelude::*;
use tollgate_dialect::{
    ALL,
    listen::{Form, Listener, MAX_USAGE_BYTES},
    speak::Speaks,
    usage::Usage,
};

fn folder(name: &str) -> &str {
    match name {
        "openai" => "openai_chat",
        "openai-responses" => "openai_responses",
        name => name,
    }
}

fn listened(speaks: &'static dyn Speaks, form: Form, bytes: &[u8], slice: usize) -> Option<Usage> {
    let mut listener = Listener::new(speaks, form);
    bytes.chunks(slice).for_each(|slice| listener.feed(slice));
    listener.usage()
}

fn form_of(name: &str, stream: &[u8]) -> Form {
    match (name, stream.trim_ascii_start().first()) {
        ("bedrock", _) => Form::Messages,
        (_, Some(b'[' | b'{')) => Form::Document,
        _ => Form::Events,
    }
}

#[test]
fn whole_answers_say_what_their_readers_read() {
    for (name, speaks) in ALL {
        let cases = cases(folder(name), "answers");
        assert!(!cases.is_empty(), "{name}");
        for case in cases {
            let read = read_answer(speaks, &case.bytes).unwrap_or_else(|bad| panic!("{}: {bad}", case.name));
            if read.fault.is_some() {
                // What failed is not asked for its usage by the readers; here it counts all the same.
                continue;
            }
            for slice in [1, 7, 100_000] {
                let heard = listened(speaks, Form::Document, &case.bytes, slice);
                assert_eq!(heard, read.usage, "{} by {slice}", case.name);
            }
        }
    }
}

#[test]
fn streams_say_what_their_readers_read() {
    for (name, speaks) in ALL {
        for case in cases(folder(name), "streams") {
            let Ok((_, read)) = read_stream(speaks, &[&case.bytes]) else {
                continue;
            };
            for slice in [1, 13, 100_000] {
                let form = form_of(name, &case.bytes);
                let heard = listened(speaks, form, &case.bytes, slice);
                assert_eq!(heard, read.usage, "{} by {slice}", case.name);
            }
        }
    }
}

#[test]
fn a_list_of_answers_says_what_its_reader_reads_of_a_failure() {
    let (name, speaks) = ALL
        .into_iter()
        .find(|(name, _)| *name == "gemini")
        .expect("it is one of them");
    let mut failed = 0;
    for case in cases(name, "streams") {
        if form_of(name, &case.bytes) != Form::Document {
            continue;
        }
        let (_, read) = read_stream(speaks, &[&case.bytes]).unwrap_or_else(|bad| panic!("{}: {bad}", case.name));
        failed += usize::from(read.fault.is_some());
        for slice in [1, 13, 100_000] {
            let mut listener = Listener::new(speaks, Form::Document);
            case.bytes.chunks(slice).for_each(|slice| listener.feed(slice));
            assert_eq!(listener.take_failure(), read.fault, "{} by {slice}", case.name);
            assert_eq!(listener.take_failure(), None, "it is told once");
        }
    }
    assert!(failed >= 2, "one at once, and one behind an answer");
}

/// What each dialect's usage is called, and a usage of seven tokens in.
const SAID: [(&str, &str, &str); 6] = [
    ("openai", "usage", r#"{"prompt_tokens":7}"#),
    ("openai-responses", "usage", r#"{"input_tokens":7}"#),
    ("anthropic", "usage", r#"{"input_tokens":7}"#),
    ("gemini", "usageMetadata", r#"{"promptTokenCount":7}"#),
    ("cohere", "usage", r#"{"billed_units":{"input_tokens":7}}"#),
    ("bedrock", "usage", r#"{"inputTokens":7}"#),
];

#[test]
fn no_length_is_too_long() {
    let text = "\\\"usage\\\":{} x ".repeat(90_000);
    for ((name, member, usage), (_, speaks)) in SAID.into_iter().zip(ALL) {
        let answer = format!(r#"{{"a":[{{"{member}":{usage},"text":"{text}"}}],"{member}":{usage},"z":"{text}"}}"#);
        let heard = listened(speaks, Form::Document, answer.as_bytes(), 16_384);
        assert_eq!(heard.and_then(|usage| usage.input), Some(7), "{name}");
        let events = format!("event: x\ndata: {{}}\n\ndata: {answer}\n\n");
        let heard = listened(speaks, Form::Events, events.as_bytes(), 16_384);
        assert_eq!(heard.and_then(|usage| usage.input), Some(7), "{name}");
        // The usage itself is no place to hide bytes in.
        let long = format!(r#"{{"{member}":{{"x":"{}"}}}}"#, "y".repeat(MAX_USAGE_BYTES));
        assert_eq!(listened(speaks, Form::Document, long.as_bytes(), 1_000), None, "{name}");
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        Just("usage".to_owned()),
        Just("response".to_owned()),
        "[a\"\\\\{}\\[,:]{0,5}"
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<u16>().prop_map(Into::into),
        Just(serde_json::json!({"input_tokens": 7, "output_tokens": 3})),
        text.clone().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let members = prop::collection::vec((text.clone(), inner.clone()), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Into::into),
            members.prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = serde_json::Value> {
    json().prop_map(|any| match any.is_object() {
        true => any,
        false => serde_json::json!({ "response": any }),
    })
}

proptest! {
    /// Of any document: the usage that stands where it may, found in any cuts, as a document and as an event.
    #[test]
    fn any_document_in_any_cuts(document in object(), slice in 1usize..40, pretty: bool) {
        let responses = ALL[1].1;
        let mut expected = Usage::default();
        let mut said = false;
        // The order of members in the text is that of a map: `response` before `usage`.
        for usage in [&document["response"]["usage"], &document["usage"]] {
            said |= usage.is_object() && responses.hear_usage(usage.to_string().as_bytes(), &mut expected);
        }
        let expected = said.then_some(expected);
        let text = if pretty { format!("{document:#}") } else { document.to_string() };
        prop_assert_eq!(listened(responses, Form::Document, text.as_bytes(), slice), expected);
        let event = text.lines().map(|line| format!("data: {line}\r\n")).collect::<String>() + "\r\n";
        prop_assert_eq!(listened(responses, Form::Events, event.as_bytes(), slice), expected);
    }
}
