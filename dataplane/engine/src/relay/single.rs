//! The answer to a call that is no chat, in another dialect than it came: gathered whole, part by part where the provider
//! was asked in parts, then written anew.

use std::mem;

use tollgate_dialect::{
    canonical::bad::BadAnswer,
    embed::{self, CallFacts},
    rerank,
};
use tollgate_wire::head::{ResponseView, number};

use super::translated;
use crate::{
    attempt::{self, route_index},
    exchange::{Exchange, Io},
    outputs::Action,
    record::{AttemptOutcome, Outcome},
    upward::{Single, Task},
};

/// Where Bedrock says what a body does not. Source: AWS, "InvokeModel", response headers.
const INPUT_TOKENS: &[u8] = b"x-amzn-bedrock-input-token-count";

/// Takes what the head says of usage.
pub(super) fn note_head(exchange: &mut Exchange, answer: ResponseView<'_>) {
    let tokens = answer.named(INPUT_TOKENS).and_then(number);
    if let (Some(tokens), Some(single)) = (tokens, exchange.call.single_mut()) {
        single.head_tokens = Some(single.head_tokens.unwrap_or(0).saturating_add(tokens));
    }
}

pub(super) fn body(exchange: &mut Exchange, io: &mut Io<'_>, bytes: &[u8]) {
    let Some(single) = exchange.call.single() else { return };
    let room = single.task.max_answer_bytes().saturating_sub(single.held_bytes());
    if let Err(reason) = translated::gather(&mut exchange.relay, bytes, room) {
        exchange.relay.held = Vec::new();
        translated::unreadable(exchange, io, reason);
    }
}

/// The provider's answer is complete: it is the last, or the next part is asked for.
pub(super) fn end(exchange: &mut Exchange, io: &mut Io<'_>) {
    let held = mem::take(&mut exchange.relay.held);
    let Some(single) = exchange.call.single_mut() else {
        return;
    };
    single.answers.push(held);
    match (single.is_complete(), exchange.call.live) {
        (false, Some(live)) => go_on(exchange, io, live.target),
        _ => finish(exchange, io),
    }
}

/// Asks for the next part. What this one used is counted now: a later one may fail.
fn go_on(exchange: &mut Exchange, io: &mut Io<'_>, target: usize) {
    if let Some(usage) = exchange.call.single().and_then(Single::usage_of_last) {
        exchange.facts.usage.get_or_insert_default().add(&usage);
    }
    attempt::log_end(exchange, io, AttemptOutcome::Ok);
    attempt::go_on_with(exchange, io, target);
}

fn finish(exchange: &mut Exchange, io: &mut Io<'_>) {
    let start = io.out.arena.len();
    if let Err(bad) = write(exchange, io) {
        io.out.arena.truncate(start);
        return translated::unreadable(exchange, io, bad.reason);
    }
    if let Some(single) = exchange.call.single_mut() {
        // Said: a slow client does not keep them.
        single.answers = Vec::new();
    }
    translated::whole(exchange, io, 200, start);
    attempt::log_end(exchange, io, AttemptOutcome::Ok);
    exchange.finish(io, Outcome::Complete, Action::End);
}

fn write(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<(), BadAnswer> {
    const NO_CALL: BadAnswer = BadAnswer::new("nobody asked for it");
    let single = exchange.call.single().ok_or(NO_CALL)?;
    let out = &mut io.out.arena;
    match single.task {
        Task::Rerank => {
            let answer = single.answers.first().ok_or(NO_CALL)?;
            rerank::write_answer(answer, &exchange.facts.request_id, out)
        }
        Task::Embed { client, target } => {
            let pinned = exchange.pin();
            let live = exchange.call.live.ok_or(NO_CALL)?;
            let model = &pinned.snapshot.routes[route_index(exchange)].targets[live.target].model;
            let call = CallFacts {
                request_id: &exchange.facts.request_id,
                model: &exchange.facts.model_asked,
                target_model: exchange.call.sent_model_name(model),
                head_tokens: single.head_tokens,
            };
            let body = exchange.admitted.body(io.body);
            let used = embed::write_answer((client, target), body, &single.answers, &call, out)?;
            exchange.facts.usage = Some(used.usage);
            exchange.facts.estimated = used.estimated;
            Ok(())
        }
    }
}
