//! The head of a provider's answer → the head of ours.

use tollgate_config::document::Dialect;
use tollgate_dialect::listen::{Form, Words};
use tollgate_wire::{
    head::{Field, Framing, Known, ResponseView},
    http1::write,
};

use super::{
    Mode, alive,
    beside::{self, Listener},
    estimate, hold, stall, tally, translated,
};
use crate::{
    attempt::{resume, route_index},
    cors,
    decode::Coding,
    exact,
    exchange::{Exchange, Io, Phase},
    explain,
    names::header,
    outputs::{Action, ReplyFraming},
    reply, sealing,
    snapshot::{TargetModel, write_target_lines},
    speaks, upward, visible,
};

pub(crate) fn head(exchange: &mut Exchange, io: &mut Io<'_>, answer: ResponseView<'_>) {
    let status = answer.head.status;
    let own = exchange
        .call
        .translated
        .as_ref()
        .map(|sent| sent.own && (200..300).contains(&status));
    let lists = exchange.call.listing.is_some();
    let cuts = exchange.held.cuts() && (200..300).contains(&status) && is_stream(exchange, answer);
    // What is no events as they come is written anew where it may have to end early.
    let cuts_beside = cuts && own.is_none() && how_read(answer).is_some_and(|how| how.mode() == Mode::Events);
    let anew = own == Some(false)
        || lists
        || is_said_anew(exchange, status)
        || resume::reads(exchange, answer)
        || cuts && !cuts_beside;
    exchange.relay.tally = tally::begin(exchange, io, answer);
    exchange.relay.outlives_call = exchange.relay.tally.as_ref().is_some_and(|tally| tally.outlives_call());
    // What is no stream of the client's dialect, in plain bytes, must become one that has begun.
    let opened = exchange.relay.is_opened();
    let pours = opened && !((200..300).contains(&status) && is_stream(exchange, answer) && is_plain(answer));
    if anew || pours {
        return translated::head(exchange, io, answer);
    }
    let framing = framing(answer);
    let read = how_read(answer);
    let framed = frames_events(exchange) && read.is_some_and(|how| how.form == Form::Messages && how.coding.is_none());
    exchange.relay.mode = match read {
        Some(_) if framed && own.is_some() => {
            exchange.relay.unwrapper = Some(Box::default());
            Mode::Events
        }
        read => read.map_or(Mode::Unread, How::mode),
    };
    let seals = seals(exchange);
    exchange.relay.sealer = seals.then(Box::default);
    if let ReplyFraming::Length(length) = framing {
        exchange.relay.came_length = Some(length);
    }
    if exchange.call.object.is_some() && exchange.relay.mode != Mode::Events {
        sealing::owned::forget_deleted(exchange, io);
        // What an object says of usage was used when it was made.
        exchange.relay.mode = Mode::Unread;
    }
    if exchange.call.through.is_some_and(|through| !through.uses) {
        // Nor was it by a call that asks about something.
        exchange.relay.mode = Mode::Unread;
    }
    exchange.relay.said = estimate::said(exchange);
    let heard = read.filter(|_| exchange.relay.mode != Mode::Unread);
    exchange.relay.listener = heard.and_then(|how| listener(exchange, how));
    if cuts_beside {
        exchange.relay.cutter = Some(translated::answering(exchange, io, answer));
    }
    // Taking bytes out of a stream changes its length, and so do sealed ids.
    let unwraps = exchange.relay.unwrapper.is_some();
    let edits =
        exchange.relay.mode == Mode::Events && exchange.call.added_usage || seals || unwraps || opened || cuts_beside;
    let framing = if edits && !matches!(framing, ReplyFraming::Empty(None) | ReplyFraming::Length(0)) {
        ReplyFraming::Stream
    } else {
        framing
    };
    exchange.relay.framing = Some(framing);
    exchange.relay.status = status;
    let start = io.out.arena.len();
    write_lines(exchange, io, answer);
    super::wait_anew(exchange, io);
    stall::answer_begins(exchange, io, answer);
    alive::answer_begins(exchange, io);
    if hold::begin(exchange, io, status, start) {
        return;
    }
    exchange.facts.answer_begins(status, io.now);
    reply::write_common_lines(exchange, io);
    let lines = io.out.written_since(start);
    if !opened {
        io.out.actions.push(Action::Head { status, lines, framing });
    }
    exchange.set_phase(Phase::Relaying);
}

