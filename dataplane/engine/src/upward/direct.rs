//! A request to `/providers/{name}/…` as it goes up: method, path and body as they came, behind the provider's own host.

use std::ops::Range;

use tollgate_wire::{
    head::{Framing, Known, Method},
    http1::write,
};

use super::{Goes, To, framing, lines, passes, push_body};
use crate::{
    exchange::{Exchange, Io},
    surface,
};

/// Head and body.
pub(super) fn write(exchange: &Exchange, io: &mut Io<'_>, to: To<'_>) -> (Range<u32>, Range<u32>) {
    let first = io.out.pieces.len() as u32;
    push_body(io.out, io.body, 0..io.body.len(), false);
    let pieces = first..io.out.pieces.len() as u32;
    let request = io.request;
    let goes = Goes::Directly {
        method: method(request.head.method),
        path: surface::provider_path(request.path()).map_or(&b"/"[..], |(_, rest)| rest),
        query: request.query(),
    };
    let line = lines::begin(io, to, goes);
    let out = &mut io.out.arena;
    lines::usual_headers(out, to.0, Some(request));
    write::forward(out, request.buf, &request.head.fields.lines, |field| {
        // The body goes up as it came, its coding with it.
        passes(field, request.buf, to.0) || field.known == Known::ContentEncoding
    });
    let framing = match framing(exchange, io, io.body.len()) {
        Framing::Length(0) if !has_body(request.head.method) => Framing::None,
        framing => framing,
    };
    let lines = lines::end(io, to, line, pieces.clone(), framing);
    (lines, pieces)
}

/// A request of this method has a body, be it empty.
pub(super) fn has_body(method: Method) -> bool {
    matches!(method, Method::Post | Method::Put | Method::Patch)
}

pub(super) fn method(method: Method) -> &'static [u8] {
    match method {
        Method::Get => b"GET",
        Method::Post => b"POST",
        Method::Put => b"PUT",
        Method::Patch => b"PATCH",
        Method::Delete => b"DELETE",
        Method::Options => b"OPTIONS",
        Method::Head | Method::Other => unreachable!("the surface takes neither"),
    }
}
