//! A stream that breaks after it has said something is gone on with by another target, which is handed what was said: for
//! models that say `resume`, and answers that are text so far. The client's own writer keeps its state, so that it sees
//! one answer.

use tollgate_dialect::{
    canonical::fault::Fault,
    translate::{Answering, SoFar},
};
use tollgate_wire::head::ResponseView;

use super::{Ended, again, give_up, go, grants, outcome, route_index};
use crate::{
    billing, cost,
    exchange::{Exchange, Io, Phase},
    facts::Spent,
    failure::{self, Failure, RetryWhere},
    limits::provider,
    outputs::Action,
    record::{AttemptOutcome, Outcome},
    relay,
    surface::Operation,
};

/// An answer that broke, while another target is asked.
#[derive(Debug)]
pub(crate) struct Broken {
    pub answering: Box<Answering>,
    /// What the client is told if nobody goes on.
    pub cause: Fault,
}

impl Broken {
    /// For whoever is asked to go on.
    pub fn so_far<'t>(&'t self, exchange: &Exchange) -> SoFar<'t> {
        let spent = exchange.facts.spent.as_ref();
        SoFar {
            text: self.answering.text_so_far().unwrap_or_default(),
            tokens: spent.map_or(0, |spent| spent.usage.all_output()),
        }
    }
}

/// Is this answer read and written anew, though the client speaks its dialect? Ids that a client brings back are made for
/// what passes: those streams break as any other does.
pub(crate) fn reads(exchange: &Exchange, answer: ResponseView<'_>) -> bool {
    is_wanted(exchange) && (200..300).contains(&answer.head.status) && relay::is_stream(exchange, answer)
}

pub(crate) fn is_wanted(exchange: &Exchange) -> bool {
    let facts = &exchange.facts;
    let chats = facts.stream && facts.surface.operation == Operation::Chat && facts.direct.is_none();
    chats
        && !exchange.held.is_bounded()
        && exchange.pinned().is_some_and(|pinned| {
            let seals = |provider: usize| pinned.snapshot.upstreams[provider].ids.key.is_some();
            let anew = exchange.call.translated.as_ref().is_some_and(|sent| !sent.own);
            let sealed = facts.surface.seals && !anew && exchange.call.provider.is_some_and(seals);
            pinned.snapshot.routes[route_index(exchange)].streams.resume && !sealed
        })
}

/// The attempt whose answer the client gets has failed; true when that is not the end of the answer, or was its end in all
/// but name.
pub(super) fn breaks(exchange: &mut Exchange, io: &mut Io<'_>, ended: &Ended, failure: &Failure) -> bool {
    if failure.retry != RetryWhere::OtherTarget {
        return false;
    }
    let cause = failure::fault(exchange, failure);
    goes_on(exchange, io, ended, cause)
}

/// The provider's stream says that it has failed. Without another target the client is told so.
pub(crate) fn failed(exchange: &mut Exchange, io: &mut Io<'_>, fault: Fault) {
    outcome::told(exchange, io, fault.status, fault.retry_after_ms);
    let ended = Ended::told(exchange, &fault);
    if !goes_on(exchange, io, &ended, fault.clone()) {
        give_up(exchange, io, AttemptOutcome::Status);
        relay::fail(exchange, io, fault);
    }
}

fn goes_on(exchange: &mut Exchange, io: &mut Io<'_>, ended: &Ended, cause: Fault) -> bool {
    let Some(answering) = exchange
        .relay
        .answering()
        .filter(|_| exchange.phase() == Phase::Relaying)
    else {
        return false;
    };
    if answering.is_all_said() {
        give_up(exchange, io, AttemptOutcome::Status);
        conclude(exchange, io);
        return true;
    }
    if answering.text_so_far().is_none() || !ended.may_be_tried_again(exchange) {
        return false;
    }
    let Some(plan) = again::plan(exchange, io, ended) else {
        return false;
    };
    give_up(exchange, io, AttemptOutcome::Status);
    spend(exchange, io);
    exchange.relay.break_off(cause);
    exchange.set_phase(Phase::Calling);
    go(exchange, io, plan);
    true
}

/// What the target used that did not get to the end is known now, or never.
fn spend(exchange: &mut Exchange, io: &mut Io<'_>) {
    relay::estimate(exchange, io, Outcome::Cut);
    exchange.facts.cost = cost::of(exchange, io.unix_ms);
    provider::settle(exchange, io);
    grants::settle(exchange, io);
    let cost = exchange.facts.cost.take();
    let usage = exchange.facts.usage.take().unwrap_or_default();
    let own = Spent {
        usage,
        cost,
        estimated: true,
    };
    billing::note_spent(exchange, own);
    let spent = exchange.facts.spent.get_or_insert_default();
    spent.usage.add(&usage);
    spent.cost = cost::sum(spent.cost, cost);
}

/// Only the end is missing: that needs no provider.
fn conclude(exchange: &mut Exchange, io: &mut Io<'_>) {
    relay::estimate(exchange, io, Outcome::Cut);
    let mut used = exchange
        .facts
        .spent
        .as_ref()
        .map(|spent| spent.usage)
        .unwrap_or_default();
    used.add(&exchange.facts.usage.unwrap_or_default());
    relay::conclude(exchange, io, used);
    exchange.finish(io, Outcome::Complete, Action::End);
}
