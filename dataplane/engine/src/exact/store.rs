//! What one part of the node's table keeps: answers by cache and by what was asked, within each cache's share of its bytes.
//! Who is over its own share of those goes first, so that no tenant can drive out another's. Plain memory; knows no lock, no
//! exchange and no JSON.

use std::{cell::RefCell, collections::BTreeSet, ops::Bound, sync::Arc};

use hashbrown::HashMap;
use tollgate_config::{document::CACHE_PARTS, money::PicoUsd};

use super::{
    About, Filter, Head, NS_PER_MS, Policy, Spent, Stored, Tenant,
    fifo::{Fifo, Known as Asked, MOST_ASKED, Name},
    flight::Flights,
};
use crate::{Tick, semantic};

/// What an entry takes beside its texts and its answer, about: its places in maps and queues.
pub(super) const ENTRY_BYTES: u64 = 512;
/// More answers than this are not kept of one cache in one part, however short they are.
const MOST_ENTRIES: usize = 1 << 20;
/// Of answers whose time is over, so many go when one is kept, and whenever somebody asks.
const MOST_SWEPT: usize = 64;
const SWEPT_BY_ASKING: usize = 4;
/// A purge looks at so many before others have their turn.
const MOST_PURGED: usize = 512;

/// One part of the node's table.
#[derive(Debug, Default)]
pub struct Part {
    caches: HashMap<Arc<str>, Held>,
    pub(super) flights: Flights,
}

/// Whoever asks would run the call.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub about: Arc<About>,
    /// Others may wait for it, and are sent what comes.
    pub leads: bool,
    /// The second tier is asked before it is run: it is no miss yet.
    pub asks: bool,
}

/// What is known of a call.
#[derive(Debug)]
pub(crate) enum Known {
    Kept(Arc<Stored>),
    /// Somebody asks for it now, under this number.
    UnderWay(u64, Option<Arc<Head>>),
    /// Nothing.
    New,
    /// Nothing, and whoever asked runs it, under this number.
    Claimed(u64, Arc<About>),
}

/// Of one cache since it was first asked, in all parts together once they are added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub hits: u64,
    pub misses: u64,
    /// Calls that were sent another's answer as it came.
    pub joined: u64,
    pub stored: u64,
    pub evicted: u64,
    pub expired: u64,
    pub purged: u64,
    /// Came from a snapshot.
    pub loaded: u64,
    pub saved_tokens: u64,
    pub saved: PicoUsd,
    pub saved_ns: u64,
    pub semantic: semantic::Stats,
    /// Now.
    pub entries: u64,
    pub bytes: u64,
}

impl Stats {
    pub fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.joined += other.joined;
        self.stored += other.stored;
        self.evicted += other.evicted;
        self.expired += other.expired;
        self.purged += other.purged;
        self.loaded += other.loaded;
        self.saved_tokens = self.saved_tokens.saturating_add(other.saved_tokens);
        self.saved = self.saved.saturating_add(other.saved);
        self.saved_ns = self.saved_ns.saturating_add(other.saved_ns);
        self.semantic.add(&other.semantic);
        self.entries += other.entries;
        self.bytes += other.bytes;
    }

    fn saves(&mut self, spent: &Spent) {
        let tokens = spent
            .usage
            .map_or(0, |usage| usage.all_input().saturating_add(usage.all_output()));
        self.saved_tokens = self.saved_tokens.saturating_add(tokens);
        self.saved = self
            .saved
            .saturating_add(spent.cost.map_or(PicoUsd::ZERO, |cost| cost.usd));
        self.saved_ns = self.saved_ns.saturating_add(spent.took_ns);
    }
}

/// An answer by when its time is over.
pub(crate) type Aged = (Tick, u128);

/// How far a purge of one part is.
#[derive(Debug)]
pub(crate) struct Purging {
    /// That are still to be looked at.
    caches: Vec<Arc<str>>,
    after: Option<Aged>,
    pub entries: u64,
    pub bytes: u64,
}

