//! The order in which a call tries its targets: tiers one after the other, in each by its strategy, whoever is ill last.

use std::ops::Range;

use tollgate_config::{
    document::{Affinity, Breaker, Sticky, Strategy},
    fnv::Fnv,
};
use tollgate_wire::head::RequestView;

use super::{
    Luck, Routing, affinity, health::Standing, latency::Class, meaning, needs::Needs, prefixes::Prefixes,
    reckoning::Reckoning,
};
use crate::{
    Tick,
    exchange::{Exchange, Io},
    snapshot::{Route, Target},
};

/// As many as a document may list.
pub(crate) const MAX_TARGETS: usize = 64;
/// Two times are alike when they differ by less than this; then the less busy one is taken.
const ALIKE: f64 = 0.1;

/// Indexes into a route's targets, the first to be tried first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    at: [u8; MAX_TARGETS],
    len: u8,
    /// How the prompt begins decided who comes first.
    pub by_prefix: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            at: [0; MAX_TARGETS],
            len: 0,
            by_prefix: false,
        }
    }
}

impl Order {
    pub fn as_slice(&self) -> &[u8] {
        &self.at[..usize::from(self.len)]
    }

    /// Leaves out those that are not kept; where none is, all stay: what is known against them may be wrong.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let mut kept = Self::default();
        for &index in self.as_slice().iter().filter(|&&index| keep(usize::from(index))) {
            kept.push(usize::from(index));
        }
        if kept.len > 0 {
            *self = kept;
        }
    }

    /// Moves whoever has this place before all others.
    pub fn move_first(&mut self, place: usize) {
        if let Some(until) = self.at.get_mut(..=place) {
            until.rotate_right(1);
        }
    }

    /// The least rank first; of equals whoever came first.
    fn sort_by(&mut self, ranks: &[Rank; MAX_TARGETS]) {
        // Compared as one number each, which is much less work than member by member.
        let mut keys = [0u128; MAX_TARGETS];
        let len = usize::from(self.len);
        for (key, &index) in keys.iter_mut().zip(&self.at[..len]) {
            *key = ranks[usize::from(index)].key() << 8 | u128::from(index);
        }
        keys[..len].sort_unstable();
        for (at, key) in self.at.iter_mut().zip(&keys[..len]) {
            *at = *key as u8;
        }
    }

    pub fn push(&mut self, target: usize) {
        if let Some(place) = self.at.get_mut(usize::from(self.len)) {
            *place = target as u8;
            self.len += 1;
        }
    }
}

/// Targets of a route that share a strategy.
#[derive(Debug)]
pub(crate) struct Tier {
    pub strategy: Strategy,
    pub sticky: Option<Sticky>,
    pub affinity: Option<Affinity>,
    /// Where the strategy goes by meaning.
    pub judge: Option<Box<meaning::Judge>>,
    pub targets: Range<usize>,
}

/// What sorts targets: whose turn by health, then by tier, then by strategy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rank {
    pub turn: Turn,
    pub tier: u8,
    pub score: f64,
}

impl Rank {
    /// Of two ranks the one that comes first has the smaller key: turn, tier, and the score's bits, which are ordered as
    /// `f64::total_cmp` orders numbers once those of negative ones are turned round.
    fn key(self) -> u128 {
        let bits = self.score.to_bits();
        let negative = (bits as i64 >> 63) as u64;
        let ordered = bits ^ (negative | 1 << 63);
        (self.turn as u128) << 72 | u128::from(self.tier) << 64 | u128::from(ordered)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Well,
    /// Not quite well again: the share of calls that it does not get yet.
    Spared,
    Ill,
}

/// What is asked of all targets alike.
pub(super) struct Asked<'a> {
    pub now: Tick,
    class: Class,
    pub routing: &'a Routing,
    unix_ms: u64,
    /// Where a strategy reckons cost.
    reckoning: Option<&'a Reckoning>,
    /// Where a strategy goes by meaning.
    read: Option<&'a meaning::Read>,
}

