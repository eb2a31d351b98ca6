//! Usage of an answer that is one JSON document. Where it arrives in one piece nothing is copied; a short one in parts
//! is gathered; a long one is listened to as it passes.

use tollgate_config::document::Dialect;
use tollgate_dialect::{
    anthropic, bedrock, cohere,
    embed::{self, Shape},
    gemini, openai_chat, openai_responses,
    usage::Usage,
};
use tollgate_wire::json::tap::{Tap, Tapped};

use super::{MAX_HELD_BYTES, Mode, Relay, listen};
use crate::{
    decode,
    exchange::{Exchange, Io},
    surface::Operation,
};

/// Longer answers in parts are tapped: gathering is cheaper for those that fit into a few reads.
const MAX_GATHERED_BYTES: usize = 64 * 1024;
/// A `usage` object beyond this is none.
const MAX_USAGE_BYTES: usize = 16 * 1024;
/// Bytes of a decoded answer at most.
const MAX_DECODED_BYTES: u64 = 4 * 1024 * 1024;

pub(super) fn read(exchange: &mut Exchange, bytes: &[u8]) {
    let says = Says::of(exchange);
    let relay = &mut exchange.relay;
    if relay.came_length == Some(bytes.len() as u64) {
        exchange.facts.usage = says.usage_of_answer(bytes);
        relay.mode = Mode::Unread;
        return;
    }
    if let Some(tap) = &mut relay.tap {
        return tap.feed(bytes);
    }
    if relay.held.len() + bytes.len() <= MAX_GATHERED_BYTES {
        return relay.held.extend_from_slice(bytes);
    }
    let mut tap = Box::new(Tap::new(says.member(), MAX_USAGE_BYTES));
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
    let says = Says::of(exchange);
    let relay = &mut exchange.relay;
    exchange.facts.usage = match (relay.mode, relay.tap.take()) {
        (Mode::Whole, Some(tap)) => says.usage_of_tap(&tap),
        (Mode::Whole, None) => says.usage_of_answer(&relay.held),
        (Mode::WholeGzip, _) => {
            decode::gzip_answer(&relay.held, MAX_DECODED_BYTES).and_then(|body| says.usage_of_answer(&body))
        }
        (Mode::Unread | Mode::Events | Mode::EventsGzip | Mode::Binary | Mode::Translated | Mode::Single, _) => None,
    };
    relay.held.clear();
}

/// Counts here what embeddings used, where the provider says nothing of it (Gemini mostly does not).
pub(super) fn estimate(exchange: &mut Exchange, io: &Io<'_>) {
    let Operation::Embed(shape) = exchange.facts.surface.operation else {
        return;
    };
    if exchange.facts.usage.is_some() || !(200..300).contains(&exchange.relay.status) {
        return;
    }
    let model = exchange.record().upstream_model.unwrap_or_default();
    let estimate = embed::estimate(shape, exchange.admitted.body(io.body), model);
    exchange.facts.usage = estimate.map(|estimate| Usage {
        input: Some(estimate.tokens),
        ..Usage::default()
    });
}

/// Where an answer says what was used.
#[derive(Clone, Copy)]
enum Says {
    Chat(Option<Dialect>),
    Embed(Shape),
    /// Counts of what was not used, and calls that use no tokens.
    Nothing,
}

impl Says {
    fn of(exchange: &Exchange) -> Says {
        match exchange.facts.surface.operation {
            Operation::Embed(shape) => Says::Embed(shape),
            Operation::CountTokens(_) | Operation::Rerank => Says::Nothing,
            Operation::Chat | Operation::Other(_) => Says::Chat(exchange.answer_dialect()),
        }
    }

    /// The top-level member that has it.
    fn member(self) -> &'static str {
        match self {
            Says::Embed(shape) => embed::usage_member(shape),
            Says::Chat(Some(Dialect::Gemini)) => "usageMetadata",
            Says::Chat(_) | Says::Nothing => "usage",
        }
    }

    fn usage_of_answer(self, body: &[u8]) -> Option<Usage> {
        match self {
            Says::Chat(Some(Dialect::OpenAi)) => openai_chat::usage_of_answer(body),
            Says::Chat(Some(Dialect::Anthropic)) => anthropic::usage_of_answer(body),
            Says::Chat(dialect) => listen::usage_of_answer(dialect?, body),
            Says::Embed(shape) => embed::usage_of_answer(shape, body),
            Says::Nothing => None,
        }
    }

    fn usage_of_tap(self, tap: &Tap) -> Option<Usage> {
        let Tapped::Value(object) = tap.outcome() else {
            return None;
        };
        match self {
            Says::Chat(dialect) => match dialect? {
                Dialect::OpenAi => openai_chat::usage_of_object(object),
                Dialect::OpenAiResponses => openai_responses::usage_of_object(object),
                Dialect::Anthropic => anthropic::usage_of_object(object),
                Dialect::Gemini => gemini::usage_of_object(object),
                Dialect::Cohere => cohere::usage_of_object(object),
                Dialect::Bedrock => bedrock::usage_of_object(object),
            },
            Says::Embed(shape) => embed::usage_of_member(shape, object),
            Says::Nothing => None,
        }
    }
}
