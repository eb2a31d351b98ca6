//! Requests: the corpus there and back, what is written for what, and what is lost.

use serde_json::json;
use tollgate_dialect::{
    canonical::{
        feature::Drops,
        request::{Content, Format, Media, MediaKind, Part, Role, Source},
    },
    gemini::SPEAKS,
    json::Text,
    quirks::Quirks,
    speak::{PathFacts, Speaks},
};

use crate::rig::{case, golden, json, read, write_for, written};

#[test]
fn every_request_comes_back_as_it_was() {
    for (name, body) in golden("requests") {
        let request = read(&body).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        let (out, drops) = written(&request);
        json(&out);
        let mut again = read(&out).unwrap_or_else(|bad| panic!("{name}: {bad}: {}", String::from_utf8_lossy(&out)));
        again.unread.clone_from(&request.unread);
        assert_eq!(again, request, "{name}: {}", String::from_utf8_lossy(&out));
        assert!(drops.is_empty(), "{name}: {drops:?}");
    }
}

#[test]
fn these_are_written_as_they_came() {
    for name in [
        "text.json",
        "image_inline.json",
        "image_url.json",
        "pdf_in_a_bucket.json",
        "tools_json_schema.json",
        "tool_choice_any.json",
        "tool_choice_none.json",
        "tool_results_parallel.json",
        "tool_result_structured.json",
        "tool_result_error.json",
        "tool_result_image.json",
        "thoughts_signed.json",
        "signature_alone.json",
        "sealed_thinking.json",
        "structured_json_schema.json",
        "json_mode.json",
        "sampling.json",
        "candidates_and_logprobs.json",
        "thinking_budget.json",
        "thinking_level.json",
        "cached_content.json",
        "service_tier.json",
        "escapes.json",
    ] {
        let body = case("requests", name);
        let mut expected = json(&body);
        if name == "tools_json_schema.json" {
            // Declarations are gathered in one tool.
            let both = [
                expected["tools"][0]["functionDeclarations"][0].clone(),
                expected["tools"][1]["functionDeclarations"][0].clone(),
            ];
            expected["tools"] = json!([{ "functionDeclarations": both }]);
        }
        assert_eq!(json(&written(&read(&body).expect(name)).0), expected, "{name}");
    }
}

#[test]
fn what_is_not_carried_is_named() {
    for (name, unread) in [
        ("text.json", &[][..]),
        ("snake_case.json", &[]),
        (
            "tool_choice_several.json",
            &["toolConfig.functionCallingConfig.allowedFunctionNames"],
        ),
        ("tool_choice_validated.json", &["toolConfig.functionCallingConfig.mode"]),
        (
            "foreign_features.json",
            &[
                "safetySettings",
                "labels",
                "tools[0].googleSearch",
                "tools[1].codeExecution",
                "generationConfig.responseModalities",
                "generationConfig.mediaResolution",
                "contents[1].parts[0].executableCode",
                "contents[1].parts[1].codeExecutionResult",
                "contents[2].parts[0].videoMetadata",
            ],
        ),
    ] {
        let body = case("requests", name);
        assert_eq!(read(&body).expect(name).unread, unread, "{name}");
    }
}

#[test]
fn both_spellings_and_one_for_a_list_are_the_same() {
    let lists = br#"{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"AA=="}}]}],
        "generationConfig":{"maxOutputTokens":64,"stopSequences":["END"],"thinkingConfig":{"thinkingBudget":7}}}"#;
    let other = br#"{"contents":{"parts":{"inline_data":{"mime_type":"image/png","data":"AA=="}}},
        "generation_config":{"max_output_tokens":"64","stop_sequences":"END",
        "thinking_config":{"thinking_budget":"7"}}}"#;
    assert_eq!(read(lists), read(other));
}

