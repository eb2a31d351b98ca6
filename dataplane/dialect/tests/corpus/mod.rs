//! The golden corpus, and how a test runs a case of it through a dialect.
#![allow(dead_code, reason = "each test that includes this file uses what it needs")]
#![allow(clippy::disallowed_methods, reason = "the corpus is files")]

use std::{fs, path::PathBuf};

use tollgate_dialect::{
    canonical::{
        answer::Answer,
        bad::BadAnswer,
        event::{Began, Event},
        feature::Drops,
        request::Request,
    },
    quirks::Quirks,
    speak::{CallFacts, ReadStream, Speaks, TargetFacts},
};

pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The cases of `golden/DIALECT/KIND`, by name; none where there is no such folder.
pub fn cases(dialect: &str, kind: &str) -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(dialect)
        .join(kind);
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut cases: Vec<Case> = entries
        .map(|entry| {
            let path = entry.expect("a folder's entry").path();
            Case {
                name: format!(
                    "{dialect}/{kind}/{}",
                    path.file_name().unwrap_or_default().to_string_lossy()
                ),
                bytes: fs::read(path).expect("a golden case"),
            }
        })
        .collect();
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
}

pub fn call() -> CallFacts {
    CallFacts {
        request_id: "00f1c0ffee0b5e55".to_owned(),
        model: "client-model".to_owned(),
        now_unix_s: 1_790_000_000,
        stream_usage: true,
        as_array: false,
    }
}

pub fn write_request(speaks: &dyn Speaks, request: &Request<'_>) -> (Vec<u8>, Drops) {
    let quirks = Quirks::default();
    let to = TargetFacts {
        model: &request.model,
        quirks: &quirks,
    };
    let (mut out, mut drops) = (Vec::new(), Drops::default());
    speaks
        .write_request(request, &to, &mut drops, &mut out)
        .unwrap_or_else(|error| panic!("not written: {error}"));
    (out, drops)
}

pub fn read_answer(speaks: &dyn Speaks, body: &[u8]) -> Result<Answer, BadAnswer> {
    let (mut answer, mut order) = (Answer::default(), Order::default());
    speaks.read_answer(body, &mut |event| {
        order.check(event);
        answer.take(event);
    })?;
    Ok(answer)
}

pub fn write_answer(speaks: &dyn Speaks, answer: &Answer) -> Vec<u8> {
    let mut out = Vec::new();
    speaks.write_answer(answer, &call(), &mut out);
    out
}

/// The events of a stream that comes in these pieces, as they print, and the answer they are.
pub fn read_stream(speaks: &dyn Speaks, pieces: &[&[u8]]) -> Result<(Vec<String>, Answer), BadAnswer> {
    let (mut printed, mut answer, mut order) = (Vec::new(), Answer::default(), Order::default());
    feed(&mut *speaks.stream_reader(), pieces, &mut |event| {
        order.check(event);
        printed.push(format!("{event:?}"));
        answer.take(event);
    })?;
    Ok((printed, answer))
}

fn feed(reader: &mut dyn ReadStream, pieces: &[&[u8]], sink: &mut dyn FnMut(&Event<'_>)) -> Result<(), BadAnswer> {
    for piece in pieces {
        reader.feed(piece, sink)?;
    }
    reader.end(sink)
}

/// Reads a stream with one dialect and writes it with another.
pub fn relay_stream(from: &dyn Speaks, to: &dyn Speaks, stream: &[u8]) -> Result<Vec<u8>, BadAnswer> {
    let (mut writer, mut out) = (to.stream_writer(&call()), Vec::new());
    feed(&mut *from.stream_reader(), &[stream], &mut |event| {
        writer.write(event, &mut out)
    })?;
    Ok(out)
}

/// Holds a reader to the order that `canonical::event` promises.
#[derive(Default)]
pub struct Order {
    started: bool,
    over: bool,
    /// By choice: which parts are open, and whether it stopped.
    choices: Vec<(Vec<bool>, bool)>,
}

impl Order {
    pub fn check(&mut self, event: &Event<'_>) {
        assert!(!self.over, "{event:?} came after the end");
        let starts = matches!(event, Event::Started { .. });
        // What fails at once has not started.
        let fails = matches!(event, Event::Failed(_));
        assert!(if self.started { !starts } else { starts || fails }, "{event:?}");
        self.started = true;
        match event {
            Event::Began { choice, part, .. } => {
                let (parts, stopped) = self.choice(*choice);
                assert!(!*stopped, "{event:?} came after its choice stopped");
                assert_eq!(parts.len(), *part as usize, "{event:?} leaves a gap");
                parts.push(true);
            }
            Event::Piece { choice, part, .. }
            | Event::Signature { choice, part, .. }
            | Event::Citation { choice, part, .. }
            | Event::Logprobs { choice, part, .. } => self.open(*choice, *part, event),
            Event::Closed { choice, part } => {
                self.open(*choice, *part, event);
                self.choice(*choice).0[*part as usize] = false;
            }
            Event::Stopped { choice, .. } => {
                let (parts, stopped) = self.choice(*choice);
                assert!(parts.iter().all(|open| !open), "{event:?} came while a part was open");
                assert!(!std::mem::replace(stopped, true), "{event:?} came twice");
            }
            Event::Failed(_) | Event::Ended => self.over = true,
            Event::Started { .. } | Event::Usage(_) => {}
        }
    }

    fn choice(&mut self, choice: u32) -> &mut (Vec<bool>, bool) {
        let choice = choice as usize;
        if self.choices.len() <= choice {
            self.choices.resize_with(choice + 1, Default::default);
        }
        &mut self.choices[choice]
    }

    fn open(&mut self, choice: u32, part: u32, event: &Event<'_>) {
        let open = self.choice(choice).0.get(part as usize).copied();
        assert_eq!(open, Some(true), "{event:?} is of no open part");
    }
}

/// What an answer says, without what a dialect may have no words for: texts (spoken, thought, refused), and tool calls.
#[derive(Debug, PartialEq)]
pub struct Gist {
    pub spoken: String,
    pub thought: String,
    pub calls: Vec<Call>,
}

#[derive(Debug, PartialEq)]
pub struct Call {
    pub id: Option<String>,
    pub name: String,
    pub arguments: serde_json::Value,
}

pub fn gist(answer: &Answer) -> Gist {
    let mut gist = Gist {
        spoken: String::new(),
        thought: String::new(),
        calls: Vec::new(),
    };
    for part in answer.choices.iter().take(1).flat_map(|choice| &choice.parts) {
        let text = part.text();
        let text = text.plain().expect("a text");
        match &part.what {
            Began::Text | Began::Refusal => gist.spoken.push_str(&text),
            Began::Thinking => gist.thought.push_str(&text),
            Began::Sealed { .. } => {}
            Began::ToolCall { id, name } => gist.calls.push(Call {
                id: id.as_ref().map(|id| id.plain().expect("an id").into_owned()),
                name: name.plain().expect("a name").into_owned(),
                arguments: json(&text),
            }),
        }
    }
    gist
}

/// Tool arguments by their meaning: none are an object without members, and what broke off is its text.
pub fn json(text: &str) -> serde_json::Value {
    match text.trim() {
        "" => serde_json::json!({}),
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}
