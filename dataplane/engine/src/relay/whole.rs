//! Usage of an answer that is one JSON document. Where it arrives in one piece nothing is copied; a short one in parts
//! is gathered; a long one is listened to as it passes.

use tollgate_config::document::Dialect;
use tollgate_dialect::{anthropic, openai_chat, usage::Usage};
use tollgate_wire::json::tap::{Tap, Tapped};

use super::{MAX_HELD_BYTES, Mode, Relay, usage_of_answer};
use crate::{decode, exchange::Exchange};

/// Longer answers in parts are tapped: gathering is cheaper for those that fit into a few reads.
const MAX_GATHERED_BYTES: usize = 64 * 1024;
/// A `usage` object beyond this is none.
const MAX_USAGE_BYTES: usize = 16 * 1024;
/// Bytes of a decoded answer at most.
const MAX_DECODED_BYTES: u64 = 4 * 1024 * 1024;

pub(super) fn read(exchange: &mut Exchange, bytes: &[u8]) {
    let dialect = exchange.answer_dialect();
    let relay = &mut exchange.relay;
    if relay.came_length == Some(bytes.len() as u64) {
        exchange.facts.usage = usage_of_answer(dialect, bytes);
        relay.mode = Mode::Unread;
        return;
    }
    if let Some(tap) = &mut relay.tap {
        return tap.feed(bytes);
    }
    if relay.held.len() + bytes.len() <= MAX_GATHERED_BYTES {
        return relay.held.extend_from_slice(bytes);
    }
    let mut tap = Box::new(Tap::new("usage", MAX_USAGE_BYTES));
    tap.feed(&relay.held);
    tap.feed(bytes);
    relay.held = Vec::new();
    relay.tap = Some(tap);
}

/// Keeps a copy of a compressed answer for reading; one beyond the limit is not read.
pub(super) fn keep(relay: &mut Relay, bytes: &[u8]) {
    if relay.held.len() + bytes.len() > MAX_HELD_BYTES {
        relay.held = Vec::new();
        relay.mode = Mode::Unread;
    } else {
        relay.held.extend_from_slice(bytes);
    }
}

pub(super) fn finish(exchange: &mut Exchange) {
    let dialect = exchange.answer_dialect();
    let relay = &mut exchange.relay;
    exchange.facts.usage = match (relay.mode, relay.tap.take()) {
        (Mode::Whole, Some(tap)) => usage_of_tap(dialect, &tap),
        (Mode::Whole, None) => usage_of_answer(dialect, &relay.held),
        (Mode::WholeGzip, _) => {
            decode::gzip_answer(&relay.held, MAX_DECODED_BYTES).and_then(|body| usage_of_answer(dialect, &body))
        }
        (Mode::Unread | Mode::Events | Mode::EventsGzip | Mode::Binary | Mode::Translated, _) => None,
    };
    relay.held.clear();
}

fn usage_of_tap(dialect: Option<Dialect>, tap: &Tap) -> Option<Usage> {
    let Tapped::Value(object) = tap.outcome() else {
        return None;
    };
    match dialect? {
        Dialect::OpenAi => openai_chat::usage_of_object(object),
        Dialect::Anthropic => anthropic::usage_of_object(object),
        _ => None,
    }
}
