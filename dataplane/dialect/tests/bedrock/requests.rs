//! Requests: each golden case is read, written and read again; and what is read of the odd ones.

use serde_json::Value;
use tollgate_dialect::{
    canonical::request::{Amount, CacheMark, Content, Effort, Format, Role, Source, ToolChoice},
    quirks::Quirks,
    speak::{PathFacts, Speaks},
};

use super::{CLAUDE, SPEAKS, golden, read_request, write_request};

/// The cases whose meaning Converse has more than one way to say, or where defaults are said aloud.
const WRITTEN_OTHERWISE: [&str; 8] = [
    "cited_history",
    "document_content",
    "document_text",
    "metadata_tier",
    "prefill",
    "search_result",
    "system_message",
    "tool_result_media",
];

/// The model that a case is for stands behind the first dot of its name.
fn model_of(name: &str) -> &str {
    name.split_once('.').map_or(CLAUDE, |(_, model)| model)
}

#[test]
fn what_is_read_is_written_and_read_again() {
    for case in golden("requests") {
        let name = &case.name;
        let read = read_request(&case.bytes).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        let (written, drops) = write_request(&read, model_of(name), &Quirks::default()).expect(name);
        assert_eq!(drops, [], "{name}");
        let mut again = read_request(&written).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        let mut read = read.clone();
        read.unread.clear();
        again.unread.clear();
        if name == "system_message" {
            // Moves to the front.
            let moved = again.turns.remove(0);
            again.turns.insert(2, moved);
        }
        assert_eq!(again, read, "{name}: {}", String::from_utf8_lossy(&written));
        let (golden, written): (Value, Value) = (json(&case.bytes), json(&written));
        let same = golden == written;
        assert_eq!(same, !WRITTEN_OTHERWISE.contains(&&**name), "{name}: {written}");
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

#[test]
fn model_and_stream_come_from_the_path() {
    let body = br#"{"messages":[{"role":"user","content":[{"text":"Hi."}]}]}"#;
    let path = PathFacts {
        model: Some("arn:aws:bedrock:us-east-1::inference-profile/m"),
        stream: true,
    };
    let read = SPEAKS.read_request(body, path).expect("read");
    assert_eq!(read.model, "arn:aws:bedrock:us-east-1::inference-profile/m");
    assert!(read.stream && read.stream_usage);
    let nameless = SPEAKS.read_request(body, PathFacts::default());
    assert!(nameless.expect_err("no model").to_string().contains("modelId"));
}

#[test]
fn parts_are_read_as_what_they_are() {
    let body = br#"{"messages":[{"role":"user","content":[
        {"image":{"format":"jpeg","source":{"bytes":"\/9j\/"}}},
        {"document":{"format":"md","name":"n","source":{"bytes":"IyBIaQo="},"citations":{"enabled":true}}},
        {"document":{"format":"html","name":"n","source":{"bytes":"not base64"}}},
        {"audio":{"format":"mp3","source":{"s3Location":{"uri":"s3://b/k.mp3"}}}},
        {"toolResult":{"toolUseId":"t1","status":"error","content":[{"json":[1]},{"text":"x"}]}},
        {"cachePoint":{"type":"default","ttl":"1h"}}]}]}"#;
    let read = read_request(body).expect("read");
    let [turn] = &read.turns[..] else { panic!("one turn") };
    assert_eq!(turn.role, Role::User);
    let media = |at: usize| match &turn.parts[at].content {
        Content::Media(media) => media,
        other => panic!("{other:?}"),
    };
    assert_eq!(media(0).source, Source::Base64("/9j/".into()));
    assert_eq!(media(0).media_type, Some("image/jpeg".into()));
    assert_eq!(media(1).source, Source::Text("# Hi\n".into()));
    assert_eq!(
        (media(1).media_type.clone(), media(1).cite),
        (Some("text/markdown".into()), true)
    );
    assert_eq!(media(2).source, Source::Base64("not base64".into()));
    assert_eq!(media(3).source, Source::Url("s3://b/k.mp3".into()));
    assert_eq!(media(3).media_type, Some("audio/mpeg".into()));
    let Content::ToolResult { parts, is_error, .. } = &turn.parts[4].content else {
        panic!("a result")
    };
    assert_eq!((parts[0].content.clone(), *is_error), (Content::Json(b"[1]"), true));
    assert_eq!(turn.parts[4].cache, Some(CacheMark::OneHour));
    assert_eq!(read.unread, Vec::<String>::new());
}

