//! A call's way through its limits: all of them admit it or none is touched, and what it really used replaces what was
//! reserved, however it ends.

use tollgate_config::{
    document::{LimitMode, Unit, Window},
    money::NanoUsd,
    prices::{Counts, ServiceTier},
};
use tollgate_wire::http1::write;

use super::{
    Level, Rules, Scope,
    bucket::{self, Lacking, Moment, Taken},
};
use crate::{
    Tick,
    attempt::hedge,
    exchange::{Exchange, Io, Pinned},
    failure::Kind,
    names::{code, header},
    record::Outcome,
    routing::reckoning::{self, BYTES_A_TOKEN, Like, USUAL_OUTPUT_TOKENS},
    snapshot::ModelId,
    surface::Operation,
};

/// What a call holds of its limits.
#[derive(Debug, Default)]
pub(crate) struct Held {
    taken: Vec<Reserved>,
    /// The model whose limits it went through last: another may take over.
    route: Option<usize>,
    /// What was charged to the limits of those models that another took over from: tokens in and out, nano-dollars.
    before: (u64, u64, u64),
    /// What its prompt is expected to use: tokens, and nano-dollars.
    prompt: (u64, u64),
    /// The tightest of requests and of tokens, as they stood then: what headers tell.
    requests: Option<Level>,
    tokens: Option<Level>,
}

#[derive(Clone, Copy, Debug)]
struct Reserved {
    scope: Scope,
    /// Where the scope is a model: which.
    route: Option<usize>,
    rule: u8,
    taken: Taken,
}

impl Held {
    /// Some limit admitted the call.
    pub fn is_limited(&self) -> bool {
        !self.taken.is_empty()
    }

    /// What the call itself has reserved of a limit.
    pub(super) fn taken_of(&self, scope: Scope, rule: usize) -> u64 {
        let own = |taken: &&Reserved| taken.scope == scope && usize::from(taken.rule) == rule;
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
}

/// Which limit refused a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    pub scope: Scope,
    pub name: Box<str>,
    pub unit: Unit,
    pub amount: u64,
    pub window: Window,
    /// Until the call may pass; `None`: it never will, or nobody knows.
    pub wait_ms: Option<u64>,
}

impl Limited {
    /// Used up until a calendar period ends: to try again in a while is of no use.
    pub fn is_quota(&self) -> bool {
        matches!(self.window, Window::Calendar(_)) || self.unit == Unit::Budget
    }

    pub fn may_retry(&self) -> bool {
        !self.is_quota() && (self.wait_ms.is_some() || self.unit == Unit::Concurrent)
    }

    /// What to say of when to come back.
    pub fn retry_after_ms(&self) -> Option<u64> {
        const SOON_MS: u64 = 1_000;
        match self.unit {
            Unit::Concurrent => Some(SOON_MS),
            _ => self.wait_ms,
        }
    }
}

impl Limited {
    pub fn words(&self) -> String {
        let whose = match self.scope {
            Scope::Organization => "All calls together".to_owned(),
            scope => format!("The {} '{}'", scope.name(), self.name),
        };
        let what = match self.unit {
            Unit::Requests => format!("{} requests", self.amount),
            Unit::Tokens => format!("{} tokens", self.amount),
            Unit::InputTokens => format!("{} input tokens", self.amount),
            Unit::OutputTokens => format!("{} output tokens", self.amount),
            Unit::Concurrent => format!("{} calls at once", self.amount),
            Unit::Budget => format!("{} USD", NanoUsd(self.amount)),
        };
        let per = match self.window {
            Window::None => String::new(),
            Window::Refill { per_ms, .. } => format!(" per {}", duration(per_ms)),
            Window::Calendar(period) => format!(" per {}", period.name()),
        };
        let then = match (self.is_quota(), self.retry_after_ms()) {
            (true, Some(ms)) => format!(
                "what is left does not suffice until the {} ends, in {}",
                self.period(),
                duration(ms)
            ),
            (_, None) => "this call is larger than that".to_owned(),
            (false, Some(ms)) => format!("try again in {}", duration(ms)),
        };
        format!("{whose} may use {what}{per}: {then}.")
    }

