//! What a call used, as its limits count it.

use tollgate_config::document::{Limit, Unit};

use super::call::is_unknown;
use crate::{attempt::hedge, exchange::Exchange, stages::settle};

#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    pub asked: bool,
    /// Nobody said what an answer that broke had used: what was reserved for it counts.
    pub unknown: bool,
    pub estimated: bool,
    pub input: u64,
    pub output: u64,
    pub nanos: u64,
}

impl Used {
    pub fn by_now(exchange: &Exchange) -> Self {
        let facts = &exchange.facts;
        let usage = facts.usage;
        Self {
            // An answer that was kept is a request, and used nothing.
            asked: exchange.call.reached || facts.cache.is_hit(),
            unknown: is_unknown(exchange),
            estimated: facts.estimated,
            input: usage.map_or(0, |usage| usage.all_input()),
            output: usage.map_or(0, |usage| usage.all_output()),
            nanos: facts.cost.map_or(0, |cost| cost.usd.to_nanos().0),
        }
    }

    /// The provider had the prompt, and nobody waited for what it says: it bills what it read. So does the one that another
    /// was quicker than.
    pub fn with_prompts_given_up(mut self, exchange: &Exchange) -> Self {
        if settle::is_prompt_given_up(exchange) {
            (self.input, self.nanos) = exchange.held.prompt;
        }
        if let Some(lost) = hedge::record(exchange).and_then(|hedged| hedged.lost) {
            self.input = self.input.saturating_add(lost.input_tokens.unwrap_or(0));
            let nanos = lost.cost.map_or(0, |cost| cost.usd.to_nanos().0);
            self.nanos = self.nanos.saturating_add(nanos);
        }
        self
    }

    /// And what a list has shown the end of.
    pub fn with_listed(mut self, exchange: &Exchange) -> Self {
        for listed in &exchange.facts.listed {
            self.input = self.input.saturating_add(listed.usage.all_input());
            self.output = self.output.saturating_add(listed.usage.all_output());
            let nanos = listed.cost.map_or(0, |cost| cost.usd.to_nanos().0);
            self.nanos = self.nanos.saturating_add(nanos);
        }
        self
    }

    pub fn since(self, (input, output, nanos): (u64, u64, u64)) -> Self {
        Self {
            input: self.input.saturating_sub(input),
            output: self.output.saturating_sub(output),
            nanos: self.nanos.saturating_sub(nanos),
            ..self
        }
    }

    /// Of a limit, where so much was reserved.
    pub fn of(&self, limit: &Limit, reserved: u64) -> u64 {
        let used = match limit.unit {
            Unit::Requests => return u64::from(self.asked),
            Unit::Concurrent => return 0,
            Unit::Tokens => self.input.saturating_add(self.output),
            Unit::InputTokens => self.input,
            Unit::OutputTokens => self.output,
            Unit::Budget => self.nanos,
        };
        if self.unknown {
            return used.max(reserved);
        }
        // What was proved is worth more than what is guessed.
        match limit.is_hard() && self.estimated {
            true => used.min(reserved),
            false => used,
        }
    }
}
