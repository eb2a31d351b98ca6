//! A node's side of the cluster's limits: which of them to tell the store of and when, and what becomes of the answers.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use tollgate_config::document::{Limit, Window};

use super::{
    Notice, OnPartition, Settings, Standing, away,
    group::{BEAT_MS, Flight, Group},
    held::{Held, Key, Said},
    marks, peers,
    wire::{Reply, Request},
};
use crate::limits::{
    balances::Balances,
    bucket::Moment,
    calendar::Today,
    shared::{self, Mode, Sharing},
};

/// Limits that a node holds a part of while nobody uses them: so that the first call need not wait. Others are leased when
/// they are first used.
pub(super) const MAX_STANDING: usize = 1 << 15;
/// In one call to the store; fewer where there are many nodes, for each of which the store looks at each.
const MAX_BATCH: u64 = 128;
const LEAST_BATCH: u64 = 4;
/// Of nodes by limits in a call no more: one or two milliseconds of the store's time, in which it answers nobody else.
const MOST_LOOKS: u64 = 1_024;
/// A limit in use is told so often; more seldom where there are more nodes than these, all of which tell.
const REVIEW_MS: u64 = 100;
const FEW_NODES: u64 = 16;
const LONGEST_REVIEW_MS: u64 = 800;
/// A limit that nobody uses here is asked about so often, where there are few: others may have used it, or left some of it.
const REFRESH_MS: u64 = 5_000;
/// And so many of them in a second, where there are many; fewer where there are many nodes.
const REFRESHED_A_SECOND: u64 = 400;
/// Between two tries where the store does not answer.
const RETRY_MS: u64 = 250;
/// Between two looks at the calendar.
const ROLL_MS: u64 = 1_000;
/// Before a period begins its limits are leased.
const AHEAD_MS: u64 = 60_000;
/// Of what no revision names: unused for so long it goes back.
const FORGOTTEN_MS: u64 = 3_600_000;
/// Another process with this node's number is told of once, until it has not been met for so long.
const QUIET_MS: u64 = 60_000;
/// Each process of a node has so many numbers for its requests.
const SEQ_SHIFT: u32 = 32;

#[derive(Debug)]
pub struct Agent {
    settings: Settings,
    node: u64,
    process: u64,
    held: BTreeMap<Key, Held>,
    groups: Vec<Group>,
    notices: Vec<Notice>,
    standing: Standing,
    roll_ms: u64,
    /// Another process with this node's number has been told of, and is met until then.
    overtaken_until_ms: u64,
    leaves: bool,
}

impl Agent {
    /// `process` grows with each of the node's.
    pub fn new(settings: Settings, node: u64, process: u64, now_ms: u64) -> Self {
        let groups =
            (0..settings.groups.clamp(1, shared::MAX_GROUPS)).map(|_| Group::new(process << SEQ_SHIFT, now_ms));
        Self {
            settings,
            node,
            process,
            held: BTreeMap::new(),
            groups: groups.collect(),
            notices: Vec::new(),
            standing: Standing::default(),
            roll_ms: 0,
            overtaken_until_ms: 0,
            leaves: false,
        }
    }

    /// Goes on behind an agent of the same process, whose last request had this number.
    pub fn after(mut self, last_seq: u64) -> Self {
        for group in &mut self.groups {
            group.seq = group.seq.max(last_seq);
        }
        self
    }

    pub fn last_seq(&self) -> u64 {
        self.groups.iter().map(|group| group.seq).max().unwrap_or(0)
    }

    /// From now on these are the limits; what was known before and is not any more goes back. Others are of tags, or beyond
    /// what is known: who uses them knows them, and they go when nobody has for long. `unix_ms`: by this machine's clock.
    pub fn know(
        &mut self,
        balances: &Balances,
        known: impl Iterator<Item = (u64, Limit)>,
        (zone, unix_ms): (&TimeZone, u64),
        now_ms: u64,
    ) {
        let moment = moment(balances, zone, unix_ms);
        let known: BTreeMap<u64, Limit> = known.take(MAX_STANDING).collect();
        for (id, limit) in &known {
            let key = (*id, shared::tag(balances, limit, &moment));
            self.hold(balances, key, *limit, now_ms);
        }
        // Else one that others took the place of may be in use all the same.
        let is_whole = known.len() < MAX_STANDING;
        let mut unknown = Vec::new();
        for (key, held) in &mut self.held {
            let was_known = std::mem::replace(&mut held.is_known, known.contains_key(&key.0));
            if held.is_known {
                held.doomed = false;
            } else if was_known && (is_whole || !held.is_active(now_ms)) {
                held.doomed = true;
                unknown.push(*key);
            }
        }
        for key in unknown {
            self.schedule(key, now_ms);
        }
        self.roll_ms = 0;
    }