    fn period(&self) -> &'static str {
        match self.window {
            Window::Calendar(period) => period.name(),
            Window::Refill { .. } | Window::None => "period",
        }
    }
}

/// What a call is expected to use.
struct Expected {
    input: u64,
    output: u64,
    nanos: u64,
    /// Of these, for the prompt.
    prompt_nanos: u64,
}

impl Expected {
    /// At least one: what is used up admits nothing, however small.
    fn of(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Requests | Unit::Concurrent => 1,
            Unit::Tokens => self.input.saturating_add(self.output).max(1),
            Unit::InputTokens => self.input.max(1),
            Unit::OutputTokens => self.output.max(1),
            Unit::Budget => self.nanos.max(1),
        }
    }
}

/// The limits that a call comes under.
pub(super) fn scopes_of<'p>(exchange: &Exchange, pinned: &'p Pinned) -> [Option<&'p Rules>; 5] {
    let route = exchange.facts.model.as_ref().map(|found| found.model.0 as usize);
    scopes(pinned, exchange, route)
}

/// By `Scope::ALL`.
fn scopes<'p>(pinned: &'p Pinned, exchange: &Exchange, route: Option<usize>) -> [Option<&'p Rules>; 5] {
    let key = exchange.facts.key.map(|key| pinned.keys.entry(key));
    [
        pinned.snapshot.organization.as_deref(),
        key.and_then(|key| key.limits.team.as_deref()),
        key.and_then(|key| key.limits.user.as_deref()),
        key.and_then(|key| key.limits.own.as_deref()),
        route.and_then(|route| pinned.snapshot.routes.get(route)?.limits.as_deref()),
    ]
}

/// Is the caller limited in anything, whatever its call asks for?
pub(crate) fn are_set(exchange: &Exchange) -> bool {
    let is_limited = |pinned: &Pinned| scopes(pinned, exchange, None).iter().any(Option::is_some);
    exchange.pinned().is_some_and(is_limited)
}

/// Reserves what the call is expected to use, everywhere or nowhere.
pub(crate) fn reserve(exchange: &mut Exchange, io: &mut Io<'_>) -> Result<(), Kind> {
    let pinned = exchange.pin();
    let through = exchange.call.through.and_then(|through| through.route);
    let route = exchange
        .facts
        .model
        .as_ref()
        .map(|found| found.model.0 as usize)
        .or(through);
    let scopes = scopes(&pinned, exchange, route);
    if scopes.iter().all(Option::is_none) {
        return Ok(());
    }
    exchange.held.route = route;
    let expected = expect(exchange, io, &scopes);
    exchange.held.prompt = (expected.input, expected.prompt_nanos);
    match take(exchange, io, &scopes, &expected) {
        None => Ok(()),
        Some(limited) => {
            replace(exchange, io, 0, |_, _, _| 0);
            Err(Kind::Limited(Box::new(limited)))
        }
    }
}

/// The call is a model's that was not known before, or that takes over: that one's limits have to admit it as well. What
/// was taken of others stays.
pub(crate) fn admit_model(exchange: &mut Exchange, io: &mut Io<'_>, model: ModelId) -> Result<(), Kind> {
    let pinned = exchange.pin();
    let earlier = exchange.held.route.replace(model.0 as usize);
    let of_model = pinned.snapshot.routes[model.0 as usize].limits.as_deref();
    let scopes = [None, None, None, None, of_model];
    if of_model.is_none() {
        return Ok(());
    }
    let expected = expect(exchange, io, &scopes);
    let first = exchange.held.taken.len();
    let Some(limited) = take(exchange, io, &scopes, &expected) else {
        return Ok(());
    };
    replace(exchange, io, first, |_, _, _| 0);
    exchange.held.route = earlier;
    Err(Kind::Limited(Box::new(limited)))
}

