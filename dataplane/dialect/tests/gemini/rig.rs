//! What the tests of this dialect share.

use std::{fs, path::Path};

use serde_json::Value;
use tollgate_dialect::{
    canonical::{
        answer::Answer,
        bad::{BadAnswer, BadRequest},
        event::Event,
        feature::Drops,
        request::Request,
    },
    gemini::SPEAKS,
    quirks::Quirks,
    speak::{CallFacts, PathFacts, Speaks, TargetFacts},
};

pub const MODEL: &str = "gemini-3-pro-preview";

/// The golden cases of a kind: name and bytes.
#[expect(clippy::disallowed_methods, reason = "a test may read its cases from disk")]
pub fn golden(kind: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/gemini").join(kind);
    let mut cases: Vec<_> = fs::read_dir(&folder)
        .expect("the folder of golden cases")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read(&path).expect("a golden case"))
        })
        .collect();
    cases.sort();
    assert!(cases.len() >= 10, "{kind}: the golden cases were not found");
    cases
}

pub fn case(kind: &str, name: &str) -> Vec<u8> {
    let (_, bytes) = golden(kind).into_iter().find(|(case, _)| case == name).expect(name);
    bytes
}

pub fn read(body: &[u8]) -> Result<Request<'_>, BadRequest> {
    let path = PathFacts {
        model: Some(MODEL),
        stream: false,
    };
    SPEAKS.read_request(body, path)
}

pub fn written(request: &Request<'_>) -> (Vec<u8>, Drops) {
    let (mut out, mut drops) = (Vec::new(), Drops::default());
    write_for(request, MODEL, &Quirks::default(), &mut drops, &mut out).expect("a request that can be written");
    (without_stand_ins(&out), drops)
}

/// Calls that nobody signed as they were: the model of the corpus demands that they be signed.
fn without_stand_ins(out: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(out);
    text.replace(r#","thoughtSignature":"skip_thought_signature_validator""#, "")
        .into_bytes()
}

pub fn write_for(
    request: &Request<'_>,
    model: &str,
    quirks: &Quirks,
    drops: &mut Drops,
    out: &mut Vec<u8>,
) -> Result<(), BadRequest> {
    SPEAKS.write_request(request, &TargetFacts { model, quirks }, drops, out)
}

pub fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

pub fn call(as_array: bool) -> CallFacts {
    CallFacts {
        request_id: "0123456789abcdef".to_owned(),
        model: "asked-for".to_owned(),
        now_unix_s: 1_700_000_000,
        stream_usage: true,
        as_array,
    }
}

/// Events as text, and the answer they make.
#[derive(Debug, Default, PartialEq)]
pub struct Heard {
    pub events: Vec<String>,
    pub answer: Answer,
}

impl Heard {
    pub fn take(&mut self, event: &Event<'_>) {
        self.events.push(format!("{event:?}"));
        self.answer.take(event);
    }
}

pub fn answer(body: &[u8]) -> Result<Heard, BadAnswer> {
    let mut heard = Heard::default();
    SPEAKS.read_answer(body, &mut |event| heard.take(event))?;
    Ok(heard)
}

/// A stream that comes in these pieces.
pub fn stream<'b>(pieces: impl IntoIterator<Item = &'b [u8]>) -> Result<Heard, BadAnswer> {
    let mut heard = Heard::default();
    let mut reader = SPEAKS.stream_reader();
    for piece in pieces {
        reader.feed(piece, &mut |event| heard.take(event))?;
    }
    reader.end(&mut |event| heard.take(event))?;
    Ok(heard)
}

/// Writes a stream anew, event by event, as a client of this dialect gets it.
pub fn rewritten(bytes: &[u8], call: &CallFacts) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = SPEAKS.stream_writer(call);
    let mut reader = SPEAKS.stream_reader();
    reader
        .feed(bytes, &mut |event| writer.write(event, &mut out))
        .expect("a golden stream");
    reader
        .end(&mut |event| writer.write(event, &mut out))
        .expect("a golden stream");
    out
}

/// The responses of a stream of events.
pub fn responses(stream: &[u8]) -> Vec<Value> {
    let text = str::from_utf8(stream).expect("UTF-8");
    let events = text.split_terminator("\r\n\r\n");
    events
        .map(|event| json(event.strip_prefix("data: ").expect("a data line").as_bytes()))
        .collect()
}

/// What a writer must take, said in events.
pub fn streamed(events: &[Event<'_>], as_array: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = SPEAKS.stream_writer(&call(as_array));
    for event in events {
        writer.write(event, &mut out);
    }
    out
}
