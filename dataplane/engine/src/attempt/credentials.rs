//! Which of a provider's credentials a call goes up with: their turns go round, and one that was refused rests.

use crate::{
    access::Lack,
    exchange::{Exchange, Io},
    snapshot::Target,
};

/// How long a credential rests that is not accepted …
const REFUSED_MS: u64 = 30_000;
/// … and one whose limit is reached, where the provider does not say how long.
const LIMITED_MS: u64 = 1_000;
const MAX_REST_MS: u64 = 60_000;

/// Does the status speak of the credential rather than of the provider?
pub(super) fn is_at_fault(status: u16) -> bool {
    matches!(status, 401 | 429)
}

/// The credential of the attempt under way is not used for a while, where there are others.
pub(super) fn rest(
    exchange: &Exchange,
    io: &mut Io<'_>,
    target: &Target,
    (status, retry_after_ms): (u16, Option<u64>),
) {
    let pinned = exchange.pin();
    let count = pinned.snapshot.upstreams[target.provider].credentials.len();
    if count < 2 {
        return;
    }
    let rest_ms = match (status, retry_after_ms) {
        (401, _) => REFUSED_MS,
        (_, Some(ms)) => ms.min(MAX_REST_MS),
        (_, None) => LIMITED_MS,
    };
    let until = io.now.plus_ms(rest_ms);
    let resting = &mut io.local.routing.provider(&pinned.snapshot, target.provider).resting;
    resting.resize(count, crate::Tick(0));
    if let Some(place) = resting.get_mut(exchange.call.credential) {
        *place = until;
    }
}

/// Is there another credential that can be used, and does not rest?
pub(super) fn has_another(exchange: &Exchange, io: &Io<'_>, target: &Target) -> bool {
    let pinned = exchange.pin();
    let count = pinned.snapshot.upstreams[target.provider].credentials.len();
    if count < 2 || exchange.call.only_credential.is_some() {
        return false;
    }
    let state = io.local.routing.look_at_provider(&pinned.snapshot, target.provider);
    let credentials = &pinned.snapshot.upstreams[target.provider].credentials;
    let rests = |turn: usize| {
        state
            .and_then(|state| state.resting.get(turn))
            .is_some_and(|&until| until > io.now)
    };
    let lacks = |turn: usize| credentials[turn].lack(&io.local.tokens, io.unix_ms / 1_000).is_some();
    (0..count).any(|turn| turn != exchange.call.credential && !rests(turn) && !lacks(turn))
}

/// Whose turn it is, of those that can be used now: the next that does not rest; when all do, the next. Else why none can.
pub(crate) fn turn(exchange: &Exchange, io: &Io<'_>, provider: usize) -> Result<usize, Lack> {
    let pinned = exchange.pin();
    let upstream = &pinned.snapshot.upstreams[provider];
    let count = upstream.credentials.len();
    let lack = |turn: usize| upstream.credentials[turn].lack(&io.local.tokens, io.unix_ms / 1_000);
    if let Some(tied) = exchange.call.only_credential.filter(|&turn| turn < count) {
        return lack(tied).map_or(Ok(tied), Err);
    }
    let sequence = io.local.sequence as usize;
    let resting = io.local.routing.look_at_provider(&pinned.snapshot, provider);
    let rests = |turn: usize| {
        resting
            .and_then(|state| state.resting.get(turn))
            .is_some_and(|&until| until > io.now)
    };
    let turns = || (0..count).map(|step| sequence.wrapping_add(step) % count);
    let usable = || turns().filter(|&turn| lack(turn).is_none());
    usable()
        .find(|&turn| !rests(turn))
        .or_else(|| usable().next())
        .ok_or_else(|| turns().find_map(lack).unwrap_or(Lack::Token))
}
