//! A call's way through its limits: all of them admit it or none is touched, and what it really used replaces what was
//! reserved, however it ends.

use std::sync::Arc;

use tollgate_config::document::{Limit, LimitMode, Unit};

use super::{
    Level, Rules, bound,
    bound::{Bound, Costs},
    bucket::{self, Lacking, Moment, Taken},
    crossed, expect,
    expect::Expected,
    limited::Limited,
    rules::Rule,
    tags,
};
use crate::{
    Tick,
    attempt::hedge,
    exchange::{Exchange, Io, Pinned},
    failure::Kind,
    names::code,
    record::Outcome,
    snapshot::Route,
    surface::Operation,
};

/// Between a look at what is left of a hard limit and taking of it others may have been: then it is looked at again.
const MAX_LOOKS: usize = 4;

/// What a call holds of its limits.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(super) taken: Vec<Reserved>,
    /// The model whose limits it went through: another may take over.
    route: Option<usize>,
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
    list: u8,
    rule: u8,
    pub taken: Taken,
    /// Of that, what was added while its stream went on.
    pub extended: u64,
}

impl Held {
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

    /// What its prompt is expected to use: tokens, and nano-dollars.
    pub fn prompt(&self) -> (u64, u64) {
        self.prompt
    }

    pub(super) fn route(&self) -> Option<usize> {
        self.route
    }

    pub fn cuts(&self) -> bool {
        self.cuts
    }
}

/// The limits that a call comes under before its target is known.
pub(super) struct Lists<'p> {
    /// By `Scope::ALL`.
    fixed: [Option<&'p Rules>; 5],
    tags: &'p [Arc<Rules>],
}

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
    fn rules(&self) -> impl Iterator<Item = ((u8, u8), &'p Rules, &'p Rule)> {
        let fixed = self
            .fixed
            .into_iter()
            .enumerate()
            .filter_map(|(at, rules)| Some((at, rules?)));
        let tags = self.tags.iter().enumerate().map(|(at, rules)| (5 + at, &**rules));
        fixed.chain(tags).flat_map(|(list, rules)| {
            let each = rules.all.iter().enumerate();
            each.map(move |(rule, found)| ((list as u8, rule as u8), rules, found))
        })
    }

    pub fn get(&self, reserved: &Reserved) -> Option<(&'p Rules, &'p Rule)> {
        let list = usize::from(reserved.list);
        let rules = match self.fixed.get(list) {
            Some(rules) => (*rules)?,
            None => self.tags.get(list - self.fixed.len())?,
        };
        Some((rules, rules.all.get(usize::from(reserved.rule))?))
    }
}

