//! After a failure before the first byte: where to try again and when, or not at all.
//!
//! The first move to another target that is well is free: that is failover. Every further try, and every try at the same
//! target, is paid from the model's retry budget.

use tollgate_dialect::canonical::fault::Fault;
use tollgate_wire::head::{Known, ResponseView, number};

use super::{credentials, grants, route_index};
use crate::{
    call::MAX_ATTEMPTS,
    exchange::{Exchange, Io, Phase},
    record::AttemptOutcome,
    routing::{Luck, health::Standing},
    snapshot::Route,
};

/// An attempt that is over.
pub(super) struct Ended {
    outcome: AttemptOutcome,
    /// Of an answer.
    status: Option<u16>,
    /// What the answer asks for.
    retry_after_ms: Option<u64>,
}

/// The next try.
pub(super) struct Plan {
    /// In the call's order.
    pub place: usize,
    pub wait_ms: u64,
}

impl Ended {
    pub fn failed(outcome: AttemptOutcome) -> Self {
        Self {
            outcome,
            status: None,
            retry_after_ms: None,
        }
    }

    /// By an answer that is an error.
    pub fn answered(exchange: &Exchange, answer: ResponseView<'_>) -> Self {
        let status = answer.head.status;
        let pinned = exchange.pin();
        let retry = &pinned.snapshot.routes[route_index(exchange)].retry;
        Self {
            outcome: AttemptOutcome::Status,
            status: Some(status),
            retry_after_ms: match retry.respect_retry_after {
                true => retry_after_ms(answer),
                false => None,
            },
        }
    }

    /// By an error that came as an event.
    pub fn told(exchange: &Exchange, fault: &Fault) -> Self {
        let pinned = exchange.pin();
        let retry = &pinned.snapshot.routes[route_index(exchange)].retry;
        Self {
            outcome: AttemptOutcome::Status,
            status: Some(fault.status),
            retry_after_ms: fault.retry_after_ms.filter(|_| retry.respect_retry_after),
        }
    }

    /// Does the model's `retry` take up such failures?
    pub fn may_be_tried_again(&self, exchange: &Exchange) -> bool {
        let pinned = exchange.pin();
        let retry = &pinned.snapshot.routes[route_index(exchange)].retry;
        match self.outcome {
            AttemptOutcome::Connect => retry.on_connect,
            AttemptOutcome::Disconnect => retry.on_disconnect,
            AttemptOutcome::Timeout => retry.on_timeout,
            AttemptOutcome::Status => self
                .status
                .is_some_and(|status| retry.on_status.contains(&status) || credentials::is_at_fault(status)),
            AttemptOutcome::Ok | AttemptOutcome::BadAnswer | AttemptOutcome::Cancelled | AttemptOutcome::HedgeLost => {
                false
            }
        }
    }
}

/// What comes next, its price paid; `None`: nothing.
pub(super) fn plan(exchange: &mut Exchange, io: &mut Io<'_>, ended: &Ended) -> Option<Plan> {
    if exchange.phase() == Phase::Calling {
        // It came to nothing; or else what it took would stand in the way of the next. What a broken stream used was
        // settled when it broke.
        grants::give_back(exchange, io);
    }
    let pinned = exchange.pin();
    let route = &pinned.snapshot.routes[route_index(exchange)];
    // A body that was not kept cannot be sent again; and what nobody waits for need not be.
    if exchange.call.committed || exchange.facts.is_detached() {
        return None;
    }
    let allowed = route.retry.attempts.clamp(1, MAX_ATTEMPTS);
    if u32::from(exchange.call.tried_here()) >= allowed {
        return None;
    }
    if let Some(plan) = other_credential(exchange, io, route, ended) {
        return Some(plan);
    }
    // A credential that is refused may be so everywhere: that is for the operator to mend.
    if ended
        .status
        .is_some_and(|status| !route.retry.on_status.contains(&status))
    {
        return None;
    }
    let (plan, is_free) = match other_target(exchange, io, route) {
        Some((place, is_free)) => (Plan { place, wait_ms: 0 }, is_free),
        None => (same_target(exchange, io, route, ended)?, false),
    };
    (is_free || paid(io, route)).then_some(plan)
}

fn paid(io: &mut Io<'_>, route: &Route) -> bool {
    let (now, percent) = (io.now, route.retry.budget_percent);
    io.local.routing.model(route.slot).budget.take(now, percent)
}