/// One cache.
#[derive(Debug, Default)]
pub(crate) struct Held {
    entries: HashMap<u128, Entry>,
    /// Those that are found by meaning, by half of their names.
    by_id: HashMap<u64, u128>,
    tenants: HashMap<Arc<str>, Owner>,
    /// The same by how much they have.
    by_size: BTreeSet<(u64, Arc<str>)>,
    /// Answers by when their time is over.
    by_age: BTreeSet<(Tick, u128)>,
    bytes: u64,
    numbers: u64,
    /// That are not found by meaning any more.
    unlinked: u64,
    stats: Stats,
}

#[derive(Debug)]
struct Entry {
    stored: Arc<Stored>,
    number: u64,
    /// Of the call that it is the answer of.
    call: u64,
    /// When its time is over.
    over: Tick,
    bytes: u64,
    asked: u8,
    in_small: bool,
}

#[derive(Debug, Default)]
struct Owner {
    bytes: u64,
    entries: usize,
    fifo: Fifo,
}

impl Part {
    /// What is known of a call of this tenant. `claim`: it is to be run by whoever asks, where nobody else does.
    pub(crate) fn ask(
        &mut self,
        now: Tick,
        (key, tenant): (u128, Tenant<'_>),
        policy: &Policy,
        claim: Option<&dyn Fn() -> Claim>,
    ) -> Known {
        let held = self.caches.entry_ref(&*policy.name).or_default();
        held.sweep(now, SWEPT_BY_ASKING);
        if let Some(stored) = held.get(now, key, tenant, policy) {
            held.stats.hits += 1;
            held.stats.saves(&stored.spent);
            return Known::Kept(stored);
        }
        if let Some((number, head)) = self.flights.asked(now, key) {
            return Known::UnderWay(number, head);
        }
        let Some(Claim { about, leads, asks }) = claim.map(|claim| claim()) else {
            return Known::New;
        };
        match self.flights.begin(key, Arc::clone(&about), leads) {
            Some(number) => {
                held.stats.misses += u64::from(!asks);
                Known::Claimed(number, about)
            }
            None => Known::New,
        }
    }

    /// The call is run whatever is kept, and its answer takes that one's place.
    pub(crate) fn claim_anew(&mut self, key: u128, claim: Claim) -> Option<u64> {
        self.flights.begin(key, claim.about, claim.leads)
    }

    /// A call was not run, or not by anybody whose answer will be kept.
    pub(crate) fn missed(&mut self, policy: &Policy) {
        let held = self.caches.entry_ref(&*policy.name).or_default();
        held.stats.misses += 1;
    }

    /// Somebody has got all of another's answer as it came. Gives what that one used for it.
    pub(crate) fn joined(&mut self, number: u64, policy: &Policy) -> Spent {
        let spent = self.flights.spent(number);
        let held = self.caches.entry_ref(&*policy.name).or_default();
        held.stats.joined += 1;
        held.stats.saves(&spent);
        spent
    }

    /// An answer that is found by meaning.
    pub(super) fn like(&self, cache: &str, id: u64) -> Option<Arc<Stored>> {
        let held = self.caches.get(cache)?;
        let entry = held.entries.get(held.by_id.get(&id)?)?;
        Some(Arc::clone(&entry.stored))
    }

    pub(super) fn served_like(&mut self, cache: &str, id: u64, spent: &Spent) {
        let Some(held) = self.caches.get_mut(cache) else { return };
        held.stats.semantic.hits += 1;
        held.stats.saves(spent);
        let entry = held.by_id.get(&id).and_then(|key| held.entries.get_mut(key));
        if let Some(entry) = entry {
            entry.asked = (entry.asked + 1).min(MOST_ASKED);
        }
    }

    pub(super) fn unlink(&mut self, cache: &str, id: u64) {
        let Some(held) = self.caches.get_mut(cache) else { return };
        let key = held.by_id.remove(&id);
        if let Some(entry) = key.and_then(|key| held.entries.get_mut(&key)) {
            // Nor is it in the next snapshot.
            Arc::make_mut(&mut entry.stored).asked = None;
            held.unlinked += 1;
        }
    }

    pub(super) fn tally(&mut self, cache: &str, count: impl FnOnce(&mut semantic::Stats)) {
        count(&mut self.caches.entry_ref(cache).or_default().stats.semantic);
    }

    /// Keeps the answer of a call that was claimed. False where that was purged meanwhile.
    pub(crate) fn store(&mut self, (key, number): (u128, u64), stored: Arc<Stored>, policy: &Policy) -> bool {
        if self.flights.is_lost(number) {
            return false;
        }
        let held = self.caches.entry_ref(&*policy.name).or_default();
        held.insert((key, number), stored, policy);
        true
    }

    /// The same of one that another node had kept: the call is a hit.
    pub(crate) fn found(&mut self, call: (u128, u64), stored: Arc<Stored>, policy: &Policy) -> bool {
        let spent = stored.spent;
        if !self.store(call, stored, policy) {
            return false;
        }
        let held = self.caches.entry_ref(&*policy.name).or_default();
        held.stats.hits += 1;
        held.stats.saves(&spent);
        true
    }

    /// What is under way is not kept where it is of these. `purge_some` forgets what is kept, until there is no more.
    pub(crate) fn begin_purge(&mut self, filter: &Filter) -> Purging {
        self.flights.purge(|about| filter.is_of(about));
        Purging {
            caches: self.caches.keys().cloned().collect(),
            after: None,
            entries: 0,
            bytes: 0,
        }
    }

    /// Looks at some more. False when all was looked at.
    pub(crate) fn purge_some(&mut self, filter: &Filter, purging: &mut Purging) -> bool {
        let Some(name) = purging.caches.last() else {
            return false;
        };
        let after = match self.caches.get_mut(name) {
            Some(held) => {
                let before = (held.entries.len() as u64, held.bytes);
                let after = held.purge_some(|about| filter.is_of(about), purging.after);
                purging.entries += before.0 - held.entries.len() as u64;
                purging.bytes += before.1 - held.bytes;
                after
            }
            None => None,
        };
        purging.after = after;
        if after.is_none() {
            purging.caches.pop();
        }
        !purging.caches.is_empty()
    }

    /// Some answers of a cache, by when their time is over, behind that one; how often each was asked for lately.
    pub(crate) fn some_of(&self, cache: &str, after: Option<Aged>, most: usize) -> Vec<(Aged, u8, Arc<Stored>)> {
        let Some(held) = self.caches.get(cache) else {
            return Vec::new();
        };
        let of = |aged: &Aged| {
            let entry = held.entries.get(&aged.1)?;
            // What was asked for again is in the main queue, and goes back there.
            let asked = entry.asked.max(u8::from(!entry.in_small));
            Some((*aged, asked, Arc::clone(&entry.stored)))
        };
        held.behind(after).take(most).filter_map(of).collect()
    }

    /// An answer of another process, unless there is a newer one. False where there is no room.
    pub(crate) fn put(&mut self, key: u128, asked: u8, stored: Stored, policy: &Policy) -> bool {
        let held = self.caches.entry_ref(&*policy.name).or_default();
        // No call of this process has such a number.
        const FORMER: u64 = 0;
        let before = held.stats.stored;
        held.insert((key, FORMER), Arc::new(stored), policy);
        let is_there = held.stats.stored > before;
        held.stats.stored = before;
        held.stats.loaded += u64::from(is_there);
        if let Some(entry) = held.entries.get_mut(&key).filter(|_| is_there) {
            entry.asked = asked.min(MOST_ASKED);
        }
        is_there
    }

    /// Of one cache so far: how many answers came and went.
    pub(crate) fn changes(&self, cache: &str) -> u64 {
        let held = self.caches.get(cache);
        held.map_or(0, |held| {
            let stats = &held.stats;
            stats.stored + stats.evicted + stats.expired + stats.purged + held.unlinked
        })
    }

    /// These caches are configured, each with so many bytes: others are forgotten, and what is too much goes.
    pub(crate) fn keep_only(&mut self, bounds: &[(&str, u64)]) -> Vec<Held> {
        self.flights
            .purge(|about| bounds.iter().all(|(name, _)| *name != &*about.cache));
        let gone = self.caches.extract_if(|name, held| {
            let bound = bounds.iter().find(|(known, _)| *known == &**name);
            if let Some((_, max_bytes)) = bound {
                while held.bytes > max_bytes / CACHE_PARTS && held.evict_largest() {}
            }
            bound.is_none()
        });
        // Memory is given back by whoever holds no lock.
        gone.map(|(_, held)| held).collect()
    }

    /// Forgets some of what is over. True where there may be more.
    pub(crate) fn sweep(&mut self, now: Tick) -> bool {
        let mut more = false;
        for held in self.caches.values_mut() {
            more |= held.sweep(now, MOST_SWEPT);
        }
        more
    }

    pub(crate) fn stats(&self, mut tell: impl FnMut(&Arc<str>, Stats)) {
        for (name, held) in &self.caches {
            let now = Stats {
                entries: held.entries.len() as u64,
                bytes: held.bytes,
                ..held.stats
            };
            tell(name, now);
        }
    }
}

impl Held {
    fn get(&mut self, now: Tick, key: u128, tenant: Tenant<'_>, policy: &Policy) -> Option<Arc<Stored>> {
        let entry = self.entries.get_mut(&key)?;
        if !tenant.is(entry.stored.about.tenant()) {
            return None;
        }
        if entry.stored.age_ns(now) >= policy.ttl_ms.saturating_mul(NS_PER_MS) {
            self.stats.expired += 1;
            self.remove(key);
            return None;
        }
        entry.asked = (entry.asked + 1).min(MOST_ASKED);
        Some(Arc::clone(&entry.stored))
    }

