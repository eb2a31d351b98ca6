//! What a client of another dialect says, told to Cohere.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        bad::BadRequest,
        feature::{
            Drops,
            Feature::{self, *},
        },
        request::{
            Amount, Content, Effort, Format, Media, MediaKind, Part, Request, Role, Sampling, Source, Thinking, Tool,
            ToolChoice, Turn,
        },
    },
    cohere::SPEAKS,
    json::{Json, Node, Number, Text},
    quirks::Quirks,
    speak::{Speaks as _, TargetFacts},
};

use super::{case, read, value};

fn write(request: &Request<'_>, quirks: Quirks) -> Result<(Value, Vec<Feature>), BadRequest> {
    let to = TargetFacts {
        model: "command-a-03-2025",
        quirks: &quirks,
    };
    let (mut drops, mut out) = (Drops::default(), Vec::new());
    SPEAKS.write_request(request, &to, &mut drops, &mut out)?;
    Ok((value(&out), drops.features().to_vec()))
}

/// The body and what was noted.
fn told(request: &Request<'_>) -> (Value, Vec<Feature>) {
    write(request, Quirks::default()).unwrap_or_else(|error| panic!("not written: {error}"))
}

/// A request of a client that speaks another dialect.
fn foreign<'a>() -> Request<'a> {
    Request {
        model: "theirs".into(),
        turns: vec![turn(Role::User, vec![Part::text("Hello.")])],
        ..Request::default()
    }
}

