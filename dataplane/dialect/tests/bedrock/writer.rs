//! What other dialects ask for, in Bedrock's words: written JSON by meaning, and what is lost.

use std::borrow::Cow;

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        feature::Feature,
        request::{CacheMark, Content, Format, Media, MediaKind, Part, Request, Role, Source, Tool, ToolChoice, Turn},
    },
    json::{Json, Text},
    quirks::Quirks,
};

use super::{CLAUDE, read_request, write_request};

pub(super) fn turn<'a>(role: Role, parts: Vec<Part<'a>>) -> Turn<'a> {
    Turn {
        role,
        name: None,
        parts,
    }
}

pub(super) fn user<'a>(text: &'a str) -> Turn<'a> {
    turn(Role::User, vec![Part::text(text)])
}

fn assistant<'a>(text: &'a str) -> Turn<'a> {
    turn(Role::Assistant, vec![Part::text(text)])
}

pub(super) fn asked<'a>(turns: Vec<Turn<'a>>) -> Request<'a> {
    Request {
        turns,
        ..Request::default()
    }
}

pub(super) fn call<'a>(id: &'a str, name: &'a str) -> Part<'a> {
    Part::new(Content::ToolCall {
        id: Some(Text::from(id)),
        name: Text::from(name),
        arguments: Json::Quoted(Text::from("")),
    })
}

pub(super) fn result<'a>(id: &'a str, parts: Vec<Part<'a>>) -> Part<'a> {
    Part::new(Content::ToolResult {
        call_id: Some(Text::from(id)),
        name: None,
        parts,
        is_error: false,
    })
}

fn media<'a>(kind: MediaKind, source: Source<'a>, media_type: Option<&'a str>, name: Option<&'a str>) -> Part<'a> {
    Part::new(Content::Media(Media {
        kind,
        source,
        media_type: media_type.map(Text::from),
        name: name.map(Text::from),
        detail: None,
        cite: false,
    }))
}

/// What is written for a model of Anthropic's, and what is lost.
pub(super) fn written(request: &Request<'_>) -> (Value, Vec<Feature>) {
    let (bytes, drops) = write_request(request, CLAUDE, &Quirks::default()).expect("written");
    (serde_json::from_slice(&bytes).expect("JSON"), drops)
}

fn messages(request: &Request<'_>) -> (Value, Vec<Feature>) {
    let (mut value, drops) = written(request);
    (value["messages"].take(), drops)
}

#[test]
fn system_texts_go_to_the_front_and_turns_alternate() {
    let mut named = user("Hi.");
    named.name = Some(Text::from("ann"));
    let turns = vec![
        turn(Role::Developer, vec![Part::text("Be brief.")]),
        named,
        user("Hello?"),
        turn(Role::Assistant, vec![Part::text("  \n")]),
        turn(Role::System, vec![Part::text("Be kind."), Part::text("")]),
        turn(Role::User, vec![Part::text("Still there?"), Part::text("\u{a0}")]),
        turn(Role::Assistant, vec![Part::new(Content::Refusal(Text::from("No.")))]),
        user("Why?"),
    ];
    let (value, drops) = written(&asked(turns));
    assert_eq!(value["system"], json!([{"text":"Be brief."},{"text":"Be kind."}]));
    let expected = json!([
        {"role":"user","content":[{"text":"Hi."},{"text":"Hello?"},{"text":"Still there?"}]},
        {"role":"assistant","content":[{"text":"No."}]},
        {"role":"user","content":[{"text":"Why?"}]},
    ]);
    assert_eq!(value["messages"], expected);
    assert_eq!(drops, [Feature::ParticipantName]);
}

#[test]
fn a_conversation_begins_with_the_user_and_is_never_empty() {
    let (value, drops) = messages(&asked(vec![assistant("Welcome!"), user("Hi.")]));
    assert_eq!(value[0]["role"], "user");
    assert_eq!(value[1]["content"], json!([{"text":"Welcome!"}]));
    assert_eq!(drops, []);
    for turns in [
        vec![],
        vec![user(" ")],
        vec![turn(Role::System, vec![Part::text("Be brief.")])],
    ] {
        let bad = write_request(&asked(turns), CLAUDE, &Quirks::default()).expect_err("nothing to ask");
        assert!(bad.to_string().contains("messages"), "{bad}");
    }
}

