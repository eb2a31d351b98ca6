//! What other dialects ask for, written for Gemini.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        feature::{Drops, Feature},
        request::{
            Amount, CacheMark, Content, Effort, Media, MediaKind, Owned, Part, Request, Role, Source, Thinking, Tool,
            ToolChoice, Turn,
        },
    },
    json::{Json, Node, Text},
    quirks::Quirks,
};

use crate::rig::{MODEL, case, json, read, write_for, written};

fn user(parts: Vec<Part<'_>>) -> Request<'_> {
    Request {
        model: MODEL.into(),
        turns: vec![turn(Role::User, parts)],
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

fn media(kind: MediaKind, source: Source<'_>) -> Part<'_> {
    Part::new(Content::Media(Media {
        kind,
        source,
        media_type: None,
        name: None,
        detail: None,
        cite: false,
    }))
}

/// Writes it; `lost` is what was noted, `value` what stands at `pointer` (null: nothing).
fn check(request: &Request<'_>, lost: &[Feature], pointer: &str, value: Value) {
    let (out, drops) = written(request);
    assert_eq!(drops.features(), lost, "{request:?}");
    let found = json(&out).pointer(pointer).cloned();
    assert_eq!(found.unwrap_or_default(), value, "{request:?}");
}

/// `check` of a small request with one thing more.
fn check_with(change: impl FnOnce(&mut Request<'_>), lost: &[Feature], pointer: &str, value: Value) {
    let mut request = user(vec![Part::text("Hi")]);
    change(&mut request);
    check(&request, lost, pointer, value);
}

#[test]
fn what_cannot_be_said_is_noted() {
    let null = Value::Null;
    check_with(|r| r.parallel_tools = Some(false), &[], "/tools", null.clone());
    let required = Some(ToolChoice::Required);
    check_with(
        |r| r.tool_choice = required,
        &[Feature::ToolChoice],
        "/toolConfig",
        null.clone(),
    );
    check_with(
        |r| r.user = Some(Text::from("u")),
        &[Feature::User],
        "/labels",
        null.clone(),
    );
    check_with(
        |r| r.metadata = Some(b"{}"),
        &[Feature::Metadata],
        "/labels",
        null.clone(),
    );
    let named = Some(Text::from("Ada"));
    check_with(
        |r| r.turns[0].name = named,
        &[Feature::ParticipantName],
        "/labels",
        null.clone(),
    );
    let mark = Some(CacheMark::Short);
    check_with(
        |r| r.turns[0].parts[0].cache = mark,
        &[Feature::Cache],
        "/cachedContent",
        null.clone(),
    );
    let owned = Owned {
        field: "conversation",
        id: Text::from("c"),
    };
    check_with(|r| r.owned.push(owned), &[Feature::Owned], "/cachedContent", null);
}

#[test]
fn service_tiers_have_its_words() {
    for (tier, lost, word) in [
        ("auto", &[][..], Value::Null),
        ("scale", &[Feature::ServiceTier], Value::Null),
        ("default", &[], json!("standard")),
        ("PRIORITY", &[], json!("priority")),
    ] {
        check_with(|r| r.service_tier = Some(Text::from(tier)), lost, "/serviceTier", word);
    }
}

#[test]
fn sampling_is_brought_into_its_bounds() {
    check_with(
        |r| r.sampling.logit_bias = Some(b"{}"),
        &[Feature::LogitBias],
        "/generationConfig",
        Value::Null,
    );
    let config = "/generationConfig";
    check_with(
        |r| r.sampling.n = Some(9),
        &[Feature::N],
        config,
        json!({ "candidateCount": 8 }),
    );
    let logprobs = json!({ "logprobs": 20 });
    check_with(
        |r| r.sampling.top_logprobs = Some(21),
        &[Feature::TopLogprobs],
        config,
        logprobs,
    );
    let six = || ["0", "1", "2", "3", "4", "5"].map(Text::from).to_vec();
    let five = json!({ "stopSequences": ["0", "1", "2", "3", "4"] });
    check_with(|r| r.sampling.stop = six(), &[Feature::Stop], config, five);
    let most = Thinking {
        amount: Amount::Effort(Effort::Most),
        shown: None,
    };
    let high = json!({ "thinkingConfig": { "thinkingLevel": "HIGH" } });
    check_with(|r| r.thinking = Some(most), &[Feature::Thinking], config, high);
}

#[test]
fn numbers_are_brought_into_its_ranges() {
    for (raw, lost, config) in [
        (
            &br#"{"n":0.5}"#[..],
            &[Feature::Seed][..],
            json!({ "temperature": 0.5 }),
        ),
        (
            br#"{"n":3}"#,
            &[Feature::Temperature],
            json!({ "temperature": 2, "seed": 3 }),
        ),
        (
            br#"{"n":-3}"#,
            &[Feature::Temperature],
            json!({ "temperature": 0, "seed": -3 }),
        ),
        (
            br#"{"n":1e10}"#,
            &[Feature::Temperature, Feature::Seed],
            json!({ "temperature": 2 }),
        ),
        (br#"{"n":2.0}"#, &[], json!({ "temperature": 2.0, "seed": 2 })),
    ] {
        let number = Node::document(raw).ok().and_then(|node| node.get("n")?.number());
        let mut request = user(vec![Part::text("Hi")]);
        request.sampling.temperature = number;
        request.sampling.seed = number;
        check(&request, lost, "/generationConfig", config);
    }
}

#[test]
fn media_are_carried_where_google_can_fetch_them() {
    let detail = |detail: &'static str| {
        let mut part = media(MediaKind::Image, Source::Base64(Text::from("AA==")));
        if let Content::Media(media) = &mut part.content {
            media.detail = Some(Text::from(detail));
        }
        user(vec![part])
    };
    let blob = json!({ "inlineData": { "mimeType": "image/jpeg", "data": "AA==" } });
    check(
        &detail("high"),
        &[Feature::ImageDetail],
        "/contents/0/parts/0",
        blob.clone(),
    );
    check(&detail("auto"), &[], "/contents/0/parts/0", blob);
    let url = |url: &'static str| Source::Url(Text::from(url));
    for (kind, source, lost) in [
        (MediaKind::Image, url("s3://b/a.png"), Feature::ImageUrl),
        (MediaKind::Document, url("s3://b/a.pdf"), Feature::DocumentUrl),
        (MediaKind::Audio, url("s3://b/a.mp3"), Feature::Audio),
        (MediaKind::Video, url("s3://b/a.mp4"), Feature::Video),
        (MediaKind::Document, Source::File(Text::from("file-1")), Feature::Owned),
    ] {
        let request = user(vec![Part::text("Hi"), media(kind, source)]);
        check(&request, &[lost], "/contents/0/parts", json!([{ "text": "Hi" }]));
    }
    let picture = user(vec![media(MediaKind::Image, url("https://a.b/c.png"))]);
    let file = json!({ "fileData": { "mimeType": "image/png", "fileUri": "https://a.b/c.png" } });
    check(&picture, &[], "/contents/0/parts/0", file);
    let text = user(vec![media(MediaKind::Document, Source::Text(Text::from("Grüße")))]);
    let blob = json!({ "inlineData": { "mimeType": "text/plain", "data": "R3LDvMOfZQ==" } });
    check(&text, &[], "/contents/0/parts/0", blob);
    let refusal = user(vec![Part::new(Content::Refusal(Text::from("No.")))]);
    check(&refusal, &[], "/contents/0/parts/0", json!({ "text": "No." }));
}

#[test]
fn system_text_is_hoisted_from_wherever_it_stands() {
    let request = Request {
        turns: vec![
            turn(Role::System, vec![Part::text("One.")]),
            turn(Role::User, vec![Part::text("Hi")]),
            turn(Role::Developer, vec![Part::text("Two.")]),
            turn(Role::User, vec![Part::text("Ho")]),
        ],
        ..Request::default()
    };
    let (out, _) = written(&request);
    let expected = json!({
        "systemInstruction": { "parts": [{ "text": "One." }, { "text": "Two." }] },
        "contents": [
            { "role": "user", "parts": [{ "text": "Hi" }] },
            { "role": "user", "parts": [{ "text": "Ho" }] },
        ],
    });
    assert_eq!(json(&out), expected);
}

#[test]
fn tool_results_of_other_dialects_are_carried() {
    let result = |parts, is_error| {
        Part::new(Content::ToolResult {
            call_id: Some(Text::from("a")),
            name: Some(Text::from("f")),
            parts,
            is_error,
        })
    };
    let json_part = |raw: &'static str| Part::new(Content::Json(raw.as_bytes()));
    for (part, response) in [
        (result(vec![], false), json!({})),
        (result(vec![], true), json!({ "error": "" })),
        (
            result(vec![Part::text("a"), Part::text("b\n\"c\"")], false),
            json!({ "output": "a\nb\n\"c\"" }),
        ),
        (result(vec![json_part("{\"a\":1}")], false), json!({ "a": 1 })),
        (
            result(vec![json_part("{\"a\":1}")], true),
            json!({ "error": { "a": 1 } }),
        ),
        (result(vec![json_part("[1]")], false), json!({ "output": [1] })),
        (
            result(vec![Part::text("a"), json_part("{\"b\":1}")], false),
            json!({ "output": ["a", { "b": 1 }] }),
        ),
    ] {
        let (out, drops) = written(&user(vec![part]));
        let expected = json!({ "functionResponse": { "id": "a", "name": "f", "response": response } });
        assert_eq!(json(&out)["contents"][0]["parts"][0], expected);
        assert!(drops.is_empty());
    }
}

#[test]
fn arguments_that_are_text_become_an_object() {
    let call = |arguments| {
        let name = Text::from("f");
        user(vec![Part::new(Content::ToolCall {
            id: None,
            name,
            arguments,
        })])
    };
    for (text, args) in [("", json!({})), ("{\"a\":\"\\\"\"}", json!({ "a": "\"" }))] {
        let (out, _) = written(&call(Json::Quoted(Text::from(text))));
        assert_eq!(
            json(&out)["contents"][0]["parts"][0]["functionCall"],
            json!({ "name": "f", "args": args })
        );
    }
    for text in ["[1]", "{", "1", "\"a\""] {
        let request = call(Json::Quoted(Text::from(text)));
        let wrote = write_for(
            &request,
            MODEL,
            &Quirks::default(),
            &mut Drops::default(),
            &mut Vec::new(),
        );
        assert!(wrote.is_err(), "{text}");
    }
}

#[test]
fn strict_tools_have_a_mode() {
    for (choice, mode) in [
        (None, json!({ "mode": "VALIDATED" })),
        (Some(ToolChoice::Auto), json!({ "mode": "VALIDATED" })),
        (Some(ToolChoice::Required), json!({ "mode": "ANY" })),
        (
            Some(ToolChoice::Named(Text::from("f"))),
            json!({ "mode": "ANY", "allowedFunctionNames": ["f"] }),
        ),
        (Some(ToolChoice::None), json!({ "mode": "NONE" })),
    ] {
        let mut request = user(vec![Part::text("Hi")]);
        request.tool_choice = choice;
        request.parallel_tools = Some(false);
        request.tools.push(Tool {
            name: Text::from("f"),
            description: None,
            schema: Some(b"{}".into()),
            strict: Some(true),
            cache: None,
        });
        let (out, drops) = written(&request);
        assert_eq!(json(&out)["toolConfig"]["functionCallingConfig"], mode);
        assert_eq!(drops.features(), [Feature::ParallelTools]);
    }
}

#[test]
fn quirks_are_obeyed() {
    let body = case("requests", "sampling.json");
    let mut request = read(&body).expect("a request");
    request.turns.push(turn(Role::Assistant, vec![Part::text("Roses are")]));
    let quirks = Quirks {
        most_max_tokens: Some(512),
        prefill: false,
        sampling: false,
        drop: vec!["seed".to_owned(), "stopSequences".to_owned()],
        ..Quirks::default()
    };
    let (mut out, mut drops) = (Vec::new(), Drops::default());
    write_for(&request, MODEL, &quirks, &mut drops, &mut out).expect("a request");
    let out = json(&out);
    assert_eq!(out["generationConfig"], json!({ "maxOutputTokens": 512 }));
    assert_eq!(out["contents"].as_array().map(Vec::len), Some(1));
    let mut lost = drops.features().to_vec();
    lost.sort();
    let mut expected = [
        Feature::MaxTokens,
        Feature::Temperature,
        Feature::TopP,
        Feature::TopK,
        Feature::PresencePenalty,
        Feature::FrequencyPenalty,
        Feature::Seed,
        Feature::Stop,
        Feature::Prefill,
    ];
    expected.sort();
    assert_eq!(lost, expected);
}

#[test]
fn efforts_are_budgets_for_models_that_have_no_levels() {
    let body = case("requests", "thinking_level.json");
    let request = read(&body).expect("a request");
    for (model, config) in [
        ("gemini-2.5-flash", json!({ "thinkingBudget": 1024 })),
        (
            "publishers/google/models/gemini-2.5-pro",
            json!({ "thinkingBudget": 1024 }),
        ),
        ("gemini-3-pro-preview", json!({ "thinkingLevel": "LOW" })),
        ("gemini-flash-latest", json!({ "thinkingLevel": "LOW" })),
    ] {
        let mut out = Vec::new();
        write_for(&request, model, &Quirks::default(), &mut Drops::default(), &mut out).expect("a request");
        assert_eq!(json(&out)["generationConfig"]["thinkingConfig"], config, "{model}");
    }
}

#[test]
fn a_request_of_nothing_cannot_be_written() {
    let nameless = Content::ToolResult {
        call_id: Some(Text::from("a")),
        name: None,
        parts: Vec::new(),
        is_error: false,
    };
    for request in [
        Request::default(),
        Request {
            turns: vec![turn(Role::System, vec![Part::text("Hi")])],
            ..Request::default()
        },
        user(Vec::new()),
        user(vec![media(MediaKind::Image, Source::Url(Text::from("s3://a/b")))]),
        user(vec![Part::new(nameless)]),
    ] {
        let wrote = write_for(
            &request,
            MODEL,
            &Quirks::default(),
            &mut Drops::default(),
            &mut Vec::new(),
        );
        assert!(wrote.is_err(), "{request:?}");
    }
}
