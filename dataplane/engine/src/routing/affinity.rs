//! `affinity: prefix`: calls whose prompts begin alike are drawn to the target that saw that beginning lately, for providers
//! keep beginnings and ask a fraction of the price for them. Bounded by load: a target that has much more to do than the
//! others is passed over (the idea: Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", 2016).

use tollgate_config::document::{Affinity, Strategy};

use super::{
    Luck,
    choose::{Asked, MAX_TARGETS, Order, Rank, Turn},
    prefixes::Prefixes,
};
use crate::snapshot::{Route, Target};

/// Moves the target that the prompt's beginning is drawn to before those of its tier.
pub(super) fn draw(
    order: &mut Order,
    ranks: &[Rank; MAX_TARGETS],
    route: &Route,
    asked: &Asked<'_>,
    prefixes: &Prefixes,
) {
    let Some(&first) = order.as_slice().first() else { return };
    let (lead, Some(beginning)) = (ranks[usize::from(first)], prefixes.shortest()) else {
        return;
    };
    let Some(tier) = route.tiers.get(usize::from(lead.tier)) else {
        return;
    };
    if tier.affinity != Some(Affinity::Prefix) || lead.turn != Turn::Well {
        return;
    }
    let is_as_good = |index: u8| {
        let rank = &ranks[usize::from(index)];
        let costs_more = tier.strategy == Strategy::LowestCost && rank.score - lead.score >= 1.0;
        rank.turn == lead.turn && rank.tier == lead.tier && !costs_more
    };
    // A weight of zero: only when nobody else can.
    let drawn = || {
        let places = order.as_slice().iter().enumerate();
        let among = places.map(|(place, &index)| (place, index, &route.targets[usize::from(index)]));
        among.filter(|(_, index, target)| is_as_good(*index) && target.weight > 0)
    };
    let load = |target: &Target| {
        let busy = asked.routing.look(target).map_or(0, |state| state.busy);
        (u64::from(busy), u64::from(target.weight))
    };
    let all = drawn().map(|(_, _, target)| load(target));
    let (busy, weight) = all.fold((0, 0), |(busy, weight), one| (busy + one.0, weight + one.1));
    let mut best: Option<(usize, usize, f64)> = None;
    for (place, _, target) in drawn() {
        if is_too_busy(load(target), (busy, weight)) {
            continue;
        }
        let seen = asked.routing.look(target).and_then(|state| state.seen.as_ref());
        let seen_bytes = seen.map_or(0, |seen| seen.longest(asked.now, prefixes));
        if best.is_some_and(|(_, most, _)| seen_bytes < most) {
            continue;
        }
        // By the beginning's hash, the same on all shards of all nodes; the least comes first. A logarithm takes a while: only
        // for those that saw as much as any.
        let lot = -Luck::new(beginning ^ target.lot).unit().ln() / f64::from(target.weight);
        if best.is_none_or(|(_, most, least)| seen_bytes > most || lot < least) {
            best = Some((place, seen_bytes, lot));
        }
    }
    if let Some((place, ..)) = best {
        order.move_first(place);
        order.by_prefix = true;
    }
}

/// More than a quarter above its part of the calls under way, and one: with few of them a quarter is less than a call.
fn is_too_busy((busy, weight): (u64, u64), (of_busy, of_weight): (u64, u64)) -> bool {
    4 * busy * of_weight > 5 * of_busy * weight + 4 * of_weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_above_the_mean_and_one_is_too_much() {
        let of_three = |busy: u64, of_busy| is_too_busy((busy, 1), (of_busy, 3));
        assert!(!of_three(0, 0) && !of_three(1, 1), "the first two may go together");
        assert!(of_three(2, 2));
        assert!(!of_three(51, 120) && of_three(52, 120), "40 is the mean");
        assert!(
            !is_too_busy((76, 2), (90, 3)) && is_too_busy((77, 2), (90, 3)),
            "by weight"
        );
    }
}
