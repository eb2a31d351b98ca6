//! Turns and tools of other dialects' requests, written to Anthropic: what is moved, what is made to fit, what is lost.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        bad::BadRequest,
        feature::Feature,
        request::{CacheMark, Content, Format, Media, MediaKind, Part, Request, Role, Source, Tool, ToolChoice},
    },
    json::Json,
    quirks::Quirks,
};

use super::{
    asked::{asked, media, tool, tool_call, tool_result, turn, written},
    write,
};

#[test]
fn turns_are_hoisted_merged_and_ordered() {
    let mut request = asked();
    request.turns = vec![
        turn(Role::Developer, vec![Part::text("Be brief.")]),
        turn(Role::User, vec![Part::text("One"), Part::text(" \n"), Part::text("")]),
        turn(Role::User, vec![Part::text("Two")]),
        turn(Role::Assistant, vec![tool_call("a"), tool_call("b")]),
        turn(Role::System, vec![Part::text("Be kind.")]),
        turn(
            Role::User,
            vec![Part::text("And?"), tool_result("b", vec![Part::text("2")])],
        ),
        turn(
            Role::User,
            vec![tool_result("a", vec![Part::new(Content::Json(br#"{"x":[1]}"#))])],
        ),
        turn(Role::Assistant, vec![Part::text("Done.  \n")]),
    ];
    request.tools = vec![tool("look")];
    let body = written(&request, &Quirks::default(), &[]);
    let text = |text: &str| json!({"type": "text", "text": text});
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "look", "input": {"a": 1}});
    let result = |id: &str, content: &str| json!({"type": "tool_result", "tool_use_id": id, "content": content});
    assert_eq!(body["system"], json!([text("Be brief."), text("Be kind.")]));
    assert_eq!(
        body["messages"],
        json!([
            {"role": "user", "content": [text("One"), text("Two")]},
            {"role": "assistant", "content": [call("a"), call("b")]},
            {"role": "user", "content": [result("b", "2"), result("a", "{\"x\":[1]}"), text("And?")]},
            {"role": "assistant", "content": [text("Done.")]},
        ])
    );
    assert_eq!(
        body["tools"][0]["input_schema"],
        json!({"type": "object", "properties": {}})
    );
}

#[test]
fn a_turn_of_the_assistant_that_comes_first_or_last_is_seen_to() {
    let mut request = asked();
    request
        .turns
        .insert(0, turn(Role::Assistant, vec![Part::text("Ahoy!")]));
    let body = written(&request, &Quirks::default(), &[]);
    assert_eq!(body["messages"][0]["role"], "user");
    assert_eq!(body["messages"][1]["content"], "Ahoy!");

    let mut request = asked();
    request.turns.push(turn(Role::Assistant, vec![Part::text("{")]));
    let quirks = Quirks {
        prefill: false,
        ..Quirks::default()
    };
    let body = written(&request, &quirks, &[Feature::Prefill]);
    assert_eq!(body["messages"].as_array().map(Vec::len), Some(1));
    request.format = Format::Schema {
        name: None,
        description: None,
        schema: b"{}".into(),
        strict: None,
    };
    assert_eq!(
        written(&request, &Quirks::default(), &[Feature::Prefill])["messages"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[test]
fn tools_of_other_dialects_are_made_to_fit() {
    let mut request = asked();
    let with = |schema: &'static [u8]| Tool {
        schema: Some(schema.into()),
        ..tool("look")
    };
    request.tools = vec![
        with(br#"{}"#),
        with(br#"{"anyOf":[{"type":"string"}]}"#),
        with(br#"{ "type":"object" }"#),
    ];
    request.parallel_tools = Some(false);
    let body = written(&request, &Quirks::default(), &[]);
    let schemas: Vec<&Value> = (0..3).map(|at| &body["tools"][at]["input_schema"]).collect();
    let any = json!({"type": "object", "anyOf": [{"type": "string"}]});
    assert_eq!(schemas, [&json!({"type": "object"}), &any, &json!({"type": "object"})]);
    assert_eq!(
        body["tool_choice"],
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );

    // Tools were called, and none is defined: those that were, and none may be called.
    request.tools.clear();
    request.turns.push(turn(
        Role::Assistant,
        vec![tool_call("functions.look:0"), tool_call("b")],
    ));
    let results = vec![tool_result("functions.look:0", vec![]), tool_result("b", vec![])];
    request.turns.push(turn(Role::User, results));
    let body = written(&request, &Quirks::default(), &[]);
    assert_eq!(body["tools"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
    // Ids have a pattern.
    assert_eq!(body["messages"][1]["content"][0]["id"], "functions_2elook_3a0");
    assert_eq!(body["messages"][2]["content"][0]["tool_use_id"], "functions_2elook_3a0");

    let mut request = asked();
    request.tool_choice = Some(ToolChoice::Named("look".into()));
    assert!(written(&request, &Quirks::default(), &[Feature::ToolChoice])["tool_choice"].is_null());
}

#[test]
fn arguments_that_are_no_object_are_wrapped() {
    let mut request = asked();
    request.tools = vec![tool("look")];
    for (arguments, input) in [
        ("", json!({})),
        (" {\"a\":1} ", json!({"a": 1})),
        ("{\"a\":", json!({"INVALID_JSON": "{\"a\":"})),
        ("[1]", json!({"INVALID_JSON": "[1]"})),
    ] {
        let call = Part::new(Content::ToolCall {
            id: Some("a".into()),
            name: "look".into(),
            arguments: Json::Quoted(arguments.into()),
        });
        request.turns.truncate(1);
        request.turns.push(turn(Role::Assistant, vec![call]));
        request.turns.push(turn(Role::User, vec![tool_result("a", vec![])]));
        let body = written(&request, &Quirks::default(), &[]);
        assert_eq!(body["messages"][1]["content"][0]["input"], input, "{arguments}");
    }
}

/// Per row: a part of the user's; then the block it becomes, or what is lost.
#[test]
fn media_are_carried_or_noted() {
    use MediaKind::{Audio, Document, Image, Video};
    let base64 = |data: &'static str| Source::Base64(data.into());
    let url = |url: &'static str| Source::Url(url.into());
    let png = json!({"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "AA=="}});
    let csv = json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b\n"}});
    let rows = [
        (media(Image, base64("AA=="), Some("image/jpg")), Ok(png)),
        (media(Image, base64("AA=="), Some("image/tiff")), Err(Feature::Image)),
        (media(Image, base64("AA=="), None), Err(Feature::Image)),
        (media(Image, url("gs://b/o"), None), Err(Feature::ImageUrl)),
        (media(Document, base64("YSxiCg=="), Some("text/csv")), Ok(csv)),
        (
            media(Document, base64("/w=="), Some("text/csv")),
            Err(Feature::Document),
        ),
        (
            media(Document, base64("AA=="), Some("application/msword")),
            Err(Feature::Document),
        ),
        (media(Document, url("s3://b/o"), None), Err(Feature::DocumentUrl)),
        (media(Audio, base64("AA=="), Some("audio/wav")), Err(Feature::Audio)),
        (media(Video, url("https://v.example"), None), Err(Feature::Video)),
    ];
    for (part, expected) in rows {
        let mut request = asked();
        request.turns[0].parts.push(part.clone());
        match expected {
            Ok(block) => assert_eq!(
                written(&request, &Quirks::default(), &[])["messages"][0]["content"][1],
                block
            ),
            Err(feature) => {
                let body = written(&request, &Quirks::default(), &[feature]);
                assert_eq!(body["messages"][0]["content"], "Hi", "{part:?}");
            }
        }
        // In a tool's result it is the same.
        let mut request = asked();
        request.tools = vec![tool("look")];
        request.turns.push(turn(Role::Assistant, vec![tool_call("a")]));
        request
            .turns
            .push(turn(Role::User, vec![tool_result("a", vec![part, Part::text("b")])]));
        let (body, _) = write(&request, &Quirks::default());
        super::json(&body.expect("a request"));
    }
    let mut request = asked();
    request.turns.push(turn(
        Role::Assistant,
        vec![media(Image, url("https://a.example"), None)],
    ));
    written(&request, &Quirks::default(), &[Feature::Image]);
}

#[test]
fn thoughts_that_nobody_signed_are_left_out() {
    let mut request = asked();
    let thought = Part::new(Content::Thinking("Hm".into()));
    let refusal = Part::new(Content::Refusal("No.".into()));
    request.turns.push(turn(Role::Assistant, vec![thought, refusal]));
    request.turns.push(turn(Role::User, vec![Part::text("Why?")]));
    let body = written(&request, &Quirks::default(), &[Feature::Signature]);
    assert_eq!(body["messages"][1]["content"], "No.");
}

#[test]
fn only_the_last_four_cache_marks_are_sent() {
    let mut request = asked();
    let mark = Some(CacheMark::Short);
    request.tools = vec![Tool {
        cache: mark,
        ..tool("look")
    }];
    let marked = |text: &'static str| Part {
        cache: mark,
        ..Part::text(text)
    };
    request.turns[0].parts = vec![marked("a"), marked("b"), marked("c"), marked("d"), Part::text("e")];
    let body = written(&request, &Quirks::default(), &[Feature::Cache]);
    assert!(body["tools"][0]["cache_control"].is_null());
    let marks = body["messages"][0]["content"].as_array().expect("blocks").iter();
    let marks: Vec<bool> = marks.map(|block| block["cache_control"].is_object()).collect();
    assert_eq!(marks, [true, true, true, true, false]);
}

#[test]
fn a_schema_for_the_answer_excludes_citations() {
    let mut request = asked();
    request.turns[0].parts = vec![Part::new(Content::Media(Media {
        kind: MediaKind::Document,
        source: Source::Text("The grass is green.".into()),
        media_type: None,
        name: None,
        detail: None,
        cite: true,
    }))];
    let body = written(&request, &Quirks::default(), &[]);
    assert_eq!(body["messages"][0]["content"][0]["citations"], json!({"enabled": true}));
    request.format = Format::Schema {
        name: Some("n".into()),
        description: None,
        schema: b"{}".into(),
        strict: Some(true),
    };
    let body = written(&request, &Quirks::default(), &[Feature::Cite]);
    assert!(body["messages"][0]["content"][0]["citations"].is_null());
}

#[test]
fn what_cannot_be_said_at_all_is_refused() {
    let system_alone = Request {
        turns: vec![turn(Role::System, vec![Part::text("Be brief.")])],
        ..asked()
    };
    let mut no_call = asked();
    no_call.turns.push(turn(Role::User, vec![tool_result("a", vec![])]));
    let mut late = no_call.clone();
    late.turns.insert(1, turn(Role::Assistant, vec![tool_call("a")]));
    late.turns.insert(2, turn(Role::User, vec![tool_result("a", vec![])]));
    late.turns.insert(3, turn(Role::Assistant, vec![Part::text("So.")]));
    for (request, says) in [
        (system_alone, "leaves no turn of the user"),
        (no_call, "answer a tool call 'a' that the turn before did not make"),
        (late, "answer a tool call 'a' that the turn before did not make"),
    ] {
        let (outcome, _) = write(&request, &Quirks::default());
        match outcome {
            Err(BadRequest::Field { field, wrong, .. }) => {
                assert_eq!(field, "messages");
                assert!(wrong.contains(says), "{wrong}");
            }
            other => panic!("{other:?}"),
        }
    }
}