    /// Holds a limit; false: there is no room.
    fn hold(&mut self, balances: &Balances, key: Key, limit: Limit, now_ms: u64) -> bool {
        if let Some(held) = self.held.get_mut(&key) {
            let changed = held.limit != limit;
            held.limit = limit;
            if changed {
                self.schedule(key, now_ms);
            }
            return true;
        }
        let at = self.group_of(key);
        let Some(mut held) = Held::new(balances, key, limit, (marks::kept(balances, at), now_ms)) else {
            return false;
        };
        let group = &self.groups[at];
        if group.is_away {
            let policy = self.settings.on_partition;
            let own = away::at_first(policy, &held, balances, group.nodes, now_ms);
            held.grant_self(balances, own);
        }
        self.held.insert(key, held);
        self.schedule(key, now_ms);
        true
    }

    /// Takes what shards called for.
    pub fn called(&mut self, balances: &Balances, now_ms: u64) {
        for call in balances.sharing().calls() {
            let key = (call.id, call.tag);
            if !self.hold(balances, key, call.limit, now_ms) {
                continue;
            }
            if let Some(held) = self.held.get_mut(&key) {
                held.need = held.need.max(call.need);
                held.doomed = false;
                held.wake(now_ms);
            }
            self.standing.refused_early += u64::from(call.need > 0);
            let at_ms = self
                .held
                .get(&key)
                .map_or(now_ms, |held| now_ms.max(held.quiet_until_ms));
            self.schedule(key, at_ms);
        }
    }

    fn group_of(&self, key: Key) -> usize {
        (key.0 % self.groups.len() as u64) as usize
    }

    /// Due then, or sooner.
    fn schedule(&mut self, key: Key, at_ms: u64) {
        let group = self.group_of(key);
        let Some(held) = self.held.get_mut(&key) else { return };
        if held.due_ms <= at_ms {
            return;
        }
        let due = &mut self.groups[group].due;
        due.remove(&(held.due_ms, key));
        held.due_ms = at_ms;
        due.insert((at_ms, key));
    }

    /// What is to be sent now, if anything: each group has one on its way at most.
    pub fn request(&mut self, balances: &Balances, now_ms: u64) -> Option<Request> {
        let at = (0..self.groups.len()).find(|at| self.groups[*at].is_due(now_ms))?;
        let group = &mut self.groups[at];
        let (nodes, epoch) = (group.nodes, group.epoch);
        if epoch == 0 {
            group.peers = peers::kept(balances, at);
        }
        let (mut entries, mut said) = (Vec::new(), Vec::new());
        // Before the first answer there is nothing to tell: the epoch is not known.
        while epoch > 0 && entries.len() < max_batch(nodes) {
            let Some(&(due_ms, key)) = group.due.first().filter(|(due_ms, _)| *due_ms <= now_ms) else {
                break;
            };
            group.due.remove(&(due_ms, key));
            let Some(held) = self.held.get_mut(&key) else { continue };
            held.due_ms = u64::MAX;
            let told = held.say(balances, (nodes, epoch), now_ms);
            held.is_mute = told.is_none();
            if let Some((mut entry, one)) = told {
                if group.is_away {
                    // What it granted itself comes first: by the time of an answer more may have been used than is said here.
                    (entry.want, entry.need) = (0, 0);
                }
                entries.push(entry);
                said.push(one);
            }
        }
        let is_whole = self.tells_all(at, &said);
        let group = &mut self.groups[at];
        let leaves = self.leaves && is_whole && group.due.first().is_none_or(|(due_ms, _)| *due_ms > now_ms);
        group.begin_flight(said, is_whole, now_ms);
        self.standing.asked += 1;
        Some(Request {
            group: at,
            node: self.node,
            seq: group.seq,
            acked: group.acked,
            epoch,
            reclaim_after_ms: self.settings.reclaim_after_ms,
            grace_ms: grace_ms(&self.settings),
            cursor: group.cursor,
            is_whole,
            leaves,
            // Who has told all has told these as well.
            peers: if group.has_told {
                Vec::new()
            } else {
                group.peers.clone()
            },
            entries,
        })
    }

