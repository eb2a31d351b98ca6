//! Hedging: when the target that was asked takes long, the next one is asked as well; the first that answers wins, and
//! the other is given up at once (Dean and Barroso, "The tail at scale", 2013).
//!
//! One of the two is the call's own attempt, as if it were the only one; what the other one has for itself lies aside in
//! `Rival`. Whatever comes for that one turns the two round first, so that nobody else need know that there are two.

use std::sync::Arc;

use tollgate_config::prices::{Counts, ServiceTier};

use super::{Freshness, credentials, dial, give_up, grants, overload, prepare, route_index};
use crate::{
    Tick,
    billing::Tried,
    call::{Call, Live, SentModel, Translated},
    cost::{self, Cost},
    exchange::{Exchange, Input, Io, Phase},
    failure::Waited,
    limits::provider::AtProvider,
    outputs::{AttemptId, Rest},
    record::{AttemptOutcome, HedgeLost, HedgeOutcome, Hedged},
    relay,
    routing::{Began, grants::Grants, health::Standing, hedging::Beaten, latency::Class},
    snapshot::{Route, Target},
    stages::settle,
    upward,
};

/// A second target was asked, or would have been.
#[derive(Debug, Default)]
pub(crate) struct Hedge {
    /// The other attempt, as long as there are two.
    rival: Option<Rival>,
    /// Indexes into the route's targets: who was asked first, and who second.
    asked: Option<(usize, usize)>,
    outcome: HedgeOutcome,
    lost: Option<Lost>,
}

/// What each of two attempts under way has for itself.
#[derive(Debug, Default)]
struct Rival {
    live: Option<Live>,
    provider: Option<usize>,
    credential: usize,
    sent: Tick,
    dialled: Tick,
    began: Option<Began>,
    answer_status: u16,
    found_busy: u32,
    sent_model: SentModel,
    star_model: String,
    translated: Option<Translated>,
    added_usage: bool,
    granted: Option<(Arc<Grants>, u64)>,
    at_provider: AtProvider,
    until_total: Option<Tick>,
    until_step: Option<(Tick, Waited)>,
    until_token: Option<(Tick, Waited)>,
}

/// The attempt that was given up after its request had gone up: its provider may bill what it read.
#[derive(Debug)]
struct Lost {
    provider: usize,
    sent_model: SentModel,
    star_model: String,
    input_tokens: Option<u64>,
    cost: Option<Cost>,
}

impl Hedge {
    /// Bytes of a request that was written for the other attempt.
    pub fn held_bytes(&self) -> usize {
        let translated = self.rival.as_ref().and_then(|rival| rival.translated.as_ref());
        translated.map_or(0, |translated| translated.body.len())
    }

    /// The earliest that the other attempt waits for.
    pub fn deadline(&self) -> Option<Tick> {
        let rival = self.rival.as_ref()?;
        let steps = [rival.until_step, rival.until_token].map(|step| step.map(|(until, _)| until));
        steps.into_iter().chain([rival.until_total]).flatten().min()
    }

    fn has(&self, id: AttemptId) -> bool {
        let live = self.rival.as_ref().and_then(|rival| rival.live);
        live.is_some_and(|live| live.id == id)
    }
}

/// A try begins: notes when a second target is to be asked.
pub(super) fn arm(exchange: &mut Exchange, io: &mut Io<'_>, route: &Route) {
    let Some(hedge) = &route.hedge else { return };
    if exchange.facts.is_detached() || exchange.held.is_bounded() {
        return;
    }
    if exchange.call.tried_here() == 1 {
        let budget = &mut io.local.routing.model(route.slot).hedging;
        budget.earn(hedge.max_extra_percent);
    }
    if let Some(hedge) = &mut exchange.call.hedge {
        // Both failed, and this is neither of them.
        hedge.asked = None;
    }
    let call = &exchange.call;
    let is_last = call.place + 1 >= call.order.as_slice().len() || call.came_round;
    // An answer that broke has been heard: it is too late to choose who gives it.
    let is_kept = exchange.admitted.rest == Rest::Nothing && !exchange.relay.is_broken();
    let Some(live) = call.live.filter(|_| call.hedge.is_none() && is_kept && !is_last) else {
        return;
    };
    let (target, class) = (&route.targets[live.target], class(exchange, io));
    let after_ns = io.local.routing.hedge_after_ns(io.now, target, class, hedge.after);
    exchange.call.until_hedge = after_ns.map(|after_ns| Tick(io.now.0.saturating_add(after_ns)));
}

