//! The most that a call can use, for limits that must hold: proved from its bytes and from the cap on its answer, which the
//! gateway sets where the client's own is larger than what is left. What a provider adds by itself (what its own tools read,
//! for one) is in no bound: it becomes debt.

use tollgate_config::{
    document::{Limit, Unit},
    prices::{Counts, Price, ServiceTier},
};
use tollgate_dialect::{
    canonical::request::{Amount, Request},
    speak::PathFacts,
    tokens,
};
use tollgate_wire::head::Method;

use super::{Scope, expect};
use crate::{
    exchange::{Exchange, Io, Pinned},
    failure::Kind,
    snapshot::Route,
    speaks,
    surface::Operation,
    upward,
};

/// No answer is capped below this: OpenAI's Responses takes nothing smaller.
pub(super) const LEAST_OUTPUT_TOKENS: u64 = 16;
/// The cap of an answer whose call sets none, where the catalogue does not know the most that its model says.
const USUAL_CAP_TOKENS: u64 = 4_096;

#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub input: u64,
    /// Of each answer, as the call asks for it or its model has it at most.
    pub asked: u64,
    /// The call itself says so.
    said: bool,
    /// Answers asked for.
    answers: u64,
    /// Below this an answer is of no use, or refused.
    least: u64,
}

impl Bound {
    /// A call that has no answer of tokens.
    fn of_prompt(input: u64) -> Self {
        Self {
            input,
            asked: 0,
            said: true,
            answers: 1,
            least: 0,
        }
    }

    pub fn least(&self) -> u64 {
        self.least
    }

    /// What all answers have together, where each is capped so.
    pub fn output(&self, cap: u64) -> u64 {
        cap.saturating_mul(self.answers)
    }

    /// Must this cap be written into the request?
    pub fn changes(&self, cap: u64) -> bool {
        self.asked > 0 && (!self.said || cap < self.asked)
    }

    /// The largest cap with which a call fits into what is left of a limit; at least the least.
    pub fn cap(&self, costs: &Costs<'_>, limit: &Limit, left: u64, cap: u64) -> u64 {
        let fits = match limit.unit {
            Unit::Tokens => left.saturating_sub(self.input) / self.answers,
            Unit::OutputTokens => left / self.answers,
            Unit::Budget => self.affordable(costs, left, cap),
            Unit::InputTokens | Unit::Requests | Unit::Concurrent => cap,
        };
        fits.clamp(self.least.min(cap), cap)
    }

    fn affordable(&self, costs: &Costs<'_>, left: u64, cap: u64) -> u64 {
        let fits = |cap: u64| costs.nanos(self.input, self.output(cap)) <= left;
        if fits(cap) {
            return cap;
        }
        let (mut most, mut too_much) = (0, cap);
        while most + 1 < too_much {
            let middle = most.midpoint(too_much);
            match fits(middle) {
                true => most = middle,
                false => too_much = middle,
            }
        }
        most
    }

    /// What a call with this cap uses at most.
    pub fn of(&self, unit: Unit, costs: &Costs<'_>, cap: u64) -> u64 {
        let output = self.output(cap);
        let most = match unit {
            Unit::Requests | Unit::Concurrent => 1,
            Unit::Tokens => self.input.saturating_add(output),
            Unit::InputTokens => self.input,
            Unit::OutputTokens => output,
            Unit::Budget => costs.nanos(self.input, output),
        };
        most.max(1)
    }
}

/// What a call can cost: at the dearest target, as the dearest of all classes that its tokens may be counted as.
pub(super) struct Costs<'p> {
    prices: Vec<Price<'p>>,
    tiers: [ServiceTier; 2],
}

impl<'p> Costs<'p> {
    pub fn of(exchange: &Exchange, io: &Io<'_>, pinned: &'p Pinned, route: Option<&'p Route>) -> Self {
        let targets = route.map_or(&[][..], |route| &route.targets);
        let price = |target| expect::price(pinned, exchange, target, io.unix_ms);
        Self {
            prices: targets.iter().filter_map(price).collect(),
            tiers: [ServiceTier::Standard, exchange.facts.tier],
        }
    }