fn turn(role: Role, parts: Vec<Part<'_>>) -> Turn<'_> {
    Turn {
        role,
        name: None,
        parts,
    }
}

fn tool(name: &'static str, strict: Option<bool>) -> Tool<'static> {
    Tool {
        name: name.into(),
        description: None,
        schema: None,
        strict,
        cache: None,
    }
}

fn number(text: &str) -> Option<Number<'static>> {
    let document = Box::leak(format!("{{\"n\":{text}}}").into_boxed_str());
    let node = Node::document(document.as_bytes()).expect("JSON");
    node.get("n").and_then(Node::number)
}

#[test]
fn ranges_are_kept_and_losses_noted() {
    let mut request = foreign();
    request.sampling = Sampling {
        max_tokens: Some(9_000),
        temperature: number("2.5"),
        top_p: number("1"),
        top_k: Some(1_000),
        frequency_penalty: number("-0.5"),
        presence_penalty: number("1.7"),
        seed: number("-4"),
        stop: (0..7).map(|_| Text::from("x")).collect(),
        n: Some(2),
        logprobs: Some(true),
        top_logprobs: Some(5),
        logit_bias: Some(b"{}"),
    };
    let quirks = Quirks {
        most_max_tokens: Some(8_000),
        ..Quirks::default()
    };
    let (body, noted) = write(&request, quirks).expect("a request");
    let expected = json!({
        "model": "command-a-03-2025", "stream": false, "messages": [{"role": "user", "content": "Hello."}],
        "temperature": 2, "p": 0.99, "frequency_penalty": 0, "presence_penalty": 1, "k": 500,
        "max_tokens": 8000, "stop_sequences": ["x", "x", "x", "x", "x"], "logprobs": true,
    });
    assert_eq!(body, expected);
    let penalties = [FrequencyPenalty, PresencePenalty];
    let expected = [
        &[Temperature, TopP][..],
        &penalties,
        &[TopK, Seed, MaxTokens, Stop, N, TopLogprobs, LogitBias],
    ];
    assert_eq!(noted, expected.concat());
}

#[test]
fn quirks_keep_members_away() {
    let mut request = foreign();
    request.sampling = Sampling {
        // Zero says nothing, and some models take only one of the two.
        frequency_penalty: number("0"),
        presence_penalty: number("0.0"),
        temperature: number("1"),
        top_k: Some(3),
        ..Sampling::default()
    };
    let names = |body: Value| -> Vec<String> {
        let members = body.as_object().expect("an object");
        members
            .keys()
            .filter(|key| !["messages", "model", "stream"].contains(&key.as_str()))
            .cloned()
            .collect()
    };
    for (quirks, sent, noted) in [
        (Quirks::default(), vec!["temperature", "k"], vec![]),
        (
            Quirks {
                drop: vec!["k".to_owned()],
                ..Quirks::default()
            },
            vec!["temperature"],
            vec![TopK],
        ),
        (
            Quirks {
                sampling: false,
                ..Quirks::default()
            },
            vec![],
            vec![Temperature, TopK],
        ),
    ] {
        let (body, features) = write(&request, quirks).expect("a request");
        assert_eq!(
            (names(body), features),
            (sent.into_iter().map(str::to_owned).collect(), noted)
        );
    }
}

/// Names of the tools, `strict_tools`, `tool_choice`, and the type of `response_format`; and what was noted.
fn check_tools(tools: &[Tool<'static>], choice: Option<ToolChoice<'static>>, format: Format<'static>, expected: Value) {
    let mut request = foreign();
    (request.tools, request.tool_choice, request.format) = (tools.to_vec(), choice, format);
    let (body, noted) = told(&request);
    let names = body["tools"].as_array().map(|tools| {
        let names = tools.iter().map(|tool| tool["function"]["name"].clone());
        Value::from(names.collect::<Vec<_>>())
    });
    let noted = noted.iter().map(|feature| format!("{feature:?}"));
    let said = json!([
        names.unwrap_or_default(),
        body["strict_tools"],
        body["tool_choice"],
        body["response_format"]["type"],
        noted.collect::<Vec<_>>(),
    ]);
    assert_eq!(said, expected, "{request:?}");
}

#[test]
fn tools_of_other_dialects_are_said_in_coheres_words() {
    let named = |name: &'static str| Some(ToolChoice::Named(name.into()));
    let two = [tool("a", None), tool("b", None)];
    let strict = [tool("a", Some(true)), tool("b", Some(true))];
    let mixed = [tool("a", Some(true)), tool("b", None)];
    let (auto, none) = (Some(ToolChoice::Auto), Some(ToolChoice::None));
    check_tools(
        &[],
        Some(ToolChoice::Required),
        Format::Text,
        json!([null, null, null, null, []]),
    );
    check_tools(
        &two,
        named("b"),
        Format::Text,
        json!([["b"], null, "REQUIRED", null, []]),
    );
    check_tools(&strict, auto, Format::Text, json!([["a", "b"], true, null, null, []]));
    check_tools(
        &mixed,
        None,
        Format::Text,
        json!([["a", "b"], null, null, null, ["ToolStrict"]]),
    );
    // Cohere refuses tools and a format together.
    check_tools(
        &two,
        None,
        Format::Json,
        json!([["a", "b"], null, null, null, ["Format"]]),
    );
    check_tools(&two, none, Format::Json, json!([null, null, null, "json_object", []]));

    let mut request = foreign();
    request.tools = two.to_vec();
    request.tool_choice = named("z");
    let error = write(&request, Quirks::default()).expect_err("no such tool");
    assert!(error.to_string().contains("tool_choice"), "{error}");
}

#[test]
fn turns_of_other_dialects_are_said_in_coheres_words() {
    let picture = Part::new(Content::Media(Media {
        kind: MediaKind::Image,
        source: Source::Url("https://sky.example/now.png".into()),
        media_type: None,
        name: None,
        detail: None,
        cite: false,
    }));
    let result = Part::new(Content::ToolResult {
        call_id: Some("c1".into()),
        name: None,
        parts: vec![Part::new(Content::Json(b"[1,2]")), Part::text("clouds"), picture],
        is_error: true,
    });
    let call = Part::new(Content::ToolCall {
        id: Some("c1".into()),
        name: "look".into(),
        arguments: Json::Value(br#"{"at":"sky"}"#),
    });
    let mut signed = Part::new(Content::Thinking("Hm.".into()));
    signed.signature = Some("c2ln".into());
    let mut request = foreign();
    request.turns = vec![
        turn(Role::User, vec![Part::text("Look.")]),
        turn(Role::Developer, vec![Part::text("Be brief.")]),
        turn(Role::Assistant, vec![signed, Part::text("I will."), call]),
        turn(Role::User, vec![Part::text("Here:"), result]),
        turn(Role::Assistant, vec![Part::new(Content::Refusal("No.".into()))]),
    ];
    let (body, noted) = told(&request);
    let function = json!({"name": "look", "arguments": "{\"at\":\"sky\"}"});
    let expected = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm."}], "tool_plan": "I will.",
         "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "c1",
         "content": [{"type": "text", "text": "[1,2]"}, {"type": "text", "text": "clouds"}]},
        {"role": "user", "content": [
            {"type": "text", "text": "Pictures in the result of the tool call c1:"},
            {"type": "image_url", "image_url": {"url": "https://sky.example/now.png"}},
            {"type": "text", "text": "Here:"},
        ]},
        {"role": "assistant", "content": "No."},
    ]);
    assert_eq!(body["messages"], expected);
    assert_eq!(noted, [Signature, ToolResultError]);
}