fn class(exchange: &Exchange, io: &Io<'_>) -> Class {
    Class::of(io.body.len(), exchange.facts.stream)
}

/// Turns to the attempt that the input is for. Called where `Call::hedge` is there.
pub(crate) fn turn_to(exchange: &mut Exchange, input: &Input<'_>, now: Tick) {
    let Some(hedge) = exchange.call.hedge.as_deref().filter(|hedge| hedge.rival.is_some()) else {
        return;
    };
    let is_rivals = match input {
        Input::Connected(id)
        | Input::UpstreamHead(id, _)
        | Input::UpstreamBody(id, _)
        | Input::UpstreamEnd(id)
        | Input::UpstreamFailed(id, _) => hedge.has(*id),
        Input::Timer => exchange.call.expired(now).is_none() && hedge.deadline().is_some_and(|until| until <= now),
        _ => false,
    };
    if is_rivals {
        swap(&mut exchange.call);
    }
}

/// The call's attempt becomes the other one, and the other one the call's.
fn swap(call: &mut Call) {
    use std::mem::swap;
    let Some(mut hedge) = call.hedge.take() else { return };
    if let Some(rival) = &mut hedge.rival {
        swap(&mut call.live, &mut rival.live);
        swap(&mut call.provider, &mut rival.provider);
        swap(&mut call.credential, &mut rival.credential);
        swap(&mut call.granted, &mut rival.granted);
        swap(&mut call.at_provider, &mut rival.at_provider);
        swap(&mut call.sent, &mut rival.sent);
        swap(&mut call.dialled, &mut rival.dialled);
        swap(&mut call.began, &mut rival.began);
        swap(&mut call.answer_status, &mut rival.answer_status);
        swap(&mut call.found_busy, &mut rival.found_busy);
        swap(&mut call.sent_model, &mut rival.sent_model);
        swap(&mut call.star_model, &mut rival.star_model);
        swap(&mut call.translated, &mut rival.translated);
        swap(&mut call.added_usage, &mut rival.added_usage);
        swap(&mut call.until_total, &mut rival.until_total);
        swap(&mut call.until_step, &mut rival.until_step);
        swap(&mut call.until_token, &mut rival.until_token);
    }
    call.hedge = Some(hedge);
}

/// The target that was asked has not begun to answer in its time: the next one is asked as well.
pub(super) fn due(exchange: &mut Exchange, io: &mut Io<'_>) {
    if exchange.call.until_hedge.is_none_or(|until| until > io.now) {
        return;
    }
    exchange.call.until_hedge = None;
    let Some(live) = exchange.call.live.filter(|_| exchange.phase() == Phase::Calling) else {
        return;
    };
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let Some((place, credential)) = next_well(exchange, io, route) else {
        return;
    };
    let mut hedge = Box::<Hedge>::default();
    if !io.local.routing.model(route.slot).hedging.take() {
        hedge.outcome = HedgeOutcome::OverBudget;
        exchange.call.hedge = Some(hedge);
        return;
    }
    let target = usize::from(exchange.call.order.as_slice()[place]);
    hedge.rival = Some(Rival::default());
    hedge.asked = Some((live.target, target));
    exchange.call.hedge = Some(hedge);
    swap(&mut exchange.call);
    exchange.call.credential = credential;
    let taken =
        prepare(exchange, io, target).is_ok() && grants::take(exchange, io, route, &route.targets[target]).is_ok();
    if !taken {
        // It cannot be asked this: the first goes on alone.
        swap(&mut exchange.call);
        exchange.call.hedge = None;
        io.local.routing.model(route.slot).hedging.give_back();
        return;
    }
    exchange.call.place = place;
    exchange.call.tried += 1;
    exchange.call.provider = Some(route.targets[target].provider);
    dial(exchange, io, target, Freshness::Pooled);
}