/// Reserves what the call is expected to use, everywhere or nowhere.
pub(crate) fn reserve(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<(), Kind> {
    let pinned = exchange.pin();
    let route = exchange.facts.model.as_ref().map(|found| found.model.0 as usize);
    let tags = tags::of(&pinned, &exchange.facts.tags);
    let lists = Lists::of(&pinned, exchange, route, &tags);
    if lists.is_empty() {
        return Ok(());
    }
    let found = route.and_then(|route| pinned.snapshot.routes.get(route));
    let needs = Needs::of(exchange, io, (&pinned, found), &lists)?;
    let now = io.local.limits.now(&pinned.snapshot, io.unix_ms);
    let balances = Arc::clone(&io.local.limits.balances);
    exchange.held.route = route;
    exchange.held.prompt = (needs.expected.input, needs.expected.prompt_nanos);
    exchange.held.bounded = needs.bound.is_some();
    exchange.held.cuts = needs.streams && lists.rules().any(|(.., rule)| rule.limit.cuts());
    let mut looks = 1;
    let refused = loop {
        let cap = needs.cap(|rule| bucket::level(&balances, (rule.id, &rule.limit), &now).remaining());
        let mut refused: Option<Limited> = None;
        let mut again = false;
        for ((list, at), rules, rule) in lists.rules() {
            match take(&balances, rule, &now, &needs, cap) {
                Ok(Some(taken)) => exchange.held.taken.push(Reserved {
                    list,
                    rule: at,
                    taken,
                    extended: 0,
                }),
                Ok(None) => {}
                Err(lacking) => {
                    // Less was left than a moment ago: a lower cap may fit.
                    again |= rule.limit.is_hard() && needs.may_shrink(cap);
                    longest(&mut refused, rules, at.into(), lacking);
                }
            }
        }
        exchange.held.cap = needs.bound.filter(|bound| bound.changes(cap)).map(|_| cap);
        if refused.is_none() || !again || looks == MAX_LOOKS {
            break refused;
        }
        looks += 1;
        put_back(exchange, &balances, &lists, &now);
    };
    tell(exchange, &lists, |rule| {
        bucket::level(&balances, (rule.id, &rule.limit), &now)
    });
    if let Some(limited) = refused {
        put_back(exchange, &balances, &lists, &now);
        return Err(Kind::Limited(Box::new(limited)));
    }
    exchange.held.tags = tags;
    Ok(())
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
            Some(route) if expect::counts(lists.all()) => expect::at_any(exchange, io, route),
            _ => Expected::default(),
        };
        let hard = || lists.rules().filter(|(.., rule)| rule.limit.is_hard());
        let whose = hard().next().map(|(_, rules, _)| (rules.scope, &*rules.name));
        let bound = whose.map(|whose| bound::of(exchange, io, route, whose)).transpose()?;
        let costs = Costs::of(exchange, io, pinned, route.filter(|_| bound.is_some()));
        Ok(Self {
            expected,
            bound,
            costs,
            streams: exchange.facts.stream && exchange.facts.surface.operation == Operation::Chat,
            hard: hard().map(|(.., rule)| rule).collect(),
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
    let left = bucket::level(balances, named, now).remaining();
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

fn tell(exchange: &mut Exchange, lists: &Lists<'_>, level: impl Fn(&Rule) -> Level) {
    let tightest = |unit| {
        let levels = lists.all().filter_map(|rules| rules.tightest(unit, &level));
        levels.min_by_key(Level::remaining)
    };
    exchange.held.requests = tightest(Unit::Requests);
    exchange.held.tokens = tightest(Unit::Tokens);
}

/// Gives everything back: the call was not made.
fn put_back(exchange: &mut Exchange, balances: &super::Balances, lists: &Lists<'_>, now: &Moment) {
    for reserved in exchange.held.taken.drain(..) {
        if let Some((_, rule)) = lists.get(&reserved) {
            bucket::settle(balances, (rule.id, &rule.limit), now, reserved.taken, 0);
        }
    }
}

/// The call is over, however it ended.
pub(crate) fn settle(exchange: &mut Exchange, io: &mut Io<'_>) {
    if exchange.held.taken.is_empty() {
        return;
    }
    let used = Used::by_now(exchange);
    let used = used.with_prompts_given_up(exchange);
    let taken = std::mem::take(&mut exchange.held.taken);
    let tags = std::mem::take(&mut exchange.held.tags);
    let pinned = exchange.pin();
    let lists = Lists::of(&pinned, exchange, exchange.held.route, &tags);
    let now: Moment = io.local.limits.now(&pinned.snapshot, io.unix_ms);
    let balances = &io.local.limits.balances;
    for reserved in &taken {
        let Some((rules, rule)) = lists.get(reserved) else {
            continue;
        };
        let used = used.of(&rule.limit, reserved.taken.amount);
        bucket::settle(balances, (rule.id, &rule.limit), &now, reserved.taken, used);
        crossed::look(balances, (rules, rule), &now, &mut io.out.crossed);
    }
    exchange.held.taken = taken;
    exchange.held.taken.clear();
}

/// What a call used, as its limits count it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    asked: bool,
    /// Nobody said what an answer that broke had used: what was reserved for it counts.
    unknown: bool,
    estimated: bool,
    input: u64,
    output: u64,
    nanos: u64,
}

impl Used {
    pub fn by_now(exchange: &Exchange) -> Self {
        let facts = &exchange.facts;
        let answered = (200..300).contains(&facts.status);
        let chats = facts.surface.operation == Operation::Chat;
        let usage = facts.usage;
        Self {
            asked: exchange.call.tried > 0,
            unknown: usage.is_none() && answered && facts.outcome != Outcome::Complete && chats,
            estimated: facts.estimated,
            input: usage.map_or(0, |usage| usage.all_input()),
            output: usage.map_or(0, |usage| usage.all_output()),
            nanos: facts.cost.map_or(0, |cost| cost.usd.to_nanos().0),
        }
    }

    /// The provider had the prompt, and nobody waited for what it says: it bills what it read. So does the one that another
    /// was quicker than.
    fn with_prompts_given_up(mut self, exchange: &Exchange) -> Self {
        let facts = &exchange.facts;
        let answered = (200..300).contains(&facts.status);
        let given_up = facts.outcome == Outcome::ClientGone || facts.rejected == Some(code::UPSTREAM_TIMEOUT);
        if facts.usage.is_none() && !answered && given_up && exchange.call.sent != Tick(0) {
            (self.input, self.nanos) = exchange.held.prompt;
        }
        if let Some(lost) = hedge::record(exchange).and_then(|hedged| hedged.lost) {
            self.input = self.input.saturating_add(lost.input_tokens.unwrap_or(0));
            let nanos = lost.cost.map_or(0, |cost| cost.usd.to_nanos().0);
            self.nanos = self.nanos.saturating_add(nanos);
        }
        self
    }

    /// Of a limit, where so much was reserved.
    pub fn of(&self, limit: &Limit, reserved: u64) -> u64 {
        let used = match limit.unit {
            Unit::Requests => return u64::from(self.asked),
            Unit::Concurrent => return 0,
            _ if self.unknown => return reserved,
            Unit::Tokens => self.input.saturating_add(self.output),
            Unit::InputTokens => self.input,
            Unit::OutputTokens => self.output,
            Unit::Budget => self.nanos,
        };
        // What was proved is worth more than what is guessed.
        match limit.is_hard() && self.estimated {
            true => used.min(reserved),
            false => used,
        }
    }
}
