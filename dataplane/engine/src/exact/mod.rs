//! Answers that are kept: the same call gets the answer it had, and calls that are the same and under way at once share one.
//!
//! Two calls of one cache may be on different shards, so the table is the node's, in parts behind locks of their own that are
//! held no longer than it takes to look. None but calls of models with a `cache` come near it. Whoever may share an answer
//! (`Tenant`) is part of the name that it is kept under: none can cross.

mod about;
pub mod canon;
pub mod codec;
mod fifo;
mod flight;
mod follow;
mod judge;
mod keep;
mod key;
mod like;
mod memo;
mod number;
mod params;
mod replay;
mod second;
pub mod shelf;
mod store;

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tollgate_config::document::{Allowed, CACHE_PARTS, Cache, CacheScope, Dialect, Document};

use crate::{
    Tick,
    exchange::{Exchange, Io},
    failure::{Failure, Kind, Waited},
    repeats::Parts,
    semantic::{self, Asked, Looked, Neighbours},
    stage::Verdict,
    stages::admit::Fields,
};

pub use about::Filter;
pub(crate) use about::{About, Tenant};
pub use canon::Seed;
pub use flight::MAX_SHARED_BYTES;
pub(crate) use flight::{Head, Spent};
pub(crate) use follow::{Due, deadline, due, is_wanted, outlives_client};
use keep::Runs;
pub(crate) use keep::keep;
pub(crate) use key::{Uncached, partition};
pub(crate) use memo::Body;
pub use memo::Names;
pub(crate) use replay::{whole as replay_as, write_mark};
pub(crate) use second::Second;
pub use second::{Found, Offer, Patience, Question, Slot, Tier, TierKeys};
use store::{Claim, Known};
pub use store::{Part, Stats};

/// Between two looks whether the call that is waited for is answered: doubled from the first to the last of these.
const FIRST_LOOK_MS: u64 = 1;
const LAST_LOOK_MS: u64 = 50;
const NS_PER_MS: u64 = 1_000_000;

/// What a model's cache does, compiled.
#[derive(Debug)]
pub(crate) struct Policy {
    pub name: Arc<str>,
    pub scope: CacheScope,
    pub allow: Allowed,
    pub charge_hits: bool,
    pub ttl_ms: u64,
    pub max_bytes: u64,
    pub max_answer_bytes: u64,
    /// Found by meaning as well.
    pub semantic: Option<semantic::Rules>,
    /// With the vectors that a provider made: snapshots have them.
    pub keeps_vectors: bool,
    /// What nodes share; `None`: nothing.
    pub second: Option<Second>,
    /// Of all that the document says of the model and of who answers: another revision's answers are not this one's.
    pub version: u64,
}

impl Policy {
    /// `version`: what the answers depend on, as a number.
    pub fn new(
        (name, cache): (&str, &Cache),
        document: &Document,
        version: u64,
        second: Option<Second>,
    ) -> Option<Arc<Self>> {
        let exact = cache.exact?;
        Some(Arc::new(Self {
            name: name.into(),
            scope: cache.scope,
            allow: cache.allow,
            charge_hits: cache.charge_hits.unwrap_or(document.charge_hits),
            ttl_ms: exact.ttl_ms,
            max_bytes: exact.max_bytes,
            max_answer_bytes: exact.max_answer_bytes,
            semantic: cache.semantic.map(semantic::Rules::from),
            keeps_vectors: cache.snapshot.is_some() && document.embedding.remote.is_some(),
            second,
            version,
        }))
    }
}

/// The form of an answer, which its client asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    /// `usage`: it tells its usage at its end. `array`: it is one JSON array.
    Stream {
        usage: bool,
        array: bool,
    },
}

/// An answer that is kept, as its client was sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub head: Arc<Head>,
    pub dialect: Dialect,
    pub body: Arc<[u8]>,
    pub at: Tick,
    /// How old it was then: one that came from a disk was made before this process began to count.
    pub aged_ns: u64,
    pub spent: Spent,
    pub about: Arc<About>,
    /// What it is found by, where the cache looks by meaning.
    pub asked: Option<Box<Asked>>,
}

impl Stored {
    pub fn age_ns(&self, now: Tick) -> u64 {
        now.ns_since(self.at).saturating_add(self.aged_ns)
    }

    /// When its time is over.
    pub fn over(&self, ttl_ms: u64) -> Tick {
        let left_ns = ttl_ms.saturating_mul(NS_PER_MS).saturating_sub(self.aged_ns);
        Tick(self.at.0.saturating_add(left_ns))
    }

    pub fn bytes(&self) -> u64 {
        let asked = self.asked.as_ref().map_or(0, |asked| asked.bytes());
        (self.head.bytes() + asked + self.body.len()) as u64 + self.about.bytes()
    }
}

