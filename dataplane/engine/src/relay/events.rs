//! A stream of server-sent events on its way down. Whole events are passed on in the turn they arrive; the part of one
//! that is cut between two reads waits for its rest, so that a stream that breaks can end with a clean error event (no
//! client acts on half an event, so nothing is late).

use std::ops::Range;

use memchr::memmem;
use tollgate_config::document::Dialect;
use tollgate_dialect::{anthropic, mentions_usage, openai_chat, usage::Usage};
use tollgate_wire::{
    json::edit,
    sse::{Event, Splitter},
};

use super::{MAX_HELD_BYTES, Mode, Relay, beside, faults, send};
use crate::{
    exchange::{Exchange, Io},
    outputs::{Outputs, Piece},
    sealing::answer,
};

pub(super) fn pass(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) {
    if exchange.relay.sealer.is_some() {
        return pass_sealed(exchange, io, bytes);
    }
    let first = io.out.pieces.len() as u32;
    let long = match exchange.relay.passes_long {
        true => pass_long(exchange, io.out, bytes),
        false => 0,
    };
    let bytes = bytes.get(long..).unwrap_or_default();
    let strips = exchange.call.added_usage;
    let dialect = exchange.answer_dialect();
    let relay = &mut exchange.relay;
    if relay.held.is_empty() {
        let boundary = last_boundary(bytes);
        read_events(relay, dialect, strips, &bytes[..boundary]);
        push_kept(&relay.cuts, boundary, |range| {
            io.out.push_input(long + range.start..long + range.end)
        });
        relay.held.extend_from_slice(&bytes[boundary..]);
    } else {
        let mut held = std::mem::take(&mut relay.held);
        // What was held has no boundary; a new one begins at most three bytes before its end.
        let looked_at = held.len().saturating_sub(3);
        held.extend_from_slice(bytes);
        let boundary = match last_boundary(&held[looked_at..]) {
            0 => 0,
            at => looked_at + at,
        };
        read_events(relay, dialect, strips, &held[..boundary]);
        push_copied(io.out, &relay.cuts, &held[..boundary]);
        held.drain(..boundary);
        relay.held = held;
    }
    if relay.held.len() > MAX_HELD_BYTES {
        relay.passes_long = true;
        relay.hear_long_event(dialect);
        if let Some(listener) = &mut relay.listener {
            // What is held has no boundary.
            listener.feed(&relay.held);
        }
        release(io.out, relay);
    }
    note_usage(exchange);
    faults::tell(exchange, io);
    send(exchange, io, first);
}

/// Passes on whole events that do not stand in the input.
pub(super) fn pass_copied(exchange: &mut Exchange, io: &mut Io<'_>, events: &[u8]) {
    let first = io.out.pieces.len() as u32;
    let (dialect, strips) = (exchange.answer_dialect(), exchange.call.added_usage);
    let relay = &mut exchange.relay;
    read_events(relay, dialect, strips, events);
    push_copied(io.out, &relay.cuts, events);
    note_usage(exchange);
    faults::tell(exchange, io);
    send(exchange, io, first);
}

fn note_usage(exchange: &mut Exchange) {
    let relay = &exchange.relay;
    let heard = relay.listener.as_ref().and_then(|listener| listener.usage());
    let looked = Some(relay.usage).filter(|usage| *usage != Usage::default());
    exchange.facts.usage = heard.or(looked).or(exchange.facts.usage);
}

/// Passes an event that is too long to be held, as it comes; gives where it ends.
fn pass_long(exchange: &mut Exchange, out: &mut Outputs, bytes: &[u8]) -> usize {
    let dialect = exchange.answer_dialect();
    let relay = &mut exchange.relay;
    let end = relay.listener.as_mut().and_then(|listener| listener.feed_event(bytes));
    if end.is_some() {
        relay.passes_long = false;
        if let (Some(listener), true) = (&relay.listener, dialect.is_some_and(beside::is_found_by_a_look)) {
            // The events behind it are short again, and a look at them will do.
            relay.usage.merge(&listener.usage().unwrap_or_default());
            relay.listener = None;
        }
    }
    let end = end.unwrap_or(bytes.len());
    out.push_input(0..end);
    end
}