/// Where the part went: `documents`, `inline` in a message, `image`, or nowhere; and what was noted.
fn check_media(
    kind: MediaKind,
    media_type: &'static str,
    source: Source<'static>,
    format: Format<'static>,
    expected: (&str, &[Feature]),
) {
    let mut request = foreign();
    request.format = format;
    let part = Part::new(Content::Media(Media {
        kind,
        source,
        media_type: Some(media_type.into()),
        name: Some("a file".into()),
        detail: None,
        cite: true,
    }));
    request.turns[0].parts.insert(0, part);
    let (body, noted) = told(&request);
    let content = &body["messages"][0]["content"];
    let found = match () {
        () if body["documents"][0]["data"] == json!({"title": "a file", "text": "Facts."}) => "documents",
        () if content[0]["text"] == "a file\n\nFacts." => "inline",
        () if content[0]["image_url"]["url"] == "data:image/png;base64,AAAA" => "image",
        () => "",
    };
    assert_eq!((found, noted.as_slice()), expected, "{body}");
}

#[test]
fn media_goes_where_it_can_and_is_noted_where_not() {
    let base64 = |text: &'static str| Source::Base64(text.into());
    let url = |text: &'static str| Source::Url(text.into());
    let facts = || Source::Text("Facts.".into());
    let (text, json) = (Format::Text, Format::Json);
    let document = MediaKind::Document;
    check_media(document, "text/plain", facts(), text.clone(), ("documents", &[]));
    check_media(
        document,
        "text/markdown",
        base64("RmFjdHMu"),
        text.clone(),
        ("documents", &[]),
    );
    // Nor does a format go with documents: then they are text, which nobody cites.
    check_media(document, "text/plain", facts(), json, ("inline", &[Cite]));
    check_media(
        document,
        "application/pdf",
        base64("JVBERi0="),
        text.clone(),
        ("", &[Document]),
    );
    check_media(
        document,
        "application/pdf",
        url("https://a.example/b"),
        text.clone(),
        ("", &[DocumentUrl]),
    );
    check_media(
        MediaKind::Image,
        "image/png",
        base64("AAAA"),
        text.clone(),
        ("image", &[]),
    );
    check_media(
        MediaKind::Image,
        "image/png",
        Source::File("f".into()),
        text.clone(),
        ("", &[Owned]),
    );
    check_media(
        MediaKind::Audio,
        "audio/wav",
        base64("AAAA"),
        text.clone(),
        ("", &[Audio]),
    );
    check_media(
        MediaKind::Image,
        "image/png",
        url("gs://a/b"),
        text.clone(),
        ("", &[ImageUrl]),
    );
    check_media(MediaKind::Video, "video/mp4", url("gs://a/b"), text, ("", &[Video]));
}

#[test]
fn thinking_is_a_budget() {
    for (amount, max_tokens, expected) in [
        (Amount::Off, None, json!({"type": "disabled"})),
        (Amount::BudgetTokens(0), None, json!({"type": "disabled"})),
        (Amount::Adaptive, None, json!({"type": "enabled"})),
        (
            Amount::BudgetTokens(5_000),
            Some(4_000),
            json!({"type": "enabled", "token_budget": 5000}),
        ),
        (
            Amount::Effort(Effort::Low),
            None,
            json!({"type": "enabled", "token_budget": 1024}),
        ),
        (
            Amount::Effort(Effort::High),
            Some(4_000),
            json!({"type": "enabled", "token_budget": 2000}),
        ),
        (Amount::Effort(Effort::Most), Some(4_000), json!({"type": "enabled"})),
    ] {
        let mut request = foreign();
        request.thinking = Some(Thinking { amount, shown: None });
        request.sampling.max_tokens = max_tokens;
        let (body, noted) = told(&request);
        assert_eq!((&body["thinking"], noted), (&expected, vec![]), "{amount:?}");
    }
}

#[test]
fn a_turn_to_continue_goes_only_where_it_is_taken() {
    let quirks = Quirks {
        prefill: false,
        ..Quirks::default()
    };
    let bytes = case("requests", "28");
    let (body, noted) = write(&read(&bytes), quirks.clone()).expect("a request");
    assert_eq!(body["messages"].as_array().map(Vec::len), Some(1));
    assert_eq!(noted, [Prefill]);

    let nothing = Request {
        turns: vec![turn(Role::User, vec![])],
        ..Request::default()
    };
    let error = write(&nothing, quirks).expect_err("nothing to say");
    assert!(error.to_string().contains("messages"), "{error}");
}
