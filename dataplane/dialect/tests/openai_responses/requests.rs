//! Requests: what is read is written, and what cannot be said is named.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        feature::Feature,
        request::{
            Amount, CacheMark, Content, Effort, Format, Media, MediaKind, Part, Request, Role, Sampling, Source,
            Thinking, Tool, ToolChoice, Turn,
        },
    },
    json::{Json, Node, Text},
    quirks::Quirks,
};

use super::golden::{case, cases, read_request, write_request};

#[test]
fn every_request_means_the_same_once_written() {
    for (name, body) in cases("requests") {
        let mut first = read_request(&body).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        let (written, drops) = write_request(&first, &Quirks::default()).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        let mut second = read_request(&written).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        assert!(second.unread.is_empty(), "{name}: {:?}", second.unread);
        // Where it stood is not known any more: it is named instead.
        let owned = first.owned.len();
        first.owned.retain(|owned| owned.field != "item_reference");
        let expected: &[Feature] = if first.owned.len() < owned {
            &[Feature::Owned]
        } else {
            &[]
        };
        assert_eq!(drops.features(), expected, "{name}");
        first.unread.clear();
        second.unread.clear();
        assert_eq!(first, second, "{name}: {}", String::from_utf8_lossy(&written));
    }
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|bad| panic!("{bad}: {}", String::from_utf8_lossy(bytes)))
}

#[test]
fn selected_requests_are_written_so() {
    let table = [
        (
            "text",
            json!({"model": "gpt-5.4-mini", "store": false, "input": [
                {"type": "message", "role": "user", "content": "Say \"hi\" in three languages.\nOne per line. 😀"}]}),
        ),
        (
            "everything_sampled",
            json!({"model": "gpt-4.1", "stream": true, "store": false, "instructions": "Answer in one word.",
                "input": [{"type": "message", "role": "user", "content": "Name a colour."}],
                "parallel_tool_calls": false, "max_output_tokens": 256, "temperature": 0.7, "top_p": 0.95,
                "top_logprobs": 3, "include": ["message.output_text.logprobs"], "user": "u-7f3a",
                "metadata": {"team": "search", "run": "42"}, "service_tier": "flex"}),
        ),
        (
            "stored_state",
            json!({"model": "gpt-5.4", "previous_response_id": "resp_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b",
                "conversation": "conv_1", "prompt": {"id": "pmpt_1"},
                "input": [{"type": "message", "role": "user", "content": "Go on."}]}),
        ),
    ];
    for (name, expected) in table {
        let body = case("requests", name);
        let request = read_request(&body).expect(name);
        let (written, _) = write_request(&request, &Quirks::default()).expect(name);
        assert_eq!(value(&written), expected, "{name}");
    }
}

#[test]
fn reasoning_goes_back_as_it_came() {
    let body = case("requests", "reasoning_continued");
    let request = read_request(&body).expect("valid");
    let (written, _) = write_request(&request, &Quirks::default()).expect("written");
    let (before, after) = (value(&body), value(&written));
    for item in [1, 2, 4] {
        let mut expected = before["input"][item].clone();
        if expected["type"] == "function_call" {
            // Ids of calls' items are the provider's bookkeeping.
            expected.as_object_mut().expect("an object").remove("id");
        }
        assert_eq!(after["input"][item], expected);
    }
    assert_eq!(after["include"], json!(["reasoning.encrypted_content"]));
    assert_eq!(after["reasoning"], json!({"effort": "high", "summary": "auto"}));
}

#[test]
fn what_is_not_carried_is_named_in_the_callers_words() {
    let body = case("requests", "uncarried");
    let request = read_request(&body).expect("valid");
    let mut unread: Vec<&str> = request.unread.iter().map(AsRef::as_ref).collect();
    unread.sort_unstable();
    let expected = [
        "background",
        "include[0]",
        "input[0].content[0].foo",
        "input[0].content[1]",
        "input[1]",
        "input[2].content[0].annotations",
        "input[2].phase",
        "max_tool_calls",
        "new_member",
        "prompt.variables",
        "prompt.version",
        "prompt_cache_key",
        "reasoning.mode",
        "text.verbosity",
        "tool_choice",
        "tools[0]",
        "tools[1].defer_loading",
        "tools[2]",
        "truncation",
        "user",
    ];
    assert_eq!(unread, expected);
    let owned: Vec<&str> = request.owned.iter().map(|owned| owned.field).collect();
    assert_eq!(owned, ["prompt", "item_reference"]);
}

