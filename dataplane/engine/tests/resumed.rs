//! Streams that break after they have said something are gone on with by another target: the client reads one answer.

mod rig;

use rig::{
    Did, Rig, dialled, header, reply, sent,
    streams::{ask, down, feed, head, read, saying, two, usage, written},
};
use tollgate_config::{
    Document,
    document::{Dialect, Model},
};
use tollgate_dialect::{
    canonical::{
        event::{Began, Event, Reason},
        fault::{Fault, FaultKind},
    },
    json::Text,
};
use tollgate_engine::{
    exchange::UpstreamFault,
    record::{AttemptOutcome, Outcome},
};

const WORDS: [&str; 4] = ["Once", " upon", " a", " time"];
const WHOLE: &str = "Once upon a time";
const INSTRUCTION: &str = "Your answer was cut off";

fn resuming(target: Dialect) -> Document {
    two(target, |model| model.streams.resume = true)
}

/// A client of this dialect asked, and the first target's stream has begun.
fn begun(document: Document, client: Dialect, target: Dialect) -> (Rig, Vec<u8>) {
    let mut rig = Rig::new(document);
    ask(&mut rig, client, true);
    rig.connected(1);
    rig.answer(1, &head(target));
    (rig, Vec::new())
}

/// The second target is asked, and says the rest.
fn rest(rig: &mut Rig, target: Dialect, words: &[&str]) -> (String, Vec<u8>) {
    let (_, body) = sent(&rig.connected(2));
    rig.answer(2, &head(target));
    let mut bytes = down(rig, &[]);
    let (_, more) = feed(rig, 2, &written(target, &saying("b", words)).concat());
    bytes.extend(more);
    rig.end(2);
    bytes.extend(down(rig, &[]));
    (body, bytes)
}

