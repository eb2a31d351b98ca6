//! A form as it goes up: the client's, with the model's name edited. Of a large one, what has come of it.

use std::ops::Range;

use tollgate_wire::http1::write;

use super::{Edit, Goes, To, edited_length, framing, lines, passes, write_pieces};
use crate::{
    exchange::{Exchange, Io},
    outputs::Outputs,
    snapshot::{PathCall, Target, TargetModel},
};

/// Head and body.
pub(super) fn write(exchange: &Exchange, io: &mut Io<'_>, to: To<'_>, target: &Target) -> (Range<u32>, Range<u32>) {
    let upstream = to.0;
    let (_, path) = upstream.spoken(exchange.facts.surface.dialect);
    let edits = [edit_model(exchange, target, io.out)];
    let body = match &exchange.admitted.form {
        Some(form) => &io.body[..io.body.len() - form.kept.len()],
        None => io.body,
    };
    let pieces = write_pieces(io.out, &edits, body, false);
    let framing = framing(exchange, io, edited_length(&edits, io.body.len()));
    let request = io.request;
    let call = PathCall {
        operation: exchange.facts.surface.operation,
        model: exchange.call.sent_model_name(&target.model),
        stream: exchange.facts.stream,
        query: Some(request.query()),
        credential: None,
    };
    let line = lines::begin(io, to, Goes::To(path, call));
    let out = &mut io.out.arena;
    lines::usual_headers(out, upstream, Some(request));
    write::forward(out, request.buf, &request.head.fields.lines, |field| {
        passes(field, request.buf, upstream)
    });
    let lines = lines::end(io, to, line, pieces.clone(), framing);
    (lines, pieces)
}

fn edit_model(exchange: &Exchange, target: &Target, out: &mut Outputs) -> Option<Edit> {
    let instead_of = exchange.admitted.form.as_ref()?.model.clone()?;
    let name = match &target.model {
        TargetModel::Fixed { name, .. } => name,
        TargetModel::Star { .. } => &*exchange.call.star_model,
    };
    let start = out.arena.len();
    out.arena.extend_from_slice(name.as_bytes());
    Some(Edit {
        instead_of,
        text: out.written_since(start),
    })
}