/// The next target in order that is well, and by which credential it can be called.
fn next_well(exchange: &Exchange, io: &Io<'_>, route: &Route) -> Option<(usize, usize)> {
    let order = exchange.call.order.as_slice();
    let pinned = exchange.pin();
    (exchange.call.place + 1..order.len()).find_map(|place| {
        let target = &route.targets[usize::from(order[place])];
        let standing = target.health.standing(io.now, &route.breaker);
        let upstream = &pinned.snapshot.upstreams[target.provider];
        let is_asked = !upward::counts_here(exchange.facts.surface, upstream.spoken(exchange.facts.surface.dialect));
        let is_well =
            matches!(standing, Standing::Well | Standing::Recovering { .. }) && overload::has_room(io, route, target);
        let credential = credentials::turn(exchange, io, target.provider).ok();
        credential
            .filter(|_| is_well && is_asked && grants::suffice(exchange, io, route, target))
            .map(|credential| (place, credential))
    })
}

/// Is there another attempt, beside the call's own?
pub(super) fn is_under_way(exchange: &Exchange) -> bool {
    let hedge = exchange.call.hedge.as_ref();
    hedge.is_some_and(|hedge| hedge.rival.is_some())
}

/// The call's attempt failed; true when the other one goes on alone.
pub(super) fn goes_on(exchange: &mut Exchange, io: &Io<'_>) -> bool {
    if !is_under_way(exchange) {
        return false;
    }
    swap(&mut exchange.call);
    let failed = exchange.call.hedge.as_mut().and_then(|hedge| hedge.rival.take());
    if let Some(mut failed) = failed {
        failed.at_provider.give_back(exchange, io, failed.sent != Tick(0));
        if let Some((grants, tokens)) = failed.granted {
            grants.give_back_tokens(tokens);
        }
    }
    exchange.facts.wait_begins(io.now);
    true
}

/// The exchange's code failed: the other attempt, for its target and for the record.
pub(super) fn take_rival(exchange: &mut Exchange, io: &mut Io<'_>) -> Option<(Live, Option<Tried>)> {
    let mut rival = exchange.call.hedge.as_mut()?.rival.take()?;
    rival.at_provider.give_back(exchange, io, rival.sent != Tick(0));
    if let Some((grants, tokens)) = rival.granted.filter(|_| rival.sent == Tick(0)) {
        grants.give_back_tokens(tokens);
    }
    let tried = rival.provider.map(|provider| Tried {
        provider,
        outcome: AttemptOutcome::Cancelled,
        sent_model: rival.sent_model,
        star_model: Some(rival.star_model.as_str().into()),
        credential: rival.credential,
        status: rival.answer_status,
        dialled: rival.dialled,
        ended: io.now,
        spent: None,
    });
    Some((rival.live?, tried))
}

/// The call's attempt is the one whose answer counts; the other one is given up.
pub(super) fn won(exchange: &mut Exchange, io: &mut Io<'_>) {
    exchange.call.until_hedge = None;
    let Some(hedge) = &mut exchange.call.hedge else { return };
    let (Some((first, second)), Some(live)) = (hedge.asked, exchange.call.live) else {
        return;
    };
    if live.target == second {
        hedge.outcome = HedgeOutcome::Won;
    } else if live.target == first {
        hedge.outcome = HedgeOutcome::Lost;
    }
    drop_rival(exchange, io, AttemptOutcome::HedgeLost);
    if let Some(hedge) = &mut exchange.call.hedge {
        hedge.asked = None;
    }
}

