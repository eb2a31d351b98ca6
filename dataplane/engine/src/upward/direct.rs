//! A request to `/providers/{name}/…` as it goes up: method, path and body as they came, behind the provider's own host.

use tollgate_wire::{head::Method, http1::write};

use super::{header, passes, push_body};
use crate::{
    exchange::{Exchange, Io},
    outputs::Action,
    percent,
    snapshot::Upstream,
    surface,
};

pub(super) fn send(exchange: &mut Exchange, io: &mut Io<'_>, upstream: &Upstream) {
    let Some(live) = exchange.call.live else { return };
    let request = io.request;
    let rest = surface::provider_path(request.path()).map_or(&b"/"[..], |(_, rest)| rest);
    let start = io.out.arena.len();
    let out = &mut io.out.arena;
    out.extend_from_slice(method(request.head.method));
    out.push(b' ');
    out.extend_from_slice(rest);
    percent::write_query_without(out, request.query(), b"key");
    out.extend_from_slice(upstream.credential_lines(io.local.sequence));
    write::forward(out, request.buf, &request.head.fields.lines, |field| {
        // The body goes up as it came, its coding with it.
        passes(field, request.buf, upstream) || field.known == tollgate_wire::head::Known::ContentEncoding
    });
    if !io.body.is_empty() || matches!(request.head.method, Method::Post | Method::Put | Method::Patch) {
        write::header_u64(out, header::CONTENT_LENGTH, io.body.len() as u64);
    }
    out.extend_from_slice(b"\r\n");
    let lines = io.out.written_since(start);
    let first = io.out.pieces.len() as u32;
    push_body(io.out, io.body, 0..io.body.len(), false);
    io.out.actions.push(Action::SendUp {
        attempt: live.id,
        lines,
        pieces: first..io.out.pieces.len() as u32,
    });
}

fn method(method: Method) -> &'static [u8] {
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
