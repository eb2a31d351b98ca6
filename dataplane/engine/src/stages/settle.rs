//! settle: whatever ended an exchange, its record becomes final here, once.

use tollgate_dialect::usage::Usage;

use crate::{
    Tick,
    attempt::{self, hedge},
    billing,
    call::SentModel,
    cost,
    counted::{Late, Listed},
    exchange::{Exchange, Io, Pinned},
    facts::{Detached, Facts},
    limits,
    names::{EMBEDDING, code},
    outputs::Action,
    record::{LateWork, Media, Outcome, Record},
    relay,
    routing::reckoning::Like,
    snapshot::TargetModel,
    surface,
};

/// Status of the record when the client left before one was sent.
const CLIENT_CLOSED_REQUEST: u16 = 499;

pub(crate) fn settle(exchange: &mut Exchange, io: &mut Io<'_>, outcome: Outcome) {
    relay::settle_tally(exchange, io);
    relay::estimate(exchange, io, outcome);
    let facts = &mut exchange.facts;
    facts.outcome = outcome;
    if facts.status == 0 {
        facts.answer_begins(CLIENT_CLOSED_REQUEST, io.now);
    }
    facts.ended = io.now;
    pay_prompt(exchange, io);
    let unknown = limits::is_unknown(exchange);
    let facts = &mut exchange.facts;
    if facts.cost.is_none() && !facts.replayed && (200..300).contains(&facts.status) {
        exchange.facts.cost = cost::of(exchange, io.unix_ms);
    }
    attempt::grants::settle(exchange, io);
    limits::provider::settle(exchange, io);
    if exchange.call.hedge.is_some() {
        hedge::account(exchange, io);
    }
    if exchange.facts.spent.is_some() || exchange.facts.declined.is_some() {
        billing::keep_own(exchange);
        add_spent(&mut exchange.facts);
    }
    learn(exchange, io);
    add_declined(&mut exchange.facts);
    limits::settle(exchange, io, unknown);
    uncount(exchange, io);
    // The provider has said what it used; it was said to nobody.
    if exchange.drains_until.is_some() && exchange.facts.outcome == Outcome::Complete {
        exchange.facts.outcome = Outcome::ClientGone;
    }
    io.out.actions.push(Action::Settle);
}

/// The same of an exchange whose code failed: all that it used, to its record and its limits.
pub(crate) fn add_all(exchange: &mut Exchange, io: &mut Io<'_>) {
    let unknown = limits::is_unknown(exchange);
    add_spent(&mut exchange.facts);
    add_declined(&mut exchange.facts);
    limits::settle(exchange, io, unknown);
    uncount(exchange, io);
}

/// Has the provider the prompt, and did nobody wait for what it says? It bills what it read, and tells nobody.
pub(crate) fn is_prompt_given_up(exchange: &Exchange) -> bool {
    let facts = &exchange.facts;
    let given_up = facts.outcome == Outcome::ClientGone || facts.rejected == Some(code::UPSTREAM_TIMEOUT);
    let answered = (200..300).contains(&facts.status);
    given_up && !answered && facts.usage.is_none() && exchange.call.sent != Tick(0)
}

/// Then it is counted here.
fn pay_prompt(exchange: &mut Exchange, io: &mut Io<'_>) {
    if !is_prompt_given_up(exchange) {
        return;
    }
    let model = upstream_model(exchange).unwrap_or_default().to_owned();
    let Some(input) = relay::prompt_tokens(exchange, io, &model) else {
        return;
    };
    exchange.facts.usage = Some(Usage {
        input: Some(input),
        ..Usage::default()
    });
    exchange.facts.estimated = true;
    exchange.facts.cost = cost::of(exchange, io.unix_ms);
}

fn uncount(exchange: &mut Exchange, io: &mut Io<'_>) {
    if std::mem::take(&mut exchange.facts.is_counted) {
        io.local.pressure.ends();
    }
}

/// What was used at targets that did not get to the end of the answer is part of the call.
fn add_spent(facts: &mut Facts) {
    if let Some(spent) = facts.spent.take() {
        facts.usage.get_or_insert_default().add(&spent.usage);
        facts.cost = cost::sum(facts.cost, spent.cost);
    }
}

/// So is what answers used that nobody got. It says nothing of the one that somebody did.
fn add_declined(facts: &mut Facts) {
    if let Some(declined) = facts.declined.take() {
        facts.usage.get_or_insert_default().add(&declined.usage);
        facts.cost = cost::sum(facts.cost, declined.cost);
    }
}

