//! Another model takes over where the target says that the prompt is too long for it, or that it will not answer.

use tollgate_dialect::canonical::fault::{Fault, FaultKind};

use super::begin;
use crate::{
    exchange::{Exchange, Io},
    limits,
    snapshot::{ModelId, Resolved, Route},
    stage::Verdict,
    stages::route,
};

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

/// The model, if yet another may be asked and its limits admit the call: from then on it must take over.
pub(super) fn admitted(exchange: &mut Exchange, io: &mut Io<'_>, model: Option<ModelId>) -> Option<ModelId> {
    let model = model.filter(|_| is_possible(exchange))?;
    limits::admit_successor(exchange, io, model).then_some(model)
}

/// May yet another model be asked?
pub(super) fn is_possible(exchange: &Exchange) -> bool {
    exchange.call.taken_over < MAX_TAKEOVERS && !exchange.facts.is_detached() && !exchange.held.is_bounded()
}

/// Who takes over after an error of these words.
pub(super) fn after_error(route: &Route, said: &[u8]) -> Option<ModelId> {
    let said = said.to_ascii_lowercase();
    let says = |words: &[&[u8]]| words.iter().any(|word| memchr::memmem::find(&said, word).is_some());
    route
        .on_context_overflow
        .filter(|_| says(&TOO_LONG))
        .or_else(|| route.on_refusal.filter(|_| says(&REFUSED)))
}

/// Who takes over after an error that came as an event.
pub(super) fn after_fault(route: &Route, fault: &Fault) -> Option<ModelId> {
    match fault.kind {
        FaultKind::ContextLength => route.on_context_overflow,
        FaultKind::ContentPolicy => route.on_refusal,
        _ => None,
    }
}

/// The call goes on as one for `model`, which admitted it.
pub(super) fn take_over(exchange: &mut Exchange, io: &mut Io<'_>, model: ModelId) {
    let call = &mut exchange.call;
    call.taken_over += 1;
    call.tried_before = call.tried;
    (call.place, call.came_round) = (0, false);
    exchange.facts.model = Some(Resolved { model, star: 0..0 });
    limits::hand_over(exchange, io);
    match route::enter(exchange, io) {
        Verdict::Refuse(failure) => exchange.refuse(failure, io),
        Verdict::Next | Verdict::Pause | Verdict::Taken => begin(exchange, io),
    }
}