impl Policy {
    /// For answers on their way, in one part of the table.
    fn room_bytes(&self) -> u64 {
        self.max_bytes / CACHE_PARTS
    }
}

/// What became of a call at the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Its model has none.
    #[default]
    None,
    /// It was not looked up, and is not kept.
    Bypass(Uncached),
    Miss,
    Hit,
    /// The answer to the same question in other words.
    SemanticHit,
}

impl Mark {
    /// For headers and metrics.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Mark::None => None,
            Mark::Bypass(_) => Some("bypass"),
            Mark::Miss => Some("miss"),
            Mark::Hit => Some("hit"),
            Mark::SemanticHit => Some("semantic-hit"),
        }
    }

    pub fn is_hit(self) -> bool {
        matches!(self, Mark::Hit | Mark::SemanticHit)
    }
}

/// The node's table, as each shard has it.
#[derive(Clone, Debug)]
pub struct Answers(Arc<Node>);

#[derive(Debug)]
struct Node {
    parts: Box<dyn Parts<Part>>,
    seed: Seed,
    /// None: nothing is found by meaning.
    neighbours: Option<Neighbours>,
    /// Counts when a purge begins and when it has ended: what was read of the table before is of no use after.
    purges: AtomicU64,
}

impl Answers {
    /// Of `CACHE_PARTS` parts.
    pub fn new(parts: impl Parts<Part> + 'static, seed: Seed) -> Self {
        Self::of(Box::new(parts), seed, None)
    }

    /// The same with indexes of what was asked.
    pub fn with_neighbours(parts: impl Parts<Part> + 'static, seed: Seed, neighbours: Neighbours) -> Self {
        Self::of(Box::new(parts), seed, Some(neighbours))
    }

    fn of(parts: Box<dyn Parts<Part>>, seed: Seed, neighbours: Option<Neighbours>) -> Self {
        Self(Arc::new(Node {
            parts,
            seed,
            neighbours,
            purges: AtomicU64::new(0),
        }))
    }

    /// What a request's body says, where it came before and was looked for; and its hash where it was.
    pub(crate) fn look_at(&self, names: &mut Names, body: Body<'_>) -> (Option<u128>, Option<Fields>) {
        names.look(self.0.seed, body)
    }

    fn with<T>(&self, key: u128, work: impl FnOnce(&mut Part) -> T) -> Option<T> {
        self.0.parts.on((key as u64 % CACHE_PARTS) as usize, work)
    }

    fn each(&self, mut work: impl FnMut(&mut Part)) {
        for part in 0..CACHE_PARTS as usize {
            self.0.parts.with(part, &mut work);
        }
    }

    /// Forgets what this is true of; gives how many answers that were, and how many bytes. A part is locked for some of its
    /// answers at a time: what comes meanwhile is of calls that began later.
    pub fn purge(&self, filter: &Filter) -> (u64, u64) {
        self.0.purges.fetch_add(1, Ordering::SeqCst);
        let mut gone = (0, 0);
        for part in 0..CACHE_PARTS as usize {
            let mut purging = None;
            self.0
                .parts
                .with(part, &mut |part| purging = Some(part.begin_purge(filter)));
            let Some(mut purging) = purging else { continue };
            let mut more = true;
            while std::mem::take(&mut more) {
                self.0
                    .parts
                    .with(part, &mut |part| more = part.purge_some(filter, &mut purging));
            }
            gone = (gone.0 + purging.entries, gone.1 + purging.bytes);
        }
        self.0.purges.fetch_add(1, Ordering::SeqCst);
        self.look();
        gone
    }

    /// Another document is in force: what is of no cache any more is forgotten, and what has less room loses some.
    pub fn keep_only(&self, document: &Document) {
        let bounds: Vec<(&str, u64)> = document
            .caches
            .iter()
            .filter_map(|(name, cache)| Some((name.as_str(), cache.exact?.max_bytes)))
            .collect();
        // What is of no cache any more is let go of when the lock is free again.
        for part in 0..CACHE_PARTS as usize {
            let mut gone = Vec::new();
            self.0.parts.with(part, &mut |part| gone = part.keep_only(&bounds));
        }
        self.look();
    }

    /// Forgets what is over, whether or not anybody asks; a part is locked for a few answers at a time.
    pub fn sweep(&self, now: Tick) {
        for part in 0..CACHE_PARTS as usize {
            let mut more = true;
            while std::mem::take(&mut more) {
                self.0.parts.with(part, &mut |part| more = part.sweep(now));
            }
        }
        self.look();
    }

