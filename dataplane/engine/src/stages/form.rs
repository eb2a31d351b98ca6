//! admit, where the body is a form (`multipart/form-data`): the model is one of its fields. The form is read as it passes,
//! so that its file need not be held.

use std::ops::Range;

use tollgate_wire::{
    head::Known,
    multipart::{self, FormReader},
};

use crate::{
    exchange::{Exchange, Io},
    failure::Kind,
    outputs::Rest,
    passing::{self, Asked, MayPass},
    stage::Verdict,
    stages::admit,
};

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
}

impl Form {
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
    let Some(named) = form.model.clone() else {
        let max_bytes = pinned.snapshot.document.max_body_bytes;
        return match exchange.admitted.rest {
            Rest::Nothing => Err(model_is("is missing in the form")),
            // Bound, like any body that is held.
            Rest::Follows if io.body.len() as u64 > max_bytes => Err(Kind::Untranslatable {
                field: "model".into(),
                wrong: format!("must come before the file in a form of more than {max_bytes} bytes").into(),
                offset: 0,
            }),
            Rest::Follows => {
                passing::ask_for_more(exchange, io);
                Ok(Verdict::Pause)
            }
        };
    };
    let asked = str::from_utf8(io.body.get(named).unwrap_or_default()).unwrap_or_default();
    if asked.is_empty() {
        return Err(model_is("must be a text that is not empty"));
    }
    exchange.facts.stream = form.stream;
    admit::find_model(&mut exchange.facts, &pinned.snapshot, asked);
    match exchange.facts.model {
        Some(_) => Ok(Verdict::Next),
        None => Err(Kind::ModelNotFound),
    }
}

fn model_is(wrong: &'static str) -> Kind {
    Kind::Untranslatable {
        field: "model".into(),
        wrong: wrong.into(),
        offset: 0,
    }
}