fn is_plain(answer: ResponseView<'_>) -> bool {
    matches!(
        Coding::of(answer.get(Known::ContentEncoding).unwrap_or_default()),
        Ok(None)
    )
}

/// Must an error answer not pass as it is, though the client speaks its dialect? What a provider says of a credential may
/// show part of the gateway's, and what it says of an object names it as no client may know it.
fn is_said_anew(exchange: &Exchange, status: u16) -> bool {
    let names_objects = !exchange.admitted.opened.is_empty() || exchange.call.object.is_some();
    let passes_through = exchange.facts.direct.is_some() && exchange.call.object.is_none();
    !passes_through && (matches!(status, 401 | 403) || status >= 400 && names_objects)
}

/// Has the answer ids that the client must see sealed? What comes compressed, though `identity` was asked for, passes as it
/// is: the ids in it open nothing.
fn seals(exchange: &Exchange) -> bool {
    let readable = matches!(exchange.relay.mode, Mode::Whole | Mode::Events);
    let has_key = |provider: usize| exchange.pin().snapshot.upstreams[provider].ids.key.is_some();
    exchange.facts.surface.seals && readable && exchange.call.provider.is_some_and(has_key)
}

/// Who hears an answer of which more is wanted than a look.
fn listener(exchange: &Exchange, how: How) -> Option<Box<Listener>> {
    let dialect = exchange.answer_dialect().filter(|_| exchange.call.object.is_none())?;
    let hears = match how.mode() {
        _ if exchange.relay.unwrapper.is_some() => false,
        Mode::Heard if how.form == Form::Messages && how.coding.is_none() && frames_events(exchange) => {
            return Some(Listener::framed());
        }
        Mode::Heard => true,
        Mode::Events => !beside::is_found_by_a_look(dialect),
        Mode::Whole | Mode::Unread | Mode::Translated | Mode::Single | Mode::Listed => false,
    };
    let words = Words::Chat(speaks::of(dialect));
    hears.then(|| Listener::new(words, how.form, how.coding))
}

/// Are the events of this provider's streams Anthropic's, in frames of AWS?
fn frames_events(exchange: &Exchange) -> bool {
    let provider = exchange.call.provider;
    provider.is_some_and(|provider| exchange.pin().snapshot.upstreams[provider].frames_events)
}

fn framing(answer: ResponseView<'_>) -> ReplyFraming {
    match (answer.head.status, answer.head.framing) {
        (204 | 304, _) => ReplyFraming::Empty(None),
        (_, Framing::None) => ReplyFraming::Length(0),
        (_, Framing::Length(length)) => ReplyFraming::Length(length),
        (_, Framing::Chunked | Framing::UntilClose) => ReplyFraming::Stream,
    }
}

/// How an answer can be read while it passes.
#[derive(Clone, Copy)]
struct How {
    form: Form,
    coding: Option<Coding>,
}

impl How {
    fn mode(self) -> Mode {
        match (self.form, self.coding) {
            (Form::Events, None) => Mode::Events,
            (Form::Document, None) => Mode::Whole,
            (Form::Messages, _) | (_, Some(_)) => Mode::Heard,
        }
    }
}

/// `None`: not at all.
fn how_read(answer: ResponseView<'_>) -> Option<How> {
    if !(200..300).contains(&answer.head.status) {
        return None;
    }
    let coding = Coding::of(answer.get(Known::ContentEncoding).unwrap_or_default()).ok()?;
    let content_type = answer.get(Known::ContentType).unwrap_or_default();
    let form = if kind(content_type).eq_ignore_ascii_case(AWS_EVENT_STREAM) {
        Form::Messages
    } else if is_server_sent(content_type) {
        Form::Events
    } else if is_media(content_type) {
        return None;
    } else {
        Form::Document
    };
    Some(How { form, coding })
}

