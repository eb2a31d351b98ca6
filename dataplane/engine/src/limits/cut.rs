//! How much more of its answer a stream may say under limits that cut: what was reserved, and then what is left, taken piece by
//! piece as the answer grows.

use tollgate_config::document::{Limit, Unit};

use super::{Scope, bucket, call::Lists};
use crate::{
    cost,
    exchange::{Exchange, Io},
};

/// Taken beyond what is needed at once, so that not every event goes to the balance.
const AHEAD_TOKENS: u64 = 64;

/// Tokens of a call under way: of its prompt, as it was counted here, and of what its answer has said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub prompt: Option<u64>,
    pub said: u64,
}

/// The tokens that the answer may have in all, where what has come may be `coming` more than it has said.
pub(crate) fn allow(exchange: &mut Exchange, io: &mut Io<'_>, progress: Progress, coming: u64) -> u64 {
    let pinned = exchange.pin();
    let now = io.local.limits.now(&pinned.snapshot, io.unix_ms);
    let balances = std::sync::Arc::clone(&io.local.limits.balances);
    let mut taken = std::mem::take(&mut exchange.held.taken);
    let tags = std::mem::take(&mut exchange.held.tags);
    let lists = Lists::of(&pinned, exchange, None, &tags);
    let wanted = progress.said.saturating_add(coming);
    let mut allowed = u64::MAX;
    for reserved in &mut taken {
        let Some((rules, rule)) = lists.get(reserved).filter(|(_, rule)| rule.limit.cuts()) else {
            continue;
        };
        let before = before(exchange, rules.scope, rule.limit.unit);
        let needs =
            |output: u64| needs(exchange, io.unix_ms, &rule.limit, (progress.prompt, output)).saturating_add(before);
        if needs(wanted) > reserved.taken.amount {
            let ahead = needs(wanted.saturating_add(AHEAD_TOKENS));
            let named = (rule.id, &rule.limit);
            let left = bucket::within_reach(&balances, named, &now);
            let more = ahead.saturating_sub(reserved.taken.amount).min(left);
            match bucket::extend(&balances, named, &now, more) {
                Ok(taken) if taken.is_beside(&reserved.taken) => {
                    reserved.taken.amount += more;
                    reserved.extended += more;
                }
                Ok(taken) => {
                    // Its period is over, and what it uses from here on is counted in the next when it ends.
                    bucket::settle(&balances, named, &now, taken, 0);
                    continue;
                }
                Err(_) => {}
            }
        }
        let enough = reserved.taken.amount;
        allowed = allowed.min(most(wanted, |output| needs(output) <= enough));
    }
    exchange.held.taken = taken;
    exchange.held.tags = tags;
    allowed
}

/// What was taken ahead of the answer and is not needed by now goes back: others may have use for it.
pub(crate) fn trim(exchange: &mut Exchange, io: &mut Io<'_>, progress: Progress) {
    let pinned = exchange.pin();
    let now = io.local.limits.now(&pinned.snapshot, io.unix_ms);
    let mut taken = std::mem::take(&mut exchange.held.taken);
    let tags = std::mem::take(&mut exchange.held.tags);
    let lists = Lists::of(&pinned, exchange, None, &tags);
    for reserved in taken.iter_mut().filter(|reserved| reserved.extended > 0) {
        let Some((rules, rule)) = lists.get(reserved) else {
            continue;
        };
        let ahead = progress.said.saturating_add(AHEAD_TOKENS);
        let needed = needs(exchange, io.unix_ms, &rule.limit, (progress.prompt, ahead));
        let needed = needed.saturating_add(before(exchange, rules.scope, rule.limit.unit));
        let back = reserved.taken.amount.saturating_sub(needed).min(reserved.extended);
        if back > 0 {
            let part = reserved.taken.part(back, &now);
            bucket::settle(&io.local.limits.balances, (rule.id, &rule.limit), &now, part, 0);
            reserved.taken.amount -= back;
            reserved.extended -= back;
        }
    }
    exchange.held.taken = taken;
    exchange.held.tags = tags;
}

/// What answers used that came before this one: it is in all limits but those of the models that gave them.
fn before(exchange: &Exchange, scope: Scope, unit: Unit) -> u64 {
    let facts = &exchange.facts;
    let declined = facts.declined.as_ref().filter(|_| scope != Scope::Model);
    let used = [declined, facts.spent.as_ref()].into_iter().flatten();
    used.fold(0, |sum: u64, used| {
        let (input, output) = (used.usage.all_input(), used.usage.all_output());
        sum.saturating_add(match unit {
            Unit::OutputTokens => output,
            Unit::Budget => used.cost.map_or(0, |cost| cost.usd.to_nanos().0),
            _ => input.saturating_add(output),
        })
    })
}

/// What an answer of so many tokens uses of a limit, its prompt included: as the provider tells it, else as it was counted.
fn needs(exchange: &Exchange, unix_ms: u64, limit: &Limit, (prompt, output): (Option<u64>, u64)) -> u64 {
    let heard = exchange
        .facts
        .usage
        .map(|usage| usage.all_input())
        .filter(|input| *input > 0);
    let input = heard.or(prompt).unwrap_or(exchange.held.prompt.0);
    match limit.unit {
        Unit::OutputTokens => output,
        Unit::Budget => cost::with_output(exchange, unix_ms, input, output),
        _ => input.saturating_add(output),
    }
}

/// The largest up to `wanted` that fits; it fits the better the smaller it is.
fn most(wanted: u64, fits: impl Fn(u64) -> bool) -> u64 {
    if fits(wanted) {
        return wanted;
    }
    let (mut most, mut too_many) = (0, wanted);
    while most + 1 < too_many {
        let middle = most.midpoint(too_many);
        match fits(middle) {
            true => most = middle,
            false => too_many = middle,
        }
    }
    most
}
