//! Which target next: order, health, budgets. Pure: time and luck come in, an order of targets comes out.

mod affinity;
pub mod budget;
pub(crate) mod choose;
pub(crate) mod concurrency;
pub(crate) mod conditions;
pub mod grants;
pub mod health;
pub(crate) mod hedging;
pub(crate) mod latency;
mod limits;
pub mod load;
pub mod meaning;
pub(crate) mod needs;
pub(crate) mod prefixes;
pub(crate) mod queue;
pub(crate) mod reckoning;
pub(crate) mod residency;
pub(crate) mod slots;
mod state;
mod window;

pub(crate) use choose::Order;
pub use slots::Slots;
pub(crate) use state::Began;
pub use state::Routing;

/// A source of luck that starts anew for each use: splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
/// number generators", 2014).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Luck(u64);

impl Luck {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = self.0;
        drawn = (drawn ^ drawn >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ drawn >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        drawn ^ drawn >> 31
    }

    /// Below `bound`, which is not zero. The bias is less than `bound` in 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// In (0, 1].
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}
