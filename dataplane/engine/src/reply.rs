//! Answers that the gateway gives itself: errors, lists, health.

use std::ops::Range;

use tollgate_config::document::Dialect;
use tollgate_dialect::canonical::fault::Fault;
use tollgate_wire::http1::write;

use crate::{
    cors,
    exchange::{Exchange, Io},
    explain,
    failure::{self, Failure, Kind},
    limits,
    names::header,
    outputs::{Action, ReplyFraming},
    record::Outcome,
    speaks, visible,
};

/// Answers with an error and ends the exchange.
pub(crate) fn failure(exchange: &mut Exchange, io: &mut Io<'_>, failure: &Failure) {
    let status = failure.kind.status();
    exchange.facts.rejected = Some(failure.kind.code());
    let start = io.out.arena.len();
    failure::write_body(&mut io.out.arena, exchange, failure);
    let body = io.out.written_since(start);
    whole(
        exchange,
        io,
        Reply {
            status,
            content_type: b"application/json",
            body,
        },
        |out, exchange| {
            match failure.kind {
                Kind::NoKey | Kind::UnknownKey | Kind::ExpiredKey | Kind::RemoteKey => {
                    write::header(out, header::WWW_AUTHENTICATE, b"Bearer");
                }
                Kind::WrongMethod => write::header(out, header::ALLOW, exchange.facts.surface.allow.as_bytes()),
                _ => {}
            }
            if let Kind::Limited(limited) = &failure.kind {
                limits::write_refusal(limited, out);
            }
            if let Some(seconds) = failure.kind.retry_after_s() {
                write::header_u64(out, header::RETRY_AFTER, seconds);
            }
            if status == 501 {
                // The official SDKs try every 5xx again unless told not to.
                write::header(out, header::SHOULD_RETRY, b"false");
            }
            write_fault_header(out, exchange, &failure::fault(exchange, failure));
            write_target_lines(out, exchange);
        },
    );
}

/// A header that the client's dialect has for its errors.
pub(crate) fn write_fault_header(out: &mut Vec<u8>, exchange: &Exchange, fault: &Fault) {
    let dialect = exchange.facts.surface.dialect;
    if let Some((name, value)) = dialect.and_then(|dialect| speaks::of(dialect).fault_header(fault)) {
        write::header(out, name.as_bytes(), value.as_bytes());
    }
}

/// A whole answer, its body already in the arena.
pub(crate) struct Reply {
    pub status: u16,
    pub content_type: &'static [u8],
    pub body: Range<u32>,
}

/// Sends it and ends the exchange. `more` appends header lines of its own.
pub(crate) fn whole(
    exchange: &mut Exchange,
    io: &mut Io<'_>,
    reply: Reply,
    more: impl FnOnce(&mut Vec<u8>, &Exchange),
) {
    let start = io.out.arena.len();
    if !reply.body.is_empty() {
        write::header(&mut io.out.arena, header::CONTENT_TYPE, reply.content_type);
    }
    more(&mut io.out.arena, exchange);
    exchange.facts.answer_begins(reply.status, io.now);
    write_common_lines(exchange, io);
    let lines = io.out.written_since(start);
    let length = u64::from(reply.body.end - reply.body.start);
    let framing = match (reply.status, exchange.facts.head_request) {
        (204, _) => ReplyFraming::Empty(None),
        (_, true) => ReplyFraming::Empty(Some(length)),
        (_, false) => ReplyFraming::Length(length),
    };
    io.out.actions.push(Action::Head {
        status: reply.status,
        lines,
        framing,
    });
    if matches!(framing, ReplyFraming::Length(1..)) {
        exchange.facts.response_body_bytes = length;
        io.out.body_from_arena(reply.body);
    }
    exchange.finish(io, Outcome::Complete, Action::End);
}

/// Appends the header lines that every answer carries. The answer's head goes out now.
pub(crate) fn write_common_lines(exchange: &Exchange, io: &mut Io<'_>) {
    let facts = &exchange.facts;
    let out = &mut io.out.arena;
    write::header(out, header::X_REQUEST_ID, facts.request_id.as_bytes());
    match facts.surface.dialect {
        Some(Dialect::Anthropic) => write::header(out, header::REQUEST_ID, facts.request_id.as_bytes()),
        Some(Dialect::Bedrock) => write::header(out, header::AMZN_REQUEST_ID, facts.request_id.as_bytes()),
        _ => {}
    }
    limits::write_lines(exchange, out);
    write_server_timing(out, facts.gateway_ns(io.now));
    cors::write_lines(out, exchange, io.request);
}

/// `server-timing: gw;dur=<milliseconds>` (W3C Server Timing), to the microsecond.
fn write_server_timing(out: &mut Vec<u8>, gateway_ns: u64) {
    let micros = gateway_ns / 1000;
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(header::SERVER_TIMING);
    out.extend_from_slice(b": gw;dur=");
    out.extend_from_slice(digits.format(micros / 1000).as_bytes());
    out.push(b'.');
    for unit in [100, 10, 1] {
        out.push(b'0' + (micros / unit % 10) as u8);
    }
    out.extend_from_slice(b"\r\n");
}

/// Which target was tried last, where one was.
fn write_target_lines(out: &mut Vec<u8>, exchange: &Exchange) {
    explain::write_line(out, exchange);
    if exchange.call.tried == 0 {
        return;
    }
    let record = exchange.record();
    if let Some((_, provider)) = record.provider {
        visible::header(out, header::PROVIDER, provider.as_bytes());
    }
    if let Some(model) = record.upstream_model {
        visible::header(out, header::MODEL, model.as_bytes());
    }
    write::header_u64(out, header::ATTEMPTS, u64::from(exchange.call.tried));
}
