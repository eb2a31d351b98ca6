//! What a provider grants an account: requests and tokens a minute, continuously refilled, as the real ones do it. Given
//! the time; knows no provider's words for it.

use std::{collections::HashMap, sync::Mutex};

/// Accounts kept for one limit before all are forgotten.
const MAX_ACCOUNTS: usize = 4096;
const MINUTE_NS: u64 = 60_000_000_000;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    Requests,
    /// Of both directions together.
    Tokens,
    InputTokens,
    OutputTokens,
}

impl Meter {
    pub const ALL: [Meter; 4] = [Meter::Requests, Meter::Tokens, Meter::InputTokens, Meter::OutputTokens];

    /// As a scenario writes it.
    pub fn word(self) -> &'static str {
        match self {
            Meter::Requests => "requests-per-minute",
            Meter::Tokens => "tokens-per-minute",
            Meter::InputTokens => "input-tokens-per-minute",
            Meter::OutputTokens => "output-tokens-per-minute",
        }
    }
}

/// What a call takes.
#[derive(Clone, Copy)]
pub struct Cost {
    pub input_tokens: u64,
    pub output_tokens: u64,
}

impl Cost {
    fn of(self, meter: Meter) -> u64 {
        match meter {
            Meter::Requests => 1,
            Meter::Tokens => self.input_tokens + self.output_tokens,
            Meter::InputTokens => self.input_tokens,
            Meter::OutputTokens => self.output_tokens,
        }
    }
}

/// One meter, after the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub meter: Meter,
    pub limit: u64,
    pub remaining: u64,
    /// Until all is there again.
    pub reset_ns: u64,
}

/// The meter that refuses a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub meter: Meter,
    pub limit: u64,
    pub used: u64,
    pub requested: u64,
    /// Until the call would be admitted.
    pub wait_ns: u64,
}

/// Where an account stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub meters: Vec<State>,
    pub exceeded: Option<Exceeded>,
    /// Of the answer.
    pub at_unix_s: u64,
}

/// A set of limits that hold together, for each account by itself.
#[derive(Debug)]
pub struct Limit {
    meters: Vec<(Meter, u64)>,
    /// By account: when each meter will be full again.
    accounts: Mutex<HashMap<u64, Vec<u64>>>,
}

impl Limit {
    /// What is granted a minute; each over zero.
    pub fn new(meters: Vec<(Meter, u64)>) -> Self {
        Self {
            meters,
            accounts: Mutex::default(),
        }
    }

    /// Takes a call's cost, or nothing when one meter has too little left.
    pub fn admit(&self, account: u64, cost: Cost, now_ns: u64) -> Standing {
        let mut accounts = self.accounts.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if accounts.len() >= MAX_ACCOUNTS && !accounts.contains_key(&account) {
            accounts.clear();
        }
        let full_at = accounts.entry(account).or_insert_with(|| vec![0; self.meters.len()]);
        let exceeded = self
            .meters
            .iter()
            .zip(full_at.iter())
            .find_map(|(&(meter, limit), &full_at)| {
                let missing_ns = full_at.saturating_sub(now_ns);
                let requested = cost.of(meter);
                let after_ns = missing_ns.saturating_add(time_of(requested, limit));
                (after_ns > MINUTE_NS).then(|| Exceeded {
                    meter,
                    limit,
                    used: limit - remaining(missing_ns, limit),
                    requested,
                    // What is more than the whole is never admitted; the wait is then until all is there.
                    wait_ns: (after_ns - MINUTE_NS).min(missing_ns.max(1)),
                })
            });
        let mut meters = Vec::with_capacity(self.meters.len());
        for (&(meter, limit), full_at) in self.meters.iter().zip(full_at) {
            if exceeded.is_none() {
                *full_at = (*full_at).max(now_ns) + time_of(cost.of(meter), limit);
            }
            let missing_ns = full_at.saturating_sub(now_ns);
            meters.push(State {
                meter,
                limit,
                remaining: remaining(missing_ns, limit),
                reset_ns: missing_ns,
            });
        }
        Standing {
            meters,
            exceeded,
            at_unix_s: 0,
        }
    }
}

/// How long refilling takes.
fn time_of(amount: u64, limit: u64) -> u64 {
    let ns = u128::from(amount) * u128::from(MINUTE_NS) / u128::from(limit.max(1));
    u64::try_from(ns).unwrap_or(u64::MAX / 2)
}

fn remaining(missing_ns: u64, limit: u64) -> u64 {
    let left_ns = MINUTE_NS.saturating_sub(missing_ns);
    (u128::from(left_ns) * u128::from(limit) / u128::from(MINUTE_NS)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: Cost = Cost {
        input_tokens: 30,
        output_tokens: 10,
    };
    const START_NS: u64 = 5_000_000_000;

    #[test]
    fn what_is_granted_is_taken_and_comes_back() {
        let limit = Limit::new(vec![(Meter::Requests, 3)]);
        let left: Vec<u64> = (0..3)
            .map(|_| limit.admit(1, COST, START_NS).meters[0].remaining)
            .collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = limit.admit(1, COST, START_NS);
        let exceeded = refused.exceeded.unwrap();
        assert_eq!(
            (exceeded.limit, exceeded.used, exceeded.requested, exceeded.wait_ns),
            (3, 3, 1, 20_000_000_000)
        );
        assert_eq!(refused.meters[0].reset_ns, MINUTE_NS);
        assert!(limit.admit(2, COST, START_NS).exceeded.is_none(), "another account");
        assert!(limit.admit(1, COST, START_NS + exceeded.wait_ns - 1).exceeded.is_some());
        assert!(limit.admit(1, COST, START_NS + exceeded.wait_ns).exceeded.is_none());
    }

    #[test]
    fn a_refusal_by_one_meter_takes_nothing_from_the_others() {
        let limit = Limit::new(vec![
            (Meter::Requests, 100),
            (Meter::Tokens, 60),
            (Meter::InputTokens, 30),
        ]);
        assert!(limit.admit(1, COST, START_NS).exceeded.is_none());
        let refused = limit.admit(1, COST, START_NS);
        assert_eq!(refused.exceeded.unwrap().meter, Meter::Tokens);
        assert_eq!(
            refused.meters.iter().map(|state| state.remaining).collect::<Vec<_>>(),
            [99, 20, 0]
        );
    }
}
