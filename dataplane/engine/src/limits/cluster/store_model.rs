//! The store's script again, step by step in Rust: what the simulator runs agents against. That the script does the same is
//! tested against a real store (`dataplane/shard/src/cluster`).

use std::collections::{BTreeMap, BTreeSet};

use super::wire::{Answer, Kind, Reply, Request};

const WANTED_MS: u64 = 5_000;
const STEP_MS: u64 = 1_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    epoch: u64,
    open: u64,
    steady: u64,
    last: u64,
    /// By node: its last number, and when it was heard.
    nodes: BTreeMap<u64, (u64, u64)>,
    limits: BTreeMap<(u64, u64), Limit>,
    wants: BTreeMap<(u64, u64), u64>,
}

#[derive(Clone, Debug, Default)]
struct Limit {
    epoch: u64,
    used: u64,
    known: u64,
    carry: u64,
    since: u64,
    told: BTreeMap<u64, u64>,
    rests: BTreeMap<u64, u64>,
}

impl Store {
    pub fn call(&mut self, now: u64, request: &Request) -> Reply {
        let (last_seq, _) = self.nodes.get(&request.node).copied().unwrap_or_default();
        if self.last > 0 {
            self.steady += now.saturating_sub(self.last).min(STEP_MS);
        }
        self.last = now;
        let is_behind = request.epoch == self.epoch && last_seq < request.acked;
        if self.epoch == 0 || request.epoch > self.epoch || is_behind {
            self.epoch = self.epoch.max(request.epoch) + 1;
            self.open = self.steady + request.grace_ms;
        }
        if request.epoch != self.epoch {
            return Reply::Epoch(self.epoch);
        }
        if request.seq <= last_seq {
            return Reply::Stale(last_seq);
        }
        self.nodes.insert(request.node, (request.seq, self.steady));
        let heard = |(_, at): &(u64, u64)| self.steady - at < request.reclaim_after_ms;
        let seen: BTreeSet<u64> = self
            .nodes
            .iter()
            .filter(|(_, one)| heard(one))
            .map(|(node, _)| *node)
            .collect();
        let answers = request.entries.iter().map(|entry| {
            let limit = self.limits.entry((entry.id, entry.period)).or_default();
            let is_open = self.open <= self.steady;
            let answer = limit.answer((now, self.epoch, is_open), request.node, entry, &seen);
            if answer.starved {
                self.wants.insert((entry.id, entry.period), now);
            }
            answer
        });
        let answers = answers.collect();
        self.wants.retain(|_, at| now.saturating_sub(*at) <= WANTED_MS);
        Reply::Done {
            unix_ms: now,
            nodes: seen.len() as u64,
            closed_ms: self.open.saturating_sub(self.steady),
            answers,
            wanted: self
                .wants
                .iter()
                .filter(|(_, at)| **at >= request.cursor)
                .map(|(name, _)| *name)
                .collect(),
        }
    }
}

impl Limit {
    fn answer(
        &mut self,
        (now, epoch, is_open): (u64, u64, bool),
        node: u64,
        entry: &super::Entry,
        seen: &BTreeSet<u64>,
    ) -> Answer {
        if let Kind::Refill { amount, per_ms } = entry.kind {
            let since = if self.since == 0 { now } else { self.since };
            let flowing = u128::from(now.saturating_sub(since)) * u128::from(amount) + u128::from(self.carry);
            let flowed = (flowing / u128::from(per_ms)) as u64;
            (self.carry, self.since) = ((flowing % u128::from(per_ms)) as u64, now);
            self.used = self.used.saturating_sub(flowed);
            self.known = self.known.saturating_sub(flowed);
        }
        if self.epoch != epoch {
            self.known = self.used;
            self.told.clear();
            if entry.kind == Kind::Concurrent {
                self.rests.clear();
                (self.used, self.known) = (0, 0);
            }
            self.epoch = epoch;
        }
        let before = match self.told.get(&node) {
            Some(before) => *before,
            None => {
                if entry.claim > self.known {
                    self.used = (self.used + entry.claim).saturating_sub(self.known);
                    self.known = entry.claim;
                }
                entry.told
            }
        };
        self.used = (self.used + entry.used).saturating_sub(before);
        let mut leased = 0;
        let others: Vec<(u64, u64)> = self.rests.iter().map(|(who, rest)| (*who, *rest)).collect();
        for (who, rest) in others.into_iter().filter(|(who, _)| *who != node) {
            if seen.contains(&who) || !is_open || (entry.kind == Kind::Calendar && entry.exact) {
                leased += rest;
                continue;
            }
            let told = self.told.remove(&who).unwrap_or(0);
            self.rests.remove(&who);
            match entry.kind {
                Kind::Refill { .. } => self.used += rest,
                Kind::Concurrent => self.used = self.used.saturating_sub(told),
                Kind::Calendar => {}
            }
        }
        let held = self.used + leased + entry.rest;
        let pool = entry.most.saturating_sub(held);
        let starved = is_open && entry.need > 0 && (entry.need > pool || held > entry.most);
        let share = (pool / (2 * seen.len() as u64)).max(1);
        let granted = match is_open && !starved {
            true => entry.need.max(entry.want.min(share)).min(pool),
            false => 0,
        };
        self.told.insert(node, entry.used);
        self.rests.insert(node, entry.rest + granted);
        Answer {
            granted,
            used: self.used,
            pool: pool - granted,
            starved,
        }
    }
}