/// How long answers of the model are, where it is of use to know.
fn learn(exchange: &Exchange, io: &mut Io<'_>) {
    let pinned = exchange.pinned();
    let route = exchange
        .facts
        .route()
        .and_then(|route| pinned?.snapshot.routes.get(route));
    let answered = exchange.facts.usage.filter(|usage| usage.output.is_some());
    let (Some(route), Some(usage)) = (route, answered) else {
        return;
    };
    let like = match &exchange.call.reckoning {
        Some(reckoning) => reckoning.like,
        None if route.learns => Like::of(exchange.facts.request_body_bytes as usize, None),
        None => return,
    };
    let lengths = io.local.routing.model(route.slot).lengths.get_or_insert_default();
    lengths.note(like, usage.all_output());
    if let Some(seen_before) = exchange.call.reckoning.and_then(|reckoning| reckoning.seen_before) {
        lengths.note_beginning(seen_before);
    }
}

/// What is known now.
pub(crate) fn record(exchange: &Exchange) -> Record<'_> {
    let facts = &exchange.facts;
    let pinned = exchange.pinned();
    // What is copied is not the caller's.
    let key = facts.key.filter(|_| !facts.is_nobodys());
    let key = key.and_then(|id| Some(pinned?.keys.entry(id)));
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
        model: facts.route().and_then(|index| {
            // Behind the document's is the gateway's own.
            let named = document?.models.get(index).map(|(name, _)| &**name);
            Some((index, named.unwrap_or(EMBEDDING)))
        }),
        provider: exchange
            .call
            .provider
            .and_then(|index| Some((index, &*document?.providers[index].0))),
        upstream_model: upstream_model(exchange),
        tags: Some(&*facts.tags).filter(|text| !text.is_empty() && !facts.is_nobodys()),
        arm: arm(exchange),
        shadow: facts.detached == Detached::Shadow,
        embeds: facts.detached == Detached::Embeds,
        hedge: hedge::record(exchange),
        attempts: exchange.call.tried,
        streamed: facts.stream,
        resumed: facts.resumed,
        rejected: facts.rejected,
        refusal: Some(&*facts.refusal).filter(|text| !text.is_empty()),
        usage: facts.usage,
        cost: facts.cost,
        late: facts.late.as_deref().map(late_work),
        replayed: facts.replayed,
        cache: facts.cache.name(),
        findings: &facts.findings,
        compressed: facts.compressed,
        summary: facts.summary,
        agreed: facts.agreed,
        estimated: facts.estimated,
        request_body_bytes: facts.request_body_bytes,
        response_body_bytes: facts.response_body_bytes,
        total_ns: facts.ended.ns_since(facts.started),
        gateway_ns: facts.gateway_ns(facts.ended),
        first_token_ns: facts.first_token.map(|first| first.ns_since(facts.started)),
        media: facts.media,
    }
}

fn late_work(late: &Late) -> LateWork<'_> {
    LateWork {
        id: late.id,
        batch: late.batch.as_deref(),
    }
}

/// Of one of several that the call is charged with. It is no request: nobody was asked for it.
pub(crate) fn record_of<'a>(exchange: &'a Exchange, listed: &'a Listed) -> Record<'a> {
    Record {
        upstream_model: Some(&*listed.model).filter(|name| !name.is_empty()),
        usage: Some(listed.usage),
        cost: listed.cost,
        late: Some(late_work(&listed.late)),
        attempts: 0,
        request_body_bytes: 0,
        response_body_bytes: 0,
        total_ns: 0,
        gateway_ns: 0,
        first_token_ns: None,
        media: Media::default(),
        ..record(exchange)
    }
}

fn upstream_model(exchange: &Exchange) -> Option<&str> {
    name_of(exchange.pinned()?, exchange.call.sent_model, &exchange.call.star_model)
}

/// The name of a model that was sent.
pub(crate) fn name_of<'a>(pinned: &'a Pinned, sent: SentModel, star_model: &'a str) -> Option<&'a str> {
    match sent {
        SentModel::None => None,
        SentModel::Star { .. } => Some(star_model),
        SentModel::Target { route, target } => match &pinned.snapshot.routes.get(route)?.targets.get(target)?.model {
            TargetModel::Fixed { name, .. } => Some(name),
            TargetModel::Star { .. } => None,
        },
    }
}

/// Of the target that was asked last.
fn arm(exchange: &Exchange) -> Option<&str> {
    let target = match exchange.call.sent_model {
        SentModel::None => None,
        SentModel::Star { target } => target,
        SentModel::Target { target, .. } => Some(target),
    }?;
    let model = exchange.facts.route()?;
    let (_, model) = exchange.pinned()?.snapshot.document.models.get(model)?;
    model.targets.get(target)?.arm.as_deref()
}