/// Gives up the other attempt, where there is one.
pub(super) fn drop_rival(exchange: &mut Exchange, io: &mut Io<'_>, outcome: AttemptOutcome) {
    if !is_under_way(exchange) {
        return;
    }
    swap(&mut exchange.call);
    if outcome == AttemptOutcome::HedgeLost {
        learn(exchange, io);
    }
    give_up(exchange, io, outcome);
    swap(&mut exchange.call);
    let Some(hedge) = &mut exchange.call.hedge else { return };
    let Some(mut rival) = hedge.rival.take() else { return };
    let mut at_provider = std::mem::take(&mut rival.at_provider);
    // A provider that never got the request has nothing to bill.
    let may_bill = outcome == AttemptOutcome::HedgeLost && rival.sent != Tick(0);
    if let Some((grants, tokens)) = rival.granted.take_if(|_| !may_bill) {
        grants.give_back_tokens(tokens);
    }
    if let Some(provider) = rival.provider.filter(|_| may_bill) {
        hedge.lost = Some(Lost {
            provider,
            sent_model: rival.sent_model,
            star_model: rival.star_model,
            input_tokens: None,
            cost: None,
        });
    }
    match may_bill {
        true => at_provider.prompt_counts(exchange, io),
        false => at_provider.give_back(exchange, io, false),
    }
}

/// What the attempt that is given up says of its target: that it would have taken this long at least.
fn learn(exchange: &Exchange, io: &mut Io<'_>) {
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let (Some(live), Some(hedge)) = (exchange.call.live, &route.hedge) else {
        return;
    };
    if exchange.call.sent != Tick(0) {
        let took_ns = io.now.ns_since(exchange.call.sent);
        let target = (&route.targets[live.target], &route.breaker);
        let asked = exchange.call.hedge.as_ref().and_then(|hedge| hedge.asked);
        let beaten = Beaten {
            class: class(exchange, io),
            took_ns,
            after: hedge.after,
            was_first: asked.is_some_and(|(first, _)| first == live.target),
        };
        io.local.routing.note_lost(io.now, target, &beaten);
    }
}

/// A target began an answer that is none of an error.
pub(super) fn note_answer(exchange: &Exchange, io: &mut Io<'_>, (route, target): (&Route, &Target), took_ns: u64) {
    if route.learns_answers {
        let class = class(exchange, io);
        io.local.routing.note_answer(io.now, target, class, took_ns);
    }
}

/// The exchange settles: what the attempt that was given up may cost. It read the same prompt as the one that answered.
pub(crate) fn account(exchange: &mut Exchange, io: &mut Io<'_>) {
    let Some(Lost {
        provider,
        sent_model,
        star_model,
        ..
    }) = exchange.call.hedge.as_ref().and_then(|hedge| hedge.lost.as_ref())
    else {
        return;
    };
    let pinned = exchange.pin();
    let counted = exchange.facts.usage.map(|usage| usage.all_input());
    let price = cost::price_of(&pinned, (*sent_model, star_model), Some(*provider), io.unix_ms);
    let name = settle::name_of(&pinned, *sent_model, star_model).unwrap_or_default();
    let input_tokens = counted
        .filter(|&tokens| tokens > 0)
        .or_else(|| relay::prompt_tokens(exchange, io, name));
    let cost = price.zip(input_tokens).map(|(price, input)| {
        let counts = Counts {
            input,
            requests: 1,
            ..Counts::default()
        };
        Cost::of(&price, &counts, ServiceTier::Standard)
    });
    if let Some(lost) = exchange.call.hedge.as_mut().and_then(|hedge| hedge.lost.as_mut()) {
        (lost.input_tokens, lost.cost) = (input_tokens, cost);
    }
}

/// What is told of it.
pub(crate) fn record(exchange: &Exchange) -> Option<Hedged<'_>> {
    let hedge = exchange.call.hedge.as_ref()?;
    let lost = hedge.lost.as_ref().and_then(|lost| {
        let (name, _) = exchange.pinned()?.snapshot.document.providers.get(lost.provider)?;
        Some(HedgeLost {
            provider: (lost.provider, name),
            input_tokens: lost.input_tokens,
            cost: lost.cost,
        })
    });
    Some(Hedged {
        outcome: hedge.outcome,
        lost,
    })
}
