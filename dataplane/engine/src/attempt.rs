//! Attempts: one target after the other until one answers, within the model's `retry` and everybody's timeouts.

mod again;
pub(crate) mod credentials;
pub(crate) mod forsake;
pub(crate) mod grants;
pub(crate) mod hedge;
pub(crate) mod held;
pub(crate) mod outcome;
pub(crate) mod overload;
pub(crate) mod renewal;
pub(crate) mod resume;
mod room;
pub(crate) mod scout;
mod takeover;

use tollgate_dialect::translate;
use tollgate_wire::head::ResponseView;

use crate::{
    Tick,
    billing::Tried,
    call::{Live, SentModel},
    exchange::{Exchange, Io, Phase, UpstreamFault, detached},
    failure::{Failure, Kind, RetryWhere, Waited},
    outputs::{Action, AttemptId, Rest},
    passing,
    record::AttemptOutcome,
    relay,
    routing::residency,
    snapshot::{EndpointId, Route, Target},
    terminal::count,
    upward,
};

use again::{Ended, Plan};

/// `route` saw to it that there is a target, or there is but one.
pub(crate) fn begin_first(exchange: &mut Exchange, io: &mut Io<'_>) {
    if let Some(provider) = exchange.facts.direct
        && !residency::admits_provider(exchange, provider)
    {
        return exchange.refuse(Failure::client(Kind::OutsideRegion), io);
    }
    if exchange.call.order.as_slice().is_empty() {
        exchange.call.order.push(0);
    }
    begin(exchange, io);
}

/// Dials the target whose place it is, or the next behind it that can be asked.
fn begin(exchange: &mut Exchange, io: &mut Io<'_>) {
    if io.local.usage_full && exchange.call.tried == 0 {
        // It may have waited for its turn, and there was room when it came.
        return room::without(exchange, io);
    }
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let mut refused = None;
    let (target, provider) = loop {
        let (target, credential) = match next_usable(exchange, io, route) {
            Ok(found) => found,
            Err(Nobody::HasRoom) => return overload::wait_for_turn(exchange, io, route),
            Err(Nobody::Can(kind)) => {
                return exchange.refuse(refused.unwrap_or_else(|| Failure::gateway(kind)), io);
            }
        };
        let provider = route.targets[target].provider;
        exchange.call.credential = credential;
        let spoken = pinned.snapshot.upstreams[provider].spoken(exchange.facts.surface.dialect);
        if upward::counts_here(exchange.facts.surface, spoken) {
            return count::answer(exchange, io, target);
        }
        match prepare(exchange, io, target) {
            Ok(()) => match grants::take(exchange, io, route, &route.targets[target]) {
                Ok(()) => break (target, provider),
                // Another provider may have something left.
                Err(kind) => refused = refused.or(Some(Failure::gateway(kind))),
            },
            // A target of the client's own dialect may be where it lives.
            Err(failure) if lives_elsewhere(&failure) => refused = Some(failure),
            // Nobody was asked: what cannot be said is no attempt.
            Err(failure) => return exchange.refuse(failure, io),
        }
        exchange.call.place += 1;
    };
    exchange.call.tried += 1;
    exchange.call.provider = Some(provider);
    // A kept connection that the provider closes meanwhile would take a body with it that cannot be sent again.
    let freshness = match exchange.admitted.rest {
        Rest::Nothing => Freshness::Pooled,
        Rest::Follows | Rest::FollowsInChunks => Freshness::Fresh,
    };
    dial(exchange, io, target, freshness);
    if route.hedge.is_some() {
        hedge::arm(exchange, io, route);
    }
    if route.shadow.is_some() {
        detached::draw(exchange, io, route);
    }
}

/// Why no target can be called now.
enum Nobody {
    Can(Kind),
    /// Those that could be called are at their limits.
    HasRoom,
}

/// The target whose place it is, or the next behind it that can be called now, and by which of its credentials. Else what
/// the first of them lacks.
fn next_usable(exchange: &mut Exchange, io: &Io<'_>, route: &Route) -> Result<(usize, usize), Nobody> {
    let mut lacking = Kind::NoTarget;
    let mut full = None;
    while let Some(&index) = exchange.call.order.as_slice().get(exchange.call.place) {
        let index = usize::from(index);
        let provider = route.targets[index].provider;
        match credentials::turn(exchange, io, provider) {
            Ok(credential) if overload::has_room(io, route, &route.targets[index]) => return Ok((index, credential)),
            Ok(_) => full = full.or(Some(exchange.call.place)),
            Err(why) if lacking == Kind::NoTarget => {
                let provider = exchange.pin().snapshot.endpoints[provider].provider.as_str().into();
                lacking = Kind::NoCredential { provider, why };
            }
            Err(_) => {}
        }
        exchange.call.place += 1;
    }
    let Some(place) = full else {
        return Err(Nobody::Can(lacking));
    };
    exchange.call.place = place;
    Err(Nobody::HasRoom)
}

