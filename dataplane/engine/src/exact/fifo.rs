//! Which answer of one tenant goes when room is needed: S3-FIFO (Yang et al., "FIFO queues are all you need for cache
//! eviction", SOSP 2023). What is asked for once passes through a small queue and is gone; what was asked for again is kept in
//! the main one; what went lately and comes again goes there at once. Knows names and sizes, and no answer.

use std::collections::VecDeque;

use hashbrown::HashSet;

/// Of a tenant's bytes, what the small queue may have.
const SMALL_PERCENT: u64 = 10;
/// More asks than this count no more.
pub(super) const MOST_ASKED: u8 = 3;
/// Names of what went that are remembered at least.
const LEAST_GHOSTS: usize = 32;

/// An entry in a queue: its key, and the number that it alone has.
pub(super) type Name = (u128, u64);

#[derive(Debug, Default)]
pub(super) struct Fifo {
    small: VecDeque<Name>,
    main: VecDeque<Name>,
    small_bytes: u64,
    /// Keys of what went from the small queue, the oldest first.
    ghosts: VecDeque<u128>,
    is_ghost: HashSet<u128>,
}

/// What a queue is told of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub bytes: u64,
    pub asked: u8,
}

impl Fifo {
    /// True where it is in the small queue.
    pub fn push(&mut self, name: Name, bytes: u64) -> bool {
        if self.is_ghost.remove(&name.0) {
            self.main.push_back(name);
            return false;
        }
        self.small.push_back(name);
        self.small_bytes += bytes;
        true
    }

    /// An entry is gone without having been chosen. Its name stays until it comes to the front, or until there are many such.
    pub fn forget(&mut self, bytes: u64, in_small: bool) {
        self.small_bytes -= if in_small { bytes } else { 0 };
    }

    /// Lets go of the names of what is gone, where there are more of them than of what is there.
    pub fn tidy(&mut self, entries: usize, is_there: impl Fn(Name) -> bool) {
        if self.small.len() + self.main.len() > 2 * entries + LEAST_GHOSTS {
            self.small.retain(|name| is_there(*name));
            self.main.retain(|name| is_there(*name));
        }
    }

    /// Chooses one to go. `look` tells of an entry; `keep` is called for one that stays: it is in the main queue then, and was
    /// asked for once less.
    pub fn pop(
        &mut self,
        all_bytes: u64,
        look: impl Fn(Name) -> Option<Known>,
        mut keep: impl FnMut(Name),
    ) -> Option<Name> {
        loop {
            let from_small = self.main.is_empty() || self.small_bytes * 100 > all_bytes * SMALL_PERCENT;
            if from_small && let Some(name) = self.small.pop_front() {
                let Some(known) = look(name) else { continue };
                self.small_bytes -= known.bytes;
                if known.asked > 0 {
                    keep(name);
                    self.main.push_back(name);
                    continue;
                }
                self.remember(name.0);
                return Some(name);
            }
            let name = self.main.pop_front()?;
            let Some(known) = look(name) else { continue };
            if known.asked > 0 {
                keep(name);
                self.main.push_back(name);
                continue;
            }
            return Some(name);
        }
    }

    fn remember(&mut self, key: u128) {
        if self.is_ghost.insert(key) {
            self.ghosts.push_back(key);
        }
        let most = LEAST_GHOSTS.max(self.main.len() + self.small.len());
        while self.ghosts.len() > most {
            if let Some(oldest) = self.ghosts.pop_front() {
                self.is_ghost.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Entries of one byte.
    #[derive(Default)]
    struct Kept {
        fifo: Fifo,
        known: BTreeMap<u128, (u8, u64)>,
        number: u64,
    }

    impl Kept {
        fn ask(&mut self, key: u128, most: usize) -> bool {
            if let Some((asked, _)) = self.known.get_mut(&key) {
                *asked = (*asked + 1).min(MOST_ASKED);
                return true;
            }
            while self.known.len() >= most {
                let all = self.known.len() as u64;
                let Self { fifo, known, .. } = self;
                let known = std::cell::RefCell::new(known);
                let look = |name: Name| {
                    let known = known.borrow();
                    let (asked, number) = *known.get(&name.0)?;
                    (number == name.1).then_some(Known { bytes: 1, asked })
                };
                let keep = |name: Name| {
                    if let Some((asked, _)) = known.borrow_mut().get_mut(&name.0) {
                        *asked -= 1;
                    }
                };
                let gone = fifo.pop(all, look, keep).expect("there are some");
                self.known.remove(&gone.0);
            }
            self.number += 1;
            self.known.insert(key, (0, self.number));
            self.fifo.push((key, self.number), 1);
            false
        }
    }

    #[test]
    fn what_is_asked_again_outlives_a_scan() {
        let mut kept = Kept::default();
        for round in 0..3 {
            for key in 0..50 {
                assert_eq!(kept.ask(key, 100), round > 0);
            }
        }
        for key in 1_000..2_000 {
            kept.ask(key, 100);
        }
        let hits = (0..50).filter(|&key| kept.ask(key, 100)).count();
        assert!(hits >= 45, "{hits} of 50 survived a scan of ten times the room");
    }

    #[test]
    fn what_went_lately_and_comes_again_stays() {
        let mut kept = Kept::default();
        for key in 0..20 {
            kept.ask(key, 10);
        }
        assert!(!kept.ask(5, 10), "it went");
        for key in 100..115 {
            kept.ask(key, 10);
        }
        assert!(kept.ask(5, 10), "it was remembered");
    }

    #[test]
    fn names_of_what_went_are_bounded() {
        let mut kept = Kept::default();
        for key in 0..10_000 {
            kept.ask(key, 10);
            assert!(kept.fifo.ghosts.len() <= LEAST_GHOSTS + 10 && kept.fifo.is_ghost.len() <= LEAST_GHOSTS + 10);
        }
    }
}
