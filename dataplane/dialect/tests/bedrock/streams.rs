//! Streamed answers: read however they are cut, written, and read again.

use tollgate_dialect::{
    canonical::{
        answer::Answer,
        bad::BadAnswer,
        event::{Began, Citation, Event, Reason},
        fault::{Fault, FaultKind},
    },
    json::Text,
    speak::Speaks,
    usage::Usage,
};
use tollgate_wire::eventstream::{Decoder, write_event};

use super::{Order, SPEAKS, call, golden};

/// What a stream says, fed in pieces of at most `piece` bytes behind one of `first`.
pub(super) struct Told {
    pub answer: Answer,
    /// The events as text: they borrow what is gone.
    pub events: Vec<String>,
    pub outcome: Result<(), BadAnswer>,
    /// What a client of ours would get.
    pub written: Vec<u8>,
}

pub(super) fn tell(stream: &[u8], first: usize, piece: usize) -> Told {
    let mut reader = SPEAKS.stream_reader();
    let mut writer = SPEAKS.stream_writer(&call());
    let (mut answer, mut events, mut written) = (Answer::default(), Vec::new(), Vec::new());
    let mut order = Order::default();
    let mut sink = |event: &Event<'_>| {
        order.take(event);
        answer.take(event);
        events.push(format!("{event:?}"));
        writer.write(event, &mut written);
    };
    let (head, tail) = stream.split_at(first);
    let mut outcome = Ok(());
    for bytes in std::iter::once(head).chain(tail.chunks(piece)) {
        outcome = outcome.and_then(|()| reader.feed(bytes, &mut sink));
    }
    outcome = outcome.and_then(|()| reader.end(&mut sink));
    Told {
        answer,
        events,
        outcome,
        written,
    }
}

pub(super) fn whole(stream: &[u8]) -> Told {
    tell(stream, stream.len(), usize::MAX)
}

#[test]
fn no_cut_changes_what_a_stream_says() {
    for case in golden("streams") {
        let (name, stream) = (&case.name, &case.bytes);
        let told = whole(stream);
        assert_eq!(told.outcome, Ok(()), "{name}");
        assert_eq!(told.answer.ended, told.answer.fault.is_none(), "{name}");
        assert_eq!(tell(stream, 0, 1).events, told.events, "{name}, byte by byte");
        for cut in 0..stream.len() {
            assert_eq!(
                tell(stream, cut, usize::MAX).events,
                told.events,
                "{name}, cut at {cut}"
            );
        }
    }
}

#[test]
fn what_is_read_is_written_and_read_again() {
    for case in golden("streams") {
        let name = &case.name;
        let mut told = whole(&case.bytes);
        let mut again = whole(&told.written);
        assert_eq!(again.outcome, Ok(()), "{name}");
        if told.answer.usage.is_none() {
            // The last event must count, also what nobody counted.
            again.answer.usage = None;
        }
        let faults = [told.answer.fault.take(), again.answer.fault.take()];
        let [read, written] = faults.map(|fault| fault.map(|fault| (fault.kind, fault.status, fault.message)));
        assert_eq!(written, read, "{name}");
        assert_eq!(again.answer, told.answer, "{name}");
    }
}

