//! What must be refused, and what must never bring a reader down.

use proptest::prelude::*;
use tollgate_dialect::{
    canonical::feature::Drops,
    cohere::SPEAKS,
    quirks::Quirks,
    speak::{PathFacts, Speaks as _, TargetFacts},
};

use super::{
    corpus::{cases, read_answer, read_stream, relay_stream, write_answer, write_request},
    read,
};

fn refused(body: &str) -> String {
    match SPEAKS.read_request(body.as_bytes(), PathFacts::default()) {
        Ok(request) => panic!("it was read: {request:?}"),
        Err(error) => error.to_string(),
    }
}

/// What is wrong with a request is said of the member that is wrong. A line is a body, the member's path and words of
/// the complaint; `…` stands for `"model":"m","messages":[{"role":"user","content":"a"}]`, `@` for what stands before
/// the only message, and `#` for `messages[0]`.
const BAD: &str = r#"
[] || object
{ || ends early
{"messages":[]} | 'model' | is missing
{"model":"m"} | 'messages' | is missing
{"model":7,"messages":[]} | 'model' | must be a string
{…,"model":"n"} | 'model' | stands twice
{…,"model":null} | 'model' | stands twice
{…,"max_tokens":-1} | 'max_tokens' | whole number
{…,"k":1.5} | 'k' | whole number
{…,"seed":1e40} | 'seed' | whole number
{…,"temperature":"hot"} | 'temperature' | must be a number
{…,"stream":1} | 'stream' | true or false
{…,"stop_sequences":["1","2","3","4","5","6"]} | 'stop_sequences' | more than 5
{…,"stop_sequences":[7]} | 'stop_sequences[0]' | string
{…,"tool_choice":"AUTO"} | 'tool_choice' | REQUIRED
{…,"tools":[{}]} | 'tools[0].function' | is missing
{…,"tools":[{"type":"web"}]} | 'tools[0].type' | function
{…,"tools":[{"function":{"name":"a","parameters":[]}}]} | 'tools[0].function.parameters' | must be an object
{…,"thinking":{"type":"a lot"}} | 'thinking.type' | enabled
{…,"response_format":{}} | 'response_format.type' | is missing
{…,"response_format":{"type":"text","json_schema":{}}} | 'response_format.json_schema' | text
{…,"response_format":{"type":"json_object","schema":{},"json_schema":{}}} | 'response_format.schema' | beside
{…,"documents":[7]} | 'documents[0]' | object
{…,"documents":[{"id":"1"}]} | 'documents[0].data' | missing
{…,"documents":[{"data":[]}]} | 'documents[0].data' | object
{…,"citation_options":{"mode":"ON"}} | 'citation_options.mode' | OFF
{"model":"m","messages":[]} | 'messages' | at least one
{"model":"m","messages":{}} | 'messages' | must be a list
@7]} | '#' | must be an object
@{"role":"bot"}]} | '#.role' | 'assistant'
@{"role":"user"}]} | '#.content' | is missing
@{"role":"user","content":7}]} | '#.content' | a string or a list
@{"role":"user","content":"a","content":"b"}]} | '#.content' | stands twice
@{"role":"user","content":[{"type":"thinking","thinking":"a"}]}]} | '#.content[0].type' | text, image_url
@{"role":"user","content":[{"type":"text","text":7}]}]} | '#.content[0].text' | must be a string
@{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:AA"}}]}]} | image_url.url' | base64
@{"role":"tool","content":"a"}]} | '#.tool_call_id' | is missing
@{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"b","arguments":{}}}]}]} | .arguments' | string
"#;

#[test]
fn bad_requests_name_what_is_wrong() {
    let rows: Vec<&str> = BAD.lines().filter(|line| !line.is_empty()).collect();
    assert!(rows.len() > 30);
    for row in rows {
        let row = row.replace('…', r#""model":"m","messages":[{"role":"user","content":"a"}]"#);
        let row = row
            .replace('@', r#"{"model":"m","messages":["#)
            .replace('#', "messages[0]");
        let mut cells = row.rsplitn(3, '|').map(str::trim);
        let (Some(wrong), Some(field), Some(body)) = (cells.next(), cells.next(), cells.next()) else {
            panic!("three cells: {row}")
        };
        let error = refused(body);
        assert!(error.contains(field) && error.contains(wrong), "{row}\n{error}");
    }
}

#[test]
fn hostile_requests_are_refused_or_read_in_time() {
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    refused(&format!(r#"{{"model":"m","messages":{deep}}}"#));
    let tools = vec![r#"{"function":{"name":"a"}}"#; 4_097].join(",");
    let messages = r#""messages":[{"role":"user","content":"a"}]"#;
    assert!(refused(&format!(r#"{{"model":"m","tools":[{tools}],{messages}}}"#)).contains("4096"));
    let many = vec![r#"{"role":"user","content":"a"}"#; 100_001].join(",");
    assert!(refused(&format!(r#"{{"model":"m","messages":[{many}]}}"#)).contains("100000"));
    // Half a surrogate pair is copied as it came: the provider decides.
    let half = r#"{"model":"m","messages":[{"role":"user","content":"\ud83d"}]}"#;
    let (body, _) = write_request(&SPEAKS, &read(half.as_bytes()));
    assert!(String::from_utf8_lossy(&body).contains(r#""content":"\ud83d""#));
    // Members that nobody knows are not gathered without end.
    let unknown: Vec<String> = (0..2_000).map(|number| format!(r#""x{number}":1"#)).collect();
    let body = format!(r#"{{"model":"m",{},{messages}}}"#, unknown.join(","));
    assert_eq!(read(body.as_bytes()).unread.len(), 256);
}

/// Runs bytes through every reader; what is read must be writable.
fn no_panic(bytes: &[u8]) {
    if let Ok(request) = SPEAKS.read_request(bytes, PathFacts::default()) {
        let quirks = Quirks::default();
        let to = TargetFacts {
            model: "m",
            quirks: &quirks,
        };
        let _ = SPEAKS.write_request(&request, &to, &mut Drops::default(), &mut Vec::new());
    }
    if let Ok(answer) = read_answer(&SPEAKS, bytes) {
        write_answer(&SPEAKS, &answer);
    }
    let _ = read_stream(&SPEAKS, &[bytes]);
    let _ = relay_stream(&SPEAKS, &SPEAKS, bytes);
    SPEAKS.read_fault(500, bytes);
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        no_panic(&bytes);
    }

    #[test]
    fn no_mutation_makes_a_reader_panic(
        kind in 0usize..4,
        which in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..6),
    ) {
        let kind = ["requests", "answers", "streams", "faults"][kind];
        let cases = cases("cohere", kind);
        let mut bytes = which.get(&cases).bytes.clone();
        for (at, byte, edit) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match edit {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at + 1),
            }
        }
        no_panic(&bytes);
    }
}