    /// With these the store knows of all that the node holds of a group.
    fn tells_all(&self, at: usize, said: &[Said]) -> bool {
        let group = &self.groups[at];
        if group.has_told {
            return true;
        }
        let is_open = |held: &Held| held.epoch != group.epoch && !held.is_mute;
        let of_group = self.held.iter().filter(|(key, _)| self.group_of(**key) == at);
        let open = of_group.filter(|(_, held)| is_open(held)).count();
        let told = said.iter().filter_map(|said| self.held.get(&said.key));
        open == told.filter(|held| is_open(held)).count()
    }

    /// The request of this group was answered. `unix_ms`: by this machine's clock.
    pub fn answered(&mut self, balances: &Balances, at: usize, reply: Reply, (unix_ms, now_ms): (u64, u64)) {
        let Some(flight) = self.groups.get_mut(at).and_then(|group| group.flight.take()) else {
            return;
        };
        self.groups[at].heard_ms = flight.sent_ms;
        match reply {
            Reply::Stale(last) => {
                // A state directory from a backup, or two processes with the same.
                let group = &mut self.groups[at];
                group.seq = group.seq.max(last);
                group.rests_until_ms = now_ms + RETRY_MS;
                if self.overtaken_until_ms <= now_ms {
                    self.notices.push(Notice::Overtaken);
                }
                self.overtaken_until_ms = now_ms + QUIET_MS;
                self.again(&flight, now_ms);
            }
            Reply::Epoch(epoch) => self.begin_epoch(at, epoch, now_ms),
            Reply::Done {
                unix_ms: store_unix_ms,
                nodes,
                peers,
                closed_ms,
                answers,
                wanted,
            } => {
                let group = &mut self.groups[at];
                (group.acked, group.cursor) = (group.seq, store_unix_ms);
                group.has_told |= flight.is_whole;
                let (epoch, is_open) = (group.epoch, closed_ms == 0);
                let opens = is_open && group.is_closed();
                if group.hear_of(closed_ms, (nodes, peers), now_ms) {
                    peers::keep(balances, at, &group.peers);
                }
                if self.leaves {
                    // Who comes after a node that left in order waits for nobody.
                    peers::keep(balances, at, &[]);
                }
                if at == 0 {
                    // Which is off by a part of the time that the answer took: periods begin a little early or late.
                    let skew_ms = i64::try_from(i128::from(store_unix_ms) - i128::from(unix_ms));
                    balances.sharing().set_skew_ms(skew_ms.unwrap_or(0));
                }
                let mark = is_open.then(|| marks::keep(balances, at, epoch));
                let was_away = self.groups[at].is_away;
                self.come_back(balances, at);
                for (said, answer) in flight.said.iter().zip(answers) {
                    let Some(held) = self.held.get_mut(&said.key) else {
                        continue;
                    };
                    let heard = (epoch, mark, store_unix_ms);
                    let starved = held.take(balances, (said, answer), heard, now_ms);
                    self.standing.starved += u64::from(starved);
                    self.plan_next(said.key, (!is_open).then_some(now_ms + closed_ms), now_ms);
                    if was_away {
                        self.schedule(said.key, now_ms);
                    }
                }
                for key in wanted {
                    self.recall(key, now_ms);
                }
                if opens {
                    self.schedule_all(at, now_ms);
                }
            }
        }
    }

    /// When a limit that was just answered is looked at again.
    fn plan_next(&mut self, key: Key, opens_ms: Option<u64>, now_ms: u64) {
        let Some(held) = self.held.get(&key) else { return };
        let next_ms = match (held.is_releasing() || held.need > 0, held.is_active(now_ms)) {
            (true, _) => now_ms.max(held.quiet_until_ms),
            (false, true) => now_ms + review_ms(self.groups[self.group_of(key)].nodes),
            (false, false) if held.doomed => {
                self.held.remove(&key);
                return;
            }
            (false, false) => now_ms + self.refresh_ms(),
        };
        // What is idle is told again when it opens.
        let next_ms = opens_ms.map_or(next_ms, |opens_ms| next_ms.max(opens_ms + 1));
        self.schedule(key, next_ms);
    }