/// The order of those that `serves` admits, without those that are known to lack what the call asks for.
pub(crate) fn order(exchange: &Exchange, io: &Io<'_>, route: &Route, serves: impl Fn(&Target) -> bool) -> Order {
    let mut order = Order::default();
    for (index, target) in route.targets.iter().enumerate() {
        if serves(target) {
            order.push(index);
        }
    }
    if order.len > 1 {
        let needs = Needs::of(exchange.admitted.body(io.body));
        order.retain(|index| needs.lacking(route.targets[index].facts).is_none());
    }
    if order.len <= 1 {
        return order;
    }
    let asked = Asked {
        now: io.now,
        class: Class::of(io.body.len(), exchange.facts.stream),
        routing: &io.local.routing,
        unix_ms: io.unix_ms,
        reckoning: exchange.call.reckoning.as_ref(),
        read: exchange.call.read.as_deref(),
    };
    let mut luck = Luck::new(io.local.seed ^ io.local.sequence.wrapping_mul(0xd134_2543_de82_ef95));
    let mut ranks = [Rank {
        turn: Turn::Well,
        tier: 0,
        score: 0.0,
    }; MAX_TARGETS];
    let mut standings = [Standing::Well; MAX_TARGETS];
    for &index in order.as_slice() {
        let target = &route.targets[usize::from(index)];
        standings[usize::from(index)] = target.health.standing(io.now, &route.breaker);
    }
    bear_with_some(&order, &mut standings, &route.breaker);
    for (number, tier) in route.tiers.iter().enumerate() {
        let mut lots = match &tier.sticky {
            Some(sticky) => sticky_luck(exchange, io.request, sticky).unwrap_or(luck),
            None => luck,
        };
        for &index in order.as_slice() {
            let index = usize::from(index);
            if !tier.targets.contains(&index) {
                continue;
            }
            let target = &route.targets[index];
            ranks[index] = Rank {
                turn: turn(standings[index], &mut luck),
                tier: number as u8,
                score: score(tier.strategy, (index, target), &asked, &mut lots),
            };
        }
    }
    order.sort_by(&ranks);
    better_of_two(&mut order, &ranks, route, &asked, &mut luck);
    if route.draws {
        let prefixes = Prefixes::of(exchange.admitted.body(io.body));
        affinity::draw(&mut order, &ranks, route, &asked, &prefixes);
    }
    probe_first(&mut order, &ranks, &standings, route, io.now);
    order
}

/// Never more than a share of the targets is left alone: those that come back soonest are tried all the same.
fn bear_with_some(order: &Order, standings: &mut [Standing; MAX_TARGETS], breaker: &Breaker) {
    let indexes = || order.as_slice().iter().map(|&index| usize::from(index));
    let ejected = |standings: &[Standing; MAX_TARGETS]| {
        indexes()
            .filter(|&index| matches!(standings[index], Standing::Ejected { .. }))
            .count()
    };
    let share = usize::from(order.len) * breaker.max_ejected_percent as usize / 100;
    // One may always be, unless none may; with all of them left alone nobody would be asked.
    let least = usize::from(breaker.max_ejected_percent > 0);
    let most = share.max(least).min(usize::from(order.len) - 1);
    let mut over = ejected(standings).saturating_sub(most);
    while over > 0 {
        let soonest = indexes().filter_map(|index| match standings[index] {
            Standing::Ejected { until } => Some((until, index)),
            _ => None,
        });
        let Some((_, index)) = soonest.min() else { return };
        standings[index] = Standing::Well;
        over -= 1;
    }
}

fn turn(standing: Standing, luck: &mut Luck) -> Turn {
    match standing {
        Standing::Well => Turn::Well,
        Standing::Recovering { per_mille } if luck.below(1_000) < u64::from(per_mille) => Turn::Well,
        Standing::Recovering { .. } => Turn::Spared,
        Standing::HalfOpen | Standing::Ejected { .. } => Turn::Ill,
    }
}

/// The least is tried first.
fn score(strategy: Strategy, (index, target): (usize, &Target), asked: &Asked<'_>, luck: &mut Luck) -> f64 {
    let state = asked.routing.look(target);
    match strategy {
        Strategy::Priority => index as f64,
        // Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006: an order by lot in which each place
        // is drawn by weight. With lots that hang on a call's key it is rendezvous hashing: when a target comes or goes,
        // only its own calls move.
        Strategy::Weighted => {
            let lot = Luck::new(luck.0 ^ target.lot).unit();
            -lot.ln() / f64::from(target.weight)
        }
        Strategy::LeastBusy => {
            let busy = state.map_or(0, |state| state.busy);
            f64::from(busy + 1) / f64::from(target.weight.max(1)) + tie_break(luck)
        }
        Strategy::Headroom => {
            let told = state.map_or(1_000, |state| state.headroom.per_mille(asked.now));
            let granted = target.grants.as_ref();
            let left = granted.map_or(told, |grants| grants.per_mille(asked.now).min(told));
            -f64::from(left) + tie_break(luck)
        }
        Strategy::LowestCost => {
            let expected = asked
                .reckoning
                .and_then(|reckoning| reckoning.cost_in_the_end(target, asked.routing, (asked.now, asked.unix_ms)));
            // Whoever has no price comes last; `check` asks for prices.
            expected.map_or(f64::MAX, |cost| {
                // A word is turned into a float many times quicker than two.
                let picos = u64::try_from(cost.0).map_or_else(|_| cost.0 as f64, |picos| picos as f64);
                picos + tie_break(luck)
            })
        }
        Strategy::Semantic | Strategy::Complexity => {
            asked.read.map_or(index as f64, |read| f64::from(read.place(index)))
        }
        Strategy::LeastLatency => {
            let known = state.and_then(|state| state.latency.as_ref()?.expected_ns(asked.now, asked.class));
            match (known, state.map_or(0, |state| state.busy)) {
                (Some(expected_ns), _) => expected_ns,
                // Nothing is known: one call at a time finds out.
                (None, 0) => 0.0,
                (None, _) => f64::MAX,
            }
        }
    }
}