/// Another model could take over: do its limits admit the call? Where they do not, nothing has changed.
pub(crate) fn admit_successor(exchange: &mut Exchange, io: &mut Io<'_>, model: ModelId) -> bool {
    let (requests, tokens) = (exchange.held.requests, exchange.held.tokens);
    let admitted = admit_model(exchange, io, model).is_ok();
    if !admitted {
        (exchange.held.requests, exchange.held.tokens) = (requests, tokens);
    }
    admitted
}

/// Another model has taken over, and was admitted: what the ones before it used is charged to their limits.
pub(crate) fn hand_over(exchange: &mut Exchange, io: &mut Io<'_>) {
    let held = &mut exchange.held;
    let is_earlier = |reserved: &Reserved| reserved.scope == Scope::Model && reserved.route != held.route;
    // Those of the model that is to answer come first, and stay.
    held.taken.sort_by_key(is_earlier);
    let first = held.taken.partition_point(|reserved| !is_earlier(reserved));
    let declined = exchange.facts.declined.as_ref();
    let all = declined.map_or((0, 0, 0), |declined| {
        let cost = declined.cost.map_or(0, |cost| cost.usd.to_nanos().0);
        (declined.usage.all_input(), declined.usage.all_output(), cost)
    });
    let before = std::mem::replace(&mut exchange.held.before, all);
    let since = |all: u64, before: u64| all.saturating_sub(before);
    let (input, output, cost) = (since(all.0, before.0), since(all.1, before.1), since(all.2, before.2));
    replace(exchange, io, first, |_, unit, _| match unit {
        Unit::Requests => 1,
        Unit::Concurrent => 0,
        Unit::Tokens => input.saturating_add(output),
        Unit::InputTokens => input,
        Unit::OutputTokens => output,
        Unit::Budget => cost,
    });
}

/// Takes what is expected of each; what refused it, where one did. The others may have been taken then.
fn take(
    exchange: &mut Exchange,
    io: &mut Io<'_>,
    scopes: &[Option<&Rules>; 5],
    expected: &Expected,
) -> Option<Limited> {
    let pinned = exchange.pin();
    let now = io.local.limits.now(&pinned.snapshot, io.unix_ms);
    let balances = std::sync::Arc::clone(&io.local.limits.balances);
    let route = exchange.held.route;
    let mut refused: Option<Limited> = None;
    for rules in scopes.iter().flatten() {
        for (index, rule) in rules.all.iter().enumerate() {
            let amount = expected.of(rule.limit.unit);
            let named = (rule.id, &rule.limit);
            let taken = match rule.limit.mode {
                LimitMode::Enforce => bucket::take(&balances, named, &now, amount),
                LimitMode::Shadow => match bucket::note(&balances, named, &now, amount) {
                    Some(taken) => Ok(taken),
                    None => continue,
                },
            };
            match taken {
                Ok(taken) => exchange.held.taken.push(Reserved {
                    scope: rules.scope,
                    route: route.filter(|_| rules.scope == Scope::Model),
                    rule: index as u8,
                    taken,
                }),
                Err(lacking) => longest(&mut refused, rules, index, lacking),
            }
        }
    }
    tell(exchange, scopes, |rule| {
        bucket::level(&balances, (rule.id, &rule.limit), &now)
    });
    refused
}

/// The limit that is in the way longest is the one to be told: who waits for another only comes back to be refused.
fn longest(refused: &mut Option<Limited>, rules: &Rules, index: usize, lacking: Lacking) {
    let Some(rule) = rules.all.get(index) else { return };
    let new = Limited {
        scope: rules.scope,
        name: rules.name.clone(),
        unit: rule.limit.unit,
        amount: rule.limit.amount,
        window: rule.limit.window,
        wait_ms: lacking.wait_ms,
    };
    let length = |limited: &Limited| match limited.may_retry() {
        true => limited.retry_after_ms().unwrap_or(0),
        false => u64::MAX,
    };
    if refused.as_ref().is_none_or(|old| length(old) < length(&new)) {
        *refused = Some(new);
    }
}

