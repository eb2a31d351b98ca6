//! A call's way through its limits: all of them admit it or none is touched, and what it really used replaces what was
//! reserved, however it ends.

use std::sync::Arc;

use tollgate_config::document::{Limit, LimitMode, Unit};

use super::{
    Level, Rules, Scope, bound,
    bound::{Bound, Costs},
    bucket::{self, Lacking, Moment, Taken},
    crossed, expect,
    expect::Expected,
    limited::Limited,
    rules::Rule,
    tags,
    used::Used,
};
use crate::{
    exchange::{Exchange, Io, Pinned},
    facts::Detached,
    failure::Kind,
    record::Outcome,
    snapshot::{ModelId, Route, Snapshot},
    surface::Operation,
};

/// Between a look at what is left of a hard limit and taking of it others may have been: then it is looked at again.
const MAX_LOOKS: usize = 4;

/// What a call holds of its limits.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(super) taken: Vec<Reserved>,
    /// The model whose limits it went through last: another may take over.
    route: Option<usize>,
    /// What was charged to the limits of those models that another took over from: tokens in and out, nano-dollars.
    before: (u64, u64, u64),
    /// By its tags.
    pub(super) tags: Vec<Arc<Rules>>,
    /// What its prompt is expected to use: tokens, and nano-dollars.
    pub(super) prompt: (u64, u64),
    /// It came under a hard limit: one target is asked at a time, and one answers.
    bounded: bool,
    /// The most tokens that each of its answers may have, where that must be written into the request.
    cap: Option<u64>,
    /// Its stream ends where a limit ends.
    cuts: bool,
    /// The tightest of requests and of tokens, as they stood then: what headers tell.
    pub(super) requests: Option<Level>,
    pub(super) tokens: Option<Level>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Reserved {
    /// In `Lists`.
    list: u16,
    /// Where the list is a model's: which.
    route: Option<usize>,
    rule: u8,
    pub taken: Taken,
    /// Of that, what was added while its stream went on.
    pub extended: u64,
}

impl Held {
    /// Some limit admitted the call.
    pub fn is_limited(&self) -> bool {
        !self.taken.is_empty()
    }

    /// What the call itself has reserved of a limit, by its place in `Lists`.
    pub(super) fn taken_of(&self, (list, rule): (u16, u8)) -> u64 {
        let own = |taken: &&Reserved| (taken.list, taken.rule) == (list, rule) && taken.is_of(self.route);
        self.taken.iter().find(own).map_or(0, |reserved| reserved.taken.amount)
    }

    pub fn clear(&mut self) {
        let mut taken = std::mem::take(&mut self.taken);
        taken.clear();
        *self = Self {
            taken,
            ..Self::default()
        };
    }

    pub fn is_bounded(&self) -> bool {
        self.bounded
    }

    pub fn cap(&self) -> Option<u64> {
        self.cap
    }

    pub fn cuts(&self) -> bool {
        self.cuts
    }
}

impl Reserved {
    /// It is of no model, or of this one.
    fn is_of(&self, route: Option<usize>) -> bool {
        self.route.is_none() || self.route == route
    }
}

/// The limits that a call comes under before its target is known.
pub(super) struct Lists<'p> {
    /// By `Scope::ALL`.
    fixed: [Option<&'p Rules>; 5],
    tags: &'p [Arc<Rules>],
    snapshot: &'p Snapshot,
}

/// The place of a model's limits.
const OF_MODEL: usize = Scope::Model as usize;

impl<'p> Lists<'p> {
    pub fn of(pinned: &'p Pinned, exchange: &Exchange, route: Option<usize>, tags: &'p [Arc<Rules>]) -> Self {
        let key = exchange.facts.key.map(|key| pinned.keys.entry(key));
        let route = route.and_then(|route| pinned.snapshot.routes.get(route));
        Self {
            fixed: [
                pinned.snapshot.organization.as_deref(),
                key.and_then(|key| key.limits.team.as_deref()),
                key.and_then(|key| key.limits.user.as_deref()),
                key.and_then(|key| key.limits.own.as_deref()),
                route.and_then(|route| route.limits.as_deref()),
            ],
            tags,
            snapshot: &pinned.snapshot,
        }
    }