    pub fn nanos(&self, input: u64, output: u64) -> u64 {
        let one = Counts {
            requests: 1,
            ..Counts::default()
        };
        let prompts = [
            Counts { input, ..one },
            Counts {
                cache_write_5m: input,
                ..one
            },
            Counts {
                cache_write_1h: input,
                ..one
            },
            Counts {
                cache_read: input,
                ..one
            },
            Counts {
                input_image: input,
                ..one
            },
        ];
        let answered = |prompt: Counts| {
            [
                Counts { output, ..prompt },
                Counts {
                    reasoning: output,
                    ..prompt
                },
                Counts {
                    output_audio: output,
                    ..prompt
                },
            ]
        };
        let all = prompts.into_iter().flat_map(answered);
        let dearest = |counts: Counts| {
            let each = self
                .prices
                .iter()
                .flat_map(|price| self.tiers.map(|tier| price.cost(&counts, tier)));
            each.max().map_or(0, |cost| cost.to_nanos().0)
        };
        all.map(dearest).max().unwrap_or(0)
    }
}

/// The call's bound; whose limit asks for it is told where there is none.
pub(super) fn of(
    exchange: &Exchange,
    io: &Io<'_>,
    route: Option<&Route>,
    (scope, name): (Scope, &str),
) -> Result<Bound, Kind> {
    let none = |why: &str| {
        let whose = match scope {
            Scope::Organization => "all calls together".to_owned(),
            scope => format!("the {} '{name}'", scope.name()),
        };
        Kind::Unbounded(
            format!("A hard limit of {whose} takes only calls whose use is bounded beforehand: {why}.").into(),
        )
    };
    let facts = &exchange.facts;
    if facts.direct.is_some() {
        return Err(none("what passes through to a provider unread is not"));
    }
    if exchange.admitted.in_background {
        return Err(none(
            "what a response in the background uses is known only when its end is read",
        ));
    }
    let input = io.body.len().max(exchange.admitted.body(io.body).len()) as u64;
    let Some(route) = route else {
        let makes_batch = io.request.head.method == Method::Post && io.request.path().ends_with(b"/batches");
        // Other objects are made and looked at for nothing.
        return match makes_batch {
            true => Err(none("the calls of a batch are read by its provider alone")),
            false => Ok(Bound::of_prompt(0)),
        };
    };
    match facts.surface.operation {
        Operation::Chat => of_chat(exchange, io, route).map_err(|wrong| match wrong {
            Wrong::Unbounded(why) => none(&why),
            Wrong::Request(kind) => kind,
        }),
        Operation::Embed(_) | Operation::Rerank | Operation::CountTokens(_) | Operation::Other(b"/moderations") => {
            Ok(Bound::of_prompt(input))
        }
        Operation::Other(_) => Err(none("what this path's calls use cannot be told from their bytes")),
    }
}

enum Wrong {
    Unbounded(String),
    Request(Kind),
}

fn of_chat(exchange: &Exchange, io: &Io<'_>, route: &Route) -> Result<Bound, Wrong> {
    let body = exchange.admitted.body(io.body);
    let Some(dialect) = exchange.facts.surface.dialect else {
        return Err(Wrong::Unbounded("what is said in no dialect is not".to_owned()));
    };
    let in_path = exchange.facts.model_in_path(io.request.path());
    let path = PathFacts {
        model: in_path.as_deref(),
        stream: exchange.facts.stream,
    };
    let request = speaks::of(dialect)
        .read_request(body, path)
        .map_err(|bad| Wrong::Request(upward::kind(bad)))?;
    let names: Vec<String> = route
        .targets
        .iter()
        .map(|target| expect::name(exchange, target))
        .collect();
    let input = tokens::most_prompt(&request, body.len(), &names).map_err(|why| Wrong::Unbounded(why.words()))?;
    let known = route.targets.iter().map(|target| target.quirks.most_max_tokens);
    let most = known.reduce(|one, other| Some(one?.max(other?))).flatten();
    let said = request.sampling.max_tokens;
    let asked = said.unwrap_or(most.unwrap_or(USUAL_CAP_TOKENS)).max(1);
    Ok(Bound {
        input,
        asked,
        said: said.is_some(),
        answers: request.sampling.n.unwrap_or(1).max(1),
        least: least(&request).min(asked),
    })
}

/// Anthropic's budgets for thoughts must leave room for an answer.
fn least(request: &Request<'_>) -> u64 {
    match request.thinking.map(|thinking| thinking.amount) {
        Some(Amount::BudgetTokens(tokens)) => tokens.saturating_add(1).max(LEAST_OUTPUT_TOKENS),
        _ => LEAST_OUTPUT_TOKENS,
    }
}
