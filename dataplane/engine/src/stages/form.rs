//! admit, where the body is a form (`multipart/form-data`): the model is one of its fields. The form is read as it passes,
//! so that its file need not be held.

use std::{borrow::Cow, ops::Range};

use tollgate_wire::{
    head::Known,
    multipart::{self, FormReader},
};

use crate::{
    exchange::{Exchange, Io},
    failure::Kind,
    outputs::Rest,
    passing::{self, Asked, MayPass, late},
    stage::Verdict,
    stages::admit,
};

/// What comes before the model is held up to this, when all that it may be lies at one provider.
const MAX_LEAD_BYTES: usize = 64 * 1024;

/// A form, as far as it has come.
#[derive(Debug)]
pub(crate) struct Form {
    reader: FormReader,
    /// Bytes of the body that were read.
    read_bytes: usize,
    /// Where the model's name stands in the body.
    pub model: Option<Range<usize>>,
    stream: bool,
    /// A field that must be there once came again.
    repeated: bool,
    /// It goes up before its model is known.
    pub is_late: bool,
    /// The beginning of a field's value, kept back until all of it has come. Late forms only.
    pub kept: Vec<u8>,
}

impl Form {
    /// Bytes of the body that were read.
    pub fn read_bytes(&self) -> usize {
        self.read_bytes
    }

    /// Where the value stands, in the body, of a field that is read and has not ended.
    pub fn unfinished(&self) -> Option<usize> {
        self.reader.unfinished().map(|start| start as usize)
    }

    /// Reads what is new of the part of the body that is held.
    pub fn read_lead(&mut self, body: &[u8]) -> Result<(), Kind> {
        let read = self.read_bytes.min(body.len());
        self.read(&body[read..])
    }

    /// Reads the next bytes. A second model is refused, however late it comes: the provider could take that one.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Kind> {
        fn wanted(name: &[u8]) -> bool {
            matches!(name, b"model" | b"stream")
        }
        self.read_bytes += bytes.len();
        let (model, stream, repeated) = (&mut self.model, &mut self.stream, &mut self.repeated);
        let read = self.reader.feed(bytes, wanted, |field| match field.name {
            b"model" if model.is_some() => *repeated = true,
            b"model" => {
                let range = field.range();
                *model = Some(range.start as usize..range.end as usize);
            }
            _ => *stream = field.value == b"true",
        });
        read.map_err(Kind::BadForm)?;
        match self.repeated {
            true => Err(model_is("is given twice")),
            false => Ok(()),
        }
    }
}

/// Is the request's body a form where one is expected?
pub(super) fn is_sent(exchange: &Exchange, io: &Io<'_>) -> bool {
    exchange.facts.surface.takes_form && io.request.get(Known::ContentType).is_some_and(multipart::is_form)
}

pub(super) fn enter(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<Verdict, Kind> {
    if exchange.admitted.form.is_some() {
        return read_lead(exchange, io);
    }
    admit::read_headers(exchange, io)?;
    if !passing::comes_plain(io) {
        return Err(Kind::BadEncoding(
            "a form is taken as it is, without a content-encoding",
        ));
    }
    let content_type = io.request.get(Known::ContentType).unwrap_or_default();
    exchange.admitted.form = Some(Box::new(Form {
        reader: FormReader::new(content_type).map_err(Kind::BadForm)?,
        read_bytes: 0,
        model: None,
        stream: false,
        repeated: false,
        is_late: false,
        kept: Vec::new(),
    }));
    match passing::ask_for_body(exchange, io, MayPass::WhenLarge)? {
        Asked::Body => Ok(Verdict::Pause),
        Asked::Nothing => Err(admit::EMPTY),
    }
}

/// Looks for the model in what has come.
fn read_lead(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<Verdict, Kind> {
    let pinned = exchange.pin();
    exchange.facts.request_body_bytes = io.body.len() as u64;
    let Some(form) = &mut exchange.admitted.form else {
        return Err(Kind::Internal("a form was read before it was begun"));
    };
    form.read_lead(io.body)?;
    let named = form.model.clone();
    let stream = form.stream;
    let in_path = exchange.facts.model_in_path(io.request.path()).map(Cow::into_owned);
    let is_whole = exchange.admitted.rest == Rest::Nothing;
    if named.is_none() && !(is_whole && in_path.is_some()) {
        return wait_for_model(exchange, io, in_path.is_none());
    }
    exchange.facts.stream = stream;
    let in_form = named.and_then(|named| str::from_utf8(io.body.get(named)?).ok());
    let asked = in_path.as_deref().or(in_form).unwrap_or_default();
    if asked.is_empty() {
        return Err(model_is("must be a text that is not empty"));
    }
    admit::find_model(&mut exchange.facts, &pinned.snapshot, asked);
    match exchange.facts.model {
        Some(_) => Ok(Verdict::Next),
        None => Err(Kind::ModelNotFound),
    }
}

/// The model has not come yet. Where the path names it, it is waited for all the same: its field is to say what the path does.
fn wait_for_model(exchange: &mut Exchange, io: &mut Io<'_>, may_be_late: bool) -> Result<Verdict, Kind> {
    let max_bytes = exchange.pin().snapshot.document.max_body_bytes;
    if exchange.admitted.rest == Rest::Nothing {
        return Err(model_is("is missing in the form"));
    }
    if may_be_late && io.body.len() > MAX_LEAD_BYTES && late::begin(exchange) {
        return Ok(Verdict::Next);
    }
    if io.body.len() as u64 > max_bytes {
        // Bound, like any body that is held.
        return Err(Kind::Untranslatable {
            field: "model".into(),
            wrong: format!(
                "must come before the file in a form of more than {max_bytes} bytes, as the models that it may name are \
                 not all at one provider"
            )
            .into(),
            offset: 0,
        });
    }
    passing::ask_for_more(exchange, io);
    Ok(Verdict::Pause)
}

pub(crate) fn model_is(wrong: &'static str) -> Kind {
    Kind::Untranslatable {
        field: "model".into(),
        wrong: wrong.into(),
        offset: 0,
    }
}