#[test]
fn whatever_both_sides_speak_a_stream_that_is_cut_after_any_event_is_whole() {
    for client in Dialect::ALL {
        for target in Dialect::ALL {
            let parts = written(target, &saying("a", &WORDS));
            // Before the first word is the first target's failure, not a break.
            for cut in 4..parts.len() {
                let (mut rig, mut bytes) = begun(resuming(target), client, target);
                bytes.extend(down(&rig, &[]));
                let (_, more) = feed(&mut rig, 1, &parts[..cut].concat());
                bytes.extend(more);
                let said = WORDS[..(cut - 3).min(4)].concat();
                if rig.exchange.deadline().is_none() {
                    // The dialect's last event came: what becomes of the connection is nobody's affair.
                    continue;
                }
                let did = rig.failed(1, UpstreamFault::Cut);
                bytes.extend(down(&rig, &[]));
                let case = format!("{client:?} from {target:?} after {cut}");
                let mut tries = 1;
                if dialled(&did).is_empty() {
                    // All was said but the end.
                    assert!(did.ends_with(&[Did::Settle, Did::End]), "{case}: {did:?}");
                    assert_eq!(said, WHOLE, "{case}");
                } else {
                    tries = 2;
                    let (body, more) = rest(&mut rig, target, &WORDS[(cut - 3).min(4)..]);
                    assert!(body.contains(&said), "{case}: {body}");
                    // OpenAI's models do not go on with a turn of theirs.
                    let told = matches!(target, Dialect::OpenAi | Dialect::OpenAiResponses);
                    assert_eq!(body.contains(INSTRUCTION), told, "{case}: {body}");
                    bytes.extend(more);
                }
                let read = read(client, &bytes);
                assert_eq!(
                    (read.text().as_str(), read.started, read.ended),
                    (WHOLE, 1, true),
                    "{case}"
                );
                assert_eq!(read.answer.choices[0].parts.len(), 1, "{case}");
                assert_eq!(read.answer.choices[0].reason, Some(Reason::Stop), "{case}");
                let record = rig.exchange.record();
                assert_eq!(
                    (record.outcome, record.attempts, record.resumed),
                    (Outcome::Complete, tries, tries - 1),
                    "{case}"
                );
                if tries == 2 {
                    // One word may be the one token that its provider told at the beginning.
                    assert!(record.estimated || cut == 4, "{case}");
                    let usage = record.usage.unwrap_or_default();
                    // Both targets read the prompt; the first's words are estimated, the second's told.
                    assert!(usage.all_input() > 9, "{case}: {usage:?}");
                    assert!(
                        usage.all_output() > (WORDS.len() - (cut - 3).min(4)) as u64,
                        "{case}: {usage:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_seam_is_marked_where_the_dialect_has_room_for_it() {
    for client in Dialect::ALL {
        let target = Dialect::OpenAi;
        let (mut rig, _) = begun(resuming(target), client, target);
        feed(&mut rig, 1, &written(target, &saying("a", &WORDS))[..5].concat());
        rig.failed(1, UpstreamFault::Cut);
        let (_, bytes) = rest(&mut rig, target, &WORDS[2..]);
        let marked = String::from_utf8_lossy(&bytes).contains(": tollgate-resumed\n\n");
        assert_eq!(
            marked,
            !matches!(client, Dialect::Gemini | Dialect::Bedrock),
            "{client:?}"
        );
    }
}

#[test]
fn a_stall_and_the_providers_own_error_are_breaks_too() {
    let target = Dialect::Anthropic;
    let parts = written(target, &saying("a", &WORDS))[..5].concat();
    let error =
        b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    for how in ["stall", "error", "end"] {
        let (mut rig, _) = begun(resuming(target), Dialect::OpenAi, target);
        let (_, mut bytes) = feed(&mut rig, 1, &parts);
        let did = match how {
            "stall" => {
                rig.now = rig.now.plus_ms(29_000);
                rig.feed(tollgate_engine::Input::Timer);
                bytes.extend(down(&rig, &[]));
                rig.expire()
            }
            "error" => feed(&mut rig, 1, error).0,
            _ => rig.end(1),
        };
        bytes.extend(down(&rig, &[]));
        assert_eq!(dialled(&did), [("two".to_owned(), false)], "{how}: {did:?}");
        let (_, more) = rest(&mut rig, target, &WORDS[2..]);
        bytes.extend(more);
        let read = read(Dialect::OpenAi, &bytes);
        assert_eq!(
            (read.text().as_str(), read.failed, read.ended),
            (WHOLE, false, true),
            "{how}"
        );
    }
}

#[test]
fn a_model_that_does_not_go_on_with_its_turn_is_told_to() {
    let document = resuming(Dialect::OpenAi);
    let (mut rig, _) = begun(document, Dialect::OpenAi, Dialect::OpenAi);
    feed(
        &mut rig,
        1,
        &written(Dialect::OpenAi, &saying("a", &["Once ", "upon "]))[..5].concat(),
    );
    rig.failed(1, UpstreamFault::Cut);
    let (_, body) = sent(&rig.connected(2));
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let turns = body["messages"].as_array().expect("turns");
    assert_eq!(turns.len(), 3, "{body}");
    assert_eq!(turns[1]["role"], "assistant");
    assert!(turns[1].to_string().contains("\"Once upon\""), "{body}");
    assert_eq!(turns[2]["role"], "user");
    assert!(turns[2].to_string().contains(INSTRUCTION), "{body}");
}

#[test]
fn white_space_at_the_seam_is_said_once_and_the_cap_is_what_is_left() {
    let target = Dialect::Anthropic;
    for (first, second) in [
        (&["Once ", "upon\n\n"][..], &["\n", "\na", " time"][..]),
        (&["Once upon\n\n"], &["a time"]),
        (&["Once upon", "\n\n"], &["\n\na time"]),
    ] {
        let (mut rig, _) = begun(resuming(target), target, target);
        let (_, mut bytes) = feed(
            &mut rig,
            1,
            &written(target, &saying("a", first))[..3 + first.len()].concat(),
        );
        rig.failed(1, UpstreamFault::Cut);
        let (body, more) = rest(&mut rig, target, second);
        let up: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert!(body.contains("Once upon\""), "{body}");
        assert!(
            up["max_tokens"].as_u64().is_some_and(|most| (30..50).contains(&most)),
            "{body}"
        );
        bytes.extend(more);
        assert_eq!(
            read(target, &bytes).text(),
            "Once upon\n\na time",
            "{first:?} {second:?}"
        );
    }
}

/// The events of an answer that says more than text, up to the moment of a break.
fn more_than_text(what: Began<'static>) -> Vec<Event<'static>> {
    let mut events = saying("a", &["Well"]);
    events.truncate(4);
    events.extend([
        Event::Closed { choice: 0, part: 0 },
        Event::Began {
            choice: 0,
            part: 1,
            what,
        },
        Event::Piece {
            choice: 0,
            part: 1,
            text: Text::from("{"),
        },
    ]);
    events
}

#[test]
fn only_text_is_gone_on_with() {
    let call = Began::ToolCall {
        id: Some(Text::from("call_1")),
        name: Text::from("look"),
    };
    for what in [call, Began::Thinking] {
        let target = Dialect::Anthropic;
        let (mut rig, _) = begun(resuming(target), Dialect::OpenAi, target);
        let (_, mut bytes) = feed(&mut rig, 1, &written(target, &more_than_text(what.clone())).concat());
        let did = rig.failed(1, UpstreamFault::Cut);
        bytes.extend(down(&rig, &[]));
        assert_eq!(dialled(&did), [], "{what:?}");
        let read = read(Dialect::OpenAi, &bytes);
        assert!(read.failed && !read.ended, "{what:?}");
        assert!(rig.exchange.record().usage.is_some(), "{what:?}");
    }
}

/// A thought, and the beginning of a text.
fn thinking(word: &'static str, then: &'static str) -> Vec<Event<'static>> {
    let mut events = saying("a", &[]);
    events.truncate(2);
    events.extend([
        Event::Began {
            choice: 0,
            part: 0,
            what: Began::Thinking,
        },
        Event::Piece {
            choice: 0,
            part: 0,
            text: Text::from(word),
        },
        Event::Closed { choice: 0, part: 0 },
        Event::Began {
            choice: 0,
            part: 1,
            what: Began::Text,
        },
        Event::Piece {
            choice: 0,
            part: 1,
            text: Text::from(then),
        },
    ]);
    events
}

#[test]
fn a_thought_that_is_over_does_not_hinder_and_the_next_one_is_not_told() {
    let target = Dialect::Anthropic;
    let (mut rig, _) = begun(resuming(target), Dialect::Anthropic, target);
    let (_, mut bytes) = feed(&mut rig, 1, &written(target, &thinking("Hm.", "Once")).concat());
    rig.failed(1, UpstreamFault::Cut);
    rig.connected(2);
    rig.answer(2, &head(target));
    bytes.extend(down(&rig, &[]));
    let mut events = thinking("Again?", " more");
    events.extend([
        Event::Closed { choice: 0, part: 1 },
        Event::Began {
            choice: 0,
            part: 2,
            what: Began::ToolCall {
                id: Some(Text::from("call_9")),
                name: Text::from("look"),
            },
        },
        Event::Piece {
            choice: 0,
            part: 2,
            text: Text::from("{}"),
        },
        Event::Closed { choice: 0, part: 2 },
        Event::Stopped {
            choice: 0,
            reason: Reason::ToolCalls,
        },
        usage(9, 7),
        Event::Ended,
    ]);
    let (_, more) = feed(&mut rig, 2, &written(target, &events).concat());
    bytes.extend(more);
    let read = read(Dialect::Anthropic, &bytes);
    let parts = &read.answer.choices[0].parts;
    let texts: Vec<String> = parts
        .iter()
        .map(|part| part.text().plain().unwrap_or_default().into_owned())
        .collect();
    assert_eq!(texts, ["Hm.", "Once more", "{}"]);
    assert_eq!(
        (read.ended, read.answer.choices[0].reason.clone()),
        (true, Some(Reason::ToolCalls))
    );
}

#[test]
fn a_target_that_cannot_go_on_either_is_not_the_last_word() {
    let target = Dialect::OpenAi;
    let mut document = two(target, |model| {
        model.streams.resume = true;
        model.targets.push(model.targets[0].clone());
        model.targets[2].model = "third".into();
    });
    document.max_body_bytes = 4096;
    let (mut rig, _) = begun(document, Dialect::Anthropic, target);
    let mut bytes = Vec::new();
    let parts = written(target, &saying("a", &WORDS));
    bytes.extend(feed(&mut rig, 1, &parts[..4].concat()).1);
    // The second dies before it says anything, the third goes on and breaks, and so does the fourth try.
    rig.failed(1, UpstreamFault::Cut);
    rig.connected(2);
    rig.answer(2, &head(target));
    feed(&mut rig, 2, &parts[0]);
    let did = rig.failed(2, UpstreamFault::Cut);
    assert_eq!(dialled(&did), [("one".to_owned(), false)]);
    rig.connected(3);
    rig.answer(3, &head(target));
    bytes.extend(down(&rig, &[]));
    bytes.extend(feed(&mut rig, 3, &written(target, &saying("c", &WORDS[1..])).concat()).1);
    rig.end(3);
    bytes.extend(down(&rig, &[]));
    let read = read(Dialect::Anthropic, &bytes);
    assert_eq!((read.text().as_str(), read.ended), (WHOLE, true));
    let record = rig.exchange.record();
    assert_eq!((record.attempts, record.resumed), (3, 1));
    let logged: Vec<AttemptOutcome> = rig.exchange.attempts().map(|(_, outcome)| outcome).collect();
    assert_eq!(
        logged,
        [
            AttemptOutcome::Disconnect,
            AttemptOutcome::Disconnect,
            AttemptOutcome::Ok
        ]
    );
}

#[test]
fn where_nobody_goes_on_the_client_is_told_in_the_stream_it_has() {
    let target = Dialect::OpenAi;
    for client in Dialect::ALL {
        let (mut rig, _) = begun(resuming(target), client, target);
        let mut bytes = feed(&mut rig, 1, &written(target, &saying("a", &WORDS))[..4].concat()).1;
        rig.failed(1, UpstreamFault::Cut);
        rig.connected(2);
        rig.answer(
            2,
            "HTTP/1.1 400 Bad\ncontent-type: application/json\ncontent-length: 34\n",
        );
        feed(&mut rig, 2, br#"{"error":{"message":"not like so"}}"#);
        let did = rig.end(2);
        bytes.extend(down(&rig, &[]));
        assert!(did.ends_with(&[Did::Settle, Did::End]), "{client:?}: {did:?}");
        let read = read(client, &bytes);
        assert_eq!(
            (read.text().as_str(), read.started, read.failed),
            ("Once", 1, true),
            "{client:?}"
        );
        let record = rig.exchange.record();
        assert_eq!((record.outcome, record.resumed), (Outcome::Cut, 0));
        assert!(record.usage.is_some_and(|usage| usage.all_output() > 0), "{client:?}");
    }
}

#[test]
fn what_cannot_be_gone_on_with_breaks_with_its_own_error() {
    let target = Dialect::OpenAi;
    for wish in [r#""response_format":{"type":"json_object"}"#, r#""n":2"#] {
        let mut rig = Rig::new(resuming(target));
        let body = format!(r#"{{"model":"m","stream":true,{wish},"messages":[{{"role":"user","content":"?"}}]}}"#);
        rig.chat(&body);
        rig.connected(1);
        rig.answer(1, &head(target));
        let mut bytes = feed(&mut rig, 1, &written(target, &saying("a", &WORDS))[..4].concat()).1;
        let did = rig.failed(1, UpstreamFault::Cut);
        bytes.extend(down(&rig, &[]));
        assert_eq!(dialled(&did), [], "{wish}");
        let fault = read(target, &bytes).answer.fault.expect("a fault");
        assert!(fault.message.contains("closed the connection"), "{wish}: {fault:?}");
    }
}

#[test]
fn the_budget_and_the_attempts_bound_it() {
    let target = Dialect::OpenAi;
    let once = |change: fn(&mut Model)| {
        let document = two(target, |model| {
            model.streams.resume = true;
            change(model);
        });
        let (mut rig, _) = begun(document, target, target);
        feed(&mut rig, 1, &written(target, &saying("a", &WORDS))[..4].concat());
        let did = rig.failed(1, UpstreamFault::Cut);
        dialled(&did).len()
    };
    assert_eq!(once(|_| {}), 1);
    assert_eq!(once(|model| model.retry.attempts = 1), 0);
    assert_eq!(once(|model| model.retry.on_disconnect = false), 0);
    assert_eq!(once(|model| model.streams.resume = false), 0);
}

#[test]
fn a_longer_text_than_is_kept_is_not_gone_on_with() {
    let target = Dialect::OpenAi;
    let word = "x".repeat(100_000);
    let (mut rig, _) = begun(resuming(target), target, target);
    let words = [word.as_str(); 3];
    feed(&mut rig, 1, &written(target, &saying("a", &words))[..6].concat());
    assert_eq!(dialled(&rig.failed(1, UpstreamFault::Cut)), []);
}

#[test]
fn a_request_goes_up_untouched_and_its_stream_comes_down_rewritten() {
    let target = Dialect::OpenAi;
    let mut rig = Rig::new(two(target, |model| {
        model.streams.resume = true;
        model.targets.truncate(1);
    }));
    let body = r#"{"model":"m","stream":true,"unheard_of":1,"messages":[{"role":"user","content":"?"}]}"#;
    rig.chat(body);
    let (_, up) = sent(&rig.connected(1));
    assert!(up.contains("\"unheard_of\":1") && up.contains("include_usage"), "{up}");
    let did = rig.answer(1, &head(target));
    assert_eq!(header(&reply(&did).1, "content-type"), Some("text/event-stream"));
    let (_, mut bytes) = feed(&mut rig, 1, &written(target, &saying("a", &WORDS)).concat());
    rig.end(1);
    bytes.extend(down(&rig, &[]));
    let read = read(target, &bytes);
    assert_eq!((read.text().as_str(), read.ended), (WHOLE, true));
    // The client did not ask for usage: it is known, and not told.
    assert_eq!(
        (
            read.answer.usage,
            rig.exchange.record().usage.and_then(|usage| usage.output)
        ),
        (None, Some(4))
    );
}

#[test]
fn the_providers_error_is_the_clients_where_no_retry_takes_it_up() {
    let target = Dialect::Anthropic;
    let mut events = saying("a", &WORDS);
    events.truncate(5);
    events.push(Event::Failed(Fault::in_stream(FaultKind::InvalidRequest, "not so")));
    let (mut rig, _) = begun(resuming(target), Dialect::OpenAi, target);
    let (did, bytes) = feed(&mut rig, 1, &written(target, &events).concat());
    assert!(did.ends_with(&[Did::Settle, Did::End]), "{did:?}");
    let read = read(Dialect::OpenAi, &bytes);
    assert_eq!(
        (read.text().as_str(), read.answer.fault.map(|fault| fault.message)),
        ("Once upon", Some("not so".into()))
    );
}