    /// `call`: the number of the call whose answer it is. One that began before the call whose answer is there comes too late.
    fn insert(&mut self, (key, call): (u128, u64), stored: Arc<Stored>, policy: &Policy) {
        if self.entries.get(&key).is_some_and(|entry| entry.call > call) {
            return;
        }
        let most_bytes = policy.max_bytes / CACHE_PARTS;
        self.remove(key);
        self.sweep(stored.at, MOST_SWEPT);
        let bytes = ENTRY_BYTES + stored.bytes();
        let about = Arc::clone(&stored.about);
        let tenant = about.tenant();
        if bytes > most_bytes {
            return;
        }
        while self.bytes + bytes > most_bytes || self.entries.len() >= MOST_ENTRIES {
            if !self.make_room(tenant, bytes, most_bytes) {
                return;
            }
        }
        self.numbers += 1;
        let name = (key, self.numbers);
        let over = stored.over(policy.ttl_ms);
        self.by_age.insert((over, key));
        let owner = self.tenants.entry_ref(tenant).or_default();
        owner.entries += 1;
        let in_small = owner.fifo.push(name, bytes);
        if stored.asked.is_some() {
            self.by_id.insert(key as u64, key);
        }
        self.entries.insert(
            key,
            Entry {
                stored,
                number: self.numbers,
                call,
                over,
                bytes,
                asked: 0,
                in_small,
            },
        );
        self.resize(tenant, |held| held + bytes);
        self.bytes += bytes;
        self.stats.stored += 1;
        let Self { entries, tenants, .. } = self;
        if let Some(owner) = tenants.get_mut(tenant) {
            let is_there = |name: Name| entries.get(&name.0).is_some_and(|entry| entry.number == name.1);
            owner.fifo.tidy(owner.entries, is_there);
        }
    }

