//! Input that is broken, or made to hurt.

use std::sync::LazyLock;

use proptest::{prelude::*, sample::Index};
use tollgate_dialect::{canonical::event::Event, gemini::SPEAKS, speak::Speaks};

use crate::rig::{answer, call, golden, read, rewritten, stream};

fn in_parts(part: &str) -> String {
    format!(r#"{{"contents":[{{"parts":[{part}]}}]}}"#)
}

fn in_config(members: &str) -> String {
    format!(r#"{{"contents":{{"parts":{{"text":"a"}}}},"generationConfig":{{{members}}}}}"#)
}

/// It is refused with these words, and with where they are meant.
fn refused(body: &str, wrong: &str) {
    let bad = read(body.as_bytes()).expect_err(body).to_string();
    assert!(bad.contains(wrong), "{body}: {bad}");
    assert!(bad.contains("(byte "), "{body}: {bad}");
}

#[test]
fn what_is_wrong_at_the_top_is_named() {
    for (body, wrong) in [
        ("{}", "'contents' is missing"),
        (r#"{"contents":[]}"#, "'contents' must hold at least one content"),
        (r#"{"contents":5}"#, "'contents[0]' must be an object"),
        (r#"{"contents":[{}]}"#, "'contents[0]' needs parts"),
        (
            r#"{"contents":[{"parts":[]}]}"#,
            "'contents[0].parts' must hold at least one part",
        ),
        (
            r#"{"contents":[{"role":"system","parts":[{"text":"a"}]}]}"#,
            "'contents[0].role' must be 'user'",
        ),
        (
            r#"{"contents":[{"role":7,"parts":[{"text":"a"}]}]}"#,
            "'contents[0].role' must be 'user'",
        ),
        (r#"{"contents":[],"contents":[]}"#, "'contents' stands twice"),
        (
            r#"{"generationConfig":{},"generation_config":{}}"#,
            "'generation_config' stands twice",
        ),
        (
            r#"{"tools":[{"functionDeclarations":[{"description":"a"}]}]}"#,
            "'tools[0].functionDeclarations[0]' needs a name",
        ),
        (
            r#"{"tools":[{"functionDeclarations":[{"name":"f","parameters":{},"parametersJsonSchema":{}}]}]}"#,
            "'tools[0].functionDeclarations[0].parametersJsonSchema' stands twice",
        ),
        (
            r#"{"toolConfig":{"functionCallingConfig":{"mode":"MAYBE"}}}"#,
            "'toolConfig.functionCallingConfig.mode' must be AUTO",
        ),
    ] {
        refused(body, wrong);
    }
}

#[test]
fn what_is_wrong_in_a_part_is_named() {
    for (body, wrong) in [
        (r#"{"text":1}"#, "'contents[0].parts[0].text' must be a string"),
        ("{}", "'contents[0].parts[0]' holds none of text"),
        ("[]", "'contents[0].parts[0]' must be an object"),
        (r#"{"thought":true}"#, "'contents[0].parts[0]' holds none of text"),
        (
            r#"{"text":"a","inlineData":{"mimeType":"a/b","data":""}}"#,
            "'contents[0].parts[0]' holds more",
        ),
        (r#"{"text":"a","text":"b"}"#, "'contents[0].parts[0]' holds more"),
        (
            r#"{"text":"a","thought":1}"#,
            "'contents[0].parts[0].thought' must be true or false",
        ),
        (
            r#"{"inline_data":{"data":""}}"#,
            "'contents[0].parts[0].inline_data' needs mimeType and data",
        ),
        (r#"{"fileData":{}}"#, "'contents[0].parts[0].fileData' needs a fileUri"),
        (
            r#"{"fileData":{"fileUri":"\ud800"}}"#,
            "'contents[0].parts[0].fileData.fileUri' must be a URI",
        ),
        (
            r#"{"functionCall":{"args":{}}}"#,
            "'contents[0].parts[0].functionCall' needs a name",
        ),
        (
            r#"{"functionCall":{"name":"f","args":[]}}"#,
            "functionCall.args' must be an object",
        ),
        (
            r#"{"functionResponse":{"name":"f","response":"a"}}"#,
            "functionResponse.response' must be an object",
        ),
    ] {
        refused(&in_parts(body), wrong);
    }
}

#[test]
fn what_is_wrong_in_the_configuration_is_named() {
    for (body, wrong) in [
        (
            r#""temperature":"warm""#,
            "'generationConfig.temperature' must be a number",
        ),
        (
            r#""maxOutputTokens":-1"#,
            "'generationConfig.maxOutputTokens' must be a whole number",
        ),
        (
            r#""maxOutputTokens":1.5"#,
            "'generationConfig.maxOutputTokens' must be a whole number",
        ),
        (
            r#""maxOutputTokens":1e400"#,
            "'generationConfig.maxOutputTokens' must be a whole number",
        ),
        (r#""top_k":1,"topK":2"#, "'generationConfig.topK' stands twice"),
        (
            r#""stopSequences":[1]"#,
            "'generationConfig.stopSequences[0]' must be a string",
        ),
        (
            r#""responseMimeType":1"#,
            "'generationConfig.responseMimeType' must be a string",
        ),
        (
            r#""responseSchema":1"#,
            "'generationConfig.responseSchema' must be an object",
        ),
        (
            r#""responseSchema":{},"responseJsonSchema":{}"#,
            "'generationConfig.responseJsonSchema' stands",
        ),
        (
            r#""responseSchema":{"properties":[]}"#,
            "'generationConfig.responseSchema.properties' must be an",
        ),
        (
            r#""thinkingConfig":{"thinkingLevel":"HUGE"}"#,
            "thinkingConfig.thinkingLevel' must be MINIMAL",
        ),
        (
            r#""thinkingConfig":{"thinkingBudget":-2}"#,
            "thinkingConfig.thinkingBudget' must be -1, 0",
        ),
        (
            r#""thinkingConfig":{"thinkingBudget":1,"thinkingLevel":"LOW"}"#,
            "'generationConfig.thinkingConfig' has both",
        ),
    ] {
        refused(&in_config(body), wrong);
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let many = |count: usize, one: &str| vec![one; count].join(",");
    let contents = |count| format!(r#"{{"contents":[{}]}}"#, many(count, r#"{"parts":[{"text":""}]}"#));
    assert!(read(contents(100_000).as_bytes()).is_ok());
    assert!(read(contents(100_001).as_bytes()).is_err());
    assert!(read(in_parts(&many(100_001, r#"{"text":""}"#)).as_bytes()).is_err());
    let tools = |count| {
        let tools = many(count, r#"{"name":"f"}"#);
        format!(r#"{{"contents":{{"parts":{{"text":"a"}}}},"tools":[{{"functionDeclarations":[{tools}]}}]}}"#)
    };
    assert!(read(tools(4_096).as_bytes()).is_ok());
    assert!(read(tools(4_097).as_bytes()).is_err());
    let stops = |count| in_config(&format!(r#""stopSequences":[{}]"#, many(count, "\"a\"")));
    assert!(read(stops(256).as_bytes()).is_ok());
    assert!(read(stops(257).as_bytes()).is_err());
    let nested = |depth| {
        in_config(&format!(
            r#""responseSchema":{}{{}}{}"#,
            r#"{"items":"#.repeat(depth),
            "}".repeat(depth)
        ))
    };
    assert!(read(nested(31).as_bytes()).is_ok());
    for depth in [32, 100, 100_000] {
        assert!(read(nested(depth).as_bytes()).is_err(), "{depth}");
    }
    let unknown = format!(
        r#"{{"contents":{{"parts":{{"text":"a"}}}},{}}}"#,
        many(10_000, r#""x":1"#)
    );
    assert!(read(unknown.as_bytes()).expect("a request").unread.len() <= 64);
}

#[test]
fn half_a_surrogate_pair_is_passed_on_as_it_came() {
    let body = in_parts(r#"{"text":"a\ud800b"}"#);
    let request = read(body.as_bytes()).expect("a request");
    let (out, _) = crate::rig::written(&request);
    assert!(String::from_utf8_lossy(&out).contains(r"a\ud800b"));
}

#[test]
fn broken_answers_are_errors() {
    for body in [
        "",
        "[]",
        "null",
        "{",
        "{}",
        "{\"candidates\":[]}",
        "{\"candidates\":{}}",
        "{\"id\":\"chatcmpl-1\",\"choices\":[{\"message\":{\"content\":\"Hi\"}}]}",
        "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{}}]}}]}",
        "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"willContinue\":true}}]}}]}",
        "{\"candidates\":[{\"index\":128}]}",
        "{\"candidates\":[{\"index\":18446744073709551615}]}",
    ] {
        assert!(answer(body.as_bytes()).is_err(), "{body}");
    }
    let deep = format!("{{\"candidates\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert!(answer(deep.as_bytes()).is_err());
}

#[test]
fn odd_answers_are_read() {
    for body in [
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":5},{\"text\":\"Hi\"},7,{\"future\":{}}]}}]}",
        "{\"candidates\":[{\"content\":{\"parts\":{\"text\":\"x\"}},\"finishReason\":5}],\"usageMetadata\":[]}",
        "{\"candidates\":[{\"groundingMetadata\":{\"groundingSupports\":[{\"groundingChunkIndices\":[9]}]}}]}",
        "{\"candidates\":[{\"index\":127}]}",
        "{\"error\":null,\"candidates\":[{\"finishReason\":\"\\ud800\"}]}",
    ] {
        assert!(answer(body.as_bytes()).is_ok(), "{body}");
    }
}

#[test]
fn streams_that_end_too_soon_are_errors() {
    for (name, bytes) in golden("streams") {
        // Up to the last event: whatever has come, the end has not.
        let mut cut = bytes.len();
        while stream([&bytes[..cut]]).is_ok() && cut > 0 {
            cut -= 1;
        }
        assert!(cut > bytes.len() / 3, "{name}: {cut} of {}", bytes.len());
        for cut in 0..cut {
            assert!(stream([&bytes[..cut]]).is_err(), "{name}: {cut}");
        }
    }
}

#[test]
fn broken_streams_are_errors() {
    for text in [
        "",
        "\r\n\r\n",
        "data: [DONE]\n\n",
        "data: {\n\n",
        "data: {\"type\":\"message_start\"}\n\n",
        "event: ping\n\n",
        "[",
        "[]",
        "[1]",
        "{\"candidates\":[{\"finishReason\":\"STOP\"}]",
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\n\n",
    ] {
        assert!(stream([text.as_bytes()]).is_err(), "{text}");
        assert!(stream(text.as_bytes().chunks(1)).is_err(), "{text}");
    }
}

/// A stream that never ends an event must not be held.
#[test]
fn what_never_ends_is_not_held() {
    for begin in [
        "data: {\"a\":\"",
        "[{\"a\":\"",
        "{\"a\":\"",
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"args\":{\"a\":\"",
    ] {
        let mut reader = SPEAKS.stream_reader();
        let piece = [b'x'; 64 * 1024];
        let mut fed = reader.feed(begin.as_bytes(), &mut |_| {});
        let mut pieces = 0;
        while fed.is_ok() {
            fed = reader.feed(&piece, &mut |_| {});
            pieces += 1;
            assert!(pieces <= 17, "{begin}");
        }
        assert!(pieces >= 15, "{begin}");
    }
}

/// Reads it in every way there is, and writes what was read.
fn read_everything(bytes: &[u8]) {
    if let Ok(request) = read(bytes) {
        let (mut out, mut drops) = Default::default();
        let _ = crate::rig::write_for(&request, "m", &Default::default(), &mut drops, &mut out);
    }
    if let Ok(heard) = answer(bytes) {
        let mut out = Vec::new();
        SPEAKS.write_answer(&heard.answer, &call(false), &mut out);
        assert!(
            answer(&out).is_ok() || heard.answer.fault.is_some(),
            "{}",
            String::from_utf8_lossy(&out)
        );
    }
    let whole = stream([bytes]);
    assert_eq!(whole.is_ok(), stream(bytes.chunks(7)).is_ok());
    if whole.is_ok() {
        let out = rewritten(bytes, &call(false));
        assert!(stream([&out[..]]).is_ok(), "{}", String::from_utf8_lossy(&out));
    }
    let _ = SPEAKS.read_fault(400, bytes);
}

static CORPUS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let kinds = ["requests", "answers", "streams", "faults"];
    let cases = kinds.iter().flat_map(|kind| golden(kind));
    cases.map(|(_, bytes)| bytes).collect()
});

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_everything(&bytes);
    }

    #[test]
    fn no_mutation_of_the_corpus_makes_it_panic(
        case in any::<Index>(),
        edits in proptest::collection::vec((any::<Index>(), any::<Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = CORPUS[case.index(CORPUS.len())].clone();
        for (one, two, byte) in edits {
            if bytes.is_empty() {
                break;
            }
            let (one, two) = (one.index(bytes.len()), two.index(bytes.len()));
            match byte % 4 {
                0 => bytes[one] = byte,
                1 => bytes.swap(one, two),
                2 => drop(bytes.drain(one.min(two)..one.max(two).min(one.min(two) + 40))),
                _ => {
                    let copied = bytes[one.min(two)..one.max(two).min(one.min(two) + 40)].to_vec();
                    bytes.splice(one..one, copied);
                }
            }
        }
        read_everything(&bytes);
    }
}

/// One source, referred to again and again, is not repeated without end.
#[test]
fn a_source_cited_without_end_is_cited_so_often() {
    let (uri, indices) = ("u".repeat(3_000), vec![0; 5_000]);
    let body = serde_json::json!({"candidates": [{
        "content": {"role": "model", "parts": [{"text": "Said."}]},
        "finishReason": "STOP",
        "groundingMetadata": {
            "groundingChunks": [{"web": {"uri": uri}}],
            "groundingSupports": [{"segment": {"endIndex": 5}, "groundingChunkIndices": indices}],
        },
    }]});
    let mut cited = 0;
    let read = SPEAKS.read_answer(body.to_string().as_bytes(), &mut |event| {
        cited += usize::from(matches!(event, Event::Citation { .. }));
    });
    read.expect("a right answer");
    assert_eq!(cited, 1024 * 1024 / 3_000);
}