    /// Those of a model alone.
    fn of_model(snapshot: &'p Snapshot, route: usize) -> Self {
        let mut fixed = [None; 5];
        fixed[OF_MODEL] = snapshot.routes.get(route).and_then(|route| route.limits.as_deref());
        Self {
            fixed,
            tags: &[],
            snapshot,
        }
    }

    fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.fixed.iter().all(Option::is_none)
    }

    fn all(&self) -> impl Iterator<Item = &'p Rules> {
        let tags = self.tags.iter().map(|rules| &**rules);
        self.fixed.into_iter().flatten().chain(tags)
    }

    /// Each rule with its place.
    pub fn rules(&self) -> impl Iterator<Item = ((u16, u8), &'p Rules, &'p Rule)> {
        let fixed = self
            .fixed
            .into_iter()
            .enumerate()
            .filter_map(|(at, rules)| Some((at, rules?)));
        let tags = self.tags.iter().enumerate().map(|(at, rules)| (5 + at, &**rules));
        fixed.chain(tags).flat_map(|(list, rules)| {
            let each = rules.all.iter().enumerate();
            each.map(move |(rule, found)| ((list as u16, rule as u8), rules, found))
        })
    }

    pub fn get(&self, reserved: &Reserved) -> Option<(&'p Rules, &'p Rule)> {
        let list = usize::from(reserved.list);
        let rules = match (reserved.route, self.fixed.get(list)) {
            (Some(route), _) => self.snapshot.routes.get(route)?.limits.as_deref()?,
            (None, Some(rules)) => (*rules)?,
            (None, None) => self.tags.get(list - self.fixed.len())?,
        };
        Some((rules, rules.all.get(usize::from(reserved.rule))?))
    }
}

/// Is the caller limited in anything, whatever its call asks for?
pub(crate) fn are_set(exchange: &Exchange) -> bool {
    exchange.pinned().is_some_and(|pinned| {
        let tags = tags::of(pinned, &exchange.facts.tags);
        !Lists::of(pinned, exchange, None, &tags).is_empty()
    })
}

