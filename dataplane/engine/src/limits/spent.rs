//! How much of a call's limits was spent before it: what `when.spent_share` goes by. Looks at balances and takes nothing.

use tollgate_config::document::SpentShare;

use super::{bucket, call::Lists};
use crate::exchange::{Exchange, Io};

/// Does the share hold for the limit of the call that is spent most? Where it comes under none, nothing is spent.
pub(crate) fn holds(exchange: &Exchange, io: &Io<'_>, share: &SpentShare) -> bool {
    let pinned = exchange.pin();
    let balances = &io.local.limits.balances;
    let now = io.local.limits.look(&pinned.snapshot, io.unix_ms);
    let lists = Lists::of(&pinned, exchange, exchange.facts.route(), &exchange.held.tags);
    let of_scope = |scope: &str| share.of.is_none_or(|of| of.name() == scope);
    let meant = lists
        .rules()
        .filter(|(_, rules, rule)| of_scope(rules.scope.name()) && share.is_of(&rule.limit));
    let levels = meant.map(|(place, _, rule)| {
        let level = bucket::level(balances, (rule.id, &rule.limit), &now);
        let own = exchange.held.taken_of(place);
        (level.used.saturating_sub(own), level.limit)
    });
    let fullest = levels.max_by(|one, other| {
        let scaled = |(used, _): (u64, u64), most: u64| u128::from(used) * u128::from(most);
        scaled(*one, other.1).cmp(&scaled(*other, one.1))
    });
    share.holds(fullest.unwrap_or((0, 1)))
}