    /// Of each cache that was asked, by name.
    pub fn stats(&self) -> Vec<(Arc<str>, Stats)> {
        let mut all: Vec<(Arc<str>, Stats)> = Vec::new();
        self.each(|part| {
            part.stats(|name, stats| match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => sum.add(&stats),
                None => all.push((Arc::clone(name), stats)),
            });
        });
        all.sort_by(|one, other| one.0.cmp(&other.0));
        let sizes = self.neighbours().map(Neighbours::sizes).unwrap_or_default();
        for (name, stats) in &mut all {
            let size = sizes.iter().find(|(cache, _)| cache == name);
            stats.semantic.entries = size.map_or(0, |(_, entries)| *entries);
        }
        all
    }
}

/// What an exchange has to do with an answer that is kept, or will be.
#[derive(Debug)]
pub(crate) enum Exact {
    /// It waits for another to be answered.
    Waits(Waits),
    /// It waits for a provider to make the vector that it is looked up by.
    Embeds(Box<semantic::Embeds>),
    /// It is sent another's answer as that comes.
    Follows(follow::Follows),
    /// It waits for what the second tier says.
    Asks(second::Asks),
    /// Its answer will be kept.
    Runs(Runs),
}

#[derive(Debug)]
pub(crate) struct Waits {
    key: u128,
    number: u64,
    look: Tick,
    after_ms: u64,
}

/// What a request says about caching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Any,
    Bypass,
    Refresh,
    Only,
}

/// Is the call's answer there, on its way, or to be made?
pub(crate) fn enter(exchange: &mut Exchange, io: &mut Io<'_>, policy: &Arc<Policy>, wish: Wish) -> Verdict {
    if matches!(exchange.exact.as_deref(), Some(Exact::Asks(_))) {
        return second::answered(exchange, io, policy, wish);
    }
    let key = match exchange.exact.as_deref() {
        // Hashed once, however often it is looked whether its answer has come.
        Some(Exact::Waits(waits)) => Ok(waits.key),
        Some(Exact::Embeds(embeds)) => match too_late(exchange, io.now) {
            Some(late) => {
                exchange.exact = None;
                return Verdict::Refuse(late);
            }
            None => Ok(embeds.key),
        },
        _ => key::of(exchange, io, policy, wish),
    };
    let key = match (key, wish) {
        (Ok(key), _) => key,
        (Err(_), Wish::Only) => return Verdict::Refuse(Failure::client(Kind::CacheMiss)),
        (Err(why), _) => {
            exchange.facts.cache = Mark::Bypass(why);
            return Verdict::Next;
        }
    };
    exchange.facts.cache = Mark::Miss;
    let Some(answers) = io.local.answers.clone() else {
        return Verdict::Next;
    };
    if wish == Wish::Refresh {
        let forgotten = second::forgotten(exchange, io, policy);
        let looked = policy
            .semantic
            .as_ref()
            .map(|rules| semantic::look_up(exchange, io, (&answers, policy, key), (rules, false)));
        let likeness = match looked {
            Some(Looked::Asks(likeness)) => Some(likeness),
            Some(Looked::Waits(embeds)) => return waits_for_vector(exchange, embeds),
            _ => None,
        };
        let claim = claim(exchange, io, policy);
        let about = Arc::clone(&claim.about);
        let number = answers.with(key, |part| part.claim_anew(key, claim)).flatten();
        return runs(
            exchange,
            number.map(|number| {
                let runs = Runs::new(&answers, (key, number), policy, about);
                runs.found_by(likeness).shared(forgotten)
            }),
        );
    }
    look_up(exchange, io, (&answers, policy), key, wish)
}

/// A call that its own client's time ends, or a limit of its own cuts off, is run for nobody else.
fn claim(exchange: &Exchange, io: &Io<'_>, policy: &Policy) -> Claim {
    let held = &exchange.held;
    Claim {
        about: Arc::new(key::about(exchange, io, policy)),
        leads: exchange.facts.timeout_ms.is_none() && held.cap().is_none() && !held.cuts(),
        asks: false,
    }
}

