//! Attempts: one target after the other until one answers, within the model's `retry` and everybody's timeouts.

use tollgate_config::document::Retry;
use tollgate_dialect::translate;
use tollgate_wire::head::ResponseView;

use crate::{
    call::{Live, MAX_ATTEMPTS},
    exchange::{Exchange, Io, Phase, UpstreamFault},
    failure::{Failure, Kind, RetryWhere, Waited},
    outputs::{Action, AttemptId},
    record::AttemptOutcome,
    relay,
    snapshot::{EndpointId, Proof, Route},
    stages::route,
    upward,
};

/// `route` saw to it that there is a target.
pub(crate) fn begin_first(exchange: &mut Exchange, io: &mut Io<'_>) {
    if !begin_next(exchange, io) {
        let kind = lacking(exchange, io).unwrap_or(Kind::NoTarget);
        exchange.refuse(Failure::gateway(kind), io);
    }
}

/// Dials the next target; false when none is left or allowed.
fn begin_next(exchange: &mut Exchange, io: &mut Io<'_>) -> bool {
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let mut refused = None;
    let (target, credential) = loop {
        let Some((target, credential)) = next_target(exchange, io, route) else {
            return refuse_if(exchange, io, refused);
        };
        exchange.call.next_target = target + 1;
        match prepare(exchange, io, target) {
            Ok(()) => break (target, credential),
            // A target of the client's own dialect may be where it lives.
            Err(failure) if lives_elsewhere(&failure) => refused = Some(failure),
            // Nobody was asked: what cannot be said is no attempt.
            Err(failure) => return refuse_if(exchange, io, Some(failure)),
        }
    };
    let provider = route.targets[target].provider;
    exchange.call.credential = credential;
    exchange.call.tried += 1;
    exchange.call.provider = Some(provider);
    dial(exchange, io, target, Freshness::Pooled);
    true
}

