//! Calls that wait for room at a model's targets: who came first in the highest class goes first, and a queue that is full
//! turns away the last of the lowest class. Knows calls by the shell's names only.

use std::{cmp::Reverse, collections::BTreeMap};

use tollgate_config::document::{Overload, Priority};

use crate::Tick;

/// A promise that was not taken up for so long is lost with its call.
const PROMISE_NS: u64 = 1_000_000_000;
/// Nobody was refused for so long: the shedding is over.
const CALM_NS: u64 = 5_000_000_000;
const NS_PER_SECOND: u64 = 1_000_000_000;
/// The longest wait that a refused client is asked for.
const MAX_RETRY_AFTER_S: u64 = 30;
/// Those of low priority wait this part of what others do.
const LOW_WAITS: u64 = 4;

/// Of one model and shard.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: BTreeMap<Place, Waiter>,
    promised: BTreeMap<Place, Promise>,
    arrived: u64,
    last_end: Tick,
    /// Between the ends of two calls, the mean.
    between_ends_ns: u64,
    shedding: Option<Shedding>,
}

/// A call's place; the first goes first. Never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    class: Reverse<Priority>,
    arrived: u64,
}

#[derive(Debug)]
pub(crate) struct Waiter {
    /// What the shell calls it.
    pub name: u64,
    /// The places of the targets that may have it.
    pub targets: Box<[u32]>,
}

#[derive(Clone, Copy, Debug)]
struct Promise {
    /// The place of the target.
    target: u32,
    made: Tick,
}

#[derive(Clone, Copy, Debug)]
struct Shedding {
    refused: u64,
    last: Tick,
}

/// What had become of a call that leaves its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Waiting,
    /// Room at this target was kept for it.
    Promised(u32),
    /// It was turned away.
    Evicted,
}

impl Queue {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Lets a call wait. Beside its place the name of the one turned away for it; none where there is no room for it.
    pub fn join(&mut self, class: Priority, waiter: Waiter, bounds: &Overload) -> Option<(Place, Option<u64>)> {
        let mut evicted = None;
        if self.waiting.len() >= bounds.queue as usize {
            let last = self.waiting.last_entry()?;
            if last.key().class.0 >= class {
                return None;
            }
            evicted = Some(last.remove().name);
        }
        self.arrived += 1;
        let place = Place {
            class: Reverse(class),
            arrived: self.arrived,
        };
        self.waiting.insert(place, waiter);
        Some((place, evicted))
    }

    /// There is room at a target: the name of the call that it is kept for.
    pub fn promise(&mut self, now: Tick, target: u32) -> Option<u64> {
        let fits = |waiter: &Waiter| waiter.targets.contains(&target);
        let place = self
            .waiting
            .iter()
            .find(|(_, waiter)| fits(waiter))
            .map(|(place, _)| *place)?;
        let waiter = self.waiting.remove(&place)?;
        self.promised.insert(place, Promise { target, made: now });
        Some(waiter.name)
    }

    /// A call's turn has come, it left, or it has waited long enough.
    pub fn leave(&mut self, place: Place) -> Left {
        if let Some(promise) = self.promised.remove(&place) {
            return Left::Promised(promise.target);
        }
        match self.waiting.remove(&place) {
            Some(_) => Left::Waiting,
            None => Left::Evicted,
        }
    }

    pub fn waits(&self, place: Place) -> bool {
        self.waiting.contains_key(&place)
    }

    /// The target of a promise whose call is lost: a panic ended it.
    pub fn lost(&mut self, now: Tick) -> Option<u32> {
        let is_lost = |promise: &Promise| now.ns_since(promise.made) > PROMISE_NS;
        let place = self
            .promised
            .iter()
            .find(|(_, promise)| is_lost(promise))
            .map(|(place, _)| *place)?;
        self.promised.remove(&place).map(|promise| promise.target)
    }

    /// A call ended. How many were refused, where that was the end of shedding.
    pub fn ended(&mut self, now: Tick) -> Option<u64> {
        let since_ns = now.ns_since(self.last_end).min(NS_PER_SECOND);
        self.last_end = now;
        self.between_ends_ns = self.between_ends_ns - self.between_ends_ns / 16 + since_ns / 16;
        let calm = |shedding: &mut Shedding| now.ns_since(shedding.last) >= CALM_NS;
        self.shedding.take_if(calm).map(|shedding| shedding.refused)
    }

    /// A call is refused; true when it is the first of a while.
    pub fn refuses(&mut self, now: Tick) -> bool {
        let began = self.shedding.is_none();
        let shedding = self.shedding.get_or_insert(Shedding { refused: 0, last: now });
        shedding.refused += 1;
        shedding.last = now;
        began
    }