#[test]
fn what_nothing_carries_is_listed_by_its_path() {
    let body = br#"{"messages":[
        {"role":"user","content":[
            {"guardContent":{"text":{"text":"Guard me.","qualifiers":["query"]}}},
            {"image":{"format":"png","source":{"s3Location":{"uri":"s3://b/k","bucketOwner":"123456789012"}}}},
            {"document":{"format":"pdf","name":"n","source":{"bytes":"JVBERi0="},"context":"c"}},
            {"searchResult":{"source":"u","title":"t","content":[{"text":"x"}]}},
            {"hologram":{"format":"holo"}},
            {"image":{"format":"png","source":{"beam":1}}}],"mood":"good"},
        {"role":"assistant","content":[
            {"citationsContent":{"content":[{"text":"Green."}],"citations":[{"title":"t"}]}},
            {"toolUse":{"toolUseId":"t1","name":"n","input":{},"type":"server_tool_use"}}]},
        {"role":"system","content":[{"toolAddition":{"tool":{"name":"n"}}}]},
        {"role":"user","content":[{"toolResult":{"toolUseId":"t1","content":[],"type":"x"}}]}],
        "guardrailConfig":{"guardrailIdentifier":"g"},"promptVariables":{"a":{"text":"b"}},"projectIdentifier":"p",
        "performanceConfig":{"latency":"optimized"},"additionalModelResponseFieldPaths":["/other"],"nothing":null,
        "toolConfig":{"tools":[{"cachePoint":{"type":"default"}},{"systemTool":{"name":"nova_grounding"}},
            {"toolSpec":{"name":"n","inputSchema":{"json":{}},"colour":"red"}}]},
        "inferenceConfig":{"topK":5},"serviceTier":{"type":"default","since":1},
        "additionalModelRequestFields":{"thinking":{"type":"between_tools"},"top_k":"many","anthropic_beta":["x"]}}"#;
    let read = read_request(body).expect("read");
    let mut unread: Vec<&str> = read.unread.iter().map(|path| &**path).collect();
    unread.sort_unstable();
    let expected = [
        "additionalModelRequestFields.anthropic_beta",
        "additionalModelRequestFields.thinking",
        "additionalModelRequestFields.top_k",
        "additionalModelResponseFieldPaths",
        "guardrailConfig",
        "inferenceConfig.topK",
        "messages[0].content[0].guardContent",
        "messages[0].content[1].image.source.s3Location.bucketOwner",
        "messages[0].content[2].document.context",
        "messages[0].content[3].searchResult.source",
        "messages[0].content[4].hologram",
        "messages[0].content[5].image.source.beam",
        "messages[0].mood",
        "messages[1].content[0].citationsContent.citations",
        "messages[1].content[1].toolUse.type",
        "messages[2].content[0].toolAddition",
        "messages[3].content[0].toolResult.type",
        "performanceConfig",
        "projectIdentifier",
        "promptVariables",
        "serviceTier.since",
        "toolConfig.tools[0].cachePoint",
        "toolConfig.tools[1].systemTool",
        "toolConfig.tools[2].toolSpec.colour",
    ];
    assert_eq!(unread, expected);
    // What is guarded, and what was cited, is prompt all the same.
    assert_eq!(read.turns[0].parts[0].content, Content::Text("Guard me.".into()));
    assert_eq!(read.turns[1].parts[0].content, Content::Text("Green.".into()));
    assert_eq!(read.turns[0].parts.len(), 4);
}

#[test]
fn settings_are_read() {
    let body = br#"{"messages":[{"role":"user","content":[{"text":"Hi."}]}],
        "inferenceConfig":{"maxTokens":5,"temperature":0.50,"topP":1,"stopSequences":["a\n"]},
        "toolConfig":{"tools":[{"toolSpec":{"name":"n","description":"d","inputSchema":{"json":{"type":"object"}}}}],
            "toolChoice":{"tool":{"name":"n"}}},
        "outputConfig":{"effort":"xhigh","textFormat":{"type":"json_schema",
            "structure":{"jsonSchema":{"schema":"{\"type\":\"object\"}","name":"s"}}}},
        "requestMetadata":{"a":"b"},"serviceTier":{"type":"priority"}}"#;
    let read = read_request(body).expect("read");
    let sampling = &read.sampling;
    assert_eq!(sampling.max_tokens, Some(5));
    assert_eq!(sampling.temperature.map(|number| number.raw()), Some(&b"0.50"[..]));
    assert_eq!(
        (sampling.top_p.map(|number| number.value()), sampling.stop.len()),
        (Some(1.0), 1)
    );
    assert_eq!(sampling.stop[0], "a\n".into());
    assert_eq!(read.tool_choice, Some(ToolChoice::Named("n".into())));
    assert_eq!(read.tools[0].schema.as_deref(), Some(&br#"{"type":"object"}"#[..]));
    let Format::Schema { schema, name, .. } = &read.format else {
        panic!("a schema")
    };
    assert_eq!(
        (&**schema, name.clone()),
        (&br#"{"type":"object"}"#[..], Some("s".into()))
    );
    assert_eq!(read.thinking.map(|it| it.amount), Some(Amount::Effort(Effort::Most)));
    assert_eq!(read.metadata, Some(&br#"{"a":"b"}"#[..]));
    assert_eq!(read.service_tier, Some("priority".into()));
    assert_eq!(read.unread, Vec::<String>::new());
}

#[test]
fn a_cache_point_marks_what_stands_before_it() {
    let body = br#"{"system":[{"text":"s"}],"messages":[
        {"role":"user","content":[{"text":"a"}]},
        {"role":"assistant","content":[{"cachePoint":{"type":"default"}},{"text":"b"}]},
        {"role":"user","content":[{"text":"c"},{"cachePoint":{"type":"default","ttl":"5m"}},{"text":"d"}]}]}"#;
    let read = read_request(body).expect("read");
    let marks: Vec<Option<CacheMark>> = read
        .turns
        .iter()
        .flat_map(|turn| &turn.parts)
        .map(|part| part.cache)
        .collect();
    let short = Some(CacheMark::Short);
    assert_eq!(marks, [None, short, None, short, None]);
}