/// Reserves what the call is expected to use, everywhere or nowhere.
pub(crate) fn reserve(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<(), Kind> {
    let pinned = exchange.pin();
    let through = exchange.call.through.and_then(|through| through.route);
    let route = exchange.facts.route().or(through);
    let tags = tags::of(&pinned, &exchange.facts.tags);
    let lists = Lists::of(&pinned, exchange, route, &tags);
    if lists.is_empty() {
        return Ok(());
    }
    exchange.held.route = route;
    exchange.held.tags.clone_from(&tags);
    admit(exchange, io, &pinned, &lists)
}

/// The call is a model's that was not known before, or that takes over: that one's limits have to admit it as well. What
/// was taken of others stays.
pub(crate) fn admit_model(exchange: &mut Exchange, io: &mut Io<'_>, model: ModelId) -> Result<(), Kind> {
    let pinned = exchange.pin();
    let route = model.0 as usize;
    let earlier = exchange.held.route.replace(route);
    let lists = Lists::of_model(&pinned.snapshot, route);
    if lists.is_empty() {
        return Ok(());
    }
    let admitted = admit(exchange, io, &pinned, &lists);
    if admitted.is_err() {
        exchange.held.route = earlier;
    }
    admitted
}

/// Another model could take over: do its limits admit the call? Where they do not, nothing has changed.
pub(crate) fn admit_successor(exchange: &mut Exchange, io: &mut Io<'_>, model: ModelId) -> bool {
    let held = &exchange.held;
    let before = (
        held.requests,
        held.tokens,
        held.bounded,
        held.cuts,
        held.cap,
        held.prompt,
    );
    let admitted = admit_model(exchange, io, model).is_ok();
    if !admitted {
        let held = &mut exchange.held;
        (
            held.requests,
            held.tokens,
            held.bounded,
            held.cuts,
            held.cap,
            held.prompt,
        ) = before;
    }
    admitted
}

/// Another model has taken over, and was admitted: what the ones before it used is charged to their limits.
pub(crate) fn hand_over(exchange: &mut Exchange, io: &mut Io<'_>) {
    let held = &mut exchange.held;
    let route = held.route;
    // Those of the model that is to answer come first, and stay.
    held.taken.sort_by_key(|reserved| !reserved.is_of(route));
    let first = held.taken.partition_point(|reserved| reserved.is_of(route));
    let declined = exchange.facts.declined.as_ref();
    let spent = exchange.facts.spent.as_ref();
    let all = [declined, spent]
        .into_iter()
        .flatten()
        .fold((0u64, 0u64, 0u64), |(input, output, nanos), used| {
            let cost = used.cost.map_or(0, |cost| cost.usd.to_nanos().0);
            (
                input.saturating_add(used.usage.all_input()),
                output.saturating_add(used.usage.all_output()),
                nanos.saturating_add(cost),
            )
        });
    let before = std::mem::replace(&mut exchange.held.before, all);
    let used = Used {
        asked: true,
        unknown: false,
        estimated: false,
        input: all.0,
        output: all.1,
        nanos: all.2,
    };
    let used = used.since(before);
    replace(exchange, io, first, |_, limit, reserved| used.of(limit, reserved));
}

/// Takes what the call needs of all these, or of none of them.
fn admit(exchange: &mut Exchange, io: &mut Io<'_>, pinned: &Pinned, lists: &Lists<'_>) -> Result<(), Kind> {
    let route = exchange.held.route;
    let found = route.and_then(|route| pinned.snapshot.routes.get(route));
    let needs = Needs::of(exchange, io, (pinned, found), lists)?;
    let now = io.local.limits.now(&pinned.snapshot, io.unix_ms);
    let held = &mut exchange.held;
    let first = held.taken.len();
    let (tokens, nanos) = held.prompt;
    held.prompt = (tokens.max(needs.expected.input), nanos.max(needs.expected.prompt_nanos));
    held.bounded |= needs.bound.is_some();
    held.cuts |= needs.streams && lists.all().any(|rules| rules.cuts);
    // While its caller's call waits for a summary, the two are one.
    let has_place = |list: u16, rule: &Rule| rule.limit.unit == Unit::Concurrent && usize::from(list) != OF_MODEL;
    let is_summary = exchange.facts.detached == Detached::Summary;
    let mut looks = 1;
    let refused = loop {
        // Borrowed: a count of who holds them would be written by all shards.
        let balances = &*io.local.limits.balances;
        let cap = needs.cap(|rule| bucket::within_reach(balances, (rule.id, &rule.limit), &now));
        let mut refused: Option<Limited> = None;
        let mut again = false;
        let taken = &mut exchange.held.taken;
        lists.rules().for_each(|((list, at), rules, rule)| {
            if is_summary && has_place(list, rule) {
                return;
            }
            let has_none = rules.scope == Scope::Tag && balances.has_none_for_tag(rule.id);
            match if has_none {
                without_balance(rule)
            } else {
                take(balances, rule, &now, &needs, cap)
            } {
                Ok(Some(of_rule)) => taken.push(Reserved {
                    list,
                    route: route.filter(|_| usize::from(list) == OF_MODEL),
                    rule: at,
                    taken: of_rule,
                    extended: 0,
                }),
                Ok(None) => {}
                Err(lacking) => {
                    // Less was left than a moment ago: a lower cap may fit.
                    again |= rule.limit.is_hard() && needs.may_shrink(cap);
                    longest(&mut refused, rules, at.into(), lacking);
                }
            }
        });
        if needs.bound.is_some_and(|bound| bound.changes(cap)) {
            exchange.held.cap = Some(cap);
        }
        if refused.is_none() || !again || looks == MAX_LOOKS {
            break refused;
        }
        looks += 1;
        put_back(exchange, io, first);
    };
    tell(&mut exchange.held, lists, &io.local.limits.balances, &now);
    match refused {
        None => Ok(()),
        Some(limited) => {
            put_back(exchange, io, first);
            Err(Kind::Limited(Box::new(limited)))
        }
    }
}

/// What a call wants of its limits.
struct Needs<'p> {
    expected: Expected,
    /// Where a limit is hard.
    bound: Option<Bound>,
    costs: Costs<'p>,
    /// Its stream may be cut.
    streams: bool,
    hard: Vec<&'p Rule>,
}

