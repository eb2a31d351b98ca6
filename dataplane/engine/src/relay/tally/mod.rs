//! Answers that tell what was used before the call that reads them: of a batch, of its results, of a response in the
//! background. They pass as ever, and are read beside that, however long they are. What is to be counted, and whether it
//! was before, is `counted`'s to know.

mod media;
mod skim;

use tollgate_config::document::Dialect;
use tollgate_dialect::{anthropic, openai_chat, usage::Usage};
use tollgate_wire::{
    head::{Known, Method, ResponseView},
    json::{
        cursor::{self, Kind as Json, Value},
        watch::Watch,
    },
    sse::Pieces,
};

use super::head::is_server_sent;
use crate::{
    cost,
    counted::{self, BatchTold, Late, Listed, Work},
    decode::{Coding, Decoder},
    exchange::{Exchange, Io},
    percent, sealing,
    surface::{self, NamesModel, Operation},
};
use skim::Skim;

/// Reads what passes.
#[derive(Debug)]
pub(super) struct Tally {
    reads: Reads,
    skim: Skim,
    /// Of events.
    pieces: Option<Pieces>,
    /// Of what comes compressed.
    decoder: Option<Decoder>,
    is_deaf: bool,
    /// Of results, so far.
    work: Work,
    /// Of a response whose end was told.
    response: Option<ResponseTold>,
    /// Of pictures and sounds.
    media: media::Reader,
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// A batch of OpenAI's.
    Batch,
    /// What came of one of Anthropic's: a line for each of its requests.
    Results,
    /// The same of OpenAI's, a file.
    Output,
    /// A response that was made before.
    Response,
    /// A response that this call makes, in the background: what it tells of its end is this call's.
    Own,
    /// Pictures, or what was said in a sound: this call's own, too.
    Media,
}

#[derive(Debug, Default)]
struct ResponseTold {
    raw: String,
    in_background: bool,
    work: Work,
    tier: tollgate_config::prices::ServiceTier,
}

/// Is this answer one that tells of such work? Part of one tells nothing.
pub(super) fn begin(exchange: &Exchange, io: &Io<'_>, answer: ResponseView<'_>) -> Option<Box<Tally>> {
    let reads = what(exchange, io).filter(|_| answer.head.status == 200)?;
    let coding = Coding::of(answer.get(Known::ContentEncoding).unwrap_or_default()).ok()?;
    const BATCH: &[&str] = &["id", "status", "usage", "model", "output_file_id"];
    const ANSWER: &[&str] = &["usage", "model"];
    const RESPONSE: &[&str] = &["id", "status", "background", "usage", "model", "service_tier"];
    let is_events = answer.get(Known::ContentType).is_some_and(is_server_sent);
    let events = is_events && matches!(reads, Reads::Response | Reads::Own | Reads::Media);
    Some(Box::new(Tally {
        reads,
        skim: match reads {
            Reads::Batch => Skim::new(&[], BATCH),
            Reads::Results => Skim::new(&["result", "message"], ANSWER),
            Reads::Output => Skim::new(&["response", "body"], ANSWER),
            Reads::Media => Skim::new(&[], &[]),
            Reads::Response | Reads::Own if events => Skim::new(&["response"], RESPONSE),
            Reads::Response | Reads::Own => Skim::new(&[], RESPONSE),
        },
        pieces: events.then(Pieces::default),
        decoder: coding.map(Decoder::new),
        is_deaf: false,
        work: Work::default(),
        response: None,
        media: media::Reader::default(),
    }))
}

fn what(exchange: &Exchange, io: &Io<'_>) -> Option<Reads> {
    let surface = exchange.facts.surface;
    if exchange.call.through.is_some() {
        return what_through(exchange, io);
    }
    if surface.name == "responses" && exchange.call.object.is_none() {
        let own = exchange.call.translated.as_ref().is_none_or(|sent| sent.own);
        return (exchange.admitted.in_background && own).then_some(Reads::Own);
    }
    if let Operation::Other(path) = surface.operation
        && is_media(path)
    {
        return Some(Reads::Media);
    }
    let NamesModel::InPath { after, .. } = surface.names_model else {
        return None;
    };
    match (surface.operation, after) {
        (Operation::BATCHES, _) => Some(Reads::Batch),
        (Operation::MESSAGE_BATCHES, b"/results") => Some(Reads::Results),
        (Operation::FILES, b"/content") if surface.dialect == Some(Dialect::OpenAi) => {
            let raw = exchange.call.object.as_ref()?.raw.as_deref()?;
            counted::is_uncounted_output(exchange, io, raw).then_some(Reads::Output)
        }
        (Operation::RESPONSES, b"" | b"/cancel") => Some(Reads::Response),
        _ => None,
    }
}

/// Pictures, and what is said in a sound. How long one is that is made out of a text no answer tells.
fn is_media(path: &[u8]) -> bool {
    const PATHS: [&[u8]; 5] = [
        b"/images/generations",
        b"/images/edits",
        b"/images/variations",
        b"/audio/transcriptions",
        b"/audio/translations",
    ];
    PATHS.iter().any(|media| path.ends_with(media))
}