#[test]
fn a_prefill_stays_where_the_model_takes_one() {
    let request = asked(vec![user("Go."), assistant("{")]);
    assert_eq!(messages(&request).0[1]["content"], json!([{"text":"{"}]));
    let quirks = Quirks {
        prefill: false,
        ..Quirks::default()
    };
    let (bytes, drops) = write_request(&request, CLAUDE, &quirks).expect("written");
    let value: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(value["messages"].as_array().map(Vec::len), Some(1));
    assert_eq!(drops, [Feature::Prefill]);
}

#[test]
fn results_stand_first_behind_their_calls() {
    let long = "call_with|odd/characters_and_far_more_than_sixty_four_of_them_in_all_0123456789";
    let turns = vec![
        user("Do both."),
        turn(Role::Assistant, vec![call("a", "one")]),
        turn(Role::Assistant, vec![call(long, "two")]),
        turn(
            Role::User,
            vec![result(long, vec![Part::new(Content::Json(b"[1]")), Part::text("x")])],
        ),
        turn(Role::User, vec![Part::text("Quickly."), result("a", vec![])]),
    ];
    let (value, drops) = written(&asked(turns));
    let calls = &value["messages"][1]["content"];
    assert_eq!(calls[0]["toolUse"], json!({"toolUseId":"a","name":"one","input":{}}));
    let id = calls[1]["toolUse"]["toolUseId"].as_str().expect("an id");
    assert!(
        id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
        "{id}"
    );
    let expected = json!([
        {"toolResult":{"toolUseId":id,"content":[{"text":"[1]"},{"text":"x"}]}},
        {"toolResult":{"toolUseId":"a","content":[{"text":"(no output)"}]}},
        {"text":"Quickly."},
    ]);
    assert_eq!(value["messages"][2]["content"], expected);
    // Where messages speak of tools there must be tools, which the caller did not declare.
    let names: Vec<&Value> = value["toolConfig"]["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|tool| &tool["toolSpec"]["name"])
        .collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(drops, [Feature::ToolChoice]);
}

#[test]
fn a_result_without_its_call_is_refused() {
    let table = [
        vec![user("Hi."), turn(Role::User, vec![result("a", vec![])])],
        vec![
            user("Hi."),
            turn(Role::Assistant, vec![call("a", "n")]),
            user("Stop."),
            assistant("Ok."),
            turn(Role::User, vec![result("a", vec![])]),
        ],
        vec![
            user("Hi."),
            turn(Role::Assistant, vec![call("a", "n")]),
            turn(Role::User, vec![result("b", vec![])]),
        ],
    ];
    for turns in table {
        let bad = write_request(&asked(turns), CLAUDE, &Quirks::default()).expect_err("no call");
        assert!(bad.to_string().contains("tool result"), "{bad}");
    }
    let broken = Part::new(Content::ToolCall {
        id: Some(Text::from("a")),
        name: Text::from("n"),
        arguments: Json::Quoted(Text::from("{\"a\":")),
    });
    let turns = vec![user("Hi."), turn(Role::Assistant, vec![broken])];
    let bad = write_request(&asked(turns), CLAUDE, &Quirks::default()).expect_err("no JSON");
    assert!(bad.to_string().contains("arguments"), "{bad}");
}

#[test]
fn tools_and_choices() {
    let tool = |name: &'static str| Tool {
        name: Text::from(name),
        description: Some(Text::from("")),
        schema: None,
        strict: Some(true),
        cache: Some(CacheMark::OneHour),
    };
    let mut request = asked(vec![user("Hi.")]);
    request.tools = vec![tool("n")];
    request.tool_choice = Some(ToolChoice::Required);
    request.parallel_tools = Some(false);
    let (value, drops) = written(&request);
    let spec = json!({"name":"n","inputSchema":{"json":{"type":"object","properties":{}}},"strict":true});
    let expected = json!({
        "tools":[{"toolSpec":spec},{"cachePoint":{"type":"default","ttl":"1h"}}],
        "toolChoice":{"any":{}},
    });
    assert_eq!(value["toolConfig"], expected);
    assert_eq!(drops, [Feature::ParallelTools]);

    request.parallel_tools = Some(true);
    request.tool_choice = Some(ToolChoice::None);
    let (value, drops) = written(&request);
    assert_eq!((value.get("toolConfig"), drops), (None, vec![]));
    // "None" cannot be said of tools that messages speak of.
    request.turns.push(turn(Role::Assistant, vec![call("a", "n")]));
    request.turns.push(turn(Role::User, vec![result("a", vec![])]));
    let (value, drops) = written(&request);
    assert_eq!(
        (value["toolConfig"].get("toolChoice"), drops),
        (None, vec![Feature::ToolChoice])
    );

    let quirks = Quirks {
        native_schema: false,
        drop: vec!["serviceTier".to_owned()],
        ..Quirks::default()
    };
    request.service_tier = Some(Text::from("flex"));
    let (bytes, drops) = write_request(&request, CLAUDE, &quirks).expect("written");
    assert!(!String::from_utf8_lossy(&bytes).contains("strict"));
    assert_eq!(drops, [Feature::ToolChoice, Feature::ToolStrict, Feature::ServiceTier]);
}

