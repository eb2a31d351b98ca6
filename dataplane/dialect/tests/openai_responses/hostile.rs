//! What no honest client or provider sends.

use proptest::prelude::*;
use tollgate_dialect::{
    canonical::bad::BadRequest, openai_responses::OpenAiResponses, quirks::Quirks, speak::Speaks as _,
};

use super::golden::{cases, read_answer, read_request, read_stream, write_request};

#[test]
fn a_bad_request_is_told_where_and_why() {
    let deep = format!(r#"{{"model":"m","input":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let deep = [(deep.as_str(), "nested too deeply")];
    for (body, expected) in BAD_REQUESTS.iter().chain(&deep) {
        let bad = read_request(body.as_bytes()).expect_err(body).to_string();
        assert!(bad.contains(expected), "{body}: {bad}");
    }
}

const BAD_REQUESTS: &[(&str, &str)] = &[
    ("[]", "the document is not an object"),
    (r#"{"input":"x"}"#, "'model' is missing"),
    (r#"{"model":7,"input":"x"}"#, "'model' must be a string"),
    (
        r#"{"model":"\ud800","input":"x"}"#,
        "'model' has an escape that stands for no character",
    ),
    (r#"{"model":"m"}"#, "'input' is missing"),
    (
        r#"{"model":"m","input":7}"#,
        "'input' must be a string or a list of items",
    ),
    (r#"{"model":"m","model":"n","input":"x"}"#, "'model' stands twice"),
    (r#"{"model":"m","input":null,"input":"x"}"#, "'input' stands twice"),
    (r#"{"model":"m","input":["x"]}"#, "'input[0]' must be an object"),
    (
        r#"{"model":"m","input":[{"role":"root","content":"x"}]}"#,
        "'input[0].role' must be 'user'",
    ),
    (
        r#"{"model":"m","input":[{"role":"user"}]}"#,
        "'input[0].content' is missing",
    ),
    (
        r#"{"model":"m","input":[{"role":"user","content":5}]}"#,
        "'input[0].content' must be a string or a list",
    ),
    (
        r#"{"model":"m","input":[{"role":"user","content":["x"]}]}"#,
        "'input[0].content[0]' must be an object",
    ),
    (
        r#"{"model":"m","input":[{"role":"user","content":[{"text":"x"}]}]}"#,
        "'input[0].content[0].type' is missing",
    ),
    (
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a","text":"b"}]}]}"#,
        "'input[0].content[0].text' stands twice",
    ),
    (
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":{"url":"x"}}]}]}"#,
        "'input[0].content[0].image_url' must be a string",
    ),
    (
        r#"{"model":"m","input":[{"role":"user","content":[
            {"type":"input_image","image_url":"data:image/png,x"}]}]}"#,
        "'input[0].content[0].image_url' must be a URL, or data:TYPE;base64,DATA",
    ),
    (
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_file"}]}]}"#,
        "'input[0].content[0]' must have one of file_data, file_url and file_id",
    ),
    (
        r#"{"model":"m","input":[{"type":"function_call","name":"f","arguments":"{}"}]}"#,
        "'input[0].call_id' is missing",
    ),
    (
        r#"{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":{}}]}"#,
        "'input[0].arguments' must be a string",
    ),
    (
        r#"{"model":"m","input":[{"type":"function_call_output","output":"x"}]}"#,
        "'input[0].call_id' is missing",
    ),
    (
        r#"{"model":"m","input":"x","temperature":"hot"}"#,
        "'temperature' must be a number",
    ),
    (
        r#"{"model":"m","input":"x","temperature":1e999}"#,
        "'temperature' must be a number",
    ),
    (
        r#"{"model":"m","input":"x","max_output_tokens":-1}"#,
        "'max_output_tokens' must be a whole number",
    ),
    (
        r#"{"model":"m","input":"x","max_output_tokens":99999999999999999999}"#,
        "'max_output_tokens' must be a whole",
    ),
    (
        r#"{"model":"m","input":"x","stream":"yes"}"#,
        "'stream' must be true or false",
    ),
    (
        r#"{"model":"m","input":"x","metadata":[]}"#,
        "'metadata' must be an object",
    ),
    (
        r#"{"model":"m","input":"x","include":"all"}"#,
        "'include' must be a list of strings",
    ),
    (
        r#"{"model":"m","input":"x","tools":{}}"#,
        "'tools' must be a list of tools",
    ),
    (
        r#"{"model":"m","input":"x","tools":[{"type":"function"}]}"#,
        "'tools[0].name' is missing",
    ),
    (
        r#"{"model":"m","input":"x","tools":[{"type":"function","name":"f","parameters":"{}"}]}"#,
        "'tools[0].parameters' must be an object",
    ),
    (
        r#"{"model":"m","input":"x","tool_choice":"any"}"#,
        "'tool_choice' must be 'auto', 'none' or 'required'",
    ),
    (
        r#"{"model":"m","input":"x","tool_choice":7}"#,
        "'tool_choice' must be a string or an object",
    ),
    (
        r#"{"model":"m","input":"x","reasoning":{"effort":"huge"}}"#,
        "'reasoning.effort' must be 'none'",
    ),
    (
        r#"{"model":"m","input":"x","text":{"format":{"type":"xml"}}}"#,
        "'text.format.type' must be 'text'",
    ),
    (
        r#"{"model":"m","input":"x","text":{"format":{"type":"json_schema","name":"n"}}}"#,
        "'text.format.schema' is missing",
    ),
    (
        r#"{"model":"m","input":[{"role":"user","content":[
            {"type":"input_text","text":"a","prompt_cache_breakpoint":{"mode":"explicit","ttl":"1y"}}]}]}"#,
        "'input[0].content[0].prompt_cache_breakpoint.ttl' must be '30m' or '12h'",
    ),
];

