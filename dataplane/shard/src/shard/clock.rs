//! The shard's clocks: monotonic time for deadlines, wall time for expiry and logs, read once a turn.

#![allow(clippy::disallowed_methods)] // The one place where a shard reads its clocks.

use std::{
    sync::OnceLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use tollgate_engine::Tick;

/// All shards count from here: what one learns of a target at some time, the others read.
static BASE: OnceLock<Instant> = OnceLock::new();

pub struct Clock {
    base: Instant,
    unix_ms: u64,
}

impl Clock {
    pub fn start() -> Self {
        Self {
            base: *BASE.get_or_init(Instant::now),
            unix_ms: unix_ms(),
        }
    }

    pub fn now(&self) -> Tick {
        // 1 s ahead of zero, so that "an hour ago" style subtraction in the engine never meets the origin.
        Tick(1_000_000_000 + self.base.elapsed().as_nanos() as u64)
    }

    /// A turn begins: the wall clock is read once for all its events.
    pub fn turn(&mut self) -> Tick {
        self.unix_ms = unix_ms();
        self.now()
    }

    pub fn unix_ms(&self) -> u64 {
        self.unix_ms
    }

    /// Different for every start and shard: request ids begin from it.
    pub fn seed(&self, shard: u16) -> u64 {
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as u64);
        // splitmix64's finaliser, so that starts a nanosecond apart share no digits.
        let mut seed = nanos ^ u64::from(std::process::id()) << 32 ^ u64::from(shard) << 48;
        seed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        seed = (seed ^ seed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        seed ^ seed >> 31
    }
}

/// The time by both clocks: ages are counted by the one, what passes between two machines or processes by the other.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub tick: Tick,
    pub unix_ms: u64,
}

/// For threads that are no shard's.
pub fn now() -> Now {
    Now {
        tick: Clock::start().now(),
        unix_ms: unix_ms(),
    }
}

pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
