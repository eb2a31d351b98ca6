//! Streams that have said nothing are held: their targets can fail, and the client sees nothing of it.

mod rig;

use std::io::Write;

use rig::{
    Did, Rig, dialled, header, reply,
    streams::{ask, down, feed, head, read, saying, two, written},
};
use tollgate_config::document::{Dialect, Model, TokenTimeouts};
use tollgate_dialect::canonical::{
    event::{Event, Reason},
    fault::{Fault, FaultKind},
};
use tollgate_engine::{
    Input,
    exchange::UpstreamFault,
    outputs::ReplyFraming,
    record::{AttemptOutcome, Outcome},
};

const WORDS: [&str; 2] = ["Hello", " there"];

/// What a provider of this dialect sends before its first word, and all that it sends.
fn stream(dialect: Dialect) -> (Vec<u8>, Vec<u8>) {
    let parts = written(dialect, &saying("a", &WORDS));
    (parts[..3].concat(), parts.concat())
}

/// A call whose first target has answered with the head of a stream; nothing has gone down.
fn begun(target: Dialect, change: impl FnOnce(&mut Model)) -> Rig {
    let mut rig = Rig::new(two(target, change));
    ask(&mut rig, target, true);
    rig.connected(1);
    assert_eq!(rig.answer(1, &head(target)), [], "{target:?}");
    rig
}

/// The second target was dialled; it answers, and the client has that answer alone.
#[track_caller]
fn goes_on(rig: &mut Rig, did: &[Did], target: Dialect) {
    assert_eq!(dialled(did), [("two".to_owned(), false)], "{target:?}: {did:?}");
    rig.connected(2);
    rig.answer(2, &head(target));
    let all = stream(target).1;
    let (did, bytes) = feed(rig, 2, &all);
    let (status, lines, _) = reply(&did);
    assert_eq!(status, 200);
    assert_eq!(header(&lines, "x-tollgate-provider"), Some("two"));
    assert_eq!(header(&lines, "x-tollgate-attempts"), Some("2"));
    assert_eq!(bytes, all, "{target:?}");
    let did = rig.end(2);
    assert!(did.ends_with(&[Did::Settle, Did::End]), "{target:?}: {did:?}");
    let record = rig.exchange.record();
    assert_eq!(
        (record.outcome, record.attempts, record.resumed),
        (Outcome::Complete, 2, 0)
    );
    assert_eq!(record.usage.and_then(|usage| usage.output), Some(2), "{target:?}");
}

#[test]
fn a_stream_that_is_cut_anywhere_before_its_first_word_costs_the_client_nothing() {
    for target in Dialect::ALL {
        let silent = stream(target).0;
        for cut in 0..=silent.len() {
            let mut rig = begun(target, |_| {});
            assert_eq!(feed(&mut rig, 1, &silent[..cut]).0, [], "{target:?} at {cut}");
            let did = rig.failed(1, UpstreamFault::Cut);
            goes_on(&mut rig, &did, target);
            let logged: Vec<AttemptOutcome> = rig.exchange.attempts().map(|(_, outcome)| outcome).collect();
            assert_eq!(logged, [AttemptOutcome::Disconnect, AttemptOutcome::Ok]);
        }
    }
}

#[test]
fn so_does_one_that_ends_or_stalls_or_fails_there() {
    let fault = Event::Failed(Fault::in_stream(FaultKind::Overloaded, "busy"));
    for target in Dialect::ALL {
        let silent = stream(target).0;
        let mut rig = begun(target, |_| {});
        feed(&mut rig, 1, &silent);
        let did = rig.end(1);
        goes_on(&mut rig, &did, target);

        let mut rig = begun(target, |model| model.streams.keep_alive_ms = None);
        feed(&mut rig, 1, &silent);
        let did = rig.expire();
        assert_eq!(did[0], Did::Abandon { attempt: 1 });
        goes_on(&mut rig, &did, target);

        let mut events = saying("a", &[]);
        events.truncate(2);
        events.push(fault.clone());
        let mut rig = begun(target, |_| {});
        let (did, _) = feed(&mut rig, 1, &written(target, &events).concat());
        assert_eq!(did[0], Did::Abandon { attempt: 1 }, "{target:?}: {did:?}");
        goes_on(&mut rig, &did, target);
    }
}