#[test]
fn media_by_whatever_names_their_format() {
    use MediaKind::{Audio, Document, Image, Video};
    let base64 = |text: &'static str| Source::Base64(Text::from(text));
    let url = |text: &'static str| Source::Url(Text::from(text));
    let parts = vec![
        media(Image, base64("iVBORw0KGgoAAAA"), None, None),
        media(Image, base64("AAAA"), Some("image/JPG"), None),
        media(Image, url("s3://bucket/a.JPG"), None, None),
        media(Document, base64("JVBERi0="), None, Some("a/b: c.d")),
        media(Document, base64("JVBERi0="), Some("application/pdf"), Some("a b c d")),
        media(
            Document,
            Source::Text(Text::from("hé")),
            Some("application/x-tex"),
            None,
        ),
        media(
            Document,
            base64("e30="),
            Some("application/json; charset=utf-8"),
            Some("x.json"),
        ),
        media(Document, base64("AAAA"), None, Some("letter.docx")),
        media(Audio, base64("AAAA"), Some("audio/x-wav"), None),
        media(Video, base64("AAAA"), Some("video/quicktime"), None),
    ];
    let (value, drops) = messages(&asked(vec![turn(Role::User, parts)]));
    let expected = json!([
        {"image":{"format":"png","source":{"bytes":"iVBORw0KGgoAAAA"}}},
        {"image":{"format":"jpeg","source":{"bytes":"AAAA"}}},
        {"image":{"format":"jpeg","source":{"s3Location":{"uri":"s3://bucket/a.JPG"}}}},
        {"document":{"format":"pdf","name":"a b c d","source":{"bytes":"JVBERi0="}}},
        {"document":{"format":"pdf","name":"a b c d 2","source":{"bytes":"JVBERi0="}}},
        {"document":{"format":"txt","name":"document","source":{"bytes":"aMOp"}}},
        {"document":{"format":"txt","name":"x json","source":{"bytes":"e30="}}},
        {"document":{"format":"docx","name":"letter docx","source":{"bytes":"AAAA"}}},
        {"audio":{"format":"wav","source":{"bytes":"AAAA"}}},
        {"video":{"format":"mov","source":{"bytes":"AAAA"}}},
        // The service wants a text beside a document.
        {"text":"(See the attached document.)"},
    ]);
    assert_eq!(value[0]["content"], expected);
    assert_eq!(drops, []);
}

