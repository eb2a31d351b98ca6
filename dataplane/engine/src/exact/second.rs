//! The second tier: a store that nodes share, asked where this one keeps no answer and nobody here is about to make it. The
//! shell speaks with the store; here is what it is asked, and what becomes of what it says. A call waits for it no longer than
//! `timeout`, and whatever is wrong with the store is a miss.

use std::{
    fmt::Debug,
    sync::{Arc, OnceLock},
};

use ring::hkdf;

use super::{
    Answers, Exact, Mark, Policy, Runs, Seed, Stored, Tenant, Wish, codec::Kept, replay, too_late, waits_until,
};
use crate::{
    Tick,
    exchange::{Exchange, Io},
    failure::{Failure, Kind},
    stage::Verdict,
};

/// Of a policy, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Second {
    /// Names are made with it on every node.
    pub seed: Seed,
    pub timeout_ms: u64,
}

/// What is made of the secret that all nodes of a cache have.
pub struct TierKeys {
    pub seed: Seed,
    /// What names are called in the store with.
    pub naming: [u8; 32],
    /// What answers are sealed with.
    pub sealing: [u8; 32],
    /// What generations are signed with: the same in every version, so that a purge is one of all nodes.
    pub signing: [u8; 32],
}

/// All of `TierKeys` that is a version's own.
const KEY_BYTES: usize = 16 + 32 + 32;
/// No version is called so.
const SIGNING: &[u8] = b"generation";
/// Another version may name calls otherwise, and write answers otherwise: it shares nothing with this one.
const VERSION: &[u8] = env!("CARGO_PKG_VERSION").as_bytes();

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl TierKeys {
    /// By HKDF (RFC 5869); each cache has its own.
    pub fn derive(secret: &[u8], cache: &str) -> Option<Self> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tollgate second tier");
        let mut bytes = [0; KEY_BYTES];
        let key = salt.extract(secret);
        let fill = |of: &[u8], bytes: &mut [u8]| {
            let info = [of, b"\0", cache.as_bytes()];
            key.expand(&info, Length(bytes.len())).and_then(|all| all.fill(bytes))
        };
        fill(VERSION, &mut bytes).ok()?;
        let mut signing = [0; 32];
        fill(SIGNING, &mut signing).ok()?;
        let (seed, rest) = bytes.split_first_chunk::<16>()?;
        let (naming, rest) = rest.split_first_chunk::<32>()?;
        let (sealing, _) = rest.split_first_chunk::<32>()?;
        let (one, other) = seed.split_first_chunk::<8>()?;
        let (other, _) = other.split_first_chunk::<8>()?;
        Some(Self {
            seed: Seed([u64::from_le_bytes(*one), u64::from_le_bytes(*other)]),
            naming: *naming,
            sealing: *sealing,
            signing,
        })
    }
}

/// What the store is asked for a call.
#[derive(Clone, Debug)]
pub struct Question {
    pub cache: Arc<str>,
    pub key: u128,
    /// The exchange that is told when `slot` has what came.
    pub asker: u64,
    pub slot: Slot,
}

/// What came of a question: said once, by whoever answers or by whoever waits no longer. `None`: nothing.
pub type Slot = Arc<OnceLock<Option<Found>>>;

#[derive(Clone, Debug)]
pub struct Found {
    pub kept: Kept,
    /// How often the cache had been forgotten when the store was asked.
    pub forgotten: u64,
}

/// An answer for other nodes.
#[derive(Clone, Debug)]
pub struct Offer {
    pub cache: Arc<str>,
    pub kept: Kept,
    /// How often the cache had been forgotten when the call began.
    pub forgotten: u64,
    pub left_ms: u64,
}

/// How long a call waited for a store in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// All of the tier's time: the store is late.
    Whole,
    /// Its client gave it less, which says nothing of the store.
    Part,
}

/// The way to the stores, as a shard has it. Nothing of it waits.
pub trait Tier: Debug {
    /// How often all of a cache's answers there were forgotten, as far as this node knows.
    fn forgotten(&self, cache: &str) -> u64;

    /// False where the store is away, or too many wait already.
    fn ask(&self, question: Question) -> bool;

    /// Nothing came in time.
    fn late(&self, cache: &str, waited: Patience);

    fn offer(&self, offer: Offer);
}

/// The call waits for what the store says.
#[derive(Debug)]
pub(crate) struct Asks {
    runs: Runs,
    slot: Slot,
    pub(super) until: Tick,
    /// The store's own time is over then: its client may wait no longer even before.
    late: Tick,
}

impl Asks {
    pub(super) fn is_due(&self, now: Tick) -> bool {
        self.slot.get().is_some() || self.until <= now
    }
}

/// Would the second tier have the call's answer? How often the cache was forgotten there, at the beginning of the call.
pub(super) fn forgotten(exchange: &Exchange, io: &Io<'_>, policy: &Policy) -> Option<u64> {
    policy.second.as_ref()?;
    // Its answer has ids that this node's credentials sealed: another node may not open them.
    if exchange.facts.surface.seals {
        return None;
    }
    Some(io.local.second.as_deref()?.forgotten(&policy.name))
}