#[test]
fn however_its_first_words_are_cut_all_of_it_goes_down() {
    for target in Dialect::ALL {
        let all = stream(target).1;
        for slice in [1, 7, 64, all.len()] {
            let mut rig = begun(target, |_| {});
            let (mut bytes, mut heads) = (Vec::new(), 0);
            for part in all.chunks(slice) {
                let (did, sent) = feed(&mut rig, 1, part);
                heads += did.iter().filter(|did| matches!(did, Did::Head { .. })).count();
                bytes.extend(sent);
            }
            assert_eq!((heads, bytes == all), (1, true), "{target:?} by {slice}");
            assert!(rig.end(1).ends_with(&[Did::Settle, Did::End]));
        }
    }
}

#[test]
fn after_the_first_word_a_stream_that_breaks_ends_with_the_dialects_error() {
    for target in Dialect::ALL {
        let parts = written(target, &saying("a", &WORDS));
        let mut rig = begun(target, |_| {});
        let (_, mut bytes) = feed(&mut rig, 1, &parts[..4].concat());
        let did = rig.failed(1, UpstreamFault::Cut);
        bytes.extend(down(&rig, &[]));
        if target == Dialect::Bedrock {
            // What passes in frames is not read in events: it is cut.
            assert_eq!(did, [Did::Settle, Did::Cut]);
            continue;
        }
        assert!(did.ends_with(&[Did::Settle, Did::End]), "{target:?}: {did:?}");
        let read = read(target, &bytes);
        assert_eq!((read.text().as_str(), read.failed), ("Hello", true), "{target:?}");
        let record = rig.exchange.record();
        assert_eq!(record.outcome, Outcome::Cut);
        assert!(record.usage.and_then(|usage| usage.output) >= Some(1), "{target:?}");
    }
}

#[test]
fn a_model_with_one_target_holds_nothing() {
    let mut document = two(Dialect::Anthropic, |model| model.targets.truncate(1));
    document.providers.truncate(1);
    let mut rig = Rig::new(document);
    ask(&mut rig, Dialect::Anthropic, true);
    rig.connected(1);
    let did = rig.answer(1, &head(Dialect::Anthropic));
    assert!(
        matches!(
            did[..],
            [Did::Head {
                status: 200,
                framing: ReplyFraming::Stream,
                ..
            }]
        ),
        "{did:?}"
    );
}

#[test]
fn the_last_try_holds_nothing_and_what_fails_is_the_clients() {
    let mut rig = begun(Dialect::OpenAi, |model| model.retry.attempts = 2);
    rig.failed(1, UpstreamFault::Cut);
    rig.connected(2);
    let did = rig.answer(2, &head(Dialect::OpenAi));
    assert_eq!(reply(&did).0, 200);
    // An error that no retry takes up goes down as it came.
    let mut rig = begun(Dialect::Anthropic, |model| model.retry.on_status.clear());
    let event =
        b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    let (did, bytes) = feed(&mut rig, 1, event);
    assert_eq!((reply(&did).0, &bytes[..]), (200, &event[..]));
}

#[test]
fn what_is_held_is_bounded() {
    let mut rig = begun(Dialect::OpenAi, |_| {});
    let comment = format!(": {}\n\n", "x".repeat(30_000));
    assert_eq!(feed(&mut rig, 1, comment.as_bytes()).0, []);
    assert_eq!(feed(&mut rig, 1, comment.as_bytes()).0, []);
    let (did, bytes) = feed(&mut rig, 1, comment.as_bytes());
    assert_eq!((reply(&did).0, bytes.len()), (200, 3 * comment.len()));
}

