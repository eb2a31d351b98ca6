//! The store's script again, step by step in Rust: what the simulator runs agents against. That the script does the same is
//! tested against a real store (`dataplane/shard/src/cluster`). Very many nodes, some of which the script forgets, are not simulated.

use std::collections::{BTreeMap, BTreeSet};

use super::wire::{Answer, Entry, Kind, MOST_NAMED, Reply, Request};

const WANTED_MS: u64 = 5_000;
const STEP_MS: u64 = 1_000;
const AGAIN_MS: u64 = 250;

#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    /// Which process answered last, and which answers now.
    answered: u64,
    pub server: u64,
    epoch: u64,
    open: u64,
    late: u64,
    steady: u64,
    last: u64,
    /// By node: its last number, when it was heard, and in which epoch it had told all.
    nodes: BTreeMap<u64, (u64, i64, u64)>,
    /// Of this epoch.
    expected: BTreeSet<u64>,
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
    /// Of a calendar: the epoch and number of what is known here of those who have not told since, the epoch in which nobody
    /// told more of others than a sum, and the one in which somebody did.
    of: (u64, u64),
    sums: u64,
    accounts: u64,
    /// Used by nodes that nobody can name.
    beside: u64,
    /// What nodes said of themselves in this epoch; of a calendar what is known of others, and the sums that some had heard.
    told: BTreeMap<u64, u64>,
    known_of: BTreeMap<u64, u64>,
    others_of: BTreeMap<u64, u64>,
    rests: BTreeMap<u64, u64>,
    /// Who lacked it last.
    lacks: u64,
}

/// What holds for all limits of a call.
struct Round<'s> {
    now: u64,
    epoch: u64,
    is_open: bool,
    seen: &'s BTreeSet<u64>,
}

impl Store {
    /// By this server.
    pub fn by(server: u64) -> Self {
        Self::default().taken_over_by(server)
    }

    pub fn taken_over_by(self, server: u64) -> Self {
        Self { server, ..self }
    }

    pub fn call(&mut self, now: u64, request: &Request) -> Reply {
        let (last_seq, _, has_told) = self.nodes.get(&request.node).copied().unwrap_or_default();
        if self.last > 0 {
            self.steady += now.saturating_sub(self.last).min(STEP_MS);
        }
        self.last = now;
        let is_behind = request.epoch == self.epoch && last_seq < request.acked;
        let has_moved = self.answered != 0 && self.answered != self.server;
        if self.epoch == 0 || request.epoch > self.epoch || is_behind || has_moved {
            self.epoch = self.epoch.max(request.epoch).max(now) + 1;
            self.open = self.steady + request.grace_ms;
            self.late = self.steady + request.grace_ms.max(request.reclaim_after_ms);
            self.expected = self.seen(request);
        }
        self.answered = self.server;
        if request.epoch != self.epoch {
            return Reply::Epoch(self.epoch);
        }
        if request.seq <= last_seq {
            return Reply::Stale(last_seq);
        }
        let silent_ms = if request.leaves { request.reclaim_after_ms } else { 0 };
        let heard = self.steady.cast_signed() - silent_ms.cast_signed();
        let told = if request.is_whole { self.epoch } else { has_told };
        self.nodes.insert(request.node, (request.seq, heard, told));
        self.expected.extend(&request.peers);
        let seen = self.seen(request);
        let closed_ms = self.closed_ms();
        let round = Round {
            now,
            epoch: self.epoch,
            is_open: closed_ms == 0,
            seen: &seen,
        };
        let answers = request.entries.iter().map(|entry| {
            let limit = self.limits.entry((entry.id, entry.period)).or_default();
            let name = (entry.id, entry.period);
            let answer = limit.answer(&round, request.node, entry, self.wants.contains_key(&name));
            if answer.starved {
                self.wants.insert(name, now);
            }
            answer
        });
        let answers = answers.collect();
        self.wants
            .retain(|_, at| *at <= now && now.saturating_sub(*at) <= WANTED_MS);
        let wanted = self.wants.iter().filter(|(_, at)| **at >= request.cursor);
        Reply::Done {
            unix_ms: now,
            nodes: seen.len() as u64,
            peers: seen.into_iter().collect(),
            closed_ms,
            answers,
            wanted: wanted.map(|(name, _)| *name).collect(),
        }
    }

    fn seen(&self, request: &Request) -> BTreeSet<u64> {
        let heard = |at: i64| self.steady.cast_signed() - at < request.reclaim_after_ms.cast_signed();
        let seen = self.nodes.iter().filter(|(_, (_, at, _))| heard(*at));
        seen.map(|(node, _)| *node).collect()
    }

    fn closed_ms(&self) -> u64 {
        let told = |node: &u64| self.nodes.get(node).is_some_and(|(_, _, told)| *told == self.epoch);
        let closed_ms = self.open.saturating_sub(self.steady);
        match self.steady < self.late && !self.expected.iter().all(told) {
            true => closed_ms.max(AGAIN_MS),
            false => closed_ms,
        }
    }
}