    fn refresh_ms(&self) -> u64 {
        let nodes = self.groups.iter().map(|group| group.nodes).max().unwrap_or(1);
        let each_ms = 1_000 * nodes.max(FEW_NODES);
        (self.held.len() as u64 * each_ms / (REFRESHED_A_SECOND * FEW_NODES)).max(REFRESH_MS)
    }

    /// Others lack what this node may hold and not use. By its period in the store, where calls under way have none.
    fn recall(&mut self, (id, period): (u64, u64), now_ms: u64) {
        let of_store = |key: &Key, held: &Held| match held.limit.window {
            Window::Calendar(_) => key.1,
            Window::Refill { .. } | Window::None => 0,
        };
        let meant = self.held.range_mut((id, 0)..=(id, u64::MAX));
        let meant = meant.filter(|(key, held)| of_store(key, held) == period);
        let keys: Vec<Key> = meant
            .map(|(key, held)| {
                held.recall(now_ms);
                *key
            })
            .collect();
        for key in keys {
            self.schedule(key, now_ms);
        }
    }

    fn begin_epoch(&mut self, at: usize, epoch: u64, now_ms: u64) {
        let group = &mut self.groups[at];
        if group.epoch > 0 {
            self.notices.push(Notice::Epoch(epoch));
        }
        group.begin_epoch(epoch, now_ms);
        self.schedule_all(at, now_ms);
    }

    fn schedule_all(&mut self, at: usize, now_ms: u64) {
        let all = self.held.keys().copied().filter(|key| self.group_of(*key) == at);
        for key in all.collect::<Vec<_>>() {
            self.schedule(key, now_ms);
        }
    }

    /// Nobody answered.
    pub fn failed(&mut self, at: usize, now_ms: u64) {
        let Some(flight) = self.groups.get_mut(at).and_then(|group| group.flight.take()) else {
            return;
        };
        self.standing.failed += 1;
        self.again(&flight, now_ms + RETRY_MS);
        self.groups[at].beat_ms = now_ms + RETRY_MS;
    }

    fn again(&mut self, flight: &Flight, at_ms: u64) {
        for said in &flight.said {
            self.schedule(said.key, at_ms);
        }
    }

    /// What time alone changes.
    pub fn turn(&mut self, balances: &Balances, (zone, unix_ms): (&TimeZone, u64), now_ms: u64) {
        for at in 0..self.groups.len() {
            self.look_for(balances, at, now_ms);
        }
        if self.roll_ms <= now_ms {
            self.roll_ms = now_ms + ROLL_MS;
            self.roll(balances, &moment(balances, zone, unix_ms), now_ms);
        }
    }

    /// Is the store of this group there?
    fn look_for(&mut self, balances: &Balances, at: usize, now_ms: u64) {
        let policy = self.settings.on_partition;
        let group = &mut self.groups[at];
        let silent_ms = now_ms.saturating_sub(group.heard_ms);
        if silent_ms <= self.settings.away_after_ms {
            return;
        }
        let (nodes, span) = (group.nodes, (group.flowed_ms, now_ms));
        let goes = !std::mem::replace(&mut group.is_away, true);
        group.flowed_ms = now_ms;
        let of_group = self.groups.len() as u64;
        let all = self.held.iter_mut().filter(|(key, _)| key.0 % of_group == at as u64);
        for (_, held) in all {
            let own = match goes {
                true => away::at_first(policy, held, balances, nodes, now_ms),
                false => away::meanwhile(policy, held, balances, nodes, span),
            };
            if own > 0 {
                held.grant_self(balances, own);
            }
        }
        if goes {
            self.notices.push(Notice::Away);
        }
        let mode = match policy {
            OnPartition::Allow => Mode::Allow,
            // The store may have given it to others by then.
            OnPartition::Refuse if silent_ms > self.settings.reclaim_after_ms / 2 => Mode::Refuse,
            OnPartition::Refuse | OnPartition::LocalShare => Mode::Leased,
        };
        balances.sharing().set_mode(at, mode);
    }

    fn come_back(&mut self, balances: &Balances, at: usize) {
        if !std::mem::take(&mut self.groups[at].is_away) {
            return;
        }
        balances.sharing().set_mode(at, Mode::Leased);
        let of_group = self.groups.len() as u64;
        let all = self.held.iter_mut().filter(|(key, _)| key.0 % of_group == at as u64);
        for (_, held) in all {
            held.end_self_grant(balances);
        }
        self.notices.push(Notice::Back);
    }

