//! The request as it goes up in another dialect than it came: written anew, with none of the client's headers but those
//! that trace it.

use std::borrow::Cow;

use tollgate_config::document::Dialect;
use tollgate_dialect::{
    canonical::bad::BadRequest,
    speak::{PathFacts, TargetFacts},
    translate,
};
use tollgate_wire::{
    head::{Known, RequestView},
    http1::write,
};

use super::header;
use crate::{
    call::Translated,
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    outputs::{Action, Piece},
    percent,
    snapshot::{Target, Upstream},
    speaks,
    surface::Operation,
};

/// What another dialect makes of a body at most: strings that become strings within strings may double, and a few
/// names are longer.
pub(crate) const fn max_translated_bytes(body_bytes: usize) -> usize {
    2 * body_bytes + 64 * 1024
}

/// Must the request be said in other words for this target? Also where it is its own dialect, but carries what a
/// provider signed and the gateway sealed.
pub(crate) fn is_needed(exchange: &Exchange, target: &Target) -> bool {
    let surface = exchange.facts.surface;
    exchange.facts.direct.is_none()
        && surface.operation == Operation::Chat
        && (surface.dialect != Some(target.dialect) || exchange.admitted.issued_by.is_some())
}

/// Writes the request for a target, before it is dialled.
pub(crate) fn prepare(exchange: &mut Exchange, io: &Io<'_>, target: &Target, provider: &str) -> Result<(), Failure> {
    let mut out = exchange.call.take_spare_body();
    let client = exchange.facts.surface.dialect.unwrap_or(target.dialect);
    let in_path = exchange
        .facts
        .surface
        .model_in_path(io.request.path())
        .map(percent::decode);
    let in_path = in_path.as_deref().map(String::from_utf8_lossy);
    let path = PathFacts {
        model: in_path.as_deref(),
        stream: exchange.facts.stream,
    };
    let to = TargetFacts {
        model: exchange.call.sent_model_name(&target.model),
        quirks: &target.quirks,
    };
    let body = exchange.admitted.body(io.body);
    let sent = translate::write_request(
        (speaks::of(client), speaks::of(target.dialect)),
        (body, path),
        (provider, &to),
        &mut out,
    );
    let sent = sent.map_err(|bad| Failure::client(kind(bad)))?;
    if out.len() > max_translated_bytes(body.len()) {
        return Err(Failure::client(Kind::TranslatedTooLarge));
    }
    exchange.call.translated = Some(Translated { body: out, sent });
    Ok(())
}

fn kind(bad: BadRequest) -> Kind {
    match bad {
        BadRequest::Json(bad) => Kind::BadJson(bad),
        BadRequest::Field { field, wrong, offset } => Kind::Untranslatable { field, wrong, offset },
    }
}

/// Sends what `prepare` wrote to the attempt under way.
pub(super) fn send(exchange: &mut Exchange, io: &mut Io<'_>, upstream: &Upstream, target: &Target) {
    let (Some(live), Some(translated)) = (exchange.call.live, &exchange.call.translated) else {
        return;
    };
    let body_start = io.out.arena.len();
    // Copied once: it was written before the connection stood, in a turn whose arena is gone.
    io.out.arena.extend_from_slice(&translated.body);
    let body = io.out.written_since(body_start);
    let lines_start = io.out.arena.len();
    let model = exchange.call.sent_model_name(&target.model);
    let stream = exchange.facts.stream;
    let out = &mut io.out.arena;
    upstream.call_path.write(out, Operation::Chat, model, stream);
    if stream {
        out.extend_from_slice(upstream.call_path.streamed_query);
    }
    out.extend_from_slice(upstream.credential_lines(io.local.sequence));
    write_lines(out, upstream, target.dialect, stream, io.request);
    write::header_u64(out, header::CONTENT_LENGTH, translated.body.len() as u64);
    out.extend_from_slice(b"\r\n");
    let lines = io.out.written_since(lines_start);
    let first = io.out.pieces.len() as u32;
    io.out.pieces.push(Piece::Arena(body));
    io.out.actions.push(Action::SendUp {
        attempt: live.id,
        lines,
        pieces: first..first + 1,
    });
}

fn write_lines(out: &mut Vec<u8>, upstream: &Upstream, dialect: Dialect, stream: bool, request: RequestView<'_>) {
    write::header(out, header::CONTENT_TYPE, b"application/json");
    let accept: &[u8] = match (stream, dialect) {
        (false, _) => b"application/json",
        (true, Dialect::Bedrock) => b"application/vnd.amazon.eventstream",
        (true, _) => b"text/event-stream",
    };
    write::header(out, header::ACCEPT, accept);
    let configured = |name: &str| upstream.header_names.iter().any(|known| **known == *name);
    if dialect == Dialect::Anthropic && !configured("anthropic-version") {
        write::header(out, header::ANTHROPIC_VERSION, ANTHROPIC_VERSION);
    }
    write::forward(out, request.buf, &request.head.fields.lines, |field| {
        let name = field.name.of(request.buf);
        field.known == Known::Other && TRACING.iter().any(|known| name.eq_ignore_ascii_case(known))
    });
}

/// The only version there is. Source: Anthropic API reference, "Versions".
const ANTHROPIC_VERSION: &[u8] = b"2023-06-01";
/// W3C Trace Context.
const TRACING: [&[u8]; 2] = [b"traceparent", b"tracestate"];

/// What was lost on the way up, as a header's value; nothing when nothing was.
pub(crate) fn dropped(exchange: &Exchange) -> Option<Cow<'_, str>> {
    let dropped = &exchange.call.translated.as_ref()?.sent.dropped;
    match dropped.as_slice() {
        [] => None,
        [one] => Some(Cow::Borrowed(one)),
        many => Some(Cow::Owned(many.join(", "))),
    }
}