#[test]
fn a_provider_whose_streams_die_before_their_first_word_is_left_alone() {
    let mut rig = Rig::new(two(Dialect::OpenAi, |_| {}));
    for call in 0..6 {
        let did = ask(&mut rig, Dialect::OpenAi, true);
        let first = dialled(&did)[0].0.clone();
        // The breaker opens after five in a row.
        assert_eq!(first, if call < 5 { "one" } else { "two" }, "call {call}");
        rig.connected(1);
        rig.answer(1, &head(Dialect::OpenAi));
        if first == "one" {
            rig.failed(1, UpstreamFault::Cut);
        }
        rig.feed(Input::ClientGone);
    }
}

fn waits(model: &mut Model, first: Option<u64>, between: Option<u64>) {
    model.streams.timeouts = TokenTimeouts {
        first_token_ms: first,
        between_tokens_ms: between,
    };
}

#[test]
fn pings_and_comments_are_no_first_word() {
    let ping = b"event: ping\ndata: {\"type\":\"ping\"}\n\n";
    let mut rig = begun(Dialect::Anthropic, |model| waits(model, Some(1_000), None));
    let begun_at = rig.now;
    feed(&mut rig, 1, &stream(Dialect::Anthropic).0);
    for _ in 0..9 {
        rig.now = rig.now.plus_ms(100);
        assert_eq!(feed(&mut rig, 1, ping).0, []);
        assert_eq!(rig.exchange.deadline(), Some(begun_at.plus_ms(1_000)));
    }
    let did = rig.expire();
    goes_on(&mut rig, &did, Dialect::Anthropic);
}

#[test]
fn the_first_word_has_its_time_where_nothing_is_held_too() {
    for (client, says) in [
        (Dialect::OpenAi, "did not say anything in time"),
        (Dialect::Anthropic, "did not say anything"),
    ] {
        let mut document = two(Dialect::OpenAi, |model| {
            model.targets.truncate(1);
            waits(model, Some(1_000), None);
        });
        document.providers.truncate(1);
        let mut rig = Rig::new(document);
        ask(&mut rig, client, true);
        rig.connected(1);
        rig.answer(1, &head(Dialect::OpenAi));
        rig.now = rig.now.plus_ms(999);
        rig.body(1, ": processing\n\n");
        let did = rig.expire();
        assert!(rig::body_of(&did).contains(says), "{client:?}: {did:?}");
    }
}

#[test]
fn a_stall_is_the_time_between_words() {
    for client in [Dialect::OpenAi, Dialect::Anthropic] {
        let mut document = two(Dialect::OpenAi, |model| {
            model.targets.truncate(1);
            waits(model, None, Some(1_000));
        });
        document.providers.truncate(1);
        let mut rig = Rig::new(document);
        ask(&mut rig, client, true);
        rig.connected(1);
        rig.answer(1, &head(Dialect::OpenAi));
        let parts = written(Dialect::OpenAi, &saying("a", &WORDS));
        feed(&mut rig, 1, &parts[..4].concat());
        let word_at = rig.now;
        rig.now = rig.now.plus_ms(500);
        feed(&mut rig, 1, b": still here\n\n");
        assert_eq!(rig.exchange.deadline(), Some(word_at.plus_ms(1_000)), "{client:?}");
        feed(&mut rig, 1, &parts[4]);
        assert_eq!(rig.exchange.deadline(), Some(rig.now.plus_ms(1_000)), "{client:?}");
        let did = rig.expire();
        assert!(rig::body_of(&did).contains("its answer stalled"), "{client:?}: {did:?}");
    }
}