#[test]
fn schemas_of_its_own_become_json_schema() {
    let body = case("requests", "tools_openapi.json");
    let request = read(&body).expect("a request");
    let schema = json(request.tools[0].schema.as_ref().expect("a schema"));
    assert_eq!(
        schema,
        json!({
            "type": "object",
            "properties": {
                "city": { "type": "string", "description": "City and country" },
                "unit": { "type": ["string", "null"], "enum": ["celsius", "fahrenheit", null] },
                "days": { "type": "array", "items": { "type": "integer" }, "minItems": 1, "maxItems": 7 },
            },
            "required": ["city"],
            "propertyOrdering": ["city", "unit", "days"],
        })
    );
    assert_eq!(request.tools[1].schema, None);
    let body = case("requests", "structured_openapi.json");
    let request = read(&body).expect("a request");
    let Format::Schema { schema, .. } = &request.format else {
        panic!("a schema: {:?}", request.format)
    };
    assert_eq!(json(schema)["properties"]["rating"]["type"], json!(["number", "null"]));
}

#[test]
fn base64_is_read_in_either_alphabet() {
    let body = case("requests", "image_url_safe_base64.json");
    let request = read(&body).expect("a request");
    let Content::Media(Media { source, .. }) = &request.turns[0].parts[0].content else {
        panic!("a picture")
    };
    assert_eq!(*source, Source::Base64(Text::from("/9j/4Pvvvv//")));
    let (one, two) = (
        case("requests", "signature_url_safe.json"),
        case("requests", "thoughts_signed.json"),
    );
    let (one, two) = (read(&one).expect("a request"), read(&two).expect("a request"));
    assert_eq!(one.turns[1].parts[0].signature, two.turns[1].parts[0].signature);
}

#[test]
fn a_thought_that_was_streamed_is_one_again() {
    let body = case("requests", "thoughts_in_pieces.json");
    let request = read(&body).expect("a request");
    assert_eq!(request.turns.len(), 3);
    let parts = &request.turns[1].parts;
    assert_eq!(
        parts[0].content,
        Content::Thinking(Text::from("The user wants the weather. \u{2603}"))
    );
    assert!(parts[0].signature.is_some());
    assert_eq!(parts[1..], [Part::text("12 degrees.")]);
}

#[test]
fn what_the_sdk_hands_back_after_a_stream_is_one_turn() {
    let body = case("requests", "sdk_chat_after_streams.json");
    let request = read(&body).expect("a request");
    let roles: Vec<_> = request.turns.iter().map(|turn| turn.role).collect();
    assert_eq!(
        roles,
        [Role::User, Role::Assistant, Role::User, Role::Assistant, Role::User]
    );
    let parts = &request.turns[1].parts;
    assert!(parts.iter().all(|part| part.signature.is_some()), "{parts:?}");
    assert_eq!(parts[0].content, Content::Thinking(Text::from("Let me see.")));
    assert!(matches!(parts[1].content, Content::ToolCall { .. }));
    assert_eq!(parts.len(), 2);
    let parts = &request.turns[3].parts;
    assert!(matches!(parts[0].content, Content::Sealed { .. }));
    assert_eq!(parts[1].content, Content::Text(Text::from("Because of scattering.")));
    assert!(parts[1].signature.is_some() && parts.len() == 2);
}

#[test]
fn results_of_one_round_are_one_turn() {
    let body = case("requests", "tool_results_without_ids.json");
    let mut request = read(&body).expect("a request");
    assert_eq!(request.turns.len(), 3);
    request.name_calls();
    let ids: Vec<_> = request.turns[2]
        .parts
        .iter()
        .map(|part| match &part.content {
            Content::ToolResult { call_id, .. } => call_id.clone(),
            other => panic!("a result: {other:?}"),
        })
        .collect();
    assert_eq!(ids, [Some(Text::from("call_1")), Some(Text::from("call_2"))]);
}

