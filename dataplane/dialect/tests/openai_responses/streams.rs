//! Streams: cut anywhere they say the same, and what is written is what the SDK gathers.

use serde_json::{Value, json};
use tollgate_dialect::{
    canonical::{
        answer::Answer,
        event::{Began, Citation, Event, Reason, TokenLogprob},
        fault::{Fault, FaultKind},
    },
    json::Node,
    openai_responses::OpenAiResponses,
    speak::Speaks as _,
    usage::Usage,
};

use super::golden::{Order, call, case, cases, gathered, read_stream, rewritten, without_sealed_ids};

fn told<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut told = String::new();
    read_stream(pieces, &mut |event| told.push_str(&format!("{event:?}\n"))).expect("a stream");
    told
}

#[test]
fn a_stream_says_the_same_wherever_it_is_cut() {
    for (name, stream) in cases("streams") {
        let mut order = Order::default();
        read_stream([&stream[..]], &mut |event| order.see(event)).expect(&name);
        assert!(order.is_over(), "{name}: it did not end");
        let whole = told([&stream[..]]);
        assert_eq!(told(stream.chunks(1)), whole, "{name}");
        // Each position is a cut in one of these.
        for first in 1..=APART {
            let (one, rest) = stream.split_at(first);
            let pieces = std::iter::once(one).chain(rest.chunks(APART));
            assert_eq!(told(pieces), whole, "{name}, cut at {first} and every {APART} bytes");
        }
    }
}

/// Farther apart than most that one event's reading looks back on.
const APART: usize = 101;

#[test]
fn a_stream_in_two_pieces_says_the_same_wherever_it_is_cut() {
    let stream = case("streams", "sealed_then_call");
    let whole = told([&stream[..]]);
    for at in 1..stream.len() {
        let (one, two) = stream.split_at(at);
        assert_eq!(told([one, two]), whole, "cut at {at}");
    }
}

#[test]
fn every_stream_means_the_same_once_written() {
    for (name, stream) in cases("streams") {
        let mut first = gathered(|seen| read_stream([&stream[..]], seen));
        let again = rewritten(|seen| read_stream([&stream[..]], seen));
        let second = gathered(|seen| read_stream([&again[..]], seen));
        if name == "only_deltas" {
            // It did not say before its end: the gateway had to.
            first.id.clone_from(&second.id);
            first.model.clone_from(&second.model);
            first.created_unix_s = second.created_unix_s;
        }
        assert_eq!(
            without_sealed_ids(first),
            without_sealed_ids(second),
            "{name}: {}",
            String::from_utf8_lossy(&again)
        );
        if !name.starts_with("error") && name != "failed" {
            whole(&again, &name);
        }
    }
}

#[test]
fn a_stream_that_is_cut_off_is_no_answer() {
    for (name, stream) in cases("streams") {
        let end = stream.len().checked_sub(40).expect(&name);
        if name != "hosted_tool" {
            let bad = read_stream([&stream[..end]], &mut |_| {}).expect_err(&name);
            assert_eq!(bad.reason, "it ended before it was complete", "{name}");
        }
    }
}

