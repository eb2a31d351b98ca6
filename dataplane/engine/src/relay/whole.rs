//! Usage of an answer that is one JSON document. Where it arrives in one piece nothing is copied.

use super::{MAX_HELD_BYTES, Mode, Relay, usage_of_answer};
use crate::{decode, exchange::Exchange, outputs::ReplyFraming};

/// Bytes of a decoded answer at most.
const MAX_DECODED_BYTES: u64 = 4 * 1024 * 1024;

pub(super) fn read(exchange: &mut Exchange, bytes: &[u8]) {
    let dialect = exchange.facts.surface.dialect;
    let relay = &mut exchange.relay;
    if relay.framing == Some(ReplyFraming::Length(bytes.len() as u64)) {
        exchange.facts.usage = usage_of_answer(dialect, bytes);
        relay.mode = Mode::Unread;
    } else {
        keep(relay, bytes);
    }
}

/// Keeps a copy for reading; an answer beyond the limit is not read.
pub(super) fn keep(relay: &mut Relay, bytes: &[u8]) {
    if relay.held.len() + bytes.len() > MAX_HELD_BYTES {
        relay.held = Vec::new();
        relay.mode = Mode::Unread;
    } else {
        relay.held.extend_from_slice(bytes);
    }
}

pub(super) fn finish(exchange: &mut Exchange) {
    let dialect = exchange.facts.surface.dialect;
    let relay = &mut exchange.relay;
    exchange.facts.usage = match relay.mode {
        Mode::Whole => usage_of_answer(dialect, &relay.held),
        Mode::WholeGzip => {
            decode::gzip_answer(&relay.held, MAX_DECODED_BYTES).and_then(|body| usage_of_answer(dialect, &body))
        }
        Mode::Unread | Mode::Events => None,
    };
    relay.held.clear();
}
