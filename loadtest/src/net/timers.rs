//! Points in time at which somebody wants to be woken. Pure: `now` is given.
//!
//! There is no cancelling: whoever is woken looks whether it is still due, which costs less than finding the entry.

use std::{cmp::Reverse, collections::BinaryHeap};

#[derive(Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(u64, u64)>>,
}

impl Timers {
    pub fn arm(&mut self, at_ns: u64, token: u64) {
        self.heap.push(Reverse((at_ns, token)));
    }

    /// The earliest point, if any.
    pub fn next_ns(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at_ns, _))| *at_ns)
    }

    /// Takes one token whose time has come.
    pub fn expired(&mut self, now_ns: u64) -> Option<u64> {
        if self.next_ns()? > now_ns {
            return None;
        }
        self.heap.pop().map(|Reverse((_, token))| token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_none_before_its_time() {
        let mut timers = Timers::default();
        for (at_ns, token) in [(30, 3), (10, 1), (20, 2)] {
            timers.arm(at_ns, token);
        }
        assert_eq!((timers.next_ns(), timers.expired(9)), (Some(10), None));
        assert_eq!(
            (timers.expired(20), timers.expired(20), timers.expired(20)),
            (Some(1), Some(2), None)
        );
    }
}
