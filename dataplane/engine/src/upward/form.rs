//! A form as it goes up: the client's, with the model's name edited. Of a large one, what has come of it.

use std::ops::Range;

use super::{Edit, To, edited_length, framing, write_own_head, write_pieces};
use crate::{
    exchange::{Exchange, Io},
    snapshot::{Target, TargetModel},
};

/// Head and body.
pub(super) fn write(exchange: &Exchange, io: &mut Io<'_>, to: To<'_>, target: &Target) -> (Range<u32>, Range<u32>) {
    let edits = [edit_model(exchange, io, to, target)];
    let body = match &exchange.admitted.form {
        Some(form) => &io.body[..io.body.len() - form.kept.len()],
        None => io.body,
    };
    let pieces = write_pieces(io.out, &edits, body, false);
    let framing = framing(exchange, io, edited_length(&edits, io.body.len()));
    let lines = write_own_head(exchange, io, to, target, (pieces.clone(), framing));
    (lines, pieces)
}

fn edit_model(exchange: &Exchange, io: &mut Io<'_>, (upstream, _): To<'_>, target: &Target) -> Option<Edit> {
    let (_, path) = upstream.spoken(exchange.facts.surface.dialect);
    let form = exchange.admitted.form.as_ref()?;
    let in_form = form.model.clone();
    let is_named = form.is_late || path.has_model_at(exchange.facts.surface.operation.path());
    if in_form.is_none() && is_named {
        return None;
    }
    let out = &mut *io.out;
    let name = match &target.model {
        TargetModel::Fixed { name, .. } => name,
        TargetModel::Star { .. } => &*exchange.call.star_model,
    };
    let start = out.arena.len();
    // A form whose path alone names the model gets a field for it, before its first.
    let delimiter = match in_form {
        Some(_) => None,
        None => Some(io.body.get(..memchr::memmem::find(io.body, b"\r\n")?)?),
    };
    if let Some(delimiter) = delimiter {
        out.arena.extend_from_slice(delimiter);
        out.arena
            .extend_from_slice(b"\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n");
    }
    out.arena.extend_from_slice(name.as_bytes());
    if delimiter.is_some() {
        out.arena.extend_from_slice(b"\r\n");
    }
    Some(Edit {
        instead_of: in_form.unwrap_or(0..0),
        text: out.written_since(start),
    })
}
