//! Golden streams: cut anywhere, gathered, written to a client, and read again.

use tollgate_dialect::{
    canonical::{
        event::{Began, Event, Reason},
        fault::FaultKind,
    },
    json::Text,
    usage::Usage,
};

use super::{check_order, events, expected, folder, gathered, golden, json, streamed, written_answer};

#[test]
fn cuts_do_not_matter() {
    for (name, case) in golden("streams") {
        let (whole, outcome) = events([&case[..]]);
        assert_eq!(outcome, Ok(()), "{name}");
        check_order(&name, &whole);
        assert_eq!(events(case.chunks(1)).0, whole, "{name}: byte by byte");
        for cut in 1..case.len() {
            let (one, two) = case.split_at(cut);
            let (cut_events, outcome) = events([one, two]);
            assert!(cut_events == whole && outcome.is_ok(), "{name}: cut at {cut}");
        }
    }
}

#[test]
fn a_stream_gathers_to_the_answer_it_says() {
    for (name, case) in golden("streams") {
        let answer = gathered(&events([&case[..]]).0);
        if name.starts_with("error_") {
            assert!(answer.fault.is_some() && !answer.ended, "{name}");
            assert!(
                !folder("streams_answers").join(format!("{name}.json")).exists(),
                "{name}"
            );
            continue;
        }
        assert!(answer.ended && answer.fault.is_none(), "{name}");
        assert_eq!(
            json(&written_answer(&answer)),
            expected("streams_answers", &name, b"{}"),
            "{name}"
        );
    }
}

#[test]
fn what_is_written_gathers_to_the_same_answer() {
    for (name, case) in golden("streams") {
        let (before, _) = events([&case[..]]);
        let written = streamed(&before);
        let (after, outcome) = events([&written[..]]);
        assert_eq!(outcome, Ok(()), "{name}");
        let (mut before, mut after) = (gathered(&before), gathered(&after));
        if name == "newer_than_we" {
            assert_eq!(before.choices[0].reason, Some(Reason::Other("compaction".into())));
            before.choices[0].reason = Some(Reason::Stop);
        }
        if name == "error_before_the_start" {
            // Nothing had begun, and nothing is begun for the client.
            assert!(
                written.starts_with(b"event: error\n"),
                "{}",
                String::from_utf8_lossy(&written)
            );
        }
        for answer in [&mut before, &mut after] {
            if let Some(fault) = &mut answer.fault {
                // The type stands for both; a code beside it is the provider's own.
                fault.code = None;
            }
        }
        assert_eq!(before, after, "{name}");
    }
}

#[test]
fn errors_within_a_stream_fail_it() {
    for (name, kind, message) in [
        ("error_overloaded", FaultKind::Overloaded, "Overloaded"),
        ("error_before_the_start", FaultKind::Internal, "Internal server error"),
        (
            "error_rate_limit_in_thought",
            FaultKind::RateLimited,
            "Number of requests has exceeded your rate limit",
        ),
    ] {
        let (_, case) = golden("streams")
            .into_iter()
            .find(|(known, _)| known == name)
            .expect("the case");
        let fault = gathered(&events([&case[..]]).0).fault.expect("a fault");
        assert_eq!((fault.kind, fault.message.as_str()), (kind, message), "{name}");
    }
}

#[test]
fn a_stream_that_breaks_off_is_not_complete() {
    for (name, case) in golden("streams") {
        let text = String::from_utf8(case).expect("UTF-8");
        let text = text.replace("\r\n", "\n");
        let ends: Vec<usize> = text.match_indices("\n\n").map(|(at, _)| at + 2).collect();
        let complete = text
            .find(r#""type":"message_stop""#)
            .or(text.find("event: error"))
            .expect("an end");
        for end in ends.into_iter().filter(|end| *end <= complete) {
            let (_, outcome) = events([&text.as_bytes()[..end]]);
            assert_eq!(
                outcome.expect_err(&name).reason,
                "it ended before it was complete",
                "{name}: {end}"
            );
        }
    }
}

fn said(events: &[&str]) -> String {
    let named = |data: &&str| format!("event: e\ndata: {data}\n\n");
    events.iter().map(named).collect()
}

const START: &str = r#"{"type":"message_start","message":{"id":"m","model":"c"}}"#;
const TEXT: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
const TOOL: &str =
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"n"}}"#;
const STOP: &str = r#"{"type":"content_block_stop","index":0}"#;
const DELTA: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
const END: &str = r#"{"type":"message_stop"}"#;

