//! Another model takes over where the target says that the prompt is too long for it, or that it will not answer. To know,
//! a short error answer is held back until it is whole.

use tollgate_wire::head::{ResponseHead, ResponseView};

use super::{begin, give_up, route_index};
use crate::{
    exchange::{Exchange, Io},
    outputs::AttemptId,
    record::AttemptOutcome,
    relay,
    snapshot::{ModelId, Resolved, Route},
    stage::Verdict,
    stages::route,
};

/// An error longer than this is passed on unread.
const MAX_SUSPECT_BYTES: usize = 16 * 1024;
/// Models lead from one to the next at most so often; `check` refuses those that lead back.
const MAX_TAKEOVERS: u8 = 8;

/// How providers say that a prompt does not fit, in lower case: OpenAI and its likes, Anthropic, Gemini, Bedrock, Cohere,
/// llama.cpp.
const TOO_LONG: [&[u8]; 8] = [
    b"context_length_exceeded",
    b"maximum context length",
    b"prompt is too long",
    b"exceeds the maximum number of tokens",
    b"input is too long",
    b"too many tokens",
    b"exceeds the available context size",
    b"exceed context limit",
];
/// How they say that they will not answer: OpenAI, Azure, Gemini, Bedrock.
const REFUSED: [&[u8]; 5] = [
    b"content_filter",
    b"content_policy_violation",
    b"responsibleaipolicyviolation",
    b"prompt was blocked",
    b"guardrail_intervened",
];

/// An error answer that is held back.
#[derive(Debug)]
pub(crate) struct Suspect {
    head: ResponseHead,
    head_bytes: Vec<u8>,
    body: Vec<u8>,
}

/// Holds the answer back if it may be one that another model takes over; true when it does.
pub(super) fn suspects(exchange: &mut Exchange, answer: ResponseView<'_>) -> bool {
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let named = route.on_context_overflow.is_some() || route.on_refusal.is_some();
    if exchange.facts.is_detached() {
        return false;
    }
    let may = named && matches!(answer.head.status, 400 | 413 | 422) && exchange.call.taken_over < MAX_TAKEOVERS;
    if may {
        exchange.call.suspect = Some(Box::new(Suspect {
            head: answer.head.clone(),
            head_bytes: answer.buf.to_vec(),
            body: Vec::new(),
        }));
    }
    may
}

/// A piece of an answer's body that may belong to a suspect; true when it does.
pub(crate) fn body(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId, bytes: &[u8]) -> bool {
    let live = exchange.call.is_live(id);
    let Some(suspect) = exchange.call.suspect.as_mut().filter(|_| live) else {
        return false;
    };
    suspect.body.extend_from_slice(bytes);
    if suspect.body.len() > MAX_SUSPECT_BYTES {
        release(exchange, io);
    }
    true
}

/// The answer of an attempt is whole; true when another model takes over.
pub(crate) fn end(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId) -> bool {
    let live = exchange.call.is_live(id);
    let Some(suspect) = exchange.call.suspect.as_ref().filter(|_| live) else {
        return false;
    };
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let Some(model) = successor(route, &suspect.body) else {
        release(exchange, io);
        return false;
    };
    exchange.call.suspect = None;
    give_up(exchange, io, AttemptOutcome::Status);
    take_over(exchange, io, model);
    true
}

fn successor(route: &Route, said: &[u8]) -> Option<ModelId> {
    let said = said.to_ascii_lowercase();
    let says = |words: &[&[u8]]| words.iter().any(|word| memchr::memmem::find(&said, word).is_some());
    route
        .on_context_overflow
        .filter(|_| says(&TOO_LONG))
        .or_else(|| route.on_refusal.filter(|_| says(&REFUSED)))
}

/// The call goes on as one for `model`.
fn take_over(exchange: &mut Exchange, io: &mut Io<'_>, model: ModelId) {
    let call = &mut exchange.call;
    call.taken_over += 1;
    call.tried_before = call.tried;
    (call.place, call.came_round) = (0, false);
    exchange.facts.model = Some(Resolved { model, star: 0..0 });
    match route::enter(exchange, io) {
        Verdict::Refuse(failure) => exchange.refuse(failure, io),
        Verdict::Next | Verdict::Pause | Verdict::Taken => begin(exchange, io),
    }
}

/// It is an answer like any other after all.
fn release(exchange: &mut Exchange, io: &mut Io<'_>) {
    let Some(suspect) = exchange.call.suspect.take() else {
        return;
    };
    let Suspect { head, head_bytes, body } = *suspect;
    let answer = ResponseView {
        head: &head,
        buf: &head_bytes,
    };
    relay::head(exchange, io, answer);
    relay::held_body(exchange, io, &body);
}
