//! What other dialects ask for, as a provider of this one gets it.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{
            Amount, CacheMark, Content, Format, Media, MediaKind, Part, Request, Role, Source, Thinking, Tool,
            ToolChoice, Turn,
        },
    },
    json::{Json, Text},
    openai_chat::SPEAKS,
    quirks::{MaxTokensField, Quirks},
    speak::{Speaks, TargetFacts},
};

use super::corpus::{self, golden, read, written};

fn turn(role: Role, parts: Vec<Part<'_>>) -> Turn<'_> {
    Turn {
        role,
        name: None,
        parts,
    }
}

fn request(turns: Vec<Turn<'_>>) -> Request<'_> {
    Request {
        model: "m".into(),
        turns,
        ..Request::default()
    }
}

fn media(kind: MediaKind, source: Source<'static>, media_type: Option<&'static str>) -> Part<'static> {
    Part::new(Content::Media(Media {
        kind,
        source,
        media_type: media_type.map(Text::from),
        name: None,
        detail: None,
        cite: false,
    }))
}

fn result(id: &'static str, parts: Vec<Part<'static>>, is_error: bool) -> Part<'static> {
    Part::new(Content::ToolResult {
        call_id: Some(id.into()),
        name: Some("f".into()),
        parts,
        is_error,
    })
}

fn messages(request: &Request<'_>) -> (Value, Vec<Feature>) {
    let (out, lost) = written(request, &Quirks::default());
    (corpus::json(&out)["messages"].clone(), lost)
}

#[test]
fn results_come_before_what_else_a_turn_says_and_their_pictures_behind_them() {
    let picture = || media(MediaKind::Image, Source::Base64("aGk=".into()), Some("image/png"));
    let turns = vec![turn(
        Role::User,
        vec![
            Part::text("And now?"),
            result("a", vec![Part::text("one"), picture()], false),
            result("b", vec![picture()], true),
            result("c", vec![Part::new(Content::Json(b"{\"x\":1}"))], false),
            result("d", vec![], false),
        ],
    )];
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}});
    let text = |text: &str| json!({"type": "text", "text": text});
    let expected = json!([
        {"role": "tool", "tool_call_id": "a", "content": "one"},
        {"role": "tool", "tool_call_id": "b", "content": "The result follows in the next message."},
        {"role": "tool", "tool_call_id": "c", "content": "{\"x\":1}"},
        {"role": "tool", "tool_call_id": "d", "content": ""},
        {"role": "user", "content": [
            text("Result of the tool call a:"), image, text("Result of the tool call b:"), image, text("And now?")]},
    ]);
    assert_eq!(messages(&request(turns)), (expected, vec![Feature::ToolResultError]));
}

#[test]
fn documents_that_are_text_go_as_text() {
    let mut named = media(MediaKind::Document, Source::Text("Body".into()), Some("text/plain"));
    if let Content::Media(media) = &mut named.content {
        media.name = Some("Notes".into());
        media.cite = true;
    }
    let coded = media(MediaKind::Document, Source::Base64("YSxiCg==".into()), Some("text/csv"));
    let pdf = media(MediaKind::Document, Source::Base64("JVBERg==".into()), None);
    let expected = json!([{"role": "user", "content": [
        {"type": "text", "text": "Notes\n\nBody"},
        {"type": "text", "text": "a,b\n"},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
    ]}]);
    let turns = vec![turn(Role::User, vec![named, coded, pdf])];
    assert_eq!(messages(&request(turns)), (expected, vec![Feature::Cite]));
}

#[test]
fn what_has_no_words_is_noted_and_left_out() {
    let url = |url: &'static str| Source::Url(url.into());
    for (part, feature) in [
        (media(MediaKind::Image, url("gs://b/a.png"), None), Feature::ImageUrl),
        (
            media(MediaKind::Document, url("https://a/b.pdf"), None),
            Feature::DocumentUrl,
        ),
        (
            media(MediaKind::Document, Source::File("f".into()), None),
            Feature::Owned,
        ),
        (media(MediaKind::Audio, url("https://a/b.wav"), None), Feature::Audio),
        (
            media(MediaKind::Audio, Source::Base64("AA".into()), Some("audio/ogg")),
            Feature::Audio,
        ),
        (media(MediaKind::Video, url("https://a/b.mp4"), None), Feature::Video),
    ] {
        let alone = turn(Role::User, vec![part.clone()]);
        let turns = vec![alone, turn(Role::User, vec![Part::text("x"), part.clone()])];
        let expected = json!([{"role": "user", "content": [{"type": "text", "text": "x"}]}]);
        assert_eq!(messages(&request(turns)), (expected, vec![feature]), "{part:?}");
    }
}

