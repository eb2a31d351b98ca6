//! Streams: cut anywhere, written again, broken.

use tollgate_dialect::{
    canonical::{answer::Answer, event::Reason, fault::FaultKind},
    cohere::SPEAKS,
};

use super::{
    case,
    corpus::{cases, gist, read_answer, read_stream, relay_stream},
    value,
};

#[test]
fn cuts_of_a_stream_do_not_matter() {
    for case in cases("cohere", "streams") {
        let stream = case.bytes.as_slice();
        let whole = read_stream(&SPEAKS, &[stream]).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(
            read_stream(&SPEAKS, &single).as_ref(),
            Ok(&whole),
            "{} byte by byte",
            case.name
        );
        for at in 0..=stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(
                read_stream(&SPEAKS, &[head, tail]).as_ref(),
                Ok(&whole),
                "{} cut at {at}",
                case.name
            );
        }
    }
}

#[test]
fn every_golden_stream_survives_the_writer() {
    for case in cases("cohere", "streams") {
        let (_, answer) = read_stream(&SPEAKS, &[&case.bytes]).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let written = relay_stream(&SPEAKS, &SPEAKS, &case.bytes).expect("a stream");
        let (_, again) = read_stream(&SPEAKS, &[&written]).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        assert_eq!(again, answer, "{}\n{}", case.name, String::from_utf8_lossy(&written));
    }
}

#[test]
fn streams_and_answers_say_the_same() {
    for (stream, answer) in [("03", "03"), ("06", "05"), ("10", "10")] {
        let (_, streamed) = read_stream(&SPEAKS, &[&case("streams", stream)]).expect("a stream");
        let whole = read_answer(&SPEAKS, &case("answers", answer)).expect("an answer");
        assert_eq!(streamed.choices[0].reason, whole.choices[0].reason, "{stream}");
        let names = |answer: &Answer| {
            gist(answer)
                .calls
                .iter()
                .map(|call| call.name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&streamed), names(&whole), "{stream}");
    }
}

#[test]
fn a_written_stream_is_what_the_sdk_reads() {
    let written = relay_stream(&SPEAKS, &SPEAKS, &case("streams", "07")).expect("a stream");
    let text = String::from_utf8(written).expect("text");
    let mut types = Vec::new();
    for block in text.split_terminator("\n\n") {
        let data = match block.split_once('\n') {
            Some((name, data)) => {
                let data = data.strip_prefix("data: ").expect("data");
                let kind = value(data.as_bytes())["type"].clone();
                assert_eq!(name.strip_prefix("event: "), kind.as_str());
                kind.as_str().expect("a type").to_owned()
            }
            None => block.to_owned(),
        };
        types.push(data);
    }
    assert_eq!(
        types,
        [
            "message-start",
            "content-start",
            "content-delta",
            "content-delta",
            "citation-start",
            "citation-end",
            "citation-start",
            "citation-end",
            "citation-start",
            "citation-end",
            "content-end",
            "message-end",
            "data: [DONE]",
        ]
    );
    let (_, answer) = read_stream(&SPEAKS, &[text.as_bytes()]).expect("a stream");
    assert_eq!(answer.choices[0].parts[0].citations.len(), 3);
    assert!(text.contains(r#""start":20,"end":27,"text":"poplars""#), "{text}");
}

#[test]
fn a_stream_that_breaks_is_an_error() {
    let golden = String::from_utf8(case("streams", "03")).expect("text");
    let end = golden.find("event: message-end").expect("an end");
    for (stream, reason) in [
        (golden[..end].to_owned(), "before it was complete"),
        (String::new(), "before it was complete"),
        ("<html>502</html>".to_owned(), "before it was complete"),
        (format!("data: {}\n\n", "x".repeat(20)), "not valid JSON"),
        (format!("data: {}\n\n", "x".repeat(1 << 20)), "too long"),
        ("x".repeat((1 << 20) + 1), "too long"),
        ("data: {\"choices\":[]}\n\n".to_owned(), "neither a type nor an error"),
        (
            "data: {\"type\":\"tool-call-delta\",\"index\":3}\n\n".to_owned(),
            "not open",
        ),
        (
            "data: {\"type\":\"tool-call-start\",\"delta\":{\"message\":{\"tool_calls\":{\"id\":\"a\"}}}}\n\n"
                .to_owned(),
            "no name",
        ),
        (
            "data: {\"type\":\"content-start\",\"delta\":{\"message\":{\"content\":{\"text\":\"\"}}}}\n\n".repeat(129),
            "too many parts",
        ),
        (
            format!(
                "data: {{\"type\":\"debug\",\"a\":{}1{}}}\n\n",
                "[".repeat(200),
                "]".repeat(200)
            ),
            "not valid JSON",
        ),
    ] {
        match read_stream(&SPEAKS, &[stream.as_bytes()]) {
            Ok(events) => panic!("{reason}: {events:?}"),
            Err(error) => assert!(error.to_string().contains(reason), "{error}: {reason}"),
        }
    }
}

#[test]
fn a_call_that_never_ends_is_closed_at_the_end() {
    let golden = String::from_utf8(case("streams", "03")).expect("text");
    let unended = golden.replace("tool-call-end", "tool-call-unknown");
    let (events, answer) = read_stream(&SPEAKS, &[unended.as_bytes()]).expect("a stream");
    assert_eq!(events.iter().filter(|event| event.starts_with("Closed")).count(), 3);
    assert_eq!(answer.choices[0].reason, Some(Reason::ToolCalls));
}

#[test]
fn failures_in_a_stream_are_faults() {
    for (name, kind, message) in [
        ("12", FaultKind::Internal, "an internal service failed: try again"),
        ("13", FaultKind::Internal, "stream was cut off"),
        ("14", FaultKind::Timeout, "the generation took too long"),
    ] {
        let (_, answer) = read_stream(&SPEAKS, &[&case("streams", name)]).expect("a stream");
        let fault = answer.fault.expect("a fault");
        assert_eq!(
            (fault.kind, fault.message.as_str(), fault.status),
            (kind, message, kind.status()),
            "{name}"
        );
        assert!(!answer.ended);
    }
}
