//! The Anthropic dialect against its golden cases: what is read and written again says the same, and no bytes break it.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // Golden cases are files.

#[path = "anthropic/answers.rs"]
mod answers;
#[path = "anthropic/asked.rs"]
mod asked;
#[path = "anthropic/faults.rs"]
mod faults;
#[path = "anthropic/hostile.rs"]
mod hostile;
#[path = "anthropic/requests.rs"]
mod requests;
#[path = "anthropic/streams.rs"]
mod streams;
#[path = "anthropic/targets.rs"]
mod targets;
#[path = "anthropic/turns.rs"]
mod turns;

use std::{fs, path::PathBuf};

use tollgate_dialect::{
    anthropic::SPEAKS,
    canonical::{
        answer::Answer,
        bad::{BadAnswer, BadRequest},
        event::Event,
        feature::Drops,
        request::Request,
    },
    json::Text,
    quirks::Quirks,
    speak::{CallFacts, PathFacts, Speaks, TargetFacts},
};

fn folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "golden", "anthropic", name]
        .iter()
        .collect()
}

/// The cases of a folder by name, in order.
fn golden(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut cases: Vec<_> = fs::read_dir(folder(name))
        .expect("a folder of golden cases")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (stem, fs::read(&path).expect("a readable file"))
        })
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "{name} is empty");
    cases
}

/// What a case becomes when it is read and written again: itself, where no other file says otherwise.
fn expected(written: &str, name: &str, case: &[u8]) -> serde_json::Value {
    let other = fs::read(folder(written).join(format!("{name}.json")));
    json(&other.unwrap_or_else(|_| case.to_vec()))
}

fn json(bytes: &[u8]) -> serde_json::Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

fn read(body: &[u8]) -> Result<Request<'_>, BadRequest> {
    SPEAKS.read_request(body, PathFacts::default())
}

/// The request as it goes to a provider that knows the model by the name the caller gave it.
fn write(request: &Request<'_>, quirks: &Quirks) -> (Result<Vec<u8>, BadRequest>, Drops) {
    let mut drops = Drops::default();
    let mut out = Vec::new();
    let to = TargetFacts {
        model: &request.model,
        quirks,
    };
    let outcome = SPEAKS.write_request(request, &to, &mut drops, &mut out);
    (outcome.map(|()| out), drops)
}

fn call() -> CallFacts {
    CallFacts {
        request_id: "5f0c".to_owned(),
        model: "the-alias".to_owned(),
        now_unix_s: 1_780_000_000,
        stream_usage: true,
        as_array: false,
    }
}

/// An event that outlives what it was read from.
fn owned(event: &Event<'_>) -> Event<'static> {
    let own = |text: &Text<'_>| text.clone().into_owned();
    match event {
        Event::Piece { choice, part, text } => Event::Piece {
            choice: *choice,
            part: *part,
            text: own(text),
        },
        Event::Signature { choice, part, text } => Event::Signature {
            choice: *choice,
            part: *part,
            text: own(text),
        },
        Event::Started {
            id,
            model,
            created_unix_s,
        } => Event::Started {
            id: id.as_ref().map(own),
            model: model.as_ref().map(own),
            created_unix_s: *created_unix_s,
        },
        Event::Citation { choice, part, citation } => Event::Citation {
            choice: *choice,
            part: *part,
            citation: citation.clone().into_owned(),
        },
        Event::Stopped { choice, reason } => Event::Stopped {
            choice: *choice,
            reason: reason.clone().into_owned(),
        },
        Event::Began { choice, part, what } => Event::Began {
            choice: *choice,
            part: *part,
            what: own_began(what),
        },
        Event::Closed { choice, part } => Event::Closed {
            choice: *choice,
            part: *part,
        },
        Event::Usage(usage) => Event::Usage(*usage),
        Event::Failed(fault) => Event::Failed(fault.clone()),
        Event::Ended => Event::Ended,
        Event::Logprobs { .. } => panic!("Anthropic has no log probabilities"),
    }
}

fn own_began(
    what: &tollgate_dialect::canonical::event::Began<'_>,
) -> tollgate_dialect::canonical::event::Began<'static> {
    use tollgate_dialect::canonical::event::Began;
    let own = |text: &Text<'_>| text.clone().into_owned();
    match what {
        Began::Text => Began::Text,
        Began::Thinking => Began::Thinking,
        Began::Refusal => Began::Refusal,
        Began::Sealed { id } => Began::Sealed {
            id: id.as_ref().map(own),
        },
        Began::ToolCall { id, name } => Began::ToolCall {
            id: id.as_ref().map(own),
            name: own(name),
        },
    }
}

/// All events of a stream fed in these slices, and how it ended.
fn events<'s>(slices: impl IntoIterator<Item = &'s [u8]>) -> (Vec<Event<'static>>, Result<(), BadAnswer>) {
    let mut reader = SPEAKS.stream_reader();
    let mut events = Vec::new();
    let mut sink = |event: &Event<'_>| events.push(owned(event));
    let mut outcome = Ok(());
    for slice in slices {
        outcome = outcome.and_then(|()| reader.feed(slice, &mut sink));
    }
    outcome = outcome.and_then(|()| reader.end(&mut sink));
    (events, outcome)
}

fn gathered(events: &[Event<'_>]) -> Answer {
    let mut answer = Answer::default();
    for event in events {
        answer.take(event);
    }
    answer
}

fn streamed(events: &[Event<'_>]) -> Vec<u8> {
    let mut writer = SPEAKS.stream_writer(&call());
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    out
}

fn read_answer(body: &[u8]) -> Result<Vec<Event<'static>>, BadAnswer> {
    let mut events = Vec::new();
    SPEAKS.read_answer(body, &mut |event| events.push(owned(event)))?;
    Ok(events)
}

fn written_answer(answer: &Answer) -> Vec<u8> {
    let mut out = Vec::new();
    SPEAKS.write_answer(answer, &call(), &mut out);
    out
}

/// The order that `event` promises.
fn check_order(name: &str, events: &[Event<'_>]) {
    let mut open: Vec<u32> = Vec::new();
    let (mut parts, mut stopped) = (0, false);
    for (position, event) in events.iter().enumerate() {
        assert_eq!(
            position == 0,
            matches!(event, Event::Started { .. }),
            "{name}: {event:?}"
        );
        match event {
            Event::Began { part, .. } => {
                assert!(*part == parts && !stopped, "{name}: {event:?}");
                parts += 1;
                open.push(*part);
            }
            Event::Piece { part, .. } | Event::Signature { part, .. } | Event::Citation { part, .. } => {
                assert!(open.contains(part), "{name}: {event:?}");
            }
            Event::Closed { part, .. } => {
                assert!(open.contains(part), "{name}: {event:?}");
                open.retain(|other| other != part);
            }
            Event::Stopped { .. } => {
                assert!(open.is_empty() && !stopped, "{name}: {event:?}");
                stopped = true;
            }
            Event::Ended => assert!(stopped && position + 1 == events.len(), "{name}"),
            _ => {}
        }
    }
}