/// The data of a stream's events.
fn events(stream: &[u8]) -> Vec<Value> {
    let text = str::from_utf8(stream).expect("UTF-8");
    text.split_terminator("\n\n")
        .map(|block| {
            let (name, data) = block.split_once("\ndata: ").expect("a name and data");
            let data: Value = serde_json::from_str(data).expect("JSON on one line");
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect()
}

/// Gathers a written stream as OpenAI's SDK does, and holds it to what the SDK checks; gives the last response.
fn whole(stream: &[u8], name: &str) -> Value {
    let events = events(stream);
    let (mut items, mut done): (Vec<Value>, Vec<Option<Value>>) = (Vec::new(), Vec::new());
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{name}");
        let at = event["output_index"].as_u64().unwrap_or(0) as usize;
        let index = event["content_index"]
            .as_u64()
            .or(event["summary_index"].as_u64())
            .unwrap_or(0) as usize;
        if let Some(id) = event["item_id"].as_str() {
            assert_eq!(items[at]["id"], id, "{name}: {event}");
            assert!(done[at].is_none(), "{name}: {event} of an item that is done");
        }
        match event["type"].as_str().expect("a type") {
            "response.created" => assert_eq!(number, 0),
            "response.in_progress" => assert_eq!(number, 1),
            "response.output_item.added" => {
                assert_eq!(at, items.len(), "{name}");
                items.push(event["item"].clone());
                done.push(None);
            }
            "response.content_part.added" => push(&mut items[at]["content"], index, &event["part"]),
            "response.reasoning_summary_part.added" => push(&mut items[at]["summary"], index, &event["part"]),
            "response.output_text.delta" => append(&mut items[at]["content"][index]["text"], event),
            "response.refusal.delta" => append(&mut items[at]["content"][index]["refusal"], event),
            "response.reasoning_summary_text.delta" => append(&mut items[at]["summary"][index]["text"], event),
            "response.function_call_arguments.delta" => append(&mut items[at]["arguments"], event),
            "response.output_text.done" => assert_eq!(items[at]["content"][index]["text"], event["text"]),
            "response.refusal.done" => assert_eq!(items[at]["content"][index]["refusal"], event["refusal"]),
            "response.reasoning_summary_text.done" => assert_eq!(items[at]["summary"][index]["text"], event["text"]),
            "response.output_item.done" => {
                assert_eq!(items[at]["id"], event["item"]["id"]);
                done[at] = Some(event["item"].clone());
            }
            "response.completed" | "response.incomplete" => assert_eq!(number + 1, events.len(), "{name}"),
            _ => {}
        }
    }
    let done: Vec<Value> = done.into_iter().map(|item| item.expect("done")).collect();
    let last = &events.last().expect("an event")["response"];
    assert_eq!(last["output"], Value::Array(done), "{name}");
    assert_eq!(events[0]["response"]["id"], last["id"], "{name}");
    last.clone()
}

fn push(list: &mut Value, index: usize, part: &Value) {
    let list = list.as_array_mut().expect("a list");
    assert_eq!(list.len(), index);
    list.push(part.clone());
}

fn append(text: &mut Value, event: &Value) {
    let more = format!(
        "{}{}",
        text.as_str().expect("begun"),
        event["delta"].as_str().expect("a delta")
    );
    *text = more.into();
}

fn written(events: &[Event<'_>]) -> Vec<u8> {
    let mut writer = OpenAiResponses.stream_writer(&call());
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.write(event, &mut out));
    out
}

const STARTED: Event<'static> = Event::Started {
    id: None,
    model: None,
    created_unix_s: Some(1),
};