impl<'p> Needs<'p> {
    fn of(
        exchange: &Exchange,
        io: &Io<'_>,
        (pinned, route): (&'p Pinned, Option<&'p Route>),
        lists: &Lists<'p>,
    ) -> Result<Self, Kind> {
        let expected = match route {
            Some(route) if lists.all().any(|rules| rules.counts) => expect::at_any(exchange, io, route),
            _ => Expected::default(),
        };
        let with_hard = lists.all().find(|rules| rules.has_hard);
        let whose = with_hard.map(|rules| (rules.scope, &*rules.name));
        let bound = whose.map(|whose| bound::of(exchange, io, route, whose)).transpose()?;
        let costs = Costs::of(exchange, io, pinned, route.filter(|_| bound.is_some()));
        Ok(Self {
            expected,
            bound,
            costs,
            streams: exchange.facts.stream && exchange.facts.surface.operation == Operation::Chat,
            hard: match with_hard {
                Some(_) => hard_rules(lists).collect(),
                None => Vec::new(),
            },
        })
    }

    /// The largest cap on each answer that all hard limits have room for; the least where one has none.
    fn cap(&self, left: impl Fn(&Rule) -> u64) -> u64 {
        let Some(bound) = &self.bound else { return 0 };
        let lower = |cap, rule: &&Rule| bound.cap(&self.costs, &rule.limit, left(rule), cap);
        self.hard.iter().fold(bound.asked, lower)
    }

    fn may_shrink(&self, cap: u64) -> bool {
        self.bound.is_some_and(|bound| cap > bound.least())
    }
}

fn hard_rules<'p>(lists: &Lists<'p>) -> impl Iterator<Item = &'p Rule> {
    let rules = lists.all().flat_map(|rules| &rules.all);
    rules.filter(|rule| rule.limit.is_hard())
}

/// A value of a tag that is new when new ones have no room: it is not counted, and so not granted.
fn without_balance(rule: &Rule) -> Result<Option<Taken>, Lacking> {
    match rule.limit.mode {
        LimitMode::Shadow => Ok(None),
        LimitMode::Enforce => Err(bucket::NO_ROOM),
    }
}

/// Takes what the call needs of one limit; none where it only watches and cannot count.
fn take(
    balances: &super::Balances,
    rule: &Rule,
    now: &Moment,
    needs: &Needs<'_>,
    cap: u64,
) -> Result<Option<Taken>, Lacking> {
    let (named, limit) = ((rule.id, &rule.limit), &rule.limit);
    let amount = match &needs.bound {
        Some(bound) if limit.is_hard() => bound.of(limit.unit, &needs.costs, cap),
        _ => needs.expected.of(limit.unit),
    };
    if limit.mode == LimitMode::Shadow {
        return Ok(bucket::note(balances, named, now, amount));
    }
    let taken = bucket::take(balances, named, now, amount);
    if taken.is_ok() || !(limit.cuts() && needs.streams) || limit.is_hard() {
        return taken.map(Some);
    }
    // Whatever is left beyond its prompt: the answer ends where that ends.
    let left = bucket::at_hand(balances, named, now);
    match left > needs.expected.of_prompt(limit.unit) {
        true => bucket::take(balances, named, now, left).map(Some),
        false => taken.map(Some),
    }
}