#[test]
fn model_and_stream_flag_come_from_the_path() {
    let body = br#"{"model":"models/in-body","contents":{"parts":{"text":"a"}}}"#;
    for (path, model) in [(Some("in-path"), "in-path"), (None, "in-body")] {
        for stream in [false, true] {
            let request = SPEAKS
                .read_request(body, PathFacts { model: path, stream })
                .expect("a request");
            assert_eq!(
                (&*request.model, request.stream, request.stream_usage),
                (model, stream, true)
            );
        }
    }
    let nameless = SPEAKS.read_request(br#"{"contents":{"parts":{"text":"a"}}}"#, PathFacts::default());
    assert_eq!(
        nameless.expect_err("no model").to_string(),
        "'model' is missing: the path names it (byte 0)"
    );
}

#[test]
fn files_are_told_from_urls() {
    for (uri, source, kind) in [
        ("files/abc", Source::File(Text::from("files/abc")), MediaKind::Document),
        (
            "https://generativelanguage.googleapis.com/v1beta/files/a",
            Source::File(Text::from("https://generativelanguage.googleapis.com/v1beta/files/a")),
            MediaKind::Document,
        ),
        (
            "gs://b/a.png",
            Source::Url(Text::from("gs://b/a.png")),
            MediaKind::Image,
        ),
        (
            "https://a.b/c.MP3?d=e.png",
            Source::Url(Text::from("https://a.b/c.MP3?d=e.png")),
            MediaKind::Audio,
        ),
        (
            "https://youtu.be/x",
            Source::Url(Text::from("https://youtu.be/x")),
            MediaKind::Video,
        ),
    ] {
        let body = format!(r#"{{"contents":{{"parts":{{"fileData":{{"fileUri":"{uri}"}}}}}}}}"#);
        let request = read(body.as_bytes()).expect("a request");
        let Content::Media(media) = &request.turns[0].parts[0].content else {
            panic!("a file: {uri}")
        };
        assert_eq!((&media.source, media.kind), (&source, kind), "{uri}");
    }
}

#[test]
fn the_first_call_of_a_turn_is_signed_where_the_model_demands_it() {
    let body = br#"{"contents":[
        {"role":"user","parts":[{"text":"hi"}]},
        {"role":"model","parts":[{"text":"so"},{"functionCall":{"name":"a","args":{}}},{"functionCall":{"name":"b","args":{}}}]},
        {"role":"user","parts":[{"functionResponse":{"name":"a","response":{"output":1}}}]},
        {"role":"model","parts":[{"functionCall":{"name":"c","args":{}},"thoughtSignature":"c2ln"}]}]}"#;
    let request = read(body).expect("a request");
    for (model, first) in [
        ("gemini-3-pro-preview", json!("skip_thought_signature_validator")),
        ("models/gemini-10-flash", json!("skip_thought_signature_validator")),
        ("gemini-2.5-pro", json!(null)),
        ("gemini-pro", json!(null)),
        ("learnlm", json!(null)),
    ] {
        let (mut out, mut drops) = (Vec::new(), Drops::default());
        write_for(&request, model, &Quirks::default(), &mut drops, &mut out).expect("written");
        let out = json(&out);
        assert_eq!(
            out["contents"][1]["parts"][0]["thoughtSignature"],
            json!(null),
            "{model}"
        );
        assert_eq!(out["contents"][1]["parts"][1]["thoughtSignature"], first, "{model}");
        assert_eq!(
            out["contents"][1]["parts"][2]["thoughtSignature"],
            json!(null),
            "{model}"
        );
        assert_eq!(
            out["contents"][3]["parts"][0]["thoughtSignature"],
            json!("c2ln"),
            "{model}"
        );
        // What was put there is read as it stands.
        let written = out.to_string();
        let again = read(written.as_bytes()).expect("a request");
        let signed = again.turns[1].parts[1]
            .signature
            .as_ref()
            .map(|text| text.plain().map(|text| text.into_owned()));
        assert_eq!(signed.flatten(), first.as_str().map(str::to_owned), "{model}");
    }
}