/// The same where the call goes by the provider's own path, and its ids are the provider's.
fn what_through(exchange: &Exchange, io: &Io<'_>) -> Option<Reads> {
    let raw = raw_in_path(io);
    let path = through_path(io);
    let method = io.request.head.method;
    let has = |family: &[u8]| memchr::memmem::find(path, family).is_some();
    match method {
        Method::Post if path.ends_with(b"/responses") => {
            let background = exchange.call.through.is_some_and(|through| through.in_background);
            background.then_some(Reads::Own)
        }
        Method::Post if is_media(path) => Some(Reads::Media),
        Method::Get if path.ends_with(b"/results") && has(b"/messages/batches/") => Some(Reads::Results),
        Method::Get if path.ends_with(b"/content") && has(b"/files/") => {
            counted::is_uncounted_output(exchange, io, &raw).then_some(Reads::Output)
        }
        Method::Get | Method::Post if has(b"/responses/") => Some(Reads::Response),
        Method::Get | Method::Post if has(b"/batches/") && !has(b"/messages/") => Some(Reads::Batch),
        _ => None,
    }
}

fn through_path<'a>(io: &Io<'a>) -> &'a [u8] {
    surface::provider_path(io.request.path()).map_or(&b""[..], |(_, rest)| rest)
}

/// What stands before the last name of the provider's path: `…/{id}/results`.
fn raw_in_path(io: &Io<'_>) -> String {
    let mut names = through_path(io).rsplit(|&byte| byte == b'/').skip(1);
    let raw = percent::decode(names.next().unwrap_or_default());
    String::from_utf8_lossy(&raw).into_owned()
}

impl Tally {
    pub fn held_bytes(&self) -> usize {
        self.skim.held_bytes() + self.media.held_bytes()
    }

    /// What goes on behind the call that made it is not to be guessed at when that breaks off.
    pub fn outlives_call(&self) -> bool {
        self.reads == Reads::Own
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        match self.decoder.take() {
            None => self.read(bytes),
            Some(_) if self.is_deaf => {}
            Some(mut decoder) => {
                self.is_deaf = decoder.feed(bytes, |plain| self.read(plain)).is_err();
                self.decoder = Some(decoder);
            }
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        match self.reads {
            Reads::Batch => self.skim.feed(bytes),
            Reads::Results | Reads::Output => {
                for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
                    self.skim.feed(piece);
                    if piece.ends_with(b"\n") {
                        self.line_ends();
                    }
                }
            }
            Reads::Response | Reads::Own => self.read_response(bytes),
            Reads::Media => self.read_media(bytes),
        }
    }

    fn read_response(&mut self, mut bytes: &[u8]) {
        let Some(mut pieces) = self.pieces.take() else {
            return self.skim.feed(bytes);
        };
        while let Some(end) = pieces.feed(bytes, |data| self.skim.feed(data)) {
            self.response_ends();
            bytes = bytes.get(end..).unwrap_or_default();
        }
        self.pieces = Some(pieces);
    }

    fn read_media(&mut self, mut bytes: &[u8]) {
        let Some(mut pieces) = self.pieces.take() else {
            return self.media.feed(bytes);
        };
        while let Some(end) = pieces.feed(bytes, |data| self.media.feed(data)) {
            self.media.ends();
            bytes = bytes.get(end..).unwrap_or_default();
        }
        self.pieces = Some(pieces);
    }

    /// Those that failed have neither usage nor model.
    fn line_ends(&mut self) {
        const FIELDS: Watch<'static, 2> = Watch::new(&["usage", "model"]);
        let Some(line) = self.skim.finish() else { return };
        if let Ok([usage, model]) = cursor::find_watched(&line, &FIELDS) {
            let read: fn(&[u8]) -> Option<Usage> = match self.reads {
                Reads::Results => anthropic::usage_of_object,
                _ => openai_chat::usage_of_object,
            };
            let usage = usage.filter(|usage| usage.kind == Json::Object);
            let used = usage.and_then(|usage| read(usage.span.of(&line)));
            self.work.add(used, text(&line, model).as_deref());
        }
    }

    fn response_ends(&mut self) {
        if let Some(told) = self.skim.finish().as_deref().and_then(response_told) {
            self.response = Some(told);
        }
    }
}

fn text(document: &[u8], value: Option<Value>) -> Option<String> {
    Some(cursor::string(document, value?)?.into_owned())
}

/// A batch of OpenAI's, or what of it matters.
fn batch_told(document: &[u8]) -> Option<BatchTold> {
    const FIELDS: Watch<'static, 5> = Watch::new(&["id", "status", "usage", "model", "output_file_id"]);
    let [id, status, usage, model, output] = cursor::find_watched(document, &FIELDS).ok()?;
    let usage = usage.filter(|usage| usage.kind == Json::Object);
    let mut told = BatchTold {
        raw: text(document, id)?,
        // What was done before a batch was cancelled, or ran out of time, is paid for too.
        is_over: matches!(
            text(document, status).as_deref(),
            Some("completed" | "cancelled" | "expired" | "failed")
        ),
        output: text(document, output),
        work: Work::default(),
    };
    let used = usage.and_then(|usage| openai_chat::usage_of_object(usage.span.of(document)));
    told.work.add(used, text(document, model).as_deref());
    Some(told)
}