/// True where there was something to refuse.
fn refuse_if(exchange: &mut Exchange, io: &mut Io<'_>, failure: Option<Failure>) -> bool {
    let refuses = failure.is_some();
    if let Some(failure) = failure {
        exchange.refuse(failure, io);
    }
    refuses
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
    let (spoken, _) = upstream.spoken(exchange.facts.surface.dialect);
    if !upward::is_needed(exchange, spoken, target) {
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

/// The next target that can be called now, and by which of its credentials.
fn next_target(exchange: &Exchange, io: &Io<'_>, route: &Route) -> Option<(usize, usize)> {
    let allowed = route.retry.attempts.clamp(1, MAX_ATTEMPTS);
    if u32::from(exchange.call.tried) >= allowed {
        return None;
    }
    let pinned = exchange.pin();
    let mut from = exchange.call.next_target;
    while let Some(target) = route::next_target(exchange, route, from) {
        let upstream = &pinned.snapshot.upstreams[route.targets[target].provider];
        if let Ok(credential) = upward::turn(exchange, io, upstream) {
            return Some((target, credential));
        }
        from = target + 1;
    }
    None
}

/// What the first target lacks, where nothing else was in the way.
fn lacking(exchange: &Exchange, io: &Io<'_>) -> Option<Kind> {
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    let provider = route.targets[route::next_target(exchange, route, 0)?].provider;
    let why = upward::turn(exchange, io, &pinned.snapshot.upstreams[provider]).err()?;
    let provider = pinned.snapshot.endpoints[provider].provider.as_str().into();
    Some(Kind::NoCredential { provider, why })
}

pub(crate) fn route_index(exchange: &Exchange) -> usize {
    let facts = &exchange.facts;
    match (&facts.model, facts.direct) {
        (Some(found), _) => found.model.0 as usize,
        // Behind the models' routes stands one for each provider.
        (None, Some(provider)) => exchange.pin().snapshot.document.models.len() + provider,
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
    call.live = Some(Live { id: attempt, target });
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

/// The connection stands: the request goes up.
pub(crate) fn connected(exchange: &mut Exchange, io: &mut Io<'_>, id: AttemptId) {
    if exchange.phase() != Phase::Calling || !exchange.call.is_live(id) {
        return;
    }
    upward::send(exchange, io);
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
    if !(200..=599).contains(&status) {
        let failure = Failure::upstream(Kind::BadStatus(status), RetryWhere::No);
        give_up(exchange, io, AttemptOutcome::BadAnswer);
        return exchange.refuse(failure, io);
    }
    if status == 401 {
        renew_token(exchange, io);
    }
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    if route.retry.on_status.contains(&status) && next_target(exchange, io, route).is_some() {
        give_up(exchange, io, AttemptOutcome::Status);
        begin_next(exchange, io);
        return;
    }
    relay::head(exchange, io, answer);
}

/// The provider does not take the access token, though it is not over: it may have been revoked.
fn renew_token(exchange: &Exchange, io: &mut Io<'_>) {
    let pinned = exchange.pin();
    let upstream = exchange
        .call
        .provider
        .map(|provider| &pinned.snapshot.upstreams[provider]);
    let credential = upstream.and_then(|upstream| upstream.credentials.get(exchange.call.credential));
    if let Some(Proof::Exchanged { id }) = credential.map(|credential| &credential.proof) {
        io.out.actions.push(Action::RenewToken { id: *id });
    }
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
    log_end(exchange, outcome);
    let failure = Failure::upstream(Kind::Upstream(fault), RetryWhere::OtherTarget);
    go_on(exchange, io, outcome, failure);
}

/// `Exchange::deadline` has come, or the shell's timer was early.
pub(crate) fn timer(exchange: &mut Exchange, io: &mut Io<'_>) {
    if !matches!(exchange.phase(), Phase::Calling | Phase::Gathering | Phase::Relaying) {
        return;
    }
    let Some(waited) = exchange.call.expired(io.now) else {
        return;
    };
    exchange.facts.wait_ends(io.now);
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

/// After a failed attempt: the next target, or the end.
fn go_on(exchange: &mut Exchange, io: &mut Io<'_>, outcome: AttemptOutcome, failure: Failure) {
    let pinned = exchange.pin();
    let retry = &pinned.snapshot.routes[route_index(exchange)].retry;
    let may_try = exchange.phase() == Phase::Calling && failure.retry == RetryWhere::OtherTarget;
    if may_try && retries(retry, outcome) && begin_next(exchange, io) {
        return;
    }
    exchange.refuse(failure, io);
}

fn retries(retry: &Retry, outcome: AttemptOutcome) -> bool {
    match outcome {
        AttemptOutcome::Connect => retry.on_connect,
        AttemptOutcome::Disconnect => retry.on_disconnect,
        AttemptOutcome::Timeout => retry.on_timeout,
        AttemptOutcome::Ok | AttemptOutcome::Status | AttemptOutcome::BadAnswer | AttemptOutcome::Cancelled => false,
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
}

/// Abandons the attempt under way.
pub(crate) fn give_up(exchange: &mut Exchange, io: &mut Io<'_>, outcome: AttemptOutcome) {
    if let Some(Live { id, .. }) = exchange.call.live {
        io.out.actions.push(Action::Abandon { attempt: id });
        log_end(exchange, outcome);
    }
}

/// The attempt under way has said all that is wanted, before its framing said that it was complete.
pub(crate) fn leave(exchange: &mut Exchange, io: &mut Io<'_>, outcome: AttemptOutcome) {
    if let Some(Live { id, .. }) = exchange.call.live {
        io.out.actions.push(Action::Leave { attempt: id });
        log_end(exchange, outcome);
    }
}

/// The attempt under way is over.
pub(crate) fn log_end(exchange: &mut Exchange, outcome: AttemptOutcome) {
    if exchange.call.live.take().is_some() {
        let provider = exchange.call.provider.expect("an attempt has a provider");
        exchange.call.log.push((provider, outcome));
    }
    exchange.call.until_step = None;
    exchange.call.until_total = None;
}