#[test]
fn what_is_no_stream_of_this_dialect_is_refused() {
    let piece = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#;
    for (sent, reason) in [
        (vec!["[DONE]"], "it is not valid JSON"),
        (
            vec![r#"{"choices":[{"delta":{"content":"a"}}]}"#],
            "an event has no type",
        ),
        (vec![TEXT], "an event comes before message_start"),
        (vec![START, START], "it begins twice"),
        (vec![r#"{"type":"message_start"}"#], "message_start has no message"),
        (vec![START, TEXT, TEXT], "a block begins twice"),
        (vec![START, piece], "a delta is of a block that is not open"),
        (vec![START, TOOL, piece], "a delta does not fit its block"),
        (vec![START, STOP], "a block stops that is not open"),
        (
            vec![START, r#"{"type":"content_block_start","index":-1}"#],
            "an event names no block",
        ),
        (
            vec![START, r#"{"type":"content_block_start","index":0}"#],
            "content_block_start has no block",
        ),
        (vec![START, TOOL, DELTA, END], "it ended within a block"),
        (vec![START, TEXT, STOP, END], "it names no reason why it stopped"),
    ] {
        let (_, outcome) = events([said(&sent).as_bytes()]);
        assert_eq!(outcome.expect_err(reason).reason, reason);
    }
    let (_, outcome) = events([said(&[START, TEXT, piece, STOP, DELTA, END]).as_bytes()]);
    assert_eq!(outcome, Ok(()), "what the table breaks is whole");
}

#[test]
fn an_event_too_long_and_blocks_without_end_are_refused() {
    let long = format!("event: e\ndata: {{\"type\":\"{}", "x".repeat(1 << 20));
    assert_eq!(
        events([long.as_bytes()]).1.expect_err("too long").reason,
        "an event is longer than 1 MiB"
    );
    let mut many = said(&[START]);
    for index in 0..300 {
        let block = TEXT.replace("\"index\":0", &format!("\"index\":{index}"));
        many.push_str(&said(&[&block]));
    }
    let bad = events([many.as_bytes()]).1.expect_err("too many");
    assert_eq!(bad.reason, "more than 256 blocks are open at once");
}

#[test]
fn the_start_waits_for_usage_and_the_end_for_all() {
    let (choice, part) = (0, 0);
    let text = Text::from("a");
    let usage = |usage: Usage| Event::Usage(usage);
    let sent = [
        Event::Started {
            id: None,
            model: None,
            created_unix_s: None,
        },
        usage(Usage {
            input: Some(7),
            ..Usage::default()
        }),
        Event::Began {
            choice,
            part,
            what: Began::Text,
        },
        Event::Piece { choice, part, text },
        Event::Closed { choice, part },
        Event::Stopped {
            choice,
            reason: Reason::Length,
        },
        usage(Usage {
            output: Some(3),
            reasoning: Some(1),
            cache_write_1h: Some(9),
            ..Usage::default()
        }),
        Event::Ended,
    ];
    let expected = [
        [
            r#"{"type":"message_start","message":{"id":"msg_5f0c","type":"message","role":"assistant","#,
            r#""model":"the-alias","content":[],"stop_reason":null,"stop_sequence":null,"#,
            r#""usage":{"input_tokens":7,"output_tokens":0}}}"#,
        ]
        .concat(),
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_owned(),
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#.to_owned(),
        r#"{"type":"content_block_stop","index":0}"#.to_owned(),
        [
            r#"{"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null},"#,
            r#""usage":{"input_tokens":7,"cache_creation_input_tokens":9,"#,
            r#""cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":9},"#,
            r#""output_tokens":4,"output_tokens_details":{"thinking_tokens":1}}}"#,
        ]
        .concat(),
        r#"{"type":"message_stop"}"#.to_owned(),
    ];
    let mut whole = String::new();
    for data in expected {
        let name = json(data.as_bytes())["type"].as_str().expect("a type").to_owned();
        whole.push_str(&format!("event: {name}\ndata: {data}\n\n"));
    }
    assert_eq!(String::from_utf8(streamed(&sent)).expect("UTF-8"), whole);
}

/// Blocks are numbered as they begin; what is held back until it is whole comes when it is.
#[test]
fn parts_that_overlap_keep_their_blocks_apart() {
    let began = |part, what| Event::Began { choice: 0, part, what };
    let piece = |part, text: &'static str| Event::Piece {
        choice: 0,
        part,
        text: text.into(),
    };
    let closed = |part| Event::Closed { choice: 0, part };
    let tool = |id: &'static str| Began::ToolCall {
        id: Some(id.into()),
        name: "n".into(),
    };
    let sent = [
        Event::Started {
            id: Some("i".into()),
            model: Some("m".into()),
            created_unix_s: Some(4),
        },
        began(0, Began::Sealed { id: None }),
        began(1, tool("a")),
        piece(0, "QUJD"),
        began(2, tool("b")),
        piece(2, "{\"y\":2"),
        piece(1, "{\"x\":1}"),
        closed(0),
        piece(2, "}"),
        Event::Signature {
            choice: 0,
            part: 1,
            text: "c2ln".into(),
        },
        closed(1),
        closed(2),
        Event::Stopped {
            choice: 0,
            reason: Reason::ToolCalls,
        },
        Event::Ended,
    ];
    let (after, outcome) = events([&streamed(&sent)[..]]);
    assert_eq!(outcome, Ok(()));
    let answer = gathered(&after);
    let parts: Vec<String> = answer.choices[0]
        .parts
        .iter()
        .map(|part| format!("{}", part.text().plain().expect("text")))
        .collect();
    assert_eq!(parts, ["{\"x\":1}", "{\"y\":2}", "QUJD"]);
    assert!(
        answer.choices[0].parts[0]
            .signature
            .as_ref()
            .is_some_and(|text| text.is("c2ln"))
    );
}

#[test]
fn other_choices_are_not_written() {
    let sent = [
        Event::Started {
            id: None,
            model: None,
            created_unix_s: None,
        },
        Event::Began {
            choice: 1,
            part: 0,
            what: Began::Text,
        },
        Event::Piece {
            choice: 1,
            part: 0,
            text: "never".into(),
        },
        Event::Stopped {
            choice: 1,
            reason: Reason::Length,
        },
        Event::Ended,
    ];
    let written = String::from_utf8(streamed(&sent)).expect("UTF-8");
    assert!(!written.contains("never") && written.contains("end_turn"), "{written}");
}