#[test]
fn a_client_that_waits_is_told_that_it_is_not_forgotten() {
    for (client, words) in [
        (Dialect::OpenAi, ": keep-alive\n\n"),
        (Dialect::OpenAiResponses, ": keep-alive\n\n"),
        (Dialect::Anthropic, "event: ping\ndata: {\"type\": \"ping\"}\n\n"),
        (Dialect::Gemini, "\n"),
        (Dialect::Cohere, ": keep-alive\n\n"),
    ] {
        let mut rig = begun(client, |_| {});
        let started = rig.now;
        // The head is the gateway's own; whose answer it is may still change.
        let did = rig.expire();
        assert_eq!(rig.now, started.plus_ms(15_000));
        let (status, lines, body) = reply(&did);
        assert_eq!((status, body.as_str()), (200, words), "{client:?}");
        assert_eq!(header(&lines, "x-tollgate-provider"), Some("one"));
        assert_eq!(header(&lines, "content-type"), Some("text/event-stream"));
        rig.now = rig.now.plus_ms(10_000);
        let did = rig.failed(1, UpstreamFault::Cut);
        assert_eq!(dialled(&did), [("two".to_owned(), false)]);
        rig.connected(2);
        let did = rig.expire();
        assert_eq!(did, [Did::Body(words.into())], "{client:?}");
        rig.answer(2, &head(client));
        let all = stream(client).1;
        let (did, bytes) = feed(&mut rig, 2, &all);
        assert!(
            !did.iter().any(|did| matches!(did, Did::Head { .. })),
            "{client:?}: {did:?}"
        );
        assert_eq!(bytes, all, "{client:?}");
        // Between events, as often as it is silent.
        assert_eq!(rig.expire(), [Did::Body(words.into())], "{client:?}");
        assert!(rig.end(2).ends_with(&[Did::Settle, Did::End]));
        assert_eq!(rig.exchange.record().outcome, Outcome::Complete);
    }
}

