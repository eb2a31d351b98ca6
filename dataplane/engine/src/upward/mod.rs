//! The request as it goes up. Where the target speaks the client's dialect: the client's bytes, with the model's name, the credentials and the wish for usage edited.

mod direct;
mod form;
mod lines;
mod named;
mod object;
mod single;
mod translated;

use std::ops::Range;

use tollgate_config::document::Dialect;
use tollgate_wire::{
    head::{Field, Framing, Known},
    http1::write,
    json::{cursor::Kind as Json, edit},
};

use crate::{
    attempt::route_index,
    call::SentModel,
    exchange::{Exchange, Io},
    limits::cap,
    names::header,
    outputs::{Action, Outputs, Piece, Rest},
    sealing::request::Opened,
    snapshot::{PathCall, Target, TargetModel, Upstream},
    stages::admit::Admitted,
    surface::Operation,
};

use lines::Goes;

pub(crate) use single::{Single, Task, counts_here, next_part, reaches};
pub(crate) use translated::{dropped, is_needed, kind, max_translated_bytes, prepare};

/// Bytes of the request that something else is sent for: an empty range inserts.
struct Edit {
    instead_of: Range<usize>,
    /// In the arena.
    text: Range<u32>,
}

/// By where they stand; those that are none stand last.
type Edits = [Option<Edit>];

/// Sends the request to the attempt under way.
pub(crate) fn send(exchange: &mut Exchange, io: &mut Io<'_>) {
    let pinned = exchange.pin();
    let Some(live) = exchange.call.live else { return };
    let route = route_index(exchange);
    let target = &pinned.snapshot.routes[route].targets[live.target];
    let upstream = &pinned.snapshot.upstreams[target.provider];
    let to = (upstream, exchange.call.credential);
    let (lines, pieces) = if exchange.call.object.is_some() {
        object::write(exchange, io, to)
    } else if exchange.admitted.form.is_some() {
        form::write(exchange, io, to, target)
    } else if exchange.facts.direct.is_some() {
        direct::write(exchange, io, to)
    } else if exchange.call.translated.is_some() {
        translated::write(exchange, io, to, target)
    } else {
        write_passed(exchange, io, to, target)
    };
    let follows = exchange.admitted.rest == Rest::Follows;
    exchange.call.committed = follows;
    let rest = match (follows, framing(exchange, io, 0)) {
        (false, _) => Rest::Nothing,
        (true, Framing::Chunked) => Rest::FollowsInChunks,
        (true, _) => Rest::Follows,
    };
    io.out.actions.push(Action::SendUp {
        attempt: live.id,
        lines,
        pieces,
        rest,
    });
    exchange.facts.wait_begins(io.now);
}

/// Whom a request is written for: the provider, and the credential whose turn it is.
type To<'a> = (&'a Upstream, usize);

/// The client's own request, edited: head and body.
fn write_passed(exchange: &mut Exchange, io: &mut Io<'_>, to: To<'_>, target: &Target) -> (Range<u32>, Range<u32>) {
    let upstream = to.0;
    let (_, path) = upstream.spoken(exchange.facts.surface.dialect);
    let body = exchange.admitted.body(io.body);
    let model = edit_model(exchange, target, path.names_model(), body, io.out);
    let added = wants_usage(exchange, upstream);
    let usage = if added {
        edit_usage(&exchange.admitted, body, io.out)
    } else {
        None
    };
    let mut usual = [model, usage];
    // None of them but where a request names objects: only then is it worth a list.
    let mut all = opened_edits(&exchange.admitted, io.out);
    all.extend(named::edits(exchange, target, body, io.out));
    all.extend(cap_edits(exchange, target, body, io.out));
    let edits = if all.is_empty() {
        &mut usual[..]
    } else {
        all.extend(usual);
        &mut all[..]
    };
    edits.sort_by_key(|edit| edit.as_ref().map_or(usize::MAX, |edit| edit.instead_of.start));
    let length = edited_length(edits, body.len());
    let pieces = write_pieces(io.out, edits, body, exchange.admitted.decoded.is_some());

    exchange.call.added_usage = added;
    let lines = write_own_head(
        exchange,
        io,
        to,
        target,
        (pieces.clone(), Framing::Length(length as u64)),
    );
    (lines, pieces)
}