#[test]
fn media_that_cannot_be_said_are_noted() {
    use MediaKind::{Audio, Document, Image, Video};
    let file = || Source::File(Text::from("file_1"));
    let url = || Source::Url(Text::from("https://example.com/x.png"));
    let bytes = || Source::Base64(Text::from("AAAA"));
    let table = [
        (media(Image, url(), Some("image/png"), None), Feature::ImageUrl),
        (media(Document, url(), None, None), Feature::DocumentUrl),
        (media(Image, file(), None, None), Feature::Owned),
        (media(Image, bytes(), Some("image/tiff"), None), Feature::Image),
        (media(Image, bytes(), None, None), Feature::Image),
        (
            media(Document, bytes(), Some("application/zip"), None),
            Feature::Document,
        ),
        (media(Document, bytes(), None, None), Feature::Document),
        (media(Audio, bytes(), Some("audio/midi"), None), Feature::Audio),
        (media(Video, url(), Some("video/mp4"), None), Feature::Video),
    ];
    for (part, feature) in table {
        let turns = vec![turn(Role::User, vec![part, Part::text("Well?")])];
        let (value, drops) = messages(&asked(turns));
        assert_eq!(
            (&value[0]["content"], &drops[..]),
            (&json!([{"text":"Well?"}]), &[feature][..])
        );
    }
    let sound = media(Audio, bytes(), Some("audio/wav"), None);
    let picture = media(Image, bytes(), Some("image/png"), None);
    let turns = vec![
        user("Hi."),
        turn(Role::Assistant, vec![picture, call("a", "n")]),
        turn(Role::User, vec![result("a", vec![sound])]),
    ];
    assert_eq!(
        messages(&asked(turns)).1,
        [Feature::Image, Feature::ToolResultMedia, Feature::ToolChoice]
    );
}

#[test]
fn cache_marks_stand_behind_what_they_mark() {
    let marked = |mut part: Part<'static>, mark| {
        part.cache = Some(mark);
        part
    };
    let inner = marked(Part::text("out"), CacheMark::OneHour);
    let gone = media(MediaKind::Image, Source::Url(Text::from("https://x")), None, None);
    let turns = vec![
        turn(Role::System, vec![marked(Part::text("s"), CacheMark::Short)]),
        turn(Role::User, vec![Part::text("a"), marked(gone, CacheMark::Short)]),
        turn(Role::Assistant, vec![call("c", "n")]),
        turn(Role::User, vec![result("c", vec![inner]), Part::text("b")]),
    ];
    let (value, drops) = written(&asked(turns));
    let point = json!({"cachePoint":{"type":"default"}});
    assert_eq!(value["system"], json!([{"text":"s"}, point]));
    assert_eq!(value["messages"][0]["content"], json!([{"text":"a"}, point]));
    assert_eq!(
        value["messages"][2]["content"][1],
        json!({"cachePoint":{"type":"default","ttl":"1h"}})
    );
    assert_eq!(drops, [Feature::ImageUrl, Feature::ToolChoice]);
}

