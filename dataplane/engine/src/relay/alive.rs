//! What a client hears while its provider thinks. An answer's head may have to go out for that before it is known who
//! answers: then it is the gateway's own, and what comes of any target is poured into the same stream.

use tollgate_config::document::Dialect;
use tollgate_dialect::canonical::{event::Event, fault::Fault};

use super::{Mode, send, translated};
use crate::{
    Tick,
    attempt::route_index,
    exchange::{Exchange, Io, Phase},
    outputs::{Piece, ReplyFraming},
    speaks,
};

#[derive(Debug, Default)]
pub(super) struct Alive {
    /// How often; zero: never.
    every_ms: u64,
    /// When the client was sent something last.
    pub sent: Tick,
    /// The head is out, and whose answer it becomes may change.
    pub opened: bool,
}

/// Nothing of the answer can be sent yet, but that there will be one is known.
pub(crate) fn awaits(exchange: &mut Exchange) {
    exchange.relay.alive.every_ms = every_ms(exchange);
    if !exchange.relay.alive.opened {
        exchange.relay.alive.sent = exchange.facts.started;
    }
}

/// The answer's head goes out, or has gone out.
pub(super) fn answer_begins(exchange: &mut Exchange, io: &Io<'_>) {
    let relay = &exchange.relay;
    let streams = matches!(relay.mode, Mode::Events | Mode::Translated)
        && relay.framing == Some(ReplyFraming::Stream)
        && exchange.facts.stream;
    let every_ms = if streams { every_ms(exchange) } else { 0 };
    let alive = &mut exchange.relay.alive;
    alive.every_ms = every_ms;
    if !alive.opened {
        alive.sent = io.now;
    }
}

fn every_ms(exchange: &Exchange) -> u64 {
    let route = || exchange.pinned()?.snapshot.routes.get(route_index(exchange));
    match exchange.facts.surface.dialect.and_then(words) {
        Some(_) => route().and_then(|route| route.streams.keep_alive_ms).unwrap_or(0),
        None => 0,
    }
}

/// What says nothing in a dialect. Google's libraries take a comment for half an event; an empty line they pass over. AWS's
/// frames have nothing of the kind.
fn words(dialect: Dialect) -> Option<&'static [u8]> {
    match dialect {
        Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Cohere => Some(b": keep-alive\n\n"),
        Dialect::Anthropic => Some(b"event: ping\ndata: {\"type\": \"ping\"}\n\n"),
        Dialect::Gemini => Some(b"\n"),
        Dialect::Bedrock => None,
    }
}

/// What says that another target goes on, where the dialect has room for it.
pub(super) fn write_resumed(exchange: &Exchange, out: &mut Vec<u8>) {
    let comments = [
        Dialect::OpenAi,
        Dialect::OpenAiResponses,
        Dialect::Anthropic,
        Dialect::Cohere,
    ];
    let dialect = exchange.facts.surface.dialect;
    if dialect.is_some_and(|dialect| comments.contains(&dialect)) {
        out.extend_from_slice(b": tollgate-resumed\n\n");
    }
}

/// When the client must hear something.
pub(crate) fn due(exchange: &Exchange) -> Option<Tick> {
    let alive = &exchange.relay.alive;
    if alive.every_ms == 0 {
        return None;
    }
    let can = match exchange.phase() {
        Phase::Relaying => true,
        _ => alive.opened || exchange.call.held.as_ref().is_some_and(|held| held.is_silent()),
    };
    can.then(|| alive.sent.plus_ms(alive.every_ms))
}

/// Tells the client that it is not forgotten, if it is time for that.
pub(crate) fn beat(exchange: &mut Exchange, io: &mut Io<'_>) {
    if due(exchange).is_none_or(|due| due > io.now) {
        return;
    }
    exchange.relay.alive.sent = io.now;
    if exchange.phase() == Phase::Calling && !exchange.relay.alive.opened {
        exchange.relay.alive.opened = true;
        exchange.relay.framing = Some(ReplyFraming::Stream);
        exchange.facts.answer_begins(200, io.now);
        exchange.facts.wait_begins(io.now);
        translated::send_stream_head(exchange, io);
    }
    // Not into an event that passes as it comes.
    let relay = &exchange.relay;
    let between = !relay.passes_long && (exchange.phase() != Phase::Relaying || relay.mode != Mode::Heard);
    if let Some(words) = exchange.facts.surface.dialect.and_then(words).filter(|_| between) {
        let start = io.out.arena.len();
        io.out.arena.extend_from_slice(words);
        push(exchange, io, start);
    }
}

/// Sends what stands in the arena from `start` on.
pub(super) fn push(exchange: &mut Exchange, io: &mut Io<'_>, start: usize) {
    let written = io.out.written_since(start);
    if !written.is_empty() {
        let first = io.out.pieces.len() as u32;
        io.out.pieces.push(Piece::Arena(written));
        send(exchange, io, first);
    }
}

/// Ends a stream with an error: by the writer that wrote it so far, or else by one that has written nothing.
pub(super) fn write_fault(exchange: &mut Exchange, io: &mut Io<'_>, fault: Fault) {
    let out = &mut io.out.arena;
    if let Some(answering) = &mut exchange.relay.translating.answering {
        return answering.fail(fault, out);
    }
    let facts = translated::call_facts(exchange, translated::asks_for_array(exchange, io), io.unix_ms / 1000);
    let client = exchange.facts.surface.dialect.unwrap_or(Dialect::OpenAi);
    let mut writer = speaks::of(client).stream_writer(&facts);
    writer.write(&Event::Failed(fault), &mut io.out.arena);
}