/// The head above a body in the client's own words.
fn write_own_head(
    exchange: &Exchange,
    io: &mut Io<'_>,
    to: To<'_>,
    target: &Target,
    (pieces, framing): (Range<u32>, Framing),
) -> Range<u32> {
    let (upstream, request) = (to.0, io.request);
    let (_, path) = upstream.spoken(exchange.facts.surface.dialect);
    let call = PathCall {
        operation: exchange.facts.surface.operation,
        model: exchange.call.sent_model_name(&target.model),
        stream: exchange.facts.stream,
        query: Some(request.query()),
        credential: None,
    };
    io.out.arena.reserve(request.buf.len() + 512);
    let line = lines::begin(io, to, Goes::To(path, call));
    let out = &mut io.out.arena;
    lines::usual_headers(out, upstream, Some(request));
    write::forward(out, request.buf, &request.head.fields.lines, |field| {
        passes(field, request.buf, upstream)
    });
    lines::end(io, to, line, pieces, framing)
}

/// How the body goes up, where this is the length of what is held of it, edited.
fn framing(exchange: &Exchange, io: &Io<'_>, held_bytes: usize) -> Framing {
    let late = exchange.admitted.form.as_ref().is_some_and(|form| form.is_late);
    match (exchange.admitted.rest, io.request.head.framing) {
        (Rest::Follows, Framing::Length(length)) if !late => {
            // The edits lie in what is held.
            Framing::Length(length.saturating_sub(io.body.len() as u64) + held_bytes as u64)
        }
        (Rest::Follows | Rest::FollowsInChunks, _) => Framing::Chunked,
        (Rest::Nothing, _) => Framing::Length(held_bytes as u64),
    }
}

/// Notes which name will be sent; one with a star is put together.
pub(crate) fn set_sent_model(exchange: &mut Exchange, route: usize, index: usize, target: &Target) {
    let (call, facts) = (&mut exchange.call, &exchange.facts);
    if facts.direct.is_some() {
        return;
    }
    match &target.model {
        TargetModel::Fixed { .. } => call.sent_model = SentModel::Target { route, target: index },
        TargetModel::Star { .. } => {
            if let Some(last) = call.log.last_mut()
                && matches!(last.sent_model, SentModel::Star { .. })
            {
                last.star_model.get_or_insert_with(|| call.star_model.as_str().into());
            }
            call.star_model.clear();
            target.model.write_name(facts.star(), &mut call.star_model);
            call.sent_model = SentModel::Star { target: Some(index) };
        }
    }
}

/// The provider's own ids in place of those that were opened.
fn opened_edits(admitted: &Admitted, out: &mut Outputs) -> Vec<Option<Edit>> {
    let edit = |Opened { at, json }: &Opened| {
        let start = out.arena.len();
        out.arena.extend_from_slice(json);
        Some(Edit {
            instead_of: at.clone(),
            text: out.written_since(start),
        })
    };
    admitted.opened.iter().map(edit).collect()
}

/// The cap that a limit puts on the answer.
fn cap_edits(exchange: &Exchange, target: &Target, body: &[u8], out: &mut Outputs) -> Vec<Option<Edit>> {
    let edits = cap::edits(exchange, body, &target.quirks);
    let edit = |edit: cap::CapEdit| {
        let start = out.arena.len();
        out.arena.extend_from_slice(edit.text.as_bytes());
        Some(Edit {
            instead_of: edit.instead_of,
            text: out.written_since(start),
        })
    };
    edits.into_iter().map(edit).collect()
}

/// The provider's name in place of the one the client used; nothing when they are the same.
fn edit_model(exchange: &Exchange, target: &Target, in_path: bool, body: &[u8], out: &mut Outputs) -> Option<Edit> {
    let start = out.arena.len();
    let instead_of = match (exchange.admitted.model, &target.model) {
        (Some(named), TargetModel::Fixed { json, .. }) if **json == *named.span.of(body) => return None,
        (Some(named), _) => named.span.range(),
        // The path names it to us; where it does to the provider too, the body stays.
        (None, _) if in_path => return None,
        (None, _) => {
            let inside = body.iter().position(|&byte| byte == b'{')? + 1;
            let is_empty = body[inside..].trim_ascii_start().first() == Some(&b'}');
            out.arena.extend_from_slice(b"\"model\":");
            write_model(exchange, target, out);
            out.arena.extend_from_slice(if is_empty { b"" } else { b"," });
            let text = out.written_since(start);
            return Some(Edit {
                instead_of: inside..inside,
                text,
            });
        }
    };
    write_model(exchange, target, out);
    Some(Edit {
        instead_of,
        text: out.written_since(start),
    })
}

fn write_model(exchange: &Exchange, target: &Target, out: &mut Outputs) {
    match &target.model {
        TargetModel::Fixed { json, .. } => out.arena.extend_from_slice(json),
        TargetModel::Star { .. } => edit::write_string(&mut out.arena, &exchange.call.star_model),
    }
}

