//! How much of a call's limits was spent before it: what `when.spent_share` goes by. Looks at balances and takes nothing.

use tollgate_config::document::SpentShare;

use super::{bucket, call};
use crate::exchange::{Exchange, Io};

/// Does the share hold for the limit of the call that is spent most? Where it comes under none, nothing is spent.
pub(crate) fn holds(exchange: &Exchange, io: &Io<'_>, share: &SpentShare) -> bool {
    let pinned = exchange.pin();
    let balances = &io.local.limits.balances;
    let now = io.local.limits.moment(&pinned.snapshot, io.unix_ms);
    let scopes = call::scopes_of(exchange, &pinned);
    let of_scope = scopes.iter().flatten();
    let levels = of_scope.filter(|rules| share.of.is_none_or(|of| of.name() == rules.scope.name()));
    let levels = levels.flat_map(|rules| {
        let rules_of_unit = rules
            .all
            .iter()
            .enumerate()
            .filter(|(_, rule)| share.is_of(&rule.limit));
        rules_of_unit.map(|(index, rule)| {
            let level = bucket::level(balances, (rule.id, &rule.limit), &now);
            let own = exchange.held.taken_of(rules.scope, index);
            (level.used.saturating_sub(own), level.limit)
        })
    });
    let fullest = levels.max_by(|one, other| {
        let scaled = |(used, _): (u64, u64), most: u64| u128::from(used) * u128::from(most);
        scaled(*one, other.1).cmp(&scaled(*other, one.1))
    });
    share.holds(fullest.unwrap_or((0, 1)))
}
