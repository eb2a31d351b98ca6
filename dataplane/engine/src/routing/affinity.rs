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

/// What draws calls to a target that is otherwise as good.
#[derive(Clone, Copy)]
struct Draw {
    place: usize,
    /// Bytes of the beginning that it saw lately, in this shard.
    seen: usize,
    /// By the beginning's hash, the same on all shards of all nodes; the least comes first.
    lot: f64,
    busy: u64,
    weight: u64,
}

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
    let places = order.as_slice().iter().enumerate();
    let among = || {
        let as_good = places.clone().filter(|(_, index)| is_as_good(**index));
        as_good.map(|(place, &index)| (place, &route.targets[usize::from(index)]))
    };
    // A weight of zero: only when nobody else can.
    let drawn = || {
        let weighed = among().filter(|(_, target)| target.weight > 0);
        weighed.map(|(place, target)| of_target(place, target, asked, (beginning, prefixes)))
    };
    let (busy, weight) = drawn().fold((0, 0), |(busy, weight), draw| (busy + draw.busy, weight + draw.weight));
    let free = drawn().filter(|draw| !is_too_busy((draw.busy, draw.weight), (busy, weight)));
    let best = free.min_by(|a, b| b.seen.cmp(&a.seen).then(a.lot.total_cmp(&b.lot)));
    if let Some(Draw { place, .. }) = best {
        order.move_first(place);
        order.by_prefix = true;
    }
}

fn of_target(place: usize, target: &Target, asked: &Asked<'_>, (beginning, prefixes): (u64, &Prefixes)) -> Draw {
    let state = asked.routing.look(target);
    let seen = state.and_then(|state| state.seen.as_ref());
    let weight = f64::from(target.weight);
    Draw {
        place,
        seen: seen.map_or(0, |seen| seen.longest(asked.now, prefixes)),
        lot: -Luck::new(beginning ^ target.lot).unit().ln() / weight,
        busy: state.map_or(0, |state| state.busy).into(),
        weight: target.weight.into(),
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