fn tell(exchange: &mut Exchange, scopes: &[Option<&Rules>; 5], level: impl Fn(&super::rules::Rule) -> Level) {
    let tightest = |unit| {
        let levels = scopes.iter().flatten().filter_map(|rules| rules.tightest(unit, &level));
        levels.min_by_key(Level::remaining)
    };
    let held = &mut exchange.held;
    for (told, new) in [
        (&mut held.requests, tightest(Unit::Requests)),
        (&mut held.tokens, tightest(Unit::Tokens)),
    ] {
        *told = told.iter().copied().chain(new).min_by_key(Level::remaining);
    }
}

fn expect(exchange: &Exchange, io: &Io<'_>, scopes: &[Option<&Rules>; 5]) -> Expected {
    let counts = |unit: Unit| !matches!(unit, Unit::Requests | Unit::Concurrent);
    let mut rules = scopes.iter().flatten().flat_map(|rules| &rules.all);
    let route = exchange.held.route;
    let (true, Some(route)) = (rules.any(|rule| counts(rule.limit.unit)), route) else {
        return Expected {
            input: 0,
            output: 0,
            nanos: 0,
            prompt_nanos: 0,
        };
    };
    let pinned = exchange.pin();
    let body = exchange.admitted.body(io.body);
    let route = &pinned.snapshot.routes[route];
    let input = body.len().div_ceil(BYTES_A_TOKEN) as u64;
    let is_chat = exchange.call.through.is_none_or(|through| through.is_chat);
    let output = match exchange.facts.surface.operation {
        _ if !is_chat => 0,
        Operation::Chat => output_tokens(exchange, io, body, route.slot),
        _ => 0,
    };
    // The dearest: which of them it will be is not known yet.
    let nanos = |output: u64| {
        let used = Counts {
            input,
            output,
            requests: 1,
            ..Counts::default()
        };
        let targets = route.targets.iter();
        let prices = targets.filter_map(|target| target.priced.at(io.unix_ms / 1_000));
        let nanos = prices.map(|price| price.cost(&used, ServiceTier::Standard).to_nanos().0);
        nanos.max().unwrap_or(0)
    };
    Expected {
        input,
        output,
        nanos: nanos(output),
        prompt_nanos: nanos(0),
    }
}

/// What the call bounds its answer to, else what answers of the model had lately.
fn output_tokens(exchange: &Exchange, io: &Io<'_>, body: &[u8], slot: u32) -> u64 {
    debug_assert!(
        exchange.facts.model.is_some() || exchange.call.through.is_some(),
        "a chat has a model"
    );
    let learned = || {
        let model = io.local.routing.look_at_model(slot)?;
        model.lengths.as_ref()?.expected(Like::of(body.len(), None))
    };
    reckoning::bound_of(body)
        .or_else(learned)
        .unwrap_or(USUAL_OUTPUT_TOKENS)
}

