//! What a provider grants, counted: buckets that all shards of the node take from, one atomic each. A bucket is known by the
//! moment at which it is full again (the generic cell rate algorithm, ITU-T I.371), so that refilling needs no timer.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tollgate_config::document::{Grant, Granted};

use crate::Tick;

/// The buckets of one provider.
#[derive(Debug)]
pub(crate) struct Grants(Box<[Bucket]>);

#[derive(Debug)]
struct Bucket {
    grant: Grant,
    /// Kept from one snapshot to the next. The value means something alone: relaxed order is enough.
    full_at_ns: Arc<AtomicU64>,
    /// Calls that it had not enough for.
    refused: Arc<AtomicU64>,
}

/// How one of the buckets stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    pub grant: Grant,
    /// What is left of `grant.most`.
    pub left: u64,
    /// Calls that went elsewhere or were refused for want of it, since the data plane started.
    pub refused: u64,
}

/// A limit that has nothing left for a call, and when it will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted {
    pub grant: Grant,
    pub wait_ns: u64,
}

impl Grants {
    /// None where nothing is said. `kept` gives each bucket what is known of it, by its name.
    pub fn new(grants: &[Grant], mut kept: impl FnMut(String) -> Arc<AtomicU64>) -> Option<Arc<Self>> {
        let bucket = |grant: &Grant| {
            let name = format!("{} {}", grant.of.name(), grant.per_ms);
            Bucket {
                grant: *grant,
                refused: kept(format!("{name} refused")),
                full_at_ns: kept(name),
            }
        };
        let buckets: Box<[Bucket]> = grants.iter().map(bucket).collect();
        (!buckets.is_empty()).then(|| Arc::new(Self(buckets)))
    }

    /// Is it of any use to know how many tokens a call will need?
    pub fn count_tokens(&self) -> bool {
        self.0.iter().any(|bucket| bucket.grant.of == Granted::Tokens)
    }

    /// Takes one request and these tokens, or nothing.
    pub fn take(&self, now: Tick, tokens: u64) -> Result<(), Exhausted> {
        for (index, bucket) in self.0.iter().enumerate() {
            if let Err(wait_ns) = bucket.take(now, bucket.amount(tokens)) {
                for taken in self.0.iter().take(index) {
                    taken.give_back(taken.amount(tokens));
                }
                bucket.refused.fetch_add(1, Relaxed);
                return Err(Exhausted {
                    grant: bucket.grant,
                    wait_ns,
                });
            }
        }
        Ok(())
    }

    /// Takes them though nothing may be left: the provider will count them all the same.
    pub fn charge(&self, requests: u64, tokens: u64, now: Tick) {
        for bucket in &self.0 {
            match bucket.grant.of {
                Granted::Requests => bucket.charge(now, requests),
                Granted::Tokens => bucket.charge(now, tokens),
            }
        }
    }

    pub fn give_back_tokens(&self, tokens: u64) {
        for bucket in self.0.iter().filter(|bucket| bucket.grant.of == Granted::Tokens) {
            bucket.give_back(tokens);
        }
    }

    /// Could a call of so many tokens take them now?
    pub fn suffice(&self, now: Tick, tokens: u64) -> bool {
        let fits = |bucket: &Bucket| {
            let full_at_ns = bucket.full_at_ns.load(Relaxed);
            bucket.after(now, full_at_ns, bucket.amount(tokens)).is_ok()
        };
        self.0.iter().all(fits)
    }

    pub fn levels(&self, now: Tick) -> impl Iterator<Item = Level> + '_ {
        self.0.iter().map(move |bucket| Level {
            grant: bucket.grant,
            left: bucket.left(now),
            refused: bucket.refused.load(Relaxed),
        })
    }

    /// Of a thousand parts, what is left in the emptiest.
    pub fn per_mille(&self, now: Tick) -> u16 {
        self.0.iter().map(|bucket| bucket.per_mille(now)).min().unwrap_or(1_000)
    }
}

impl Bucket {
    fn per_ns(&self) -> u64 {
        self.grant.per_ms.saturating_mul(1_000_000)
    }

    /// What a call of so many tokens takes here.
    fn amount(&self, tokens: u64) -> u64 {
        match self.grant.of {
            Granted::Requests => 1,
            Granted::Tokens => tokens,
        }
    }