/// The same with the ids in the events sealed.
fn pass_sealed(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) {
    let first = io.out.pieces.len() as u32;
    let mut held = std::mem::take(&mut exchange.relay.held);
    let looked_at = held.len().saturating_sub(3);
    let in_input = held.is_empty();
    if !in_input {
        held.extend_from_slice(bytes);
    }
    let all = if in_input { bytes } else { &held };
    let boundary = match last_boundary(&all[looked_at..]) {
        0 => 0,
        at => looked_at + at,
    };
    let events = &all[..boundary];
    if exchange.call.object.is_none() {
        let dialect = exchange.answer_dialect();
        read_events(&mut exchange.relay, dialect, false, events);
        note_usage(exchange);
        faults::tell(exchange, io);
    }
    let sealed = answer::in_events(exchange, io, events);
    let out = &mut io.out;
    let mut at = 0;
    for (instead_of, text) in sealed.into_iter().chain([(boundary..boundary, 0..0)]) {
        if in_input {
            out.push_input(at..instead_of.start);
        } else {
            let start = out.arena.len();
            out.arena.extend_from_slice(&events[at..instead_of.start]);
            out.push_written(start);
        }
        if !text.is_empty() {
            out.pieces.push(Piece::Arena(text));
        }
        at = instead_of.end;
    }
    if in_input {
        held.extend_from_slice(&bytes[boundary..]);
    } else {
        held.drain(..boundary);
    }
    if held.len() > MAX_HELD_BYTES {
        // From here on ids are sealed wherever they stand, and usage is heard.
        let dialect = exchange.answer_dialect().filter(|_| exchange.call.object.is_none());
        exchange.relay.mode = Mode::Heard;
        exchange.relay.hear_long_event(dialect);
        beside::hear(exchange, &held);
        answer::pass_copied(exchange, io, &held);
        held = Vec::new();
    }
    exchange.relay.held = held;
    send(exchange, io, first);
}

/// The stream is complete: what is held goes out, though its last blank line is missing.
pub(super) fn flush(exchange: &mut Exchange, io: &mut Io<'_>) {
    let first = io.out.pieces.len() as u32;
    if exchange.relay.sealer.is_some() {
        let held = std::mem::take(&mut exchange.relay.held);
        answer::pass_copied(exchange, io, &held);
    } else {
        release(io.out, &mut exchange.relay);
    }
    send(exchange, io, first);
}

fn release(out: &mut Outputs, relay: &mut Relay) {
    if !relay.held.is_empty() {
        push_copied(out, &[], &relay.held);
        relay.held = Vec::new();
    }
}

/// Behind the last blank line; zero when there is none.
fn last_boundary(bytes: &[u8]) -> usize {
    let is_end = |end: usize| {
        let before = &bytes[..end];
        before.ends_with(b"\n\n") || before.ends_with(b"\n\r\n") || before.ends_with(b"\r\r")
    };
    if is_end(bytes.len()) {
        return bytes.len();
    }
    let mut ends = memchr::memrchr2_iter(b'\n', b'\r', bytes).map(|at| at + 1);
    ends.find(|&end| is_end(end)).unwrap_or(0)
}

/// Reads usage from whole events, and notes in `cuts` what of them must not reach the client.
fn read_events(relay: &mut Relay, dialect: Option<Dialect>, strips: bool, events: &[u8]) {
    relay.cuts.clear();
    faults::look(&mut relay.faults, dialect, events);
    if let Some(listener) = &mut relay.listener {
        return listener.feed(events);
    }
    let Relay { cuts, usage, .. } = relay;
    if !mentions_usage(events) {
        return;
    }
    let mut splitter = Splitter::new(MAX_HELD_BYTES);
    let read = splitter.feed(events, |event| {
        if !mentions_usage(event.data) {
            return;
        }
        match dialect {
            Some(Dialect::Anthropic) => {
                anthropic::read_event(event.data, usage);
            }
            _ => read_chunk(events, event, strips, usage, cuts),
        }
    });
    if read.is_err() {
        // Longer than an event may be: it passes as it is.
        cuts.clear();
    }
}

fn read_chunk(events: &[u8], event: Event<'_>, strips: bool, usage: &mut Usage, cuts: &mut Vec<Range<usize>>) {
    let Some(chunk) = openai_chat::read_chunk(event.data) else {
        return;
    };
    if let Some(read) = chunk.usage {
        *usage = read;
    }
    if !strips {
        return;
    }
    let raw = event.raw_start as usize..event.raw_end as usize;
    if chunk.only_usage {
        cuts.push(raw);
    } else if let Some(value) = chunk.usage_value {
        let data_at = match event.data_in_input {
            Some(span) => span.start as usize,
            // Several data lines: in them the member cannot be found as one range, and it stays.
            None => match memmem::find(&events[raw.clone()], event.data) {
                Some(at) => raw.start + at,
                None => return,
            },
        };
        let member = edit::member(event.data, value).range();
        cuts.push(data_at + member.start..data_at + member.end);
    }
}

/// What of `0..end` is left beside the cuts.
fn push_kept(cuts: &[Range<usize>], end: usize, mut push: impl FnMut(Range<usize>)) {
    let mut at = 0;
    for cut in cuts.iter().chain([&(end..end)]) {
        if at < cut.start {
            push(at..cut.start);
        }
        at = cut.end;
    }
}

fn push_copied(out: &mut Outputs, cuts: &[Range<usize>], bytes: &[u8]) {
    let start = out.arena.len();
    let mut at = 0;
    for cut in cuts.iter().chain([&(bytes.len()..bytes.len())]) {
        out.arena.extend_from_slice(&bytes[at..cut.start]);
        at = cut.end;
    }
    let copied = out.written_since(start);
    if !copied.is_empty() {
        out.pieces.push(Piece::Arena(copied));
    }
}