#[test]
fn nothing_else_is_named() {
    for (name, body) in cases("requests").into_iter().filter(|(name, _)| name != "uncarried") {
        assert_eq!(read_request(&body).expect(&name).unread, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn items_of_one_side_are_one_turn() {
    let body = case("requests", "parallel_results");
    let request = read_request(&body).expect("valid");
    let turns: Vec<(Role, usize)> = request.turns.iter().map(|turn| (turn.role, turn.parts.len())).collect();
    let expected = [(Role::User, 1), (Role::Assistant, 3), (Role::User, 2), (Role::User, 1)];
    assert_eq!(turns, expected);
    let signed = case("requests", "signed_thinking");
    let request = read_request(&signed).expect("valid");
    let parts: Vec<(&Content<'_>, Option<&Text<'_>>)> = request.turns[1]
        .parts
        .iter()
        .map(|part| (&part.content, part.signature.as_ref()))
        .collect();
    assert_eq!(
        parts[0],
        (
            &Content::Thinking("Hm.".into()),
            Some(&"EqoBCkgIARABGAIiQL+/8w==".into())
        )
    );
    let data = "dGcxAGFudGhyb3BpYwBFbXdLQWhnQkVneQ==".into();
    assert_eq!(parts[1], (&Content::Sealed { data, id: None }, None));
    assert_eq!(parts[2].1, Some(&"CiQBjz1rX+/w==".into()));
}

/// A request of another dialect, with all that this one cannot say.
fn foreign() -> Request<'static> {
    let number = |text: &'static str| {
        Node::document(text.as_bytes())
            .expect("json")
            .get("n")
            .expect("n")
            .number()
    };
    Request {
        model: "m".into(),
        turns: foreign_turns(),
        tools: vec![Tool {
            name: "f".into(),
            description: None,
            schema: None,
            strict: None,
            cache: Some(CacheMark::OneHour),
        }],
        tool_choice: Some(ToolChoice::Required),
        sampling: Sampling {
            max_tokens: Some(5),
            top_k: Some(40),
            frequency_penalty: number(r#"{"n":0.5}"#),
            presence_penalty: number(r#"{"n":0.0}"#),
            seed: number(r#"{"n":7}"#),
            stop: vec!["END".into()],
            n: Some(2),
            logit_bias: Some(br#"{"50256":-100}"#),
            ..Sampling::default()
        },
        thinking: Some(Thinking {
            amount: Amount::BudgetTokens(9_000),
            shown: Some(false),
        }),
        service_tier: Some("standard_only".into()),
        ..Request::default()
    }
}

fn foreign_turns() -> Vec<Turn<'static>> {
    let media = |kind, source| {
        Part::new(Content::Media(Media {
            kind,
            source,
            media_type: None,
            name: None,
            detail: None,
            cite: true,
        }))
    };
    vec![
        Turn {
            role: Role::User,
            name: Some("Ann".into()),
            parts: vec![
                media(MediaKind::Video, Source::Url("https://e.com/v.mp4".into())),
                media(MediaKind::Image, Source::Url("gs://bucket/a.png".into())),
                media(MediaKind::Document, Source::Url("s3://bucket/a.pdf".into())),
                media(MediaKind::Audio, Source::Url("https://e.com/a.ogg".into())),
                media(MediaKind::Document, Source::Text("Line.".into())),
                Part::text("Go."),
            ],
        },
        Turn {
            role: Role::Assistant,
            name: None,
            parts: vec![
                Part {
                    cache: Some(CacheMark::Short),
                    ..Part::text("Calling.")
                },
                Part::new(Content::ToolCall {
                    id: Some("c1".into()),
                    name: "f".into(),
                    arguments: Json::Value(br#"{"a": "\u00e9"}"#),
                }),
            ],
        },
        Turn {
            role: Role::User,
            name: None,
            parts: vec![Part::new(Content::ToolResult {
                call_id: Some("c1".into()),
                name: Some("f".into()),
                parts: vec![Part::new(Content::Json(br#"{"b":[1]}"#))],
                is_error: true,
            })],
        },
    ]
}

#[test]
fn what_cannot_be_said_is_dropped_by_name() {
    let (written, drops) = write_request(&foreign(), &Quirks::default()).expect("written");
    let mut features = drops.features().to_vec();
    features.sort_unstable();
    let mut expected = [
        Feature::ParticipantName,
        Feature::Video,
        Feature::ImageUrl,
        Feature::DocumentUrl,
        Feature::Audio,
        Feature::Cite,
        Feature::Cache,
        Feature::ToolResultError,
        Feature::MaxTokens,
        Feature::TopK,
        Feature::FrequencyPenalty,
        Feature::Seed,
        Feature::Stop,
        Feature::N,
        Feature::LogitBias,
        Feature::ServiceTier,
    ];
    expected.sort_unstable();
    assert_eq!(features, expected);
    let expected = json!({"model": "m", "store": false, "input": [
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "Line."}, {"type": "input_text", "text": "Go."}]},
            {"type": "message", "role": "assistant", "content": "Calling."},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\": \"\\u00e9\"}"},
            {"type": "function_call_output", "call_id": "c1", "output": "{\"b\":[1]}"}],
        "tools": [{"type": "function", "name": "f", "parameters": null, "strict": false}],
        "tool_choice": "required", "max_output_tokens": 16, "reasoning": {"effort": "high"},
        "include": ["reasoning.encrypted_content"]});
    assert_eq!(value(&written), expected);
}

#[test]
fn quirks_are_obeyed() {
    let body = case("requests", "everything_sampled");
    let mut request = read_request(&body).expect("valid");
    let quirks = Quirks {
        most_max_tokens: Some(100),
        sampling: false,
        prefill: false,
        drop: ["user", "metadata", "store", "service_tier"]
            .map(str::to_owned)
            .to_vec(),
        ..Quirks::default()
    };
    request.turns.push(Turn {
        role: Role::Assistant,
        name: None,
        parts: vec![Part::text("It is")],
    });
    let (written, drops) = write_request(&request, &quirks).expect("written");
    let written = value(&written);
    for gone in [
        "user",
        "metadata",
        "store",
        "service_tier",
        "temperature",
        "top_p",
        "top_logprobs",
    ] {
        assert!(written.get(gone).is_none(), "{gone}");
    }
    assert_eq!(written["max_output_tokens"], 100);
    assert_eq!(written["include"], json!(["reasoning.encrypted_content"]));
    let mut features = drops.features().to_vec();
    features.sort_unstable();
    let mut expected = [
        Feature::MaxTokens,
        Feature::Temperature,
        Feature::TopP,
        Feature::TopLogprobs,
        Feature::Logprobs,
        Feature::User,
        Feature::Metadata,
        Feature::ServiceTier,
        Feature::Prefill,
    ];
    expected.sort_unstable();
    assert_eq!(features, expected);
    let cached = case("requests", "cache_marks");
    let request = read_request(&cached).expect("valid");
    let older = Quirks {
        drop: vec!["prompt_cache_breakpoint".to_owned()],
        ..Quirks::default()
    };
    let (written, drops) = write_request(&request, &older).expect("written");
    assert!(!String::from_utf8_lossy(&written).contains("breakpoint"));
    assert_eq!(drops.features(), [Feature::Cache]);
}

#[test]
fn efforts_and_formats_are_read() {
    for (body, amount, shown) in [
        (r#"{"effort":"none"}"#, Some(Amount::Off), None),
        (r#"{"effort":"minimal"}"#, Some(Amount::Effort(Effort::Minimal)), None),
        (
            r#"{"effort":"max","summary":"detailed"}"#,
            Some(Amount::Effort(Effort::Most)),
            Some(true),
        ),
        (r#"{"generate_summary":"concise"}"#, Some(Amount::Adaptive), Some(true)),
        (r#"{"effort":null,"summary":null}"#, None, None),
        ("{}", None, None),
    ] {
        let body = format!(r#"{{"model":"m","input":"x","reasoning":{body}}}"#);
        let request = read_request(body.as_bytes()).expect(&body);
        assert_eq!(
            request.thinking,
            amount.map(|amount| Thinking { amount, shown }),
            "{body}"
        );
        assert!(request.stream_usage && request.format == Format::Text);
    }
}

#[test]
fn a_request_needs_something_to_say() {
    for turns in [
        vec![],
        vec![Turn {
            role: Role::User,
            name: None,
            parts: vec![],
        }],
    ] {
        let request = Request {
            turns,
            ..Request::default()
        };
        assert!(write_request(&request, &Quirks::default()).is_err());
    }
}

#[test]
fn a_result_needs_its_call() {
    let result = |stored: &str| {
        format!(
            r#"{{"model":"m",{stored}"input":[{{"role":"user","content":"x"}},
            {{"type":"function_call_output","call_id":"c","output":"y"}}]}}"#
        )
    };
    let body = result("");
    let request = read_request(body.as_bytes()).expect("valid");
    let bad = write_request(&request, &Quirks::default())
        .expect_err("no call")
        .to_string();
    assert!(
        bad.contains("'input[].call_id' is of a call that is not in the request"),
        "{bad}"
    );
    let body = result(r#""previous_response_id":"resp_1","#);
    let request = read_request(body.as_bytes()).expect("valid");
    assert!(write_request(&request, &Quirks::default()).is_ok());
}