/// What a strategy goes by, for people.
pub(crate) const fn words(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Priority => "its place in the list",
        Strategy::Weighted => "lot, as its weight says",
        Strategy::LeastLatency => "latency",
        Strategy::LeastBusy => "the calls under way",
        Strategy::Headroom => "what is left of its provider's limits",
        Strategy::LowestCost => "expected cost",
        Strategy::Semantic | Strategy::Complexity => "what the prompt means",
    }
}

/// Smaller than any difference that counts.
fn tie_break(luck: &mut Luck) -> f64 {
    luck.unit() * 1e-6
}

/// Power of two choices (Mitzenmacher, 2001): of two drawn by lot the quicker comes first, so that not all shards run to
/// the same target at once.
fn better_of_two(order: &mut Order, ranks: &[Rank; MAX_TARGETS], route: &Route, asked: &Asked<'_>, luck: &mut Luck) {
    let Some(&first) = order.as_slice().first() else { return };
    let lead = ranks[usize::from(first)];
    let strategy = route.tiers.get(usize::from(lead.tier)).map(|tier| tier.strategy);
    if lead.turn != Turn::Well || strategy != Some(Strategy::LeastLatency) {
        return;
    }
    let alike = |index: &&u8| {
        let rank = &ranks[usize::from(**index)];
        rank.turn == lead.turn && rank.tier == lead.tier
    };
    let among = order.as_slice().iter().take_while(alike).count();
    if among < 2 {
        return;
    }
    let one = luck.below(among as u64) as usize;
    let other = (one + 1 + luck.below(among as u64 - 1) as usize) % among;
    let score = |place: usize| ranks[usize::from(order.at[place])].score;
    let busy = |place: usize| {
        let target = &route.targets[usize::from(order.at[place])];
        asked.routing.look(target).map_or(0, |state| state.busy)
    };
    let (slow, quick) = (score(one).max(score(other)), score(one).min(score(other)));
    let better = if slow - quick <= quick * ALIKE {
        if busy(one) <= busy(other) { one } else { other }
    } else if score(one) < score(other) {
        one
    } else {
        other
    };
    order.move_first(better);
}

/// A target whose cooldown is over is asked first by one call, where it would be asked at all if it were well, and another
/// target can mend it when it fails.
fn probe_first(
    order: &mut Order,
    ranks: &[Rank; MAX_TARGETS],
    standings: &[Standing; MAX_TARGETS],
    route: &Route,
    now: Tick,
) {
    if route.retry.attempts < 2 {
        return;
    }
    let first = order.as_slice().first().map(|&index| ranks[usize::from(index)]);
    let best_tier = first
        .filter(|rank| rank.turn == Turn::Well)
        .map_or(u8::MAX, |rank| rank.tier);
    let probed = order.as_slice().iter().position(|&index| {
        let index = usize::from(index);
        let asked = ranks[index].tier <= best_tier && standings[index] == Standing::HalfOpen;
        asked && route.targets[index].health.take_probe(now)
    });
    if let Some(place) = probed {
        order.move_first(place);
    }
}

/// Lots that are the same for all calls of a key, a user or a header's value.
fn sticky_luck(exchange: &Exchange, request: RequestView<'_>, sticky: &Sticky) -> Option<Luck> {
    let pinned = exchange.pin();
    let key = exchange.facts.key.map(|key| pinned.keys.entry(key));
    let held = match sticky {
        Sticky::Key => key.map(|key| key.name.as_bytes()),
        Sticky::User => key.and_then(|key| Some(key.user.as_deref()?.as_bytes())),
        Sticky::Header(name) => request.named(name.as_bytes()).map(<[u8]>::trim_ascii),
    };
    held.filter(|held| !held.is_empty())
        .map(|held| Luck::new(Fnv::of(held)))
}