#[test]
fn thoughts_go_back_as_they_came() {
    let mut signed = Part::new(Content::Thinking("One.".into()));
    signed.signature = Some("c2ln".into());
    let sealed = Part::new(Content::Sealed {
        data: "ZGF0YQ==".into(),
        id: None,
    });
    let mut call = Part::new(Content::ToolCall {
        id: Some("t".into()),
        name: "f".into(),
        arguments: Json::Value(b"{\"a\":\"\\\"\"}"),
    });
    call.signature = Some("Z29vZ2xl".into());
    let second = Part::new(Content::Thinking("Two.".into()));
    let turns = vec![turn(Role::Assistant, vec![signed, sealed, second, call])];
    let expected = json!([{"role": "assistant",
        "reasoning_content": "One.Two.",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "One.", "signature": "c2ln"},
            {"type": "reasoning.encrypted", "data": "ZGF0YQ=="},
            {"type": "reasoning.text", "text": "Two."}],
        "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{\"a\":\"\\\"\"}"},
            "extra_content": {"google": {"thought_signature": "Z29vZ2xl"}}}],
        "content": null}]);
    assert_eq!(messages(&request(turns.clone())), (expected, vec![]));

    let quirks = Quirks {
        drop: vec!["reasoning_content".into(), "reasoning_details".into()],
        ..Quirks::default()
    };
    let (out, lost) = written(&request(turns), &quirks);
    assert_eq!(lost, [Feature::Signature]);
    assert!(!String::from_utf8_lossy(&out).contains("reasoning"));
}

fn quirks() -> Quirks {
    Quirks::default()
}

/// A golden request for a target with a quirk: one member of what is sent, and what is lost.
fn becomes(name: &str, quirks: &Quirks, pointer: &str, expected: Value, expected_lost: &[Feature]) {
    let body = golden("requests", name);
    let (out, lost) = written(&read(&body), quirks);
    let sent = corpus::json(&out);
    assert_eq!(
        sent.pointer(pointer).unwrap_or(&Value::Null),
        &expected,
        "{name} {pointer}"
    );
    assert_eq!(lost, expected_lost, "{name} {pointer}");
}

#[test]
fn the_output_cap_has_its_name_and_its_most() {
    becomes("sampling", &quirks(), "/max_tokens", json!(100), &[]);
    let newer = Quirks {
        max_tokens_field: MaxTokensField::MaxCompletionTokens,
        most_max_tokens: Some(64),
        ..quirks()
    };
    becomes(
        "sampling",
        &newer,
        "/max_completion_tokens",
        json!(64),
        &[Feature::MaxTokens],
    );
    becomes("sampling", &newer, "/max_tokens", Value::Null, &[Feature::MaxTokens]);
}

#[test]
fn a_model_without_sampling_gets_none_and_a_default_is_no_loss() {
    let none = Quirks {
        sampling: false,
        ..quirks()
    };
    let lost = [
        Feature::Temperature,
        Feature::TopP,
        Feature::FrequencyPenalty,
        Feature::PresencePenalty,
        Feature::Logprobs,
        Feature::TopLogprobs,
        Feature::LogitBias,
    ];
    becomes("sampling", &none, "/temperature", Value::Null, &lost);
    becomes("sampling", &none, "/logit_bias", Value::Null, &lost);
    becomes("thinking-off", &none, "/temperature", Value::Null, &[]);
}

#[test]
fn a_member_that_is_never_sent_is_a_loss() {
    for (name, member, feature) in [
        ("sampling", "seed", Feature::Seed),
        ("sampling", "user", Feature::User),
        ("sampling", "temperature", Feature::Temperature),
        ("json-object", "response_format", Feature::Format),
        ("tools", "parallel_tool_calls", Feature::ParallelTools),
        ("tools", "tools", Feature::Tools),
        ("developer", "reasoning_effort", Feature::Thinking),
    ] {
        let dropping = Quirks {
            drop: vec![member.into()],
            ..quirks()
        };
        becomes(name, &dropping, &format!("/{member}"), Value::Null, &[feature]);
    }
}

#[test]
fn usage_is_asked_for_in_every_stream_whose_target_takes_that() {
    let asked = json!({"include_usage": true});
    becomes("tool-choice-required", &quirks(), "/stream_options", asked, &[]);
    becomes("minimal", &quirks(), "/stream_options", Value::Null, &[]);
    let silent = Quirks {
        stream_usage: false,
        ..quirks()
    };
    becomes("tool-choice-required", &silent, "/stream_options", Value::Null, &[]);
}

#[test]
fn roles_are_those_of_the_target() {
    becomes("developer", &quirks(), "/messages/0/role", json!("system"), &[]);
    let newer = Quirks {
        developer_role: true,
        ..quirks()
    };
    becomes("multi-turn", &newer, "/messages/0/role", json!("developer"), &[]);
    becomes("prefill", &quirks(), "/messages/1/role", json!("assistant"), &[]);
    let no_prefill = Quirks {
        prefill: false,
        ..quirks()
    };
    becomes("prefill", &no_prefill, "/messages/1", Value::Null, &[Feature::Prefill]);
    // A call is no answer to go on with.
    becomes("tool-round", &no_prefill, "/messages/7/role", json!("tool"), &[]);
}