fn began(part: u32, what: Began<'static>) -> Event<'static> {
    Event::Began { choice: 0, part, what }
}

fn piece(part: u32, text: &'static str) -> Event<'static> {
    Event::Piece {
        choice: 0,
        part,
        text: text.into(),
    }
}

fn closed(part: u32) -> Event<'static> {
    Event::Closed { choice: 0, part }
}

fn call_of(name: &'static str) -> Began<'static> {
    Began::ToolCall {
        id: None,
        name: name.into(),
    }
}

fn texts(answer: &Answer) -> Vec<String> {
    let parts = answer.choices[0].parts.iter();
    parts
        .map(|part| part.text().plain().expect("text").into_owned())
        .collect()
}

#[test]
fn parts_may_overlap_and_usage_may_come_early() {
    let events = [
        STARTED,
        Event::Usage(Usage {
            input: Some(3),
            output: Some(1),
            ..Usage::default()
        }),
        began(0, Began::Thinking),
        piece(0, "Hm"),
        began(1, Began::Text),
        piece(1, "One "),
        began(2, call_of("f")),
        piece(2, "{\"a\":"),
        began(3, call_of("g")),
        piece(0, "."),
        closed(0),
        piece(3, "{"),
        piece(2, "1}"),
        piece(1, "two"),
        piece(3, "}"),
        closed(1),
        closed(3),
        closed(2),
        began(4, Began::Text),
        began(5, Began::Refusal),
        piece(5, "No."),
        piece(4, "Yes."),
        closed(4),
        closed(5),
        Event::Stopped {
            choice: 0,
            reason: Reason::Length,
        },
        Event::Usage(Usage {
            output: Some(9),
            ..Usage::default()
        }),
        Event::Ended,
    ];
    let mut expected = Answer::default();
    events.iter().for_each(|event| expected.take(event));
    let stream = written(&events);
    let last = whole(&stream, "overlapping");
    assert_eq!(last["status"], "incomplete");
    assert_eq!(last["usage"]["total_tokens"], 12);
    let types: Vec<&str> = last["output"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|item| item["type"].as_str())
        .collect();
    assert_eq!(
        types,
        ["reasoning", "message", "function_call", "function_call", "message"]
    );
    assert_eq!(last["output"][4]["status"], "incomplete");
    assert_eq!(last["output"][4]["content"].as_array().map(Vec::len), Some(2));
    assert_eq!(last["output"][2]["arguments"], "{\"a\":1}");
    assert_eq!(last["output"][2]["call_id"], "call_00c0ffee_2");
    let read = gathered(|seen| read_stream([&stream[..]], seen));
    assert_eq!(texts(&read), texts(&expected));
    assert_eq!(read.choices[0].reason, Some(Reason::Length));
}

#[test]
fn a_signed_thought_is_an_item_of_its_own() {
    let sign = |part, text: &'static str| Event::Signature {
        choice: 0,
        part,
        text: text.into(),
    };
    let sealed = Began::Sealed {
        id: Some("rs_theirs".into()),
    };
    let stream = written(&[
        STARTED,
        began(0, Began::Thinking),
        piece(0, "A"),
        sign(0, "c2ln+/=="),
        closed(0),
        began(1, sealed.clone()),
        piece(1, "ZW5j"),
        closed(1),
        began(2, Began::Thinking),
        closed(2),
        began(3, Began::Thinking),
        closed(3),
        began(4, call_of("f")),
        sign(4, "Z28="),
        closed(4),
        Event::Stopped {
            choice: 0,
            reason: Reason::ToolCalls,
        },
        Event::Ended,
    ]);
    let output = whole(&stream, "signed")["output"].clone();
    let expected = json!([
        {"id": "rs_tg_00c0ffee_0", "type": "reasoning", "summary": [{"type": "summary_text", "text": "A"}],
            "encrypted_content": "sig:c2ln+/=="},
        {"id": "rs_theirs", "type": "reasoning", "summary": [], "encrypted_content": "ZW5j"},
        {"id": "rs_tg_00c0ffee_2", "type": "reasoning",
            "summary": [{"type": "summary_text", "text": ""}, {"type": "summary_text", "text": ""}]},
        {"id": "fc_00c0ffee_3", "type": "function_call", "status": "completed", "call_id": "call_00c0ffee_4",
            "name": "f", "arguments": "{}", "extra_content": {"google": {"thought_signature": "Z28="}}}]);
    assert_eq!(output, expected);
    let read = gathered(|seen| read_stream([&stream[..]], seen));
    let parts = &read.choices[0].parts;
    assert_eq!(parts[0].signature, Some("c2ln+/==".into()));
    assert_eq!(parts[1].what, sealed);
    assert_eq!(parts[4].signature, Some("Z28=".into()));
}

#[test]
fn citations_without_a_range_support_the_text_so_far() {
    let cite = |start, end| Event::Citation {
        choice: 0,
        part: 0,
        citation: Citation {
            url: Some("https://e.com".into()),
            start,
            end,
            ..Citation::default()
        },
    };
    let stream = written(&[
        STARTED,
        began(0, Began::Text),
        piece(0, "é\"😀"),
        cite(None, None),
        piece(0, "!"),
        cite(Some(1), Some(2)),
        cite(None, None),
        closed(0),
        Event::Ended,
    ]);
    let ends: Vec<(u64, u64, u64)> = events(&stream)
        .iter()
        .filter(|event| event["type"] == "response.output_text.annotation.added")
        .map(|event| {
            let number = |value: &Value| value.as_u64().expect("a number");
            let annotation = &event["annotation"];
            (
                number(&event["annotation_index"]),
                number(&annotation["start_index"]),
                number(&annotation["end_index"]),
            )
        })
        .collect();
    assert_eq!(ends, [(0, 0, 3), (1, 1, 2), (2, 0, 4)]);
    let last = whole(&stream, "cited");
    assert_eq!(
        last["output"][0]["content"][0]["annotations"].as_array().map(Vec::len),
        Some(3)
    );
}

#[test]
fn logprobs_stay_on_one_line_and_have_bytes() {
    let document = Node::document(b"{\"bytes\":[\n66,\r\n1],\"logprob\":-0.5}").expect("JSON");
    let logprob = document.get("logprob").and_then(Node::number).expect("a number");
    let token = |token: &'static str, bytes, top| TokenLogprob {
        token: token.into(),
        logprob,
        bytes,
        top,
    };
    let spread = document.get("bytes").map(Node::raw);
    let logprobs = Event::Logprobs {
        choice: 0,
        part: 0,
        tokens: vec![
            token("B", spread, vec![]),
            token("é\"", None, vec![token("\"bytes\":null", spread, vec![])]),
        ],
    };
    let stream = written(&[
        STARTED,
        began(0, Began::Text),
        piece(0, "B"),
        logprobs,
        closed(0),
        Event::Ended,
    ]);
    let last = whole(&stream, "logprobs");
    let expected = json!([
        {"token": "B", "bytes": [66, 1], "logprob": -0.5, "top_logprobs": []},
        {"token": "é\"", "bytes": [195, 169, 34], "logprob": -0.5,
            "top_logprobs": [{"token": "\"bytes\":null", "bytes": [66, 1], "logprob": -0.5}]}]);
    assert_eq!(last["output"][0]["content"][0]["logprobs"], expected);
    let told: Vec<Value> = events(&stream)
        .into_iter()
        .filter(|event| event["delta"] == "")
        .collect();
    assert_eq!(told[0]["logprobs"], expected);
}