/// `None` for a response that has not ended.
fn response_told(document: &[u8]) -> Option<ResponseTold> {
    const FIELDS: Watch<'static, 6> = Watch::new(&["id", "status", "background", "usage", "model", "service_tier"]);
    let [id, status, background, usage, model, tier] = cursor::find_watched(document, &FIELDS).ok()?;
    let over = text(document, status)?;
    if !matches!(&*over, "completed" | "failed" | "incomplete" | "cancelled") {
        return None;
    }
    let usage = usage.filter(|usage| usage.kind == Json::Object);
    let mut told = ResponseTold {
        raw: text(document, id)?,
        in_background: background.is_some_and(|value| value.kind == Json::True),
        work: Work::default(),
        tier: cost::tier_asked(document, tier),
    };
    let used = usage.and_then(|usage| openai_chat::usage_of_object(usage.span.of(document)));
    told.work.add(used, text(document, model).as_deref());
    Some(told)
}

/// The answer is complete: what it tells of is this call's usage, unless it was counted before.
pub(super) fn finish(exchange: &mut Exchange, io: &mut Io<'_>) {
    let Some(mut tally) = exchange.relay.tally.take() else {
        return;
    };
    match tally.reads {
        Reads::Batch => {
            let told = tally.skim.finish().as_deref().and_then(batch_told);
            if let Some(told) = told
                && let Some(id) = counted::batch(exchange, io, &told)
            {
                let batch = Some(name_in_path(exchange, io, &told.raw));
                counted::charge(exchange, Late { id, batch }, told.work);
            }
        }
        Reads::Results | Reads::Output => {
            tally.line_ends();
            let raw = match &exchange.call.object {
                Some(object) => object.raw.clone().unwrap_or_default(),
                None => raw_in_path(io),
            };
            if let Some(id) = counted::work(exchange, io, &raw, &tally.work) {
                let batch = Some(name_in_path(exchange, io, &raw));
                counted::charge(exchange, Late { id, batch }, tally.work);
            }
        }
        Reads::Response => {
            tally.response_ends();
            let told = tally.response.filter(|told| told.in_background);
            if let Some(told) = told
                && let Some(id) = counted::work(exchange, io, &told.raw, &told.work)
            {
                exchange.facts.tier = told.tier;
                counted::charge(exchange, Late { id, batch: None }, told.work);
            }
        }
        Reads::Own => {
            tally.response_ends();
            note_own(exchange, io, tally.response.as_ref());
        }
        Reads::Media => note_media(exchange, tally),
    }
}

/// Of one that breaks off as well: what has come was made.
fn note_media(exchange: &mut Exchange, mut tally: Box<Tally>) {
    tally.media.ends();
    exchange.facts.media = tally.media.told();
}

/// The call is over, wherever its answer is. Of a response that it made itself and saw the end of, it has the usage: who
/// reads that later is not charged with it.
pub(crate) fn settle(exchange: &mut Exchange, io: &mut Io<'_>) {
    if let Some(mut tally) = exchange.relay.tally.take_if(|tally| tally.reads == Reads::Own) {
        // Of one that was gathered whole. What is cut off ends nowhere.
        tally.response_ends();
        note_own(exchange, io, tally.response.as_ref());
    }
    if let Some(tally) = exchange.relay.tally.take_if(|tally| tally.reads == Reads::Media) {
        note_media(exchange, tally);
    }
}

fn note_own(exchange: &Exchange, io: &mut Io<'_>, told: Option<&ResponseTold>) {
    if let Some(told) = told.filter(|told| told.in_background) {
        let _ = counted::work(exchange, io, &told.raw, &told.work);
    }
}

/// The id that the client read it by.
fn name_in_path(exchange: &Exchange, io: &Io<'_>, raw: &str) -> String {
    match exchange.facts.surface.model_in_path(io.request.path()) {
        Some(id) => String::from_utf8_lossy(&percent::decode(id)).into_owned(),
        None => raw.to_owned(),
    }
}

/// A batch that a list shows, and that is over; and its id as the client has it.
pub(super) fn told_by_list(exchange: &Exchange, document: &[u8]) -> Option<(BatchTold, Option<String>)> {
    let is_batch = exchange.facts.surface.operation == Operation::BATCHES;
    let told = batch_told(document).filter(|told| is_batch && told.is_over)?;
    let batch = sealing::seal_id(exchange, told.raw.as_bytes());
    Some((told, batch))
}

/// The call is charged with it, where nobody was before.
pub(super) fn charge_listed(
    exchange: &Exchange,
    io: &mut Io<'_>,
    (told, batch): (BatchTold, Option<String>),
) -> Option<Listed> {
    if io.local.usage_full {
        // There is no room for its record: whoever lists it later is charged.
        return None;
    }
    let id = counted::batch(exchange, io, &told)?;
    counted::charge_listed(exchange, Late { id, batch }, &told.work, io.unix_ms)
}
