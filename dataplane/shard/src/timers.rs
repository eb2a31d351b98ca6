//! One coarse timer wheel per shard. O(1) to arm and to fire; deadlines may fire up to one slot late, never early.
//! Owners keep their own deadline and re-arm when an entry fires before it: moving a deadline later costs nothing.

use tollgate_engine::Tick;

/// Fine enough for timeouts in milliseconds, coarse enough that a busy shard turns the wheel rarely.
const SLOT_NS: u64 = 4_000_000;
/// 4,096 slots of 4 ms: 16 s a round. Later entries wait in their slot for their round.
const SLOTS: usize = 4096;

pub struct Wheel<T> {
    slots: Vec<Vec<(u64, T)>>,
    /// A bit per slot that has entries, so that the next one is found without walking them.
    filled: [u64; SLOTS / 64],
    /// Number of the slot up to which (inclusive) all has fired.
    turned: u64,
    entries: usize,
}

impl<T> Wheel<T> {
    pub fn new(now: Tick) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            filled: [0; SLOTS / 64],
            turned: now.0 / SLOT_NS,
            entries: 0,
        }
    }

    /// Fires `item` at `due` or up to a slot later.
    pub fn arm(&mut self, due: Tick, item: T) {
        let number = (due.0 / SLOT_NS + 1).max(self.turned + 1);
        let slot = number as usize % SLOTS;
        self.slots[slot].push((number, item));
        self.filled[slot / 64] |= 1 << (slot % 64);
        self.entries += 1;
    }

    /// When the wheel needs turning; `None` when nothing is armed.
    pub fn wake_at(&self) -> Option<Tick> {
        if self.entries == 0 {
            return None;
        }
        let start = (self.turned + 1) as usize % SLOTS;
        let distance = self.distance_to_filled(start);
        let number = self.turned + 1 + distance as u64;
        Some(Tick(number * SLOT_NS))
    }

    /// Slots from `start` to the next one with entries.
    fn distance_to_filled(&self, start: usize) -> usize {
        let words = self.filled.len();
        let first = self.filled[start / 64] >> (start % 64);
        if first != 0 {
            return first.trailing_zeros() as usize;
        }
        for step in 1..=words {
            let word = self.filled[(start / 64 + step) % words];
            if word != 0 {
                return step * 64 - start % 64 + word.trailing_zeros() as usize;
            }
        }
        0
    }

    /// Whether any slot has come due.
    pub fn due(&self, now: Tick) -> bool {
        self.entries > 0 && now.0 / SLOT_NS > self.turned
    }

    /// Moves all items due by `now` into `fired`.
    pub fn turn(&mut self, now: Tick, fired: &mut Vec<T>) {
        let target = now.0 / SLOT_NS;
        if self.entries == 0 {
            self.turned = target;
            return;
        }
        while self.turned < target {
            let start = (self.turned + 1) as usize % SLOTS;
            let number = self.turned + 1 + self.distance_to_filled(start) as u64;
            if number > target {
                self.turned = target;
                return;
            }
            self.turned = number;
            self.fire(number, fired);
            if self.entries == 0 {
                self.turned = target;
            }
        }
    }

    fn fire(&mut self, number: u64, fired: &mut Vec<T>) {
        let slot = number as usize % SLOTS;
        let waiting = std::mem::take(&mut self.slots[slot]);
        let mut later = Vec::new();
        for (due, item) in waiting {
            if due <= number {
                self.entries -= 1;
                fired.push(item);
            } else {
                later.push((due, item));
            }
        }
        if later.is_empty() {
            self.filled[slot / 64] &= !(1 << (slot % 64));
        }
        self.slots[slot] = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Tick {
        Tick(ms * 1_000_000)
    }

    #[test]
    fn fires_in_time_never_early_and_across_rounds() {
        let mut wheel = Wheel::new(ms(0));
        for due in [1u64, 4, 100, 5_000, 17_000, 60_000, 600_000] {
            wheel.arm(ms(due), due);
        }
        let mut now = ms(0);
        let mut seen = Vec::new();
        while let Some(at) = wheel.wake_at() {
            now = now.max(at);
            let mut fired = Vec::new();
            wheel.turn(now, &mut fired);
            for due in fired {
                assert!(
                    ms(due) <= now && now.0 <= ms(due).0 + 2 * SLOT_NS,
                    "{due} fired at {now:?}"
                );
                seen.push(due);
            }
        }
        assert_eq!(seen, [1, 4, 100, 5_000, 17_000, 60_000, 600_000]);
    }

    #[test]
    fn an_entry_in_the_past_fires_at_the_next_turn() {
        let mut wheel = Wheel::new(ms(1_000));
        wheel.arm(ms(10), ());
        let mut fired = Vec::new();
        wheel.turn(ms(1_004), &mut fired);
        assert_eq!(fired.len(), 1);
        assert_eq!(wheel.wake_at(), None);
    }
}
