//! What a batch used. It runs outside the gateway, so its work is counted when its end is read through the gateway: once,
//! against the batch's id.
//!
//! OpenAI tells the sum in the batch itself; Anthropic tells each answer's usage in the results.

use tollgate_dialect::{anthropic, openai_chat, usage::Usage};
use tollgate_wire::{
    head::{Known, ResponseView},
    json::{
        cursor::{self, Kind, Value},
        watch::Watch,
    },
};

use super::MAX_HELD_BYTES;
use crate::{
    call::SentModel,
    decode,
    exchange::{Exchange, Io},
    marks::{Mark, MarkNews, id_of},
    percent,
    surface::{NamesModel, Operation},
};

/// Reads what passes.
#[derive(Debug)]
pub(super) struct Batch {
    kind: Kinds,
    /// The batch, or the line of the results that is not yet whole. A longer one than may be held is not read.
    held: Vec<u8>,
    too_long: bool,
    usage: Usage,
    model: Model,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinds {
    Object,
    Results,
}

/// Whose work it was, by the provider's name of the model.
#[derive(Debug, PartialEq, Eq)]
enum Model {
    Unknown,
    One(String),
    /// What was used cannot be told by model.
    Several,
}

/// Is this answer one that tells what a batch used?
pub(super) fn begin(exchange: &Exchange, answer: ResponseView<'_>) -> Option<Box<Batch>> {
    let surface = exchange.facts.surface;
    let NamesModel::InPath { after, .. } = surface.names_model else {
        return None;
    };
    let kind = match (surface.operation, after) {
        (Operation::BATCHES, _) => Kinds::Object,
        (Operation::MESSAGE_BATCHES, b"/results") => Kinds::Results,
        _ => return None,
    };
    let reads = decode::is_plain(answer.get(Known::ContentEncoding)) && (200..300).contains(&answer.head.status);
    reads.then(|| {
        Box::new(Batch {
            kind,
            held: Vec::new(),
            too_long: false,
            usage: Usage::default(),
            model: Model::Unknown,
        })
    })
}

impl Batch {
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        if self.kind == Kinds::Object {
            return self.hold(bytes);
        }
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.hold(piece);
            if piece.ends_with(b"\n") {
                self.line_ends();
            }
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.too_long |= self.held.len() + bytes.len() > MAX_HELD_BYTES;
        if self.too_long {
            self.held.clear();
        } else {
            self.held.extend_from_slice(bytes);
        }
    }

    fn line_ends(&mut self) {
        const FIELDS: Watch<'static, 2> = Watch::new(&["result.message.usage", "result.message.model"]);
        let line = std::mem::take(&mut self.held);
        self.too_long = false;
        // An answer that failed has neither.
        if let Ok([usage, model]) = cursor::find_watched(&line, &FIELDS) {
            let used = usage.and_then(|usage| anthropic::usage_of_object(usage.span.of(&line)));
            self.take(used, model.and_then(|model| cursor::string(&line, model)).as_deref());
        }
        self.held = line;
        self.held.clear();
    }

    fn take(&mut self, used: Option<Usage>, model: Option<&str>) {
        let Some(used) = used else { return };
        self.usage.add(&used);
        let Some(name) = model else { return };
        match &self.model {
            Model::Unknown => self.model = Model::One(name.to_owned()),
            Model::One(known) if known == name => {}
            Model::One(_) | Model::Several => self.model = Model::Several,
        }
    }

    /// What the whole answer said.
    fn finish(&mut self) {
        const FIELDS: Watch<'static, 3> = Watch::new(&["status", "usage", "model"]);
        if self.kind == Kinds::Results {
            return self.line_ends();
        }
        let body = std::mem::take(&mut self.held);
        let Ok([status, usage, model]) = cursor::find_watched(&body, &FIELDS) else {
            return;
        };
        let text = |value: Option<Value>| value.and_then(|value| cursor::string(&body, value));
        // What was done before a batch was cancelled, or ran out of time, is paid for too.
        let over = matches!(
            text(status).as_deref(),
            Some("completed" | "cancelled" | "expired" | "failed")
        );
        let usage = usage.filter(|usage| over && usage.kind == Kind::Object);
        let used = usage.and_then(|usage| openai_chat::usage_of_object(usage.span.of(&body)));
        self.take(used, text(model).as_deref());
    }
}

/// The answer is complete: what the batch used is this call's usage, unless it was counted before.
pub(super) fn finish(exchange: &mut Exchange, io: &mut Io<'_>) {
    let Some(mut batch) = exchange.relay.batch.take() else {
        return;
    };
    batch.finish();
    let id = exchange.facts.surface.model_in_path(io.request.path());
    let id = percent::decode(id.unwrap_or_default());
    let worked = batch.usage.all_input() + batch.usage.all_output() > 0;
    let counted = Mark {
        id: id_of(b"tollgate counted 1", &[&id]),
        tag: 0,
    };
    if !worked || !io.local.marks.note(counted) {
        return;
    }
    io.out.marks.push(MarkNews::Made(counted));
    exchange.facts.usage = Some(batch.usage);
    exchange.facts.batch = String::from_utf8_lossy(&id).into_owned();
    if let Model::One(name) = batch.model {
        exchange.call.sent_model = SentModel::Star { target: None };
        exchange.call.star_model = name;
    }
}
