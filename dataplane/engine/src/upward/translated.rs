//! The request as it goes up in another dialect than it came: written anew, with none of the client's headers but those
//! that trace it.

use std::{borrow::Cow, ops::Range};

use tollgate_config::document::{Dialect, OnUnsupported};
use tollgate_dialect::{
    canonical::bad::BadRequest,
    speak::{PathFacts, TargetFacts},
    translate::{self, Sent},
};
use tollgate_wire::{
    head::{Framing, Known},
    http1::write,
    json::{cursor, edit},
};

use super::{Goes, To, header, lines, single};
use crate::{
    call::Translated,
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    limits::cap,
    outputs::Piece,
    sealing::request::opened_body,
    snapshot::{PathCall, Route, Target, Upstream},
    speaks,
    surface::Operation,
};

/// What another dialect makes of a body at most: strings that become strings within strings may double, and a few
/// names are longer.
pub(crate) const fn max_translated_bytes(body_bytes: usize) -> usize {
    2 * body_bytes + 64 * 1024
}

/// Must the request be said in other words for this target? Also where it is in its own dialect, but carries what a
/// provider signed and the gateway sealed, or where the provider wants members that no client sends.
pub(crate) fn is_needed(exchange: &Exchange, spoken: Dialect, target: &Target) -> bool {
    let surface = exchange.facts.surface;
    if exchange.facts.direct.is_some() {
        return false;
    }
    if surface.operation != Operation::Chat {
        return single::is_needed(surface, spoken);
    }
    surface.dialect != Some(spoken) || exchange.admitted.looks_sealed || !target.quirks.set.is_empty()
}

/// Writes the request for a target, before it is dialled.
pub(crate) fn prepare(
    exchange: &mut Exchange,
    io: &Io<'_>,
    (provider, spoken): (&str, Dialect),
    (route, target): (&Route, &Target),
) -> Result<(), Failure> {
    if exchange.facts.surface.operation != Operation::Chat {
        return single::prepare(exchange, io, (provider, spoken), (route, target));
    }
    let mut out = exchange.call.take_spare_body();
    let client = exchange.facts.surface.dialect.unwrap_or(spoken);
    let in_path = exchange.facts.model_in_path(io.request.path());
    let path = PathFacts {
        model: in_path.as_deref(),
        stream: exchange.facts.stream,
    };
    let to = TargetFacts {
        model: exchange.call.sent_model_name(&target.model),
        quirks: &target.quirks,
    };
    let broken = exchange.relay.broken();
    if client == spoken && !exchange.admitted.looks_sealed && broken.is_none() {
        return prepare_own(exchange, io, (spoken, out), (route, target));
    }
    let body = opened_body(exchange.admitted.body(io.body), &exchange.admitted.opened);
    let body = cap::capped(exchange, body, &target.quirks);
    let body = &*body;
    let (both, said) = ((speaks::of(client), speaks::of(spoken)), (body, path));
    let sent = match broken {
        None => translate::write_request(both, said, (provider, &to), &mut out),
        Some(broken) => translate::write_continuation(both, said, (provider, &to), &mut out, broken.so_far(exchange)),
    };
    let had_seals = sent.as_ref().is_ok_and(|sent| sent.had_seals);
    if client == spoken && !had_seals && broken.is_none() {
        // What looked sealed was text.
        out.clear();
        return prepare_own(exchange, io, (spoken, out), (route, target));
    }
    let sent = sent.map_err(|bad| Failure::client(kind(bad)))?;
    let length = body.len();
    let translated = Translated {
        body: out,
        sent,
        spoken,
        single: None,
        own: false,
    };
    keep(exchange, translated, route, length)
}

/// The client's own bytes, but for the members that the provider wants and those that it does not take.
fn prepare_own(
    exchange: &mut Exchange,
    io: &Io<'_>,
    (spoken, mut out): (Dialect, Vec<u8>),
    (route, target): (&Route, &Target),
) -> Result<(), Failure> {
    if target.quirks.set.is_empty() {
        return Ok(());
    }
    let body = opened_body(exchange.admitted.body(io.body), &exchange.admitted.opened);
    let body = cap::capped(exchange, body, &target.quirks);
    out.extend_from_slice(&body);
    let mut dropped = Vec::new();
    translate::fit(&mut out, 0, &target.quirks, &mut dropped);
    if exchange.pin().snapshot.upstreams[target.provider].frames_events {
        write_betas(io, &body, &mut out);
    }
    let length = body.len();
    let translated = Translated {
        body: out,
        sent: Sent {
            dropped,
            ..Sent::default()
        },
        spoken,
        single: None,
        own: true,
    };
    keep(exchange, translated, route, length)
}

