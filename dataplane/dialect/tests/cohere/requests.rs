//! What a client says: the golden requests, read and written again.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::request::{Content, Role},
    cohere::SPEAKS,
    json::Text,
};

use super::{
    case,
    corpus::{cases, write_request},
    read, value,
};

#[test]
fn the_corpus_is_there() {
    let count = |kind| cases("cohere", kind).len();
    let counts = ["requests", "answers", "streams", "faults"].map(count);
    assert!(counts.iter().all(|&count| count >= 10), "{counts:?}");
}

#[test]
fn every_golden_request_survives_the_writer() {
    for case in cases("cohere", "requests") {
        let mut request = read(&case.bytes);
        let (body, drops) = write_request(&SPEAKS, &request);
        assert_eq!(drops.features(), [], "{}", case.name);
        let mut again = read(&body);
        request.unread.clear();
        again.unread.clear();
        assert_eq!(again, request, "{}", case.name);
    }
}

#[test]
fn golden_requests_are_written_as_they_came() {
    // Those of which the canonical request holds every word; the writer adds `stream` and its own ids.
    for name in [
        "02", "04", "05", "06", "07", "08", "09", "11", "12", "13", "14", "15", "16", "17", "20", "21", "29",
    ] {
        let bytes = case("requests", name);
        let mut came = value(&bytes);
        came["stream"] = (came["stream"] == true).into();
        let (body, _) = write_request(&SPEAKS, &read(&bytes));
        let written = value(&body);
        if name == "12" {
            // A document whose data is a string is a text.
            came["messages"][2]["content"][1] = written["messages"][2]["content"][1].clone();
        }
        if name == "29" {
            // One text alone is a string.
            came["messages"][1]["content"] = "Both are on rivers.".into();
        }
        assert_eq!(written_without_nulls(&written), written_without_nulls(&came), "{name}");
    }
}

fn written_without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), written_without_nulls(value)))
            .collect(),
        Value::Array(elements) => elements.iter().map(written_without_nulls).collect(),
        other => other.clone(),
    }
}

#[test]
fn what_is_not_carried_is_named() {
    for (name, expected) in [
        (
            "24",
            vec![
                "connectors",
                "safety_mode",
                "priority",
                "raw_prompting",
                "messages[1].citations",
                "citation_options.mode",
            ],
        ),
        ("25", vec![]),
        ("18", vec!["documents[2].id"]),
        ("19", vec![]),
    ] {
        assert_eq!(read(&case("requests", name)).unread, expected, "{name}");
    }
}

#[test]
fn the_plan_is_the_text_before_the_first_call() {
    let bytes = case("requests", "11");
    let request = read(&bytes);
    let turn = &request.turns[2];
    assert_eq!(turn.role, Role::Assistant);
    let plan = Text::from("I will look up the weather in Bern and the time in Tokyo.");
    assert_eq!(turn.parts[0].content, Content::Text(plan));
    assert!(matches!(&turn.parts[1].content, Content::ToolCall { name, .. } if name.is("get_weather")));
    // Both results of the round are one turn of the user's.
    assert_eq!(request.turns[3].role, Role::User);
    assert_eq!(request.turns[3].parts.len(), 2);
    assert!(request.stream && request.stream_usage);
}

#[test]
fn documents_stand_where_the_question_is() {
    let bytes = case("requests", "18");
    let request = read(&bytes);
    let parts = &request.turns[2].parts;
    let names: Vec<_> = parts
        .iter()
        .map(|part| match &part.content {
            Content::Media(media) => (media.name.as_ref().map(|name| name.is("Herons")), media.cite),
            _ => (None, false),
        })
        .collect();
    assert_eq!(names, [(Some(true), true), (None, true), (None, true), (None, false)]);
    let (body, _) = write_request(&SPEAKS, &request);
    let written = value(&body);
    let document = |id, data: Value| json!({"id": id, "data": data});
    let nests = "Grey herons nest in the poplars of the eastern shore.";
    let survey = json!({"year": "2024", "nests": "31", "observer": "M. Frey"});
    // Data that is more than a title and a text is the text of its JSON.
    let said = written["documents"][2]["data"]["text"].clone();
    assert_eq!(value(said.as_str().expect("a text").as_bytes()), survey);
    let expected = json!([
        document("doc:0", json!({"title": "Herons", "text": nests})),
        document(
            "doc:1",
            json!({"text": "The lake was drained in 1981 and filled again in 1983."})
        ),
        document("doc:2", json!({"text": said})),
    ]);
    assert_eq!(written["documents"], expected);
    assert_eq!(
        written["messages"][2],
        json!({"role": "user", "content": "Where do herons of the lake nest?"})
    );
    assert_eq!(written.get("citation_options"), None);
}
