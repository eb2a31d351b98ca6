//! What providers grant, for the call at hand: taken before a target is dialled, set right when it is known what was used.

use crate::{
    exchange::{Exchange, Io},
    failure::Kind,
    limits::provider,
    routing::{
        grants::Grants,
        reckoning::{self, Reckoning},
    },
    snapshot::{Route, Target},
};

const NS_PER_MS: u64 = 1_000_000;

/// Takes what the call will need of the target's provider; else what is exhausted. Costs nothing where nothing is configured.
pub(super) fn take(exchange: &mut Exchange, io: &Io<'_>, route: &Route, target: &Target) -> Result<(), Kind> {
    // What an attempt before this one took and did not use.
    give_back(exchange, io);
    provider::take(exchange, io, route, target)?;
    let Some(grants) = &target.grants else { return Ok(()) };
    let tokens = expected_tokens(exchange, io, route, grants);
    let Err(exhausted) = grants.take(io.now, tokens) else {
        exchange.call.granted = Some((grants.clone(), tokens));
        return Ok(());
    };
    provider::give_back(exchange, io);
    let pinned = exchange.pin();
    Err(Kind::ProviderLimit {
        provider: pinned.snapshot.endpoints[target.provider].provider.as_str().into(),
        grant: exhausted.grant,
        wait_ms: exhausted.wait_ns.div_ceil(NS_PER_MS),
    })
}

/// Could the call go to the target by what its provider grants?
pub(super) fn suffice(exchange: &Exchange, io: &Io<'_>, route: &Route, target: &Target) -> bool {
    if !provider::suffice(exchange, io, route, target) {
        return false;
    }
    let Some(grants) = &target.grants else { return true };
    grants.suffice(io.now, expected_tokens(exchange, io, route, grants))
}

/// A further request of the same call.
pub(super) fn charge_part(exchange: &Exchange, io: &Io<'_>) {
    provider::charge_part(exchange, io);
    if let Some((grants, _)) = &exchange.call.granted {
        grants.charge(1, 0, io.now);
    }
}

fn expected_tokens(exchange: &Exchange, io: &Io<'_>, route: &Route, grants: &Grants) -> u64 {
    match (grants.count_tokens(), &exchange.call.reckoning) {
        (false, _) => 0,
        (true, Some(reckoning)) => reckoning.tokens(),
        // A call to the provider itself.
        (true, None) => {
            let bound = reckoning::bound_of(exchange.admitted.body(io.body));
            Reckoning::new(exchange, io, route, bound).tokens()
        }
    }
}

/// The call is over: what was expected becomes what was used. Where the provider answered and nobody knows, it stays.
pub(crate) fn settle(exchange: &mut Exchange, io: &Io<'_>) {
    let status = exchange.facts.status;
    match exchange.facts.usage {
        Some(usage) => {
            let Some((grants, tokens)) = exchange.call.granted.take() else {
                return;
            };
            let used = usage.all_input().saturating_add(usage.all_output());
            grants.give_back_tokens(tokens.saturating_sub(used));
            grants.charge(0, used.saturating_sub(tokens), io.now);
        }
        None if status >= 400 => give_back_grants(exchange),
        None => exchange.call.granted = None,
    }
}

/// The attempt came to nothing: its request counts, its tokens do not.
pub(super) fn give_back(exchange: &mut Exchange, io: &Io<'_>) {
    provider::give_back(exchange, io);
    give_back_grants(exchange);
}

fn give_back_grants(exchange: &mut Exchange) {
    if let Some((grants, tokens)) = exchange.call.granted.take() {
        grants.give_back_tokens(tokens);
    }
}