/// Asks the store before the call is run.
pub(super) fn ask(exchange: &mut Exchange, io: &Io<'_>, policy: &Policy, wish: Wish, runs: Runs) -> Verdict {
    let timeout_ms = policy.second.as_ref().map_or(0, |second| second.timeout_ms);
    let slot = Slot::default();
    let question = Question {
        cache: Arc::clone(&policy.name),
        key: runs.key,
        asker: exchange.name(),
        slot: Arc::clone(&slot),
    };
    if !io.local.second.as_deref().is_some_and(|tier| tier.ask(question)) {
        return missed(exchange, io, policy, wish, runs);
    }
    let late = io.now.plus_ms(timeout_ms);
    let until = waits_until(exchange, io.now, timeout_ms);
    exchange.facts.wait_begins(io.now);
    exchange.exact = Some(Box::new(Exact::Asks(Asks {
        runs,
        slot,
        until,
        late,
    })));
    Verdict::Pause
}

/// The store has answered, or is waited for no longer.
pub(super) fn answered(exchange: &mut Exchange, io: &mut Io<'_>, policy: &Policy, wish: Wish) -> Verdict {
    let Some(Exact::Asks(asks)) = exchange.exact.take().map(|exact| *exact) else {
        return Verdict::Next;
    };
    if !asks.is_due(io.now) {
        exchange.exact = Some(Box::new(Exact::Asks(asks)));
        return Verdict::Pause;
    }
    if asks.slot.set(None).is_ok()
        && let Some(tier) = &io.local.second
    {
        let waited = if asks.late <= io.now {
            Patience::Whole
        } else {
            Patience::Part
        };
        tier.late(&policy.name, waited);
    }
    exchange.facts.wait_ends(io.now);
    let Asks { runs, slot, .. } = asks;
    let found = slot.get().and_then(Option::as_ref);
    let stored = found.and_then(|found| put(exchange, io, policy, (&runs, found)));
    match stored {
        None => missed(exchange, io, policy, wish, runs),
        Some(stored) if replay::whole(exchange, io, policy, (&stored, Mark::Hit)) => Verdict::Taken,
        // It cannot be said in the form that this client asks for.
        Some(_) => goes_on(exchange, io, wish, runs),
    }
}

fn missed(exchange: &mut Exchange, io: &Io<'_>, policy: &Policy, wish: Wish, runs: Runs) -> Verdict {
    runs.answers.with(runs.key, |part| part.missed(policy));
    goes_on(exchange, io, wish, runs)
}

/// Nothing is there for it: it is run, where its client wants that and has the time.
fn goes_on(exchange: &mut Exchange, io: &Io<'_>, wish: Wish, runs: Runs) -> Verdict {
    if wish == Wish::Only {
        return Verdict::Refuse(Failure::client(Kind::CacheMiss));
    }
    if let Some(late) = too_late(exchange, io.now) {
        return Verdict::Refuse(late);
    }
    super::runs(exchange, Some(runs))
}

/// Keeps here what came, unless it is not this call's, not this tenant's, too old, or was purged meanwhile.
fn put(exchange: &Exchange, io: &Io<'_>, policy: &Policy, (runs, found): (&Runs, &Found)) -> Option<Arc<Stored>> {
    let pinned = exchange.pin();
    let owner = pinned.keys.entry(exchange.facts.key?);
    let stored = &found.kept.stored;
    let is_ours = found.kept.key == runs.key && Tenant::of(policy.scope, owner).is(stored.about.tenant());
    if !is_ours || stored.age_ns(io.now) >= policy.ttl_ms.saturating_mul(super::NS_PER_MS) {
        return None;
    }
    let tier = io.local.second.as_deref()?;
    // Looked at with the lock held that a purge needs as well: it counts before it takes that.
    let is_kept = runs.answers.with(runs.key, |part| {
        tier.forgotten(&policy.name) == found.forgotten
            && part.found((runs.key, runs.number), Arc::clone(stored), policy)
    });
    is_kept?.then(|| Arc::clone(stored))
}

/// An answer was kept: other nodes may have it too.
pub(super) fn offer(io: &Io<'_>, policy: &Policy, forgotten: Option<u64>, key: u128, stored: &Arc<Stored>) {
    let (Some(forgotten), Some(tier)) = (forgotten, io.local.second.as_deref()) else {
        return;
    };
    // What it is found by here is an index of this node's own.
    let stored = Stored {
        asked: None,
        ..Stored::clone(stored)
    };
    let left_ns = stored.over(policy.ttl_ms).ns_since(io.now);
    tier.offer(Offer {
        cache: Arc::clone(&policy.name),
        kept: Kept {
            key,
            asked: 0,
            stored: Arc::new(stored),
        },
        forgotten,
        left_ms: left_ns / super::NS_PER_MS,
    });
}

impl Answers {
    /// What names of a policy's answers are made with: where nodes share them, what all of them have.
    pub(super) fn seed_of(&self, policy: &Policy) -> Seed {
        policy.second.as_ref().map_or(self.0.seed, |second| second.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_and_each_cache_has_keys_of_its_own() {
        let of = |secret: &[u8], cache: &str| {
            let keys = TierKeys::derive(secret, cache).expect("it is short");
            (keys.seed.0, keys.naming, keys.sealing, keys.signing)
        };
        let one = of(&[7; 32], "answers");
        assert_eq!(one, of(&[7; 32], "answers"));
        for other in [of(&[8; 32], "answers"), of(&[7; 32], "answer"), of(&[7; 33], "answers")] {
            assert!(one.0 != other.0 && one.1 != other.1 && one.2 != other.2 && one.3 != other.3);
        }
        assert_ne!(one.1, one.2);
    }
}