#[test]
fn numbers_out_of_range_are_clamped_and_noted() {
    for (member, expected, feature) in [
        (r#""temperature":2.5"#, json!(2), Some(Feature::Temperature)),
        (r#""temperature":1e400"#, json!(2), Some(Feature::Temperature)),
        (r#""temperature":-1"#, json!(0), Some(Feature::Temperature)),
        (r#""temperature":0.70"#, json!(0.70), None),
        (r#""top_p":1.5"#, json!(1), Some(Feature::TopP)),
        (r#""presence_penalty":-3"#, json!(-2), Some(Feature::PresencePenalty)),
        (r#""top_logprobs":50"#, json!(20), Some(Feature::TopLogprobs)),
        (
            r#""stop":["a","b","c","d","e"]"#,
            json!(["a", "b", "c", "d"]),
            Some(Feature::Stop),
        ),
    ] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{member}}}"#);
        let (out, lost) = written(&read(body.as_bytes()), &quirks());
        let name = member.split('"').nth(1).expect("a name");
        assert_eq!(corpus::json(&out)[name], expected, "{member}");
        assert_eq!(lost, feature.into_iter().collect::<Vec<_>>(), "{member}");
    }
}

#[test]
fn what_other_dialects_add_is_noted() {
    let mut foreign = request(vec![turn(Role::User, vec![Part::text("x")])]);
    foreign.tools = vec![Tool {
        name: "f".into(),
        description: None,
        schema: None,
        strict: None,
        cache: Some(CacheMark::OneHour),
    }];
    foreign.tool_choice = Some(ToolChoice::Named("f".into()));
    foreign.format = Format::Schema {
        name: None,
        description: None,
        schema: b"{}".into(),
        strict: None,
    };
    foreign.service_tier = Some("standard_only".into());
    foreign.thinking = Some(Thinking {
        amount: Amount::BudgetTokens(5_000),
        shown: Some(true),
    });
    let (out, lost) = written(&foreign, &quirks());
    assert_eq!(lost, [Feature::Cache, Feature::Thinking, Feature::ServiceTier]);
    let expected = json!({
        "model": "m", "messages": [{"role": "user", "content": "x"}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}},
        "reasoning_effort": "medium",
    });
    assert_eq!(corpus::json(&out), expected);
}

#[test]
fn a_tool_must_be_there_to_be_called() {
    for (choice, lost) in [
        (ToolChoice::Auto, vec![]),
        (ToolChoice::Required, vec![Feature::ToolChoice]),
    ] {
        let mut none = request(vec![turn(Role::User, vec![Part::text("x")])]);
        none.tool_choice = Some(choice);
        none.parallel_tools = Some(true);
        let (out, noted) = written(&none, &quirks());
        assert_eq!(
            corpus::json(&out),
            json!({"model": "m", "messages": [{"role": "user", "content": "x"}]})
        );
        assert_eq!(noted, lost);
    }
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let nameless = Part::new(Content::ToolResult {
        call_id: None,
        name: Some("f".into()),
        parts: vec![],
        is_error: false,
    });
    let film = media(MediaKind::Video, Source::Url("https://a/b".into()), None);
    for (turns, wrong) in [
        (
            vec![turn(Role::User, vec![nameless])],
            "has a tool result that answers no tool call",
        ),
        (
            vec![turn(Role::User, vec![film])],
            "has nothing that the target can be sent",
        ),
        (vec![], "has nothing that the target can be sent"),
    ] {
        let (mut drops, mut out) = (Drops::default(), Vec::new());
        let to = TargetFacts {
            model: "m",
            quirks: &quirks(),
        };
        let bad = SPEAKS.write_request(&request(turns), &to, &mut drops, &mut out);
        assert_eq!(bad, Err(BadRequest::missing("messages", wrong)));
    }
}

#[test]
fn a_golden_request_for_a_target_of_the_same_dialect_is_what_it_was() {
    for name in [
        "minimal",
        "image-url",
        "pdf",
        "audio-input",
        "tool-choice-named",
        "json-schema",
        "refusal-turn",
    ] {
        let body = golden("requests", name);
        let (out, _) = written(&read(&body), &quirks());
        let mut expected = corpus::json(&body);
        if let Some(auto) = expected.pointer_mut("/messages/0/content/2/image_url") {
            // The default says nothing.
            auto.as_object_mut().expect("an object").remove("detail");
        }
        assert_eq!(corpus::json(&out), expected, "{name}");
    }
}