/// Bedrock reads in the body what Anthropic reads in the header of that name. Source: `lib/bedrock/_client.py` of the
/// Python SDK `anthropic` 2.13.0.
fn write_betas(io: &Io<'_>, body: &[u8], out: &mut Vec<u8>) {
    let said = cursor::find(body, &["anthropic_beta"]).is_ok_and(|[member]| member.is_some());
    if said || out.pop_if(|last| *last == b'}').is_none() {
        return;
    }
    let lines = io.request.head.fields.lines.iter();
    let lines = lines.filter(|line| is_beta(line.name.of(io.request.buf)));
    let betas = lines.flat_map(|line| line.value.of(io.request.buf).split(|&byte| byte == b','));
    let mut lead: &[u8] = b",\"anthropic_beta\":[";
    for beta in betas.map(<[u8]>::trim_ascii).filter(|beta| !beta.is_empty()) {
        out.extend_from_slice(lead);
        edit::write_string(out, &String::from_utf8_lossy(beta));
        lead = b",";
    }
    out.extend_from_slice(if lead == b"," { b"]}" } else { b"}" });
}

fn is_beta(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"anthropic-beta")
}

/// What is sent stands, within its bounds; `length` is that of the client's body.
fn keep(exchange: &mut Exchange, translated: Translated, route: &Route, length: usize) -> Result<(), Failure> {
    check(route, &translated.sent, (translated.body.len(), length))?;
    exchange.call.translated = Some(translated);
    Ok(())
}

/// May what was written be sent?
pub(super) fn check(route: &Route, sent: &Sent, (written_bytes, body_bytes): (usize, usize)) -> Result<(), Failure> {
    if route.on_unsupported == OnUnsupported::Error && !sent.dropped.is_empty() {
        return Err(Failure::client(Kind::Unsupported(sent.dropped.join(", "))));
    }
    if written_bytes > max_translated_bytes(body_bytes) {
        return Err(Failure::client(Kind::TranslatedTooLarge));
    }
    Ok(())
}

pub(crate) fn kind(bad: BadRequest) -> Kind {
    match bad {
        BadRequest::Json(bad) => Kind::BadJson(bad),
        BadRequest::Field { field, wrong, offset } => Kind::Untranslatable { field, wrong, offset },
    }
}

/// Head and body of what `prepare` wrote.
pub(super) fn write(exchange: &Exchange, io: &mut Io<'_>, to: To<'_>, target: &Target) -> (Range<u32>, Range<u32>) {
    let translated = exchange
        .call
        .translated
        .as_ref()
        .expect("it was prepared before the connection was asked for");
    let start = io.out.arena.len();
    // Copied once: it was written before the connection stood, in a turn whose arena is gone.
    io.out.arena.extend_from_slice(&translated.body);
    let body = io.out.written_since(start);
    let first = io.out.pieces.len() as u32;
    io.out.pieces.push(Piece::Arena(body));
    let pieces = first..first + 1;
    let (upstream, stream) = (to.0, exchange.facts.stream);
    let (_, path) = upstream.spoken(Some(translated.spoken));
    let call = PathCall {
        operation: translated
            .single
            .as_ref()
            .map_or(Operation::Chat, |single| single.task.operation()),
        model: exchange.call.sent_model_name(&target.model),
        stream,
        query: None,
        credential: None,
    };
    let line = lines::begin(io, to, Goes::To(path, call));
    let (request, out) = (io.request, &mut io.out.arena);
    write::header(out, header::CONTENT_TYPE, b"application/json");
    write::header(out, header::ACCEPT, accepted(upstream, translated.spoken, stream));
    lines::usual_headers(out, upstream, None);
    let in_body = target.quirks.set.iter().any(|(name, _)| name == "anthropic_version");
    let has_version = in_body
        || upstream.header_names.iter().any(|name| &**name == "anthropic-version")
        || upstream
            .usual_headers
            .iter()
            .any(|(name, _)| &**name == "anthropic-version");
    if translated.spoken == Dialect::Anthropic && !has_version {
        write::header(out, header::ANTHROPIC_VERSION, ANTHROPIC_VERSION);
    }
    write::forward(out, request.buf, &request.head.fields.lines, |field| {
        let name = field.name.of(request.buf);
        let betas = translated.own && !upstream.frames_events && is_beta(name);
        field.known == Known::Other && (betas || TRACING.iter().any(|known| name.eq_ignore_ascii_case(known)))
    });
    let length = translated.body.len() as u64;
    let lines = lines::end(io, to, line, pieces.clone(), Framing::Length(length));
    (lines, pieces)
}

fn accepted(upstream: &Upstream, dialect: Dialect, stream: bool) -> &'static [u8] {
    match (stream, dialect) {
        (false, _) => b"application/json",
        (true, _) if upstream.frames_events => b"application/vnd.amazon.eventstream",
        (true, Dialect::Bedrock) => b"application/vnd.amazon.eventstream",
        (true, _) => b"text/event-stream",
    }
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
