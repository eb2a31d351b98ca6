//! What a call is expected to use, before it is known.

use tollgate_config::{
    document::Unit,
    prices::{Counts, Price, ServiceTier},
};

use crate::{
    exchange::{Exchange, Io, Pinned},
    routing::reckoning::{self, BYTES_A_TOKEN, Like, USUAL_OUTPUT_TOKENS},
    snapshot::{Route, Target, TargetModel},
    surface::Operation,
};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Expected {
    pub input: u64,
    pub output: u64,
    pub nanos: u64,
    /// Of these, for the prompt.
    pub prompt_nanos: u64,
}

impl Expected {
    /// At least one: what is used up admits nothing, however small.
    pub fn of(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Requests | Unit::Concurrent => 1,
            Unit::Tokens => self.input.saturating_add(self.output).max(1),
            Unit::InputTokens => self.input.max(1),
            Unit::OutputTokens => self.output.max(1),
            Unit::Budget => self.nanos.max(1),
        }
    }

    /// The same of the prompt alone.
    pub fn of_prompt(&self, unit: Unit) -> u64 {
        match unit {
            Unit::OutputTokens => 0,
            Unit::Budget => self.prompt_nanos,
            _ => self.input,
        }
    }
}

/// At the dearest of the route's targets: which of them it will be is not known yet.
pub(super) fn at_any(exchange: &Exchange, io: &Io<'_>, route: &Route) -> Expected {
    at(exchange, io, route, &route.targets)
}

/// At these targets of the route.
pub(super) fn at(exchange: &Exchange, io: &Io<'_>, route: &Route, targets: &[Target]) -> Expected {
    let body = exchange.admitted.body(io.body);
    let input = body.len().div_ceil(BYTES_A_TOKEN) as u64;
    let through = exchange.call.through;
    let chats = exchange.facts.model.is_some() || through.is_some_and(|through| through.is_chat);
    let output = match exchange.facts.surface.operation {
        Operation::Chat if chats => {
            let bound = match through {
                None => exchange.admitted.bound,
                Some(_) => reckoning::bound_of(body),
            };
            output_tokens(io, (body.len(), bound), route.slot)
        }
        _ => 0,
    };
    let pinned = exchange.pin();
    let nanos = |price: &Price<'_>, output: u64| {
        let used = Counts {
            input,
            output,
            requests: 1,
            ..Counts::default()
        };
        price.cost(&used, ServiceTier::Standard).to_nanos().0
    };
    let mut expected = Expected {
        input,
        output,
        ..Expected::default()
    };
    for target in targets {
        if let Some(price) = price(&pinned, exchange, target, io.unix_ms) {
            expected.nanos = expected.nanos.max(nanos(&price, output));
            expected.prompt_nanos = expected.prompt_nanos.max(nanos(&price, 0));
        }
    }
    expected
}

/// What a target costs now, also where only the call names its model.
pub(super) fn price<'p>(
    pinned: &'p Pinned,
    exchange: &Exchange,
    target: &'p Target,
    unix_ms: u64,
) -> Option<Price<'p>> {
    let unix_s = unix_ms / 1_000;
    match &target.model {
        TargetModel::Fixed { .. } => target.priced.at(unix_s),
        TargetModel::Star { .. } => {
            let (_, provider) = pinned.snapshot.document.providers.get(target.provider)?;
            provider.prices.at(&name(exchange, target), unix_s)
        }
    }
}

/// The provider's name of a target's model.
pub(super) fn name(exchange: &Exchange, target: &Target) -> String {
    let mut name = String::new();
    target.model.write_name(exchange.facts.star(), &mut name);
    name
}

/// What the call bounds its answer to, else what answers of the model had lately.
fn output_tokens(io: &Io<'_>, (body_bytes, bound): (usize, Option<u64>), slot: u32) -> u64 {
    let learned = || {
        let model = io.local.routing.look_at_model(slot)?;
        model.lengths.as_ref()?.expected(Like::of(body_bytes, None))
    };
    bound.or_else(learned).unwrap_or(USUAL_OUTPUT_TOKENS)
}