#[test]
fn only_the_first_choice_is_written() {
    let stream = written(&[
        STARTED,
        began(0, Began::Text),
        Event::Began {
            choice: 1,
            part: 0,
            what: Began::Text,
        },
        Event::Piece {
            choice: 1,
            part: 0,
            text: "other".into(),
        },
        piece(0, "one"),
        closed(0),
        Event::Ended,
    ]);
    assert_eq!(whole(&stream, "choices")["output"][0]["content"][0]["text"], "one");
    assert!(!String::from_utf8_lossy(&stream).contains("other"));
}

#[test]
fn a_stream_too_long_to_be_repeated_fails() {
    let mut writer = OpenAiResponses.stream_writer(&call());
    let mut out = Vec::new();
    writer.write(&STARTED, &mut out);
    writer.write(&began(0, Began::Text), &mut out);
    let text = "x".repeat(1 << 20);
    for _ in 0..20 {
        let piece = Event::Piece {
            choice: 0,
            part: 0,
            text: text.as_str().into(),
        };
        writer.write(&piece, &mut out);
    }
    writer.write(&Event::Ended, &mut out);
    let events = events(&out);
    let last = events.last().expect("an event");
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["error"]["code"], "server_error");
    assert_eq!(
        events
            .iter()
            .filter(|event| event["type"] == "response.output_text.delta")
            .count(),
        16
    );
}

#[test]
fn what_went_wrong_is_told() {
    for (name, kind, retry_after_ms) in [
        ("failed", FaultKind::RateLimited, Some(1_500)),
        ("error", FaultKind::Overloaded, None),
        ("error_wrapped", FaultKind::ContextLength, None),
    ] {
        let stream = case("streams", name);
        let answer = gathered(|seen| read_stream([&stream[..]], seen));
        let fault = answer.fault.expect(name);
        assert_eq!((fault.kind, fault.retry_after_ms), (kind, retry_after_ms), "{name}");
        assert_eq!(fault.status, kind.status());
    }
    let stream = b"data: {\"type\":\"error\",\"code\":\"slow_down\",\"message\":\"Later.\"}\n\n";
    let mut told = Vec::new();
    read_stream([&stream[..]], &mut |event| told.push(matches!(event, Event::Failed(_)))).expect("a fault");
    assert_eq!(told, [true]);
    let before = written(&[Event::Failed(Fault::in_stream(FaultKind::Overloaded, "busy"))]);
    let expected = json!([{"type": "error", "sequence_number": 0, "message": "busy", "param": null,
        "code": "server_is_overloaded"}]);
    assert_eq!(Value::Array(events(&before)), expected);
}

#[test]
fn a_stream_is_read_without_what_may_be_left_out() {
    let stream = case("streams", "only_deltas");
    let answer = gathered(|seen| read_stream([&stream[..]], seen));
    let parts = &answer.choices[0].parts;
    assert!(parts[0].text().is("Only deltas."));
    assert_eq!(parts[0].citations.len(), 1);
    assert!(parts[1].text().is(r#"{"zone":"UTC"}"#));
    assert_eq!(answer.choices[0].reason, Some(Reason::ToolCalls));
    // Items numbered anew by the whole response are not told twice.
    let gap = "data: {\"type\":\"response.output_item.done\",\"output_index\":2,\"item\":{\"id\":\"msg_1\",\
        \"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"Once.\"}]}}\n\n\
        data: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"id\":\"msg_1\",\
        \"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"Once.\"}]}]}}\n\n";
    let answer = gathered(|seen| read_stream([gap.as_bytes()], seen));
    assert_eq!(answer.choices[0].parts.len(), 1);
}