#[test]
fn the_offset_of_a_bad_member_is_its_own() {
    let body = r#"{"model":"m","input":"x","top_p":"low"}"#;
    let Err(BadRequest::Field { offset, .. }) = read_request(body.as_bytes()) else {
        panic!("a bad field");
    };
    assert_eq!(&body[offset..offset + 5], r#""low""#);
}

#[test]
fn what_is_bounded_is_refused_beyond() {
    let tools = format!(r#"[{}{{}}]"#, r#"{"type":"function","name":"f"},"#.repeat(4_096));
    let body = format!(r#"{{"model":"m","input":"x","tools":{tools}}}"#);
    let bad = read_request(body.as_bytes()).expect_err("too many tools").to_string();
    assert!(bad.contains("'tools' has more than 4096 tools"), "{bad}");
    let items = format!(r#"[{}{{}}]"#, r#"{"role":"user","content":""},"#.repeat(100_000));
    let body = format!(r#"{{"model":"m","input":{items}}}"#);
    let bad = read_request(body.as_bytes()).expect_err("too many items").to_string();
    assert!(bad.contains("'input' has more than 100000 items"), "{bad}");
    let strange: String = (0..5_000).map(|n| format!(r#""x{n}":1,"#)).collect();
    let body = format!(r#"{{{strange}"model":"m","input":"x"}}"#);
    assert_eq!(read_request(body.as_bytes()).expect("valid").unread.len(), 256);
}

#[test]
fn a_bad_answer_is_an_error() {
    for (body, expected) in [
        ("", "it is not valid JSON"),
        ("<html>", "it is not valid JSON"),
        (r#"{"id":"chatcmpl-1","choices":[]}"#, "it is not a response object"),
        (
            r#"{"object":"response","status":"completed","output":7}"#,
            "it is not a response object",
        ),
        (
            r#"{"object":"response","status":"in_progress","output":[]}"#,
            "the response is not finished",
        ),
        (
            r#"{"object":"response","status":"queued"}"#,
            "the response is not finished",
        ),
    ] {
        let bad = read_answer(body.as_bytes(), &mut |_| {}).expect_err(body);
        assert_eq!(bad.reason, expected, "{body}");
    }
}

#[test]
fn a_bad_stream_is_an_error() {
    let created = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\n";
    let call = "data: {\"type\":\"response.output_item.added\",\"output_index\":0,\
        \"item\":{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\"}}\n\n";
    let arguments =
        "data: {\"type\":\"response.function_call_arguments.delta\",\"output_index\":0,\"delta\":\"{\"}\n\n";
    let endless = format!("{created}{call}{}", arguments.repeat(100));
    let long = format!("{created}data: {}", "x".repeat(5 << 20));
    let parts: String = (0..70_000)
        .map(|n| format!("data: {{\"type\":\"response.output_text.delta\",\"output_index\":{n},\"delta\":\"\"}}\n\n"))
        .collect();
    let items: String = (0..70_000)
        .map(|n| format!("data: {{\"type\":\"response.output_item.added\",\"output_index\":{n},\"item\":{{}}}}\n\n"))
        .collect();
    let early = "it ended before it was complete";
    for (stream, expected) in [
        ("", early),
        (created, early),
        (&endless, early),
        ("data: [DONE]\n\n", early),
        (
            "data: {\"object\":\"chat.completion.chunk\",\"choices\":[]}\n\ndata: [DONE]\n\n",
            early,
        ),
        (
            "{\"object\":\"response\",\"status\":\"completed\",\"output\":[]}",
            early,
        ),
        (
            "data: {\"type\":\"response.completed\"}\n\n",
            "its last event has no response",
        ),
        ("data: {\"type\":\"response.created\"\n\n", "it is not valid JSON"),
        ("data: 7\n\n", "it is not valid JSON"),
        (&long, "an event is longer than 4 MiB"),
        (&parts, "it has too many parts"),
        (&items, "it has too many items"),
    ] {
        let bad = read_stream([stream.as_bytes()], &mut |_| {}).expect_err("a bad stream");
        assert_eq!(bad.reason, expected, "{}", &stream[..stream.len().min(200)]);
    }
}

/// Every reader, and the writer behind the first: whatever comes, they come back.
fn read_all(bytes: &[u8], cut: usize) {
    if let Ok(request) = read_request(bytes)
        && let Ok((written, _)) = write_request(&request, &Quirks::default())
    {
        serde_json::from_slice::<serde_json::Value>(&written).expect("what is written is JSON");
    }
    let _ = read_answer(bytes, &mut |_| {});
    let (one, two) = bytes.split_at(cut.min(bytes.len()));
    let _ = read_stream([one, two], &mut |_| {});
    let fault = OpenAiResponses.read_fault(500, bytes);
    assert!(!fault.message.is_empty());
}

fn goldens() -> Vec<Vec<u8>> {
    let kinds = ["requests", "answers", "streams", "faults"];
    kinds
        .iter()
        .flat_map(|kind| cases(kind))
        .map(|(_, bytes)| bytes)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
        read_all(&bytes, cut);
    }

    #[test]
    fn no_broken_case_makes_a_reader_panic(
        which in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0usize..4), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let goldens = goldens();
        let mut bytes = which.get(&goldens).clone();
        for (at, byte, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at.max(1)),
                2 => bytes[at] = b"{}[]\",:0n\\"[usize::from(byte) % 10],
                // The same again: duplicate members, events out of order.
                _ => {
                    let end = (at + usize::from(byte)).min(bytes.len());
                    let again = bytes[at..end].to_vec();
                    bytes.splice(end..end, again);
                }
            }
        }
        let cut = cut.index(bytes.len() + 1);
        read_all(&bytes, cut);
    }
}