impl Limit {
    fn answer(&mut self, round: &Round<'_>, node: u64, entry: &Entry, is_wanted: bool) -> Answer {
        self.flow(round.now, entry);
        self.begin_epoch(round, entry);
        self.hear(round, node, entry);
        let leased = self.leased(round, node, entry);
        let held = self.used + leased + entry.rest;
        let pool = entry.most.saturating_sub(held);
        let starved = round.is_open && entry.need > 0 && (entry.need > pool || held > entry.most);
        let parts = match is_wanted && self.lacks != node {
            true => (round.seen.len() as u64).max(1),
            false => 1,
        };
        let share = (pool / (2 * parts)).max(1);
        if starved {
            self.lacks = node;
        }
        let granted = match round.is_open && !starved {
            true => entry.need.max(entry.want.min(share)).min(pool),
            false => 0,
        };
        self.rests.insert(node, entry.rest + granted);
        Answer {
            granted,
            used: self.used,
            pool: pool - granted,
            starved,
            number: self.of.1,
            named: match (entry.kind, round.is_open && entry.asks) {
                (Kind::Calendar, true) => self.named(round, node),
                _ => Vec::new(),
            },
        }
    }

    fn flow(&mut self, now: u64, entry: &Entry) {
        let Kind::Refill { amount, per_ms } = entry.kind else {
            return;
        };
        let since = if self.since == 0 { now } else { self.since };
        let flowing = u128::from(now.saturating_sub(since)) * u128::from(amount) + u128::from(self.carry);
        let flowed = (flowing / u128::from(per_ms)) as u64;
        (self.carry, self.since) = ((flowing % u128::from(per_ms)) as u64, now);
        self.used = self.used.saturating_sub(flowed);
        self.known = self.known.saturating_sub(flowed);
        if self.used == 0 {
            self.carry = 0;
        }
    }

    fn begin_epoch(&mut self, round: &Round<'_>, entry: &Entry) {
        if self.epoch == round.epoch {
            return;
        }
        self.epoch = round.epoch;
        self.known = self.used;
        let told = std::mem::take(&mut self.told);
        if entry.kind == Kind::Calendar {
            self.known_of.extend(told);
        }
        if entry.kind == Kind::Concurrent {
            self.rests.clear();
            (self.used, self.known) = (0, 0);
        }
    }

    fn hear(&mut self, round: &Round<'_>, node: u64, entry: &Entry) {
        if entry.kind == Kind::Calendar {
            return self.hear_of_calendar(round, node, entry);
        }
        self.used = match self.told.insert(node, entry.used) {
            Some(before) => (self.used + entry.used).saturating_sub(before),
            None if entry.claim == 0 => (self.used + entry.used).saturating_sub(entry.told),
            None => {
                let more = entry.claim.saturating_sub(self.known);
                self.known += more;
                self.used + more + entry.used.saturating_sub(entry.told)
            }
        };
    }

    fn hear_of_calendar(&mut self, round: &Round<'_>, node: u64, entry: &Entry) {
        if entry.heard.is_some() {
            self.accounts = round.epoch;
        }
        match &entry.heard {
            Some(heard) if (heard.epoch, heard.number) > self.of => {
                let named = heard.named.iter().copied();
                self.known_of = named.filter(|(who, _)| !self.told.contains_key(who)).collect();
                (self.of, self.beside) = ((heard.epoch, heard.number), heard.apart);
            }
            _ if entry.claim > 0 => {
                self.others_of.insert(node, entry.claim.saturating_sub(entry.told));
            }
            _ => {}
        }
        let is_named = self.told.contains_key(&node) || self.known_of.contains_key(&node);
        if round.is_open && !is_named {
            self.beside = self.beside.saturating_sub(entry.told);
        }
        self.known_of.remove(&node);
        self.told.insert(node, entry.used);
        self.used = self.beside + self.told.values().chain(self.known_of.values()).sum::<u64>();
        if !round.is_open {
            return;
        }
        if self.of.0 != round.epoch && self.accounts != round.epoch {
            self.sums = round.epoch;
        }
        for (who, others) in std::mem::take(&mut self.others_of) {
            let own = self.told.get(&who).or(self.known_of.get(&who)).copied();
            let least = others + own.unwrap_or(0);
            if self.sums == round.epoch && least > self.used {
                self.beside += least - self.used;
                self.used = least;
            }
        }
        self.of = (round.epoch, self.of.1 + 1);
    }

    /// What others used, who is there first.
    fn named(&self, round: &Round<'_>, node: u64) -> Vec<(u64, u64)> {
        let all = self.told.iter().chain(&self.known_of).map(|(who, used)| (*who, *used));
        let others = all.filter(|(who, _)| *who != node);
        let (mut there, gone): (Vec<_>, Vec<_>) = others.partition(|(who, _)| round.seen.contains(who));
        there.extend(gone);
        there.truncate(MOST_NAMED);
        there
    }

    /// What others hold; who is gone holds nothing.
    fn leased(&mut self, round: &Round<'_>, node: u64, entry: &Entry) -> u64 {
        let mut leased = 0;
        let others: Vec<(u64, u64)> = self.rests.iter().map(|(who, rest)| (*who, *rest)).collect();
        for (who, rest) in others.into_iter().filter(|(who, _)| *who != node) {
            let stays = entry.kind == Kind::Calendar && entry.exact && rest > 0;
            if round.seen.contains(&who) || !round.is_open || stays {
                leased += rest;
                continue;
            }
            self.rests.remove(&who);
            let told = match entry.kind {
                // What it used stays its own, should it come back.
                Kind::Calendar => continue,
                _ => self.told.remove(&who).unwrap_or(0),
            };
            match entry.kind {
                Kind::Refill { .. } => self.used += rest,
                _ => self.used = self.used.saturating_sub(told),
            }
        }
        leased
    }
}