    /// The time in which so much flows back.
    fn ns(&self, amount: u64) -> u64 {
        let ns = u128::from(amount) * u128::from(self.per_ns()) / u128::from(self.grant.most.max(1));
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    /// When it will be full once this was taken; else how long it takes until that can be. Who asks for more than it ever
    /// holds gets it when it is full: what is asked for is an estimate, and the provider may know better.
    fn after(&self, now: Tick, full_at_ns: u64, amount: u64) -> Result<u64, u64> {
        let begin_ns = full_at_ns.max(now.0);
        let next_ns = begin_ns.saturating_add(self.ns(amount));
        let latest_ns = now.0.saturating_add(self.per_ns());
        match next_ns <= latest_ns || begin_ns == now.0 {
            true => Ok(next_ns),
            false => Err((next_ns - latest_ns).min(begin_ns - now.0)),
        }
    }

    fn take(&self, now: Tick, amount: u64) -> Result<(), u64> {
        let taken = |full_at_ns| self.after(now, full_at_ns, amount).ok();
        let taken = self.full_at_ns.fetch_update(Relaxed, Relaxed, taken);
        taken
            .map(|_| ())
            .map_err(|full_at_ns| match self.after(now, full_at_ns, amount) {
                Ok(_) => 0,
                Err(wait_ns) => wait_ns,
            })
    }

    fn charge(&self, now: Tick, amount: u64) {
        let charged = |full_at_ns: u64| Some(full_at_ns.max(now.0).saturating_add(self.ns(amount)));
        _ = self.full_at_ns.fetch_update(Relaxed, Relaxed, charged);
    }

    fn give_back(&self, amount: u64) {
        let back = |full_at_ns: u64| Some(full_at_ns.saturating_sub(self.ns(amount)));
        _ = self.full_at_ns.fetch_update(Relaxed, Relaxed, back);
    }

    /// The time in which what is left would flow back.
    fn left_ns(&self, now: Tick) -> u64 {
        let missing_ns = self.full_at_ns.load(Relaxed).saturating_sub(now.0);
        self.per_ns().saturating_sub(missing_ns)
    }

    fn left(&self, now: Tick) -> u64 {
        let left = u128::from(self.left_ns(now)) * u128::from(self.grant.most) / u128::from(self.per_ns().max(1));
        u64::try_from(left).unwrap_or(u64::MAX)
    }

    fn per_mille(&self, now: Tick) -> u16 {
        let left_ns = self.left_ns(now);
        (u128::from(left_ns) * 1_000 / u128::from(self.per_ns().max(1))) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn of(grants: &[(Granted, u64)]) -> Arc<Grants> {
        let grant = |&(of, most)| Grant {
            of,
            most,
            per_ms: 60_000,
        };
        let grants: Vec<Grant> = grants.iter().map(grant).collect();
        Grants::new(&grants, |_| Arc::default()).expect("some")
    }

    fn at(seconds: u64) -> Tick {
        Tick(1_000 * SECOND + seconds * SECOND)
    }

    #[test]
    fn as_many_as_are_granted_and_then_what_flows_back() {
        let grants = of(&[(Granted::Requests, 60)]);
        let taken = |now, of: usize| (0..of).filter(|_| grants.take(now, 0).is_ok()).count();
        assert_eq!(taken(at(0), 100), 60);
        assert_eq!(grants.per_mille(at(0)), 0);
        let refused = grants.take(at(0), 0).expect_err("nothing is left");
        assert_eq!(refused.wait_ns, SECOND, "one a second flows back");
        assert_eq!(taken(at(10), 100), 10);
        assert_eq!(grants.per_mille(at(40)), 500);
        let level = grants.levels(at(40)).next().expect("a bucket");
        assert_eq!((level.left, level.refused), (30, 40 + 1 + 90));
        assert_eq!(taken(at(600), 100), 60, "never more than it holds");
    }

    #[test]
    fn a_call_takes_of_all_buckets_or_of_none() {
        let grants = of(&[(Granted::Requests, 10), (Granted::Tokens, 1_000)]);
        assert!(grants.take(at(0), 900).is_ok());
        for _ in 0..20 {
            let refused = grants.take(at(0), 200).expect_err("100 tokens are left");
            assert_eq!((refused.grant.of, refused.wait_ns), (Granted::Tokens, 6 * SECOND));
        }
        assert!(!grants.suffice(at(0), 200) && grants.suffice(at(0), 100) && grants.suffice(at(6), 200));
        assert_eq!((0..20).filter(|_| grants.take(at(0), 1).is_ok()).count(), 9);
    }

    #[test]
    fn what_was_not_used_comes_back_and_what_was_used_beyond_is_owed() {
        let grants = of(&[(Granted::Tokens, 1_000)]);
        assert!(grants.take(at(0), 800).is_ok());
        grants.give_back_tokens(300);
        assert_eq!(grants.per_mille(at(0)), 500);
        grants.charge(0, 1_000, at(0));
        assert_eq!(
            grants.take(at(0), 1).expect_err("500 are owed").wait_ns,
            30 * SECOND + SECOND * 6 / 100
        );
        // More than it ever holds goes when it is full.
        assert!(grants.take(at(89), 5_000).is_err());
        assert!(grants.take(at(90), 5_000).is_ok());
    }

    #[test]
    fn shards_take_together() {
        let grants = of(&[(Granted::Requests, 1_000)]);
        let took = |grants: &Grants| (0..500).filter(|_| grants.take(at(0), 0).is_ok()).count();
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| took(&grants))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("it counts"))
                .sum()
        });
        assert_eq!(taken, 1_000);
    }
}
