//! What is spent of limits as somebody else knows it: for explanations, whose balances are their own and empty.

use tollgate_config::link::LimitStatus;

use super::{bucket, call::Lists, tags};
use crate::exchange::{Exchange, Io};

/// Notes what is spent of the limits that the call comes under.
pub(crate) fn assume(exchange: &Exchange, io: &Io<'_>, known: &[LimitStatus]) {
    let pinned = exchange.pin();
    let now = io.local.limits.look(&pinned.snapshot, io.unix_ms);
    let tags = tags::of(&pinned, &exchange.facts.tags);
    for (_, rules, rule) in Lists::of(&pinned, exchange, exchange.facts.route(), &tags).rules() {
        let (unit, per) = (rule.limit.unit.name(), rule.limit.window.told());
        let is_its = |one: &&LimitStatus| {
            one.scope == rules.scope.name() && one.name == *rules.name && one.unit == unit && one.per == per
        };
        if let Some(known) = known.iter().find(is_its) {
            bucket::note(&io.local.limits.balances, (rule.id, &rule.limit), &now, known.used);
        }
    }
}