    /// How long it takes until those that wait have had their turn, as calls end now: seconds.
    pub fn drained_in_s(&self) -> u64 {
        let drain_ns = self.between_ends_ns.saturating_mul(self.waiting.len() as u64 + 1);
        drain_ns.div_ceil(NS_PER_SECOND).clamp(1, MAX_RETRY_AFTER_S)
    }
}

pub(crate) fn wait_ms(class: Priority, bounds: &Overload) -> u64 {
    match class {
        Priority::Low => (bounds.max_queue_wait_ms / LOW_WAITS).max(1),
        Priority::Normal | Priority::High => bounds.max_queue_wait_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{High, Low, Normal};

    const NOW: Tick = Tick(1);

    fn join(queue: &mut Queue, class: Priority, name: u64, targets: &[u32]) -> Option<(Place, Option<u64>)> {
        let bounds = Overload {
            queue: 3,
            ..Overload::default()
        };
        let waiter = Waiter {
            name,
            targets: targets.into(),
        };
        queue.join(class, waiter, &bounds)
    }

    #[test]
    fn the_highest_class_goes_first_and_within_it_who_came_first() {
        let mut queue = Queue::default();
        for (class, name) in [(Low, 1), (Normal, 2), (High, 3)] {
            join(&mut queue, class, name, &[0]).expect("room");
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.promise(NOW, 0)).collect();
        assert_eq!(order, [3, 2, 1]);
    }

    #[test]
    fn a_full_queue_turns_away_the_last_of_the_lowest_class_and_nobody_for_an_equal() {
        let mut queue = Queue::default();
        let (first, _) = join(&mut queue, Low, 1, &[0]).expect("room");
        let (second, _) = join(&mut queue, Low, 2, &[0]).expect("room");
        join(&mut queue, High, 3, &[0]).expect("room");
        assert!(join(&mut queue, Low, 4, &[0]).is_none());
        assert_eq!(join(&mut queue, Normal, 5, &[0]).expect("room").1, Some(2));
        assert_eq!((queue.leave(second), queue.waits(first)), (Left::Evicted, true));
        assert_eq!(join(&mut queue, High, 6, &[0]).expect("room").1, Some(1));
        assert_eq!(join(&mut queue, High, 7, &[0]).expect("room").1, Some(5));
        assert!(
            join(&mut queue, High, 8, &[0]).is_none(),
            "high is turned away for nobody"
        );
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn room_goes_to_a_call_that_the_target_is_for() {
        let mut queue = Queue::default();
        let (only_zero, _) = join(&mut queue, High, 1, &[0]).expect("room");
        let (either, _) = join(&mut queue, Normal, 2, &[0, 1]).expect("room");
        assert_eq!(queue.promise(NOW, 1), Some(2));
        assert_eq!(queue.promise(NOW, 1), None);
        assert_eq!(queue.leave(either), Left::Promised(1));
        assert_eq!(queue.leave(only_zero), Left::Waiting);
    }

    #[test]
    fn a_promise_to_a_call_that_is_lost_comes_back() {
        let mut queue = Queue::default();
        join(&mut queue, High, 1, &[4]).expect("room");
        queue.promise(NOW, 4).expect("a call");
        assert_eq!(queue.lost(NOW.plus_ms(1_000)), None);
        assert_eq!(queue.lost(NOW.plus_ms(1_001)), Some(4));
        assert_eq!(queue.lost(NOW.plus_ms(1_001)), None);
    }

    #[test]
    fn clients_are_asked_to_come_back_when_the_queue_has_drained() {
        let mut queue = Queue::default();
        let mut now = NOW;
        for _ in 0..200 {
            now = now.plus_ms(800);
            queue.ended(now);
        }
        assert_eq!(queue.drained_in_s(), 1);
        for name in 1..=3 {
            join(&mut queue, Normal, name, &[0]).expect("room");
        }
        assert_eq!(queue.drained_in_s(), 4);
    }

    #[test]
    fn shedding_begins_once_and_ends_after_a_calm_while() {
        let mut queue = Queue::default();
        assert_eq!(queue.ended(NOW), None);
        assert!(queue.refuses(NOW));
        assert!(!queue.refuses(NOW.plus_ms(100)));
        assert_eq!(queue.ended(NOW.plus_ms(5_000)), None);
        assert_eq!(queue.ended(NOW.plus_ms(5_100)), Some(2));
        assert!(queue.refuses(NOW.plus_ms(5_200)));
    }
}