/// Does the gateway ask for the stream's usage because the client did not?
fn wants_usage(exchange: &Exchange, upstream: &Upstream) -> bool {
    let surface = exchange.facts.surface;
    let reports = matches!(surface.operation, Operation::Chat | Operation::Other(b"/completions"));
    let openai = surface.dialect == Some(Dialect::OpenAi) && reports;
    openai && exchange.facts.stream && upstream.may_ask_stream_usage && !exchange.admitted.asked_stream_usage()
}

/// `None` where `stream_options` is something that no provider accepts: its own error says so best.
fn edit_usage(admitted: &Admitted, body: &[u8], out: &mut Outputs) -> Option<Edit> {
    let start = out.arena.len();
    let (instead_of, text): (Range<usize>, &[u8]) = match (admitted.include_usage, admitted.stream_options) {
        (Some(declined), _) => (declined.span.range(), b"true"),
        (None, Some(options)) if options.kind == Json::Null => (options.span.range(), b"{\"include_usage\":true}"),
        (None, Some(options)) if options.kind == Json::Object => {
            let inside = options.span.start as usize + 1;
            let is_empty = body[inside..options.span.end as usize - 1].trim_ascii().is_empty();
            let text: &[u8] = if is_empty {
                b"\"include_usage\":true"
            } else {
                b"\"include_usage\":true,"
            };
            (inside..inside, text)
        }
        (None, Some(_)) => return None,
        (None, None) => {
            let behind = admitted.stream?.span.end as usize;
            (behind..behind, b",\"stream_options\":{\"include_usage\":true}")
        }
    };
    out.arena.extend_from_slice(text);
    Some(Edit {
        instead_of,
        text: out.written_since(start),
    })
}

fn edited_length(edits: &Edits, length: usize) -> usize {
    let edits = edits.iter().flatten();
    edits.fold(length, |sum, Edit { instead_of, text }| {
        sum + text.len() - instead_of.len()
    })
}

fn write_pieces(out: &mut Outputs, edits: &Edits, body: &[u8], decoded: bool) -> Range<u32> {
    let first = out.pieces.len() as u32;
    let mut at = 0;
    for Edit { instead_of, text } in edits.iter().flatten() {
        push_body(out, body, at..instead_of.start, decoded);
        out.pieces.push(Piece::Arena(text.clone()));
        at = instead_of.end;
    }
    push_body(out, body, at..body.len(), decoded);
    first..out.pieces.len() as u32
}

fn push_body(out: &mut Outputs, body: &[u8], range: Range<usize>, decoded: bool) {
    if range.is_empty() {
        return;
    }
    if decoded {
        // Copied: what the shell holds is the encoded body.
        let start = out.arena.len();
        out.arena.extend_from_slice(&body[range]);
        let copied = out.written_since(start);
        out.pieces.push(Piece::Arena(copied));
    } else {
        out.pieces
            .push(Piece::RequestBody(range.start as u32..range.end as u32));
    }
}

/// Which of the client's headers a provider sees. CORS is the gateway's own affair, and so is the content coding.
fn passes(field: &Field, buf: &[u8], upstream: &Upstream) -> bool {
    let known_passes = match field.known {
        Known::Other
        | Known::Accept
        | Known::AnthropicVersion
        | Known::ContentType
        | Known::Date
        | Known::IdempotencyKey
        | Known::RequestId
        | Known::RetryAfter
        | Known::Server
        | Known::XRatelimit
        | Known::XRequestId => true,
        Known::AcceptEncoding
        | Known::AccessControlRequestHeaders
        | Known::AccessControlRequestMethod
        | Known::ApiKey
        | Known::Authorization
        | Known::Connection
        | Known::ContentEncoding
        | Known::ContentLength
        | Known::Cookie
        | Known::Expect
        | Known::Forwarded
        | Known::Host
        | Known::KeepAlive
        | Known::OpenaiOrganization
        | Known::OpenaiProject
        | Known::Origin
        | Known::ProxyAuthenticate
        | Known::ProxyAuthorization
        | Known::ProxyConnection
        | Known::SetCookie
        | Known::Te
        | Known::Trailer
        | Known::TransferEncoding
        | Known::Upgrade
        | Known::XApiKey
        | Known::XForwarded
        | Known::XForwardedFor
        | Known::XGoogApiKey
        | Known::XTollgateCache
        | Known::XTollgate
        | Known::XTollgateTags
        | Known::XTollgateTimeout => false,
    };
    known_passes
        && !(upstream.signs && is_signatures(field.name.of(buf)))
        && !upstream
            .header_names
            .iter()
            .any(|name| field.name.of(buf).eq_ignore_ascii_case(name.as_bytes()))
}

/// Headers of AWS's signatures: every one that is sent must be signed, and a client's own are for another account.
fn is_signatures(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"x-amz-";
    name.get(..PREFIX.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}