    /// One goes: of the tenant that wants the room where it has its share already, else of the one that has most. With the
    /// tenant that asks, each may have the same; who has no more than that loses nothing to another, and an answer that alone is
    /// more takes only what others have above their shares, and drives out none where that is not enough.
    fn make_room(&mut self, tenant: &str, bytes: u64, most_bytes: u64) -> bool {
        let own = self.tenants.get(tenant).map_or(0, |owner| owner.bytes);
        let others = self.tenants.len() - usize::from(own > 0);
        let share = most_bytes / (others as u64 + 1);
        if bytes > share {
            return self.may_have(bytes, share, most_bytes) && self.evict_largest();
        }
        if own > 0 && own + bytes > share {
            return self.evict_of(tenant);
        }
        self.evict_largest()
    }

    /// Would so much fit, if everybody had no more than a share?
    fn may_have(&self, bytes: u64, share: u64, most_bytes: u64) -> bool {
        let above = self.by_size.iter().rev().map_while(|(has, _)| has.checked_sub(share));
        most_bytes.saturating_sub(self.bytes) + above.sum::<u64>() >= bytes
    }

    /// Forgets what is over, so many at most. True where that many went.
    fn sweep(&mut self, now: Tick, most: usize) -> bool {
        for _ in 0..most {
            let first = self.by_age.first().copied();
            let Some((_, key)) = first.filter(|(over, _)| *over <= now) else {
                return false;
            };
            self.stats.expired += 1;
            self.remove(key);
        }
        true
    }