/// The call is over, however it ended.
pub(crate) fn settle(exchange: &mut Exchange, io: &mut Io<'_>) {
    if exchange.held.taken.is_empty() {
        return;
    }
    let facts = &exchange.facts;
    let usage = facts.usage;
    let answered = (200..300).contains(&facts.status);
    // Nobody said what an answer that broke had used: what was reserved for it counts.
    let unknown = usage.is_none()
        && answered
        && facts.outcome != Outcome::Complete
        && facts.surface.operation == Operation::Chat
        && !exchange.relay.outlives_call();
    let asked = exchange.call.tried > 0;
    let (mut input, output) = usage.map_or((0, 0), |usage| (usage.all_input(), usage.all_output()));
    let mut cost = facts.cost.map_or(0, |cost| cost.usd.to_nanos().0);
    // The provider had the prompt, and nobody waited for what it says: it bills what it read.
    let given_up = facts.outcome == Outcome::ClientGone || facts.rejected == Some(code::UPSTREAM_TIMEOUT);
    if usage.is_none() && !answered && given_up && exchange.call.sent != Tick(0) {
        (input, cost) = exchange.held.prompt;
    }
    // So does the one that another was quicker than.
    if let Some(lost) = hedge::record(exchange).and_then(|hedged| hedged.lost) {
        input = input.saturating_add(lost.input_tokens.unwrap_or(0));
        cost = cost.saturating_add(lost.cost.map_or(0, |cost| cost.usd.to_nanos().0));
    }
    let (mut input, mut output) = (input, output);
    for listed in &exchange.facts.listed {
        input = input.saturating_add(listed.usage.all_input());
        output = output.saturating_add(listed.usage.all_output());
        cost = cost.saturating_add(listed.cost.map_or(0, |cost| cost.usd.to_nanos().0));
    }
    let before = exchange.held.before;
    replace(exchange, io, 0, |scope, unit, reserved| {
        // What other models used is in their limits.
        let (was_in, was_out, was_paid) = if scope == Scope::Model { before } else { (0, 0, 0) };
        let (input, output) = (input.saturating_sub(was_in), output.saturating_sub(was_out));
        match unit {
            Unit::Requests => u64::from(asked),
            Unit::Concurrent => 0,
            _ if unknown => reserved,
            Unit::Tokens => input.saturating_add(output),
            Unit::InputTokens => input,
            Unit::OutputTokens => output,
            Unit::Budget => cost.saturating_sub(was_paid),
        }
    });
}

/// Puts what was used in the place of what was taken, from the `first` on.
fn replace(exchange: &mut Exchange, io: &mut Io<'_>, first: usize, used: impl Fn(Scope, Unit, u64) -> u64) {
    let pinned = exchange.pin();
    let scopes = scopes(&pinned, exchange, None);
    let now: Moment = io.local.limits.now(&pinned.snapshot, io.unix_ms);
    while exchange.held.taken.len() > first
        && let Some(reserved) = exchange.held.taken.pop()
    {
        let of_model = |route: usize| pinned.snapshot.routes.get(route)?.limits.as_deref();
        let rules = reserved.route.map_or(scopes[reserved.scope as usize], of_model);
        let Some(rule) = rules.and_then(|rules| rules.all.get(usize::from(reserved.rule))) else {
            continue;
        };
        let used = used(reserved.scope, rule.limit.unit, reserved.taken.amount);
        bucket::settle(
            &io.local.limits.balances,
            (rule.id, &rule.limit),
            &now,
            reserved.taken,
            used,
        );
    }
}

/// Appends `x-ratelimit-…`, where requests or tokens are limited.
pub(crate) fn write_lines(exchange: &Exchange, out: &mut Vec<u8>) {
    let of_requests = [
        header::LIMIT_REQUESTS,
        header::REMAINING_REQUESTS,
        header::RESET_REQUESTS,
    ];
    let of_tokens = [header::LIMIT_TOKENS, header::REMAINING_TOKENS, header::RESET_TOKENS];
    for (level, names) in [(exchange.held.requests, of_requests), (exchange.held.tokens, of_tokens)] {
        let Some(level) = level else { continue };
        write::header_u64(out, names[0], level.limit);
        write::header_u64(out, names[1], level.remaining());
        write::header(out, names[2], duration(level.reset_ms).as_bytes());
    }
}

/// Appends when to come back, as SDKs read it: `retry-after-ms` before `retry-after`, and whether to try again at all.
pub(crate) fn write_refusal(limited: &Limited, out: &mut Vec<u8>) {
    if let Some(ms) = limited.retry_after_ms() {
        write::header_u64(out, header::RETRY_AFTER, ms.div_ceil(1_000).max(1));
        write::header_u64(out, header::RETRY_AFTER_MS, ms);
    }
    if !limited.may_retry() {
        write::header(out, header::SHOULD_RETRY, b"false");
    }
}

/// `120ms`, `1s`, `6m0s`, as OpenAI writes it. Source: OpenAI, "Rate limits", headers.
fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match (ms, seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (..1_000, ..) => format!("{ms}ms"),
        (_, 0, 0, seconds) => format!("{seconds}s"),
        (_, 0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (_, hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}