fn lives_elsewhere(failure: &Failure) -> bool {
    matches!(&failure.kind, Kind::Untranslatable { wrong, .. } if wrong == translate::LIVES_ELSEWHERE)
}

/// What can be known of the request to a target before there is a connection.
fn prepare(exchange: &mut Exchange, io: &Io<'_>, index: usize) -> Result<(), Failure> {
    let pinned = exchange.pin();
    let route = route_index(exchange);
    let target = &pinned.snapshot.routes[route].targets[index];
    upward::set_sent_model(exchange, route, index, target);
    let upstream = &pinned.snapshot.upstreams[target.provider];
    if exchange.admitted.rest != Rest::Nothing && upstream.signs() {
        // A signature has the whole body in it.
        return Err(Failure::client(Kind::NotOffered));
    }
    let (spoken, _) = upstream.spoken(exchange.facts.surface.dialect);
    if !exchange.relay.is_broken() && !upward::is_needed(exchange, spoken, target) {
        exchange.call.forget_translated();
        return Ok(());
    }
    let provider = &pinned.snapshot.endpoints[target.provider].provider;
    upward::prepare(
        exchange,
        io,
        (provider, spoken),
        (&pinned.snapshot.routes[route], target),
    )
}

pub(crate) fn route_index(exchange: &Exchange) -> usize {
    let facts = &exchange.facts;
    match (&facts.model, facts.direct) {
        (Some(found), _) => found.model.0 as usize,
        (None, Some(provider)) => exchange.pin().snapshot.direct_route(provider),
        (None, None) => unreachable!("a call is begun for a model or a provider that was found"),
    }
}

/// May the connection come from the pool?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    Pooled,
    Fresh,
}

fn dial(exchange: &mut Exchange, io: &mut Io<'_>, target: usize, freshness: Freshness) {
    let pinned = exchange.pin();
    let provider = pinned.snapshot.routes[route_index(exchange)].targets[target].provider;
    let timeouts = pinned.snapshot.upstreams[provider].timeouts;
    let call = &mut exchange.call;
    let attempt = call.next_id();
    // Not yet.
    (call.sent, call.answer_status) = (Tick(0), 0);
    call.dialled = io.now;
    call.began = None;
    if call.live.replace(Live { id: attempt, target }).is_none() {
        let target = &pinned.snapshot.routes[route_index(exchange)].targets[target];
        let state = io.local.routing.target(target);
        state.busy += 1;
        exchange.call.found_busy = state.busy;
    }
    let call = &mut exchange.call;
    call.until_total = Some(io.now.plus_ms(timeouts.total_ms));
    call.until_step = Some((io.now.plus_ms(timeouts.connect_ms), Waited::Connection));
    exchange.facts.wait_begins(io.now);
    let endpoint = EndpointId(provider as u16);
    io.out.actions.push(Action::Dial {
        attempt,
        endpoint,
        fresh: freshness == Freshness::Fresh,
    });
}

/// The provider answered a part of the call: it is asked for the next.
pub(crate) fn go_on_with(exchange: &mut Exchange, io: &mut Io<'_>, target: usize) {
    match upward::next_part(exchange, io, target) {
        Ok(()) => {
            exchange.set_phase(Phase::Calling);
            grants::charge_part(exchange, io);
            dial(exchange, io, target, Freshness::Pooled);
        }
        Err(failure) => exchange.refuse(failure, io),
    }
}

/// The connection stands: the request goes up.
pub(crate) fn connected(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId) {
    if exchange.phase() != Phase::Calling || !exchange.call.is_live(id) {
        return;
    }
    if let Err(kind) = passing::read_lead(exchange, io) {
        give_up(exchange, io, AttemptOutcome::Cancelled);
        return exchange.refuse(Failure::client(kind), io);
    }
    upward::send(exchange, io);
    exchange.call.shown_token = io.local.tokens.shown();
    (exchange.call.sent, exchange.call.reached) = (io.now, true);
    wait_for_answer(exchange, io);
    relay::stall::begin(exchange, io);
    detached::sent(exchange, io);
}