/// Sounds, pictures and films hold no usage.
fn is_media(content_type: &[u8]) -> bool {
    let media: [&[u8]; 4] = [b"audio/", b"image/", b"video/", b"application/octet-stream"];
    let begins = |with: &&[u8]| {
        content_type
            .get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    media.iter().any(begins)
}

const AWS_EVENT_STREAM: &[u8] = b"application/vnd.amazon.eventstream";

/// Is the answer a stream? Google's may be arrays, which say of themselves that they are JSON.
pub(crate) fn is_stream(exchange: &Exchange, answer: ResponseView<'_>) -> bool {
    let events = answer.get(Known::ContentType).is_some_and(is_event_stream);
    events || exchange.facts.stream && translated::spoken(exchange) == Dialect::Gemini
}

/// A stream of events in either framing.
fn is_event_stream(content_type: &[u8]) -> bool {
    is_server_sent(content_type) || kind(content_type).eq_ignore_ascii_case(AWS_EVENT_STREAM)
}

pub(super) fn is_server_sent(content_type: &[u8]) -> bool {
    kind(content_type).eq_ignore_ascii_case(b"text/event-stream")
}

/// The media type without its parameters.
fn kind(content_type: &[u8]) -> &[u8] {
    content_type
        .split(|&byte| byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}

fn write_lines(exchange: &Exchange, io: &mut Io<'_>, answer: ResponseView<'_>) {
    let out = &mut io.out.arena;
    out.reserve(answer.buf.len() + 512);
    let own_cors = cors::configured(exchange).is_some();
    let unwraps = exchange.relay.unwrapper.is_some();
    write::forward(out, answer.buf, &answer.head.fields.lines, |field| {
        passes(field, answer.buf, own_cors) && !(unwraps && field.known == Known::ContentType)
    });
    if unwraps {
        write::header(out, header::CONTENT_TYPE, b"text/event-stream; charset=utf-8");
    }
    write_target(exchange, out);
    if let Some(id) = answer.get(Known::XRequestId).or_else(|| answer.get(Known::RequestId)) {
        visible::header(out, header::UPSTREAM_REQUEST_ID, id);
    }
}

/// Appends who answered, after how many attempts, and what the request lost on the way.
pub(super) fn write_target(exchange: &Exchange, out: &mut Vec<u8>) {
    let pinned = exchange.pin();
    let snapshot = &pinned.snapshot;
    if let Some(live) = exchange.call.live {
        let target = &snapshot.routes[route_index(exchange)].targets[live.target];
        match &target.model {
            TargetModel::Fixed { answer_lines, .. } => out.extend_from_slice(answer_lines),
            TargetModel::Star { .. } => {
                let provider = &snapshot.document.providers[target.provider].0;
                write_target_lines(out, provider, &exchange.call.star_model);
            }
        }
    }
    write::header_u64(out, header::ATTEMPTS, u64::from(exchange.call.tried));
    exact::write_mark(exchange, out);
    explain::write_line(out, exchange);
    if let Some(dropped) = upward::dropped(exchange) {
        visible::header(out, header::DROPPED, dropped.as_bytes());
    }
}

/// Which of a provider's headers the client sees.
fn passes(field: &Field, buf: &[u8], own_cors: bool) -> bool {
    match field.known {
        Known::Other => {
            let name = field.name.of(buf);
            let cors = b"access-control-";
            let is_cors = own_cors && name.len() > cors.len() && name[..cors.len()].eq_ignore_ascii_case(cors);
            // `alt-svc` speaks of the provider's own address, which the client did not call.
            !(is_cors || name.len() == 7 && name.eq_ignore_ascii_case(b"alt-svc"))
        }
        Known::Connection
        | Known::ContentLength
        | Known::KeepAlive
        | Known::ProxyAuthenticate
        | Known::ProxyConnection
        | Known::RequestId
        | Known::SetCookie
        | Known::Te
        | Known::Trailer
        | Known::TransferEncoding
        | Known::Upgrade
        | Known::XRatelimit
        | Known::XRequestId
        | Known::XTollgate
        | Known::XTollgateCache
        | Known::XTollgateTags
        | Known::XTollgateTimeout => false,
        _ => true,
    }
}
