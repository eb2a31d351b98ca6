//! Golden cases from disk, and what the tests do with them.

#![allow(clippy::disallowed_methods)] // Golden files are read from disk.

use std::{fs, path::Path};

use tollgate_dialect::{
    canonical::{
        answer::Answer,
        bad::{BadAnswer, BadRequest},
        event::{Began, Event},
        feature::Drops,
        request::Request,
    },
    json::Text,
    openai_responses::OpenAiResponses,
    quirks::Quirks,
    speak::{CallFacts, PathFacts, Speaks as _, TargetFacts},
};

/// Name and bytes of each case of a kind, by name.
pub fn cases(kind: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden/openai_responses")
        .join(kind);
    let mut cases: Vec<_> = fs::read_dir(&folder)
        .expect("the folder of golden cases")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("a golden case"))
        })
        .collect();
    cases.sort();
    assert!(cases.len() >= 15, "{kind}: too few cases");
    cases
}

pub fn case(kind: &str, name: &str) -> Vec<u8> {
    let found = cases(kind).into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no case {kind}/{name}")).1
}

pub fn read_request(body: &[u8]) -> Result<Request<'_>, BadRequest> {
    OpenAiResponses.read_request(body, PathFacts::default())
}

pub fn write_request(request: &Request<'_>, quirks: &Quirks) -> Result<(Vec<u8>, Drops), BadRequest> {
    let (mut out, mut drops) = (Vec::new(), Drops::default());
    let to = TargetFacts {
        model: &request.model,
        quirks,
    };
    OpenAiResponses.write_request(request, &to, &mut drops, &mut out)?;
    Ok((out, drops))
}

pub fn call() -> CallFacts {
    CallFacts {
        request_id: "00c0ffee".to_owned(),
        model: "asked-for".to_owned(),
        now_unix_s: 1_767_225_700,
        stream_usage: false,
        as_array: false,
    }
}

pub fn read_answer(body: &[u8], seen: &mut dyn FnMut(&Event<'_>)) -> Result<(), BadAnswer> {
    OpenAiResponses.read_answer(body, seen)
}

/// Feeds a stream in pieces.
pub fn read_stream<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    seen: &mut dyn FnMut(&Event<'_>),
) -> Result<(), BadAnswer> {
    let mut reader = OpenAiResponses.stream_reader();
    for piece in pieces {
        reader.feed(piece, seen)?;
    }
    reader.end(seen)
}

pub fn gathered(read: impl FnOnce(&mut dyn FnMut(&Event<'_>)) -> Result<(), BadAnswer>) -> Answer {
    let mut answer = Answer::default();
    read(&mut |event| answer.take(event)).expect("an answer");
    answer
}

/// The stream that a client gets for the events that a reader tells.
pub fn rewritten(read: impl FnOnce(&mut dyn FnMut(&Event<'_>)) -> Result<(), BadAnswer>) -> Vec<u8> {
    let mut writer = OpenAiResponses.stream_writer(&call());
    let mut out = Vec::new();
    read(&mut |event| writer.write(event, &mut out)).expect("an answer");
    out
}

/// In a stream an item has its id before what seals it comes with another: that one is not kept.
pub fn without_sealed_ids(mut answer: Answer) -> Answer {
    for part in answer.choices.iter_mut().flat_map(|choice| &mut choice.parts) {
        if let Began::Sealed { id } = &mut part.what {
            *id = None::<Text<'static>>;
        }
    }
    answer
}

/// Holds a reader to the order that events promise.
#[derive(Debug, Default)]
pub struct Order {
    started: bool,
    open: Vec<bool>,
    stopped: bool,
    over: bool,
}

impl Order {
    pub fn see(&mut self, event: &Event<'_>) {
        assert!(!self.over, "{event:?} after the end");
        match event {
            Event::Started { .. } => assert!(!std::mem::replace(&mut self.started, true), "it started twice"),
            // What fails at once has not started.
            Event::Failed(_) => {}
            event => assert!(self.started, "{event:?} before the start"),
        }
        match event {
            Event::Started { .. } | Event::Usage(_) => {}
            Event::Began { part, .. } => {
                assert_eq!(*part as usize, self.open.len(), "parts count without gaps");
                assert!(!self.stopped, "{event:?} after the stop");
                self.open.push(true);
            }
            Event::Piece { part, .. }
            | Event::Signature { part, .. }
            | Event::Citation { part, .. }
            | Event::Logprobs { part, .. } => assert!(self.open[*part as usize], "{event:?} of a closed part"),
            Event::Closed { part, .. } => {
                assert!(std::mem::take(&mut self.open[*part as usize]), "{event:?} twice");
            }
            Event::Stopped { .. } => {
                assert!(!std::mem::replace(&mut self.stopped, true), "it stopped twice");
                assert!(!self.open.contains(&true), "it stopped with open parts");
            }
            Event::Failed(_) => self.over = true,
            Event::Ended => {
                assert!(self.stopped, "it ended without a reason");
                self.over = true;
            }
        }
    }

    pub fn is_over(&self) -> bool {
        self.over
    }
}