/// The provider has its `first_byte` time from now on.
pub(crate) fn wait_for_answer(exchange: &mut Exchange, io: &Io<'_>) {
    let pinned = exchange.pin();
    if let Some(provider) = exchange.call.provider {
        let first_byte_ms = pinned.snapshot.upstreams[provider].timeouts.first_byte_ms;
        exchange.call.until_step = Some((io.now.plus_ms(first_byte_ms), Waited::FirstByte));
    }
}

/// The head of an answer: either a failure that another target may mend, or what the client gets.
pub(crate) fn answered(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId, answer: ResponseView<'_>) {
    if exchange.phase() != Phase::Calling || !exchange.call.is_live(id) {
        return;
    }
    exchange.facts.wait_ends(io.now);
    let status = answer.head.status;
    exchange.call.answer_status = status;
    if !(200..=599).contains(&status) {
        let failure = Failure::upstream(Kind::BadStatus(status), RetryWhere::No);
        give_up(exchange, io, AttemptOutcome::BadAnswer);
        if hedge::goes_on(exchange, io) {
            return;
        }
        return exchange.refuse(failure, io);
    }
    if (200..300).contains(&status) {
        hedge::won(exchange, io);
    }
    if held::silent(exchange, io, answer) {
        return;
    }
    outcome::answered(exchange, io, answer);
    if status == 401 && renewal::begins(exchange, io) {
        return;
    }
    // Nothing else can be tried again, or make another model take over.
    if status >= 400 {
        let ended = Ended::answered(exchange, answer);
        if ended.may_be_tried_again(exchange) {
            if hedge::is_under_way(exchange) {
                give_up(exchange, io, AttemptOutcome::Status);
                hedge::goes_on(exchange, io);
                return;
            }
            if let Some(plan) = again::plan(exchange, io, &ended) {
                give_up(exchange, io, AttemptOutcome::Status);
                return go(exchange, io, plan);
            }
        }
    }
    hedge::won(exchange, io);
    if held::suspects(exchange, answer) {
        // The rest of it is the provider's time.
        exchange.facts.wait_begins(io.now);
        return;
    }
    relay::head(exchange, io, answer);
}

/// Does what was planned.
fn go(exchange: &mut Exchange, io: &mut Io<'_>, plan: Plan) {
    exchange.call.came_round |= plan.wait_ms > 0;
    exchange.call.place = plan.place;
    if plan.wait_ms == 0 {
        return begin(exchange, io);
    }
    // Nobody is asked meanwhile, and it is not the gateway that takes the time.
    exchange.facts.wait_begins(io.now);
    exchange.call.until_step = Some((io.now.plus_ms(plan.wait_ms), Waited::Backoff));
}

/// The attempt failed; the shell has already forgotten it.
pub(crate) fn failed(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId, fault: UpstreamFault) {
    let Some(live) = exchange.call.live.filter(|live| live.id == id) else {
        return;
    };
    exchange.facts.wait_ends(io.now);
    if exchange.phase() == Phase::Calling && fault == (UpstreamFault::Closed { reused: true }) {
        // The provider closed an idle connection while we took it from the pool: not a failure of the target.
        return dial(exchange, io, live.target, Freshness::Fresh);
    }
    let outcome = outcome_of(fault);
    outcome::failed(exchange, io);
    log_end(exchange, io, outcome);
    let failure = Failure::upstream(Kind::Upstream(fault), RetryWhere::OtherTarget);
    go_on(exchange, io, outcome, failure);
}

/// `Exchange::deadline` has come, or the shell's timer was early.
pub(crate) fn timer(exchange: &mut Exchange, io: &mut Io<'_>) {
    if !matches!(exchange.phase(), Phase::Calling | Phase::Gathering | Phase::Relaying) {
        return;
    }
    relay::alive::beat(exchange, io);
    let Some(waited) = exchange.call.expired(io.now) else {
        return hedge::due(exchange, io);
    };
    if exchange.call.queued.is_some() {
        return overload::waited_too_long(exchange, io);
    }
    exchange.facts.wait_ends(io.now);
    if waited == Waited::Backoff {
        exchange.call.until_step = None;
        if renewal::goes_on(exchange, io) {
            return;
        }
        return begin(exchange, io);
    }
    if waited != Waited::Client {
        overload::timed_out(exchange, io);
        outcome::failed(exchange, io);
    }
    give_up(exchange, io, AttemptOutcome::Timeout);
    let retry = if waited == Waited::Client {
        RetryWhere::No
    } else {
        RetryWhere::OtherTarget
    };
    go_on(
        exchange,
        io,
        AttemptOutcome::Timeout,
        Failure::upstream(Kind::UpstreamTimeout(waited), retry),
    );
}