#[test]
fn an_error_behind_a_head_of_ours_is_an_event() {
    for client in Dialect::ALL.into_iter().filter(|client| *client != Dialect::Bedrock) {
        let mut rig = begun(client, |_| {});
        rig.expire();
        let mut bytes = down(&rig, &[]);
        rig.failed(1, UpstreamFault::Cut);
        rig.connected(2);
        rig.answer(
            2,
            "HTTP/1.1 400 Bad\ncontent-type: application/json\ntransfer-encoding: chunked\n",
        );
        feed(&mut rig, 2, br#"{"error":{"message":"too warm"},"message":"too warm"}"#);
        let did = rig.end(2);
        bytes.extend(down(&rig, &[]));
        assert!(did.ends_with(&[Did::Settle, Did::End]), "{client:?}: {did:?}");
        let read = read(client, &bytes);
        let fault = read.answer.fault.expect("a fault");
        assert!(fault.message.contains("too warm"), "{client:?}: {fault:?}");
    }
    // And so is one of the gateway's.
    let mut rig = begun(Dialect::OpenAi, |_| {});
    rig.expire();
    rig.failed(1, UpstreamFault::Cut);
    let did = rig.failed(2, UpstreamFault::Connect);
    let did = if did.is_empty() { rig.expire() } else { did };
    assert!(!did.iter().any(|did| matches!(did, Did::Head { .. })), "{did:?}");
}

#[test]
fn a_document_behind_a_head_of_ours_becomes_a_stream() {
    let mut rig = begun(Dialect::OpenAi, |_| {});
    rig.expire();
    rig.failed(1, UpstreamFault::Cut);
    rig.connected(2);
    rig.answer(
        2,
        "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n",
    );
    feed(
        &mut rig,
        2,
        br#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#,
    );
    rig.end(2);
    let read = read(Dialect::OpenAi, &down(&rig, &[]));
    assert_eq!((read.text().as_str(), read.ended), ("Hi", true));
}

#[test]
fn a_compressed_stream_behind_a_head_of_ours_is_written_plain() {
    for client in [Dialect::OpenAi, Dialect::Anthropic] {
        let mut rig = begun(client, |_| {});
        rig.expire();
        rig.failed(1, UpstreamFault::Cut);
        rig.connected(2);
        let mut did = rig.answer(2, &format!("{}content-encoding: gzip\n", head(client)));
        let mut bytes = down(&rig, &[]);
        let packed = gzip(&stream(client).1);
        for part in packed.chunks(50) {
            let (more, sent) = feed(&mut rig, 2, part);
            did.extend(more);
            bytes.extend(sent);
        }
        if rig.exchange.deadline().is_some() {
            did.extend(rig.end(2));
            bytes.extend(down(&rig, &[]));
        }
        assert!(did.ends_with(&[Did::Settle, Did::End]), "{client:?}: {did:?}");
        let read = read(client, &bytes);
        assert_eq!((read.text().as_str(), read.ended), ("Hello there", true), "{client:?}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// A call of a client that wants its stream as a JSON array, of which the gateway's own head is out.
fn array_opened() -> Rig {
    let mut rig = Rig::new(two(Dialect::Gemini, |model| model.retry.attempts = 2));
    let head = "POST /v1beta/models/m:streamGenerateContent HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n";
    rig.request(head, br#"{"contents":[{"role":"user","parts":[{"text":"?"}]}]}"#);
    rig.connected(1);
    rig.answer(1, ARRAY);
    rig.expire();
    assert_eq!(down(&rig, &[]), b"\n");
    rig
}

const ARRAY: &str = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n";

#[test]
fn an_array_behind_a_head_of_ours_ends_as_one_or_is_cut() {
    // Nobody can go on: what the client has is an array of the error.
    let mut rig = array_opened();
    rig.failed(1, UpstreamFault::Cut);
    let mut did = rig.failed(2, UpstreamFault::Connect);
    while did.is_empty() {
        did = rig.expire();
    }
    assert!(did.ends_with(&[Did::Settle, Did::End]), "{did:?}");
    let text = String::from_utf8(down(&rig, &[])).expect("text");
    let said: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(said[0]["error"]["message"].is_string(), "{text}");
    // Half an array is out: there is no place in it for words.
    let mut rig = array_opened();
    rig.failed(1, UpstreamFault::Cut);
    rig.connected(2);
    rig.answer(2, ARRAY);
    let piece = br#"[{"candidates":[{"content":{"role":"model","parts":[{"text":"Hel"}]}}]}"#;
    let (_, bytes) = feed(&mut rig, 2, piece);
    assert_eq!(bytes, piece);
    let did = rig.failed(2, UpstreamFault::Cut);
    assert_eq!(did, [Did::Settle, Did::Cut]);
}

#[test]
fn a_client_that_leaves_is_not_waited_for() {
    // While the stream is held.
    let mut rig = begun(Dialect::OpenAi, |_| {});
    assert_eq!(
        rig.feed(Input::ClientGone),
        [Did::Abandon { attempt: 1 }, Did::Settle, Did::Cut]
    );
    assert_eq!(rig.exchange.record().outcome, Outcome::ClientGone);
    // While nobody has answered.
    let mut rig = Rig::new(two(Dialect::OpenAi, |_| {}));
    ask(&mut rig, Dialect::OpenAi, true);
    assert_eq!(
        rig.feed(Input::ClientGone),
        [Did::Abandon { attempt: 1 }, Did::Settle, Did::Cut]
    );
    // Between two tries: nobody is asked, and nobody will be.
    let mut rig = Rig::new(two(Dialect::OpenAi, |model| model.targets.truncate(1)));
    ask(&mut rig, Dialect::OpenAi, true);
    assert_eq!(rig.failed(1, UpstreamFault::Connect), []);
    assert_eq!(rig.feed(Input::ClientGone), [Did::Settle, Did::Cut]);
    assert_eq!(rig.exchange.deadline(), None);
}

/// A stream and a whole answer that refuse.
fn refusing(dialect: Dialect) -> (Vec<u8>, String) {
    let mut events = saying("a", &[]);
    let reason = match dialect {
        Dialect::Anthropic => Reason::Refused,
        _ => Reason::Filtered,
    };
    for event in &mut events {
        if let Event::Stopped { reason: stopped, .. } = event {
            *stopped = reason.clone();
        }
    }
    let whole = match dialect {
        Dialect::OpenAi => {
            r#"{"id":"a","choices":[{"index":0,"message":{"content":"I"},"finish_reason":"content_filter"}]}"#
        }
        Dialect::OpenAiResponses => {
            r#"{"id":"a","status":"incomplete","incomplete_details":{"reason":"content_filter"},"output":[]}"#
        }
        Dialect::Anthropic => r#"{"id":"a","type":"message","role":"assistant","content":[],"stop_reason":"refusal"}"#,
        Dialect::Gemini => r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#,
        Dialect::Cohere => r#"{"id":"a","message":{"role":"assistant","content":[]},"finish_reason":"ERROR_TOXIC"}"#,
        Dialect::Bedrock => {
            r#"{"output":{"message":{"role":"assistant","content":[{"text":"No."}]}},"stopReason":"guardrail_intervened"}"#
        }
    };
    (written(dialect, &events).concat(), whole.to_owned())
}

#[test]
fn an_answer_that_refuses_is_asked_for_elsewhere() {
    for target in Dialect::ALL {
        let configured = |refuses: bool| {
            let mut document = two(target, |model| {
                model.targets.truncate(1);
                model.on_refusal = refuses.then(|| "other".to_owned());
            });
            document.models.push(rig::model("other", &[("two", "real-model")]));
            Rig::new(document)
        };
        let (stream, whole) = refusing(target);
        let json = "HTTP/1.1 200 OK\ncontent-type: application/json\ntransfer-encoding: chunked\n";
        for (streams, head, body) in [
            (true, head(target), &stream[..]),
            (false, json.to_owned(), whole.as_bytes()),
        ] {
            let mut rig = configured(true);
            ask(&mut rig, target, streams);
            rig.connected(1);
            assert_eq!(rig.answer(1, &head), [], "{target:?}");
            let (mut did, _) = feed(&mut rig, 1, body);
            if did.is_empty() {
                did = rig.end(1);
            }
            assert_eq!(did[0], Did::Abandon { attempt: 1 }, "{target:?} {streams}: {did:?}");
            assert_eq!(dialled(&did), [("two".to_owned(), false)], "{target:?} {streams}");
            assert_eq!(rig.exchange.record().model.map(|(_, name)| name), Some("other"));

            let mut rig = configured(false);
            ask(&mut rig, target, streams);
            rig.connected(1);
            rig.answer(1, &head);
            let (_, mut bytes) = feed(&mut rig, 1, body);
            rig.end(1);
            bytes.extend(down(&rig, &[]));
            assert_eq!(bytes, body, "{target:?}: without a successor it passes as it is");
        }
    }
}

#[test]
fn an_answer_that_does_not_refuse_is_passed_on_whole() {
    let mut document = two(Dialect::OpenAi, |model| {
        model.targets.truncate(1);
        model.on_refusal = Some("other".to_owned());
    });
    document.models.push(rig::model("other", &[("two", "real-model")]));
    let whole = r#"{"id":"a","choices":[{"message":{"content":"content_filter"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
    let mut rig = Rig::new(document);
    ask(&mut rig, Dialect::OpenAi, false);
    rig.connected(1);
    let length = format!(
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: {}\n",
        whole.len()
    );
    assert_eq!(rig.answer(1, &length), []);
    assert_eq!(feed(&mut rig, 1, &whole.as_bytes()[..40]).0, []);
    assert_eq!(feed(&mut rig, 1, &whole.as_bytes()[40..]).0, []);
    let did = rig.end(1);
    assert_eq!(reply(&did).2, whole);
    assert!(did.ends_with(&[Did::Settle, Did::End]));
    assert_eq!(rig.exchange.record().usage.and_then(|usage| usage.output), Some(2));
}

#[test]
fn a_refusal_in_words_counts_where_it_comes_first() {
    let mut document = two(Dialect::OpenAi, |model| {
        model.targets.truncate(1);
        model.on_refusal = Some("other".to_owned());
    });
    document.models.push(rig::model("other", &[("two", "real-model")]));
    let delta = |delta: &str| format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n");
    let mut rig = Rig::new(document);
    ask(&mut rig, Dialect::OpenAi, true);
    rig.connected(1);
    rig.answer(1, &head(Dialect::OpenAi));
    feed(&mut rig, 1, delta(r#"{"role":"assistant","content":""}"#).as_bytes());
    let (did, _) = feed(&mut rig, 1, delta(r#"{"refusal":"I"}"#).as_bytes());
    assert_eq!(dialled(&did), [("two".to_owned(), false)], "{did:?}");
}