#[test]
fn sampling_is_clamped_and_what_is_not_there_is_noted() {
    let body = br#"{"messages":[{"role":"user","content":[{"text":"Hi."}]}],
        "inferenceConfig":{"maxTokens":9000,"temperature":1.7,"topP":-1,"stopSequences":["","x"]},
        "additionalModelRequestFields":{"top_k":3}}"#;
    let mut request = read_request(body).expect("read");
    let quirks = Quirks {
        most_max_tokens: Some(8_192),
        ..Quirks::default()
    };
    let (bytes, drops) = write_request(&request, "meta.llama3-1-8b", &quirks).expect("written");
    let value: Value = serde_json::from_slice(&bytes).expect("JSON");
    let expected = json!({"maxTokens":8192,"temperature":1,"topP":0,"stopSequences":["x"]});
    assert_eq!(value["inferenceConfig"], expected);
    assert_eq!(value["additionalModelResponseFieldPaths"], json!(["/stop_sequence"]));
    assert_eq!(value.get("additionalModelRequestFields"), None);
    let lost = [
        Feature::MaxTokens,
        Feature::TopK,
        Feature::Stop,
        Feature::Temperature,
        Feature::TopP,
    ];
    assert_eq!(drops, lost);

    request.sampling.stop.clear();
    let quirks = Quirks {
        sampling: false,
        ..Quirks::default()
    };
    let (bytes, drops) = write_request(&request, CLAUDE, &quirks).expect("written");
    let value: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(value["inferenceConfig"], json!({"maxTokens":9000}));
    assert_eq!(drops, [Feature::TopK, Feature::Temperature, Feature::TopP]);

    let mut request = asked(vec![user("Hi.")]);
    request.sampling.n = Some(2);
    request.sampling.logprobs = Some(true);
    request.sampling.top_logprobs = Some(3);
    request.sampling.logit_bias = Some(b"{\"1\":2}");
    request.user = Some(Text::from("u"));
    request.format = Format::Json;
    request.service_tier = Some(Text::from("scale"));
    request.metadata = Some(br#"{"a":"not, allowed: {"}"#);
    let lost = [
        Feature::N,
        Feature::Logprobs,
        Feature::TopLogprobs,
        Feature::LogitBias,
        Feature::User,
        Feature::Format,
        Feature::Metadata,
        Feature::ServiceTier,
    ];
    let (value, drops) = written(&request);
    assert_eq!(drops, lost);
    assert_eq!(value, json!({"messages":[{"role":"user","content":[{"text":"Hi."}]}]}));
}

#[test]
fn a_schema_is_said_as_text() {
    let mut request = asked(vec![user("Hi.")]);
    request.format = Format::Schema {
        name: Some(Text::from("s")),
        description: None,
        schema: Cow::Borrowed(br#"{"type": "object", "x": "\"\u00e9\n"}"#),
        strict: Some(true),
    };
    let (value, drops) = written(&request);
    let schema = &value["outputConfig"]["textFormat"]["structure"]["jsonSchema"];
    assert_eq!(
        schema,
        &json!({"name":"s","schema":r#"{"type": "object", "x": "\"\u00e9\n"}"#})
    );
    assert_eq!(drops, []);
}

#[test]
fn what_the_service_takes_for_few_vendors_is_noted_for_the_others() {
    let marked = |mut part: Part<'static>| {
        part.cache = Some(CacheMark::Short);
        part
    };
    let failed = Part::new(Content::ToolResult {
        call_id: Some(Text::from("a")),
        name: None,
        parts: vec![Part::text("no")],
        is_error: true,
    });
    let thought = Part::new(Content::Thinking(Text::from("Hm.")));
    let sealed = Part::new(Content::Sealed {
        data: Text::from("QUJD"),
        id: None,
    });
    let turns = vec![
        turn(Role::User, vec![marked(Part::text("Hi."))]),
        turn(Role::Assistant, vec![thought, sealed, call("a", "n")]),
        turn(Role::User, vec![failed]),
    ];
    let table: [(&str, &[Feature]); 4] = [
        (CLAUDE, &[Feature::Signature]),
        ("eu.amazon.nova-pro-v1:0", &[Feature::Signature]),
        (
            "openai.gpt-oss-120b-1:0",
            &[Feature::Cache, Feature::Signature, Feature::ToolResultError],
        ),
        (
            "meta.llama3-1-8b",
            &[Feature::Cache, Feature::Signature, Feature::ToolResultError],
        ),
    ];
    for (model, lost) in table {
        let (bytes, drops) = write_request(&asked(turns.clone()), model, &Quirks::default()).expect("written");
        assert_eq!(drops[..drops.len() - 1], *lost, "{model}");
        let text = String::from_utf8(bytes).expect("text");
        let others = lost.contains(&Feature::Cache);
        assert_eq!(text.contains("cachePoint"), !others, "{model}");
        assert_eq!(text.contains(r#""status":"error""#), !others, "{model}");
        assert_eq!(
            text.contains("Hm."),
            model.contains("nova") || model.contains("openai"),
            "{model}"
        );
        assert_eq!(text.contains("QUJD"), model == CLAUDE, "{model}");
    }
}