/// The limit that is in the way longest is the one to be told: who waits for another only comes back to be refused.
fn longest(refused: &mut Option<Limited>, rules: &Rules, index: usize, lacking: Lacking) {
    let Some(rule) = rules.all.get(index) else { return };
    let new = Limited::new(rules, rule, lacking);
    let length = |limited: &Limited| match limited.may_retry() {
        true => limited.retry_after_ms().unwrap_or(0),
        false => u64::MAX,
    };
    if refused.as_ref().is_none_or(|old| length(old) < length(&new)) {
        *refused = Some(new);
    }
}

/// Notes how the tightest limits of requests and of tokens stand that are enforced.
fn tell(held: &mut Held, lists: &Lists<'_>, balances: &super::Balances, now: &Moment) {
    let mut tightest: [Option<(u64, &Rule)>; 2] = [None; 2];
    let [requests, tokens] = &mut tightest;
    let remaining = |limit: &Limit, used: u64| bucket::most(limit).saturating_sub(used);
    lists.rules().for_each(|(.., rule)| {
        let tightest = match rule.limit.unit {
            Unit::Requests => &mut *requests,
            Unit::Tokens => &mut *tokens,
            _ => return,
        };
        if rule.limit.mode == LimitMode::Enforce {
            let used = bucket::used(balances, (rule.id, &rule.limit), now);
            let left = remaining(&rule.limit, used);
            if tightest.is_none_or(|(used, known)| left < remaining(&known.limit, used)) {
                *tightest = Some((used, rule));
            }
        }
    });
    for (told, new) in [&mut held.requests, &mut held.tokens].into_iter().zip(tightest) {
        let new = new.map(|(used, rule)| bucket::level_of(&rule.limit, now, used));
        *told = told.iter().copied().chain(new).min_by_key(Level::remaining);
    }
}

/// Gives back what was taken from the `first` on: the call was not made.
fn put_back(exchange: &mut Exchange, io: &mut Io<'_>, first: usize) {
    replace(exchange, io, first, |_, _, _| 0);
}

/// The call is over, however it ended. `unknown`: nobody said what the last answer had used, whatever others had.
pub(crate) fn settle(exchange: &mut Exchange, io: &mut Io<'_>, unknown: bool) {
    if exchange.held.taken.is_empty() {
        return;
    }
    let used = Used::by_now(exchange);
    let mut used = used.with_prompts_given_up(exchange).with_listed(exchange);
    used.unknown |= unknown;
    // What other models used is in their limits.
    let of_model = used.since(exchange.held.before);
    replace(exchange, io, 0, |scope, limit, reserved| match scope {
        Scope::Model => of_model.of(limit, reserved),
        _ => used.of(limit, reserved),
    });
}

/// Puts what was used in the place of what was taken, from the `first` on.
fn replace(exchange: &mut Exchange, io: &mut Io<'_>, first: usize, used: impl Fn(Scope, &Limit, u64) -> u64) {
    let mut taken = std::mem::take(&mut exchange.held.taken);
    let tags = std::mem::take(&mut exchange.held.tags);
    let pinned = exchange.pin();
    let lists = Lists::of(&pinned, exchange, None, &tags);
    let now: Moment = io.local.limits.now(&pinned.snapshot, io.unix_ms);
    let balances = &io.local.limits.balances;
    for reserved in taken.drain(first..) {
        let Some((rules, rule)) = lists.get(&reserved) else {
            continue;
        };
        let used = used(rules.scope, &rule.limit, reserved.taken.amount);
        bucket::settle(balances, (rule.id, &rule.limit), &now, reserved.taken, used);
        crossed::look(balances, (rules, rule), &now, &mut io.out.crossed);
    }
    exchange.held.taken = taken;
    exchange.held.tags = tags;
}

/// Did the answer break, and nobody said what it had used? Then what was reserved for it counts.
pub(crate) fn is_unknown(exchange: &Exchange) -> bool {
    let facts = &exchange.facts;
    facts.usage.is_none()
        && (200..300).contains(&facts.status)
        && facts.outcome != Outcome::Complete
        && facts.surface.operation == Operation::Chat
        && !exchange.relay.outlives_call()
        && !facts.cache.is_hit()
}
