//! Bedrock Converse, from golden cases: what is read is written and read again as the same, however it comes.
#![allow(clippy::disallowed_methods)] // The golden cases are files.

#[path = "bedrock/answers.rs"]
mod answers;
#[path = "bedrock/faults.rs"]
mod faults;
#[path = "bedrock/hostile.rs"]
mod hostile;
#[path = "bedrock/requests.rs"]
mod requests;
#[path = "bedrock/streams.rs"]
mod streams;
#[path = "bedrock/thinking.rs"]
mod thinking;
#[path = "bedrock/writer.rs"]
mod writer;

use tollgate_dialect::{
    bedrock::SPEAKS,
    canonical::{
        answer::Answer,
        bad::{BadAnswer, BadRequest},
        event::Event,
        feature::{Drops, Feature},
        request::Request,
    },
    quirks::Quirks,
    speak::{CallFacts, PathFacts, Speaks, TargetFacts},
};

/// Thinks by a budget in tokens.
const CLAUDE: &str = "anthropic.claude-sonnet-4-5-20250929-v1:0";

struct Golden {
    /// The file's name without its last ending.
    name: String,
    bytes: Vec<u8>,
}

fn golden(folder: &str) -> Vec<Golden> {
    let folder = format!("{}/golden/bedrock/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).expect("the golden folder");
    let mut cases: Vec<Golden> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            Golden {
                name: stem.expect("a name").to_owned(),
                bytes: std::fs::read(&path).expect("readable"),
            }
        })
        .collect();
    cases.sort_by(|one, two| one.name.cmp(&two.name));
    assert!(cases.len() >= 15, "golden cases were not found");
    cases
}

fn read_request(body: &[u8]) -> Result<Request<'_>, BadRequest> {
    let path = PathFacts {
        model: Some(CLAUDE),
        stream: false,
    };
    SPEAKS.read_request(body, path)
}

/// What is written for a model, and what was lost.
fn write_request(request: &Request<'_>, model: &str, quirks: &Quirks) -> Result<(Vec<u8>, Vec<Feature>), BadRequest> {
    let (mut out, mut drops) = (Vec::new(), Drops::default());
    SPEAKS.write_request(request, &TargetFacts { model, quirks }, &mut drops, &mut out)?;
    Ok((out, drops.features().to_vec()))
}

fn call() -> CallFacts {
    CallFacts {
        request_id: "0123456789abcdef".to_owned(),
        model: "m".to_owned(),
        now_unix_s: 1_764_122_400,
        stream_usage: true,
        as_array: false,
    }
}

fn read_answer(body: &[u8]) -> Result<Answer, BadAnswer> {
    let mut answer = Answer::default();
    let mut order = Order::default();
    SPEAKS.read_answer(body, &mut |event| {
        order.take(event);
        answer.take(event);
    })?;
    assert!(answer.ended);
    Ok(answer)
}

/// Holds events to what `canonical::event` promises.
#[derive(Default)]
struct Order {
    started: bool,
    parts: Vec<bool>,
    stopped: bool,
    over: bool,
}

impl Order {
    fn take(&mut self, event: &Event<'_>) {
        assert!(!self.over, "{event:?} comes after the end");
        assert_eq!(self.started, !matches!(event, Event::Started { .. }), "{event:?}");
        match event {
            Event::Started { .. } => self.started = true,
            Event::Began { part, .. } => {
                assert!(!self.stopped);
                assert_eq!(*part as usize, self.parts.len(), "parts are numbered without gaps");
                self.parts.push(true);
            }
            Event::Piece { part, .. }
            | Event::Signature { part, .. }
            | Event::Citation { part, .. }
            | Event::Logprobs { part, .. } => assert!(self.parts[*part as usize], "{event:?} of a closed part"),
            Event::Closed { part, .. } => {
                let open = std::mem::replace(&mut self.parts[*part as usize], false);
                assert!(open, "a part closes twice");
            }
            Event::Stopped { .. } => {
                assert!(
                    !self.stopped && self.parts.iter().all(|open| !open),
                    "a part is still open"
                );
                self.stopped = true;
            }
            Event::Usage(_) => {}
            Event::Failed(_) => self.over = true,
            Event::Ended => {
                assert!(self.stopped);
                self.over = true;
            }
        }
    }
}
