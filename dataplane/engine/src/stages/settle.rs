//! settle: whatever ended an exchange, its record becomes final here, once.

use crate::{
    attempt,
    call::SentModel,
    cost,
    exchange::{Exchange, Io},
    outputs::Action,
    record::{Outcome, Record},
    relay, surface,
};

/// Status of the record when the client left before one was sent.
const CLIENT_CLOSED_REQUEST: u16 = 499;

pub(crate) fn settle(exchange: &mut Exchange, io: &mut Io<'_>, outcome: Outcome) {
    relay::estimate(exchange, io);
    let facts = &mut exchange.facts;
    facts.outcome = outcome;
    if facts.status == 0 {
        facts.answer_begins(CLIENT_CLOSED_REQUEST, io.now);
    }
    facts.ended = io.now;
    if facts.cost.is_none() && (200..300).contains(&facts.status) {
        exchange.facts.cost = cost::of(exchange, io.unix_ms);
    }
    learn(exchange, io);
    attempt::grants::settle(exchange, io);
    io.out.actions.push(Action::Settle);
}

/// How long answers of the model are, where it is of use to know.
fn learn(exchange: &Exchange, io: &mut Io<'_>) {
    let Some(reckoning) = &exchange.call.reckoning else {
        return;
    };
    let pinned = exchange.pinned();
    let route = exchange
        .facts
        .model
        .as_ref()
        .and_then(|found| pinned?.snapshot.routes.get(found.model.0 as usize));
    let answered = exchange.facts.usage.filter(|usage| usage.output.is_some());
    if let (Some(route), Some(usage)) = (route, answered) {
        let lengths = io.local.routing.model(route.slot).lengths.get_or_insert_default();
        lengths.note(reckoning.like, usage.all_output());
        if let Some(seen_before) = reckoning.seen_before {
            lengths.note_beginning(seen_before);
        }
    }
}

/// What is known now.
pub(crate) fn record(exchange: &Exchange) -> Record<'_> {
    let facts = &exchange.facts;
    let pinned = exchange.pinned();
    let key = facts.key.and_then(|id| Some(pinned?.keys.entry(id)));
    let document = pinned.map(|pinned| &pinned.snapshot.document);
    Record {
        request_id: &facts.request_id,
        status: facts.status,
        outcome: facts.outcome,
        surface: facts.surface.name,
        dialect: surface::dialect_name(facts.surface.dialect),
        key: key.map(|key| &*key.name),
        user: key.and_then(|key| key.user.as_deref()),
        team: key.and_then(|key| key.team.as_deref()),
        model_asked: Some(&*facts.model_asked).filter(|text| !text.is_empty()),
        model: facts.model.as_ref().and_then(|found| {
            let index = found.model.0 as usize;
            Some((index, &*document?.models[index].0))
        }),
        provider: exchange
            .call
            .provider
            .and_then(|index| Some((index, &*document?.providers[index].0))),
        upstream_model: upstream_model(exchange),
        tags: Some(&*facts.tags).filter(|text| !text.is_empty()),
        attempts: exchange.call.tried,
        streamed: facts.stream,
        rejected: facts.rejected,
        refusal: Some(&*facts.refusal).filter(|text| !text.is_empty()),
        usage: facts.usage,
        cost: facts.cost,
        batch: Some(&*facts.batch).filter(|id| !id.is_empty()),
        estimated: facts.estimated,
        request_body_bytes: facts.request_body_bytes,
        response_body_bytes: facts.response_body_bytes,
        total_ns: facts.ended.ns_since(facts.started),
        gateway_ns: facts.gateway_ns(facts.ended),
        first_token_ns: facts.first_token.map(|first| first.ns_since(facts.started)),
    }
}

fn upstream_model(exchange: &Exchange) -> Option<&str> {
    match exchange.call.sent_model {
        SentModel::None => None,
        SentModel::Star => Some(&exchange.call.star_model),
        SentModel::Target { route, target } => {
            let name = &exchange.pinned()?.snapshot.document.models[route].1.targets[target].model;
            Some(name)
        }
    }
}
