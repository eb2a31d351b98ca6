//! A form as it goes up: the client's, with the model's name edited. Of a large one, what has come of it.

use std::ops::Range;

use super::{Edit, To, edited_length, framing, write_own_head, write_pieces};
use crate::{
    exchange::{Exchange, Io},
    outputs::Outputs,
    snapshot::{Target, TargetModel},
};

/// Head and body.
pub(super) fn write(exchange: &Exchange, io: &mut Io<'_>, to: To<'_>, target: &Target) -> (Range<u32>, Range<u32>) {
    let edits = [edit_model(exchange, target, io.out)];
    let body = match &exchange.admitted.form {
        Some(form) => &io.body[..io.body.len() - form.kept.len()],
        None => io.body,
    };
    let pieces = write_pieces(io.out, &edits, body, false);
    let framing = framing(exchange, io, edited_length(&edits, io.body.len()));
    let lines = write_own_head(exchange, io, to, target, (pieces.clone(), framing));
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
