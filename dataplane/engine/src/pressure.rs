//! Is a shard past what it bears? Its loop's turns say how far it is behind, and it knows how many calls it has taken. Who is
//! refused for that is refused at once: a share of the calls, which follows what the shard is behind; those of low priority
//! from half the bound on, those of high priority never. Knows no clock and no loop: it is told.

use tollgate_config::document::{Priority, ShardOverload};

use crate::Tick;

/// One look at the loop. The shortest turn within it counts: what waits is waited for in each.
const WINDOW_NS: u64 = 100_000_000;
/// Looks that a share is still followed after the loop fell asleep.
const MAX_WINDOWS: u64 = 64;
/// However far behind: some calls still show what the shard bears.
const MAX_PER_MILLE: u32 = 980;
/// Nobody was refused for so long: the shedding is over.
const CALM_NS: u64 = 5_000_000_000;

/// Of one shard.
#[derive(Debug, Default)]
pub struct Pressure {
    bounds: Option<ShardOverload>,
    /// Calls that were let in and have not ended.
    calls: u32,
    window_began: Tick,
    /// The shortest turn since then.
    least_ns: Option<u64>,
    normal: Share,
    low: Share,
    /// Refused since shedding began, and when the last was; whether that it began was told.
    refused: u64,
    last_refused: Tick,
    told: bool,
}

/// News for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    Begins,
    /// So many calls were refused.
    Ended(u64),
}

/// The part of a class's calls that is refused.
#[derive(Debug, Default)]
struct Share {
    per_mille: u32,
    /// The last look found the shard behind: one look alone may be a hiccup.
    was_behind: bool,
    /// What of one refusal has come together.
    owed: u32,
}

impl Share {
    fn look(&mut self, lag_ns: u64, most_ns: u64, windows: u64) {
        let is_behind = lag_ns > most_ns;
        if is_behind && self.was_behind {
            // What is too much by what is there; and a little more as long as it does not suffice.
            let over = 1_000 - u32::try_from(most_ns.saturating_mul(1_000) / lag_ns).unwrap_or(1_000);
            let more = self.per_mille + (1_000 - self.per_mille) / 16 + 1;
            self.per_mille = more.max(over).min(MAX_PER_MILLE);
        } else if !is_behind {
            for _ in 0..windows.min(MAX_WINDOWS) {
                self.per_mille = self.per_mille.saturating_sub(self.per_mille / 8 + 1);
            }
        }
        self.was_behind = is_behind;
    }

    /// Is this one among them? Spread evenly, so that no luck is wanted.
    fn draws(&mut self) -> bool {
        self.owed += self.per_mille;
        let draws = self.owed >= 1_000;
        if draws {
            self.owed -= 1_000;
        }
        draws
    }
}

impl Pressure {
    /// What the configuration in force says. Without bounds nobody is refused.
    pub fn bound(&mut self, bounds: Option<ShardOverload>) {
        if bounds.is_none() {
            (self.normal, self.low) = (Share::default(), Share::default());
        }
        self.bounds = bounds;
    }

    pub fn is_bounded(&self) -> bool {
        self.bounds.is_some()
    }

    /// The loop has ended a turn that took so long from where it woke: what came meanwhile had to wait.
    pub fn turned(&mut self, now: Tick, took_ns: u64) -> Option<Shed> {
        self.bounds?;
        self.least_ns = Some(self.least_ns.map_or(took_ns, |least_ns| least_ns.min(took_ns)));
        self.look(now);
        match self.refused {
            0 => None,
            _ if !std::mem::replace(&mut self.told, true) => Some(Shed::Begins),
            refused if now.ns_since(self.last_refused) >= CALM_NS => {
                (self.refused, self.told) = (0, false);
                Some(Shed::Ended(refused))
            }
            _ => None,
        }
    }

    fn look(&mut self, now: Tick) {
        let windows = now.ns_since(self.window_began) / WINDOW_NS;
        if windows == 0 {
            return;
        }
        // A loop that sleeps is not behind.
        let lag_ns = self.least_ns.take().unwrap_or(0);
        self.window_began = now;
        if let Some(max_lag_ms) = self.bounds.and_then(|bounds| bounds.max_lag_ms) {
            let most_ns = max_lag_ms.saturating_mul(1_000_000);
            self.normal.look(lag_ns, most_ns, windows);
            self.low.look(lag_ns, most_ns / 2, windows);
        }
    }

    /// Another call has come; when its client is to come back, where it is refused: seconds.
    pub(crate) fn refuses(&mut self, now: Tick, class: Priority) -> Option<u64> {
        if self.least_ns.is_none() {
            self.look(now);
        }
        let most = self.bounds.and_then(|bounds| bounds.max_calls).unwrap_or(u32::MAX);
        let (share, most) = match class {
            Priority::High => return None,
            Priority::Normal => (&mut self.normal, most),
            Priority::Low => (&mut self.low, most.div_ceil(2)),
        };
        if self.calls < most && !share.draws() {
            return None;
        }
        let retry_after_s = 1 + u64::from(share.per_mille / 250);
        self.refused += 1;
        self.last_refused = now;
        Some(retry_after_s)
    }

    pub(crate) fn begins(&mut self) {
        self.calls = self.calls.saturating_add(1);
    }

    pub(crate) fn ends(&mut self) {
        self.calls = self.calls.saturating_sub(1);
    }

    /// It refuses some for being behind: what nobody waits for need not be done now.
    pub fn is_behind(&self) -> bool {
        self.low.per_mille > 0
    }
}

#[cfg(test)]
#[path = "pressure_tests.rs"]
mod tests;