fn look_up(
    exchange: &mut Exchange,
    io: &mut Io<'_>,
    (answers, policy): (&Answers, &Arc<Policy>),
    key: u128,
    wish: Wish,
) -> Verdict {
    let pinned = exchange.pin();
    let Some(owner) = exchange.facts.key.map(|key| pinned.keys.entry(key)) else {
        return Verdict::Next;
    };
    let tenant = Tenant::of(policy.scope, owner);
    let now = io.now;
    let forgotten = second::forgotten(exchange, io, policy);
    let ask = |claim: Option<&dyn Fn() -> Claim>| answers.with(key, |part| part.ask(now, (key, tenant), policy, claim));
    let mut likeness = None;
    // Looked at once where nothing is found by meaning: whoever finds nothing runs the call.
    let mut known = match policy.semantic {
        Some(_) => ask(None),
        None => Some(Known::New),
    };
    if let (Some(Known::New), Some(rules)) = (&known, &policy.semantic) {
        match semantic::look_up(exchange, io, (answers, policy, key), (rules, true)) {
            Looked::Served => {
                exchange.exact = None;
                return Verdict::Taken;
            }
            Looked::Asks(asks) => likeness = Some(asks),
            Looked::Waits(embeds) => return waits_for_vector(exchange, embeds),
            Looked::Passed => {}
        }
    }
    if matches!(known, Some(Known::New)) {
        let made = || {
            let claim = claim(exchange, io, policy);
            Claim {
                // Nobody waits for one who does not run the call.
                leads: claim.leads && wish == Wish::Any,
                asks: forgotten.is_some(),
                ..claim
            }
        };
        known = match wish == Wish::Any || forgotten.is_some() {
            true => ask(Some(&made)),
            false => ask(None),
        };
    }
    match known {
        Some(Known::Kept(stored)) => {
            exchange.facts.wait_ends(io.now);
            exchange.exact = None;
            match replay::whole(exchange, io, policy, (&stored, Mark::Hit)) {
                true => Verdict::Taken,
                false => Verdict::Next,
            }
        }
        Some(Known::UnderWay(number, head)) => under_way(exchange, io, (answers, policy), (key, number), head, wish),
        Some(Known::Claimed(number, about)) => {
            let claim = Runs::new(answers, (key, number), policy, about);
            let claim = claim.found_by(likeness).shared(forgotten);
            match forgotten {
                Some(_) => second::ask(exchange, io, policy, wish, claim),
                None => runs(exchange, Some(claim)),
            }
        }
        Some(Known::New) | None if wish == Wish::Only => {
            answers.with(key, |part| part.missed(policy));
            Verdict::Refuse(Failure::client(Kind::CacheMiss))
        }
        Some(Known::New) | None => alone(exchange, io, (answers, policy), key),
    }
}

/// It has waited for another's answer, which did not come to be kept, and somebody else is trying again: it does not wait a
/// second time.
fn alone(exchange: &mut Exchange, io: &Io<'_>, (answers, policy): (&Answers, &Arc<Policy>), key: u128) -> Verdict {
    exchange.facts.wait_ends(io.now);
    answers.with(key, |part| part.missed(policy));
    runs(exchange, None)
}

fn waits_for_vector(exchange: &mut Exchange, embeds: Box<semantic::Embeds>) -> Verdict {
    exchange.exact = Some(Box::new(Exact::Embeds(embeds)));
    Verdict::Pause
}

fn runs(exchange: &mut Exchange, runs: Option<Runs>) -> Verdict {
    exchange.exact = runs.map(|runs| Box::new(Exact::Runs(runs)));
    Verdict::Next
}

/// When the client waits no longer, where it says so.
fn until_client(exchange: &Exchange) -> Option<Tick> {
    exchange.facts.timeout_ms.map(|ms| exchange.facts.started.plus_ms(ms))
}

/// How long a call waits for what it can do without: where its client says when it waits no longer, a quarter of what is left
/// at most, and the provider has the rest.
pub(crate) fn waits_until(exchange: &Exchange, now: Tick, timeout_ms: u64) -> Tick {
    let until = now.plus_ms(timeout_ms);
    until_client(exchange).map_or(until, |client| until.min(Tick(now.0 + client.ns_since(now) / 4)))
}

fn too_late(exchange: &Exchange, now: Tick) -> Option<Failure> {
    let is_over = until_client(exchange).is_some_and(|until| until <= now);
    is_over.then(|| Failure::gateway(Kind::UpstreamTimeout(Waited::Client)))
}

/// Somebody asks for the same now.
fn under_way(
    exchange: &mut Exchange,
    io: &mut Io<'_>,
    (answers, policy): (&Answers, &Arc<Policy>),
    (key, number): (u128, u64),
    head: Option<Arc<Head>>,
    wish: Wish,
) -> Verdict {
    if let Some(late) = too_late(exchange, io.now) {
        return Verdict::Refuse(late);
    }
    let after_ms = match exchange.exact.as_deref() {
        // The one that was waited for is gone.
        Some(Exact::Waits(waits)) if waits.number != number && wish == Wish::Any => {
            return alone(exchange, io, (answers, policy), key);
        }
        Some(Exact::Waits(waits)) => (waits.after_ms * 2).min(LAST_LOOK_MS),
        _ => {
            exchange.facts.wait_begins(io.now);
            FIRST_LOOK_MS
        }
    };
    let streams = head.filter(|head| head.form != Form::Whole && head.form == key::form(exchange, io));
    if let Some(head) = streams
        && let Some(follows) = follow::Follows::join(answers, policy, (key, number))
    {
        exchange.facts.wait_ends(io.now);
        follow::begin(exchange, io, follows, &head);
        return Verdict::Taken;
    }
    exchange.exact = Some(Box::new(Exact::Waits(Waits {
        key,
        number,
        look: io.now.plus_ms(after_ms),
        after_ms,
    })));
    Verdict::Pause
}