    fn evict_largest(&mut self) -> bool {
        let largest = self.by_size.last().cloned();
        largest.is_some_and(|(_, largest)| self.evict_of(&largest))
    }

    fn evict_of(&mut self, tenant: &str) -> bool {
        let Self { entries, tenants, .. } = self;
        let Some(owner) = tenants.get_mut(tenant) else {
            return false;
        };
        let entries = RefCell::new(entries);
        let look = |name: Name| {
            let entries = entries.borrow();
            let entry = entries.get(&name.0).filter(|entry| entry.number == name.1)?;
            Some(Asked {
                bytes: entry.bytes,
                asked: entry.asked,
            })
        };
        let keep = |name: Name| {
            if let Some(entry) = entries.borrow_mut().get_mut(&name.0) {
                entry.asked = entry.asked.saturating_sub(1);
                entry.in_small = false;
            }
        };
        let Some((key, _)) = owner.fifo.pop(owner.bytes, look, keep) else {
            return false;
        };
        // The queue has counted it off already.
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.in_small = false;
        }
        self.stats.evicted += 1;
        self.remove(key)
    }

    fn remove(&mut self, key: u128) -> bool {
        let Some(entry) = self.entries.remove(&key) else {
            return false;
        };
        self.by_age.remove(&(entry.over, key));
        if entry.stored.asked.is_some() {
            self.by_id.remove(&(key as u64));
        }
        let tenant = entry.stored.about.tenant();
        self.bytes -= entry.bytes;
        self.resize(tenant, |held| held - entry.bytes);
        if let Some(owner) = self.tenants.get_mut(tenant) {
            owner.entries -= 1;
            owner.fifo.forget(entry.bytes, entry.in_small);
            if owner.entries == 0 {
                self.tenants.remove(tenant);
            }
        }
        true
    }

    /// A tenant has another number of bytes.
    fn resize(&mut self, tenant: &str, bytes: impl Fn(u64) -> u64) {
        let Some((name, owner)) = self.tenants.get_key_value_mut(tenant) else {
            return;
        };
        let mut place = (owner.bytes, Arc::clone(name));
        self.by_size.remove(&place);
        owner.bytes = bytes(owner.bytes);
        place.0 = owner.bytes;
        if owner.bytes > 0 {
            self.by_size.insert(place);
        }
    }

    fn behind(&self, after: Option<Aged>) -> impl Iterator<Item = &Aged> {
        self.by_age
            .range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
    }

    /// Looks at some more behind that one; gives the last it looked at, where there may be more.
    fn purge_some(&mut self, is_of: impl Fn(&About) -> bool, after: Option<Aged>) -> Option<Aged> {
        let looked_at: Vec<Aged> = self.behind(after).take(MOST_PURGED).copied().collect();
        for (_, key) in &looked_at {
            let entry = self.entries.get(key);
            if entry.is_some_and(|entry| is_of(&entry.stored.about)) {
                self.stats.purged += 1;
                self.remove(*key);
            }
        }
        looked_at.last().copied().filter(|_| looked_at.len() == MOST_PURGED)
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