/// The next target in order, one that is well before one that is not, and whether going there is free.
fn other_target(exchange: &Exchange, io: &Io<'_>, route: &Route) -> Option<(usize, bool)> {
    let order = exchange.call.order.as_slice();
    let is_well = |place: usize| {
        let target = &route.targets[usize::from(order[place])];
        let standing = target.health.standing(io.now, &route.breaker);
        matches!(standing, Standing::Well | Standing::Recovering { .. })
    };
    if exchange.call.came_round {
        return None;
    }
    let rest = || (exchange.call.place + 1..order.len()).filter(|&place| is_usable(exchange, io, route, order[place]));
    match rest().find(|&place| is_well(place)) {
        Some(place) => Some((place, exchange.call.tried_here() == 1)),
        None => Some((rest().next()?, false)),
    }
}

/// Is there a credential for it, and something left of what its provider grants?
fn is_usable(exchange: &Exchange, io: &Io<'_>, route: &Route, index: u8) -> bool {
    let target = &route.targets[usize::from(index)];
    credentials::turn(exchange, io, target.provider).is_ok() && grants::suffice(exchange, io, route, target)
}

/// The target again with another of its credentials: a limit or a ban of one says nothing of the next.
fn other_credential(exchange: &Exchange, io: &mut Io<'_>, route: &Route, ended: &Ended) -> Option<Plan> {
    let status = ended.status.filter(|&status| credentials::is_at_fault(status))?;
    let live = exchange.call.live?;
    let another = credentials::has_another(exchange, io, &route.targets[live.target]);
    let retries = status != 429 || route.retry.on_status.contains(&status);
    (another && retries && paid(io, route)).then_some(Plan {
        place: exchange.call.place,
        wait_ms: 0,
    })
}

/// Once all were tried: the first that is well, or else the first, after a while. What took too long is not asked again.
fn same_target(exchange: &Exchange, io: &Io<'_>, route: &Route, ended: &Ended) -> Option<Plan> {
    if ended.outcome == AttemptOutcome::Timeout {
        return None;
    }
    let order = exchange.call.order.as_slice();
    let ejected = |index: u8| {
        let standing = route.targets[usize::from(index)]
            .health
            .standing(io.now, &route.breaker);
        matches!(standing, Standing::Ejected { .. })
    };
    let place = order.iter().position(|&index| !ejected(index)).unwrap_or(0);
    if !order
        .get(place)
        .is_some_and(|&index| is_usable(exchange, io, route, index))
    {
        return None;
    }
    let wait_ms = backoff_ms(exchange, io, route).max(ended.retry_after_ms.unwrap_or(0));
    let until = io.now.plus_ms(wait_ms);
    let in_time = exchange.call.until_client.is_none_or(|deadline| until < deadline);
    (wait_ms <= route.retry.max_wait_ms && in_time).then_some(Plan {
        place,
        wait_ms: wait_ms.max(1),
    })
}

/// Full jitter (Brooker, "Exponential backoff and jitter", 2015): from nothing to twice as much each time.
fn backoff_ms(exchange: &Exchange, io: &Io<'_>, route: &Route) -> u64 {
    const MAX_DOUBLINGS: u32 = 16;
    let retry = &route.retry;
    let targets = exchange.call.order.as_slice().len();
    let round = (usize::from(exchange.call.tried) / targets.max(1)).saturating_sub(1);
    let doublings = u32::try_from(round).unwrap_or(MAX_DOUBLINGS).min(MAX_DOUBLINGS);
    let most_ms = retry.backoff_ms.saturating_mul(1 << doublings).min(retry.max_wait_ms);
    let mut luck = Luck::new(io.local.seed ^ io.now.0 ^ u64::from(exchange.call.tried) << 56);
    luck.below(most_ms.saturating_add(1))
}

/// Seconds (RFC 9110 §10.2.3), or OpenAI's and Azure's `retry-after-ms`. A date is not read: clocks differ.
fn retry_after_ms(answer: ResponseView<'_>) -> Option<u64> {
    let ms = answer.named(b"retry-after-ms").and_then(number);
    ms.or_else(|| Some(number(answer.get(Known::RetryAfter)?)?.saturating_mul(1_000)))
}
