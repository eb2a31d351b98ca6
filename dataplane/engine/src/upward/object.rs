//! A request about an object as it goes up: the provider's own path and ids, and the client's body with its ids opened.

use std::ops::Range;

use tollgate_wire::{
    head::{Framing, Known},
    http1::write,
};

use super::{Goes, To, direct, edited_length, framing, lines, opened_edits, passes, write_pieces};
use crate::exchange::{Exchange, Io};

/// Head and body.
pub(super) fn write(exchange: &Exchange, io: &mut Io<'_>, to: To<'_>) -> (Range<u32>, Range<u32>) {
    let object = exchange.call.object.as_ref().expect("the call is about an object");
    let decoded = exchange.admitted.decoded.is_some();
    let body = exchange.admitted.body(io.body);
    let edits = opened_edits(&exchange.admitted, io.out);
    let length = edited_length(&edits, body.len());
    let pieces = write_pieces(io.out, &edits, body, decoded);
    let request = io.request;
    let goes = Goes::Directly {
        method: direct::method(request.head.method),
        path: &object.path,
        query: &object.query,
    };
    let line = lines::begin(io, to, goes);
    let out = &mut io.out.arena;
    lines::usual_headers(out, to.0, Some(request));
    write::forward(out, request.buf, &request.head.fields.lines, |field| {
        // What was not decoded keeps its coding.
        passes(field, request.buf, to.0) || field.known == Known::ContentEncoding && !decoded
    });
    let framing = match framing(exchange, io, length) {
        Framing::Length(0) if !direct::has_body(request.head.method) => Framing::None,
        framing => framing,
    };
    let lines = lines::end(io, to, line, pieces.clone(), framing);
    (lines, pieces)
}
