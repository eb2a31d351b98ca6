//! The golden files, and what every test does with them.

use std::{fs, path::Path};

use serde_json::Value;
use tollgate_dialect::{
    canonical::{
        answer::Answer,
        bad::BadAnswer,
        event::{Began, Event},
        feature::{Drops, Feature},
        request::Request,
    },
    json::Text,
    openai_chat::SPEAKS,
    quirks::Quirks,
    speak::{CallFacts, PathFacts, Speaks, TargetFacts},
};

/// The files of one folder, by name, in order.
pub fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden/openai_chat")
        .join(folder);
    let mut files: Vec<_> = fs::read_dir(path)
        .expect("the corpus")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("a golden file"))
        })
        .collect();
    files.sort();
    assert!(files.len() >= 10, "{folder} was not found");
    files
}

pub fn golden(folder: &str, name: &str) -> Vec<u8> {
    let mut files = corpus(folder);
    let at = files.iter().position(|(known, _)| known == name);
    files
        .swap_remove(at.unwrap_or_else(|| panic!("no golden file {folder}/{name}")))
        .1
}

pub fn call() -> CallFacts {
    CallFacts {
        request_id: "c0ffee".into(),
        model: "asked-for".into(),
        now_unix_s: 1_700_000_000,
        stream_usage: true,
        as_array: false,
    }
}

pub fn read(body: &[u8]) -> Request<'_> {
    let mut request = SPEAKS
        .read_request(body, PathFacts::default())
        .unwrap_or_else(|bad| panic!("{bad}: {}", String::from_utf8_lossy(body)));
    request.name_calls();
    request
}

/// What a request becomes for a target of these quirks, and what is lost.
pub fn written(request: &Request<'_>, quirks: &Quirks) -> (Vec<u8>, Vec<Feature>) {
    let (mut drops, mut out) = (Drops::default(), Vec::new());
    let to = TargetFacts {
        model: &request.model,
        quirks,
    };
    SPEAKS
        .write_request(request, &to, &mut drops, &mut out)
        .expect("it can be written");
    (out, drops.features().to_vec())
}

pub fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|bad| panic!("{bad}: {}", String::from_utf8_lossy(bytes)))
}

/// Checks the order that `canonical/event.rs` promises.
#[derive(Debug, Default)]
pub struct Order {
    started: bool,
    over: bool,
    /// Of each choice: its parts, open or not, and whether it stopped.
    choices: Vec<(Vec<Open>, bool)>,
}

#[derive(Debug, Default)]
struct Open {
    open: bool,
    signed: bool,
    is_text: bool,
}

impl Order {
    pub fn check(&mut self, event: &Event<'_>) {
        assert!(!self.over, "{event:?} came after the end");
        match event {
            Event::Started { .. } => {
                assert!(!self.started, "started twice");
                self.started = true;
                return;
            }
            Event::Failed(_) | Event::Ended => self.over = true,
            _ => {}
        }
        assert!(self.started, "{event:?} came before the beginning");
        match event {
            Event::Began { choice, part, what } => {
                let (parts, stopped) = self.choice(*choice);
                assert!(!*stopped, "{event:?} came after the choice's end");
                assert_eq!(parts.len(), *part as usize, "{event:?}: parts count without gaps");
                parts.push(Open {
                    open: true,
                    signed: false,
                    is_text: matches!(what, Began::Text | Began::Refusal),
                });
            }
            Event::Piece { choice, part, text } => {
                self.part(*choice, *part, event);
                assert!(!text.is_empty(), "an empty piece says nothing");
            }
            Event::Signature { choice, part, .. } => {
                let open = self.part(*choice, *part, event);
                assert!(!std::mem::replace(&mut open.signed, true), "signed twice");
            }
            Event::Citation { choice, part, .. } | Event::Logprobs { choice, part, .. } => {
                assert!(self.part(*choice, *part, event).is_text, "{event:?} is of no text");
            }
            Event::Closed { choice, part } => self.part(*choice, *part, event).open = false,
            Event::Stopped { choice, .. } => {
                let (parts, stopped) = self.choice(*choice);
                assert!(!std::mem::replace(stopped, true), "stopped twice");
                assert!(parts.iter().all(|part| !part.open), "stopped with open parts");
            }
            Event::Ended => assert!(
                self.choices.iter().all(|(_, stopped)| *stopped),
                "ended before its choices"
            ),
            Event::Started { .. } | Event::Usage(_) | Event::Failed(_) => {}
        }
    }

    fn choice(&mut self, choice: u32) -> &mut (Vec<Open>, bool) {
        let choice = choice as usize;
        if self.choices.len() <= choice {
            self.choices.resize_with(choice + 1, Default::default);
        }
        &mut self.choices[choice]
    }

    fn part(&mut self, choice: u32, part: u32, event: &Event<'_>) -> &mut Open {
        let part = self.choice(choice).0.get_mut(part as usize);
        let part = part.unwrap_or_else(|| panic!("{event:?} is of a part that never began"));
        assert!(part.open, "{event:?} is of a closed part");
        part
    }
}

/// What a reader told: the answer gathered, its events as text, and how it ended.
pub struct Told {
    pub answer: Answer,
    pub events: Vec<String>,
    pub outcome: Result<(), BadAnswer>,
}

pub fn answer(body: &[u8]) -> Told {
    tell(|sink| SPEAKS.read_answer(body, sink))
}

/// A stream fed in these pieces.
pub fn stream<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Told {
    tell(|sink| {
        let mut reader = SPEAKS.stream_reader();
        for piece in pieces {
            reader.feed(piece, sink)?;
        }
        reader.end(sink)
    })
}

fn tell(read: impl FnOnce(&mut dyn FnMut(&Event<'_>)) -> Result<(), BadAnswer>) -> Told {
    let (mut answer, mut events, mut order) = (Answer::default(), Vec::new(), Order::default());
    let outcome = read(&mut |event| {
        order.check(event);
        events.push(line(event));
        answer.take(&named(event));
    });
    Told {
        answer,
        events,
        outcome,
    }
}

/// An event as a line. Pieces, of which there are most, without `Debug`'s list of bytes.
fn line(event: &Event<'_>) -> String {
    match event {
        Event::Piece { choice, part, text } => {
            let mut escaped = Vec::new();
            text.write_escaped(&mut escaped);
            format!("{choice}.{part} {}", String::from_utf8_lossy(&escaped))
        }
        _ => format!("{event:?}"),
    }
}

/// With an id for a call that got none, as the translate layer gives it.
pub fn named<'e>(event: &Event<'e>) -> Event<'e> {
    match event {
        Event::Began {
            choice,
            part,
            what: Began::ToolCall { id: None, name },
        } => Event::Began {
            choice: *choice,
            part: *part,
            what: Began::ToolCall {
                id: Some(Text::from(call().call_id(*choice, *part))),
                name: name.clone(),
            },
        },
        _ => event.clone(),
    }
}
