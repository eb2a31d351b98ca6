//! How long a stream may say nothing: what keeps a connection busy without a word of the answer is no sign of life.

use tollgate_config::document::TokenTimeouts;
use tollgate_wire::head::ResponseView;

use super::Mode;
use crate::{
    attempt::{held, route_index, scout::Scout},
    exchange::{Exchange, Io},
    failure::Waited,
};

#[derive(Debug, Default)]
pub(super) struct Stall {
    /// Events that say something are counted.
    pub on: bool,
    seen: u64,
    /// Counts them in what passes untouched; what is translated is read in any case.
    scout: Option<Box<Scout>>,
}

fn timeouts(exchange: &Exchange) -> TokenTimeouts {
    let target = || {
        let live = exchange.call.live?;
        exchange.pinned()?.snapshot.routes[route_index(exchange)]
            .targets
            .get(live.target)
    };
    target().map(|target| target.tokens).unwrap_or_default()
}

/// The request went up.
pub(crate) fn begin(exchange: &mut Exchange, io: &Io<'_>) {
    if exchange.facts.stream {
        let first_ms = timeouts(exchange).first_token_ms;
        exchange.call.until_token = first_ms.map(|ms| (io.now.plus_ms(ms), Waited::FirstToken));
    }
}

/// The answer goes down from here on.
pub(super) fn answer_begins(exchange: &mut Exchange, io: &Io<'_>, answer: ResponseView<'_>) {
    if !exchange.facts.stream {
        return;
    }
    let timeouts = timeouts(exchange);
    if timeouts == TokenTimeouts::default() {
        return;
    }
    exchange.relay.stall = Stall::default();
    let streams = (200..300).contains(&answer.head.status) && super::is_stream(exchange, answer);
    let translated = exchange.relay.mode == Mode::Translated;
    let scout = match streams && !translated {
        true => held::scout(exchange, answer),
        false => None,
    };
    if !streams || scout.is_none() && !translated {
        exchange.call.until_token = None;
        return;
    }
    if exchange.call.until_token.is_none() {
        exchange.call.until_token = next(timeouts, io);
    }
    exchange.relay.stall = Stall {
        on: true,
        seen: exchange.relay.answering().map_or(0, |answering| answering.content()),
        scout,
    };
}

fn next(timeouts: TokenTimeouts, io: &Io<'_>) -> Option<(crate::Tick, Waited)> {
    timeouts
        .between_tokens_ms
        .map(|ms| (io.now.plus_ms(ms), Waited::NextToken))
}

/// More has come.
pub(super) fn hear(exchange: &mut Exchange, io: &Io<'_>, bytes: &[u8]) {
    if bytes.is_empty() {
        // A slow client made the shell stop reading: the provider is not to blame for that.
        if matches!(exchange.call.until_token, Some((_, Waited::NextToken))) {
            exchange.call.until_token = next(timeouts(exchange), io);
        }
        return;
    }
    if let Some(scout) = &mut exchange.relay.stall.scout {
        scout.feed(bytes);
        let content = scout.seen.content;
        count(exchange, io, content);
    }
}

/// So many events have said something by now.
pub(super) fn count(exchange: &mut Exchange, io: &Io<'_>, content: u64) {
    let stall = &mut exchange.relay.stall;
    if content == stall.seen {
        return;
    }
    stall.seen = content;
    exchange.call.until_token = next(timeouts(exchange), io);
    if exchange.call.until_token.is_none() {
        exchange.relay.stall = Stall::default();
    }
}
