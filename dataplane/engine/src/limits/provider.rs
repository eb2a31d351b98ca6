//! The limits of the provider that is asked: taken before a target is dialled, as they are for each attempt. A target whose
//! provider has nothing left is passed over.

use std::sync::Arc;

use tollgate_config::document::{LimitMode, Unit};

use super::{
    Rules,
    bucket::{self, Taken},
    crossed, expect,
    expect::Expected,
    limited::Limited,
    used::Used,
};
use crate::{
    Tick,
    exchange::{Exchange, Io},
    failure::Kind,
    snapshot::{Route, Target},
};

/// What the attempt under way holds of its provider's limits.
#[derive(Debug, Default)]
pub(crate) struct AtProvider {
    rules: Option<Arc<Rules>>,
    taken: Vec<(u8, Taken)>,
    /// What the prompt is expected to use there: tokens, and nano-dollars.
    prompt: (u64, u64),
}

/// Takes what the call is expected to use at a target, of all limits of its provider or of none.
pub(crate) fn take(exchange: &mut Exchange, io: &Io<'_>, route: &Route, target: &Target) -> Result<(), Kind> {
    let pinned = exchange.pin();
    let Some(rules) = &pinned.snapshot.upstreams[target.provider].limits else {
        return Ok(());
    };
    let expected = expected(exchange, io, rules, (route, target));
    let now = io.local.limits.look(&pinned.snapshot, io.unix_ms);
    let balances = &io.local.limits.balances;
    exchange.call.at_provider.rules = Some(Arc::clone(rules));
    exchange.call.at_provider.prompt = (expected.input, expected.prompt_nanos);
    for (index, rule) in rules.all.iter().enumerate() {
        let (named, amount) = ((rule.id, &rule.limit), expected.of(rule.limit.unit));
        let taken = match rule.limit.mode {
            LimitMode::Enforce => bucket::take(balances, named, &now, amount).map(Some),
            LimitMode::Shadow => Ok(bucket::note(balances, named, &now, amount)),
        };
        match taken {
            Ok(Some(taken)) => exchange.call.at_provider.taken.push((index as u8, taken)),
            Ok(None) => {}
            Err(lacking) => {
                let limited = Limited::new(rules, rule, lacking);
                let mut held = std::mem::take(&mut exchange.call.at_provider);
                held.settle(exchange, io, |_, _| 0);
                return Err(Kind::Limited(Box::new(limited)));
            }
        }
    }
    Ok(())
}

/// Could the call go to the target by its provider's limits?
pub(crate) fn suffice(exchange: &Exchange, io: &Io<'_>, route: &Route, target: &Target) -> bool {
    let pinned = exchange.pin();
    let Some(rules) = &pinned.snapshot.upstreams[target.provider].limits else {
        return true;
    };
    let expected = expected(exchange, io, rules, (route, target));
    let now = io.local.limits.look(&pinned.snapshot, io.unix_ms);
    let mut enforced = rules.all.iter().filter(|rule| rule.limit.mode == LimitMode::Enforce);
    enforced.all(|rule| {
        let left = bucket::within_reach(&io.local.limits.balances, (rule.id, &rule.limit), &now);
        left >= expected.of(rule.limit.unit)
    })
}

fn expected(exchange: &Exchange, io: &Io<'_>, rules: &Rules, (route, target): (&Route, &Target)) -> Expected {
    match rules.counts {
        true => expect::at(exchange, io, route, std::slice::from_ref(target)),
        false => Expected::default(),
    }
}

/// A further request of the same call goes up: what the provider had before is its, whatever becomes of this one.
pub(crate) fn charge_part(exchange: &Exchange, io: &Io<'_>) {
    let Some(rules) = exchange
        .call
        .at_provider
        .rules
        .as_ref()
        .filter(|_| exchange.call.reached)
    else {
        return;
    };
    let now = io.local.limits.look(&exchange.pin().snapshot, io.unix_ms);
    for rule in rules.all.iter().filter(|rule| rule.limit.unit == Unit::Requests) {
        bucket::note(&io.local.limits.balances, (rule.id, &rule.limit), &now, 1);
    }
}

/// The call is over at this provider: what it used there replaces what was taken.
pub(crate) fn settle(exchange: &mut Exchange, io: &mut Io<'_>) {
    if exchange.call.at_provider.taken.is_empty() {
        return;
    }
    if exchange.call.sent == Tick(0) && exchange.facts.usage.is_none() {
        return give_back(exchange, io);
    }
    let used = Used::by_now(exchange)
        .with_prompts_given_up(exchange)
        .with_listed(exchange);
    let mut held = std::mem::take(&mut exchange.call.at_provider);
    let sent = exchange.call.sent != Tick(0);
    held.settle(exchange, io, |limit, taken| match limit.unit {
        Unit::Requests => u64::from(sent),
        _ => used.of(limit, taken),
    });
    let pinned = exchange.pin();
    let now = io.local.limits.look(&pinned.snapshot, io.unix_ms);
    for rules in held.rules.iter() {
        for rule in &rules.all {
            crossed::look(&io.local.limits.balances, (rules, rule), &now, &mut io.out.crossed);
        }
    }
}

/// The attempt came to nothing: a request that went up counts, what it would have used does not.
pub(crate) fn give_back(exchange: &mut Exchange, io: &Io<'_>) {
    let sent = exchange.call.sent != Tick(0);
    let mut held = std::mem::take(&mut exchange.call.at_provider);
    held.give_back(exchange, io, sent);
}

impl AtProvider {
    /// The same of an attempt that lies aside.
    pub fn give_back(&mut self, exchange: &Exchange, io: &Io<'_>, sent: bool) {
        self.settle(exchange, io, |limit, _| u64::from(sent && limit.unit == Unit::Requests));
    }

    /// The attempt was given up, and its provider has the prompt.
    pub fn prompt_counts(&mut self, exchange: &Exchange, io: &Io<'_>) {
        let (input, nanos) = self.prompt;
        self.settle(exchange, io, |limit, _| match limit.unit {
            Unit::Requests => 1,
            Unit::Tokens | Unit::InputTokens => input,
            Unit::Budget => nanos,
            Unit::OutputTokens | Unit::Concurrent => 0,
        });
    }

    fn settle(
        &mut self,
        exchange: &Exchange,
        io: &Io<'_>,
        used: impl Fn(&tollgate_config::document::Limit, u64) -> u64,
    ) {
        let Some(rules) = &self.rules else { return };
        let pinned = exchange.pin();
        let now = io.local.limits.look(&pinned.snapshot, io.unix_ms);
        for (index, taken) in self.taken.drain(..) {
            if let Some(rule) = rules.all.get(usize::from(index)) {
                let used = used(&rule.limit, taken.amount);
                bucket::settle(&io.local.limits.balances, (rule.id, &rule.limit), &now, taken, used);
            }
        }
    }
}