/// After a failed attempt: the next one, or the end.
pub(crate) fn go_on(exchange: &mut Exchange, io: &mut Io<'_>, outcome: AttemptOutcome, failure: Failure) {
    let ended = Ended::failed(outcome);
    let may_try = exchange.phase() == Phase::Calling && failure.retry == RetryWhere::OtherTarget;
    if may_try && hedge::goes_on(exchange, io) {
        return;
    }
    hedge::drop_rival(exchange, io, AttemptOutcome::Cancelled);
    if may_try
        && ended.may_be_tried_again(exchange)
        && let Some(plan) = again::plan(exchange, io, &ended)
    {
        return go(exchange, io, plan);
    }
    if !resume::breaks(exchange, io, &ended, &failure) {
        exchange.refuse(failure, io);
    }
}

fn outcome_of(fault: UpstreamFault) -> AttemptOutcome {
    match fault {
        UpstreamFault::Resolve | UpstreamFault::Connect | UpstreamFault::Tls(_) | UpstreamFault::Proxy(_) => {
            AttemptOutcome::Connect
        }
        UpstreamFault::Closed { .. } | UpstreamFault::Cut => AttemptOutcome::Disconnect,
        UpstreamFault::BadAnswer(_) => AttemptOutcome::BadAnswer,
    }
}

/// Nobody waits for an answer any more.
pub(crate) fn cancel(exchange: &mut Exchange, io: &mut Io<'_>) {
    if exchange.call.live.is_some() {
        give_up(exchange, io, AttemptOutcome::Cancelled);
    }
    hedge::drop_rival(exchange, io, AttemptOutcome::Cancelled);
}

/// Abandons the attempt under way.
pub(crate) fn give_up(exchange: &mut Exchange, io: &mut Io<'_>, outcome: AttemptOutcome) {
    if let Some(Live { id, .. }) = exchange.call.live {
        io.out.actions.push(Action::Abandon { attempt: id });
        log_end(exchange, io, outcome);
    }
}

/// The attempt under way has said all that is wanted, before its framing said that it was complete.
pub(crate) fn leave(exchange: &mut Exchange, io: &mut Io<'_>, outcome: AttemptOutcome) {
    if let Some(Live { id, .. }) = exchange.call.live {
        io.out.actions.push(Action::Leave { attempt: id });
        log_end(exchange, io, outcome);
    }
}

/// For the record.
fn note_end(exchange: &mut Exchange, now: Tick, outcome: AttemptOutcome) {
    let call = &mut exchange.call;
    let Some(provider) = call.provider else { return };
    // Of two attempts only one goes on with the name.
    let aside = call.hedge.is_some() && matches!(call.sent_model, SentModel::Star { .. });
    let tried = Tried {
        provider,
        outcome,
        sent_model: call.sent_model,
        star_model: aside.then(|| call.star_model.as_str().into()),
        credential: call.credential,
        status: call.answer_status,
        dialled: call.dialled,
        ended: now,
        spent: None,
    };
    call.log.push(tried);
}

/// The target has one call less, and whoever waits for it goes on.
fn makes_room(exchange: &mut Exchange, io: &mut Io<'_>, (route, target): (&Route, &Target)) {
    let state = io.local.routing.target(target);
    state.busy = state.busy.saturating_sub(1);
    if route.overload.is_some() {
        overload::ended(exchange, io, route, target);
    }
}

/// The attempt under way is over.
pub(crate) fn log_end(exchange: &mut Exchange, io: &mut Io<'_>, outcome: AttemptOutcome) {
    if let Some(live) = exchange.call.live.take() {
        let pinned = exchange.pin();
        let route = &pinned.snapshot.routes[route_index(exchange)];
        makes_room(exchange, io, (route, &route.targets[live.target]));
        note_end(exchange, io.now, outcome);
    }
    exchange.call.held = None;
    exchange.call.until_hedge = None;
    exchange.call.until_step = None;
    exchange.call.until_token = None;
    exchange.call.until_total = None;
}