    /// Forgets periods that are over and what nobody uses any more, and leases what begins soon.
    fn roll(&mut self, balances: &Balances, moment: &Moment, now_ms: u64) {
        let (mut over, mut next, mut unused) = (Vec::new(), Vec::new(), Vec::new());
        for (key, held) in &mut self.held {
            held.keep(balances, moment);
            if !held.is_known && !held.doomed && held.is_idle_for(FORGOTTEN_MS, now_ms) {
                held.doomed = true;
                unused.push(*key);
            }
            let Window::Calendar(period) = held.limit.window else {
                continue;
            };
            let in_force = moment.today.period(period);
            if key.1 < in_force.number {
                over.push(*key);
            } else if key.1 == in_force.number && in_force.ends_unix_ms.saturating_sub(moment.unix_ms) < AHEAD_MS {
                next.push(((key.0, key.1 + 1), held.limit, held.is_known));
            }
        }
        for key in unused {
            self.schedule(key, now_ms);
        }
        for key in over {
            let group = self.group_of(key);
            if let Some(held) = self.held.remove(&key) {
                self.groups[group].due.remove(&(held.due_ms, key));
            }
        }
        for (key, limit, is_known) in next {
            if self.hold(balances, key, limit, now_ms)
                && let Some(held) = self.held.get_mut(&key)
            {
                held.is_known |= is_known;
            }
        }
    }

    /// All goes back: the node ends, or shares no more. Ask for requests until there are none.
    pub fn leave(&mut self, now_ms: u64) {
        self.leaves = true;
        for held in self.held.values_mut() {
            held.doomed = true;
        }
        for at in 0..self.groups.len() {
            self.schedule_all(at, now_ms);
            // Also where nothing is held: who leaves says so.
            self.groups[at].beat_ms = now_ms;
        }
    }

    /// Is anything to be told that has not been?
    pub fn is_settled(&self, now_ms: u64) -> bool {
        let open =
            |group: &Group| group.flight.is_some() || group.due.first().is_some_and(|(due_ms, _)| *due_ms <= now_ms);
        !self.groups.iter().any(open)
    }

    /// Has everything that it holds been leased once, as far as there was enough?
    pub fn is_ready(&self, now_ms: u64) -> bool {
        let open = |group: &Group| group.epoch > 0 && !group.is_closed();
        self.groups.iter().all(open) && self.is_settled(now_ms)
    }

    /// When there is something to do next.
    pub fn next_ms(&self) -> u64 {
        let next = self
            .groups
            .iter()
            .filter(|group| group.flight.is_none())
            .map(Group::next_ms);
        next.min().unwrap_or(u64::MAX).min(self.roll_ms)
    }

    pub fn notices(&mut self) -> impl Iterator<Item = Notice> + '_ {
        self.notices.drain(..)
    }

    pub fn standing(&self) -> Standing {
        let first = self.groups.first();
        Standing {
            groups: self.groups.len() as u64,
            groups_away: self.groups.iter().filter(|group| group.is_away).count() as u64,
            nodes: first.map_or(0, |group| group.nodes),
            epoch: first.map_or(0, |group| group.epoch),
            leases: self.held.len() as u64,
            ..self.standing
        }
    }

    /// The number of the process that it is of.
    pub fn process(&self) -> u64 {
        self.process
    }
}

fn max_batch(nodes: u64) -> usize {
    (MOST_LOOKS / nodes.max(1)).clamp(LEAST_BATCH, MAX_BATCH) as usize
}

fn review_ms(nodes: u64) -> u64 {
    (REVIEW_MS * nodes.div_ceil(FEW_NODES)).clamp(REVIEW_MS, LONGEST_REVIEW_MS)
}

/// In a new epoch nothing is granted for so long: all nodes tell what they hold within it, but those that are away.
fn grace_ms(settings: &Settings) -> u64 {
    2 * settings.away_after_ms.max(4 * BEAT_MS)
}

fn moment(balances: &Balances, zone: &TimeZone, unix_ms: u64) -> Moment {
    let unix_ms = balances.sharing().unix_ms(unix_ms);
    Moment {
        unix_ms,
        today: Today::at(zone, unix_ms),
    }
}

/// For whoever turns sharing on.
impl Sharing {
    pub fn begin(&self, agent: &Agent) {
        self.turn_on(agent.groups.len());
    }
}
