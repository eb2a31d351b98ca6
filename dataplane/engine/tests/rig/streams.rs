//! Streams of all six dialects, made by their own writers and read by their own readers: what a provider sends, event by
//! event, and what a client makes of what it gets.

use tollgate_config::{
    Document,
    document::{Dialect, Model, Retry},
};
use tollgate_dialect::{
    canonical::{
        answer::Answer,
        event::{Began, Event, Reason},
    },
    json::Text,
    speak::{CallFacts, Speaks},
    usage::Usage,
};
use tollgate_engine::{Action, Input, Piece, outputs::AttemptId};

use super::{Did, Rig, document, model, provider};

pub fn speaks(dialect: Dialect) -> &'static dyn Speaks {
    let found = tollgate_dialect::ALL.iter().find(|(name, _)| *name == dialect.name());
    found.expect("a dialect of each name").1
}

pub fn facts() -> CallFacts {
    CallFacts {
        request_id: "0123".into(),
        model: "real-model".into(),
        now_unix_s: 1,
        stream_usage: true,
        as_array: false,
    }
}

/// The bytes that each of these events makes.
pub fn written(dialect: Dialect, events: &[Event<'_>]) -> Vec<Vec<u8>> {
    let mut writer = speaks(dialect).stream_writer(&facts());
    let one = |event: &Event<'_>| {
        let mut out = Vec::new();
        writer.write(event, &mut out);
        out
    };
    events.iter().map(one).collect()
}

pub fn usage(input: u64, output: u64) -> Event<'static> {
    Event::Usage(Usage {
        input: Some(input),
        output: Some(output),
        ..Usage::default()
    })
}

/// An answer that says these words, one event each.
pub fn saying<'w>(id: &'w str, words: &[&'w str]) -> Vec<Event<'w>> {
    let (choice, part) = (0, 0);
    let mut events = vec![
        Event::Started {
            id: Some(Text::from(id)),
            model: Some(Text::from("real-model")),
            created_unix_s: Some(1),
        },
        usage(9, 1),
        Event::Began {
            choice,
            part,
            what: Began::Text,
        },
    ];
    let piece = |word: &&'w str| Event::Piece {
        choice,
        part,
        text: Text::from(*word),
    };
    events.extend(words.iter().map(piece));
    events.extend([
        Event::Closed { choice, part },
        Event::Stopped {
            choice,
            reason: Reason::Stop,
        },
        usage(9, words.len() as u64),
        Event::Ended,
    ]);
    events
}

/// An answer of the provider's dialect, whole.
pub fn whole(dialect: Dialect) -> Vec<u8> {
    let mut answer = Answer::default();
    for event in saying("id-1", &["good", " day"]) {
        answer.take(&event);
    }
    let mut out = Vec::new();
    speaks(dialect).write_answer(&answer, &facts(), &mut out);
    out
}

pub fn head(dialect: Dialect) -> String {
    let kind = match dialect {
        Dialect::Bedrock => "application/vnd.amazon.eventstream",
        _ => "text/event-stream",
    };
    format!("HTTP/1.1 200 OK\ncontent-type: {kind}\ntransfer-encoding: chunked\n")
}

/// Two providers of this dialect, `one` and `two`, and the model `m` at both.
pub fn two(target: Dialect, change: impl FnOnce(&mut Model)) -> Document {
    let mut document = document();
    document.providers = vec![provider("one", target), provider("two", target)];
    document.models = vec![model("m", &[("one", "real-model"), ("two", "real-model")])];
    document.models[0].1.retry = Retry::default();
    change(&mut document.models[0].1);
    document.keys.retain(|(name, _)| name == "all");
    document
}

/// Asks for a stream of the model `m` in the client's words.
pub fn ask(rig: &mut Rig, client: Dialect, stream: bool) -> Vec<Did> {
    let turns = r#""messages":[{"role":"user","content":"?"}]"#;
    let common = format!(r#""model":"m","stream":{stream}"#);
    let (path, body) = match client {
        Dialect::OpenAi => (
            "/v1/chat/completions",
            format!(r#"{{{common},"stream_options":{{"include_usage":true}},{turns}}}"#),
        ),
        Dialect::OpenAiResponses => ("/v1/responses", format!(r#"{{{common},"input":"?"}}"#)),
        Dialect::Anthropic => ("/v1/messages", format!(r#"{{{common},"max_tokens":50,{turns}}}"#)),
        Dialect::Gemini => (
            match stream {
                true => "/v1beta/models/m:streamGenerateContent?alt=sse",
                false => "/v1beta/models/m:generateContent",
            },
            r#"{"contents":[{"role":"user","parts":[{"text":"?"}]}]}"#.to_owned(),
        ),
        Dialect::Cohere => ("/v2/chat", format!("{{{common},{turns}}}")),
        Dialect::Bedrock => (
            match stream {
                true => "/model/m/converse-stream",
                false => "/model/m/converse",
            },
            r#"{"messages":[{"role":"user","content":[{"text":"?"}]}]}"#.to_owned(),
        ),
    };
    let head = format!("POST {path} HTTP/1.1\nhost: g\nauthorization: Bearer secret-all\n");
    rig.request(&head, body.as_bytes())
}

/// Feeds bytes of an answer, and gives what was done with the bytes that went down.
pub fn feed(rig: &mut Rig, attempt: u16, bytes: &[u8]) -> (Vec<Did>, Vec<u8>) {
    let did = rig.feed(Input::UpstreamBody(AttemptId(attempt), bytes));
    (did, down(rig, bytes))
}

/// The bytes that the last feed sent to the client.
pub fn down(rig: &Rig, input: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for action in &rig.out.actions {
        let Action::Body { pieces } = action else { continue };
        for piece in &rig.out.pieces[pieces.start as usize..pieces.end as usize] {
            all.extend_from_slice(match piece {
                Piece::Arena(at) => &rig.out.arena[at.start as usize..at.end as usize],
                Piece::Input(at) => &input[at.start as usize..at.end as usize],
                Piece::RequestBody(_) => panic!("a request is no answer"),
            });
        }
    }
    all
}

/// What a client reads.
#[derive(Debug, Default)]
pub struct Read {
    pub started: u32,
    pub answer: Answer,
    pub failed: bool,
    pub ended: bool,
}

impl Read {
    pub fn text(&self) -> String {
        let parts = self.answer.choices.iter().flat_map(|choice| &choice.parts);
        parts
            .map(|part| part.text().plain().unwrap_or_default().into_owned())
            .collect()
    }
}

pub fn read(dialect: Dialect, bytes: &[u8]) -> Read {
    let mut read = Read::default();
    let mut reader = speaks(dialect).stream_reader();
    let mut take = |event: &Event<'_>| {
        read.started += u32::from(matches!(event, Event::Started { .. }));
        read.failed |= matches!(event, Event::Failed(_));
        read.answer.take(event);
    };
    let fed = reader.feed(bytes, &mut take);
    assert!(fed.is_ok(), "{dialect:?}: {fed:?}: {}", String::from_utf8_lossy(bytes));
    read.ended = reader.end(&mut |event| read.answer.take(event)).is_ok() && !read.failed;
    read
}