#[test]
fn golden_streams_say_what_they_should() {
    let cases = golden("streams");
    let read = |name: &str| {
        let case = cases.iter().find(|case| case.name == name).expect(name);
        whole(&case.bytes).answer
    };
    let answer = read("parallel_tools");
    let names: Vec<_> = answer.choices[0]
        .parts
        .iter()
        .map(|part| (part.what.clone(), part.text()))
        .collect();
    let call = |id: &'static str, name: &'static str| Began::ToolCall {
        id: Some(Text::from(id)),
        name: Text::from(name),
    };
    let expected = [
        (call("tooluse_A", "get_weather"), Text::from(r#"{"city": "Oslo"}"#)),
        (call("tooluse_B", "get_weather"), Text::from(r#"{"city": "Rome"}"#)),
        (call("tooluse_C", "get_time"), Text::from("{}")),
    ];
    assert_eq!(names, expected);
    assert_eq!(answer.choices[0].reason, Some(Reason::ToolCalls));

    let between = read("tools_between_each_other");
    assert_eq!(between.choices[0].parts[1].text(), Text::from(r#"{"zone": "CET"}"#));

    let signed = Some(Text::from(
        "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds/wsdDCHHQFYyyl2sZ5+Tz0+w==",
    ));
    for name in ["thinking", "thinking_signed_in_pieces", "thinking_not_shown"] {
        let part = &read(name).choices[0].parts[0];
        assert_eq!((&part.what, &part.signature), (&Began::Thinking, &signed), "{name}");
    }
    let sealed = &read("thinking").choices[0].parts[1];
    assert_eq!(sealed.text(), Text::from("Ev4BcmVkYWN0ZWQgdGhvdWdodHMA/34="));

    let stopped = read("stop_sequence").choices[0].reason.clone();
    assert_eq!(stopped, Some(Reason::StopSequence(Some(Text::from("three")))));
    assert_eq!(read("citations").choices[0].parts[1].citations.len(), 2);
    assert_eq!(read("server_tool").choices[0].parts.len(), 1);
    assert_eq!(
        read("cache_usage").usage.and_then(|usage| usage.cache_write_1h),
        Some(200)
    );

    let faults = [
        ("throttled", FaultKind::RateLimited),
        ("throttled_at_once", FaultKind::RateLimited),
        ("model_error", FaultKind::Internal),
        ("unavailable", FaultKind::Overloaded),
        ("too_long", FaultKind::ContextLength),
        ("internal", FaultKind::Internal),
        ("unmodelled_error", FaultKind::Internal),
    ];
    for (name, kind) in faults {
        assert_eq!(read(name).fault.map(|fault| fault.kind), Some(kind), "{name}");
    }
    assert_eq!(
        read("unmodelled_error").fault.and_then(|fault| fault.code),
        Some("InternalFailure".to_owned())
    );
}

/// Type and payload of each message of a stream.
pub(super) fn messages(stream: &[u8]) -> Vec<(String, String)> {
    let mut messages = Vec::new();
    let mut decoder = Decoder::new(1 << 20);
    let read = decoder.feed(stream, |message| {
        let name = message.text(":event-type").or(message.text(":exception-type"));
        let payload = String::from_utf8_lossy(message.payload).into_owned();
        messages.push((name.unwrap_or_default().to_owned(), payload));
    });
    assert_eq!((read, decoder.finish()), (Ok(()), Ok(())));
    messages
}

fn write(events: &[Event<'_>]) -> Vec<(String, String)> {
    let mut writer = SPEAKS.stream_writer(&call());
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    messages(&out)
}

fn began(part: u32, what: Began<'static>) -> Event<'static> {
    Event::Began { choice: 0, part, what }
}

fn piece(part: u32, text: &'static str) -> Event<'static> {
    Event::Piece {
        choice: 0,
        part,
        text: Text::from(text),
    }
}

fn closed(part: u32) -> Event<'static> {
    Event::Closed { choice: 0, part }
}

fn tool(name: &'static str) -> Began<'static> {
    Began::ToolCall {
        id: None,
        name: Text::from(name),
    }
}

const STARTED: Event<'static> = Event::Started {
    id: None,
    model: None,
    created_unix_s: None,
};

#[test]
fn parts_that_overlap_are_written_one_after_the_other() {
    let usage = Usage {
        input: Some(1),
        output: Some(2),
        ..Usage::default()
    };
    let written = write(&[
        STARTED,
        began(0, Began::Text),
        Event::Usage(usage),
        began(1, tool("one")),
        began(2, tool("two")),
        piece(2, "{\"b\":1}"),
        piece(1, "{\"a\":"),
        closed(2),
        piece(1, "1}"),
        closed(0),
        closed(1),
        Event::Stopped {
            choice: 0,
            reason: Reason::ToolCalls,
        },
        Event::Ended,
    ]);
    let start = |index: u32, name: &str| {
        let id = format!("call_0123456789abcdef_{index}");
        format!(r#"{{"contentBlockIndex":{index},"start":{{"toolUse":{{"toolUseId":"{id}","name":"{name}"}}}}}}"#)
    };
    let input = |index: u32, text: &str| {
        format!(r#"{{"contentBlockIndex":{index},"delta":{{"toolUse":{{"input":"{text}"}}}}}}"#)
    };
    let stop = |index: u32| format!(r#"{{"contentBlockIndex":{index}}}"#);
    let expected = [
        ("messageStart", r#"{"role":"assistant"}"#.to_owned()),
        // The text said nothing, and is not spoken of.
        ("contentBlockStart", start(1, "one")),
        ("contentBlockDelta", input(1, r#"{\"a\":"#)),
        ("contentBlockDelta", input(1, "1}")),
        ("contentBlockStop", stop(1)),
        ("contentBlockStart", start(2, "two")),
        ("contentBlockDelta", input(2, r#"{\"b\":1}"#)),
        ("contentBlockStop", stop(2)),
        ("messageStop", r#"{"stopReason":"tool_use"}"#.to_owned()),
        (
            "metadata",
            r#"{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3},"metrics":{"latencyMs":0}}"#.to_owned(),
        ),
    ];
    assert_eq!(written, expected.map(|(name, payload)| (name.to_owned(), payload)));
}

#[test]
fn what_is_held_is_bounded() {
    const PIECE: &str = "abcdefghijklmnop";
    let mut events = vec![STARTED, began(0, tool("one")), began(1, tool("two"))];
    let pieces = (1 << 20) / PIECE.len() + 1;
    events.extend((0..pieces).map(|_| piece(1, PIECE)));
    let held = write(&events);
    // Written before the first part closed, for there was too much of it.
    assert!(held.iter().any(|(_, payload)| payload.contains(PIECE)));
    events.extend([piece(0, "{}"), closed(1), closed(0), Event::Ended]);
    let written = write(&events);
    let deltas = written.iter().filter(|(_, payload)| payload.contains(PIECE)).count();
    assert_eq!(deltas, pieces);
    let stops = written.iter().filter(|(name, _)| name == "contentBlockStop").count();
    assert_eq!((stops, written.last().map(|(name, _)| &**name)), (2, Some("metadata")));
}

#[test]
fn sealed_data_comes_whole_and_refusals_are_text() {
    let written = write(&[
        STARTED,
        began(0, Began::Sealed { id: None }),
        piece(0, "QUJ"),
        piece(0, "D"),
        closed(0),
        began(1, Began::Refusal),
        piece(1, "No."),
        Event::Citation {
            choice: 0,
            part: 1,
            citation: Citation {
                url: Some(Text::from("https://example.com")),
                ..Citation::default()
            },
        },
        Event::Signature {
            choice: 0,
            part: 1,
            text: Text::from("of a text: there is no place for it"),
        },
        closed(1),
        Event::Began {
            choice: 1,
            part: 0,
            what: Began::Text,
        },
        Event::Failed(Fault {
            code: Some("overloaded_error".to_owned()),
            ..Fault::in_stream(FaultKind::Overloaded, "busy")
        }),
    ]);
    let expected = [
        ("messageStart", r#"{"role":"assistant"}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"redactedContent":"QUJD"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        ("contentBlockDelta", r#"{"contentBlockIndex":1,"delta":{"text":"No."}}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"citation":{"location":{"web":{"url":"https://example.com"}}}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        ("serviceUnavailableException", r#"{"message":"busy"}"#),
    ];
    assert_eq!(
        written,
        expected.map(|(name, payload)| (name.to_owned(), payload.to_owned()))
    );
}

#[test]
fn each_fault_is_an_exception_that_a_stream_may_end_with() {
    let table = [
        (FaultKind::RateLimited, "throttlingException"),
        (FaultKind::Quota, "throttlingException"),
        (FaultKind::Overloaded, "serviceUnavailableException"),
        (FaultKind::Timeout, "modelStreamErrorException"),
        (FaultKind::Internal, "internalServerException"),
        (FaultKind::InvalidRequest, "validationException"),
        (FaultKind::ContextLength, "validationException"),
        (FaultKind::Permission, "validationException"),
    ];
    for (kind, name) in table {
        let written = write(&[STARTED, Event::Failed(Fault::in_stream(kind, "m"))]);
        assert_eq!(written[1].0, name);
    }
}

/// Frames events of these types and payloads.
pub(super) fn framed(events: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, payload) in events {
        write_event(&mut out, name, |out| out.extend_from_slice(payload.as_bytes()));
    }
    out
}

#[test]
fn blocks_need_no_announcement_and_no_stop() {
    let told = whole(&framed(&[
        ("contentBlockStart", r#"{"contentBlockIndex":0,"start":{}}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"Hm."}}}"#,
        ),
        // Another kind under the same index is another part.
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"Yes."}}"#,
        ),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"a","name":"n"}}}"#,
        ),
        ("messageStop", r#"{"stopReason":"tool_use"}"#),
    ]));
    assert_eq!(told.outcome, Ok(()));
    let parts: Vec<String> = told.answer.choices[0]
        .parts
        .iter()
        .map(|part| format!("{:?}", part.text().plain()))
        .collect();
    assert_eq!(parts, ["Some(\"Hm.\")", "Some(\"Yes.\")", "Some(\"{}\")"]);
}
